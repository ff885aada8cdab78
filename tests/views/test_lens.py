import math
from pathlib import Path

import pytest
from PIL import Image

from meshcli.errors import InputError, UsageError
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.views.lens import exif_field_of_view, field_of_view, read_sensor


def test_sensors() -> None:
    assert read_sensor("8.8x6.6") == (8.8, 6.6)
    assert read_sensor('2/3"') == read_sensor("2/3in") == (8.8, 6.6)
    assert read_sensor("FULL") == (36.0, 24.0)
    for wrong in ("8.8", "axb", "0x5", "8x-1"):
        with pytest.raises(UsageError, match="--sensor"):
            read_sensor(wrong)


def test_a_focal_length_and_a_sensor_make_an_angle() -> None:
    # Canon CJ14ex4.3 at 4.3 mm on a 2/3-inch sensor used as 16:9 (9.59 x 5.39): the maker states 96.3 x 64.1 degrees.
    assert field_of_view(4.3, (9.59, 5.39), (1920, 1080)) == pytest.approx(64.1, abs=0.1)
    upright = 2 * math.degrees(math.atan(18 / 50))
    assert field_of_view(50, (36, 24), (4000, 6000)) == pytest.approx(upright)
    # A square picture is cut from the middle; a wider one has the sensor's width.
    assert field_of_view(50, (36, 24), (3000, 3000)) == pytest.approx(2 * math.degrees(math.atan(12 / 50)))
    assert field_of_view(50, (36, 24), (3600, 1200)) == pytest.approx(2 * math.degrees(math.atan(6 / 50)))


def photo(path: Path, size: tuple[int, int] = (600, 400), orientation: int = 1, **tags: float) -> Path:
    picture = Image.new("RGB", size)
    exif = picture.getexif()
    exif[0x0112] = orientation
    names = {"focal": 0x920A, "width": 0xA002, "height": 0xA003, "unit": 0xA210, "across": 0xA20E, "down": 0xA20F,
             "film": 0xA405}  # fmt: skip
    exif.get_ifd(0x8769).update({names[key]: value for key, value in tags.items()})
    picture.save(path, exif=exif)
    return path


def test_a_film_equivalent_is_by_the_diagonal(tmp_path: Path) -> None:
    found = exif_field_of_view(SourcePhoto(photo(tmp_path / "a.jpg", film=50)).header)
    assert found == pytest.approx(2 * math.degrees(math.atan(12 / 50)))


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", orientation=6, film=50)
    assert SourcePhoto(path).header.size == (400, 600)
    assert exif_field_of_view(SourcePhoto(path).header) == pytest.approx(2 * math.degrees(math.atan(18 / 50)))


def test_the_sensor_follows_from_its_resolution(tmp_path: Path) -> None:
    tags = {"focal": 4.3, "width": 600, "height": 400, "unit": 3, "across": 600 / 0.9, "down": 400 / 0.6}
    assert exif_field_of_view(SourcePhoto(photo(tmp_path / "a.jpg", **tags)).header) == pytest.approx(
        2 * math.degrees(math.atan(3 / 4.3))
    )


@pytest.mark.parametrize(
    "tags", [{}, {"film": 0}, {"focal": 50}, {"film": 50, "width": 600, "height": 800}], ids=str
)  # fmt: skip
def test_missing_exif_and_cropped_pictures_give_no_lens(tags: dict[str, float], tmp_path: Path) -> None:
    assert exif_field_of_view(SourcePhoto(photo(tmp_path / "a.jpg", **tags)).header) is None


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(InputError, match="not a picture"):
        exif_field_of_view(SourcePhoto(tmp_path / "a.jpg").header)

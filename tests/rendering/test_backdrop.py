from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.painted_ball import ball
from helpers.recorded_frames import record_frames
from meshcli.errors import InputError, UsageError
from meshcli.pictures.image import over
from meshcli.rendering import turntable
from meshcli.rendering.backdrop import Backdrop, composite, is_picture, read_backdrop
from meshcli.rendering.turntable import MeshPictures
from meshcli.settings import RenderSettings

SETTINGS = RenderSettings(size=48, frames=2, samples=1)


def test_over_white_is_what_over_makes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 4)).astype(np.uint8)
    assert (composite(pixels, np.full((70, 90, 3), 255, np.uint8)) == over(pixels)).all()


@pytest.mark.parametrize(
    ("text", "colour"), [("white", (255, 255, 255)), ("SlateGray", (112, 128, 144)), ("#12aBcD", (18, 171, 205)),
                         ("#f80", (255, 136, 0))]
)  # fmt: skip
def test_colours(text: str, colour: tuple[int, int, int]) -> None:
    backdrop = read_backdrop(text, 8)
    assert (backdrop.behind("shaded", 5, 3) == colour).all()
    assert MeshPictures(ball(2), SETTINGS, backdrop=backdrop).stills()["front"][0, 0].tolist() == [*colour, 255]


def test_a_picture_covers_the_frame_and_shows_where_alpha_is_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, :20], stripes[:, 20:40], stripes[:, 40:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(stripes).save(tmp_path / "wide.png")
    backdrop = read_backdrop(str(tmp_path / "wide.png"), 48)
    assert (backdrop.behind("clay", 48, 48) == (0, 255, 0)).mean() > 0.95  # the middle third of a wide picture
    frames = record_frames(monkeypatch, turntable)
    show = MeshPictures(ball(3), SETTINGS, backdrop=backdrop)
    show.turntable(Path())
    alpha = show._renderer.render(show._path[0], 48, 48, 1)[..., 3]
    assert (frames[0][alpha == 0] == backdrop.behind("shaded", 48, 48)[alpha == 0]).all()
    assert (frames[0][alpha == 255] != (0, 255, 0)).any()


@pytest.mark.parametrize(("kind", "empty"), [("normals", 128), ("depth", 0), ("mask", 0)])
def test_data_have_no_background(kind: str, empty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = record_frames(monkeypatch, turntable)
    show = MeshPictures(ball(3), SETTINGS, backdrop=read_backdrop("red", 48))
    show.turntable(Path(), kind)  # type: ignore[arg-type]
    assert (frames[0][0, 0] == empty).all()
    assert show.stills(kind)["front"][0, 0, 3] == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "hint"), [("grene", "green"), ("transparant", "transparent"), ("#12345", "rrggbb")])
def test_what_is_neither_colour_nor_file(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        is_picture(text)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (600, 400), "red").save(tmp_path / "a.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("1", (11_000, 10_000)).save(tmp_path / "huge.png")
    for name, words in (("cut.jpg", "damaged"), ("text.png", "not a picture"), ("gone.png", "does not exist"),
                        ("huge.png", "shrink it$"), ("", "directory")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            read_backdrop(str(tmp_path / name), 64)


def test_deep_and_cmyk_pictures_are_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (30, 30), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    assert read_backdrop(str(tmp_path / "deep.png"), 8).behind("shaded", 8, 8).max() == 156
    red = read_backdrop(str(tmp_path / "cmyk.jpg"), 8).behind("shaded", 8, 8)[4, 4]
    assert red[0] > 180
    assert red[2] < 90
    assert Backdrop().behind("shaded", 2, 2).min() == 255

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshcli.commands.picker.pictures import MARGIN, _ViewPictures

BOXES = {"side": (20, 100, 300, 220), "end": (100, 40, 220, 160), "speck": (300, 300, 306, 306)}  # of 320 pixels


@pytest.fixture
def views(tmp_path: Path) -> _ViewPictures:
    """A black box in each view, and a file that is missing."""
    for name, (left, top, right, bottom) in BOXES.items():
        pixels = np.zeros((320, 320, 4), np.uint8)
        pixels[top:bottom, left:right, 3] = 255
        Image.fromarray(pixels).save(tmp_path / name, "PNG")
    return _ViewPictures({name: tmp_path / name for name in (*BOXES, "missing")})


def share(picture: Image.Image) -> tuple[float, float]:
    """The share of width and height that the box takes."""
    rows, columns = np.nonzero(np.asarray(picture)[..., 0] < 128)
    return round(np.ptp(columns + 0.0) / picture.width, 1), round(np.ptp(rows + 0.0) / picture.height, 1)


def test_a_thumbnail_is_cropped_to_its_object(views: _ViewPictures) -> None:
    assert share(views.cropped("side", 1.0)) == (0.9, 0.4)
    assert share(views.cropped("side", 2.0)) == (0.9, 0.7)  # a wide one has more of a wide object
    middle = views.cropped("side", 2.0)
    assert middle.getpixel((0, middle.height // 2)) == (255, 255, 255)
    assert middle.getpixel((middle.width // 2, middle.height // 2)) == (0, 0, 0)


def test_small_objects_stay_smaller(views: _ViewPictures) -> None:
    assert views.cropped("end", 1.0).height == 2 * (73 + MARGIN)  # half of the reach of 146 pixels, not 60 pixels
    assert share(views.cropped("end", 1.0)) == (0.7, 0.7)
    assert share(views.cropped("speck", 1.0)) == (0.0, 0.0)


def test_large_pictures_have_one_scale(views: _ViewPictures) -> None:
    assert {views.alike(name, 1.0).size for name in (*BOXES, "missing")} == {(2 * (146 + MARGIN),) * 2}


def test_a_missing_view_is_white(views: _ViewPictures) -> None:
    for picture in (views.alike("missing", 1.0), views.cropped("missing", 1.5)):
        assert np.asarray(picture).min() == 255

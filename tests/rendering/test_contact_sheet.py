import numpy as np
from PIL import ImageFont

from meshcli.rendering.contact_sheet import CAPTION, GAP, MARGIN, TILE, contact_sheet
from meshcli.views.camera import orbit
from meshcli.views.view import View

RED, GREEN = (200, 0, 0, 255), (0, 160, 0, 255)


def sheet(count: int, height: int = 50, width: int = 100) -> np.ndarray:
    views = [View(f"a{i}", np.full((height, width, 4), RED, np.uint8), orbit(60 * i, 20)) for i in range(count)]
    return contact_sheet(views, [np.full((height, width, 4), GREEN, np.uint8)] * count)


def test_every_view_stands_above_its_render() -> None:
    picture = sheet(3)
    assert picture.shape == (2 * MARGIN + 2 * TILE + GAP + CAPTION, 2 * MARGIN + 3 * TILE + 2 * GAP, 3)
    for i in range(3):
        column = MARGIN + i * (TILE + GAP) + TILE // 2
        assert tuple(picture[MARGIN + TILE // 2, column]) == RED[:3]
        assert tuple(picture[MARGIN + TILE + GAP + TILE // 2, column]) == GREEN[:3]
        assert picture[-MARGIN - CAPTION :, column - 120 : column + 120].min() < 150  # there is text


def test_wide_pictures_keep_their_shape() -> None:
    red = (sheet(1) == RED[:3]).all(axis=-1)
    rows, columns = red.any(axis=1).sum(), red.any(axis=0).sum()
    assert abs(columns - 2 * rows) <= 4


def test_more_than_six_go_on_below() -> None:
    assert sheet(7).shape[1] == sheet(6).shape[1]
    assert sheet(7).shape[0] > 1.8 * sheet(6).shape[0]


def test_the_font_knows_degrees() -> None:
    assert ImageFont.load_default(13).getmask("°").getbbox() is not None

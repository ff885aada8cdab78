"""Ready views: whatever says where the object is, what comes out is coverage, and the frame stays."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from meshcli.errors import MissingError
from meshcli.generators.photos import ready_view, split_view_sheet
from meshcli.pictures.image import join_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.settings import PhotoSettings

SIDE = 320
SETTINGS = PhotoSettings()


def shape(*box: int) -> Pixels:
    """255 in an ellipse with a foot."""
    drawn = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(drawn)
    pen.ellipse(box or (80, 60, 240, 220), fill=255)
    pen.rectangle((130, 200, 190, 280), fill=255)
    return np.asarray(drawn)


def coloured(inside: Pixels, behind: int) -> Pixels:
    return np.where(inside[..., None] > 0, np.uint8((170, 60, 50)), np.uint8(behind))


@pytest.mark.parametrize("level", [40, 100, 140])
def test_what_lets_something_through_covers_its_pixels(level: int) -> None:
    """And the colours stay as they came, under what is clear too."""
    inside = shape()
    rgb = coloured(inside, 77)
    sticker = np.zeros_like(inside)
    sticker[120:160, 140:180] = 255
    view = ready_view(np.dstack([rgb, np.maximum(inside // 255 * np.uint8(level), sticker)]), SETTINGS, True)
    np.testing.assert_array_equal(view[..., 3], inside)
    np.testing.assert_array_equal(view[..., :3], rgb)


def test_a_matte_stays_to_the_bit() -> None:
    soft = np.asarray(Image.fromarray(shape()).resize((40, 40)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    pixels = np.dstack([coloured(shape(), 255), soft])
    np.testing.assert_array_equal(ready_view(pixels, SETTINGS, True), pixels)


def test_a_view_with_round_corners_is_on_its_page() -> None:
    corners = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, SIDE - 1, SIDE - 1), 60, fill=255)
    view = ready_view(np.dstack([coloured(shape(), 250), np.asarray(corners)]), SETTINGS, True)
    assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995


def test_transparency_of_one_level_says_nothing() -> None:
    rgb = coloured(shape(), 250)
    view = ready_view(np.dstack([rgb, np.full((SIDE, SIDE), 200, np.uint8)]), SETTINGS, True)
    assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995
    np.testing.assert_array_equal(view[..., :3], rgb)


def test_tiles_of_a_sheet_are_looked_at_one_by_one() -> None:
    """A glass, and beside it views in front of a page without transparency."""
    glass = np.dstack([coloured(shape(), 250), shape() // 255 * np.uint8(90)])
    page = np.dstack([coloured(shape(), 250), np.full((SIDE, SIDE), 255, np.uint8)])
    tiles = split_view_sheet(join_sheet([glass, page, glass, page, page, glass]))
    views = [ready_view(tile, SETTINGS, True) for tile in tiles]
    for view in views:
        assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995


def test_what_the_plain_background_does_not_show_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", "/nowhere")
    pale = np.dstack([np.where(shape()[..., None] > 0, np.uint8(251), np.uint8([255] * 3)), np.full_like(shape(), 255)])
    with pytest.raises(MissingError, match=r"leaves nothing of the object.*`meshcli models pull u2netp`"):
        ready_view(pale, SETTINGS, offline=True)

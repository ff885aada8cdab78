"""Ready views: whatever says where the object is, what comes out is coverage, and the frame stays."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.paths import SHARED, needs_shared_data
from meshcli.errors import MissingError
from meshcli.generators.photos import is_view_sheet, split_view_sheet, with_silhouette
from meshcli.pictures.image import join_sheet, load_picture
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
    view = with_silhouette(np.dstack([rgb, np.maximum(inside // 255 * np.uint8(level), sticker)]), SETTINGS, True)
    np.testing.assert_array_equal(view[..., 3], inside)
    np.testing.assert_array_equal(view[..., :3], rgb)


def test_a_matte_stays_to_the_bit() -> None:
    soft = np.asarray(Image.fromarray(shape()).resize((40, 40)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    pixels = np.dstack([coloured(shape(), 255), soft])
    np.testing.assert_array_equal(with_silhouette(pixels, SETTINGS, True), pixels)


def test_a_view_with_round_corners_is_on_its_page() -> None:
    corners = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, SIDE - 1, SIDE - 1), 60, fill=255)
    view = with_silhouette(np.dstack([coloured(shape(), 250), np.asarray(corners)]), SETTINGS, True)
    assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995


def test_transparency_of_one_level_says_nothing() -> None:
    rgb = coloured(shape(), 250)
    view = with_silhouette(np.dstack([rgb, np.full((SIDE, SIDE), 200, np.uint8)]), SETTINGS, True)
    assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995
    np.testing.assert_array_equal(view[..., :3], rgb)


def test_tiles_of_a_sheet_are_looked_at_one_by_one() -> None:
    """A glass, and beside it views in front of a page without transparency."""
    glass = np.dstack([coloured(shape(), 250), shape() // 255 * np.uint8(90)])
    page = np.dstack([coloured(shape(), 250), np.full((SIDE, SIDE), 255, np.uint8)])
    tiles = split_view_sheet(join_sheet([glass, page, glass, page, page, glass]))
    views = [with_silhouette(tile, SETTINGS, True) for tile in tiles]
    for view in views:
        assert ((view[..., 3] >= 128) == (shape() > 0)).mean() > 0.995


def test_what_the_plain_background_does_not_show_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", "/nowhere")
    pale = np.dstack([np.where(shape()[..., None] > 0, np.uint8(251), np.uint8([255] * 3)), np.full_like(shape(), 255)])
    with pytest.raises(MissingError, match=r"leaves nothing of the object.*`meshcli models pull u2netp`"):
        with_silhouette(pale, SETTINGS, offline=True)


def test_a_network_from_a_named_folder_cuts_out_ready_views(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def remove(rgb: Pixels, session: object, only_mask: bool) -> Pixels:
        return shape()

    session = SimpleNamespace(is_local=lambda: True)
    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(new_session=lambda model: session, remove=remove))
    monkeypatch.setenv("U2NET_HOME", "/nowhere")
    monkeypatch.setenv("MESHCLI_CKPTS", "/nowhere")
    (tmp_path / "u2netp.onnx").touch()
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 4)).astype(np.uint8)
    noise[..., 3] = 255
    view = with_silhouette(noise, SETTINGS, offline=True, weights=tmp_path)
    np.testing.assert_array_equal(view[..., 3], shape())


def a_sheet(columns: int) -> Pixels:
    boxes = [(80, 60, 240, 220), (0, 60, 200, 220), (60, 20, 320, 220), (90, 0, 200, 200), (60, 90, 240, 240)]
    tiles = [np.dstack([coloured(shape(*box), 247), np.full((SIDE, SIDE), 255, np.uint8)]) for box in boxes]
    return join_sheet([*tiles, tiles[0]], columns)


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_a_sheet_of_views_is_noticed(columns: int) -> None:
    """Objects may reach the end of a view, where another view begins."""
    sheet = a_sheet(columns)
    assert is_view_sheet(sheet, (sheet.shape[1], sheet.shape[0]))
    assert is_view_sheet(sheet, (2 * sheet.shape[1], 2 * sheet.shape[0]))
    assert not is_view_sheet(sheet, (sheet.shape[1], sheet.shape[0] + 1))


def test_a_photo_of_the_shape_of_a_sheet_is_a_photo() -> None:
    drawn = Image.new("RGB", (640, 960), (240, 240, 240))
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((100, 100, 540, 860), fill=(170, 60, 50))
    assert not is_view_sheet(np.asarray(drawn.convert("RGBA")), drawn.size)
    frame = Image.new("RGB", (640, 960), (240, 240, 240))
    pen = ImageDraw.Draw(frame)  # thin, and in every sixth of the picture
    pen.rectangle((120, 120, 520, 840), outline=(90, 60, 20), width=12)
    pen.line((120, 480, 520, 480), fill=(90, 60, 20), width=12)
    assert not is_view_sheet(np.asarray(frame.convert("RGBA")), frame.size)


@needs_shared_data
@pytest.mark.parametrize("name", ["white/bird.png", "white/sorting_board.png", "grey/teapot_strip.png"])
def test_real_sheets_are_noticed(name: str) -> None:
    sheet = load_picture(SHARED / "data/views" / name)
    assert is_view_sheet(sheet, (sheet.shape[1], sheet.shape[0]))


@needs_shared_data
@pytest.mark.parametrize("name", ["inputs/chair_wood.jpg", "single/hamburger.png", "inputs/extinguisher.png"])
@pytest.mark.parametrize("size", [(640, 960), (960, 640), (1920, 320)])
def test_real_photos_are_no_sheets(name: str, size: tuple[int, int]) -> None:
    assert not is_view_sheet(load_picture(SHARED / "data/photos" / name), size)

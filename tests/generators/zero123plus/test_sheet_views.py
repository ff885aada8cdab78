"""Sheets of the real networks cut into views; see ../shared/data/README.md."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from helpers.paths import SHARED, needs_shared_data
from meshcli.generators.zero123plus.sheet_views import extract_views
from meshcli.pictures.image import join_sheet, split_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.settings import PhotoSettings

VIEWS = SHARED / "data" / "views"
ALONE = PhotoSettings(rembg=False)


def sheet(name: str) -> Pixels:
    with Image.open(VIEWS / name) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    strip = pixels.shape[1] > pixels.shape[0]
    return join_sheet(split_sheet(pixels, rows=1, columns=6)) if strip else pixels


@needs_shared_data
@pytest.mark.parametrize("name", ["white/fox.png", "white/plant.png", "grey/fish.png", "grey/teapot_strip.png"])
def test_real_sheets_become_views_with_masks(name: str) -> None:
    painted = sheet(name)
    tiles = extract_views(painted, ALONE)
    assert tiles.unmasked == []
    assert (join_sheet([tile[..., :3] for tile in tiles.pictures]) == painted).all()  # the generator's own colours
    for tile in tiles.pictures:
        alpha = tile[..., 3]
        assert 0.05 < (alpha >= 128).mean() < 0.8
        clear = tile[alpha == 0][:, :3].astype(float)
        assert np.abs(clear - np.median(clear, axis=0)).max(axis=1).mean() < 8  # one background, whatever its colour
        assert binary_erosion(alpha >= 128, iterations=5).any()


def test_an_ambiguous_background_gives_no_mask() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    tiles = extract_views(noise, ALONE)
    assert tiles.unmasked == [0, 1, 2, 3, 4, 5]
    assert all((tile[..., 3] == 255).all() for tile in tiles.pictures)


def test_a_painted_circle_is_cut_out_of_near_white() -> None:
    painted = np.full((192, 128, 3), 247, np.uint8)
    y, x = np.mgrid[:192, :128] % 64
    disc = np.hypot(y - 31.5, x - 31.5) < 20
    painted[disc] = (200, 60, 30)
    tiles = extract_views(painted, ALONE)
    assert not tiles.unmasked
    assert all(((tile[..., 3] >= 128) == disc[:64, :64]).mean() > 0.98 for tile in tiles.pictures)

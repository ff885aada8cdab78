"""The scripts of examples/ that draw README's pictures of pages make such pictures again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.browser import BINARIES
from meshcli.arrays import Array
from meshcli.project.project import Project

EXAMPLES = Path(__file__).parents[1] / "examples"
ACCENT = (180, 72, 15)  # of buttons, frames and cameras
MOST_BYTES = 120_000

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, BINARIES)), reason="needs Chromium: apt-get install chromium"),
]


def drawn(path: Path, like: str) -> Array:
    """The pixels (H, W, 3) of a picture, which is as large as README's."""
    assert path.stat().st_size < MOST_BYTES
    with Image.open(path) as picture, Image.open(EXAMPLES / like) as readme:
        assert picture.size == readme.size
        return np.asarray(picture.convert("RGB")).astype(int)


def accented(pixels: Array) -> Array:
    """Where the colour of the accent is."""
    found: Array = np.abs(pixels - ACCENT).max(axis=-1) < 24
    return found


def test_the_page_with_its_tabs_views_and_cameras(finished: Project, tmp_path: Path) -> None:
    import draw_ui

    pytest.importorskip("nicegui", reason="needs the extra ui")
    draw_ui.draw(finished.root, tmp_path / "ui.png")
    pixels = drawn(tmp_path / "ui.png", "ui.png")
    views, side = np.split(pixels, [pixels.shape[1] * 7 // 10], axis=1)
    for part in (views, side):
        assert part.std() > 10
        assert accented(part).mean() > 0.003


def test_the_mesh_of_a_report_among_its_cameras_and_below_a_photo(finished: Project, tmp_path: Path) -> None:
    import draw_report

    draw_report.draw(finished.root, "b", tmp_path / "report.png")
    pixels = drawn(tmp_path / "report.png", "report.png")
    left, right = pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]
    height, width = left.shape[:2]
    stage = np.s_[height // 20 : height * 3 // 5, width // 20 : width * 9 // 10]
    around, through = left[stage], right[stage]
    backdrop = around[4, 4]
    assert 0.01 < (np.abs(around - backdrop).max(axis=-1) > 12).mean() < 0.5
    assert accented(through).any(axis=-1).all(), "the line between photo and mesh, from top to bottom"
    for half in np.array_split(through, 2, axis=1):
        assert (np.abs(half - backdrop).max(axis=-1) > 12).mean() > 0.02, "the photo on one side, the mesh on the other"

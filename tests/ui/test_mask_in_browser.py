"""The brushes for masks in a real browser: what they paint, and what happens where it cannot be saved."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from helpers.browser import assert_quiet
from helpers.cli_processes import FAKE_MESHCLI
from helpers.ui_server import opened, serving, start, stop
from meshcli.arrays import Array
from meshcli.project.project import Project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
SAID = ".painter [role=status]"


def paint(page: "Page", *rows: float) -> None:
    """Open the brushes of photo a, and remove strokes in these rows, in shares of the picture."""
    page.get_by_role("button", name="Mend the mask").first.click()
    canvas = page.locator(".painter canvas")
    page.locator(SAID, has_text="").wait_for(state="attached")
    page.wait_for_function(f"document.querySelector('{SAID}').textContent === ''")
    box = None
    while box is None or box != canvas.bounding_box():  # until the dialog has come to rest
        box = canvas.bounding_box()
        page.wait_for_timeout(400)
    page.get_by_role("button", name="Remove").click()
    for row in rows:
        page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + row * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + row * box["height"], steps=5)
        page.mouse.up()


def alpha(file: Path) -> Array:
    return np.asarray(Image.open(file))[..., 3]


def test_a_mask_is_painted_over(browser: "Browser", with_views: Project) -> None:
    file = with_views.root / "photos" / "a.png"
    before = alpha(file)
    with serving(with_views.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address)
        page = watched.page
        paint(page, 0.45, 0.55)
        page.get_by_role("button", name="Undo u").click()
        page.get_by_role("button", name="Save").click()
        page.locator(".painter canvas").wait_for(state="detached")
        page.locator(".warning", has_text="photos/a.png").first.wait_for()
        assert_quiet(watched, address)
    after = alpha(file)
    side = len(after)
    middle = after[round(0.45 * side)]
    assert (middle[round(0.15 * side) : round(0.55 * side)] == 0).all()
    assert middle[round(0.75 * side)] == before[round(0.45 * side), round(0.75 * side)] == 255
    undone = round(0.62 * side)  # the second stroke alone reached there
    assert (after[undone] == before[undone]).all()
    assert ((after != before) <= (before > 0)).all()


def test_strokes_wait_until_another_process_has_written(browser: "Browser", with_views: Project) -> None:
    file = with_views.root / "photos" / "a.png"
    before = alpha(file)
    with serving(with_views.root, FAKE_MESHCLI) as address:
        page = opened(browser, address).page
        paint(page, 0.5)
        with with_views.write_lock():
            page.get_by_role("button", name="Save").click()
            page.locator(SAID, has_text="another step is writing the project; save when it is done").wait_for()
            assert (alpha(file) == before).all()
        page.get_by_role("button", name="Save").click()
        page.locator(".painter canvas").wait_for(state="detached")
    assert (alpha(file) != before).any()


def test_strokes_stay_where_the_server_is_gone(browser: "Browser", with_views: Project) -> None:
    server, address = start(with_views.root, FAKE_MESHCLI)
    page = opened(browser, address).page
    paint(page, 0.5)
    stop(server)
    page.evaluate("document.querySelector('.painter .main').click()")
    page.locator(SAID, has_text="not saved: meshcli ui does not answer").wait_for()
    assert page.locator(".painter canvas").is_visible()

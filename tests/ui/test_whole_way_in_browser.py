"""The whole way in a real browser with the real engines: from a handed-in photo to an exported GLB, by keys alone."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.browser import assert_quiet, open_page
from helpers.ui_server import serving
from meshcli.export.gltf import read_glb
from meshcli.project.project import Project
from meshcli.stages.status import read_status

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
MESHCLI = [sys.executable, "-m", "meshcli"]
DESK = Path(__file__).parents[2] / "examples" / "desk" / "1.png"
FOCUSED = "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
WORK = 800_000  # milliseconds that a step may take, however busy the machine is


def go_to(page: "Page", name: str) -> None:
    """Press the tab key until what is named has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).splitlines()[-1:] == [name]:
            return
    raise AssertionError(f"no way to {name} by the tab key")


def open_tab(page: "Page", name: str) -> None:
    """Walk to a tab with the arrow keys, from the top of the page."""
    page.evaluate("document.activeElement.blur()")
    page.get_by_role("tab", selected=True).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        if name in page.evaluate(FOCUSED):
            break
    page.keyboard.press("Enter")


def press_and_wait(page: "Page", button: str, title: str) -> None:
    """Press a button with the keyboard once the page lets it, and wait until its work is done."""
    from playwright.sync_api import expect

    expect(page.get_by_role("button", name=button, exact=True)).to_be_enabled(timeout=WORK)
    go_to(page, button)
    page.keyboard.press("Enter")
    page.locator(".work", has_text=f"{title}: done after").wait_for(timeout=WORK)


@pytest.mark.timeout(3000)
def test_from_a_photo_to_an_exported_glb_by_keys(browser: "Browser", project: Project) -> None:
    with serving(project.root, MESHCLI) as address:
        watched = open_page(browser, address)
        page = watched.page
        page.locator(".upload").wait_for(state="attached")
        page.set_input_files("input[type=file]", [str(DESK)])
        page.locator(".work", has_text="cutting the photos out: done after").wait_for(timeout=WORK)
        go_to(page, "Settings")
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(400)
        page.locator(".code", has_text="--config=quick").first.wait_for()
        press_and_wait(page, "Make views", "making views")
        open_tab(page, "Views")
        page.locator(".view").nth(5).wait_for()
        go_to(page, "Views")
        page.keyboard.press("a")
        page.locator(".view-grid .chosen").nth(5).wait_for()
        page.keyboard.press("Enter")
        page.locator(".summary", has_text="In use, chosen by hand").wait_for()
        open_tab(page, "Mesh")
        press_and_wait(page, "Build the mesh", "building the mesh")
        open_tab(page, "Export")
        press_and_wait(page, "Export", "exporting")
        name = f"{project.root.name}.glb"
        go_to(page, name)
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert Path(download.value.path()).read_bytes() == (project.root / "export" / name).read_bytes()
        assert_quiet(watched, address)
    assert len(read_glb(project.root / "export" / name).faces) > 500
    states = {each.stage: each.state for each in read_status(project).stages}
    assert [states[stage] for stage in ("generate", "select", "reconstruct", "export")] == ["done"] * 4

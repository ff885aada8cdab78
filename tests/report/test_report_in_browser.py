"""The page of a project in a real browser: the mesh is drawn, cameras can be looked through, nothing is asked for."""

import io
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from PIL import Image

from helpers.browser import DESK, PHONE, Watched, open_page
from meshcli.arrays import Array
from meshcli.project.project import Project
from meshcli.report.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def opened(
    browser: "Browser", project: Project, size: tuple[int, int] = DESK, scheme: Literal["light", "dark"] = "light"
) -> Watched:
    path = write_report([project], None).path
    watched = open_page(browser, path.as_uri(), size, scheme)
    watched.page.wait_for_selector("#stage[data-loaded=true]")
    return watched


def picture_of(watched: Watched, selector: str = "#stage") -> Array:
    """What the element looks like, once two looks agree."""
    last = b""
    for _ in range(100):
        shot = watched.page.locator(selector).screenshot()
        if shot == last:
            break
        last = shot
        watched.page.wait_for_timeout(200)
    return np.asarray(Image.open(io.BytesIO(last)).convert("RGB")).astype(int)


def object_mask(picture: Array) -> Array:
    """The pixels that differ from the backdrop, whose colour is that of the picture's corner."""
    mask: Array = np.abs(picture - picture[4, 4]).max(axis=-1) > 12
    return mask


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_at_each_size_and_in_each_light(
    browser: "Browser", finished: Project, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    watched = opened(browser, finished, size, scheme)
    assert watched.console == []
    assert watched.requests == [(finished.root / "report.html").as_uri()]
    width = watched.page.evaluate("document.documentElement.scrollWidth")
    assert width <= size[0], "the page is wider than the screen"
    brightness = np.mean(
        watched.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    )
    assert (brightness > 128) == (scheme == "light")
    mask = object_mask(picture_of(watched))
    assert 0.01 < mask.mean() < 0.9, "nothing, or nothing else, is drawn"
    watched.page.close()


def test_the_mesh_seen_through_a_camera_covers_its_picture(browser: "Browser", finished: Project) -> None:
    """The fake engines' mesh is what the views show, so both halves of the wipe have nearly the same outline."""
    watched = opened(browser, finished)
    page = watched.page
    page.click("[data-camera=a0]")
    assert page.get_attribute("#stage", "data-camera") == "a0"
    page.fill("#wipe", "0")
    mesh = object_mask(picture_of(watched)[:, 3:])  # without the line of the wipe
    page.fill("#wipe", "100")
    picture = object_mask(picture_of(watched)[:, :-3])
    centres = [np.argwhere(mask).mean(axis=0) for mask in (mesh, picture)]
    assert mesh.any()
    assert picture.any()
    assert np.linalg.norm(centres[0] - centres[1]) < 0.1 * mesh.shape[0]
    page.focus("#stage")
    page.keyboard.press("Escape")
    assert page.get_attribute("#stage", "data-camera") == ""
    page.close()


def test_keys_and_buttons_change_what_is_drawn(browser: "Browser", finished: Project) -> None:
    watched = opened(browser, finished)
    page = watched.page
    page.click("#show-cameras")  # away, so that the mesh is large
    seen = [picture_of(watched)]
    for action in (
        lambda: page.click("[data-mode=clay]"),
        lambda: page.click("[data-mode=wire]"),
        lambda: page.click("[data-mode=normals]"),
        lambda: (page.focus("#stage"), page.keyboard.press("ArrowLeft")),
        lambda: page.keyboard.press("+"),
        lambda: page.click("#show-cameras"),
    ):
        action()
        seen.append(picture_of(watched))
    changes = [np.abs(after - before).max() for before, after in pairwise(seen)]
    assert min(changes) > 20, changes
    assert watched.console == []
    page.close()


def test_a_click_on_a_camera_looks_through_it(browser: "Browser", finished: Project) -> None:
    watched = opened(browser, finished)
    page = watched.page
    box = page.locator("#stage").bounding_box()
    assert box is not None
    found = ""
    for row in range(8, int(box["height"]), 16):
        for column in range(8, int(box["width"]), 16):
            page.mouse.move(box["x"] + column, box["y"] + row)
            if title := page.get_attribute("#stage", "title"):
                page.mouse.click(box["x"] + column, box["y"] + row)
                found = title
                break
        if found:
            break
    assert found.split()[1] == page.get_attribute("#stage", "data-camera")
    page.close()


def test_rows_of_projects_are_sorted(browser: "Browser", finished: Project, tmp_path: Path) -> None:
    import shutil

    for name in ("b10", "b9"):
        shutil.copytree(finished.root, tmp_path / name)
    (tmp_path / "b9" / "mesh" / "mesh.glb").unlink()
    projects = [Project(tmp_path / name) for name in ("b10", "desk", "b9")]
    watched = open_page(browser, write_report(projects, tmp_path / "all.html").path.as_uri())

    def names() -> list[str]:
        return watched.page.locator("tbody th a").all_inner_texts()

    assert names() == ["b10", "desk", "b9"]
    watched.page.click("[data-sort='1']")
    assert names() == ["b9", "b10", "desk"]
    watched.page.click("[data-sort='1']")
    assert names() == ["desk", "b10", "b9"]
    assert watched.console == []
    watched.page.close()

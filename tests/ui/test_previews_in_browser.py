"""Unfinished views of Zero123++ on the page, in a real browser, painted by networks in miniature."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from helpers import tiny_zero123plus
from helpers.browser import open_page
from helpers.ui_server import serving
from meshcli.commands.cli import main
from meshcli.project.project import Project
from meshcli.stages.status import read_status

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
MESHCLI = [sys.executable, "-m", "meshcli"]
TINY = ["zero123plus.view_size=64", "zero123plus.steps=150", "zero123plus.unet=original", "zero123plus.dtype=fp32"]


def test_unfinished_views_are_shown_until_the_work_ends(
    browser: "Browser", project: Project, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_zero123plus.write(tmp_path / "ckpts" / "zero123plus-v1.2")
    monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "ckpts"))
    settings = [word for setting in TINY for word in ("--set", setting)]
    assert main(["generate", str(project.root), str(photos[0]), "--cutouts-only", *settings]) == 0
    with serving(project.root, MESHCLI) as address:
        page = open_page(browser, address).page
        page.get_by_role("combobox", name="Views by").click()
        page.get_by_role("option", name="zero123plus").click()
        page.locator(".hint", has_text="zero123plus can run on this machine").wait_for()
        page.get_by_role("button", name="Make views").click()
        preview = page.locator(".preview img")
        preview.wait_for()
        assert preview.get_attribute("alt") == "unfinished views of photo a"
        seen = np.asarray(Image.open(io.BytesIO(preview.screenshot())).convert("RGB")).astype(int)
        assert seen.shape[0] > seen.shape[1] > 100  # three rows of two views
        assert seen.std() > 3
        page.get_by_role("button", name="Cancel").click()
        page.locator(".work", has_text="making views: cancelled after").wait_for()
        assert not preview.is_visible()
    assert read_status(project).stages[0].state == "interrupted"

"""Debian's Chromium, driven by Playwright; tests skip with a reason where either is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# WebGL by the processor; without a sandbox, which containers do not allow: only pages that the tests made are opened.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
DESK, PHONE = (1440, 900), (390, 844)  # pixels
PATIENCE = 600_000  # milliseconds that a page may take, however busy the machine is: pytest ends what hangs


@dataclass
class Watched:
    """A page, with what it wrote on the console and what it asked for."""

    page: "Page"
    console: list[str] = field(default_factory=list)  # warnings and errors
    requests: list[str] = field(default_factory=list)  # addresses, without data that the page holds itself


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A browser; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(
    browser: "Browser", address: str, size: tuple[int, int] = DESK, scheme: Literal["light", "dark"] = "light"
) -> Watched:
    """Open an address, and listen to all that the page does."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    watched = Watched(page)
    page.on("console", lambda message: watched.console.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: watched.console.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("data:", "blob:")) else watched.requests.append(request.url),
    )
    page.goto(address)
    return watched


def assert_quiet(watched: Watched, address: str) -> None:
    """No error on the console, and no request to anybody but the server at this address."""
    assert watched.console == []
    assert {urlsplit(each).netloc for each in watched.requests} == {urlsplit(address).netloc}

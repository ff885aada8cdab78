"""Pictures of pages in a headless Chromium, as small PNG files."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

BINARIES = ("chromium", "chromium-browser", "google-chrome")
# WebGL by the processor; without a sandbox, which containers do not allow: only our own pages are opened.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
SETTLE = 1000  # milliseconds after which nothing moves any more


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Page]:
    """An empty page of this many pixels."""
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


def shot(page: Page) -> Image.Image:
    """What the page looks like once it has come to rest."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLE)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save_small(picture: Image.Image, path: Path, scale: float, colours: int) -> None:
    """Write a picture, reduced, with a palette."""
    size = round(picture.width * scale), round(picture.height * scale)
    small = picture.resize(size, Image.Resampling.LANCZOS)
    small.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)

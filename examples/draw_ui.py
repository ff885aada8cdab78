"""Draw ui.png, the Views tab of `meshcli ui` in a browser: python examples/draw_ui.py demo.

Needs the extra `ui`, the package playwright and Chromium on the PATH. The choice in the picture is not recorded.
"""

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).resolve().parent / "ui.png"
WIDTH, HEIGHT = 1280, 760
COLOURS = 256  # of the picture, so that it is small
BROWSER_ARGUMENTS = ["--no-sandbox"]


def main() -> None:
    """The pictures of the suggested views, and their cameras from above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    arguments = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "meshcli", "ui", str(arguments.project), "--no-open"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        picture = screenshot(server.stdout.readline().strip())
    finally:
        server.terminate()
        server.wait()
    small = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(OUTPUT, optimize=True)


def screenshot(address: str) -> Image.Image:
    """The Views tab of the page at an address."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.get_by_role("tab", name="Views").click()
        page.locator(".view-grid .view").first.wait_for()
        page.get_by_role("button", name="Suggest").click()
        page.mouse.move(0, 0)
        page.wait_for_function("[...document.querySelectorAll('.view-grid img')].every((each) => each.complete)")
        page.wait_for_timeout(1000)
        shot = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(shot)).convert("RGB")


if __name__ == "__main__":
    main()

"""Draw report.png, the top of a report in a browser: python examples/draw_report.py demo.

Needs the package playwright and Chromium on the PATH.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from meshcli.project.project import Project
from meshcli.report.report import write_report

OUTPUT = Path(__file__).resolve().parent / "report.png"
WIDTH, HEIGHT = 1280, 860
COLOURS = 128  # of the picture, so that it is small
BROWSER_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


def main() -> None:
    """The mesh through the camera of photo c, half of it covered by the photo, beside the page as it opens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--photo", default="c")
    arguments = parser.parse_args()
    page_file = write_report([Project(arguments.project)], None).path
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_file.resolve().as_uri())
        page.wait_for_selector("#stage[data-loaded=true]")
        page.wait_for_timeout(1000)
        first = page.screenshot()
        page.click(f"[data-camera={arguments.photo}]")
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        second = page.screenshot()
        browser.close()
    sheet = Image.new("RGB", (2 * WIDTH + 40, HEIGHT), "white")
    for column, picture in enumerate((first, second)):
        sheet.paste(Image.open(io.BytesIO(picture)).convert("RGB"), (column * (WIDTH + 40), 0))
    small = sheet.resize((sheet.width * 5 // 8, sheet.height * 5 // 8), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(OUTPUT, optimize=True)


if __name__ == "__main__":
    main()

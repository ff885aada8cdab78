"""Draw report.png, the mesh of a report in a browser: python examples/draw_report.py demo.

Needs the package playwright and Chromium on the PATH.
"""

import argparse
import tempfile
from pathlib import Path

from browser_picture import browser_page, save_small, shot
from PIL import Image

from meshcli.project.project import Project
from meshcli.report.report import write_report

OUTPUT = Path(__file__).resolve().parent / "report.png"
WIDTH, HEIGHT, GAP = 1280, 755, 40  # of each half, and between them
SCALE, COLOURS = 5 / 8, 128
TO_THE_MESH = "document.querySelector('.viewer').scrollIntoView()"


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--photo", default="c", help="whose camera is looked through on the right")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    draw(arguments.project, arguments.photo, arguments.output)


def draw(project: Path, photo: str, output: Path) -> None:
    """The mesh among its cameras, beside the mesh through the camera of a photo, half of it covered by the photo."""
    with tempfile.TemporaryDirectory() as folder, browser_page(WIDTH, HEIGHT) as page:
        page.goto(write_report([Project(project)], Path(folder) / "report.html").path.as_uri())
        page.wait_for_selector("#stage[data-loaded=true]")
        page.evaluate(TO_THE_MESH)
        first = shot(page)
        page.click(f"[data-camera={photo}]")
        page.evaluate(TO_THE_MESH)
        page.wait_for_selector("#overlay:not([hidden])")
        second = shot(page)
    sheet = Image.new("RGB", (2 * WIDTH + GAP, HEIGHT), "white")
    for column, picture in enumerate((first, second)):
        sheet.paste(picture, (column * (WIDTH + GAP), 0))
    save_small(sheet, output, SCALE, COLOURS)


if __name__ == "__main__":
    main()

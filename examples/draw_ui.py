"""Draw ui.png, the Views tab of `meshcli ui` in a browser: python examples/draw_ui.py demo.

Needs the extra `ui`, the package playwright and Chromium on the PATH. The choice in the picture is not recorded.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from browser_picture import browser_page, save_small, shot

OUTPUT = Path(__file__).resolve().parent / "ui.png"
WIDTH, HEIGHT = 1280, 760
SCALE, COLOURS = 0.75, 256
TABS = ["Photos", "Views", "Mesh", "Export", "Log"]  # that the picture shows


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    draw(arguments.project, arguments.output)


def draw(project: Path, output: Path) -> None:
    """The pictures of the suggested views, and their cameras from above."""
    command = [sys.executable, "-m", "meshcli", "ui", str(project), "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        with browser_page(WIDTH, HEIGHT) as page:
            page.goto(server.stdout.readline().strip())
            page.get_by_role("tab", name="Views").click()
            page.locator(".view-grid .view").first.wait_for()
            names = [text.split()[0] for text in page.get_by_role("tab").all_inner_texts()]
            if names != TABS:
                sys.exit(f"the page has the tabs {names}: change TABS, and draw the picture again")
            page.get_by_role("button", name="Suggest").click()
            page.locator(".view-grid .chosen").first.wait_for()
            page.wait_for_function("[...document.querySelectorAll('.view-grid img')].every((each) => each.complete)")
            picture = shot(page)
    finally:
        server.terminate()
        server.wait()
    save_small(picture, output, SCALE, COLOURS)


if __name__ == "__main__":
    main()

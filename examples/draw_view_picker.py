"""Draw the view picker of `meshcli select` from a project with views: python examples/draw_view_picker.py demo."""

import argparse
import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from meshcli.commands.picker.pictures import pictures
from meshcli.commands.picker.screen import Row, Size, build_screen
from meshcli.project.project import Project
from meshcli.stages.picker_state import PickerState
from meshcli.stages.view_choice import suggest_views

OUTPUT = Path(__file__).resolve().parent / "select.svg"
COLUMNS, ROWS = 120, 36
BAR = 3  # the row that it is drawn at


def main() -> None:
    """The picker as it opens, its bar a few rows further down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    project = Project(parser.parse_args().project)
    manifest = project.load()
    views = manifest.active_views
    sources = {photo.name: photo.source for photo in manifest.active_photos}
    rows = [Row(number, view, sources[view.photo]) for number, view in views.items()]
    files = {view.name: project.path(view.file) for view in views.values()}
    names = tuple(view.name for view in views.values())
    state = PickerState(names, (), tuple(suggest_views(manifest)), row=min(BAR, len(names) - 1))
    small, large = pictures(files, colour=True, graphics=False)
    console = Console(
        record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=COLUMNS, height=ROWS
    )
    screen = build_screen(project.root.name, rows, state, small, large, Size(COLUMNS, ROWS, len(rows)))
    console.print(screen, height=ROWS)
    OUTPUT.write_text(console.export_svg(title=f"meshcli select {project.root.name}", theme=MONOKAI), encoding="utf-8")


if __name__ == "__main__":
    main()

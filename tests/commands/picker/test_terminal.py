"""The picker in a terminal of its own: keys in, manifest out."""

import os
import signal
import sys
from pathlib import Path

import pytest

from helpers.project_templates import ProjectTemplates
from helpers.terminals import MOUSE, Terminal
from meshcli.project.manifest import Selection
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.select import select_views

UP, DOWN = "\x1b[A", "\x1b[B"
LEFT_PRESS, LEFT_RELEASE, WHEEL_DOWN, RIGHT_PRESS = "\x1b[<0;{}M", "\x1b[<0;{}m", "\x1b[<65;{}M", "\x1b[<2;{}M"
FAILING = """
from pathlib import Path
from meshcli.commands.picker.screen import Row
from meshcli.stages.picker_state import PickerState
from meshcli.commands.picker.terminal import pick
from meshcli.project.manifest import ViewEntry
from meshcli.views.camera import zero123plus_rig
view = ViewEntry("a0", "", "a", zero123plus_rig(0.0)[0], "sculpt", {})
pick("desk", [Row(0, view, "1.png")], {"a0": Path("a0.png")}, PickerState(("a0",), ()), lambda text: 1 // 0)
"""


@pytest.fixture
def painted(project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates) -> Project:
    ways = CameraArguments([0, 40, -50])
    templates.make("to be chosen from", project.root, lambda: generate_views(project, photos, ways))
    return project


def opened(project: Project, deaf: bool = False, **environment: str) -> tuple[Terminal, str]:
    terminal = Terminal("select", str(project.root), deaf=deaf, **environment)
    return terminal, terminal.until("q leave", "chosen:")


def test_keys_choose_and_enter_accepts(painted: Project) -> None:
    terminal, shown = opened(painted)
    assert "\x1b[38;2;" in shown  # thumbnails in half blocks, in colour
    assert "▀" in shown
    names = painted.load().selection
    assert names is None
    terminal.type(f"s{DOWN}{DOWN}j{UP} ")  # the proposed six, and a2, which is not among them
    terminal.until("7 of 18")
    terminal.type("\r")
    assert terminal.end() == 0
    selection = painted.load().selection
    assert selection is not None
    assert len(selection.names) == 7
    assert selection.names[-1] == "a2"
    assert selection.by == "person"
    assert painted.load().stages["select"].status == "done"


def test_typed_input_is_corrected_and_accepted(painted: Project) -> None:
    terminal, _ = opened(painted)
    terminal.type("0,99\r")
    terminal.until("there is no view 99; views are 0-5, 6-11, 12-17")
    terminal.type("\x7f\x7fb2 a5\r")
    assert terminal.end() == 0
    assert painted.load().selection == Selection(("a0", "b2", "a5"), "person")


@pytest.mark.slow
def test_photos_are_among_the_views(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, CameraArguments([0, 40, -50], [10], [25]))
    terminal = Terminal("select", str(project.root), "--include-photos")
    terminal.until("of 21 views", "q leave")
    terminal.type(":a,b2\r")
    assert terminal.end() == 0
    assert project.load().selection == Selection(("a", "b2"), "person")


@pytest.mark.parametrize(
    "keys", ["q", pytest.param(" jj q", marks=pytest.mark.slow), "\x1b"], ids=["q", "changed, then q", "escape"]
)
def test_leaving_changes_nothing_and_stops_a_script(keys: str, painted: Project) -> None:
    before = painted.path("manifest.json").read_bytes()
    terminal, _ = opened(painted)
    terminal.type(keys)
    terminal.until("no selection was accepted; none is recorded")
    assert terminal.end() == 130
    assert painted.path("manifest.json").read_bytes() == before


def test_leaving_keeps_the_recorded_selection_and_stops_a_script(painted: Project) -> None:
    select_views(painted, "a0,b2")
    terminal, _ = opened(painted)
    terminal.type("s q")
    terminal.until("no selection was accepted; the recorded one is kept (a0, b2)")
    assert terminal.end() == 130
    assert painted.load().selection == Selection(("a0", "b2"), "flag")


@pytest.mark.parametrize("deaf", [False, True])
def test_ctrl_c_exits_with_130(painted: Project, deaf: bool) -> None:
    before = painted.path("manifest.json").read_bytes()
    terminal, _ = opened(painted, deaf)
    terminal.type("\x03")
    assert terminal.end() == 130
    assert painted.path("manifest.json").read_bytes() == before


@pytest.mark.slow
def test_without_colour_it_works_in_shades(painted: Project) -> None:
    terminal, shown = opened(painted, NO_COLOR="1")
    assert "\x1b[38;2;" not in shown
    assert "▀" not in shown
    terminal.type(f"{DOWN} \r")
    assert terminal.end() == 0


@pytest.mark.slow
def test_another_size_of_the_window_is_drawn_whole_at_once(painted: Project) -> None:
    terminal, _ = opened(painted)
    for columns, rows in ((59, 20), (120, 40), (20, 8), (100, 30), (80, 24)):
        fresh = terminal.resize(columns, rows)
        lines = terminal.until_shown(lambda _, fresh=fresh: fresh.display[-1].startswith("chosen: a0"))  # type: ignore[misc]
        assert lines == fresh.display
        assert lines[0].startswith("desk: 6 of 18 views"[:columns])
        assert lines[-2].startswith("? keys · enter"[:columns])
        assert sum(line.startswith(("chosen:", "? keys")) for line in lines) == 2
    terminal.type("q")
    assert terminal.end() == 130


def test_the_mouse_takes_and_drops_and_scrolls(painted: Project) -> None:
    terminal, _ = opened(painted)
    assert terminal.screen.private_modes >= {1000, 1006}
    assert terminal.screen.cursor.hidden
    third = "10;9"  # column and row from 1; two rows of titles, three for each of the views before
    terminal.type((LEFT_PRESS + LEFT_RELEASE).format(third, third))
    shown = terminal.until_shown(lambda lines: "at 3 of 18" in lines[0])
    assert "7 of 18 views chosen" in shown[0]
    terminal.type(RIGHT_PRESS.format(third) + LEFT_PRESS.format("10;1") + LEFT_PRESS.format("70;9"))  # nothing
    terminal.type((WHEEL_DOWN * 2).format(third, third))
    # Two rows further, the list as well as the bar. The header comes before the list, which may still be on its way.
    shown = terminal.until_shown(lambda lines: "at 5 of 18" in lines[0] and " a2 " in lines[2])
    assert "7 of 18 views chosen" in shown[0]
    terminal.type("\r")
    assert terminal.end() == 0
    selection = painted.load().selection
    assert selection is not None
    assert (len(selection.names), selection.names[-1]) == (7, "a2")


def test_sigterm_leaves_the_terminal_as_it_was(painted: Project) -> None:
    terminal, _ = opened(painted)
    assert terminal.screen.private_modes & MOUSE
    os.kill(terminal.child, signal.SIGTERM)
    assert terminal.end() == 143


def test_a_failure_leaves_the_terminal_as_it_was() -> None:
    terminal = Terminal(command=[sys.executable, "-c", FAILING])
    terminal.until("q leave", "\x1b[?1006h")
    terminal.type("1\r")
    terminal.until("ZeroDivisionError")
    assert terminal.end() == 1


@pytest.mark.slow
def test_sixel_pictures_where_the_terminal_has_them(painted: Project) -> None:
    terminal = Terminal("select", str(painted.root))
    terminal.until("\x1b[c")  # what can you do?
    terminal.type("\x1b[?62;4c")  # sixel
    shown = terminal.until("q leave", "\x1b\\")
    assert "\x1b[13A\x1bP" in shown  # from the row below the picture up to its first
    assert '"1;1;260;260' in shown  # 26 x 13 characters of 10 x 20 pixels
    terminal.type("q")
    assert terminal.end() == 130


def test_kitty_pictures_where_the_terminal_has_them(painted: Project) -> None:
    terminal = Terminal("select", str(painted.root))
    terminal.until("\x1b[c")
    terminal.type("\x1b[?62c")  # no sixel
    asked = terminal.until("a=q")
    number = asked.split("_Gi=")[1].split(",")[0]
    terminal.type(f"\x1b_Gi={number};OK\x1b\\")
    shown = terminal.until("q leave")
    assert "\U0010eeee" in shown  # the protocol's placeholder
    terminal.type("q")
    terminal.until("_Ga=d")  # the terminal may forget the pictures
    assert terminal.end() == 130

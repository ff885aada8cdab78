"""The picker in a terminal of its own: keys in, manifest out."""

import fcntl
import os
import pty
import signal
import struct
import termios
from pathlib import Path

import pytest

from helpers.cli_processes import FAKE_MESHCLI
from meshcli.project.manifest import Selection
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.select import select_views

UP, DOWN = "\x1b[A", "\x1b[B"


class Terminal:
    """A process in a terminal of 80 x 24 characters, which hears Ctrl-C or, as after `trap '' INT`, does not."""

    def __init__(self, *words: str, deaf: bool = False, **environment: str) -> None:
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
            # Not execv: readline, where something loaded it, has put LINES and COLUMNS where Python does not see them.
            os.execve(FAKE_MESHCLI[0], [*FAKE_MESHCLI, *words], dict(os.environ))  # noqa: S606 (our own interpreter)
        self.text = ""

    def until(self, *last: str) -> str:
        """What it shows until all of these have come."""
        text = b""
        while not all(word.encode() in text for word in last):
            more = self._read()
            assert more, text.decode(errors="replace")[-3000:]
            text += more
        return text.decode(errors="replace")

    def type(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        os.close(self.terminal)
        return code

    def _read(self) -> bytes:
        """The next bytes; none when the other side is closed, which is an error on Linux."""
        try:
            return os.read(self.terminal, 65536)
        except OSError:
            return b""


@pytest.fixture
def painted(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> Project:
    generate_views(project, photos, CameraArguments([0, 40, -50]))
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


def test_photos_are_among_the_views(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, CameraArguments([0, 40, -50], [10], [25]))
    terminal = Terminal("select", str(project.root), "--include-photos")
    terminal.until("of 21 views", "q leave")
    terminal.type(":a,b2\r")
    assert terminal.end() == 0
    assert project.load().selection == Selection(("a", "b2"), "person")


@pytest.mark.parametrize("keys", ["q", " jj q", "\x1b"], ids=["q", "changed, then q", "escape"])
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


def test_without_colour_it_works_in_shades(painted: Project) -> None:
    terminal, shown = opened(painted, NO_COLOR="1")
    assert "\x1b[38;2;" not in shown
    assert "▀" not in shown
    terminal.type(f"{DOWN} \r")
    assert terminal.end() == 0


def test_a_smaller_window_is_noticed(painted: Project) -> None:
    terminal, _ = opened(painted)
    fcntl.ioctl(terminal.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 1000, 600))
    assert "┃" not in terminal.until("q leave")
    terminal.type("q")
    assert terminal.end() == 130


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

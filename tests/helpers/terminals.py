"""A command in a terminal of its own, and what that terminal shows."""

import copy
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Callable, Sequence

import pyte

from helpers.cli_processes import FAKE_MESHCLI

PROMPT = "$ meshcli select desk"  # on the screen before the command
STRINGS = re.compile(rb"\x1b[_P].*?\x1b\\", re.DOTALL)  # of graphics protocols, which terminals without them drop
CUT_OFF = re.compile(rb"\x1b([_P].*)?$", re.DOTALL)  # the beginning of one
ALTERNATE_SCREEN, MOUSE = 1049, {9, 1000, 1001, 1002, 1003, 1005, 1006, 1015, 1016}  # private modes of xterm
PICKER_SIGNS = ("▀", "▌", "q leave", "views chosen", "chosen:")


class Emulator(pyte.Screen):  # type: ignore[misc]
    """A terminal with two screens, which pyte lacks."""

    def set_mode(self, *modes: int, **kwargs: bool) -> None:
        super().set_mode(*modes, **kwargs)
        if kwargs.get("private") and ALTERNATE_SCREEN in modes:
            self.main = copy.deepcopy(dict(self.buffer)), self.cursor.x, self.cursor.y
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **kwargs: bool) -> None:
        if kwargs.get("private") and ALTERNATE_SCREEN in modes and ALTERNATE_SCREEN in self.private_modes:
            lines, self.cursor.x, self.cursor.y = self.main
            self.buffer.clear()
            self.buffer.update(lines)
        super().reset_mode(*modes, **kwargs)

    @property
    def private_modes(self) -> set[int]:
        return {mode >> 5 for mode in self.mode if not mode & 31}


class Terminal:
    """A command in a terminal, which hears Ctrl-C or, as after `trap '' INT`, does not; `meshcli` if none is given."""

    def __init__(
        self, *words: str, deaf: bool = False, command: Sequence[str] = FAKE_MESHCLI, **environment: str
    ) -> None:
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
            # Not execv: readline, where something loaded it, has put LINES and COLUMNS where Python does not see them.
            os.execve(command[0], [*command, *words], dict(os.environ))  # noqa: S606 (our own interpreter)
        self.modes = termios.tcgetattr(self.terminal)
        self.screen = Emulator(80, 24)
        self._streams = [pyte.ByteStream(self.screen)]
        self._streams[0].feed(f"{PROMPT}\r\n".encode())
        self._held = b""

    def until(self, *last: str) -> str:
        """What it sends until all of these have come."""
        text = b""
        while not all(word.encode() in text for word in last):
            more = self._read()
            assert more, text.decode(errors="replace")[-3000:]
            text += more
        return text.decode(errors="replace")

    def until_shown(self, shown: Callable[[list[str]], object]) -> list[str]:
        """The lines of the screen as soon as they are so."""
        while not shown(self.screen.display):
            assert self._read(), "\n".join(self.screen.display)
        return list(self.screen.display)

    def type(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def resize(self, columns: int, rows: int) -> Emulator:
        """Another size of the window; a screen that was empty then, and shows only what is drawn after it."""
        self.screen.resize(rows, columns)
        fresh = Emulator(columns, rows)
        self._streams = [self._streams[0], pyte.ByteStream(fresh)]
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, columns * 10, rows * 20))
        return fresh

    def end(self) -> int:
        """Read to the end; the exit code. The terminal is as it was before, but for messages."""
        while self._read():
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        modes = termios.tcgetattr(self.terminal)
        os.close(self.terminal)
        assert modes == self.modes
        assert not self.screen.private_modes & {ALTERNATE_SCREEN, *MOUSE}
        assert not self.screen.cursor.hidden
        lines = [line.rstrip() for line in self.screen.display]
        assert lines[0] == PROMPT
        assert not [line for line in lines if any(sign in line for sign in PICKER_SIGNS)]
        return code

    def _read(self) -> bytes:
        """The next bytes; none when the other side is closed, which is an error on Linux."""
        try:
            sent = os.read(self.terminal, 65536)
        except OSError:
            return b""
        text = STRINGS.sub(b"", self._held + sent)
        cut = CUT_OFF.search(text)
        self._held = cut.group() if cut else b""
        for stream in self._streams:
            stream.feed(text[: cut.start()] if cut else text)
        return sent

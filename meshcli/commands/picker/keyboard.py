"""What the terminal sends: keys, clicks, turns of the wheel, and that its window has another size."""

import os
import re
import signal
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from select import select
from typing import TextIO

from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from meshcli.errors import UsageError
from meshcli.system.processes import Interrupted

ESCAPE_DELAY = 0.1  # seconds after which an escape character is the Escape key and not the start of a sequence
KEY_NAMES = {
    Keys.Up: "up", Keys.Down: "down", Keys.PageUp: "pageup", Keys.PageDown: "pagedown", Keys.Home: "home",
    Keys.End: "end", Keys.ControlM: "enter", Keys.ControlJ: "enter", Keys.Escape: "escape",
    Keys.ControlH: "backspace", Keys.Delete: "backspace",
}  # fmt: skip
# xterm's private modes 1000, presses and releases of buttons, and 1006, their form "ESC [ < button ; column ; row M",
# counted from 1, "m" for a release (xterm, Control Sequences, "Mouse Tracking"). Terminals without them ignore both.
MOUSE_ON, MOUSE_OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
MOUSE_PRESS = re.compile(r"\x1b\[<(\d+);(\d+);(\d+)M")
LEFT_BUTTON, WHEEL_UP, WHEEL_DOWN = 0, 64, 65
KEYS_HELD = 4 + 8 + 16  # in the number of the button: shift, meta, control


@dataclass(frozen=True)
class Click:
    """The left button of the mouse was pressed."""

    column: int  # from 0
    row: int


@dataclass(frozen=True)
class Wheel:
    """The wheel of the mouse was turned."""

    rows: int  # -1 up, 1 down


Event = str | Click | Wheel  # a key as `PickerState` names it, or one of the mouse


class Keyboard:
    """Keys and mouse of a terminal in raw mode."""

    def __init__(self, terminal: TextIO) -> None:
        self._input = create_input(terminal)
        self._resized, self._resize = os.pipe()
        os.set_blocking(self._resize, False)

    @contextmanager
    def listening(self) -> Iterator["Keyboard"]:
        """Raw mode, and word of the window's size, until the end."""
        before = signal.signal(signal.SIGWINCH, lambda *_: self._note_resize())
        try:
            with self._input.raw_mode():
                yield self
        finally:
            signal.signal(signal.SIGWINCH, before)
            os.close(self._resized)
            os.close(self._resize)

    def read(self) -> list[Event]:
        """Wait for the next events; none if the window's size has changed.

        Raises Interrupted for Ctrl-C, which is a key in raw mode and works even if the parent process ignores SIGINT,
        and UsageError when the terminal is closed.
        """
        keys = self._input.fileno()
        ready = select([keys, self._resized], [], [])[0]
        if self._resized in ready:
            os.read(self._resized, 1024)
        presses = self._input.read_keys() if keys in ready else []
        if keys in ready and not presses and not select([keys], [], [], ESCAPE_DELAY)[0]:
            presses = self._input.flush_keys()
        if any(press.key == Keys.ControlC for press in presses):
            raise Interrupted(signal.SIGINT)
        if self._input.closed:
            raise UsageError("the terminal is closed; nothing is changed")
        return _events(presses)

    def forget(self) -> None:
        """Drop what was sent and not read, so that the last turns of the wheel are not typed into the shell."""
        with suppress(termios.error):
            termios.tcflush(self._input.fileno(), termios.TCIFLUSH)

    def _note_resize(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._resize, b".")


def _events(presses: Sequence[KeyPress]) -> list[Event]:
    events: list[Event] = []
    for press in presses:
        key = KEY_NAMES.get(press.key, press.key) if isinstance(press.key, Keys) else press.key
        if key == Keys.Vt100MouseEvent:
            events += _mouse_events(press.data)
        elif not isinstance(key, Keys):
            events.append(key)
    return events


def _mouse_events(sequence: str) -> list[Event]:
    match = MOUSE_PRESS.fullmatch(sequence)
    if not match:
        return []
    number, column, row = map(int, match.groups())
    button = number & ~KEYS_HELD
    if button == LEFT_BUTTON:
        return [Click(column - 1, row - 1)]
    return [Wheel(rows) for wheel, rows in ((WHEEL_UP, -1), (WHEEL_DOWN, 1)) if button == wheel]

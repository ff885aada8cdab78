"""The picker's event loop: reads keys and the mouse, draws the screen, returns the selection. Needs a terminal."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from PIL import Image as Pillow
from rich.console import Console
from rich.live import Live
from rich.measure import Measurement
from textual_image.renderable import HalfcellImage

from meshcli.commands.picker.keyboard import MOUSE_OFF, MOUSE_ON, Click, Event, Keyboard, Wheel
from meshcli.commands.picker.pictures import pictures
from meshcli.commands.picker.screen import Row, Size, build_screen
from meshcli.stages.picker_state import PickerState, ReadAnswer


def pick(
    title: str, rows: Sequence[Row], files: Mapping[str, Path], state: PickerState, read: ReadAnswer
) -> PickerState:
    """Let the user select; `files` holds the picture of each view by name."""
    console = Console(stderr=True, highlight=False)
    small, large = pictures(files, console.color_system is not None and not console.no_color)
    _query_character_size(console)
    live = Live(console=console, screen=True, auto_refresh=False)
    with closing(small), closing(large), Keyboard(sys.stdin).listening() as keyboard, live, _mouse(console, keyboard):
        shown = None
        while not state.end:
            size = Size(*console.size, len(rows))
            state = state.with_page(size.page)
            if shown != (state, size):
                live.update(build_screen(title, rows, state, small, large, size), refresh=True)
                shown = (state, size)
            for event in keyboard.read():
                state = state if state.end else _changed(state, event, size, read)
    return state


def _changed(state: PickerState, event: Event, size: Size, read: ReadAnswer) -> PickerState:
    match event:
        case Click():
            return state.click(size.view_at(event.column, event.row, state.first))
        case Wheel():
            return state.scroll(event.rows)
    return state.press(event, read)


@contextmanager
def _mouse(console: Console, keyboard: Keyboard) -> Iterator[None]:
    """The terminal reports the mouse until the end, whatever it is."""
    try:
        _write(console, MOUSE_ON)
        yield
    finally:
        with suppress(OSError):  # the terminal may be gone
            _write(console, MOUSE_OFF)
        keyboard.forget()


def _write(console: Console, sequence: str) -> None:
    console.file.write(sequence)
    console.file.flush()


def _query_character_size(console: Console) -> None:
    """Let textual_image ask the terminal for the size of its characters, before the screen is drawn.

    Many terminals do not answer; its warning about that is silenced.
    """
    logging.getLogger("textual_image").setLevel(logging.ERROR)
    Measurement.get(console, console.options, HalfcellImage(Pillow.new("RGB", (1, 1)), 1, 1))

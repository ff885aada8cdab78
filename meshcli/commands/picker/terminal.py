"""The picker at work: keys in, a choice out. Opened only where somebody can answer."""

import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from select import select

from PIL import Image as Pillow
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.keys import Keys
from rich.console import Console, RenderableType
from rich.live import Live
from rich.measure import Measurement
from textual_image.renderable import HalfcellImage, Image, SixelImage, TGPImage, UnicodeImage

from meshcli.commands.picker.screen import Row, Size, build_screen
from meshcli.commands.picker.state import Picking, Read
from meshcli.errors import UsageError
from meshcli.system.processes import Interrupted

PATIENCE = 1.0  # seconds between looks at whether the window has another size
ESCAPE = 0.1  # seconds after which an escape is the key of that name and not the beginning of another one
SIDE, MARGIN = 320, 8  # pixels of a view, and left free around the object
Kind = type[HalfcellImage] | type[SixelImage] | type[TGPImage] | type[UnicodeImage]
NAMES = {
    Keys.Up: "up", Keys.Down: "down", Keys.PageUp: "pageup", Keys.PageDown: "pagedown", Keys.Home: "home",
    Keys.End: "end", Keys.ControlM: "enter", Keys.ControlJ: "enter", Keys.Escape: "escape",
    Keys.ControlH: "backspace", Keys.Delete: "backspace",
}  # fmt: skip


def pick(title: str, rows: Sequence[Row], files: Mapping[str, Path], state: Picking, read: Read) -> Picking:
    """Let the person at the terminal choose; `files` are the pictures by name of the view."""
    console = Console(stderr=True, highlight=False)
    keyboard = create_input(sys.stdin)
    small, large = pictures(files, console.color_system is not None and not console.no_color)
    _measure_characters(console)
    live = Live(console=console, screen=True, auto_refresh=False)
    with closing(small), closing(large), keyboard.raw_mode(), live:
        shown = None
        while not state.end:
            size = Size(*console.size)
            state = replace(state, page=size.page)
            if shown != (state, size):
                live.update(build_screen(title, rows, state, small, large, size), refresh=True)
                shown = (state, size)
            for key in _keys(keyboard):
                state = state if state.end else state.pressed(key, read)
    return state


def pictures(files: Mapping[str, Path], colour: bool, graphics: bool = True) -> "tuple[_Drawn, _Drawn]":
    """Thumbnails, and large pictures: in the terminal's own graphics where it has them and may, else in half blocks.

    Without colour, shades of grey in characters.
    """
    loaded = _Loaded(files)
    half = HalfcellImage if colour else UnicodeImage
    if not (colour and graphics) or Image is UnicodeImage:
        return _Drawn(loaded, half), _Drawn(loaded, half)
    return _Drawn(loaded, TGPImage if Image is TGPImage else half), _Drawn(loaded, Image)


class _Loaded:
    """Pictures over white, all cut to the square in the middle that holds the object in each of them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._pictures: dict[str, Pillow.Image] = {}
        reach = 1
        for name, file in files.items():
            canvas = Pillow.new("RGBA", (SIDE, SIDE), "white")
            with suppress(OSError), Pillow.open(file) as picture:  # a view that is gone stays white
                view = picture.convert("RGBA").resize(canvas.size)
                canvas.alpha_composite(view)
                left, top, right, bottom = view.getchannel("A").getbbox() or (0, 0, SIDE, SIDE)
                reach = max(reach, SIDE // 2 - min(left, top), max(right, bottom) - SIDE // 2)
            self._pictures[name] = canvas.convert("RGB")
        first, last = max(0, SIDE // 2 - reach - MARGIN), min(SIDE, SIDE // 2 + reach + MARGIN)
        for name, whole in self._pictures.items():
            self._pictures[name] = whole.crop((first, first, last, last))

    def __call__(self, name: str) -> Pillow.Image:
        return self._pictures[name]


class _Drawn:
    """Draws each picture once in every size."""

    def __init__(self, loaded: _Loaded, kind: Kind) -> None:
        self._loaded = loaded
        self._kind = kind
        self._kept: dict[tuple[str, int, int], HalfcellImage | SixelImage | TGPImage | UnicodeImage] = {}

    def __call__(self, name: str, columns: int, rows: int) -> RenderableType:
        key = (name, columns, rows)
        if key not in self._kept:
            self._kept[key] = self._kind(self._loaded(name), columns, rows)
        return self._kept[key]

    def close(self) -> None:
        """Take the pictures out of the terminal's memory, where it holds them."""
        for picture in self._kept.values():
            picture.cleanup()


def _measure_characters(console: Console) -> None:
    """Let the library ask the terminal how large its characters are, before the screen is drawn.

    Terminals that do not answer are common, and no reason for a warning.
    """
    logging.getLogger("textual_image").setLevel(logging.ERROR)
    Measurement.get(console, console.options, HalfcellImage(Pillow.new("RGB", (1, 1)), 1, 1))


def _keys(keyboard: Input) -> list[str]:
    """The next keys by the names that `Picking` knows; none when none come for a while.

    Raises Interrupted for Ctrl-C, which is a key here: a signal would not arrive where whoever started this ignores it.
    """
    waiting = [keyboard.fileno()]
    presses = keyboard.read_keys() if select(waiting, [], [], PATIENCE)[0] else []
    if not presses and not select(waiting, [], [], ESCAPE)[0]:
        presses = keyboard.flush_keys()
    if any(press.key == Keys.ControlC for press in presses):
        raise Interrupted(signal.SIGINT)
    if keyboard.closed:
        raise UsageError("the terminal is gone; nothing is changed")
    names = [NAMES.get(press.key, press.key) if isinstance(press.key, Keys) else press.key for press in presses]
    return [str(name) for name in names if not isinstance(name, Keys)]

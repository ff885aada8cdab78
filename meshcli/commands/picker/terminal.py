"""The picker's event loop: reads keys, draws the screen, returns the selection. Needs a terminal."""

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
from meshcli.commands.picker.state import PickerState, ReadAnswer
from meshcli.errors import UsageError
from meshcli.system.processes import Interrupted

RESIZE_POLL = 1.0  # seconds between checks of the window's size; by eye: soon enough, and next to no work
ESCAPE_DELAY = 0.1  # seconds after which an escape character is the Escape key and not the start of a sequence
SIDE, MARGIN = 320, 8  # pixels: of a view, and around the object; views have 320
Kind = type[HalfcellImage] | type[SixelImage] | type[TGPImage] | type[UnicodeImage]
KEY_NAMES = {
    Keys.Up: "up", Keys.Down: "down", Keys.PageUp: "pageup", Keys.PageDown: "pagedown", Keys.Home: "home",
    Keys.End: "end", Keys.ControlM: "enter", Keys.ControlJ: "enter", Keys.Escape: "escape",
    Keys.ControlH: "backspace", Keys.Delete: "backspace",
}  # fmt: skip


def pick(
    title: str, rows: Sequence[Row], files: Mapping[str, Path], state: PickerState, read: ReadAnswer
) -> PickerState:
    """Let the user select; `files` holds the picture of each view by name."""
    console = Console(stderr=True, highlight=False)
    keyboard = create_input(sys.stdin)
    small, large = pictures(files, console.color_system is not None and not console.no_color)
    _query_character_size(console)
    live = Live(console=console, screen=True, auto_refresh=False)
    with closing(small), closing(large), keyboard.raw_mode(), live:
        shown = None
        while not state.end:
            size = Size(*console.size)
            state = replace(state, page=size.page)
            if shown != (state, size):
                live.update(build_screen(title, rows, state, small, large, size), refresh=True)
                shown = (state, size)
            for key in _read_keys(keyboard):
                state = state if state.end else state.press(key, read)
    return state


def pictures(files: Mapping[str, Path], colour: bool, graphics: bool = True) -> "tuple[_PictureCache, _PictureCache]":
    """Thumbnails and large pictures: in the terminal's graphics protocol if it has one, else half blocks.

    Of the protocols, thumbnails use kitty's only. `graphics` off: half blocks for both. Without colour, pictures are
    shades of grey in block characters.
    """
    views = _ViewPictures(files)
    half = HalfcellImage if colour else UnicodeImage
    if not (colour and graphics) or Image is UnicodeImage:
        return _PictureCache(views, half), _PictureCache(views, half)
    return _PictureCache(views, TGPImage if Image is TGPImage else half), _PictureCache(views, Image)


class _ViewPictures:
    """Pictures over white, cropped to the smallest centred square that holds the object in all of them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._pictures: dict[str, Pillow.Image] = {}
        reach = 1
        for name, file in files.items():
            canvas = Pillow.new("RGBA", (SIDE, SIDE), "white")
            with suppress(OSError), Pillow.open(file) as picture:  # a missing view stays white
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


class _PictureCache:
    """Draws each picture once per size."""

    def __init__(self, views: _ViewPictures, kind: Kind) -> None:
        self._views = views
        self._kind = kind
        self._drawn: dict[tuple[str, int, int], HalfcellImage | SixelImage | TGPImage | UnicodeImage] = {}

    def __call__(self, name: str, columns: int, rows: int) -> RenderableType:
        key = (name, columns, rows)
        if key not in self._drawn:
            self._drawn[key] = self._kind(self._views(name), columns, rows)
        return self._drawn[key]

    def close(self) -> None:
        """Free the pictures in the terminal's memory."""
        for picture in self._drawn.values():
            picture.cleanup()


def _query_character_size(console: Console) -> None:
    """Let textual_image ask the terminal for the size of its characters, before the screen is drawn.

    Many terminals do not answer; its warning about that is silenced.
    """
    logging.getLogger("textual_image").setLevel(logging.ERROR)
    Measurement.get(console, console.options, HalfcellImage(Pillow.new("RGB", (1, 1)), 1, 1))


def _read_keys(keyboard: Input) -> list[str]:
    """The next keys, named as `PickerState` expects them; empty after RESIZE_POLL seconds without one.

    Raises Interrupted for Ctrl-C: in raw mode it is a key, and works even if the parent process ignores SIGINT.
    """
    waiting = [keyboard.fileno()]
    presses = keyboard.read_keys() if select(waiting, [], [], RESIZE_POLL)[0] else []
    if not presses and not select(waiting, [], [], ESCAPE_DELAY)[0]:
        presses = keyboard.flush_keys()
    if any(press.key == Keys.ControlC for press in presses):
        raise Interrupted(signal.SIGINT)
    if keyboard.closed:
        raise UsageError("the terminal is closed; nothing is changed")
    names = [KEY_NAMES.get(press.key, press.key) if isinstance(press.key, Keys) else press.key for press in presses]
    return [str(name) for name in names if not isinstance(name, Keys)]

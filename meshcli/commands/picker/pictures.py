"""The pictures of the picker: in the terminal's graphics protocol if it has one, else in block characters."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image as Pillow
from rich.console import RenderableType
from textual_image.renderable import HalfcellImage, Image, SixelImage, TGPImage, UnicodeImage

from meshcli.commands.picker.compass import CELL_ASPECT

SIDE, MARGIN = 320, 8  # pixels: of a view, and around the object; views have 320
MAX_ENLARGED = 2.0  # of a thumbnail beyond the scale that all views share; by choice
Kind = type[HalfcellImage] | type[SixelImage] | type[TGPImage] | type[UnicodeImage]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two exclusive


def pictures(files: Mapping[str, Path], colour: bool, graphics: bool = True) -> "tuple[PictureCache, PictureCache]":
    """Thumbnails and large pictures: in the terminal's graphics protocol if it has one, else half blocks.

    Thumbnails are cropped to the object of each; large pictures all alike, so that its size can be compared between
    views. Of the protocols, thumbnails use kitty's only. `graphics` off: half blocks for both. Without colour, pictures
    are shades of grey in block characters.
    """
    views = _ViewPictures(files)
    half = HalfcellImage if colour else UnicodeImage
    if not (colour and graphics) or Image is UnicodeImage:
        return PictureCache(views.cropped, half), PictureCache(views.alike, half)
    return PictureCache(views.cropped, TGPImage if Image is TGPImage else half), PictureCache(views.alike, Image)


class PictureCache:
    """Draws each picture once per size."""

    def __init__(self, view: Callable[[str, float], Pillow.Image], kind: Kind) -> None:
        self._view = view
        self._kind = kind
        self._drawn: dict[tuple[str, int, int], HalfcellImage | SixelImage | TGPImage | UnicodeImage] = {}

    def __call__(self, name: str, columns: int, rows: int) -> RenderableType:
        """The picture of a view in that many characters."""
        key = (name, columns, rows)
        if key not in self._drawn:
            self._drawn[key] = self._kind(self._view(name, columns * CELL_ASPECT / rows), columns, rows)
        return self._drawn[key]

    def close(self) -> None:
        """Free the pictures in the terminal's memory."""
        for picture in self._drawn.values():
            picture.cleanup()


class _ViewPictures:
    """Pictures over white, each cropped to its use. A picture that cannot be read is white."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._pictures = {name: _read(file) for name, file in files.items()}
        self._boxes = {name: picture.getchannel("A").getbbox() for name, picture in self._pictures.items()}
        self._reach = max((_reach(box) for box in self._boxes.values() if box), default=SIDE // 2)

    def alike(self, name: str, aspect: float) -> Pillow.Image:
        """The smallest centred rectangle of that width over height that holds the object in all views."""
        return self._crop(name, (SIDE // 2, SIDE // 2), self._reach, aspect)

    def cropped(self, name: str, aspect: float) -> Pillow.Image:
        """The smallest rectangle that holds the object in this view, enlarged at most MAX_ENLARGED times.

        So what is small beside the other views, an object seen from its thin end or a few specks, looks smaller.
        """
        left, top, right, bottom = self._boxes[name] or (0, 0, SIDE, SIDE)
        half = max((right - left) / 2.0 / aspect, (bottom - top) / 2.0, self._reach / MAX_ENLARGED)
        return self._crop(name, ((left + right) // 2, (top + bottom) // 2), half, aspect)

    def _crop(self, name: str, middle: tuple[int, int], half_height: float, aspect: float) -> Pillow.Image:
        tall = math.ceil(half_height) + MARGIN
        wide = round(tall * aspect)
        column, row = middle
        # Outside of the picture the crop is transparent.
        view = self._pictures[name].crop((column - wide, row - tall, column + wide, row + tall))
        white = Pillow.new("RGBA", view.size, "white")
        white.alpha_composite(view)
        return white.convert("RGB")


def _read(file: Path) -> Pillow.Image:
    with suppress(OSError), Pillow.open(file) as picture:
        return picture.convert("RGBA").resize((SIDE, SIDE))
    return Pillow.new("RGBA", (SIDE, SIDE))


def _reach(box: Box) -> int:
    """The largest distance of the object from the middle, in pixels along an axis."""
    left, top, right, bottom = box
    return max(SIDE // 2 - min(left, top), max(right, bottom) - SIDE // 2)

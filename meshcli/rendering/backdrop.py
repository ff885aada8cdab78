"""What is behind the object in a picture: a colour, a picture that covers the frame, or nothing."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from meshcli.arrays import Array
from meshcli.errors import UsageError
from meshcli.pictures.image import load_picture, over
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Tell, unheard
from meshcli.rendering.renderer import NO_NORMAL
from meshcli.settings import RenderPass
from meshcli.system.numba_kernel import kernel

HEX_COLOUR = re.compile("#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
WHITE = (255, 255, 255)
EMPTY = {"normals": (NO_NORMAL,) * 3, "depth": (0, 0, 0), "mask": (0, 0, 0)}  # behind passes that hold data
MAX_PIXELS = 100_000_000  # of a picture, as of a photo


@dataclass(frozen=True)
class Backdrop:
    """Made from the setting `render.background`."""

    colour: tuple[int, int, int] = WHITE
    picture: Pixels | None = field(default=None, compare=False)  # (H, W, 3) of any size
    transparent: bool = False  # stills, GIF and WebP
    typed: bool = False  # stills have it too

    def behind(self, kind: RenderPass, width: int, height: int) -> Pixels:
        """What a pass is drawn over in a frame of this size, (height, width, 3)."""
        if kind in EMPTY or self.picture is None:
            return np.full((height, width, 3), EMPTY.get(kind, self.colour), np.uint8)
        return _covering(self.picture, width, height)


def is_picture(text: str) -> bool:
    """Whether a background is the path of a picture. UsageError if it is no colour and looks like no path."""
    if text in ("", "transparent") or HEX_COLOUR.fullmatch(text) or text.lower() in ImageColor.colormap:
        return False
    if Path(text).exists() or "/" in text or Path(text).suffix:
        return True
    near = difflib.get_close_matches(text.lower(), [*ImageColor.colormap, "transparent"], 1)
    known = f"did you mean {near[0]}?" if near else "write a CSS name, #rrggbb, transparent, or the path of a picture"
    raise UsageError(f"--background {text} is no colour, and there is no such file; {known}")


def read_backdrop(text: str, side: int, tell: Tell = unheard) -> Backdrop:
    """The backdrop of frames of this size; InputError for a file that is missing, damaged or no picture."""
    if text in ("", "transparent"):
        return Backdrop(transparent=text != "")
    if is_picture(text):
        # Covering a square of this side takes more pixels of a long picture: four sides' worth, by choice.
        picture = over(load_picture(Path(text), MAX_PIXELS, 4 * side, tell, advice="shrink it"))
        return Backdrop(picture=picture, typed=True)
    red, green, blue = ImageColor.getrgb(text)[:3]
    return Backdrop((red, green, blue), typed=True)


def composite(pixels: Pixels, behind: Pixels) -> Pixels:
    """RGBA (H, W, 4) over RGB of the same size, in the 8-bit arithmetic of `pictures.image.over`."""
    result = np.empty(behind.shape, np.uint8)
    _composite(np.ascontiguousarray(pixels), np.ascontiguousarray(behind), result)
    return result


def _covering(picture: Pixels, width: int, height: int) -> Pixels:
    """A picture scaled until it covers a frame, and cut to it around its centre."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    across, down = width / scale, height / scale  # of the picture, in its pixels
    left, top = (picture.shape[1] - across) / 2.0, (picture.shape[0] - down) / 2.0
    box = (left, top, left + across, top + down)
    scaled = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(scaled).copy()


@kernel()
def _composite(pixels: Array, behind: Array, result: Array) -> None:
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            alpha = np.uint32(pixels[i, j, 3])
            for k in range(3):
                mixed = pixels[i, j, k] * alpha + behind[i, j, k] * (np.uint32(255) - alpha) + np.uint32(128)
                result[i, j, k] = (mixed + (mixed >> np.uint32(8))) >> np.uint32(8)

"""Animated GIF and WebP pictures by Pillow, frame by frame.

Until it is complete, a GIF keeps one byte for each pixel of each frame, and a WebP only what is encoded.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels

MAX_GIF_RATE = 50  # frames a second: browsers show frames of less than 20 ms as if they lasted 100
COLOURS = 255  # of a GIF; the index after them is transparent
OPAQUE = 128  # alpha of 255 from which a pixel of a GIF is visible
WEBP_QUALITY, WEBP_METHOD = 85, 2  # of 100; from 0, fast, to 6, small files


def gif_step(fps: int) -> int:
    """1 if a GIF can show every frame; 2, 3 ... where only every 2nd, 3rd ... one comes slowly enough."""
    return -(-fps // MAX_GIF_RATE)


def write_gif(path: Path, frames: Iterator[Pixels], count: int, fps: float, examples: Sequence[Pixels]) -> None:
    """Write `count` frames, which loop: RGB, or RGBA, whose alpha becomes all or nothing.

    The colours are chosen for `examples`, pictures like the frames. Frames last whole hundredths of a second, whose sum
    is right.
    """
    palette = _palette(examples)
    clear = {"transparency": COLOURS, "disposal": 2} if examples[0].shape[2] == 4 else {}
    indexed = (_indexed(frame, palette) for frame in frames)
    next(indexed).save(
        path, format="GIF", save_all=True, append_images=indexed, duration=_durations(count, fps, 10), loop=0,
        optimize=False, **clear,
    )  # fmt: skip


def write_webp(path: Path, frames: Iterator[Pixels], count: int, fps: float) -> None:
    """Write `count` frames, RGB or RGBA, which loop."""
    _Sequence(frames, count).save(
        path, format="WEBP", save_all=True, duration=_durations(count, fps, 1), loop=0, quality=WEBP_QUALITY,
        method=WEBP_METHOD,
    )  # fmt: skip


def _durations(count: int, fps: float, unit: int) -> list[int]:
    """How long each frame is shown in milliseconds, in multiples of a unit of them."""
    times = [round(1000.0 * frame / (unit * fps)) * unit for frame in range(count + 1)]
    return [after - before for before, after in pairwise(times)]


def _palette(examples: Sequence[Pixels]) -> Image.Image:
    """A picture with the palette of COLOURS colours that suits these pictures, seen as a whole."""
    rows = [(over(example) if example.shape[2] == 4 else example).reshape(-1, 3) for example in examples]
    seen = [row[example[..., 3].reshape(-1) >= OPAQUE] if example.shape[2] == 4 else row
            for row, example in zip(rows, examples, strict=True)]  # fmt: skip
    colours = np.concatenate(seen) if sum(map(len, seen)) else np.zeros((1, 3), np.uint8)
    return Image.fromarray(colours[None]).quantize(COLOURS, method=Image.Quantize.MEDIANCUT)


def _indexed(frame: Pixels, palette: Image.Image) -> Image.Image:
    """A frame in the colours of a palette; undithered, since noise that changes from frame to frame flickers."""
    picture = Image.fromarray(np.ascontiguousarray(frame[..., :3])).quantize(palette=palette, dither=Image.Dither.NONE)
    if frame.shape[2] == 4:
        clear = Image.fromarray(np.where(frame[..., 3] < OPAQUE, np.uint8(255), np.uint8(0)))
        picture.paste(COLOURS, mask=clear)
    return picture


class _Sequence(Image.Image):
    """Frames as one picture that Pillow's writers step through; each is fetched when it is its turn."""

    def __init__(self, frames: Iterator[Pixels], count: int) -> None:
        super().__init__()
        self.n_frames = count
        self._frames = frames
        self._position = -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Go on to the next frame; going back is no more than a wish, as at the end of a writer."""
        if frame <= self._position:
            return
        if frame >= self.n_frames:
            raise EOFError
        picture = Image.fromarray(np.ascontiguousarray(next(self._frames)))
        self.im, self._mode, self._size = picture.im, picture.mode, picture.size
        self._position = frame

    def tell(self) -> int:
        """The number of the frame that is shown."""
        return self._position

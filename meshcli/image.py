"""Pictures: read any file safely, frame the foreground, composite, resize, cut and join sheets.

A picture is (H, W, 4) uint8, sRGB, straight alpha, first row at the top. Where alpha is 0 the RGB is white, unless a
generator painted it. Blending works on sRGB values, as the networks were trained.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from meshcli.errors import InputError
from meshcli.view import Pixels

HAZE = 8  # of 255: alpha below this is a network's haze or a sloppy eraser, not the object
WHITE = np.uint8(255)
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L", "I;16N"}


@dataclass(frozen=True)
class Crop:
    """A rectangle in fractions of the picture it was cut from; it may reach outside. Fits `Camera.cropped`."""

    left: float
    top: float
    width: float
    height: float


def load_picture(path: Path, max_pixels: int = 100_000_000) -> Pixels:
    """Read a picture file, turned upright, in sRGB, as RGBA (H, W, 4).

    Raises InputError when the file is missing, no picture, damaged or larger than `max_pixels`.
    """
    try:
        with _no_bomb_check(), Image.open(path) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise InputError(
                    f"{path} has {width * height / 1e6:.0f} megapixels, more than {max_pixels / 1e6:.0f}; "
                    "shrink it or allow it with --max-pixels"
                )
            return np.asarray(_to_srgb(ImageOps.exif_transpose(picture))).copy()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a directory, not a picture") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture in a format that can be read (PNG, JPEG, WebP, TIFF)") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's readers raise for damaged files
        raise InputError(f"{path} is damaged or cannot be read: {error}") from error


def frame_foreground(pixels: Pixels, ratio: float, exact: bool = False) -> tuple[Pixels, Crop]:
    """Cut the object's box out and centre it on a square, so that its longer side takes up `ratio` of it.

    `exact` copies InstantMesh's arithmetic to the pixel: haze counts as object, the box loses its last row and column,
    the padding is transparent black. Without it, haze below alpha 8 is cleared and the padding is transparent white.
    """
    if not exact:
        pixels = np.where((pixels[..., 3:] < HAZE), np.array([255, 255, 255, 0], np.uint8), pixels)
    rows, columns = np.nonzero(pixels[..., 3].any(axis=1))[0], np.nonzero(pixels[..., 3].any(axis=0))[0]
    if len(rows) < 2 or len(columns) < 2:
        raise InputError("nothing is left of the object: its mask is empty")
    last = 0 if exact else 1
    object_box = pixels[rows[0] : rows[-1] + last, columns[0] : columns[-1] + last]
    height, width = object_box.shape[:2]
    square = max(height, width)
    side = int(square / ratio)
    margin = (side - square) // 2  # odd pixels go to the bottom and the right, in both steps
    top, left = margin + (square - height) // 2, margin + (square - width) // 2
    framed = np.zeros((side, side, 4), np.uint8)
    if not exact:
        framed[..., :3] = WHITE
    framed[top : top + height, left : left + width] = object_box
    full_height, full_width = pixels.shape[:2]
    crop = Crop(
        (int(columns[0]) - left) / full_width, (int(rows[0]) - top) / full_height, side / full_width, side / full_height
    )
    return framed, crop


def over(pixels: Pixels, background: int = 255) -> Pixels:
    """Composite (H, W, 4) over a grey: (H, W, 3), in the 8-bit arithmetic of Pillow's paste."""
    alpha = pixels[..., 3:].astype(np.uint16)
    mixed = pixels[..., :3] * alpha + background * (255 - alpha) + 128
    return ((mixed + (mixed >> 8)) >> 8).astype(np.uint8)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Bicubic with antialiasing on premultiplied colours; a picture (H, W, 4) or (H, W, 3) of this size comes back."""
    if pixels.shape[:2] == (height, width):
        return pixels
    values = pixels.astype(np.float32)
    if pixels.shape[2] == 3:
        return resize_floats(values, width, height).clip(0, 255).round().astype(np.uint8)
    values[..., :3] *= values[..., 3:] / 255.0
    values = resize_floats(values, width, height)
    alpha = values[..., 3:].round().clip(0, 255)
    colours = values[..., :3] * 255.0 / np.maximum(values[..., 3:], 0.5)
    colours = np.where(alpha > 0, colours.clip(0, 255), 255.0)
    return np.concatenate([colours, alpha], axis=-1).round().astype(np.uint8)


def resize_floats(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Bicubic with antialiasing, (H, W, C) to (height, width, C), no clamping.

    Pillow's filter on float channels gives the numbers of torch's bicubic interpolation with antialias=True.
    """
    channels = [
        Image.fromarray(np.ascontiguousarray(values[..., channel])).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(values.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def split_sheet(sheet: Pixels, rows: int = 3, columns: int = 2) -> list[Pixels]:
    """Cut a sheet of square views (RGB or RGBA), row by row."""
    height, width = sheet.shape[:2]
    if height % rows or width % columns or height // rows != width // columns:
        raise InputError(f"a sheet of {width} x {height} pixels is not {columns} x {rows} square views")
    tiles = rearrange(sheet, "(rows h) (cols w) c -> (rows cols) h w c", rows=rows, cols=columns)
    return [tile.copy() for tile in tiles]


def join_sheet(tiles: Sequence[Pixels], columns: int = 2) -> Pixels:
    """Lay views of one size out row by row; the last row is filled up with white."""
    empty = np.full_like(tiles[0], WHITE)
    missing = -len(tiles) % columns
    return rearrange(
        np.stack([*tiles, *[empty] * missing]), "(rows cols) h w c -> (rows h) (cols w) c", cols=columns
    ).copy()


def labelled_sheet(pictures: Sequence[Pixels], labels: Sequence[str], columns: int, size: int = 320) -> Pixels:
    """Pictures side by side on white with a line of text under each, RGB, to look at."""
    band = max(16, size // 14)
    tiles = []
    for picture, label in zip(pictures, labels, strict=True):
        height, width = picture.shape[:2]
        scale = size / max(height, width)
        small = resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
        tile = Image.new("RGB", (size, size + band), "white")
        rgb = over(small) if small.shape[2] == 4 else small
        tile.paste(Image.fromarray(rgb), ((size - rgb.shape[1]) // 2, (size - rgb.shape[0]) // 2))
        font = ImageFont.load_default(band * 0.7)
        ImageDraw.Draw(tile).text((size / 2, size + band / 2), label, fill="black", anchor="mm", font=font)
        tiles.append(np.asarray(tile))
    return join_sheet(tiles, columns)


def encode_png(pixels: Pixels) -> bytes:
    """Grey (H, W), RGB or RGBA as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Any of Pillow's modes, with or without a colour profile, as RGBA in sRGB."""
    if picture.mode in _SIXTEEN_BIT:  # Pillow's own conversion clips instead of scaling
        values = np.asarray(picture).astype(np.float64)
        picture = _keep_profile(Image.fromarray(np.rint(values / 257.0).clip(0, 255).astype(np.uint8)), picture)
    elif picture.mode == "F":
        values = np.asarray(picture).astype(np.float64)
        picture = Image.fromarray(
            np.rint(values * (255.0 if values.max() <= 1.0 else 1.0)).clip(0, 255).astype(np.uint8)
        )
    if picture.mode in ("P", "PA", "1", "La", "RGBa") or "transparency" in picture.info:
        picture = _keep_profile(picture.convert("RGBA"), picture)
    alpha = picture.getchannel("A") if "A" in picture.getbands() else None
    if alpha is not None:
        picture = _keep_profile(picture.convert(picture.mode.rstrip("Aa")), picture)
    rgb = _converted(picture).convert("RGB")
    if alpha is None:
        return rgb.convert("RGBA")
    rgb.putalpha(alpha)
    return rgb


def _converted(picture: Image.Image) -> Image.Image:
    """Through the embedded ICC profile; a profile that cannot be used is passed over, as browsers do."""
    data = picture.info.get("icc_profile")
    if not data or picture.mode not in ("RGB", "L", "CMYK", "LAB"):
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return picture
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if converted is None else converted


def _keep_profile(picture: Image.Image, source: Image.Image) -> Image.Image:
    if profile := source.info.get("icc_profile"):
        picture.info["icc_profile"] = profile
    return picture


@contextmanager
def _no_bomb_check() -> Iterator[None]:
    """Pillow's own limit on the number of pixels, set aside while ours, which the user can raise, is applied."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # corrupt EXIF, odd TIFF tags: nothing the user could act on
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit

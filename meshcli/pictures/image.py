"""Pictures: read any file safely, frame the foreground, composite, resize, cut and join sheets.

A picture is (H, W, 4) uint8, sRGB, straight alpha, first row at the top. Where alpha is 0 the RGB is white, unless a
generator painted it. Blending works on sRGB values, as the networks were trained.

What a file says about its values is heard: its colour profile, else PNG's sRGB chunk, else the exponent in its gAMA
chunk. Primaries in a cHRM chunk are taken for sRGB's.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw, ImageFont

from meshcli.errors import InputError
from meshcli.pictures.picture_file import frames, opened, orientation, reduce
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Tell, unheard

HAZE = 8  # of 255: alpha below this is a network's haze or a sloppy eraser, not the object
WHITE = np.uint8(255)
USUAL = 0.45455  # what PNG's gAMA says of sRGB, and of everything whose maker did not ask
BITS_PER_SAMPLE = 258  # TIFF tag
TURNS = {  # EXIF's orientations; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_STRAIGHT = ("L", "LA", "RGB", "RGBA", "CMYK", "LAB")  # modes that need no conversion before the colour profile


@dataclass(frozen=True)
class Crop:
    """A rectangle in fractions of the picture it was cut from; it may reach outside. Fits `Camera.cropped`."""

    left: float
    top: float
    width: float
    height: float


def load_picture(path: Path, max_pixels: int = 100_000_000, side: int = 0, tell: Tell = unheard) -> Pixels:
    """Read a picture file, turned upright, in sRGB, as RGBA (H, W, 4); the first one of several.

    `side` is the longer side that is needed: a larger picture is shrunk to it. Raises InputError when the file is
    missing, no picture, damaged or has more than `max_pixels` to be held at once, MissingError for HEIC without the
    package that reads it.
    """
    with opened(path) as picture:
        reduce(path, picture, max_pixels, side)
        if (count := frames(picture)) > 1:
            tell(f"{path} holds {count} pictures; the first one is taken")
        turn = TURNS.get(orientation(picture))
        picture.load()
    converted = _to_srgb(_shrunk(_eight_bit(picture), side))
    return np.array(converted if turn is None else converted.transpose(turn))


def frame_foreground(pixels: Pixels, ratio: float) -> tuple[Pixels, Crop]:
    """Cut the object's box out and centre it on a square, so that its longer side takes up `ratio` of it.

    Haze below alpha 8 is cleared and the padding is transparent white. InstantMesh's resize_foreground does the same
    but for this: haze counts as object, the box loses its last row and column, the padding is transparent black.
    """
    pixels = np.where((pixels[..., 3:] < HAZE), np.array([255, 255, 255, 0], np.uint8), pixels)
    rows, columns = np.nonzero(pixels[..., 3].any(axis=1))[0], np.nonzero(pixels[..., 3].any(axis=0))[0]
    if len(rows) < 2 or len(columns) < 2:
        raise InputError("nothing is left of the object: its mask is empty")
    object_box = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = object_box.shape[:2]
    square = max(height, width)
    side = int(square / ratio)
    margin = (side - square) // 2  # odd pixels go to the bottom and the right, in both steps
    top, left = margin + (square - height) // 2, margin + (square - width) // 2
    framed = np.zeros((side, side, 4), np.uint8)
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


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Any of Pillow's modes as L, LA, RGB, RGBA, CMYK or LAB, its colour profile kept."""
    if picture.mode in _SIXTEEN_BIT:
        eight = _scaled(picture)
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture), nan=0.0, posinf=0.0, neginf=0.0)
        top = 1.0 if values.max() <= 1.0 else max(255.0, float(values.max()))
        eight = Image.fromarray(np.rint(values / np.float32(top) * np.float32(255.0)).clip(0, 255).astype(np.uint8))
    elif picture.mode in _STRAIGHT and not ("transparency" in picture.info and picture.mode in ("L", "RGB")):
        return picture
    else:
        clear = picture.mode in ("P", "PA", "La", "RGBa") or "transparency" in picture.info
        eight = picture.convert("RGBA" if clear else "RGB")
    if profile := picture.info.get("icc_profile"):
        eight.info["icc_profile"] = profile
    return eight


def _scaled(picture: Image.Image) -> Image.Image:
    """Grey with more than eight bits, scaled: Pillow's own conversion clips it."""
    values = np.asarray(picture)
    bits = getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
    top = 4095 if bits == 12 else 65535
    if values.dtype.itemsize > 2:  # 32 bits, of which hardly ever all are used
        top = max(top, int(values.max()))
        shades = Image.fromarray(_shades(values / top, _gamma(picture)))
    else:
        shades = Image.fromarray(_shades(np.arange(65536) / top, _gamma(picture))[values])
    clear = picture.info.get("transparency")  # the one shade of a PNG that is not there
    if isinstance(clear, int):
        shades.putalpha(Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255))))
    return shades


def _gamma(picture: Image.Image) -> float:
    """The exponent that PNG's gAMA chunk says was put on the light; 0 where something else is known, or nothing."""
    gamma = picture.info.get("gamma", 0.0)
    if "srgb" in picture.info or picture.info.get("icc_profile") or abs(gamma - USUAL) < 0.005:
        return 0.0
    return float(gamma) if 0.1 <= gamma <= 4.0 else 0.0  # others are no curves that anything could have been seen by


def _shades(values: NDArray[np.float64], gamma: float) -> NDArray[np.uint8]:
    """Values from 0 to 1 in bytes; light to the power of `gamma` as sRGB (IEC 61966-2-1)."""
    if gamma:
        light = values.clip(0.0, 1.0) ** (1.0 / gamma)
        values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1.0 / 2.4) - 0.055)
    return np.rint(values * 255.0).clip(0, 255).astype(np.uint8)


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    """The same picture with this longer side, unless it is smaller or `side` is 0."""
    width, height = picture.size
    if not 0 < side < max(width, height):
        return picture
    scale = side / max(width, height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    return picture.resize(small, Image.Resampling.HAMMING)  # no ringing; alpha is multiplied in on the way


def _to_srgb(picture: Image.Image) -> Image.Image:
    """What `_eight_bit` gave, through its colour profile, as RGBA."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        profile = picture.info.get("icc_profile")
        picture = picture.convert(picture.mode.rstrip("A"))
        picture.info["icc_profile"] = profile
    rgb = _converted(picture).convert("RGB")
    if gamma := _gamma(picture):
        rgb = rgb.point(_shades(np.arange(256) / 255.0, gamma).tolist() * 3)
    rgb.putalpha(255 if alpha is None else alpha)
    return rgb


def _converted(picture: Image.Image) -> Image.Image:
    """Through the embedded ICC profile; a profile that cannot be used is passed over, as browsers do."""
    data = picture.info.get("icc_profile")
    if not data and picture.mode != "LAB":  # which has a meaning without a profile, too
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data) if data else ImageCms.createProfile("LAB"))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), picture.mode, "RGB")
        if picture.mode == "RGB" and _changes_nothing(transform):
            return picture
        return ImageCms.applyTransform(picture, transform) or picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture if picture.mode != "LAB" else picture.getchannel("L")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether this is sRGB under whatever name: then the numbers are kept to the bit."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    after = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return after is not None and int(np.abs(np.asarray(after).astype(int) - colours).max()) <= 2

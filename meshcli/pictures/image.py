"""Pictures: decode any file safely, frame the foreground, composite, resize, split and join sheets.

A picture is (H, W, 4) uint8, sRGB, straight alpha, first row at the top. Where alpha is 0 the RGB is white, unless a
generator made it. Blending works on sRGB values, as the networks were trained.

Colours are converted to sRGB by the file's colour profile, else PNG's sRGB chunk, else the exponent in its gAMA chunk.
Primaries in a cHRM chunk are ignored and taken as sRGB's.
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
from meshcli.pictures.picture_file import (
    MAX_PIXELS_ADVICE,
    decoded_orientation,
    frame_count,
    open_picture,
    reduce_decoding,
)
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Tell, unheard

# Of 255: alpha below this is a network's haze or the trace of an eraser, not the object. By choice: 3 % of opacity is
# hardly visible, and haze that counts as object would decide how a photo is framed.
HAZE_ALPHA = 8
WHITE = np.uint8(255)
SRGB_GAMMA = 0.45455  # 1 / 2.2, PNG's gAMA of sRGB; also the default of programs that know nothing of gamma
GAMMA_TOLERANCE = 0.005  # a gAMA this near to sRGB's is sRGB's, by choice: programs round to 0.45 or 0.4545
PLAUSIBLE_GAMMA = (0.1, 4.0)  # a gAMA outside is no curve that anything could have been displayed with
BITS_PER_SAMPLE_TAG = 258  # TIFF
UPRIGHT_TRANSPOSES = {  # EXIF orientation -> what turns it upright; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MAX_JPEG_SIDE = 65_500  # pixels: libjpeg's limit
DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "LAB")  # modes that need no conversion before the colour profile


@dataclass(frozen=True)
class Crop:
    """A rectangle in fractions of the picture it was cut from; it may reach outside. Fits `Camera.cropped`."""

    left: float
    top: float
    width: float
    height: float


def load_picture(
    path: Path,
    max_pixels: int = 100_000_000,
    side: int = 0,
    tell: Tell = unheard,
    data: bytes | None = None,
    advice: str = MAX_PIXELS_ADVICE,
) -> Pixels:
    """Decode a picture file, turned upright, in sRGB, as RGBA (H, W, 4); the first frame of several.

    `side` is the longer side that is needed: a larger picture is shrunk to it. `data` holds the file's bytes if they
    have been read already. Raises InputError when the file is missing, no picture, damaged or has more than
    `max_pixels` to be held at once, MissingError for HEIC without the package that reads it.
    """
    with open_picture(path, data) as picture:
        reduce_decoding(path, picture, max_pixels, side, advice)
        if (count := frame_count(picture)) > 1:
            tell(f"{path} holds {count} pictures; the first one is taken")
        turn = UPRIGHT_TRANSPOSES.get(decoded_orientation(picture))
        picture.load()
    converted = _to_srgb(_shrink(_to_eight_bit(picture), side))
    return np.array(converted if turn is None else converted.transpose(turn))


def frame_foreground(pixels: Pixels, ratio: float) -> tuple[Pixels, Crop]:
    """Cut out the object's bounding box and centre it on a square whose side is the box's longer side / `ratio`.

    Alpha below HAZE_ALPHA is cleared and the padding is transparent white. InstantMesh's resize_foreground differs in
    three points: haze counts as object, the box loses its last row and column, the padding is transparent black.
    Returns the square (side, side, 4) and its rectangle; InputError when the mask is empty.
    """
    pixels = np.where((pixels[..., 3:] < HAZE_ALPHA), np.array([255, 255, 255, 0], np.uint8), pixels)
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
    """Composite (H, W, 4) over a grey background: (H, W, 3), in the 8-bit arithmetic of Pillow's paste."""
    alpha = pixels[..., 3:].astype(np.uint16)
    mixed = pixels[..., :3] * alpha + background * (255 - alpha) + 128
    return ((mixed + (mixed >> 8)) >> 8).astype(np.uint8)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize (H, W, 4) or (H, W, 3), bicubic with antialiasing on premultiplied colours; no change at equal size."""
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
    """Resize (H, W, C) to (height, width, C), bicubic with antialiasing, not clamped.

    Pillow's filter on float channels equals torch's bicubic interpolation with antialias=True.
    """
    channels = [
        Image.fromarray(np.ascontiguousarray(values[..., channel])).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(values.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def split_sheet(sheet: Pixels, rows: int = 3, columns: int = 2) -> list[Pixels]:
    """Split a sheet of square views (RGB or RGBA), row by row; InputError when the views are not square."""
    height, width = sheet.shape[:2]
    if height % rows or width % columns or height // rows != width // columns:
        raise InputError(f"a sheet of {width} x {height} pixels is not {columns} x {rows} square views")
    tiles = rearrange(sheet, "(rows h) (cols w) c -> (rows cols) h w c", rows=rows, cols=columns)
    return [tile.copy() for tile in tiles]


def join_sheet(tiles: Sequence[Pixels], columns: int = 2) -> Pixels:
    """Join views of one size row by row; the last row is padded with white."""
    empty = np.full_like(tiles[0], WHITE)
    missing = -len(tiles) % columns
    return rearrange(
        np.stack([*tiles, *[empty] * missing]), "(rows cols) h w c -> (rows h) (cols w) c", cols=columns
    ).copy()


def labelled_sheet(pictures: Sequence[Pixels], labels: Sequence[str], columns: int, size: int = 320) -> Pixels:
    """A contact sheet: pictures on white in tiles of `size` pixels with a label under each, RGB."""
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
    """Encode grey (H, W), RGB or RGBA as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode RGB (H, W, 3) as a JPEG file with unreduced colour channels; `quality` is 1 to 100."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
    return buffer.getvalue()


def encode_texture(pixels: Pixels, jpeg_quality: int | None) -> tuple[str, bytes]:
    """A file's ending and contents: `jpg` of this quality, 1 to 100, or `png`; InputError for too long a side."""
    if jpeg_quality is None:
        return "png", encode_png(pixels)
    if (side := max(pixels.shape[:2])) > MAX_JPEG_SIDE:
        raise InputError(f"a JPEG has at most {MAX_JPEG_SIDE} pixels a side, and the texture has {side}")
    return "jpg", encode_jpeg(pixels, jpeg_quality)


def encode_webp(pixels: Pixels, quality: int, effort: int = 6) -> bytes:
    """Encode RGB or RGBA (H, W, 3 or 4) as a WebP file with loss.

    `quality` is 1 to 100, `effort` 0 to 6: more makes smaller files in more time. No side is over 16383 pixels.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=quality, method=effort)
    return buffer.getvalue()


def reduce_picture(pixels: Pixels, side: int) -> Pixels:
    """The picture with its longer side at most `side`, by the mean of the pixels: unchanged where it is small."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1.0:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _to_eight_bit(picture: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to L, LA, RGB, RGBA, CMYK or LAB and keep the colour profile."""
    if picture.mode in DEEP_GREY_MODES:
        eight = _deep_grey_to_eight_bit(picture)
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture), nan=0.0, posinf=0.0, neginf=0.0)
        top = 1.0 if values.max() <= 1.0 else max(255.0, float(values.max()))
        eight = Image.fromarray(np.rint(values / np.float32(top) * np.float32(255.0)).clip(0, 255).astype(np.uint8))
    elif picture.mode in PLAIN_MODES and not ("transparency" in picture.info and picture.mode in ("L", "RGB")):
        return picture
    else:
        clear = picture.mode in ("P", "PA", "La", "RGBa") or "transparency" in picture.info
        eight = picture.convert("RGBA" if clear else "RGB")
    if profile := picture.info.get("icc_profile"):
        eight.info["icc_profile"] = profile
    return eight


def _deep_grey_to_eight_bit(picture: Image.Image) -> Image.Image:
    """Scale grey of more than eight bits: Pillow's own conversion clips it."""
    values = np.asarray(picture)
    bits = getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE_TAG, (16,))[0]
    top = 4095 if bits == 12 else 65535
    if values.dtype.itemsize > 2:  # 32 bits, whose full range is hardly ever used
        top = max(top, int(values.max()))
        shades = Image.fromarray(_to_srgb_bytes(values / top, _encoding_gamma(picture)))
    else:
        shades = Image.fromarray(_to_srgb_bytes(np.arange(65536) / top, _encoding_gamma(picture))[values])
    clear = picture.info.get("transparency")  # the one grey level of a PNG that is transparent
    if isinstance(clear, int):
        shades.putalpha(Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255))))
    return shades


def _encoding_gamma(picture: Image.Image) -> float:
    """The exponent of PNG's gAMA chunk, from linear light to values; 0 if there is none or another rule applies."""
    gamma = picture.info.get("gamma", 0.0)
    if "srgb" in picture.info or picture.info.get("icc_profile") or abs(gamma - SRGB_GAMMA) < GAMMA_TOLERANCE:
        return 0.0
    return float(gamma) if PLAUSIBLE_GAMMA[0] <= gamma <= PLAUSIBLE_GAMMA[1] else 0.0


def _to_srgb_bytes(values: NDArray[np.float64], gamma: float) -> NDArray[np.uint8]:
    """Values from 0 to 1 as bytes; with a `gamma`, values are linear light to this power and become sRGB.

    The sRGB curve is that of IEC 61966-2-1.
    """
    if gamma:
        light = values.clip(0.0, 1.0) ** (1.0 / gamma)
        values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1.0 / 2.4) - 0.055)
    return np.rint(values * 255.0).clip(0, 255).astype(np.uint8)


def _shrink(picture: Image.Image, side: int) -> Image.Image:
    """Shrink a picture to this longer side; one that is not larger, or any if `side` is 0, stays as it is."""
    width, height = picture.size
    if not 0 < side < max(width, height):
        return picture
    scale = side / max(width, height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    return picture.resize(small, Image.Resampling.HAMMING)  # no ringing; Pillow premultiplies alpha


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Convert the result of `_to_eight_bit` to sRGB, as RGBA."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        profile = picture.info.get("icc_profile")
        picture = picture.convert(picture.mode.rstrip("A"))
        picture.info["icc_profile"] = profile
    rgb = _apply_profile(picture).convert("RGB")
    if gamma := _encoding_gamma(picture):
        rgb = rgb.point(_to_srgb_bytes(np.arange(256) / 255.0, gamma).tolist() * 3)
    rgb.putalpha(255 if alpha is None else alpha)
    return rgb


def _apply_profile(picture: Image.Image) -> Image.Image:
    """Convert by the embedded ICC profile; one that cannot be used is ignored, as browsers do."""
    data = picture.info.get("icc_profile")
    if not data and picture.mode != "LAB":  # LAB is defined without a profile
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data) if data else ImageCms.createProfile("LAB"))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), picture.mode, "RGB")
        if picture.mode == "RGB" and _is_srgb(transform):
            return picture
        return ImageCms.applyTransform(picture, transform) or picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture if picture.mode != "LAB" else picture.getchannel("L")


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under whatever name (within 2 of 255): then the values are kept to the bit."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    after = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return after is not None and int(np.abs(np.asarray(after).astype(int) - colours).max()) <= 2

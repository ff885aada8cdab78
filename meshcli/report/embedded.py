"""Files as part of a page: small pictures, and anything else as it is, in data URIs."""

import base64
from pathlib import Path

from meshcli.pictures.image import encode_webp, load_picture, resize
from meshcli.pictures.pixels import Pixels

WEBP_QUALITY, WEBP_EFFORT = 82, 4


def picture_uri(path: Path, longest: int, max_pixels: int) -> str:
    """A picture, reduced to this many pixels along its longer side, as WebP; InputError where it cannot be read.

    It is decoded and encoded again: what a file holds besides its pixels does not reach the page.
    """
    return pixels_uri(load_picture(path, max_pixels), longest)


def pixels_uri(pixels: Pixels, longest: int) -> str:
    """Pixels (H, W, 3 or 4), reduced to this many along the longer side, as WebP."""
    return data_uri(small_webp(pixels, longest), "image/webp")


def small_webp(pixels: Pixels, longest: int) -> bytes:
    """Pixels (H, W, 3 or 4), reduced to this many along the longer side, as the bytes of a WebP file."""
    height, width = pixels.shape[:2]
    factor = min(1.0, longest / max(height, width))
    if factor < 1.0:
        pixels = resize(pixels, max(1, round(width * factor)), max(1, round(height * factor)))
    return encode_webp(pixels, WEBP_QUALITY, WEBP_EFFORT)


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as a URI that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

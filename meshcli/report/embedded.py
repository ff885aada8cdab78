"""Files as part of a page: small pictures, and anything else as it is, in data URIs."""

import base64
import io
from pathlib import Path

from PIL import Image

from meshcli.pictures.image import load_picture, resize
from meshcli.pictures.pixels import Pixels

WEBP_QUALITY = 82


def picture_uri(path: Path, longest: int, max_pixels: int) -> str:
    """A picture, reduced to this many pixels along its longer side, as WebP; InputError where it cannot be read.

    It is decoded and encoded again: what a file holds besides its pixels does not reach the page.
    """
    return pixels_uri(load_picture(path, max_pixels), longest)


def pixels_uri(pixels: Pixels, longest: int) -> str:
    """Pixels (H, W, 3 or 4), reduced to this many along the longer side, as WebP."""
    return data_uri(encode_webp(pixels, longest), "image/webp")


def encode_webp(pixels: Pixels, longest: int) -> bytes:
    """Pixels (H, W, 3 or 4), reduced to this many along the longer side, as the bytes of a WebP file."""
    height, width = pixels.shape[:2]
    factor = min(1.0, longest / max(height, width))
    if factor < 1.0:
        pixels = resize(pixels, max(1, round(width * factor)), max(1, round(height * factor)))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "webp", quality=WEBP_QUALITY, method=4)
    return file.getvalue()


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as a URI that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

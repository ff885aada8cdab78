"""Open a picture file, whatever is in it, or say in one line why that cannot be. Light: Pillow is loaded on the way.

Everything that Pillow reads, and HEIC where the package pillow-heif is installed.
"""

import logging
import math
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from meshcli.errors import InputError, MeshcliError, MissingError

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # EXIF tag
ON_ITS_SIDE = (5, 6, 7, 8)  # its values for pictures whose width and height change places
MIRRORED = (2, 4, 5, 7)  # for pictures in which left and right change places, before they are turned by
QUARTERS = {3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}  # clockwise
TURNED = ("TIFF", "HEIF")  # formats whose readers turn the picture themselves
HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}  # ISO 23008-12
ONE_PICTURE = ("MPO", "PSD")  # formats whose further pictures are previews or layers of the first
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def opened(path: Path) -> "Iterator[Image]":
    """A picture whose header is read; what its reader stumbles over, here or in the `with`, is an InputError.

    MissingError for a HEIC file without the package that reads it. Pillow's own limit on the number of pixels does not
    apply: see `reduce`.
    """
    check_file(path)
    with _said(path), _pillow_unheard(), _open(path) as picture:
        yield picture


def check_file(path: Path) -> None:
    """InputError for what is no file: reading a pipe or a device could wait for ever."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is {KINDS.get(stat.S_IFMT(status.st_mode), 'no file')}, not a picture")
    if not status.st_size:
        raise InputError(f"{path} is empty")


def check_picture(path: Path, max_pixels: int) -> None:
    """Read all of a picture and forget it; InputError when it is damaged, or larger than it may be."""
    with opened(path) as picture:
        reduce(path, picture, max_pixels, 1)  # a JPEG need not be computed at full size to see whether it is whole
        picture.load()


def reduce(path: Path, picture: "Image", max_pixels: int, side: int = 0) -> None:
    """Have a JPEG read at a half, a quarter, an eighth of its size when its longer side stays `side` pixels or more.

    InputError when there are more pixels to hold than the user allows: small files can hold gigabytes. What is read
    reduced takes so much less, unless it is progressive: then its coefficients are held at full size, half as large as
    the pixels of another picture.
    """
    width, height = picture.size
    whole = width * height
    if side:
        scale = side / max(width, height)
        picture.draft(None, (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale))))
    held = picture.size[0] * picture.size[1]
    if picture.size != (width, height) and picture.info.get("progressive"):
        held = max(held, whole // 2)
    if held > max_pixels:
        raise InputError(
            f"{path} has {whole / 1e6:.0f} megapixels, more than {max_pixels / 1e6:.0f}; "
            "shrink it or allow it with --max-pixels"
        )


def orientation(picture: "Image") -> int:
    """How the picture must be turned to stand upright, as EXIF counts it; 1, not at all, where EXIF is damaged."""
    return 1 if picture.format in TURNED else stored_orientation(picture)


def stored_orientation(picture: "Image") -> int:
    """The same, before a reader that turns the picture itself has done so; to be asked before the pixels are read."""
    with suppress(Exception):  # of every kind, from the parsers of EXIF and XMP
        tag = int(picture.getexif().get(ORIENTATION, 1))
        return tag if 1 <= tag <= 8 else 1
    return 1


def frames(picture: "Image") -> int:
    """How many pictures the file holds: of an animation, or pages."""
    if picture.format in ONE_PICTURE:
        return 1
    with suppress(Exception):  # damaged behind the first one
        return int(getattr(picture, "n_frames", 1))
    return 1


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Whatever Pillow's readers raise, as one line; they have no exception in common."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except (MeshcliError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture in a format that can be read (PNG, JPEG, WebP, TIFF ...)") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{path} is damaged or cannot be read: {reason}") from error


@contextmanager
def _pillow_unheard() -> Iterator[None]:
    """Without Pillow's own limit on pixels, and its warnings: corrupt EXIF, odd tags, nothing a user could act on."""
    from PIL import Image

    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _open(path: Path) -> "Image":
    from PIL import Image, UnidentifiedImageError

    with path.open("rb") as file:
        start = file.read(12)
    heif = start[4:8] == b"ftyp" and start[8:12] in HEIF
    if heif and (there := find_spec("pillow_heif") is not None):
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        return Image.open(path)
    except UnidentifiedImageError as error:
        if heif and not there:
            raise MissingError(
                f"{path} is a HEIC picture: `pip install pillow-heif` makes them readable, or save it as JPEG"
            ) from error
        raise

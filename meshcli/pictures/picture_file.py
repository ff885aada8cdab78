"""Open a picture file, whatever is in it, or say in one line why that is impossible. Light: Pillow is imported late.

Everything that Pillow reads, and HEIC where the package pillow-heif is installed.
"""

import io
import logging
import math
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from meshcli.errors import InputError, MeshcliError, MissingError

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

ORIENTATION_TAG = 0x0112  # EXIF; its values 1 to 8 are listed in EXIF 2.32, section 4.6.4
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
MIRRORED = (2, 4, 5, 7)  # orientations that exchange left and right, before the quarter turns below
CLOCKWISE_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}  # orientation -> turns that make the picture upright
SELF_ORIENTING_FORMATS = ("TIFF", "HEIF")  # Pillow's readers of these apply the orientation while decoding
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}  # ISO 23008-12
SINGLE_PICTURE_FORMATS = ("MPO", "PSD")  # their further frames are previews or layers of the first
PNG_METADATA_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # that may hold EXIF or XMP
MAX_PIXELS_ADVICE = "shrink it or allow it with --max-pixels"
FILE_TYPES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def open_picture(path: Path, data: bytes | None = None) -> "Iterator[Image]":
    """A picture whose header has been read, from the file or from `data`, the bytes that the file holds.

    Any error of Pillow, here or in the body of the `with`, becomes an InputError; MissingError for a HEIC file without
    the package that reads it. Pillow's own limit on the number of pixels does not apply: see `reduce_decoding`.
    """
    with open_file(path) if data is None else io.BytesIO(data) as file, decoding(path, file) as picture:
        yield picture


def open_file(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; InputError for anything else, and where it cannot be read."""
    check_regular_file(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def decoding(path: Path, file: BinaryIO) -> "Iterator[Image]":
    """`open_picture` for a file that is open already, at its start; `path` is its name in messages."""
    with _as_input_errors(path), _quiet_pillow(), _identify(path, file) as picture:
        yield picture


def check_regular_file(path: Path) -> None:
    """InputError for anything but a file with content: reading a pipe or a device could block for ever."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is {FILE_TYPES.get(stat.S_IFMT(status.st_mode), 'no file')}, not a picture")
    if not status.st_size:
        raise InputError(f"{path} is empty")


def reduce_decoding(
    path: Path, picture: "Image", max_pixels: int, side: int = 0, advice: str = MAX_PIXELS_ADVICE
) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size as long as its longer side keeps at least `side` pixels.

    InputError when decoding would hold more than `max_pixels`: small files can expand to gigabytes. A reduced JPEG
    holds that much less, unless it is progressive: then its coefficients are held at full size, which takes half as
    much as the pixels of another picture.
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
        raise InputError(f"{path} has {whole / 1e6:.0f} megapixels, more than {max_pixels / 1e6:.0f}; {advice}")


def decoded_orientation(picture: "Image") -> int:
    """The EXIF orientation (1 to 8) of the decoded pixels, 1 if EXIF is damaged; ask before they are decoded."""
    return 1 if picture.format in SELF_ORIENTING_FORMATS else stored_orientation(picture)


def stored_orientation(picture: "Image") -> int:
    """The same of the pixels as the file stores them."""
    with suppress(Exception):  # the parsers of EXIF and XMP raise all kinds
        tag = int(read_exif(picture).get(ORIENTATION_TAG, 1))
        return tag if 1 <= tag <= 8 else 1
    return 1


def read_exif(picture: "Image") -> "Exif":
    """The EXIF data of an opened picture, without decoding its pixels unless the data lie behind them.

    Pillow's own `getexif` decodes every PNG that has no EXIF chunk before its pixels.
    """
    from PIL import Image

    if picture.format == "PNG" and picture.fp and not _has_trailing_metadata(picture.fp):  # type: ignore[attr-defined]
        return Image.Image.getexif(picture)
    return picture.getexif()


def frame_count(picture: "Image") -> int:
    """The number of pictures in the file: of an animation, or pages."""
    if picture.format in SINGLE_PICTURE_FORMATS:
        return 1
    with suppress(Exception):  # damaged after the first one
        return int(getattr(picture, "n_frames", 1))
    return 1


def _has_trailing_metadata(file: BinaryIO) -> bool:
    """Whether chunks of a PNG that may hold EXIF follow its pixels; the position in the file is kept."""
    position = file.tell()
    try:
        file.seek(8)  # the signature
        pixels_seen = False
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if pixels_seen and kind in PNG_METADATA_CHUNKS:
                return True
            pixels_seen = pixels_seen or kind == b"IDAT"
            file.seek(length + 4, io.SEEK_CUR)  # the content and its checksum
        return False
    finally:
        file.seek(position)


@contextmanager
def _as_input_errors(path: Path) -> Iterator[None]:
    """Whatever Pillow's readers raise, as one line; they have no base class in common."""
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
def _quiet_pillow() -> Iterator[None]:
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


def _identify(path: Path, file: BinaryIO) -> "Image":
    """Let Pillow read the header; MissingError for a HEIC file without the package that reads it."""
    from PIL import Image, UnidentifiedImageError

    start = file.read(12)
    file.seek(0)
    is_heif = start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS
    has_reader = is_heif and find_spec("pillow_heif") is not None
    if has_reader:
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        if is_heif and not has_reader:
            raise MissingError(
                f"{path} is a HEIC picture: `pip install pillow-heif` makes them readable, or save it as JPEG"
            ) from error
        raise

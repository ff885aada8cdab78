"""A photo as it was handed in: its hash and what its header says. Light: no numpy.

Validating a photo opens its file once: the header is read, the bytes are hashed, the pixels are decoded to see whether
they are whole, and forgotten. Only the path is kept, so that hundreds of photos take no memory. Whoever needs the bytes
later reads them with `SourcePhoto.read`, which compares them with the hash.
"""

import hashlib
import io
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from meshcli.errors import InputError
from meshcli.pictures.picture_file import (
    SIDEWAYS,
    decoded_orientation,
    decoding,
    open_file,
    open_picture,
    read_exif,
    reduce_decoding,
    stored_orientation,
)
from meshcli.system.digests import bytes_digest, file_digest

if TYPE_CHECKING:
    from PIL.Image import Image

EXIF_IFD = 0x8769  # the tag of the main image directory that leads to the tags below
FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x920A, 0xA405  # millimetres
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003  # of the picture as the camera took it
FOCAL_PLANE_X, FOCAL_PLANE_Y, FOCAL_PLANE_UNIT = 0xA20E, 0xA20F, 0xA210  # pixels of the sensor per unit
LENS_TAGS = (
    *(FOCAL_LENGTH, FOCAL_LENGTH_35MM, PIXEL_WIDTH, PIXEL_HEIGHT),
    *(FOCAL_PLANE_X, FOCAL_PLANE_Y, FOCAL_PLANE_UNIT),
)


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says before its pixels are decoded."""

    size: tuple[int, int]  # width and height in pixels, turned upright
    orientation: int  # EXIF's, 1 to 8, of the pixels as the file stores them; 1 is upright
    lens: Mapping[int, object]  # the LENS_TAGS that it has; empty where EXIF is absent or damaged

    def size_before(self, orientation: int) -> tuple[int, int]:
        """Width and height of a picture that an EXIF orientation turns into this one."""
        width, height = self.size
        return (height, width) if orientation in SIDEWAYS else (width, height)


@dataclass(frozen=True)
class SourcePhoto:
    """A photo file. Hash and header are read once, when they are first needed or all together by `validated`."""

    path: Path

    @classmethod
    def validated(cls, path: Path, max_pixels: int, known: Container[str] = ()) -> Self:
        """Open a photo once and read all of it; its pixels are not decoded if its sha256 is among the `known`.

        Raises InputError when it is missing, no picture, damaged, or when decoding it would hold more than `max_pixels`
        pixels, and MissingError for HEIC without the package that reads it.
        """
        photo = cls(path)
        # The header comes first: what is no picture at all, perhaps of many gigabytes, is not hashed.
        with open_file(path) as file, decoding(path, file) as picture:
            photo.__dict__["sha256"] = sha256 = _hash_open_file(path, file)
            size = picture.size
            if sha256 not in known:
                reduce_decoding(path, picture, max_pixels, 1)  # a whole JPEG is known as such at an eighth of its size
            photo.__dict__["header"] = _header(picture, size)
            if sha256 not in known:
                picture.load()
        return photo

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes, in hexadecimal; InputError when it cannot be read."""
        if self.path.is_fifo():  # reading it would block, and it can be read only once
            raise InputError(f"{self.path} is not a file")
        try:
            return file_digest(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

    @cached_property
    def header(self) -> PictureHeader:
        """Size, orientation and lens; InputError when the file is no picture."""
        with open_picture(self.path) as picture:
            return _header(picture, picture.size)

    def read(self) -> bytes:
        """The bytes of the file; InputError when they are not those that were hashed."""
        data = self.path.read_bytes() if self.path.is_file() else b""
        if bytes_digest(data) != self.sha256:
            raise InputError(f"{self.path} is being changed at this moment; type the command again")
        return data


def _header(picture: "Image", stored_size: tuple[int, int]) -> PictureHeader:
    width, height = stored_size
    lens: dict[int, object] = {}
    with suppress(Exception):  # damaged EXIF makes Pillow raise all kinds
        tags = read_exif(picture).get_ifd(EXIF_IFD)
        lens = {tag: tags[tag] for tag in LENS_TAGS if tag in tags}
    sideways = decoded_orientation(picture) in SIDEWAYS
    return PictureHeader((height, width) if sideways else (width, height), stored_orientation(picture), lens)


def _hash_open_file(path: Path, file: io.BufferedReader) -> str:
    """The sha256 of a whole file; its reader, who is in the middle of it, goes on from there."""
    position = file.tell()
    try:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        file.seek(position)

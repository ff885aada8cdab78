"""COLMAP's cameras and images, as text or binary files. Light: no numpy.

Both hold the same (colmap.github.io/format.html). Binary numbers are little-endian and not padded: a file begins with
the number of its records (uint64). A camera is its number and that of its model (int32 each), width and height (uint64
each) and the model's parameters (double each). An image is its number (int32), the quaternion and the translation of
world_to_camera (7 doubles), the number of its camera (int32), its name up to a zero byte, and the number of its points
(uint64), each of which takes 24 bytes.
"""

import math
import os
import reprlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from meshcli.errors import InputError
from meshcli.system.text_files import read_text

TEXT_FILES = ("cameras.txt", "images.txt")
BINARY_FILES = ("cameras.bin", "images.bin")
COLMAP_FILES = (*TEXT_FILES, *BINARY_FILES)
COLMAP_TABLES = tuple(  # all that COLMAP writes into a model's folder
    f"{name}.{ending}" for ending in ("txt", "bin") for name in ("cameras", "images", "points3D", "frames", "rigs")
)
# The number of focal lengths by camera model, COLMAP's names and nerfstudio's; other models are no pinhole cameras.
FOCAL_LENGTHS = {
    "SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2, "PERSPECTIVE": 2,
}  # fmt: skip
# Names of the models by their numbers in binary files, and how many parameters those have that can be used.
BINARY_MODELS = (
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV",
    "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE",
)  # fmt: skip
PARAMETERS = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "FULL_OPENCV": 12}
MAX_NAME = 4096  # bytes of an image's name; the longest path that Linux allows
COUNT = struct.Struct("<Q")
CAMERA = struct.Struct("<iiQQ")
IMAGE = struct.Struct("<i7di")
POINT_BYTES = 24  # two doubles and an int64


@dataclass(frozen=True)
class ColmapCamera:
    """A lens that images share."""

    where: str  # file and place, for messages
    key: str  # by which images name it
    model: str
    size: tuple[float, float]  # width and height in pixels
    parameters: tuple[float, ...]  # pixels: one or two focal lengths, the principal point; then the distortion


@dataclass(frozen=True)
class ColmapImage:
    """A picture with its pose."""

    where: str  # file and place, for messages
    quaternion: Sequence[float]  # of world_to_camera: w, x, y, z
    shift: Sequence[float]  # of world_to_camera
    camera: str  # the camera's key
    name: str


def focal_count(where: str, model: str) -> int:
    """The number of focal lengths of a camera model; InputError if it is not known to be a pinhole camera."""
    if model.upper() not in FOCAL_LENGTHS:
        raise InputError(
            f"{where}: the camera model {reprlib.repr(model)} cannot be used; undistort the pictures into PINHOLE first"
        )
    return FOCAL_LENGTHS[model.upper()]


def find_colmap(folder: Path, names: Sequence[str] = COLMAP_FILES) -> tuple[Path, Path] | None:
    """The files of cameras and images in a folder: the binary ones, as COLMAP itself does, before the text; or None."""
    for pair in (BINARY_FILES, TEXT_FILES):
        files = folder / pair[0], folder / pair[1]
        if set(pair) <= set(names) and all(each.is_file() for each in files):
            return files
    return None


def read_colmap_files(cameras: Path, images: Path) -> tuple[list[ColmapCamera], Iterator[ColmapImage]]:
    """What the two files hold, text or binary by their names; InputError says what is wrong and where."""
    if cameras.name in BINARY_FILES:
        return list(_binary_cameras(cameras)), _binary_images(images)
    return list(_text_cameras(cameras)), _text_images(images)


def _text_cameras(path: Path) -> Iterator[ColmapCamera]:
    for where, text in _data_lines(path):
        words = text.split()
        model = words[1] if len(words) > 1 else ""
        stated = max(len(words), 6 + focal_count(where, model))
        numbers = [_number_at(where, words, index) for index in range(2, stated)]
        yield ColmapCamera(where, words[0], model, (numbers[0], numbers[1]), tuple(numbers[2:]))


def _text_images(path: Path) -> Iterator[ColmapImage]:
    for where, text in _data_lines(path):
        words = text.split()
        if _is_points_line(words):
            continue
        if len(words) < 10:
            raise InputError(f"{where} is no image with a camera of cameras.txt")
        numbers = [_number_at(where, words, index) for index in range(1, 8)]
        name = " ".join(text.split(maxsplit=9)[9:])  # it may hold spaces
        yield ColmapImage(where, numbers[:4], numbers[4:], words[8], name)


def _is_points_line(words: Sequence[str]) -> bool:
    """Whether a line of images.txt holds an image's points, triples of numbers; the image's own line ends with a name.

    Points follow each image, or an empty line does where there are none; some programs leave out both, some add more.
    """
    return len(words) % 3 == 0 and all(map(_is_number, words[:12]))


def _is_number(word: str) -> bool:
    with suppress(ValueError):
        float(word)
        return True
    return False


def _data_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a text file that are neither empty nor a comment, with file and line number."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}: line {number}", line.strip()


def _number_at(where: str, words: Sequence[str], index: int) -> float:
    try:
        value = float(words[index])
    except (ValueError, IndexError) as error:
        raise InputError(f"{where} has no number at place {index + 1}") from error
    return _finite(where, value)


def _finite(where: str, value: float) -> float:
    if not math.isfinite(value):
        raise InputError(f"{where} holds a number that is not finite")
    return value


def _binary_cameras(path: Path) -> Iterator[ColmapCamera]:
    with _BinaryFile(path) as file:
        for index in range(file.count("cameras", CAMERA.size)):
            where = f"{path}: camera {index + 1}"
            key, number, width, height = file.unpack(CAMERA)
            model = BINARY_MODELS[number] if 0 <= number < len(BINARY_MODELS) else f"number {number}"
            focal_count(where, model)
            numbers = file.unpack(struct.Struct(f"<{PARAMETERS[model]}d"))
            parameters = tuple(_finite(where, value) for value in numbers)
            yield ColmapCamera(where, str(key), model, (float(width), float(height)), parameters)
        file.end()


def _binary_images(path: Path) -> Iterator[ColmapImage]:
    with _BinaryFile(path) as file:
        for index in range(file.count("images", IMAGE.size + 1 + COUNT.size)):
            where = f"{path}: image {index + 1}"
            _, *numbers, key = file.unpack(IMAGE)
            pose = [_finite(where, value) for value in numbers]
            name = file.name(where)
            file.skip(file.count("points", POINT_BYTES) * POINT_BYTES)
            yield ColmapImage(where, pose[:4], pose[4:], str(key), name)
        file.end()


class _BinaryFile:
    """A file read record by record; InputError where it does not hold what it promises."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("rb")
            self._bytes = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()
        if isinstance(error, OSError):
            raise InputError(f"{self._path} cannot be read: {error}") from error

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next numbers."""
        data = self._file.read(layout.size)
        if len(data) < layout.size:
            raise InputError(f"{self._path} is cut off")
        return layout.unpack(data)

    def count(self, things: str, size: int) -> int:
        """The next number of records, each of at least `size` bytes; the rest of the file has room for them."""
        (number,) = self.unpack(COUNT)
        if number * size > self._bytes - self._file.tell():
            raise InputError(f"{self._path} is cut off or no file of COLMAP's: it promises {number} {things}")
        return int(number)

    def name(self, where: str) -> str:
        """The next text, which a zero byte ends."""
        data, zero, rest = self._file.read(MAX_NAME + 1).partition(b"\0")
        if not zero:
            raise InputError(f"{where} has a name that does not end")
        self._file.seek(-len(rest), os.SEEK_CUR)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where} has a name that is no text in UTF-8") from error

    def skip(self, size: int) -> None:
        """Pass over bytes that the file has."""
        self._file.seek(size, os.SEEK_CUR)

    def end(self) -> None:
        """Refuse what follows the last record: the file has another layout then."""
        if self._file.read(1):
            raise InputError(
                f"{self._path} goes on after its last record; it is no file of COLMAP's, or of a later one"
            )

"""Files of calibrated cameras: our cameras.json, nerfstudio's transforms.json, COLMAP's text files. Light: no numpy.

Ours is in our world already. The others have a world of their own, and enter it by one similarity (world_transform.py).
nerfstudio: camera_to_world with OpenGL axes, as here (docs.nerf.studio, "data conventions"). COLMAP: world_to_camera as
quaternion and shift, x right, y down, looking along +z (colmap.github.io/format.html). All count pixels from the
top-left corner of the top-left pixel.
"""

import math
import reprlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshcli.errors import InputError
from meshcli.json_table import Table, read_table
from meshcli.system.text_files import read_text
from meshcli.views.camera import Camera, Rows, read_camera
from meshcli.views.picture_names import parts, shortened

JSON_FILES = ("transforms.json", "cameras.json")
COLMAP_FILES = ("cameras.txt", "images.txt")
PINHOLES = {  # COLMAP's names, nerfstudio's too, and number of focal lengths; no other camera is known to be a pinhole
    "SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2, "PERSPECTIVE": 2,
}  # fmt: skip
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
WIDEST = 1e6  # pixels along a picture's side
BENT = 1e-9  # smaller coefficients are no distortion
SMALLEST = 1e-9  # scale of a camera's axes
ROUNDED = 1e-6  # by less than this a scale is none
OTHER_LENSES = ("is_fisheye", "ftheta_p0", "latlong")  # instant-ngp's, beside its pinholes

Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class Lens:
    """A camera of a picture whose size is not known yet, along width and height; None is not said."""

    pose: list[Any]  # 4 rows of 4
    focal: tuple[float | None, float | None]  # pixels
    angle: tuple[float | None, float | None]  # field of view, radians
    centre: tuple[float | None, float | None]  # pixels
    where: str  # it stands

    def camera(self, size: tuple[float, float]) -> Camera:
        """Of a picture of so many pixels."""
        focal = [
            0.5 / math.tan(0.5 * angle) if pixels is None and angle is not None else (pixels or 0.0) / side
            for pixels, angle, side in zip(self.focal, self.angle, size, strict=True)
        ]
        known = [pixels is not None or angle is not None for pixels, angle in zip(self.focal, self.angle, strict=True)]
        if not all(known):  # pixels are square
            along = known.index(True)
            focal[1 - along] = focal[along] * size[along] / size[1 - along]
        centre = [0.5 if value is None else value / side for value, side in zip(self.centre, size, strict=True)]
        values = {"camera_to_world": self.pose, "fx": focal[0], "fy": focal[1], "cx": centre[0], "cy": centre[1]}
        return read_camera(Table({"camera": values}, self.where, InputError), "camera")


@dataclass(frozen=True)
class Shot:
    """A picture that was calibrated."""

    name: str  # as the rig calls it: a path, perhaps of another system
    lens: Camera | Lens
    size: Size | None = None  # that was calibrated, if known
    places: tuple[Path, ...] = ()  # where the picture may lie

    def camera(self, size: Size) -> Camera:
        """Its camera; `size` is that of the picture where the rig does not say it."""
        camera = self.lens if isinstance(self.lens, Camera) else self.lens.camera(size)
        return replace(camera, known="rig")

    @property
    def file(self) -> Path | None:
        """The picture that was calibrated, if it is still there."""
        for place in self.places:
            for path in (place, *(place.with_name(f"{place.name}{ending}") for ending in (".png", ".jpg", ".jpeg"))):
                with suppress(OSError):  # a name that is too long
                    if path.is_file():
                        return path
        return None


@dataclass(frozen=True)
class Rig:
    """Cameras of uncropped pictures."""

    path: Path
    shots: tuple[Shot, ...]
    foreign: bool  # in a world of its own
    bent: bool = False  # the lenses distort, which is passed over

    @property
    def names(self) -> str:
        """The first pictures, for messages."""
        return ", ".join(shortened([shot.name for shot in self.shots])[:3]) + (" ..." if len(self.shots) > 3 else "")


def read_rig(path: Path) -> Rig:
    """Read a rig file, or the one in a folder; InputError says what is wrong."""
    if path.is_dir():
        path = next((path / name for name in JSON_FILES if (path / name).is_file()), path)
    if path.is_dir() or path.name in COLMAP_FILES:
        folder = path if path.is_dir() else path.parent
        places = (folder, folder / "sparse" / "0", folder / "sparse")
        found = next((place for place in places if all((place / name).is_file() for name in COLMAP_FILES)), None)
        if found is None:
            raise InputError(f"{path} has no cameras.txt and images.txt; COLMAP writes them with `--output_type TXT`")
        return _read_colmap(found)
    table = read_table(path, InputError)
    if "meshcli" in table.values:
        return _checked(
            Rig(
                path, tuple(Shot(row.text("file"), read_camera(row, "camera")) for row in table.tables("photos")), False
            )
        )
    if "frames" in table.values and _is_nerfstudio(table):
        return _read_nerfstudio(path, table)
    raise InputError(
        f"{path} is no rig that can be read: cameras.json of meshcli, transforms.json of nerfstudio, COLMAP's text"
    )


def is_ours(path: Path) -> bool:
    """Whether a JSON file is in our format; InputError when it is damaged."""
    return "meshcli" in read_table(path, InputError).values


def _checked(rig: Rig) -> Rig:
    if not rig.shots:
        raise InputError(f"{rig.path} has no cameras")
    (name, times), *_ = Counter("/".join(parts(shot.name)) for shot in rig.shots).most_common(1)
    if times > 1:
        raise InputError(f"{rig.path} has {times} pictures called {name}; photos are found in it by their names")
    return rig


def _is_nerfstudio(table: Table) -> bool:
    return all("transform_matrix" in row.values and "file_path" in row.values for row in table.tables("frames"))


def _read_nerfstudio(path: Path, table: Table) -> Rig:
    shots = []
    bent = False
    for row in table.tables("frames"):
        both = Table({**table.values, **row.values}, row.where, InputError)
        switched = [key for key in OTHER_LENSES if both.values.get(key) not in (None, False)]
        _focals(row.where, switched[0] if switched else both.text("camera_model", "") or "PINHOLE")
        name = both.text("file_path")
        if not _is_path(name):
            raise both.wrong("file_path", name)
        lens, size = _lens(both), _size(both)
        place = path.parent / name.replace("\\", "/")
        shots.append(Shot(name, lens.camera(size) if size else lens, size, (place,)))
        bent = bent or any(abs(both.number(key, 0.0)) > BENT for key in DISTORTION)
    return _checked(Rig(path, tuple(shots), True, bent))


def _is_path(name: str) -> bool:
    """Whether a picture may be called so."""
    return parts(name)[-1:] not in ((), ("..",)) and "\0" not in name


def _focals(where: str, model: str) -> int:
    """The number of focal lengths of a camera model; InputError for what is not known to be a pinhole."""
    if model.upper() not in PINHOLES:
        raise InputError(
            f"{where}: the camera model {reprlib.repr(model)} cannot be used; undistort the pictures into PINHOLE first"
        )
    return PINHOLES[model.upper()]


def _size(row: Table) -> Size | None:
    """Of a picture in pixels; None when it is not stated."""
    width, height = row.number("w", 0.0), row.number("h", 0.0)
    if not (width and height):
        return None
    if not (1.0 <= width <= WIDEST and 1.0 <= height <= WIDEST):
        raise InputError(f"{row.where}: w and h are no size of a picture")
    return round(width), round(height)


def _lens(row: Table) -> Lens:
    """Intrinsics as they stand, in pixels or as angles."""
    focal = row.number("fl_x", None), row.number("fl_y", None)
    angle = _angle(row, "x"), _angle(row, "y")
    if all(value is None for value in (*focal, *angle)):
        raise InputError(f"{row.where}: fl_x is missing")
    centre = row.number("cx", None), row.number("cy", None)
    return Lens(_rigid(row.get("transform_matrix", list)), focal, angle, centre, row.where)


def _angle(row: Table, axis: str) -> float | None:
    """A field of view in radians: nerfstudio states these, instant-ngp degrees too."""
    for key, unit in ((f"camera_angle_{axis}", 1.0), (f"{axis}_fov", math.pi / 180.0)):
        if row.values.get(key) is not None:
            angle = float(row.number(key)) * unit
            if not 1e-3 < angle < math.pi:
                raise row.wrong(key, row.values[key])
            return angle
    return None


def _rigid(rows: list[Any]) -> list[Any]:
    """A matrix without a factor of all its numbers and without a scale of all three axes, which no camera needs.

    Three rows get their fourth. What is no such matrix is left as it is, for the reader of cameras to refuse.
    """
    square = [*rows, [0.0, 0.0, 0.0, 1.0]] if len(rows) == 3 else rows
    if [len(row) if isinstance(row, list) else 0 for row in square] != [4, 4, 4, 4]:
        return rows
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for row in square for value in row):
        return rows
    factor = square[3][3] or 1.0
    try:
        first, second, third, last = ([float(value) / factor for value in row] for row in square)
    except OverflowError:
        return rows
    scale = sum(math.hypot(*column) for column in list(zip(first, second, third, strict=True))[:3]) / 3.0
    if not SMALLEST < scale < 1.0 / SMALLEST:
        return rows
    scale = 1.0 if abs(scale - 1.0) < ROUNDED else scale
    turned = [[*(value / scale for value in row[:3]), row[3]] for row in (first, second, third)]
    return [*turned, last]


def _read_colmap(folder: Path) -> Rig:
    lenses, sizes, bent = {}, {}, False
    for where, text in _rows(folder / "cameras.txt"):
        words = text.split()
        lenses[words[0]] = _colmap_lens(where, words)
        sizes[words[0]] = (round(_number(where, words, 2)), round(_number(where, words, 3)))
        rest = range(6 + _focals(where, words[1]), len(words))
        bent = bent or any(abs(_number(where, words, index)) > BENT for index in rest)
    shots = []
    places = [place / images for place in (folder, *folder.parents[:2]) for images in ("images", "")]
    for where, text in _rows(folder / "images.txt"):
        words = text.split()
        if _are_points(words):
            continue
        name = " ".join(text.split(maxsplit=9)[9:])  # it may hold spaces
        if len(words) < 10 or words[8] not in lenses or not _is_path(name):
            raise InputError(f"{where} is no image with a camera of cameras.txt")
        numbers = [_number(where, words, index) for index in range(1, 8)]
        camera = Camera(_from_colmap(numbers[:4], numbers[4:], where), *lenses[words[8]])
        camera = read_camera(Table({"camera": camera.to_json()}, where, InputError), "camera")
        shots.append(Shot(name, camera, sizes[words[8]], tuple(place / name.replace("\\", "/") for place in places)))
    return _checked(Rig(folder, tuple(shots), True, bent))


def _are_points(words: Sequence[str]) -> bool:
    """Whether a line of images.txt holds an image's points: triples of numbers. An image's ends with its name.

    They follow each image, or an empty line does where there are none; some programs leave out both, some add more.
    """
    return len(words) % 3 == 0 and all(map(_is_number, words[:12]))


def _is_number(word: str) -> bool:
    with suppress(ValueError):
        float(word)
        return True
    return False


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a text file that are neither empty nor a comment, with their place."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}: line {number}", line.strip()


def _number(where: str, words: Sequence[str], index: int) -> float:
    try:
        value = float(words[index])
    except (ValueError, IndexError) as error:
        raise InputError(f"{where} has no number at place {index + 1}") from error
    if not math.isfinite(value):
        raise InputError(f"{where} holds a number that is not finite")
    return value


def _colmap_lens(where: str, words: Sequence[str]) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy as fractions of width and height."""
    focals = _focals(where, words[1] if len(words) > 1 else "")
    width, height = _number(where, words, 2), _number(where, words, 3)
    first, last = _number(where, words, 4), _number(where, words, 3 + focals)
    cx, cy = _number(where, words, 4 + focals), _number(where, words, 5 + focals)
    if min(width, height) < 1.0 or max(width, height) > WIDEST or min(first, last) <= 0.0:
        raise InputError(f"{where} holds a size or a focal length that no picture has")
    return first / width, last / height, cx / width, cy / height


def _from_colmap(quaternion: Sequence[float], shift: Sequence[float], where: str) -> Rows:
    """World_to_camera with y down and z forward to camera_to_world with OpenGL axes."""
    length = math.hypot(*quaternion)
    if not 1e-6 < length < 1e6:
        raise InputError(f"{where} has a rotation of length {length:.3g}")
    w, x, y, z = (value / length for value in quaternion)
    rotation = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    centre = [-sum(rotation[k][axis] * shift[k] for k in range(3)) for axis in range(3)]
    rows = [(rotation[0][axis], -rotation[1][axis], -rotation[2][axis], centre[axis]) for axis in range(3)]
    return (*rows, (0.0, 0.0, 0.0, 1.0))

"""Files of calibrated cameras: our cameras.json, nerfstudio's transforms.json, COLMAP's models. Light: no numpy.

Ours is in our world coordinates already, unless `meshcli export` wrote it, with a `frame`. The others have a coordinate
system of their own, which one similarity takes to ours (world_transform.py). nerfstudio: camera_to_world with OpenGL
axes, as here (docs.nerf.studio, "data conventions"). COLMAP: world_to_camera as quaternion and translation, x right,
y down, looking along +z (colmap.github.io/format.html). All count pixels from the top-left corner of the top-left
pixel.
"""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshcli.errors import InputError
from meshcli.json_table import JsonTable, read_table
from meshcli.views.camera import Camera, PoseMatrix, read_camera
from meshcli.views.colmap_files import (
    BINARY_FILES,
    COLMAP_FILES,
    TEXT_FILES,
    ColmapCamera,
    find_colmap,
    focal_count,
    read_colmap_files,
)
from meshcli.views.picture_names import path_parts, short_names

JSON_FILES = ("transforms.json", "cameras.json")
DISTORTION_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")  # nerfstudio's names for OpenCV's coefficients
NON_PINHOLE_KEYS = ("is_fisheye", "ftheta_p0", "latlong")  # instant-ngp's names for other kinds of lenses
MAX_SIDE = 1e6  # pixels along a picture's side; far beyond any picture, so that sizes stay computable
MIN_DISTORTION = 1e-9  # a smaller coefficient moves no pixel of a picture of MAX_SIDE by as much as a hundredth
MIN_AXIS_SCALE = 1e-9  # of a pose matrix, and 1 / the largest one: beyond, the axes are rounding errors
SCALE_TOLERANCE = 1e-6  # a pose matrix whose scale is this near to 1 is rigid, and keeps its numbers to the bit

Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class PixelIntrinsics:
    """A camera with intrinsics in pixels, of a picture whose size is not known yet.

    Pairs are along width and height; None is not stated.
    """

    pose: list[Any]  # camera_to_world, 4 rows of 4
    focal: tuple[float | None, float | None]  # pixels
    angle: tuple[float | None, float | None]  # field of view, radians
    centre: tuple[float | None, float | None]  # principal point, pixels
    where: str  # file and place, for messages

    def camera(self, size: tuple[float, float]) -> Camera:
        """The camera of a picture of this width and height in pixels."""
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
        return read_camera(JsonTable({"camera": values}, self.where, InputError), "camera")


@dataclass(frozen=True)
class RigImage:
    """A picture that a rig has a camera for."""

    name: str  # in the rig: a path, perhaps of another operating system
    lens: Camera | PixelIntrinsics
    size: Size | None = None  # of the picture that was calibrated, if known
    places: tuple[Path, ...] = ()  # where the picture may lie

    def camera(self, size: Size) -> Camera:
        """Its camera; `size` is the picture's, used where the rig does not state it."""
        camera = self.lens if isinstance(self.lens, Camera) else self.lens.camera(size)
        return replace(camera, known="rig")

    @property
    def file(self) -> Path | None:
        """The picture that was calibrated, if it still exists."""
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
    images: tuple[RigImage, ...]
    foreign: bool  # in a coordinate system of its own
    distorted: bool = False  # the lenses distort, which is ignored
    upright: bool = False  # it describes pictures as EXIF turns them upright

    @property
    def first_names(self) -> str:
        """The names of the first pictures, for messages."""
        names = short_names([image.name for image in self.images])
        return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def read_rig(path: Path) -> Rig:
    """Read a rig file, or the one in a folder; InputError says what is wrong."""
    if path.is_dir():
        path = next((path / name for name in JSON_FILES if (path / name).is_file()), path)
    if path.is_dir() or path.name in COLMAP_FILES:
        folder = path if path.is_dir() else path.parent
        names = next((pair for pair in (TEXT_FILES, BINARY_FILES) if path.name in pair), COLMAP_FILES)
        places = (folder, folder / "sparse" / "0", folder / "sparse")
        found = next((files for place in places if (files := find_colmap(place, names)) is not None), None)
        if found is None:
            wanted = " or ".join(" and ".join(pair) for pair in (TEXT_FILES, BINARY_FILES) if set(pair) <= set(names))
            others = sorted(each.name for each in path.glob("*.json")) if path.is_dir() else []
            hint = f"; if {' or '.join(others)} in it is the rig, name the file itself" if others else ""
            also = f"{' or '.join(JSON_FILES)}, nor " if path.is_dir() else ""
            raise InputError(f"{path} has no {also}{wanted}, which COLMAP writes{hint}")
        return _read_colmap(*found)
    table = read_table(path, InputError)
    if "meshcli" in table.values:
        images = (_read_own_image(path, row) for row in table.tables("photos"))
        # An export's is in the coordinates of its scene, which `frame` relates to those of its project.
        return _with_unique_names(Rig(path, tuple(images), foreign="frame" in table.values, upright=True))
    if "frames" in table.values and _is_nerfstudio(table):
        return _read_nerfstudio(path, table)
    raise InputError(
        f"{path} is no rig that can be read: cameras.json of meshcli, transforms.json of nerfstudio, COLMAP's model"
    )


def _read_own_image(path: Path, row: JsonTable) -> RigImage:
    """A picture of our cameras.json; the error names the picture and what its camera lacks."""
    name = row.string("file")
    named = JsonTable(row.values, f"{path}: {name}", InputError)
    if "camera" not in row.values:
        raise named.invalid("camera", None)
    return RigImage(name, read_camera(named, "camera"))


def is_meshcli_rig(path: Path) -> bool:
    """Whether a JSON file is in our format; InputError when it is damaged."""
    return "meshcli" in read_table(path, InputError).values


def _with_unique_names(rig: Rig) -> Rig:
    """The rig; InputError when it has no pictures, or two of one name."""
    if not rig.images:
        raise InputError(f"{rig.path} has no cameras")
    (name, times), *_ = Counter("/".join(path_parts(image.name)) for image in rig.images).most_common(1)
    if times > 1:
        raise InputError(f"{rig.path} has {times} pictures called {name}; photos are found in it by their names")
    return rig


def _is_nerfstudio(table: JsonTable) -> bool:
    return all("transform_matrix" in row.values and "file_path" in row.values for row in table.tables("frames"))


def _read_nerfstudio(path: Path, table: JsonTable) -> Rig:
    images = []
    distorted = False
    for row in table.tables("frames"):
        both = JsonTable({**table.values, **row.values}, row.where, InputError)
        other_kinds = [key for key in NON_PINHOLE_KEYS if both.values.get(key) not in (None, False)]
        focal_count(row.where, other_kinds[0] if other_kinds else both.string("camera_model", "") or "PINHOLE")
        name = both.string("file_path")
        if not _is_picture_name(name):
            raise both.invalid("file_path", name)
        lens, size = _read_intrinsics(both), _read_size(both)
        place = path.parent / name.replace("\\", "/")
        images.append(RigImage(name, lens.camera(size) if size else lens, size, (place,)))
        distorted = distorted or any(abs(both.number(key, 0.0)) > MIN_DISTORTION for key in DISTORTION_KEYS)
    return _with_unique_names(Rig(path, tuple(images), True, distorted))


def _is_picture_name(name: str) -> bool:
    """Whether a picture may have this name."""
    return path_parts(name)[-1:] not in ((), ("..",)) and "\0" not in name


def _read_size(row: JsonTable) -> Size | None:
    """Width and height of a picture in pixels; None when they are not stated."""
    width, height = row.number("w", 0.0), row.number("h", 0.0)
    if not (width and height):
        return None
    if not (1.0 <= width <= MAX_SIDE and 1.0 <= height <= MAX_SIDE):
        raise InputError(f"{row.where}: w and h are no size of a picture")
    return round(width), round(height)


def _read_intrinsics(row: JsonTable) -> PixelIntrinsics:
    """Intrinsics as stated, in pixels or as angles."""
    focal = row.number("fl_x", None), row.number("fl_y", None)
    angle = _read_angle(row, "x"), _read_angle(row, "y")
    if all(value is None for value in (*focal, *angle)):
        raise InputError(f"{row.where}: fl_x is missing")
    centre = row.number("cx", None), row.number("cy", None)
    return PixelIntrinsics(_without_scale(row.get("transform_matrix", list)), focal, angle, centre, row.where)


def _read_angle(row: JsonTable, axis: str) -> float | None:
    """A field of view in radians: nerfstudio states radians, instant-ngp degrees too."""
    for key, unit in ((f"camera_angle_{axis}", 1.0), (f"{axis}_fov", math.pi / 180.0)):
        if row.values.get(key) is not None:
            angle = float(row.number(key)) * unit
            if not 1e-3 < angle < math.pi:
                raise row.invalid(key, row.values[key])
            return angle
    return None


def _without_scale(rows: list[Any]) -> list[Any]:
    """A pose matrix divided by its homogeneous factor and by the common scale of its axes, which no camera needs.

    Three rows get their fourth. Anything else is returned unchanged, for the reader of cameras to refuse.
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
    if not MIN_AXIS_SCALE < scale < 1.0 / MIN_AXIS_SCALE:
        return rows
    scale = 1.0 if abs(scale - 1.0) < SCALE_TOLERANCE else scale
    turned = [[*(value / scale for value in row[:3]), row[3]] for row in (first, second, third)]
    return [*turned, last]


def _read_colmap(cameras: Path, images: Path) -> Rig:
    folder = cameras.parent
    stored_cameras, stored_images = read_colmap_files(cameras, images)
    lenses = {
        each.key: (_colmap_intrinsics(each), (round(each.size[0]), round(each.size[1]))) for each in stored_cameras
    }
    distorted = any(
        abs(value) > MIN_DISTORTION
        for each in stored_cameras
        for value in each.parameters[focal_count(each.where, each.model) + 2 :]
    )
    places = [parent / subfolder for parent in (folder, *folder.parents[:2]) for subfolder in ("images", "")]
    found = []
    for each in stored_images:
        if each.camera not in lenses or not _is_picture_name(each.name):
            raise InputError(f"{each.where} is no image with a camera of {cameras.name}")
        lens, size = lenses[each.camera]
        camera = Camera(_opengl_pose(each.quaternion, each.shift, each.where), *lens)
        camera = read_camera(JsonTable({"camera": camera.to_json()}, each.where, InputError), "camera")
        files = tuple(place / each.name.replace("\\", "/") for place in places)
        found.append(RigImage(each.name, camera, size, files))
    return _with_unique_names(Rig(folder, tuple(found), True, distorted))


def _colmap_intrinsics(camera: ColmapCamera) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy as fractions of width and height."""
    focals = focal_count(camera.where, camera.model)
    (width, height), first, last = camera.size, camera.parameters[0], camera.parameters[focals - 1]
    cx, cy = camera.parameters[focals : focals + 2]
    if min(width, height) < 1.0 or max(width, height) > MAX_SIDE or min(first, last) <= 0.0:
        raise InputError(f"{camera.where} holds a size or a focal length that no picture has")
    return first / width, last / height, cx / width, cy / height


def _opengl_pose(quaternion: Sequence[float], shift: Sequence[float], where: str) -> PoseMatrix:
    """COLMAP's world_to_camera, y down and z forward, to camera_to_world with OpenGL axes."""
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

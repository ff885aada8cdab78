"""Files of calibrated cameras: our cameras.json, nerfstudio's transforms.json, COLMAP's text files. Light: no numpy.

Ours is in our world already. The others have a world of their own, and enter ours by one similarity (frame.py).
nerfstudio: camera_to_world with OpenGL axes, as here (docs.nerf.studio, "data conventions"). COLMAP: world_to_camera as
quaternion and shift, x right, y down, looking along +z (colmap.github.io/format.html). All count pixels from the
top-left corner of the top-left pixel.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshcli.camera import Camera, Rows
from meshcli.errors import InputError
from meshcli.tables import Table, read_table

JSON_FILES = ("transforms.json", "cameras.json")
COLMAP_FILES = ("cameras.txt", "images.txt")
COLMAP_MODELS = {  # number of focal lengths; those that are not here are no pinholes
    "SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2,
}  # fmt: skip
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
WIDEST = 1e6  # pixels along a picture's side
BENT = 1e-9  # smaller coefficients are no distortion


@dataclass(frozen=True)
class Rig:
    """Cameras of uncropped pictures, by file name."""

    path: Path
    cameras: dict[str, Camera]
    foreign: bool  # in a world of its own
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # width and height that were calibrated, if known
    files: dict[str, Path] = field(default_factory=dict)  # where the rig says that the pictures are
    bent: bool = False  # the lenses distort, which is passed over

    def find(self, name: str) -> Camera | None:
        """By file name; a rig may leave out the ending."""
        return self.cameras.get(self.key(name) or "")

    def key(self, name: str) -> str | None:
        """What the rig calls this file."""
        return next((each for each in (name, Path(name).stem) if each in self.cameras), None)


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
        return _checked(Rig(path, {row.text("file"): row.camera("camera") for row in table.tables("photos")}, False))
    if "frames" in table.values and _is_nerfstudio(table):
        return _read_nerfstudio(path, table)
    raise InputError(
        f"{path} is no rig that can be read: cameras.json of meshcli, transforms.json of nerfstudio, COLMAP's text"
    )


def is_ours(path: Path) -> bool:
    """Whether a JSON file is in our format; InputError when it is damaged."""
    return "meshcli" in read_table(path, InputError).values


def _checked(rig: Rig) -> Rig:
    if not rig.cameras:
        raise InputError(f"{rig.path} has no cameras")
    return replace(rig, cameras={name: replace(camera, known="rig") for name, camera in rig.cameras.items()})


def _is_nerfstudio(table: Table) -> bool:
    return all("transform_matrix" in row.values and "file_path" in row.values for row in table.tables("frames"))


def _read_nerfstudio(path: Path, table: Table) -> Rig:
    cameras: dict[str, Camera] = {}
    sizes: dict[str, tuple[int, int]] = {}
    files: dict[str, Path] = {}
    bent = False
    for row in table.tables("frames"):
        both = Table({**table.values, **row.values}, row.where, InputError)
        if "FISHEYE" in both.text("camera_model", "").upper():
            raise InputError(f"{row.where}: fisheye lenses cannot be used; undistort the pictures first")
        file = Path(both.text("file_path"))
        if not file.name or "\0" in file.name:
            raise both.wrong("file_path", str(file))
        width, height = _size(both, path.parent / file)
        fx, fy = _focal(both, width, height)
        camera = {
            "camera_to_world": both.get("transform_matrix", list),
            "fx": fx / width,
            "fy": fy / height,
            "cx": both.number("cx", width / 2.0) / width,
            "cy": both.number("cy", height / 2.0) / height,
        }
        name = _unique(file.name, cameras, path)
        cameras[name] = Table({"camera": camera}, row.where, InputError).camera("camera")
        sizes[name], files[name] = (round(width), round(height)), path.parent / file
        bent = bent or any(abs(both.number(key, 0.0)) > BENT for key in DISTORTION)
    return _checked(Rig(path, cameras, True, sizes, files, bent))


def _size(row: Table, file: Path) -> tuple[float, float]:
    """Of a picture in pixels: as stated, else as its file says."""
    width, height = row.number("w", 0.0), row.number("h", 0.0)
    if min(width, height) > 0.0:
        if not (1.0 <= width <= WIDEST and 1.0 <= height <= WIDEST):
            raise InputError(f"{row.where}: w and h are no size of a picture")
        return width, height
    from meshcli.lens import picture_size

    there = next((each for each in (file, file.with_suffix(".png"), file.with_suffix(".jpg")) if each.is_file()), None)
    if there is None:
        raise InputError(f"{row.where}: w and h are missing, and there is no picture {file} to tell them")
    return picture_size(there)


def _focal(row: Table, width: float, height: float) -> tuple[float, float]:
    """Focal lengths in pixels; one stands for both."""
    angles = {"fl_x": ("camera_angle_x", width), "fl_y": ("camera_angle_y", height)}
    found = {}
    for key, (angle, side) in angles.items():
        if row.values.get(key) is not None:
            found[key] = row.number(key)
        elif row.values.get(angle) is not None:
            if not 1e-3 < row.number(angle) < math.pi:
                raise row.wrong(angle, row.values[angle])
            found[key] = 0.5 * side / math.tan(0.5 * row.number(angle))
    if not found:
        raise InputError(f"{row.where}: fl_x is missing")
    return found.get("fl_x", found.get("fl_y", 0.0)), found.get("fl_y", found.get("fl_x", 0.0))


def _read_colmap(folder: Path) -> Rig:
    lenses, models = {}, set()
    for where, words in _rows(folder / "cameras.txt"):
        lenses[words[0]] = (
            _colmap_lens(where, words),
            (round(_number(where, words, 2)), round(_number(where, words, 3))),
        )
        models.add(words[1])
    cameras: dict[str, Camera] = {}
    sizes: dict[str, tuple[int, int]] = {}
    files: dict[str, Path] = {}
    for where, words in list(_rows(folder / "images.txt", blank=True))[::2]:  # every second line holds points
        if len(words) < 10 or words[8] not in lenses:
            raise InputError(f"{where} is no image with a camera of cameras.txt")
        (fx, fy, cx, cy), size = lenses[words[8]]
        numbers = [_number(where, words, index) for index in range(1, 8)]
        file = Path(" ".join(words[9:]))
        name = _unique(file.name, cameras, folder)
        camera = Camera(_from_colmap(numbers[:4], numbers[4:], where), fx, fy, cx, cy)
        cameras[name] = Table({"camera": camera.to_json()}, where, InputError).camera("camera")
        sizes[name], files[name] = size, file
    return _checked(Rig(folder, cameras, True, sizes, files, any("PINHOLE" not in model for model in models)))


def _rows(path: Path, blank: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Lines of a text file as words, with their place; blank ones count where they mean that there are no points."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.startswith("#") and (blank or line.strip()):
            yield f"{path}: line {number}", line.split()


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
    focals = COLMAP_MODELS.get(words[1] if len(words) > 1 else "")
    if focals is None:
        raise InputError(f"{where}: this camera model cannot be used; undistort the pictures first")
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


def _unique(name: str, taken: dict[str, Camera], path: Path) -> str:
    if name in taken:
        raise InputError(f"{path} has two pictures called {name}; photos are found in it by their file names")
    return name

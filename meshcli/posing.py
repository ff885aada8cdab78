"""Where the photos were taken from: what the user typed, a cameras.json beside the photos, or the defaults.

Without a field of view, the *framed* photo is taken as fov 30 at distance 4 (Zero123++'s own), looking at the origin.
`--fov` is vertical and of the uncropped original: the frame then keeps the true, off-centre perspective. Its distance
is the one at which the frame covers as much of the object's world as the default would, and the camera is turned so
that the world's origin lies in the middle of the frame. Light: no numpy.
"""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from meshcli.camera import DISTANCE, FOV, Camera, Known, Rows, orbit
from meshcli.errors import InputError, UsageError
from meshcli.progress import Tell
from meshcli.tables import Table, read_table

RIG_FILE = "cameras.json"
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")


@dataclass(frozen=True)
class Stated:
    """What is known about the camera of an original picture; None is unknown."""

    azimuth: float | None = None  # degrees
    elevation: float | None = None
    fov: float | None = None  # vertical, of the uncropped original
    camera: Camera | None = None  # a calibrated one, of the uncropped original

    @property
    def posed(self) -> bool:
        """Whether it is known from which side the picture was taken."""
        return self.azimuth is not None or self.camera is not None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        if self.camera:
            return {"camera": self.camera.to_json()}
        return {"azimuth": self.azimuth, "elevation": self.elevation, "fov": self.fov}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest."""
        if "camera" in table.values:
            return cls(camera=table.camera("camera"))
        return cls(*(table.number(key, None) for key in ("azimuth", "elevation", "fov")))

    def framed(self, crop: Sequence[float], width: int, height: int) -> Camera:
        """The camera of a frame (left, top, width, height in fractions) of the original of width x height pixels."""
        if self.camera:
            return self.camera.cropped(*crop)
        known: Known = "given" if self.azimuth is not None else "assumed"
        standard = orbit(self.azimuth or 0.0, self.elevation or 0.0, DISTANCE, FOV, known)
        if self.fov is None:
            return standard
        focal = 0.5 / math.tan(math.radians(self.fov) / 2.0)
        lens = replace(standard, fx=focal * height / width, fy=focal).cropped(*crop)
        ray = ((0.5 - lens.cx) / lens.fx, (lens.cy - 0.5) / lens.fy, -1.0)  # through the middle of the frame
        distance = DISTANCE * lens.fy / standard.fy * math.hypot(*ray)
        towards = orbit(standard.azimuth, standard.elevation, distance).camera_to_world
        return replace(lens, camera_to_world=_turned(towards, ray))


@dataclass(frozen=True)
class PhotoSpec:
    """One PHOTO argument."""

    path: Path
    azimuth: float | None = None


def read_spec(argument: str | Path) -> PhotoSpec:
    """`photo.jpg` or `photo.jpg@45`; InputError when there is no such file."""
    path = Path(argument)
    if path.exists():
        return PhotoSpec(path)
    head, at, tail = str(argument).rpartition("@")
    if at and NUMBER.fullmatch(tail) and Path(head).exists():
        return PhotoSpec(Path(head), float(tail))
    if NUMBER.fullmatch(str(argument).split(",")[0]):
        raise InputError(f"there is no photo {argument}; if it is an angle, write --azimuth 0,120,240 (one per photo)")
    raise InputError(f"there is no photo {head if at and NUMBER.fullmatch(tail) else argument}")


def state(
    specs: Sequence[PhotoSpec],
    azimuths: Sequence[float] = (),
    elevations: Sequence[float] = (),
    fovs: Sequence[float] = (),
) -> list[Stated]:
    """What was typed about each photo; UsageError when the counts do not fit."""
    count = len(specs)
    if azimuths and len(azimuths) != count:
        raise UsageError(f"--azimuth has {len(azimuths)} values for {count} photos; one per photo, please")
    if azimuths and any(spec.azimuth is not None for spec in specs):
        raise UsageError("azimuths are given twice, by --azimuth and by photo@angle; use one of them")
    if not all(math.isfinite(value) for value in (*azimuths, *elevations, *fovs)):
        raise UsageError("an angle must be a finite number of degrees")
    turned: list[float | None] = [float(azimuth) for azimuth in azimuths]
    turned = turned or [spec.azimuth for spec in specs]
    raised = _one_each("--elevation", elevations, count, -89.0, 89.0)
    lenses = _one_each("--fov", fovs, count, 1.0, 150.0)
    return [Stated(*values) for values in zip(turned, raised, lenses, strict=True)]


def from_rig(specs: Sequence[PhotoSpec], tell: Tell) -> list[Stated] | None:
    """The cameras of the files `cameras.json` beside the photos; None when there are none."""
    found: list[Stated] = []
    for spec in specs:
        rig = spec.path.parent / RIG_FILE
        cameras = read_rig(rig) if rig.is_file() else None
        if cameras is None and found:
            raise UsageError(f"{spec.path} has no camera, the other photos have; type all angles with --azimuth")
        if cameras is None:
            if rig.is_file():
                tell(f"{rig} is not in meshcli's format and is not used")
            return None
        if spec.path.name not in cameras:
            raise UsageError(f"{rig} has no camera for {spec.path.name}; add it, or type the angles with --azimuth")
        found.append(Stated(camera=cameras[spec.path.name]))
    folders = sorted({str(spec.path.parent / RIG_FILE) for spec in specs})
    tell(f"cameras are taken from {', '.join(folders)}")
    return found


def read_rig(path: Path) -> dict[str, Camera] | None:
    """Cameras of uncropped pictures by file name; None when the file is of another kind, InputError when damaged."""
    table = read_table(path, InputError)
    if "meshcli" not in table.values:
        return None
    cameras = {row.text("file"): row.camera("camera") for row in table.tables("photos")}
    return {name: replace(camera, known="rig") for name, camera in cameras.items()}


def missing_angles(root: Path, photos: Sequence[str]) -> UsageError:
    """The error for several photos of which nobody said where they were taken from, with the line to type."""
    angles = ",".join(f"{360 * index / len(photos):.4g}" for index in range(len(photos)))
    line = shlex.join(["meshcli", "generate", str(root), *photos])
    return UsageError(
        f"from which sides were the {len(photos)} photos taken? Say it counter-clockwise seen from above, "
        f"for example `{line} --azimuth {angles}`"
    )


def _one_each(flag: str, values: Sequence[float], count: int, lowest: float, highest: float) -> Sequence[float | None]:
    """One value for all photos or one for each."""
    if any(not lowest <= value <= highest for value in values):
        raise UsageError(f"{flag} must lie between {lowest:g} and {highest:g} degrees")
    if len(values) not in (0, 1, count):
        raise UsageError(f"{flag} has {len(values)} values for {count} photos; one for all or one per photo")
    return [float(value) for value in values] * (count if len(values) == 1 else 1) or [None] * count


def _turned(pose: Rows, ray: Sequence[float]) -> Rows:
    """A pose turned about its own centre, so that `ray` (camera axes) points where its axis pointed.

    The smallest rotation that takes one direction to another, by Rodrigues' formula.
    """
    length = math.hypot(*ray)
    x, y, z = (value / length for value in ray)
    vx, vy = -y, x  # ray x (0, 0, -1); its z is 0
    scale = 1.0 / (1.0 - z)  # 1 + the cosine of the angle between them
    turn = (
        (1.0 - scale * vy * vy, scale * vx * vy, vy),
        (scale * vx * vy, 1.0 - scale * vx * vx, -vx),
        (-vy, vx, 1.0 - scale * (vx * vx + vy * vy)),
    )
    rows = [
        (*(sum(row[k] * turn[k][j] for k in range(3)) for j in range(3)), row[3])  # (R turn | centre)
        for row in pose[:3]
    ]
    return (*rows, pose[3])

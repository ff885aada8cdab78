"""Where the photos were taken from: what the user typed, a cameras.json beside the photos, or the defaults.

Without a field of view, the *framed* photo is taken as fov 30 at distance 4 (Zero123++'s own), looking at the origin.
`--fov` is vertical and of the uncropped original: the frame then keeps the true, off-centre perspective. Its distance
is the one at which the frame covers as much of the object's world as the default would, and the camera is turned so
that the world's origin lies in the middle of the frame. Light: no numpy.
"""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from meshcli.errors import InputError, UsageError
from meshcli.json_table import Table
from meshcli.pictures.photo_arguments import SUFFIXES, counted, there
from meshcli.pictures.picture_file import check_file
from meshcli.progress import Tell
from meshcli.views.camera import DISTANCE, FOV, Camera, PoseSource, Rows, orbit, read_camera, zero123plus_rig
from meshcli.views.picture_names import parts, shortened
from meshcli.views.rig_files import is_ours, read_rig
from meshcli.views.rig_photos import calibrated, find_pictures, find_shots
from meshcli.views.world_transform import AXES

RIG_FILE = "cameras.json"
MANY = 24  # photos that are not listed by name any more
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")


Ready = Literal[
    "",  # a photo: the object is cut out and framed
    "view",  # a view that another program painted: it keeps its frame
    "sheet 1.2",  # six views of a photo on a sheet, by the version of Zero123++ whose cameras they have
    "sheet 1.1",
]


@dataclass(frozen=True)
class Aligned:
    """What `align` found out about a photo by comparing its views with those of the others; see azimuths.py."""

    azimuth: float  # degrees
    enlarged: float  # factor by which the photo shows the object larger than the others do, 1 for the smallest
    confidence: float  # 0 to 1
    others: tuple[float, ...] = ()  # azimuths that are about equally good

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {**vars(self), "others": list(self.others)}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest; the error names what is no number."""
        azimuth, enlarged, confidence = (table.number(key) for key in ("azimuth", "enlarged", "confidence"))
        if not 1e-3 <= enlarged <= 1e3:
            raise table.wrong("enlarged", enlarged)
        return cls(azimuth, enlarged, confidence, table.numbers("others", None))


@dataclass(frozen=True)
class CameraPrior:
    """What is known about the camera of an original picture; None is unknown."""

    azimuth: float | None = None  # degrees
    elevation: float | None = None
    fov: float | None = None  # vertical, of the uncropped original
    camera: Camera | None = None  # a calibrated one, of the uncropped original
    foreign: bool = False  # the camera is in a world of its own; see world_transform.py
    mirrored: bool = False  # which was mirrored back, see rig_photos.py
    up: str = ""  # the axis of that world that points up, if it was said
    ready: Ready = ""
    aligned: Aligned | None = None
    # The JSON object it was read from, with fields of later versions; written back as it is. `replace` drops it.
    recorded: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def given(self) -> bool:
        """Whether somebody said from which side the picture was taken."""
        return self.azimuth is not None or self.camera is not None

    @property
    def posed(self) -> bool:
        """Whether it is known from which side the picture was taken."""
        return self.given or self.aligned is not None

    @property
    def side(self) -> tuple[float, PoseSource]:
        """The azimuth to go by, and how it is known."""
        if self.azimuth is not None:
            return self.azimuth, "given"
        return (self.aligned.azimuth, "aligned") if self.aligned else (0.0, "assumed")

    @property
    def enlarged(self) -> float:
        """The factor by which the picture shows the object larger than the other photos' do."""
        return self.aligned.enlarged if self.aligned else 1.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        if self.recorded is not None:
            return self.recorded
        rest = {key: value for key in ("foreign", "mirrored", "up", "ready") if (value := getattr(self, key))}
        if self.camera:
            return {"camera": self.camera.to_json(), **rest}
        if self.aligned:
            rest["aligned"] = self.aligned.to_json()
        return {"azimuth": self.azimuth, "elevation": self.elevation, "fov": self.fov, **rest}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest."""
        prior = cls._read(table)
        object.__setattr__(prior, "recorded", dict(table.values))
        return prior

    @classmethod
    def _read(cls, table: Table) -> Self:
        ready = table.text("ready", "")
        if ready not in get_args(Ready):
            raise table.wrong("ready", ready)
        if "camera" in table.values:
            foreign, mirrored = table.get("foreign", bool, False), table.get("mirrored", bool, False)
            up = table.text("up", "")
            if up and up not in AXES:
                raise table.wrong("up", up)
            return cls(camera=read_camera(table, "camera"), foreign=foreign, mirrored=mirrored, up=up, ready=ready)
        azimuth, elevation, fov = (table.number(key, None) for key in ("azimuth", "elevation", "fov"))
        if fov is not None and not 0.001 <= fov <= 179.999:
            raise table.wrong("fov", fov)
        if elevation is not None and not -90.0 <= elevation <= 90.0:
            raise table.wrong("elevation", elevation)
        aligned = Aligned.read(table.table("aligned")) if "aligned" in table.values else None
        return cls(azimuth, elevation, fov, ready=ready, aligned=aligned)

    def framed(self, crop: Sequence[float], width: int, height: int) -> Camera:
        """The camera of a frame (left, top, width, height in fractions) of the original of width x height pixels."""
        if self.camera:
            return self.camera.cropped(*crop)
        if self.ready.startswith("sheet"):
            return self.sheet_cameras[0]
        azimuth, known = self.side
        standard = orbit(azimuth, self.elevation or 0.0, DISTANCE / self.enlarged, FOV, known)
        if self.fov is None:
            return standard
        focal = 0.5 / math.tan(math.radians(self.fov) / 2.0)
        lens = replace(standard, fx=focal * height / width, fy=focal).cropped(*crop)
        ray = ((0.5 - lens.cx) / lens.fx, (lens.cy - 0.5) / lens.fy, -1.0)  # through the middle of the frame
        distance = standard.distance * lens.fy / standard.fy * math.hypot(*ray)
        towards = orbit(standard.azimuth, standard.elevation, distance).camera_to_world
        return replace(lens, camera_to_world=_turned(towards, ray))

    @property
    def sheet_cameras(self) -> list[Camera]:
        """Of the six views of a sheet."""
        azimuth, known = self.side
        return zero123plus_rig(azimuth, self.enlarged, known, self.ready.removeprefix("sheet "))


@dataclass(frozen=True)
class PhotoSpec:
    """One PHOTO argument."""

    path: Path
    azimuth: float | None = None


def read_spec(argument: str | Path) -> PhotoSpec:
    """`photo.jpg` or `photo.jpg@45`; InputError when there is no such file, or what is there is none."""
    path, azimuth = there(argument), None
    head, at, tail = str(argument).rpartition("@")
    angle = bool(at and NUMBER.fullmatch(tail))
    if path is None and angle:
        path, azimuth = there(head), float(tail)
    if path is not None:
        check_file(path)
        return PhotoSpec(path, azimuth)
    if NUMBER.fullmatch(str(argument).split(",")[0]):
        raise InputError(f"there is no photo {argument}; if it is an angle, write --azimuth 0,120,240 (one per photo)")
    raise InputError(f"there is no photo {(head if angle else argument) or 'without a name'}")


def state(
    specs: Sequence[PhotoSpec],
    azimuths: Sequence[float] = (),
    elevations: Sequence[float] = (),
    fovs: Sequence[float] = (),
) -> list[CameraPrior]:
    """What was typed about each photo; UsageError when the counts do not fit."""
    count = len(specs)
    if azimuths and len(azimuths) != count:
        order = f", in this order: {', '.join(spec.path.name for spec in specs)}" if count <= MANY else ""
        raise UsageError(
            f"--azimuth has {counted(len(azimuths), 'value')} for {counted(count, 'photo')}; one per photo{order}"
        )
    if azimuths and any(spec.azimuth is not None for spec in specs):
        raise UsageError("azimuths are given twice, by --azimuth and by photo@angle; use one of them")
    if not all(math.isfinite(value) for value in (*azimuths, *elevations, *fovs)):
        raise UsageError("an angle must be a finite number of degrees")
    turned: list[float | None] = [float(azimuth) for azimuth in azimuths]
    turned = turned or [spec.azimuth for spec in specs]
    raised = _one_each("--elevation", elevations, count, -89.0, 89.0)
    lenses = _one_each("--fov", fovs, count, 1.0, 150.0)
    return [CameraPrior(*values) for values in zip(turned, raised, lenses, strict=True)]


def from_rig(specs: Sequence[PhotoSpec], tell: Tell) -> list[CameraPrior] | None:
    """The cameras of the files `cameras.json` beside the photos; None when there are none."""
    files = [spec.path.parent / RIG_FILE for spec in specs]
    known = {file: file.is_file() and is_ours(file) for file in dict.fromkeys(files)}
    ours = [known[file] for file in files]
    if not all(ours):
        without = ours.index(False)
        if any(ours):
            raise UsageError(
                f"{specs[without].path} has no camera, the other photos have; type all angles with --azimuth"
            )
        if files[without].is_file():
            tell(f"{files[without]} is not in meshcli's format and is not used; if it is a rig, hand it in with --rig")
        return None
    found: dict[Path, CameraPrior] = {}
    for file in known:
        photos = list(dict.fromkeys(spec.path for spec, its in zip(specs, files, strict=True) if its == file))
        rig = read_rig(file)
        shots = []
        for photo, shot in zip(photos, find_shots(rig, [str(photo.absolute()) for photo in photos]), strict=True):
            if shot is None:
                raise UsageError(f"{file} has no camera for {photo.name}; add it, or type the angles with --azimuth")
            shots.append(shot)
        seen = calibrated(rig, shots, photos)
        found |= {photo: CameraPrior(camera=each.camera) for photo, each in zip(photos, seen, strict=True)}
    tell(f"cameras are taken from {', '.join(sorted(map(str, known)))}")
    return [found[spec.path] for spec in specs]


def from_rig_file(photos: Sequence[tuple[str, Path]], path: Path, up: str, tell: Tell) -> list[CameraPrior]:
    """The cameras that a rig file has for photos, by the paths or names that they were handed in with."""
    rig = read_rig(path)
    names = [name for name, _ in photos]
    shots = []
    for called, shot in zip(shortened(names), find_shots(rig, names), strict=True):
        if shot is None:
            raise UsageError(f"{rig.path} has no camera for {called}; it has {rig.names}")
        shots.append(shot)
    seen = calibrated(rig, shots, [photo for _, photo in photos], up)
    turned = counted(sum(each.turned for each in seen), "camera")
    said = f"; {turned} turned with the pixels, as EXIF says" if any(each.turned for each in seen) else ""
    bent = "; its lenses distort, which is passed over: undistorted pictures fit better" if rig.bent else ""
    tell(f"cameras are taken from {rig.path}{said}{bent}")
    up = up if rig.foreign else ""
    return [CameraPrior(camera=each.camera, foreign=rig.foreign, mirrored=each.mirrored, up=up) for each in seen]


def ready_views(folder: Path, path: Path) -> list[Path]:
    """The pictures in a folder that a rig file has cameras for, in its order.

    Folders inside it are searched where the rig's names have these folders too.
    """
    rig = read_rig(path)
    steps = [parts(shot.name)[:-1] for shot in rig.shots]
    ends = {each[start:] for each in steps for start in range(len(each) + 1)}
    places = [folder.joinpath(*end) for end in ends if ".." not in end]
    pictures = {str(entry.absolute()): entry for place in places for entry in _pictures(place)}
    found = find_pictures(rig, sorted(pictures))
    if not found:
        raise InputError(
            f"{folder} holds none of the pictures that {rig.path} has cameras for, like {rig.names.split(',')[0]}"
        )
    return [pictures[picture] for picture in found]


def _pictures(folder: Path) -> list[Path]:
    """The picture files in a folder; none where there is no such folder."""
    with suppress(OSError):
        return [each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file()]
    return []


def missing_angles(project: str, photos: Sequence[str]) -> UsageError:
    """The error for several photos of which nobody knows where they were taken from, with the lines to type."""
    return UsageError(
        f"from which sides {', '.join(photos)} were taken is not known; `{project}` finds it out, or say it with "
        "--azimuth, one angle per photo, counter-clockwise seen from above"
    )


def _one_each(flag: str, values: Sequence[float], count: int, lowest: float, highest: float) -> Sequence[float | None]:
    """One value for all photos or one for each."""
    if any(not lowest <= value <= highest for value in values):
        raise UsageError(f"{flag} must lie between {lowest:g} and {highest:g} degrees")
    if len(values) not in (0, 1, count):
        raise UsageError(f"{flag} has {len(values)} values for {counted(count, 'photo')}; one for all or one per photo")
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

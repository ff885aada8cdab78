"""Cameras of photos: from what the user typed, from a cameras.json beside the photos, or from the defaults.

Without a field of view, the *framed* photo is taken as fov 30 at distance 4 (Zero123++'s own), looking at the origin.
`--fov` is vertical and of the uncropped original: the frame then keeps the true, off-centre perspective. Its distance
is the one at which the frame covers as much of the object's world as the default would, and the camera is turned so
that the world's origin lies in the middle of the frame. Light: no numpy.
"""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from meshcli.errors import InputError, UsageError
from meshcli.json_table import JsonTable
from meshcli.pictures.photo_arguments import SUFFIXES, counted, existing_path, other_ending
from meshcli.pictures.picture_file import check_regular_file
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.progress import Tell
from meshcli.views.camera import DISTANCE, FOV, Camera, PoseMatrix, PoseSource, orbit, read_camera, zero123plus_rig
from meshcli.views.picture_names import path_parts, short_names
from meshcli.views.rig_files import is_meshcli_rig, read_rig
from meshcli.views.rig_photos import find_pictures, match_photos, upright_cameras
from meshcli.views.world_transform import AXES

RIG_FILE = "cameras.json"
MAX_LISTED_PHOTOS = 24  # more are not listed in a message, by choice: about three lines of a terminal
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
# Limits of what may be typed: at 90 degrees a camera has no azimuth, and lenses beyond 150 degrees are no pinholes.
MAX_TYPED_ELEVATION, MIN_TYPED_FOV, MAX_TYPED_FOV = 89.0, 1.0, 150.0

ImportKind = Literal[
    "",  # a photo: the object is cut out and framed
    "view",  # a view that another program painted: it keeps its frame
    "sheet 1.2",  # six views of a photo on a sheet, by the version of Zero123++ whose cameras they have
    "sheet 1.1",
]


@dataclass(frozen=True)
class AlignedPose:
    """The result of `align` for a photo, whose views it compares with those of the others; see azimuths.py."""

    azimuth: float  # degrees
    relative_scale: float  # size of the object in the framed photo relative to the photo that shows it smallest
    confidence: float  # 0 to 1: the chance that the azimuth is right within 20 degrees
    others: tuple[float, ...] = ()  # the next best azimuths, if they have a chance as well
    accepted: bool = False  # the user went on with it although the chance is low

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "azimuth": self.azimuth,
            "enlarged": self.relative_scale,
            "confidence": self.confidence,
            "others": list(self.others),
            **({"accepted": True} if self.accepted else {}),
        }

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """From the manifest; the error names what is no number."""
        azimuth, scale, confidence = (table.number(key) for key in ("azimuth", "enlarged", "confidence"))
        if not 1e-3 <= scale <= 1e3:
            raise table.invalid("enlarged", scale)
        return cls(azimuth, scale, confidence, table.numbers("others", None), table.get("accepted", bool, False))


@dataclass(frozen=True)
class CameraPrior:
    """What is known about the camera of an original picture; None is unknown."""

    azimuth: float | None = None  # degrees
    elevation: float | None = None
    fov: float | None = None  # vertical, of the uncropped original
    camera: Camera | None = None  # a calibrated one, of the uncropped original
    foreign: bool = False  # the camera is in a coordinate system of its own; see world_transform.py
    mirrored: bool = False  # that coordinate system was mirrored; see rig_photos.py
    up: str = ""  # its axis that points up, if the user stated it
    ready: ImportKind = ""
    aligned: AlignedPose | None = None
    # The JSON object it was read from, with fields of later versions; written back as it is. `replace` drops it.
    recorded: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def given(self) -> bool:
        """Whether the user stated the azimuth, or a rig has the camera."""
        return self.azimuth is not None or self.camera is not None

    @property
    def posed(self) -> bool:
        """Whether the azimuth is known: stated by the user, from a rig, or found by `align`."""
        return self.given or self.aligned is not None

    @property
    def azimuth_and_source(self) -> tuple[float, PoseSource]:
        """The best known azimuth in degrees, and where it comes from."""
        if self.azimuth is not None:
            return self.azimuth, "given"
        return (self.aligned.azimuth, "aligned") if self.aligned else (0.0, "assumed")

    @property
    def relative_scale(self) -> float:
        """Size of the object in the framed photo relative to the photo that shows it smallest; 1 if unknown."""
        return self.aligned.relative_scale if self.aligned else 1.0

    def pose_json(self) -> dict[str, Any]:
        """What matters for pictures made from the photo: without how sure the estimated azimuth is."""
        table = dict(self.to_json())
        if self.aligned:
            table["aligned"] = {"azimuth": self.aligned.azimuth, "enlarged": self.aligned.relative_scale}
        return table

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        if self.recorded is not None:
            return self.recorded
        rest = {key: value for key in ("foreign", "mirrored", "up", "ready") if (value := getattr(self, key))}
        if self.camera:
            return {"camera": self.camera.to_json(), **rest}
        if self.aligned:
            rest["aligned"] = self.aligned.to_json()
        return {"azimuth": self.azimuth, "elevation": self.elevation, "fov": self.fov, **rest}

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """From the manifest."""
        prior = cls._read(table)
        object.__setattr__(prior, "recorded", dict(table.values))
        return prior

    @classmethod
    def _read(cls, table: JsonTable) -> Self:
        ready = table.string("ready", "")
        if ready not in get_args(ImportKind):
            raise table.invalid("ready", ready)
        if "camera" in table.values:
            foreign, mirrored = table.get("foreign", bool, False), table.get("mirrored", bool, False)
            up = table.string("up", "")
            if up and up not in AXES:
                raise table.invalid("up", up)
            return cls(camera=read_camera(table, "camera"), foreign=foreign, mirrored=mirrored, up=up, ready=ready)
        azimuth, elevation, fov = (table.number(key, None) for key in ("azimuth", "elevation", "fov"))
        if fov is not None and not 0.001 <= fov <= 179.999:
            raise table.invalid("fov", fov)
        if elevation is not None and not -90.0 <= elevation <= 90.0:
            raise table.invalid("elevation", elevation)
        aligned = AlignedPose.read(table.table("aligned")) if "aligned" in table.values else None
        return cls(azimuth, elevation, fov, ready=ready, aligned=aligned)

    def framed(self, crop: Sequence[float], width: int, height: int) -> Camera:
        """The camera of a frame (left, top, width, height in fractions) of the original of width x height pixels."""
        if self.camera:
            return self.camera.cropped(*crop)
        if self.ready.startswith("sheet"):
            return self.sheet_cameras[0]
        azimuth, known = self.azimuth_and_source
        standard = orbit(azimuth, self.elevation or 0.0, DISTANCE / self.relative_scale, FOV, known)
        if self.fov is None:
            return standard
        focal = 0.5 / math.tan(math.radians(self.fov) / 2.0)
        lens = replace(standard, fx=focal * height / width, fy=focal).cropped(*crop)
        ray = ((0.5 - lens.cx) / lens.fx, (lens.cy - 0.5) / lens.fy, -1.0)  # through the middle of the frame
        distance = standard.distance * lens.fy / standard.fy * math.hypot(*ray)
        towards = orbit(standard.azimuth, standard.elevation, distance).camera_to_world
        return replace(lens, camera_to_world=_turned_to(towards, ray))

    @property
    def sheet_cameras(self) -> list[Camera]:
        """The cameras of the six views of a sheet."""
        azimuth, known = self.azimuth_and_source
        return zero123plus_rig(azimuth, self.relative_scale, known, self.ready.removeprefix("sheet "))


@dataclass(frozen=True)
class PhotoArgument:
    """One PHOTO argument of the command line."""

    photo: SourcePhoto
    azimuth: float | None = None  # degrees

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.photo.path


def parse_photo_argument(argument: str | Path) -> PhotoArgument:
    """`photo.jpg` or `photo.jpg@45`; InputError when there is no such file, or when it is not a regular one."""
    path, azimuth = existing_path(argument), None
    head, angle = split_angle(str(argument))
    if path is None and angle:
        path, azimuth = existing_path(head), float(angle)
    if path is not None:
        check_regular_file(path)
        return PhotoArgument(SourcePhoto(path), azimuth)
    if NUMBER.fullmatch(str(argument).split(",")[0]):
        raise InputError(f"there is no photo {argument}; if it is an angle, write --azimuth 0,120,240 (one per photo)")
    wanted = head or "without a name"
    raise InputError(f"there is no photo {wanted}{other_ending(wanted)}")


def split_angle(argument: str) -> tuple[str, str]:
    """`photo.jpg@45` as `photo.jpg` and `45`; the whole and nothing where no angle is at its end."""
    head, at, angle = argument.rpartition("@")
    return (head, angle) if at and NUMBER.fullmatch(angle) else (argument, "")


def typed_priors(
    arguments: Sequence[PhotoArgument],
    azimuths: Sequence[float] = (),
    elevations: Sequence[float] = (),
    fovs: Sequence[float] = (),
) -> list[CameraPrior]:
    """What the user typed about the camera of each photo; UsageError when the counts do not fit."""
    count = len(arguments)
    if azimuths and len(azimuths) != count:
        names = ", ".join(argument.path.name for argument in arguments)
        order = f", in this order: {names}" if count <= MAX_LISTED_PHOTOS else ""
        raise UsageError(
            f"--azimuth has {counted(len(azimuths), 'value')} for {counted(count, 'photo')}; one per photo{order}"
        )
    if azimuths and any(argument.azimuth is not None for argument in arguments):
        raise UsageError("azimuths are given twice, by --azimuth and by photo@angle; use one of them")
    if not all(math.isfinite(value) for value in (*azimuths, *elevations, *fovs)):
        raise UsageError("an angle must be a finite number of degrees")
    from_flag: list[float | None] = [float(azimuth) for azimuth in azimuths]
    per_photo = (
        from_flag or [argument.azimuth for argument in arguments],
        _one_per_photo("--elevation", elevations, count, -MAX_TYPED_ELEVATION, MAX_TYPED_ELEVATION),
        _one_per_photo("--fov", fovs, count, MIN_TYPED_FOV, MAX_TYPED_FOV),
    )
    return [CameraPrior(*values) for values in zip(*per_photo, strict=True)]


def priors_beside_photos(photos: Sequence[SourcePhoto], tell: Tell) -> list[CameraPrior] | None:
    """The cameras from the files `cameras.json` in the photos' folders; None when there are none."""
    files = [photo.path.parent / RIG_FILE for photo in photos]
    usable = {file: file.is_file() and is_meshcli_rig(file) for file in dict.fromkeys(files)}
    has_rig = [usable[file] for file in files]
    if not all(has_rig):
        without = has_rig.index(False)
        if any(has_rig):
            raise UsageError(
                f"{photos[without].path} has no camera, the other photos have; type all angles with --azimuth"
            )
        if files[without].is_file():
            tell(f"{files[without]} is not in meshcli's format and is not used; if it is a rig, hand it in with --rig")
        return None
    found: dict[Path, CameraPrior] = {}
    for file in usable:
        found |= _priors_from(file, {photo.path: photo for photo in photos if photo.path.parent / RIG_FILE == file})
    count = counted(len(photos), "photo")
    tell(f"cameras are taken from {', '.join(sorted(map(str, usable)))} ({count})")
    return [found[photo.path] for photo in photos]


def _priors_from(file: Path, photos: Mapping[Path, SourcePhoto]) -> dict[Path, CameraPrior]:
    """The cameras that a cameras.json has for photos of its folder; UsageError when one is missing."""
    rig = read_rig(file)
    images = []
    for path, image in zip(photos, match_photos(rig, [str(path.absolute()) for path in photos]), strict=True):
        if image is None:
            raise UsageError(f"{file} has no camera for {path.name}; add it, or type the angles with --azimuth")
        images.append(image)
    cameras = upright_cameras(rig, images, list(photos.values()))
    return {path: CameraPrior(camera=each.camera) for path, each in zip(photos, cameras, strict=True)}


def priors_from_rig(photos: Sequence[tuple[str, SourcePhoto]], path: Path, up: str, tell: Tell) -> list[CameraPrior]:
    """The cameras that a rig file has for photos, found by the paths or names that these were handed in with."""
    rig = read_rig(path)
    names = [name for name, _ in photos]
    images = []
    for short_name, image in zip(short_names(names), match_photos(rig, names), strict=True):
        if image is None:
            raise UsageError(f"{rig.path} has no camera for {short_name}; it has {rig.first_names}")
        images.append(image)
    cameras = upright_cameras(rig, images, [photo for _, photo in photos], up)
    count = sum(each.turned for each in cameras)
    turned = f"; {counted(count, 'camera')} turned with the pixels, as EXIF says" if count else ""
    distorted = "; its lenses distort, which is passed over: undistorted pictures fit better" if rig.distorted else ""
    tell(f"cameras are taken from {rig.path} ({counted(len(photos), 'photo')}){turned}{distorted}")
    up = up if rig.foreign else ""
    return [CameraPrior(camera=each.camera, foreign=rig.foreign, mirrored=each.mirrored, up=up) for each in cameras]


def pictures_of_rig(folder: Path, path: Path) -> list[Path]:
    """The pictures in a folder that a rig file has cameras for, in its order.

    Folders inside it are searched where the rig's names have these folders too.
    """
    rig = read_rig(path)
    parents = [path_parts(image.name)[:-1] for image in rig.images]
    endings = {parent[start:] for parent in parents for start in range(len(parent) + 1)}
    folders = [folder.joinpath(*ending) for ending in endings if ".." not in ending]
    pictures = {str(picture.absolute()): picture for each in folders for picture in _pictures(each)}
    found = find_pictures(rig, sorted(pictures))
    if not found:
        raise InputError(
            f"{folder} holds none of the pictures that {rig.path} has cameras for, like {rig.first_names.split(',')[0]}"
        )
    return [pictures[picture] for picture in found]


def _pictures(folder: Path) -> list[Path]:
    """The picture files in a folder; none if there is no such folder."""
    with suppress(OSError):
        return [each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file()]
    return []


def unknown_azimuths(project: str, photos: Sequence[str]) -> UsageError:
    """The error for several photos of unknown azimuth, with the commands to type."""
    return UsageError(
        f"from which sides {', '.join(photos)} were taken is not known; `{project}` estimates it, or say it with "
        "--azimuth, one angle per photo, counter-clockwise seen from above"
    )


def _one_per_photo(
    flag: str, values: Sequence[float], count: int, lowest: float, highest: float
) -> Sequence[float | None]:
    """The values of a flag that takes one for all photos or one for each; None for all if there are none."""
    if any(not lowest <= value <= highest for value in values):
        raise UsageError(f"{flag} must lie between {lowest:g} and {highest:g} degrees")
    if len(values) not in (0, 1, count):
        raise UsageError(f"{flag} has {len(values)} values for {counted(count, 'photo')}; one for all or one per photo")
    return [float(value) for value in values] * (count if len(values) == 1 else 1) or [None] * count


def _turned_to(pose: PoseMatrix, ray: Sequence[float]) -> PoseMatrix:
    """A pose rotated about its own centre, so that `ray` (in camera axes) points where its viewing axis pointed.

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

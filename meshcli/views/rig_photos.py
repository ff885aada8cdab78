"""The cameras that a rig has for photos: which is whose, and turned with the pixels of its photo. Light: no numpy.

Photos are read upright, as EXIF says. Calibration programs look at the pixels as they are stored (COLMAP does), some
at the upright ones: where the two differ in shape, the size that the rig states tells which, for the rest of the rig's
photos too. Where nothing tells (no size, square pictures, upside down ones), a foreign rig is one of stored pixels and
ours is one of upright pixels.

What is stored mirrored and calibrated so was calibrated in the mirror image of the world. That world is mirrored back,
along an axis that leaves up and forward where they are; so all photos of a rig must be mirrored, or none.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.pictures.picture_file import MIRRORED, ON_ITS_SIDE, QUARTERS
from meshcli.views.camera import Camera
from meshcli.views.lens import Stored, stored
from meshcli.views.picture_names import Names, shortened
from meshcli.views.rig_files import Rig, Shot, Size
from meshcli.views.world_transform import axis

SHAPE = 0.02  # by more than this a picture's width over height may not differ from what was calibrated


@dataclass(frozen=True)
class Calibrated:
    """The camera of a photo as it is read."""

    camera: Camera
    turned: bool = False  # from how the pixels are stored
    mirrored: bool = False  # it is in the mirror image of the rig's world


def find_shots(rig: Rig, photos: Sequence[str]) -> list[Shot | None]:
    """What the rig knows of each photo, by the paths or names they were handed in with; None is nothing.

    Raises UsageError when a photo may be several of its pictures, or two photos the same one.
    """
    names, shots = Names(shot.name for shot in rig.shots), {shot.name: shot for shot in rig.shots}
    called = dict(zip(photos, shortened(photos), strict=True))
    taken: dict[str, str] = {}
    found: list[Shot | None] = []
    for photo in photos:
        name = _name(rig, names, photo, called[photo])
        if name and taken.setdefault(name, photo) != photo:
            raise UsageError(
                f"{called[taken[name]]} and {called[photo]} would both have the camera of {name} in {rig.path}; "
                "hand in one of them"
            )
        found.append(shots[name] if name else None)
    return found


def find_pictures(rig: Rig, pictures: Sequence[str]) -> list[str]:
    """Of many pictures those that the rig has cameras for, in its order; the likest one where there are several.

    Raises UsageError when two are equally alike.
    """
    names = Names(shot.name for shot in rig.shots)
    matched: dict[str, list[str]] = {shot.name: [] for shot in rig.shots}
    for picture, called in zip(pictures, shortened(pictures), strict=True):
        if name := _name(rig, names, picture, called):
            matched[name].append(picture)
    found = []
    for name, candidates in matched.items():
        best = list(Names(candidates).like(name))
        if len(best) > 1:
            raise UsageError(f"{rig.path} has one camera, that of {name}, for {_listed(best)}; take all but one away")
        found += best
    return found


def _name(rig: Rig, names: Names, photo: str, called: str) -> str:
    """What the rig calls a photo; empty is nothing."""
    like = list(names.like(photo))
    if len(like) > 1:
        raise UsageError(
            f"{rig.path} has several pictures that {called} may be: {_listed(like)}; hand the photos in from folders "
            "and by names like these"
        )
    return "".join(like)


def calibrated(rig: Rig, shots: Sequence[Shot], photos: Sequence[Path], up: str = "") -> list[Calibrated]:
    """The camera of each photo, as the photo is read; `up` is the axis of the rig's world that points up, if known.

    Raises InputError for a photo of another shape than what was calibrated, and when only some are mirrored.
    """
    shots = [_sized(shot) for shot in shots]
    pictures = [_as_calibrated(shot, stored(photo)) for shot, photo in zip(shots, photos, strict=True)]
    ways = [_ways(shot, picture) for shot, picture in zip(shots, pictures, strict=True)]
    for shot, photo, picture, possible in zip(shots, photos, pictures, ways, strict=True):
        if not possible:
            raise InputError(
                f"{photo} is {_by(picture.upright)} pixels and was calibrated as {_by(shot.size)} in {rig.path}: it "
                "was cropped or turned since; hand in what was calibrated"
            )
    told = {possible[0] == 1 for possible, picture in zip(ways, pictures, strict=True)
            if len(possible) == 1 and picture.orientation != 1}  # fmt: skip
    upright = not rig.foreign or told == {True}
    turns = [possible[-1] if upright else possible[0] for possible in ways]
    mirrored = [turn in MIRRORED for turn in turns]
    if any(mirrored) and not all(mirrored):
        one, other = photos[mirrored.index(True)], photos[mirrored.index(False)]
        raise InputError(
            f"{one} is mirrored by its EXIF tag, {other} is not, and one rig cannot hold for both; save the photos "
            "without that tag"
        )
    return [
        _turned(shot, picture, turn, _across(up)) for shot, picture, turn in zip(shots, pictures, turns, strict=True)
    ]


def _sized(shot: Shot) -> Shot:
    """With the size of the calibrated picture, if the rig or the picture itself tells it."""
    original = None if shot.size else _original(shot)
    return replace(shot, size=original.turned_from(original.orientation)) if original else shot


def _as_calibrated(shot: Shot, photo: Stored) -> Stored:
    """How a photo lies in its file; that of the calibrated picture where the photo is a copy that was turned since.

    Programs that cut out the object turn a photo upright and drop its tag.
    """
    if photo.orientation != 1 or shot.size is None or _alike(photo.upright, shot.size):
        return photo
    original = _original(shot)
    turned = original is not None and original.orientation in ON_ITS_SIDE and _alike(original.upright, photo.upright)
    return Stored(photo.upright, original.orientation) if original and turned else photo


def _original(shot: Shot) -> Stored | None:
    """How the calibrated picture lies in its file, if that is there and can be read."""
    file = shot.file
    with suppress(MeshcliError):
        return stored(file) if file else None
    return None


def _ways(shot: Shot, picture: Stored) -> list[int]:
    """How the calibrated picture may have been turned to be the photo: as its tag says, or (1) not at all."""
    ways = dict.fromkeys((picture.orientation, 1))
    return [way for way in ways if shot.size is None or _alike(picture.turned_from(way), shot.size)]


def _turned(shot: Shot, picture: Stored, turn: int, across: int) -> Calibrated:
    """The camera that sees the picture after its turn."""
    camera = shot.camera(shot.size or picture.turned_from(turn))
    if turn in MIRRORED:
        camera = camera.reflected(across)
    return Calibrated(camera.rolled(QUARTERS.get(turn, 0)), turn != 1, turn in MIRRORED)


def _across(up: str) -> int:
    """The axis that is neither up nor forward; see find_world_transform.py."""
    vector = axis(up or "z")
    return ([abs(value) for value in vector].index(1) + 2) % 3


def _alike(one: Size, other: Size) -> bool:
    """The intrinsics are fractions: a smaller copy is fine, a turned or cropped one is not."""
    return abs(one[0] / one[1] * other[1] / other[0] - 1.0) <= SHAPE


def _by(size: Size | None) -> str:
    return " x ".join(map(str, size or ()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")

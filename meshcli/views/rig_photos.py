"""The cameras that a rig has for photos: which is whose, turned like the pixels of its photo. Light: no numpy.

Photos are read upright, as EXIF says. Calibration programs look at the pixels as they are stored (COLMAP does), some
at the upright ones: where the two differ in shape, the size that the rig states tells which, for the rest of the rig's
photos too. Where nothing tells (no size, square pictures, upside down ones), a foreign rig is one of stored pixels and
ours is one of upright pixels.

A photo that is stored mirrored and was calibrated so was calibrated in the mirror image of the world. That coordinate
system is mirrored back, along the axis that is neither up nor forward; so all photos of a rig must be mirrored, or
none.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.pictures.picture_file import CLOCKWISE_QUARTER_TURNS, MIRRORED, SIDEWAYS
from meshcli.pictures.source_photo import PictureHeader, SourcePhoto
from meshcli.views.camera import Camera
from meshcli.views.picture_names import PictureNameIndex, short_names
from meshcli.views.rig_files import Rig, RigImage, Size
from meshcli.views.world_transform import parse_axis

# Width over height of a photo may differ by as much from the picture that was calibrated: smaller copies are rounded to
# whole pixels. More means that it was cropped or turned since. By choice; 3:2 and 4:3 differ by 0.12.
ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class UprightCamera:
    """The camera of a photo that is read upright."""

    camera: Camera
    turned: bool = False  # relative to the stored pixels
    mirrored: bool = False  # it is in the mirror image of the rig's coordinate system


def match_photos(rig: Rig, photos: Sequence[str]) -> list[RigImage | None]:
    """The rig's image of each photo, by the paths or names they were handed in with; None if there is none.

    Raises UsageError when a photo may be several of its images, or two photos the same one.
    """
    index, images = PictureNameIndex(image.name for image in rig.images), {image.name: image for image in rig.images}
    shown = dict(zip(photos, short_names(photos), strict=True))
    taken: dict[str, str] = {}
    found: list[RigImage | None] = []
    for photo in photos:
        name = _name_in_rig(rig, index, photo, shown[photo])
        if name and taken.setdefault(name, photo) != photo:
            raise UsageError(
                f"{shown[taken[name]]} and {shown[photo]} would both have the camera of {name} in {rig.path}; "
                "hand in one of them"
            )
        found.append(images[name] if name else None)
    return found


def find_pictures(rig: Rig, pictures: Sequence[str]) -> list[str]:
    """Of many pictures those that the rig has cameras for, in its order; the best match where there are several.

    Raises UsageError when two match equally well.
    """
    index = PictureNameIndex(image.name for image in rig.images)
    matched: dict[str, list[str]] = {image.name: [] for image in rig.images}
    for picture, shown in zip(pictures, short_names(pictures), strict=True):
        if name := _name_in_rig(rig, index, picture, shown):
            matched[name].append(picture)
    found = []
    for name, candidates in matched.items():
        best = list(PictureNameIndex(candidates).best_matches(name))
        if len(best) > 1:
            raise UsageError(f"{rig.path} has one camera, that of {name}, for {_listed(best)}; take all but one away")
        found += best
    return found


def upright_cameras(
    rig: Rig, images: Sequence[RigImage], photos: Sequence[SourcePhoto], up: str = ""
) -> list[UprightCamera]:
    """The camera of each photo as it is read, upright; `up` is the axis of the rig that points up, if stated.

    Raises InputError for a photo of another shape than the picture that was calibrated, and when only some are
    mirrored.
    """
    images = [_with_size(image) for image in images]
    headers = [_header_as_calibrated(image, photo.header) for image, photo in zip(images, photos, strict=True)]
    options = [_possible_turns(image, header) for image, header in zip(images, headers, strict=True)]
    for image, photo, header, possible in zip(images, photos, headers, options, strict=True):
        if not possible:
            raise InputError(
                f"{photo.path} is {_by(header.size)} pixels and was calibrated as {_by(image.size)} in {rig.path}: it "
                "was cropped or turned since; hand in what was calibrated"
            )
    turns = _turns(rig, headers, options)
    mirrored = [turn in MIRRORED for turn in turns]
    if any(mirrored) and not all(mirrored):
        one, other = photos[mirrored.index(True)].path, photos[mirrored.index(False)].path
        raise InputError(
            f"{one} is mirrored by its EXIF tag, {other} is not, and one rig cannot hold for both; save the photos "
            "without that tag"
        )
    axis = _mirror_axis(up)
    return [_turned(image, header, turn, axis) for image, header, turn in zip(images, headers, turns, strict=True)]


def _name_in_rig(rig: Rig, index: PictureNameIndex, photo: str, shown: str) -> str:
    """The rig's name of a photo; empty if it has none."""
    matches = list(index.best_matches(photo))
    if len(matches) > 1:
        raise UsageError(
            f"{rig.path} has several pictures that {shown} may be: {_listed(matches)}; hand the photos in from folders "
            "and by names like these"
        )
    return "".join(matches)


def _with_size(image: RigImage) -> RigImage:
    """With the size of the calibrated picture, if the rig states it or the picture exists."""
    original = None if image.size else _original_header(image)
    return replace(image, size=original.size_before(original.orientation)) if original else image


def _header_as_calibrated(image: RigImage, header: PictureHeader) -> PictureHeader:
    """The header of a photo, with the calibrated picture's orientation if the photo is a copy that was turned since.

    Programs that cut out the object turn a photo upright and drop its tag.
    """
    if header.orientation != 1 or image.size is None or _same_shape(header.size, image.size):
        return header
    original = _original_header(image)
    turned = original is not None and original.orientation in SIDEWAYS and _same_shape(original.size, header.size)
    return replace(header, orientation=original.orientation) if original and turned else header


def _original_header(image: RigImage) -> PictureHeader | None:
    """The header of the calibrated picture, if that exists and can be read."""
    file = image.file
    with suppress(MeshcliError):
        return SourcePhoto(file).header if file else None
    return None


def _possible_turns(image: RigImage, header: PictureHeader) -> list[int]:
    """The EXIF orientations that may lead from the calibrated picture to the photo: its tag's, or 1, none."""
    turns = dict.fromkeys((header.orientation, 1))
    return [turn for turn in turns if image.size is None or _same_shape(header.size_before(turn), image.size)]


def _turns(rig: Rig, headers: Sequence[PictureHeader], options: Sequence[list[int]]) -> list[int]:
    """One of the possible turns for each photo; photos whose shape tells decide for the others."""
    calibrated_upright = {
        possible[0] == 1
        for possible, header in zip(options, headers, strict=True)
        if len(possible) == 1 and header.orientation != 1
    }
    upright = rig.upright or calibrated_upright == {True}
    return [possible[-1] if upright else possible[0] for possible in options]


def _turned(image: RigImage, header: PictureHeader, turn: int, axis: int) -> UprightCamera:
    """The camera of the photo after its turn."""
    camera = image.camera(image.size or header.size_before(turn))
    if turn in MIRRORED:
        camera = camera.reflected(axis)
    return UprightCamera(camera.rolled(CLOCKWISE_QUARTER_TURNS.get(turn, 0)), turn != 1, turn in MIRRORED)


def _mirror_axis(up: str) -> int:
    """The index of the axis that is neither up nor forward; see find_world_transform.py."""
    vector = parse_axis(up or "z")
    return ([abs(value) for value in vector].index(1) + 2) % 3


def _same_shape(one: Size, other: Size) -> bool:
    """Intrinsics are fractions of the size: a smaller copy is fine, a turned or cropped one is not."""
    return abs(one[0] / one[1] * other[1] / other[0] - 1.0) <= ASPECT_TOLERANCE


def _by(size: Size | None) -> str:
    return " x ".join(map(str, size or ()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")

"""The set of photos that a call asks for, what is known about their cameras, and their names. Light: no numpy.

The PHOTO arguments are the whole set, none means the recorded set, `add` appends, `remove` takes out. A photo is
identified by its bytes, and its letter is never given to another one.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.progress import Tell
from meshcli.project.manifest import MAX_PHOTOS, Manifest, Photo
from meshcli.project.manifest_fields import PHOTO_NAME
from meshcli.project.project import Project
from meshcli.stages.photo_validation import PhotoValidator, values_at
from meshcli.views.lens import exif_field_of_view, field_of_view
from meshcli.views.photo_cameras import (
    MAX_TYPED_FOV,
    MIN_TYPED_FOV,
    CameraPrior,
    ImportKind,
    PhotoArgument,
    priors_beside_photos,
    priors_from_rig,
    typed_priors,
)
from meshcli.views.rigs_among_photos import rigs_beside


@dataclass(frozen=True)
class CameraArguments:
    """What the user typed about the cameras, in degrees; empty is unknown, one elevation or fov is for all photos."""

    azimuths: Sequence[float] = ()
    elevations: Sequence[float] = ()
    fovs: Sequence[float] = ()  # vertical, of the uncropped originals
    focals: Sequence[float] = ()  # millimetres, instead of fovs
    sensor: tuple[float, float] | None = None  # width and height in millimetres, for focals
    rig: Path | None = None  # a file of calibrated cameras, instead of all the others
    up: str = ""  # the rig's axis that points up
    ready: ImportKind = ""  # what the PHOTOs are

    def check(self, photos: Sequence[str | Path]) -> None:
        """UsageError when what was typed one per photo does not fit the photos."""
        arguments = [PhotoArgument(SourcePhoto(Path(photo))) for photo in photos]
        typed_priors(arguments, self.azimuths, self.elevations, self.fovs)
        if self.focals and (len(self.focals) not in (1, len(photos)) or min(self.focals) <= 0.0):
            raise UsageError("--focal must be above 0, one for all or one per photo")

    def at(self, indices: Sequence[int], count: int) -> "CameraArguments":
        """What was typed about some of `count` photos."""
        per_photo = (self.azimuths, self.elevations, self.fovs, self.focals)
        azimuths, elevations, fovs, focals = (values_at(values, indices, count) for values in per_photo)
        return replace(self, azimuths=azimuths, elevations=elevations, fovs=fovs, focals=focals)

    @property
    def anything(self) -> bool:
        """Whether anything was typed about the cameras."""
        return bool(self.azimuths or self.elevations or self.fovs or self.focals or self.rig)


@dataclass(frozen=True)
class RequestedPhoto:
    """A photo of the set that a call asks for."""

    photo: SourcePhoto
    source: str  # the name that the user knows it by
    stated: CameraPrior
    recorded: Photo | None = None  # its entry in the manifest if it was not handed in now


def request_photos(
    project: Project,
    manifest: Manifest,
    photos: Sequence[str | Path],
    typed: CameraArguments,
    add: bool,
    remove: Sequence[str],
    validator: PhotoValidator,
    tell: Tell,
) -> list[RequestedPhoto]:
    """The requested set, with what is known about every camera, without the photos that the validator leaves out."""
    recorded = [
        RequestedPhoto(SourcePhoto(project.path(photo.original)), photo.source, photo.stated, photo)
        for photo in _without(project, manifest, remove)
    ]
    if not photos:
        requested = _with_typed_cameras(recorded, typed, tell)
    else:
        typed.check(photos)
        usable = validator.read(photos, {photo.sha256 for photo in manifest.photos if photo.prepared})
        arguments, typed = list(usable.values()), typed.at(list(usable), len(photos))
        known = {photo.sha256: photo.stated for photo in manifest.photos if photo.stated.ready == typed.ready}
        before = [known.get(argument.photo.sha256, CameraPrior(ready=typed.ready)) for argument in arguments]
        priors = _camera_priors(
            arguments, [str(argument.path.absolute()) for argument in arguments], typed, tell, before
        )
        new = [
            RequestedPhoto(argument.photo, str(argument.path), _joined(old, prior))
            for argument, old, prior in zip(arguments, before, priors, strict=True)
        ]
        requested = recorded + new if add else new
    if not requested:
        raise UsageError(f"{project.root} has no photos; hand some in: `{project.command('generate')}`")
    return [_with_exif_lens(each, tell) for each in requested]


def _without(project: Project, manifest: Manifest, remove: Sequence[str]) -> list[Photo]:
    """The recorded set without the photos of these letters, which may have been taken out before.

    Raises UsageError for a letter of no photo, and when none would be left.
    """
    letters = [photo.name for photo in manifest.photos]
    if unknown := [name for name in remove if name not in letters]:
        known = f"its photos are {', '.join(letters)}" if letters else "it has none"
        raise UsageError(f"--remove {unknown[0]}: {project.root} has no photo of that letter; {known}")
    left = [photo for photo in manifest.active_photos if photo.name not in remove]
    if remove and not left:
        raise UsageError(f"--remove {','.join(remove)}: no photo of {project.root} would be left")
    return left


def name_photos(
    manifest: Manifest, requested: Sequence[RequestedPhoto], validator: PhotoValidator
) -> dict[str, RequestedPhoto]:
    """Give every photo its letter, by its bytes: name -> photo, in the order of letters.

    A photo of the set whose original was edited by hand keeps its letter; what it was edited from is another photo.
    """
    digests = [_sha256(each) for each in requested]
    recorded_names = [each.recorded.name if each.recorded else None for each in requested]
    known = {photo.sha256: photo.name for photo in manifest.photos if photo.name not in recorded_names}
    known |= {sha256: name for sha256, name in zip(digests, recorded_names, strict=True) if name}
    names = [known.get(sha256) for sha256 in digests]
    # The letter of a photo that was never cut out has named nothing yet.
    taken = {photo.name for photo in manifest.photos if photo.prepared} | {name for name in names if name}
    last = max(taken, key=_by_length, default="")
    fresh = map(letter, count(_next_index(last)))
    named: dict[str, RequestedPhoto] = {}
    sources: dict[str, str] = {}
    for each, sha256, name in zip(requested, digests, names, strict=True):
        if sha256 in sources:
            validator.reject_duplicate(each.source, sources[sha256])
            continue
        sources[sha256] = each.source
        named[name or next(fresh)] = each
    if len(taken | named.keys()) > MAX_PHOTOS or not all(map(PHOTO_NAME.fullmatch, named)):
        raise UsageError(f"a project holds up to {MAX_PHOTOS} photos; hand the others in to a second one")
    return dict(sorted(named.items(), key=lambda item: _by_length(item[0])))


def refuse_edited(project: Project, manifest: Manifest, named: Mapping[str, RequestedPhoto]) -> None:
    """ProjectError where a photo is handed in again whose copy in the project was edited by hand."""
    for photo in manifest.photos:
        requested = named.get(photo.name)
        if requested is None or requested.photo.sha256 != photo.sha256:
            continue
        if project.digest(photo.original) not in ("missing", photo.sha256):
            raise ProjectError(
                f"{project.path(photo.original)} was edited since {requested.source} was handed in; move it away to go "
                "on with what is handed in, or say --add and only what is new to go on with what was edited"
            )


def with_alignment(manifest: Manifest, named: Mapping[str, RequestedPhoto]) -> dict[str, RequestedPhoto]:
    """The same photos, with the results of `align` for those about whose cameras nothing else is stated now."""
    recorded = {photo.name: photo for photo in manifest.photos}
    result = dict(named)
    for name, requested in named.items():
        photo = recorded.get(name)
        if photo and photo.sha256 == requested.photo.sha256:
            prior = photo.stated
            if replace(prior, aligned=None) == requested.stated:
                result[name] = replace(requested, stated=prior)
    return result


def letter(index: int) -> str:
    """a, b ... z, aa, ab ... like the columns of a spreadsheet."""
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[tail]


def _next_index(name: str) -> int:
    """The index of the letter after this one; 0 after the empty name."""
    index = 0
    for character in name:
        index = index * 26 + ord(character) - ord("a") + 1
    return index


def _camera_priors(
    arguments: Sequence[PhotoArgument],
    names: Sequence[str],
    typed: CameraArguments,
    tell: Tell,
    before: Sequence[CameraPrior] = (),
) -> list[CameraPrior]:
    """What was stated about each camera by flags, by photo@angle, or in a rig file, where `names` are looked up.

    Without these, a cameras.json beside the photos is read for those about which nothing was stated `before`.
    """
    angles = any(argument.azimuth is not None for argument in arguments)
    if typed.ready.startswith("sheet") and (typed.elevations or typed.fovs or typed.focals or typed.rig):
        raise UsageError("the views of a sheet have the elevations and lenses of its rig; only --azimuth can be said")
    photos = [argument.photo for argument in arguments]
    if typed.rig:
        if angles or typed.azimuths or typed.elevations or typed.fovs or typed.focals:
            raise UsageError(
                f"the rig {typed.rig} has the cameras already; leave out --azimuth, --elevation, --fov and --focal"
            )
        return priors_from_rig(list(zip(names, photos, strict=True)), typed.rig, typed.up, tell)
    priors = typed_priors(arguments, typed.azimuths, typed.elevations, _fields_of_view(photos, typed))
    if typed.anything or angles or typed.ready:
        return priors
    open_photos = [photo for photo, old in zip(photos, before, strict=True) if not _was_typed(old)]
    found = priors_beside_photos(open_photos, tell) if open_photos else None
    if open_photos and not found:
        _name_rigs_beside(open_photos, tell)
    beside = iter(found or [CameraPrior()] * len(photos))
    return [CameraPrior() if _was_typed(old) else next(beside) for old in before]


def _name_rigs_beside(photos: Sequence[SourcePhoto], tell: Tell) -> None:
    """Say which file beside the photos may have their cameras, and how it is used."""
    if rigs := rigs_beside([photo.path for photo in photos]):
        flag = f"--rig {shlex.quote(str(rigs[0]))}"
        others = f" (or {', '.join(map(str, rigs[1:]))})" if rigs[1:] else ""
        tell(f"{rigs[0]} may have the photos' cameras{others} and is not used; with {flag} it is")


def _was_typed(prior: CameraPrior) -> bool:
    """Whether azimuth or camera were typed, other than taken from a cameras.json, which is read again."""
    return prior.azimuth is not None or prior.foreign


def _joined(old: CameraPrior, new: CameraPrior) -> CameraPrior:
    """What is known about a camera when `new` is stated; what is left out is as before."""
    if new.camera:
        return replace(new, ready=old.ready)
    if new.azimuth is new.elevation is new.fov is None:
        return old
    return CameraPrior(
        old.azimuth if new.azimuth is None else new.azimuth,
        old.elevation if new.elevation is None else new.elevation,
        old.fov if new.fov is None else new.fov,
        ready=old.ready,
    )


def _fields_of_view(photos: Sequence[SourcePhoto], typed: CameraArguments) -> Sequence[float]:
    """Vertical fields of view in degrees, as typed or from focal lengths."""
    if not typed.focals:
        if typed.sensor:
            raise UsageError("--sensor needs --focal")
        return typed.fovs
    if typed.fovs:
        raise UsageError("--fov and --focal exclude each other")
    if typed.sensor is None:
        raise UsageError("--focal needs --sensor, its width and height in mm: --focal 4.3 --sensor 8.8x6.6")
    typed.check([photo.path for photo in photos])
    focals = [*typed.focals] * (len(photos) if len(typed.focals) == 1 else 1)
    return [field_of_view(focal, typed.sensor, photo.header.size) for focal, photo in zip(focals, photos, strict=True)]


def _with_exif_lens(requested: RequestedPhoto, tell: Tell) -> RequestedPhoto:
    """A new photo whose field of view was not stated, with that of its EXIF data."""
    stated = requested.stated
    if requested.recorded or stated.camera or stated.ready or stated.fov is not None:
        return requested
    fov = exif_field_of_view(requested.photo.header)
    if fov is None or not MIN_TYPED_FOV <= fov <= MAX_TYPED_FOV:
        return requested
    name = requested.photo.path.name
    tell(f"{name}: the camera wrote that its vertical field of view is {fov:.1f} degrees (--fov overrules)")
    return replace(requested, stated=replace(stated, fov=fov))


def _with_typed_cameras(recorded: Sequence[RequestedPhoto], typed: CameraArguments, tell: Tell) -> list[RequestedPhoto]:
    """The recorded set, where what is typed now replaces what was known."""
    if not typed.anything:
        return list(recorded)
    arguments = [PhotoArgument(each.photo) for each in recorded]
    priors = _camera_priors(arguments, [each.source for each in recorded], typed, tell)
    result = []
    for each, new in zip(recorded, priors, strict=True):
        result.append(replace(each, stated=_joined(each.stated, new)))
    return result


def _sha256(requested: RequestedPhoto) -> str:
    try:
        return requested.photo.sha256
    except InputError as error:
        if requested.recorded:
            raise InputError(f"{error}; hand the photos in again") from error
        raise


def _by_length(name: str) -> tuple[int, str]:
    """A key to sort letters by: z comes before aa."""
    return len(name), name

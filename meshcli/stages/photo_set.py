"""Which photos shall be in the set, what is known about their cameras, and what they are called. Light: no numpy.

The PHOTO arguments are the whole set, none means the recorded set, `add` appends. A photo is known by its bytes, and
its letter is never given to another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.progress import Tell
from meshcli.project.manifest import MAX_PHOTOS, PHOTO_NAME, Manifest, Photo
from meshcli.project.project import Project
from meshcli.stages.photo_validation import Sieve, of_places
from meshcli.system.digests import bytes_digest, file_digest
from meshcli.views.lens import exif_field_of_view, field_of_view, picture_size
from meshcli.views.photo_cameras import CameraPrior, PhotoSpec, Ready, from_rig, from_rig_file, state


@dataclass(frozen=True)
class Typed:
    """What is said about the cameras, in degrees; empty is unknown, one elevation or fov stands for all photos."""

    azimuths: Sequence[float] = ()
    elevations: Sequence[float] = ()
    fovs: Sequence[float] = ()  # vertical, of the uncropped originals
    focals: Sequence[float] = ()  # millimetres, instead of fovs
    sensor: tuple[float, float] | None = None  # width and height in millimetres, for focals
    rig: Path | None = None  # a file of calibrated cameras, instead of all the others
    up: str = ""  # the axis of the rig's world that points up
    ready: Ready = ""  # what the PHOTOs are

    def check(self, photos: Sequence[str | Path]) -> None:
        """UsageError when what was typed one per photo does not fit the photos."""
        state([PhotoSpec(Path(photo)) for photo in photos], self.azimuths, self.elevations, self.fovs)
        if self.focals and (len(self.focals) not in (1, len(photos)) or min(self.focals) <= 0.0):
            raise UsageError("--focal must be above 0, one for all or one per photo")

    def of(self, places: Sequence[int], count: int) -> "Typed":
        """What is said about some of `count` photos."""
        every = (self.azimuths, self.elevations, self.fovs, self.focals)
        azimuths, elevations, fovs, focals = (of_places(values, places, count) for values in every)
        return replace(self, azimuths=azimuths, elevations=elevations, fovs=fovs, focals=focals)

    @property
    def anything(self) -> bool:
        """Whether anything was said about the cameras."""
        return bool(self.azimuths or self.elevations or self.fovs or self.focals or self.rig)


@dataclass(frozen=True)
class RequestedPhoto:
    """A photo that shall be in the set."""

    path: Path
    source: str  # what the user calls it
    stated: CameraPrior
    recorded: Photo | None = None


def claim_set(
    project: Project,
    manifest: Manifest,
    photos: Sequence[str | Path],
    typed: Typed,
    add: bool,
    sieve: Sieve,
    tell: Tell,
) -> list[RequestedPhoto]:
    """The set that shall be, with what is known about every camera; what the sieve holds back is not in it."""
    recorded = [
        RequestedPhoto(project.path(photo.original), photo.source, photo.stated, photo)
        for photo in manifest.live_photos
    ]
    if not photos:
        claims = _restated(recorded, typed, tell)
    else:
        typed.check(photos)
        found = sieve.specs(photos, {photo.sha256 for photo in manifest.photos if photo.prepared})
        specs, typed = list(found.values()), typed.of(list(found), len(photos))
        stated = _state(specs, [str(spec.path.absolute()) for spec in specs], typed, tell)
        new = [
            RequestedPhoto(spec.path, str(spec.path), replace(known, ready=typed.ready))
            for spec, known in zip(specs, stated, strict=True)
        ]
        claims = recorded + new if add else new
    if not claims:
        raise UsageError(f"{project.root} has no photos; hand some in: `{project.command('generate')}`")
    return [_with_lens(claim, tell) for claim in claims]


def name_set(
    manifest: Manifest, claims: Sequence[RequestedPhoto], sieve: Sieve
) -> dict[str, tuple[str, RequestedPhoto]]:
    """Give every photo its letter, by its bytes: name -> (sha256 of the original, claim), in the order of letters.

    A photo of the set whose original was edited by hand keeps its letter; what it was edited from is another photo.
    """
    digests = [_hash(claim) for claim in claims]
    here = [claim.recorded.name if claim.recorded else None for claim in claims]
    known = {photo.sha256: photo.name for photo in manifest.photos if photo.name not in here}
    known |= {sha: name for sha, name in zip(digests, here, strict=True) if name}
    names = [known.get(sha) for sha in digests]
    # A photo that never got as far as its cut-out has given its letter to nothing.
    taken = {photo.name for photo in manifest.photos if photo.prepared} | {name for name in names if name}
    last = max(taken, key=_order, default="")
    fresh = map(letter, count(_place(last)))
    named: dict[str, tuple[str, RequestedPhoto]] = {}
    sources: dict[str, str] = {}
    for claim, sha256, name in zip(claims, digests, names, strict=True):
        if sha256 in sources:
            sieve.twin(claim.source, sources[sha256])
            continue
        sources[sha256] = claim.source
        named[name or next(fresh)] = (sha256, claim)
    if len(taken | named.keys()) > MAX_PHOTOS or not all(map(PHOTO_NAME.fullmatch, named)):
        raise UsageError(f"a project holds up to {MAX_PHOTOS} photos; hand the others in to a second one")
    return dict(sorted(named.items(), key=lambda item: _order(item[0])))


def refuse_edited(project: Project, manifest: Manifest, named: Mapping[str, tuple[str, RequestedPhoto]]) -> None:
    """ProjectError where a photo is handed in again whose copy in the project was edited by hand."""
    for photo in manifest.photos:
        sha256, claim = named.get(photo.name, ("", None))
        if claim and photo.sha256 == sha256 and project.digest(photo.original) not in ("missing", sha256):
            raise ProjectError(
                f"{project.path(photo.original)} was edited since {claim.source} was handed in; move it away to go on "
                "with what is handed in, or say --add and only what is new to go on with what was edited"
            )


def read_claim(claim: RequestedPhoto, sha256: str) -> bytes:
    """A picture as it was when it was named; InputError when somebody has changed it since."""
    data = claim.path.read_bytes() if claim.path.is_file() else b""
    if bytes_digest(data) != sha256:
        raise InputError(f"{claim.path} is being changed at this moment; type the command again")
    return data


def with_alignment(
    manifest: Manifest, named: Mapping[str, tuple[str, RequestedPhoto]]
) -> dict[str, tuple[str, RequestedPhoto]]:
    """The same claims with what `align` found out about photos of which nothing else is said now."""
    found = {photo.name: (photo.sha256, photo.stated) for photo in manifest.photos}

    def carried(name: str, sha256: str, claim: RequestedPhoto) -> RequestedPhoto:
        before, known = found.get(name, ("", CameraPrior()))
        same = before == sha256 and replace(known, aligned=None) == claim.stated
        return replace(claim, stated=known) if same else claim

    return {name: (sha256, carried(name, sha256, claim)) for name, (sha256, claim) in named.items()}


def sideless(manifest: Manifest) -> list[str]:
    """Names of the photos of which nobody knows from which side they were taken; a single photo defines the sides."""
    photos = manifest.live_photos
    return [photo.name for photo in photos if len(photos) > 1 and not photo.stated.posed]


def letter(index: int) -> str:
    """a, b ... z, aa, ab ... like the columns of a spreadsheet."""
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[tail]


def _place(name: str) -> int:
    """Of the name after this one among all letters; of the first one after none."""
    place = 0
    for character in name:
        place = place * 26 + ord(character) - ord("a") + 1
    return place


def _state(specs: Sequence[PhotoSpec], names: Sequence[str], typed: Typed, tell: Tell) -> list[CameraPrior]:
    """What was said about each photo, by flags, by photo@angle, or in a file of cameras."""
    angles = any(spec.azimuth is not None for spec in specs)
    if typed.ready.startswith("sheet") and (typed.elevations or typed.fovs or typed.focals or typed.rig):
        raise UsageError("the views of a sheet have the elevations and lenses of its rig; only --azimuth can be said")
    if typed.rig:
        if angles or typed.azimuths or typed.elevations or typed.fovs or typed.focals:
            raise UsageError("--rig has the cameras already; leave out --azimuth, --elevation, --fov and --focal")
        photos = [(name, spec.path) for name, spec in zip(names, specs, strict=True)]
        return from_rig_file(photos, typed.rig, typed.up, tell)
    stated = state(specs, typed.azimuths, typed.elevations, _fovs(specs, typed))
    if typed.anything or angles or typed.ready:
        return stated
    return from_rig(specs, tell) or stated


def _fovs(specs: Sequence[PhotoSpec], typed: Typed) -> Sequence[float]:
    """Fields of view, as typed or from focal lengths."""
    if not typed.focals:
        if typed.sensor:
            raise UsageError("--sensor needs --focal")
        return typed.fovs
    if typed.fovs:
        raise UsageError("--fov and --focal exclude each other")
    if typed.sensor is None:
        raise UsageError("--focal needs --sensor, its width and height in mm: --focal 4.3 --sensor 8.8x6.6")
    typed.check([spec.path for spec in specs])
    focals = [*typed.focals] * (len(specs) if len(typed.focals) == 1 else 1)
    return [
        field_of_view(focal, typed.sensor, picture_size(spec.path)) for focal, spec in zip(focals, specs, strict=True)
    ]


def _with_lens(claim: RequestedPhoto, tell: Tell) -> RequestedPhoto:
    """A new photo of whose lens nothing was said, with what its file says."""
    stated = claim.stated
    if claim.recorded or stated.camera or stated.ready or stated.fov is not None:
        return claim
    try:
        fov = exif_field_of_view(claim.path)
    except InputError:
        return claim  # said, with what to do, when the picture is needed
    if fov is None or not 1.0 <= fov <= 150.0:
        return claim
    tell(f"{claim.path.name}: the camera wrote that its vertical field of view is {fov:.1f} degrees (--fov overrules)")
    return replace(claim, stated=replace(stated, fov=fov))


def _restated(recorded: Sequence[RequestedPhoto], typed: Typed, tell: Tell) -> list[RequestedPhoto]:
    """The recorded set with what is typed now instead of what was known."""
    if not typed.anything:
        return list(recorded)
    specs = [PhotoSpec(claim.path) for claim in recorded]
    new = _state(specs, [claim.source for claim in recorded], typed, tell)
    claims = []
    for claim, said in zip(recorded, new, strict=True):
        known = said if said.camera else CameraPrior(
            claim.stated.azimuth if said.azimuth is None else said.azimuth,
            claim.stated.elevation if said.elevation is None else said.elevation,
            claim.stated.fov if said.fov is None else said.fov,
        )  # fmt: skip
        claims.append(replace(claim, stated=replace(known, ready=claim.stated.ready)))
    return claims


def _hash(claim: RequestedPhoto) -> str:
    if claim.path.is_fifo():  # it would be waited for, and can be read only once
        raise InputError(f"{claim.path} is not a file")
    try:
        return file_digest(claim.path)
    except OSError as error:
        again = "; hand the photos in again" if claim.recorded else ""
        raise InputError(f"{claim.path} cannot be read: {error.strerror}{again}") from error


def _order(name: str) -> tuple[int, str]:
    """Of letters: z before aa."""
    return len(name), name

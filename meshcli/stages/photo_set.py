"""Which photos shall be in the set, what is known about their cameras, and what they are called. Light: no numpy.

The PHOTO arguments are the whole set, none means the recorded set, `add` appends. A photo is known by its bytes, and
its letter is never given to another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.fingerprint import file_digest
from meshcli.manifest import Manifest, Photo
from meshcli.posing import Stated, from_rig, missing_angles, read_spec, state
from meshcli.progress import Tell
from meshcli.project import Project
from meshcli.tables import Table


@dataclass(frozen=True)
class Typed:
    """What is said about the cameras, in degrees; empty is unknown, one elevation or fov stands for all photos."""

    azimuths: Sequence[float] = ()
    elevations: Sequence[float] = ()
    fovs: Sequence[float] = ()  # vertical, of the uncropped originals

    @property
    def anything(self) -> bool:
        """Whether anything was said."""
        return bool(self.azimuths or self.elevations or self.fovs)


@dataclass(frozen=True)
class Claim:
    """A photo that shall be in the set."""

    path: Path
    source: str  # what the user calls it
    stated: Stated
    recorded: Photo | None = None


def claim_set(
    project: Project, manifest: Manifest, photos: Sequence[str | Path], typed: Typed, add: bool, tell: Tell
) -> list[Claim]:
    """The set that shall be, with what is known about every camera."""
    recorded = [
        Claim(project.path(photo.original), photo.source, _recorded(photo), photo) for photo in manifest.live_photos
    ]
    if not photos:
        claims = _restated(recorded, typed)
    else:
        specs = [read_spec(photo) for photo in photos]
        said = typed.anything or any(spec.azimuth is not None for spec in specs)
        stated = state(specs, typed.azimuths, typed.elevations, typed.fovs)
        if not said:
            stated = from_rig(specs, tell) or stated
        new = [Claim(spec.path, str(spec.path), known) for spec, known in zip(specs, stated, strict=True)]
        claims = recorded + new if add else new
    if not claims:
        raise UsageError(f"{project.root} has no photos; hand some in: `{project.command('generate')}`")
    if len(claims) > 1 and not all(claim.stated.posed for claim in claims):
        raise missing_angles(project.root, [str(claim.path) for claim in claims])
    return claims


def name_set(manifest: Manifest, claims: Sequence[Claim]) -> dict[str, tuple[str, Claim]]:
    """Give every photo its letter, by its bytes: name -> (sha256 of the original, claim), in the order of letters."""
    known = {photo.sha256: photo.name for photo in manifest.photos}
    digests = [_hash(claim) for claim in claims]
    names = [
        claim.recorded.name if claim.recorded else known.get(sha) for claim, sha in zip(claims, digests, strict=True)
    ]
    # A photo that never got as far as its cut-out has given its letter to nothing.
    taken = {photo.name for photo in manifest.photos if photo.prepared} | {name for name in names if name}
    last = max(map(_order, taken), default=(0, ""))
    fresh = (name for name in map(letter, count()) if _order(name) > last)
    named: dict[str, tuple[str, Claim]] = {}
    sources: dict[str, str] = {}
    for claim, sha256, name in zip(claims, digests, names, strict=True):
        if sha256 in sources:
            raise UsageError(f"{claim.source} and {sources[sha256]} are the same picture; hand it in once")
        sources[sha256] = claim.source
        named[name or next(fresh)] = (sha256, claim)
    return dict(sorted(named.items(), key=lambda item: _order(item[0])))


def letter(index: int) -> str:
    """a, b ... z, aa, ab ... like the columns of a spreadsheet."""
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[tail]


def _recorded(photo: Photo) -> Stated:
    return Stated.read(Table(photo.stated, f"manifest.json: photo {photo.name}: stated", ProjectError))


def _restated(recorded: Sequence[Claim], typed: Typed) -> list[Claim]:
    """The recorded set with what is typed now instead of what was known."""
    claims = []
    specs = [read_spec(claim.path) for claim in recorded] if typed.anything else []
    new = state(specs, typed.azimuths, typed.elevations, typed.fovs) or [Stated()] * len(recorded)
    for claim, said in zip(recorded, new, strict=True):
        known = claim.stated
        if said != Stated():
            known = Stated(
                known.azimuth if said.azimuth is None else said.azimuth,
                known.elevation if said.elevation is None else said.elevation,
                known.fov if said.fov is None else said.fov,
            )
        claims.append(replace(claim, stated=known))
    return claims


def _hash(claim: Claim) -> str:
    try:
        return file_digest(claim.path)
    except OSError as error:
        again = "; hand the photos in again" if claim.recorded else ""
        raise InputError(f"{claim.path} cannot be read: {error.strerror}{again}") from error


def _order(name: str) -> tuple[int, str]:
    """Of letters: z before aa."""
    return len(name), name

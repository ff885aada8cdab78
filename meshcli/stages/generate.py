"""Photos -> views: six posed views of each photo, painted by a generator. Light until there is something to do.

The PHOTO arguments are the whole set, none means the recorded set, `add` appends. A photo is known by its bytes: its
letter is never given to another one, and what was cut out once is not cut out again. A cut-out that somebody edited by
hand is kept and makes new views; a view that was edited by hand is kept until the photos change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.engines import Generator, pick_generator
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.fingerprint import bytes_digest, digest, file_digest, seed_for
from meshcli.manifest import Manifest, Photo, ViewEntry
from meshcli.posing import Stated, from_rig, missing_angles, read_spec, state
from meshcli.progress import Tell, unheard
from meshcli.project import Project
from meshcli.settings import PhotoSettings, Settings
from meshcli.stages.inputs import Parts, fingerprint, photo_parts
from meshcli.stages.work import How, Outcome, Task, Work, affordable, unchanged, working
from meshcli.tables import Table

if TYPE_CHECKING:
    from meshcli.view import View

SHEET = "views/sheet.png"
WHOLE = (0.0, 0.0, 1.0, 1.0)  # a frame that is the picture


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


def generate_views(
    project: Project,
    photos: Sequence[str | Path] = (),
    typed: Typed = Typed(),
    *,
    add: bool = False,
    settings: Settings = Settings(),
    engine: Generator = "auto",
    seed: int = 0,
    how: How = How(),
) -> Outcome:
    """Cut the photos out, frame them and paint six views of each.

    Raises UsageError for arguments that do not fit, InputError for a picture that cannot be used.
    """
    if not project.exists:
        _claims(project, Manifest(), photos, typed, add, unheard)  # a mistake leaves no directory behind
    project.create()
    with project.writing(how.wait, how.tell, new=True):
        manifest = project.load() if project.exists else Manifest()
        named = _named(manifest, _claims(project, manifest, photos, typed, add, how.tell))
        chosen, why = pick_generator(engine)
        record = manifest.stages.get("generate")
        settings, asked, smaller = affordable(record, chosen, settings, _options(settings, seed), how)
        options = _options(settings, seed)
        said = {name: (sha256, claim.stated.to_json()) for name, (sha256, claim) in named.items()}

        def inputs() -> Parts:
            return fingerprint(chosen, options, photo_parts(project, said))

        task = Task("generate", chosen, options, inputs(), asked, smaller, fallback(settings))
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        how.tell(f"engine {chosen} ({why})")
        with working(project, manifest, task, how) as work:
            _generate(work, named, settings, seed)
            work.task = replace(task, inputs=inputs())  # the cut-outs are there now
        return work.outcome()


def fallback(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: coarser grids, then smaller views; empty when nothing is left."""
    if max(settings.fit.resolutions) > 40:
        return {"fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions]}
    return {"sculpt.view_size": settings.sculpt.view_size // 2} if settings.sculpt.view_size > 160 else {}


def letter(index: int) -> str:
    """a, b ... z, aa, ab ... like the columns of a spreadsheet."""
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[tail]


def _options(settings: Settings, seed: int) -> dict[str, Any]:
    table = sections(settings, "photo", "sculpt", "fit")
    del table["photo"]["max_pixels"]  # a limit, not a property of the result
    return {**table, "seed": seed}


def _claims(
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


def _named(manifest: Manifest, claims: Sequence[Claim]) -> dict[str, tuple[str, Claim]]:
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


def _hash(claim: Claim) -> str:
    try:
        return file_digest(claim.path)
    except OSError as error:
        again = "; hand the photos in again" if claim.recorded else ""
        raise InputError(f"{claim.path} cannot be read: {error.strerror}{again}") from error


def _order(name: str) -> tuple[int, str]:
    """Of letters: z before aa."""
    return len(name), name


def _generate(work: Work, named: dict[str, tuple[str, Claim]], settings: Settings, seed: int) -> None:
    with work.step("photos"):
        _register(work, named)
        for index, (name, (_, claim)) in enumerate(named.items()):
            work.how.progress(index, len(named), f"cutting out {claim.source}")
            photos = {photo.name: photo for photo in work.manifest.photos}
            photos[name] = _prepare(work, photos[name], claim, settings.photo)
            work.save(replace(work.manifest, photos=tuple(photos.values())))  # finished photos are kept
    with work.step("views"):
        painted = _paint(work, work.manifest.live_photos, settings, seed)
    _store(work, painted)


def _register(work: Work, named: dict[str, tuple[str, Claim]]) -> None:
    """Copy the originals and write the new set down, so that an interrupted run can go on without any argument."""
    photos = {
        photo.name: replace(photo, removed=photo.name not in named)
        for photo in work.manifest.photos
        if photo.prepared or photo.name in named
    }
    for name, (sha256, claim) in named.items():
        photo = photos.get(name)
        if photo is None or photo.sha256 != sha256:
            suffix = Path(claim.source).suffix.lower()
            original = f"photos/{name}.original{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
            source = claim.source if claim.recorded else claim.path.name
            camera = claim.stated.framed(WHOLE, 1, 1)  # until it is framed
            photo = Photo(name, f"photos/{name}.png", original, source, sha256, camera, size=(1, 1), crop=WHOLE)
        if work.project.digest(photo.original) != sha256:
            data = claim.path.read_bytes()
            if bytes_digest(data) != sha256:
                raise InputError(f"{claim.path} is being changed at this moment; type the command again")
            work.project.write({photo.original: data})
        work.outputs.append(work.project.output(photo.original))
        photos[name] = replace(photo, stated=claim.stated.to_json())
    forgotten = {photo.original for photo in work.manifest.photos} - {photo.original for photo in photos.values()}
    work.save(replace(work.manifest, photos=tuple(photos.values())))
    for file in forgotten:  # of photos that could not be used
        work.project.path(file).unlink(missing_ok=True)


def _prepare(work: Work, photo: Photo, claim: Claim, settings: PhotoSettings) -> Photo:
    """The photo cut out and framed, or as it is when that was done before and nothing changed."""
    prepared = digest([photo.sha256, settings.foreground_ratio, settings.rembg, settings.rembg_model])
    if photo.prepared == prepared and not work.how.force and work.project.path(photo.file).is_file():
        work.outputs.append(work.project.output(photo.file))
        return replace(photo, camera=claim.stated.framed(photo.crop, *photo.size))

    from meshcli.foreground import cut_out
    from meshcli.image import encode_png, frame_foreground, load_picture

    pixels = load_picture(claim.path, settings.max_pixels)
    cut = cut_out(pixels, settings, rembg=settings.rembg, offline=work.how.offline)
    framed, crop = frame_foreground(cut.pixels, settings.foreground_ratio)
    framed[framed[..., 3] == 0, :3] = 255  # engines that look at RGB alone expect white
    work.write({photo.file: encode_png(framed)})
    frame, size = (crop.left, crop.top, crop.width, crop.height), (pixels.shape[1], pixels.shape[0])
    return replace(
        photo, camera=claim.stated.framed(frame, *size), size=size, crop=frame, prepared=prepared, method=cut.method
    )


def _paint(work: Work, photos: Sequence[Photo], settings: Settings, seed: int) -> "list[tuple[Photo, list[View]]]":
    """Call the generator: every photo, its camera refined where it was not exact, with its views."""
    from meshcli.generators.sculpt import sculpt
    from meshcli.stages.pictures import load_views

    pictures = load_views(work.project, photos)
    seeds = [seed_for(seed, photo.sha256) for photo in photos]
    sculpture = sculpt(pictures, settings.sculpt, settings.fit, seeds, work.how.progress)
    for note in sculpture.notes:
        work.note(note)
    refined = [replace(photo, camera=view.camera) for photo, view in zip(photos, sculpture.photos, strict=True)]
    return list(zip(refined, sculpture.views, strict=True))


def _store(work: Work, painted: "list[tuple[Photo, list[View]]]") -> None:
    """Write the views; a view keeps its number for ever, new ones are appended."""
    from meshcli.image import encode_png, labelled_sheet

    photos = {photo.name: photo for photo in work.manifest.photos}
    entries = {view.name: view for view in work.manifest.views}
    numbers = {name: number for number, name in enumerate(entries)}
    files, shown = {}, {}
    for photo, views in painted:
        photos[photo.name] = photo
        for tile, view in enumerate(views):
            name = f"{photo.name}{tile}"
            number = numbers.setdefault(name, len(numbers))
            entries[name] = ViewEntry(name, f"views/{number:02d}.png", photo.name, view.camera, work.task.engine)
            files[entries[name].file] = encode_png(view.pixels)
            shown[f"{number}  {name}  {round(view.camera.azimuth) % 360}/{round(view.camera.elevation)}"] = view.pixels
    files[SHEET] = encode_png(labelled_sheet(list(shown.values()), list(shown), columns=len(painted[0][1])))
    work.write(files)
    work.manifest = replace(work.manifest, photos=tuple(photos.values()), views=tuple(entries.values()))

"""Photos -> views: six posed views of each photo, painted by a generator. Light until there is something to do.

What was cut out once is not cut out again. A cut-out that somebody edited by hand is kept and makes new views; a view
that was edited by hand is kept until the photos change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from meshcli.engines import VERSIONS, Generator, pick_generator, refuse_idle
from meshcli.errors import InputError
from meshcli.project.manifest import Manifest, Photo, Record
from meshcli.project.project import Project
from meshcli.settings import PhotoSettings, Settings
from meshcli.stages.imported_views import (
    WHOLE,
    Prepared,
    engine_before,
    enter_frame,
    hand_on,
    prepare_ready,
    retired,
    suited,
)
from meshcli.stages.inputs import Parts, fingerprint, photo_parts
from meshcli.stages.photo_set import (
    Claim,
    Typed,
    claim_set,
    name_set,
    read_claim,
    refuse_edited,
    sideless,
    with_alignment,
)
from meshcli.stages.photo_validation import Sieve
from meshcli.stages.stage_runner import How, Outcome, Task, Work, affordable, ensure_room, entering, unchanged, working
from meshcli.stages.view_candidates import is_photo, refreshed
from meshcli.stages.view_generation import check_engine, engine_options, fallback, lacking, paint_views
from meshcli.system.digests import digest
from meshcli.views.lens import picture_size
from meshcli.views.picture_names import shortened


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
    sieve = Sieve(how.keep_going, settings.photo.max_pixels, how.complain)
    new = None if project.exists else claim_set(project, Manifest(), photos, typed, add, sieve, how.tell)
    if new is not None:
        _pick(Manifest(), new, engine, settings, how)  # a mistake leaves no directory behind
    if not how.dry:
        project.create()
    with entering(project, how, new=True):
        manifest = project.load() if project.exists else Manifest()
        claims = (
            new if new and not manifest.photos else claim_set(project, manifest, photos, typed, add, sieve, how.tell)
        )
        record = manifest.stages.get("generate")
        named = with_alignment(manifest, name_set(manifest, claims, sieve))
        unusable = _leave_out_again(record, named, settings.photo, sieve)
        chosen, why = _pick(manifest, claims, engine, settings, how)
        options = engine_options(chosen, settings, seed, how, record)
        settings, asked, smaller = affordable(record, chosen, settings, options, how)
        if smaller:
            options = engine_options(chosen, settings, seed, how, record)

        def inputs() -> Parts:
            said = {name: (sha256, claim.stated.to_json()) for name, (sha256, claim) in named.items()}
            return fingerprint(chosen, options, photo_parts(project, said))

        task = Task("generate", chosen, options, inputs(), asked, smaller, fallback(chosen, settings))
        if outcome := unchanged(project, manifest, task, how):
            return replace(outcome, left_out=tuple(sieve.left_out))
        ensure_room(project, manifest, task, how)
        check_engine(chosen, settings, how)
        refuse_edited(project, manifest, named)
        how.tell(f"engine {chosen} ({why})")
        try:
            with working(project, manifest, task, how) as work:
                work.facts |= unusable
                _cut_out(work, named, settings, sieve)
                work.task = replace(task, inputs=inputs())  # the cut-outs are there; who edits one from now on is heard
                _paint(work, settings, seed, record.engine if record else "")
        except InputError:
            if sieve.stopped:
                _undo(project, manifest)
            raise
        return replace(work.outcome(), left_out=tuple(sieve.left_out))


def _pick(
    manifest: Manifest, claims: Sequence[Claim], engine: Generator, settings: Settings, how: How
) -> tuple[str, str]:
    """The engine for a set of photos, and why; UsageError for a set or a flag that it has no use for."""
    engine = suited(engine, claims)
    ready = any(claim.stated.ready for claim in claims)
    before = "" if how.force else engine_before(manifest, ready)
    chosen, why = pick_generator(engine, before, lacking(settings, how) if engine == "auto" else "")
    why = "the views are ready" if ready else why
    refuse_idle(how.flags, chosen, why)
    return chosen, why


def _cut_out(work: Work, named: dict[str, tuple[str, Claim]], settings: Settings, sieve: Sieve) -> None:
    """Every object, in its frame; `named` loses the photos that are left out."""
    with work.step("photos"):
        _register(work, named)
        done: dict[str, Prepared] = {}
        bad = []
        for index, (name, (_, claim)) in enumerate(named.items()):
            work.how.progress(index, len(named), f"cutting out {claim.source}")
            photo = next(each for each in work.manifest.photos if each.name == name)
            with sieve.trying(claim.source):
                done[name] = after, files = _prepare(work, photo, claim, settings.photo)
                if not photo.prepared:  # kept, whatever happens to the others
                    work.write(files)
                    work.save(_with_photos(work.manifest, {name: after}))
                    done[name] = after, {}
            if name not in done:
                bad.append(name)
        sieve.settle(len(named))
        work.write({file: data for _, files in done.values() for file, data in files.items()})
        work.save(_with_photos(work.manifest, {name: photo for name, (photo, _) in done.items()}))
        if bad:
            _leave_out(work, named, bad, settings.photo, sieve)
        enter_frame(work, named)


def _with_photos(manifest: Manifest, changed: Mapping[str, Photo]) -> Manifest:
    return replace(manifest, photos=tuple(changed.get(photo.name, photo) for photo in manifest.photos))


def _leave_out(
    work: Work, named: dict[str, tuple[str, Claim]], bad: Sequence[str], settings: PhotoSettings, sieve: Sieve
) -> None:
    """Take photos that cannot be used out of the set again, and note them for the next time."""
    originals = [photo.original for photo in work.manifest.photos if photo.name in bad]
    reasons = sieve.left_out[-len(bad) :]
    rows = [
        {**left.to_json(), "key": _key(named.pop(name)[0], settings)} for name, left in zip(bad, reasons, strict=True)
    ]
    work.facts["left_out"] = [*work.facts.get("left_out", []), *rows]
    work.outputs = [output for output in work.outputs if output.file not in originals]
    photos = [replace(photo, removed=photo.removed or photo.name in bad) for photo in work.manifest.photos]
    kept = tuple(photo for photo in photos if photo.prepared or not photo.removed)
    _keep(work.project, work.manifest, kept)
    work.manifest = replace(work.manifest, photos=kept)


def _leave_out_again(
    record: Record | None, named: dict[str, tuple[str, Claim]], settings: PhotoSettings, sieve: Sieve
) -> dict[str, Any]:
    """What could not be cut out the last time is not tried again, so that the rest is known to be unchanged."""
    rows = record.facts.get("left_out", []) if record and sieve.keep_going else []
    known = {str(row.get("key")): row for row in rows if isinstance(row, dict)}
    count = len(named)
    again: list[Any] = []
    for name, (sha256, claim) in list(named.items()):
        if row := known.get(_key(sha256, settings)):
            with sieve.trying(claim.source):
                raise InputError(str(row.get("reason")))
            del named[name]
            again.append(row)
    sieve.settle(count)
    return {"left_out": again} if again else {}


def _undo(project: Project, before: Manifest) -> None:
    """The set as it was before a photo turned out to be of no use; what was cut out is kept for the next time."""
    if before.live_photos:
        now, names = project.load(), {photo.name for photo in before.photos}
        more = [replace(photo, removed=True) for photo in now.photos if photo.prepared and photo.name not in names]
        project.save(before)
        _keep(project, replace(before, photos=now.photos), [*before.photos, *more])


def _keep(project: Project, manifest: Manifest, photos: Sequence[Photo]) -> None:
    """Save a manifest with these photos only, and remove the originals of the others."""
    project.save(replace(manifest, photos=tuple(photos)))
    for file in {photo.original for photo in manifest.photos} - {photo.original for photo in photos}:
        project.path(file).unlink(missing_ok=True)


def _paint(work: Work, settings: Settings, seed: int, before: str) -> None:
    """The views; `before` is the engine of the last time."""
    if work.task.engine == "photos":
        hand_on(work, settings.photo)
    else:
        if before == "photos":
            work.manifest = retired(work.manifest, is_photo)
        paint_views(work, settings, seed)
    with work.step("scores"):
        work.manifest, outputs = refreshed(work.project, work.manifest)
        work.outputs += outputs
    if unknown := sideless(work.manifest):
        work.note(f"from which sides {', '.join(unknown)} were taken: `{work.project.command('align')}` finds it out")


def _register(work: Work, named: dict[str, tuple[str, Claim]]) -> None:
    """Copy the originals and write the new set down, so that an interrupted run can go on without any argument."""
    photos = {
        photo.name: replace(photo, removed=photo.name not in named)
        for photo in work.manifest.photos
        if photo.prepared or photo.name in named
    }
    claims = [claim for _, claim in named.values()]
    called = shortened([claim.source if claim.recorded else str(claim.path.absolute()) for claim in claims])
    for short, (name, (sha256, claim)) in zip(called, named.items(), strict=True):
        photo = photos.get(name)
        if photo is None or photo.sha256 != sha256:
            suffix = Path(claim.source).suffix.lower()
            suffix = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
            original = _free(work.project, f"photos/{name}.original", suffix, sha256)
            camera = claim.stated.framed(WHOLE, 1, 1)  # until it is framed
            photo = Photo(name, f"photos/{name}.png", original, "", sha256, camera, size=(1, 1), crop=WHOLE)
        if work.project.digest(photo.original) != sha256:
            work.project.write({photo.original: read_claim(claim, sha256)})
        work.outputs.append(work.project.output(photo.original))
        source = claim.source if claim.recorded else short
        photos[name] = replace(photo, source=source, stated=claim.stated.to_json())
    _keep(work.project, work.manifest, list(photos.values()))
    work.manifest = replace(work.manifest, photos=tuple(photos.values()))


def _free(project: Project, stem: str, suffix: str, sha256: str) -> str:
    """Where a new original may lie: a file that has its name is somebody's, unless it is the same."""
    names = (f"{stem}{f'-{number}' if number else ''}{suffix}" for number in count())
    return next(name for name in names if project.digest(name) in ("missing", sha256))


def _prepare(work: Work, photo: Photo, claim: Claim, settings: PhotoSettings) -> Prepared:
    """The photo cut out and framed, or as it is when that was done before and nothing changed."""
    if claim.stated.ready:
        return prepare_ready(work, photo, claim, settings)
    prepared = _key(photo.sha256, settings)
    if photo.prepared == prepared and not work.how.force and work.project.path(photo.file).is_file():
        work.outputs.append(work.project.output(photo.file))
        return replace(photo, camera=claim.stated.framed(photo.crop, *photo.size)), {}

    from meshcli.pictures.foreground import cut_out
    from meshcli.pictures.image import encode_png, frame_foreground, load_picture

    pixels = load_picture(claim.path, settings.max_pixels, settings.side, work.note)
    size = picture_size(claim.path)
    read_claim(claim, photo.sha256)  # it is what was copied
    cut = cut_out(pixels, settings, rembg=settings.rembg, offline=work.how.offline)
    for note in cut.notes:
        work.note(f"{claim.source}: {note}")
    framed, crop = frame_foreground(cut.pixels, settings.foreground_ratio)
    framed[framed[..., 3] == 0, :3] = 255  # engines that look at RGB alone expect white
    frame = (crop.left, crop.top, crop.width, crop.height)
    after = replace(
        photo, camera=claim.stated.framed(frame, *size), size=size, crop=frame, prepared=prepared, method=cut.method
    )
    return after, {photo.file: encode_png(framed)}


def _key(sha256: str, settings: PhotoSettings) -> str:
    """What a cut-out depends on."""
    options = [settings.foreground_ratio, settings.rembg, settings.rembg_model, settings.side]
    return digest([sha256, VERSIONS["cut_out"], *options])

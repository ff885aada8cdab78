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
    RequestedPhoto,
    Typed,
    claim_set,
    name_set,
    read_claim,
    refuse_edited,
    sideless,
    with_alignment,
)
from meshcli.stages.photo_validation import Sieve
from meshcli.stages.stage_runner import (
    Outcome,
    ResolvedTask,
    RunOptions,
    StageRun,
    ensure_memory,
    outcome_without_running,
    recording,
    with_reduced_settings,
    write_lock,
)
from meshcli.stages.view_candidates import is_photo_view, write_candidates
from meshcli.stages.view_generation import check_engine, engine_options, lacking, run_generator, smaller_settings
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
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Cut the photos out, frame them and paint six views of each.

    Raises UsageError for arguments that do not fit, InputError for a picture that cannot be used.
    """
    sieve = Sieve(run_options.keep_going, settings.photo.max_pixels, run_options.warn)
    new = None if project.exists else claim_set(project, Manifest(), photos, typed, add, sieve, run_options.tell)
    if new is not None:
        _pick(Manifest(), new, engine, settings, run_options)  # a mistake leaves no directory behind
    if not run_options.dry:
        project.create()
    with write_lock(project, run_options, new=True):
        manifest = project.load() if project.exists else Manifest()
        claims = (
            new
            if new and not manifest.photos
            else claim_set(project, manifest, photos, typed, add, sieve, run_options.tell)
        )
        record = manifest.stages.get("generate")
        named = with_alignment(manifest, name_set(manifest, claims, sieve))
        unusable = _leave_out_again(record, named, settings.photo, sieve)
        chosen, why = _pick(manifest, claims, engine, settings, run_options)
        options = engine_options(chosen, settings, seed, run_options, record)
        settings, asked, smaller = with_reduced_settings(record, chosen, settings, options, run_options)
        if smaller:
            options = engine_options(chosen, settings, seed, run_options, record)

        def inputs() -> Parts:
            said = {name: (sha256, claim.stated.to_json()) for name, (sha256, claim) in named.items()}
            return fingerprint(chosen, options, photo_parts(project, said))

        task = ResolvedTask("generate", chosen, options, inputs(), asked, smaller, smaller_settings(chosen, settings))
        if outcome := outcome_without_running(project, manifest, task, run_options):
            return replace(outcome, left_out=tuple(sieve.left_out))
        ensure_memory(project, manifest, task, run_options)
        check_engine(chosen, settings, run_options)
        refuse_edited(project, manifest, named)
        run_options.tell(f"engine {chosen} ({why})")
        try:
            with recording(project, manifest, task, run_options) as run:
                run.facts |= unusable
                _cut_out(run, named, settings, sieve)
                run.task = replace(task, inputs=inputs())  # the cut-outs are there; who edits one from now on is heard
                _paint(run, settings, seed, record.engine if record else "")
        except InputError:
            if sieve.stopped:
                _undo(project, manifest)
            raise
        return replace(run.outcome(), left_out=tuple(sieve.left_out))


def _pick(
    manifest: Manifest, claims: Sequence[RequestedPhoto], engine: Generator, settings: Settings, run_options: RunOptions
) -> tuple[str, str]:
    """The engine for a set of photos, and why; UsageError for a set or a flag that it has no use for."""
    engine = suited(engine, claims)
    ready = any(claim.stated.ready for claim in claims)
    before = "" if run_options.force else engine_before(manifest, ready)
    chosen, why = pick_generator(engine, before, lacking(settings, run_options.weights) if engine == "auto" else "")
    why = "the views are ready" if ready else why
    refuse_idle(run_options.flags, chosen, why)
    return chosen, why


def _cut_out(run: StageRun, named: dict[str, tuple[str, RequestedPhoto]], settings: Settings, sieve: Sieve) -> None:
    """Every object, in its frame; `named` loses the photos that are left out."""
    with run.step("photos"):
        _register(run, named)
        done: dict[str, Prepared] = {}
        bad = []
        for index, (name, (_, claim)) in enumerate(named.items()):
            run.run_options.progress(index, len(named), f"cutting out {claim.source}")
            photo = next(each for each in run.manifest.photos if each.name == name)
            with sieve.trying(claim.source):
                done[name] = after, files = _prepare(run, photo, claim, settings.photo)
                if not photo.prepared:  # kept, whatever happens to the others
                    run.write(files)
                    run.save(_with_photos(run.manifest, {name: after}))
                    done[name] = after, {}
            if name not in done:
                bad.append(name)
        sieve.settle(len(named))
        run.write({file: data for _, files in done.values() for file, data in files.items()})
        run.save(_with_photos(run.manifest, {name: photo for name, (photo, _) in done.items()}))
        if bad:
            _leave_out(run, named, bad, settings.photo, sieve)
        enter_frame(run, named)


def _with_photos(manifest: Manifest, changed: Mapping[str, Photo]) -> Manifest:
    return replace(manifest, photos=tuple(changed.get(photo.name, photo) for photo in manifest.photos))


def _leave_out(
    run: StageRun,
    named: dict[str, tuple[str, RequestedPhoto]],
    bad: Sequence[str],
    settings: PhotoSettings,
    sieve: Sieve,
) -> None:
    """Take photos that cannot be used out of the set again, and note them for the next time."""
    originals = [photo.original for photo in run.manifest.photos if photo.name in bad]
    reasons = sieve.left_out[-len(bad) :]
    rows = [
        {**left.to_json(), "key": _key(named.pop(name)[0], settings)} for name, left in zip(bad, reasons, strict=True)
    ]
    run.facts["left_out"] = [*run.facts.get("left_out", []), *rows]
    run.outputs = [output for output in run.outputs if output.file not in originals]
    photos = [replace(photo, removed=photo.removed or photo.name in bad) for photo in run.manifest.photos]
    kept = tuple(photo for photo in photos if photo.prepared or not photo.removed)
    _keep(run.project, run.manifest, kept)
    run.manifest = replace(run.manifest, photos=kept)


def _leave_out_again(
    record: Record | None, named: dict[str, tuple[str, RequestedPhoto]], settings: PhotoSettings, sieve: Sieve
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


def _paint(run: StageRun, settings: Settings, seed: int, before: str) -> None:
    """The views; `before` is the engine of the last time."""
    if run.task.engine == "photos":
        hand_on(run, settings.photo)
    else:
        if before == "photos":
            run.manifest = retired(run.manifest, is_photo_view)
        run_generator(run, settings, seed)
    with run.step("scores"):
        run.manifest, outputs = write_candidates(run.project, run.manifest)
        run.outputs += outputs
    if unknown := sideless(run.manifest):
        run.note(f"from which sides {', '.join(unknown)} were taken: `{run.project.command('align')}` finds it out")


def _register(run: StageRun, named: dict[str, tuple[str, RequestedPhoto]]) -> None:
    """Copy the originals and write the new set down, so that an interrupted run can go on without any argument."""
    photos = {
        photo.name: replace(photo, removed=photo.name not in named)
        for photo in run.manifest.photos
        if photo.prepared or photo.name in named
    }
    claims = [claim for _, claim in named.values()]
    called = shortened([claim.source if claim.recorded else str(claim.path.absolute()) for claim in claims])
    for short, (name, (sha256, claim)) in zip(called, named.items(), strict=True):
        photo = photos.get(name)
        if photo is None or photo.sha256 != sha256:
            suffix = Path(claim.source).suffix.lower()
            suffix = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
            original = _free(run.project, f"photos/{name}.original", suffix, sha256)
            camera = claim.stated.framed(WHOLE, 1, 1)  # until it is framed
            photo = Photo(name, f"photos/{name}.png", original, "", sha256, camera, size=(1, 1), crop=WHOLE)
        if run.project.digest(photo.original) != sha256:
            run.project.write({photo.original: read_claim(claim, sha256)})
        run.outputs.append(run.project.output(photo.original))
        source = claim.source if claim.recorded else short
        photos[name] = replace(photo, source=source, stated=claim.stated.to_json())
    _keep(run.project, run.manifest, list(photos.values()))
    run.manifest = replace(run.manifest, photos=tuple(photos.values()))


def _free(project: Project, stem: str, suffix: str, sha256: str) -> str:
    """Where a new original may lie: a file that has its name is somebody's, unless it is the same."""
    names = (f"{stem}{f'-{number}' if number else ''}{suffix}" for number in count())
    return next(name for name in names if project.digest(name) in ("missing", sha256))


def _prepare(run: StageRun, photo: Photo, claim: RequestedPhoto, settings: PhotoSettings) -> Prepared:
    """The photo cut out and framed, or as it is when that was done before and nothing changed."""
    if claim.stated.ready:
        return prepare_ready(run, photo, claim, settings)
    prepared = _key(photo.sha256, settings)
    if photo.prepared == prepared and not run.run_options.force and run.project.path(photo.file).is_file():
        run.outputs.append(run.project.output(photo.file))
        return replace(photo, camera=claim.stated.framed(photo.crop, *photo.size)), {}

    from meshcli.pictures.foreground import cut_out
    from meshcli.pictures.image import encode_png, frame_foreground, load_picture

    pixels = load_picture(claim.path, settings.max_pixels, settings.side, run.note)
    size = picture_size(claim.path)
    read_claim(claim, photo.sha256)  # it is what was copied
    cut = cut_out(pixels, settings, rembg=settings.rembg, offline=run.run_options.offline)
    for note in cut.notes:
        run.note(f"{claim.source}: {note}")
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

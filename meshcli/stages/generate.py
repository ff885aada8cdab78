"""Photos -> views: six views of each photo with known cameras, made by a generator. Light until there is work to do.

A photo is cut out once. A cut-out that somebody edited by hand is kept and makes new views; a view that was edited by
hand is kept until the photos change.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from meshcli.config import TypedSettings
from meshcli.engines import Generator, pick_generator, refuse_unsupported_flags
from meshcli.errors import InputError
from meshcli.project.artefacts import FIXED_ARTEFACTS, cut_out_file, generated_files
from meshcli.project.manifest import Manifest, Output, Photo, StageRecord
from meshcli.project.project import Project
from meshcli.settings import PhotoSettings, Settings
from meshcli.stages.cut_outs import (
    cut_out_key,
    prepare_photo,
    refuse_useless_methods,
    rembg_advice,
    without_failed_methods,
    write_cutouts_sheet,
)
from meshcli.stages.imported_views import (
    FULL_FRAME,
    PreparedPhoto,
    engine_before,
    engine_for_set,
    retire_views,
    store_imported_views,
    transform_rig_cameras,
)
from meshcli.stages.inputs import Parts, fingerprint, photo_parts
from meshcli.stages.photo_azimuths import azimuth_lines, photos_of_unknown_azimuth, refuse_guesses
from meshcli.stages.photo_set import (
    CameraArguments,
    RequestedPhoto,
    letter,
    name_photos,
    refuse_edited,
    request_photos,
    with_alignment,
)
from meshcli.stages.photo_validation import PhotoValidator
from meshcli.stages.reduced_settings import with_reduced_settings
from meshcli.stages.settings_in_force import SettingsInForce, settings_in_force
from meshcli.stages.stage_runner import (
    Outcome,
    ResolvedTask,
    RunOptions,
    StageRun,
    ensure_memory,
    outcome_without_running,
    recording,
    write_lock,
)
from meshcli.stages.status import stale_choice
from meshcli.stages.view_candidates import is_photo_view, write_candidates
from meshcli.stages.view_generation import (
    VIEWS_PER_PHOTO,
    check_engine,
    engine_options,
    lacking,
    run_generator,
    smaller_settings,
)
from meshcli.views.picture_names import short_names
from meshcli.weights.locations import holds_rembg_model

CUT_OUT_ONLY = "the photos are cut out, and their views are yet to be made"
NamedPhotos = dict[str, RequestedPhoto]  # letter -> photo


def generate_views(
    project: Project,
    photos: Sequence[str | Path] = (),
    typed: CameraArguments = CameraArguments(),
    *,
    add: bool = False,
    remove: Sequence[str] = (),
    settings: Settings | TypedSettings = TypedSettings(),
    engine: Generator = "auto",
    seed: int | None = None,
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Cut the photos out, frame them and make six views of each. Settings and seed not given are those on record.

    `add` appends to the recorded set, `remove` takes photos out of it by letter. Raises UsageError and InputError.
    """
    in_force = _settings_in_force(project, settings, seed)
    validator = PhotoValidator(run_options.keep_going, in_force.settings.photo.max_pixels, run_options.warn)
    requested: list[RequestedPhoto] = []
    if not project.exists:  # look at the photos first: a mistake leaves no directory behind
        requested = request_photos(project, Manifest(), photos, typed, add, remove, validator, run_options.tell)
        chosen, _ = _pick_engine(Manifest(), requested, engine, in_force.settings, run_options)
        _check_new_directory(project, requested, chosen, settings)
    if not run_options.dry:
        project.create()
    with write_lock(project, run_options, new=True):
        manifest = project.load() if project.exists else Manifest()
        if not requested or manifest.photos:
            requested = request_photos(project, manifest, photos, typed, add, remove, validator, run_options.tell)
        record = manifest.stages.get("generate")
        in_force = settings_in_force("generate", record, settings, seed)
        named = with_alignment(manifest, name_photos(manifest, requested, validator))
        if run_options.refuse_guesses:
            refuse_guesses(project, manifest, [each.stated for each in named.values()])
        left_out = _reject_known_failures(record, named, in_force.settings.photo, validator)
        chosen, why = _pick_engine(manifest, requested, engine, in_force.settings, run_options)
        refuse_useless_methods(settings, manifest, named, any(each.stated.ready for each in requested))
        task, resolved = _resolve(project, manifest, named, chosen, in_force, run_options)
        check = partial(_check_runnable, project, manifest, named, chosen, resolved, run_options)
        if outcome := outcome_without_running(project, manifest, task, run_options, check):
            if outcome.skipped and (advice := rembg_advice(project, manifest, run_options.weights)):
                run_options.tell(advice)
            return replace(outcome, left_out=tuple(validator.left_out))
        ensure_memory(project, manifest, task, run_options)
        check()
        run_options.tell(f"engine {chosen} ({why})")
        with _restoring_set(project, manifest, validator), recording(project, manifest, task, run_options) as run:
            run.facts |= {"left_out": left_out} if left_out else {}
            _cut_out_and_generate(run, named, resolved, in_force.seed, validator, record.engine if record else "")
        return replace(run.outcome(), left_out=tuple(validator.left_out))


def _check_runnable(
    project: Project,
    manifest: Manifest,
    named: NamedPhotos,
    engine: str,
    settings: Settings,
    run_options: RunOptions,
) -> None:
    """Raise what keeps the views from being made."""
    check_engine(engine, settings, run_options)
    refuse_edited(project, manifest, named)


def _cut_out_and_generate(
    run: StageRun, named: NamedPhotos, settings: Settings, seed: int, validator: PhotoValidator, previous_engine: str
) -> None:
    _cut_out(run, named, settings, validator)
    for line in azimuth_lines(run.manifest):
        run.run_options.tell(line)
    # The cut-outs exist now: one that is edited by hand from here on makes the views stale.
    run.task = replace(run.task, inputs=_inputs(run.project, run.task, named))
    if run.run_options.cut_outs_only:
        run.paused = CUT_OUT_ONLY
        return
    _make_views(run, settings, seed, previous_engine)


def _settings_in_force(project: Project, settings: Settings | TypedSettings, seed: int | None) -> SettingsInForce:
    """The settings in force as things stand before the write lock is held."""
    record = project.load().stages.get("generate") if project.exists else None
    return settings_in_force("generate", record, settings, seed)


def _pick_engine(
    manifest: Manifest,
    requested: Sequence[RequestedPhoto],
    engine: Generator,
    settings: Settings,
    run_options: RunOptions,
) -> tuple[str, str]:
    """The engine for a set of photos, and why; UsageError for a set or a flag that it cannot use."""
    engine = engine_for_set(engine, requested)
    ready = any(each.stated.ready for each in requested)
    before = "" if run_options.force else engine_before(manifest, ready)
    chosen, why = pick_generator(engine, before, lacking(settings, run_options.weights) if engine == "auto" else "")
    why = "the views are ready" if ready else why
    for_cutting_out = holds_rembg_model(settings.photo.rembg_model, run_options.weights)
    flags = [flag for flag in run_options.flags if not (for_cutting_out and flag.startswith("--weights="))]
    refuse_unsupported_flags(flags, chosen, why)
    return chosen, why


def _resolve(
    project: Project,
    manifest: Manifest,
    named: NamedPhotos,
    engine: str,
    in_force: SettingsInForce,
    run_options: RunOptions,
) -> tuple[ResolvedTask, Settings]:
    """What is to be done, and the settings to use, which are smaller ones after memory has run out."""
    record = manifest.stages.get("generate")
    settings, seed = in_force.settings, in_force.seed
    options = engine_options(engine, settings, seed, run_options, record)
    settings, asked, smaller = with_reduced_settings(record, engine, settings, options, run_options)
    if smaller:
        options = engine_options(engine, settings, seed, run_options, record)
    task = ResolvedTask(
        "generate", engine, options, {}, asked, smaller, smaller_settings(engine, settings), in_force.to_record,
        files=_files(manifest, named, engine),
    )  # fmt: skip
    return replace(task, inputs=_inputs(project, task, named)), settings


def _files(manifest: Manifest, named: NamedPhotos, engine: str) -> list[str]:
    """What may be written for these photos, apart from the originals: new views get the next numbers."""
    known = {view.name for view in manifest.views}
    names: list[str] = []
    for name, requested in named.items():
        own_view = engine == "photos" and not requested.stated.ready.startswith("sheet")
        names += [name] if own_view else [f"{name}{tile}" for tile in range(VIEWS_PER_PHOTO)]
    first = len(manifest.views)
    return generated_files(named, range(first, first + len(set(names) - known)))


def _inputs(project: Project, task: ResolvedTask, named: NamedPhotos) -> Parts:
    """The fingerprint of the stage, with the cut-outs as they are on disk now."""
    photos = {name: (each.photo.sha256, each.stated.pose_json()) for name, each in named.items()}
    return fingerprint(task.engine, task.options, photo_parts(project, photos))


def _check_new_directory(
    project: Project, requested: Sequence[RequestedPhoto], engine: str, settings: Settings | TypedSettings
) -> None:
    """UsageError for useless settings, and where this stage or a later one would overwrite a file in a new directory.

    A new directory is one that has no manifest yet.
    """
    named = dict(zip(map(letter, range(len(requested))), requested, strict=True))
    refuse_useless_methods(settings, Manifest(), named, any(each.stated.ready for each in requested))
    files = _files(Manifest(), named, engine)
    project.refuse_foreign_files(Manifest(), {*files, *chain(*FIXED_ARTEFACTS.values())})


def _cut_out(run: StageRun, named: NamedPhotos, settings: Settings, validator: PhotoValidator) -> None:
    """Cut every object out and frame it; photos that cannot be used are removed from `named`."""
    with run.step("photos"):
        _register_photos(run, named)
        done: dict[str, PreparedPhoto] = {}
        for index, (name, requested) in enumerate(named.items()):
            run.run_options.progress(index, len(named), f"cutting out {Path(requested.source).name}")
            photo = next(each for each in run.manifest.photos if each.name == name)
            with validator.attempt(requested.source):
                done[name] = after, files = prepare_photo(run, photo, requested, settings.photo)
                if not photo.prepared:  # a new cut-out is kept even if another photo fails
                    run.write(files)
                    run.save(_with_photos(run.manifest, {name: after}))
                    done[name] = after, {}
        validator.conclude(len(named))
        run.write({file: data for _, files in done.values() for file, data in files.items()})
        run.save(_with_photos(run.manifest, {name: photo for name, (photo, _) in done.items()}))
        if failed := [name for name in named if name not in done]:
            _leave_out(run, named, failed, settings.photo, validator)
        write_cutouts_sheet(run)
        transform_rig_cameras(run, named)


def _with_photos(manifest: Manifest, changed: Mapping[str, Photo]) -> Manifest:
    return replace(manifest, photos=tuple(changed.get(photo.name, photo) for photo in manifest.photos))


def _leave_out(
    run: StageRun, named: NamedPhotos, failed: Sequence[str], settings: PhotoSettings, validator: PhotoValidator
) -> None:
    """Remove photos that cannot be used from the set, and record them for the next call."""
    originals = [photo.original for photo in run.manifest.photos if photo.name in failed]
    reasons = validator.left_out[-len(failed) :]
    rows = [
        {**reason.to_json(), "key": cut_out_key(name, named.pop(name).photo.sha256, settings)}
        for name, reason in zip(failed, reasons, strict=True)
    ]
    run.facts["left_out"] = [*run.facts.get("left_out", []), *rows]
    run.outputs = [output for output in run.outputs if output.file not in originals]
    photos = [replace(photo, removed=photo.removed or photo.name in failed) for photo in run.manifest.photos]
    kept = tuple(photo for photo in photos if photo.prepared or not photo.removed)
    _save_photos(run.project, run.manifest, kept)
    run.manifest = replace(run.manifest, photos=kept)


def _reject_known_failures(
    record: StageRecord | None, named: NamedPhotos, settings: PhotoSettings, validator: PhotoValidator
) -> list[dict[str, Any]]:
    """Remove from `named` what could not be cut out the last time, so that the rest can be unchanged.

    Returns the rows about these photos for the next record; without `keep_going` all are tried again.
    """
    rows = record.facts.get("left_out", []) if record and validator.keep_going else []
    known = {str(row.get("key")): row for row in rows if isinstance(row, dict)}
    total = len(named)
    rejected = []
    for name, requested in list(named.items()):
        if row := known.get(cut_out_key(name, requested.photo.sha256, settings)):
            validator.reject(requested.source, InputError(str(row.get("reason"))))
            rejected.append(row)
            del named[name]
    validator.conclude(total)
    return rejected


@contextmanager
def _restoring_set(project: Project, before: Manifest, validator: PhotoValidator) -> Iterator[None]:
    """Bring back the set as it was before, when a photo fails in the block."""
    try:
        yield
    except InputError:
        if validator.failed:
            _restore_set(project, before)
        raise


def _restore_set(project: Project, before: Manifest) -> None:
    """Bring back the set as it was before a photo failed; new cut-outs are kept for the next call.

    A new set stays, for the next call to go on with, but not the typed ways to cut out that failed.
    """
    if before.active_photos:
        now, names = project.load(), {photo.name for photo in before.photos}
        more = [replace(photo, removed=True) for photo in now.photos if photo.prepared and photo.name not in names]
        before = replace(before, unlisted=now.own_files)
        project.save(before)
        _save_photos(project, replace(before, photos=now.photos), [*before.photos, *more])
    else:
        project.save(without_failed_methods(project.load()))


def _save_photos(project: Project, manifest: Manifest, photos: Sequence[Photo]) -> None:
    """Save a manifest with these photos only, and delete the originals of the others."""
    project.save(replace(manifest, photos=tuple(photos)))
    for file in {photo.original for photo in manifest.photos} - {photo.original for photo in photos}:
        project.path(file).unlink(missing_ok=True)


def _make_views(run: StageRun, settings: Settings, seed: int, before: str) -> None:
    """Generate or import the views and score them; `before` is the engine of the last run."""
    if run.task.engine == "photos":
        store_imported_views(run, settings.photo)
    else:
        if before == "photos":
            run.manifest = retire_views(run.manifest, is_photo_view)
        run_generator(run, settings, seed)
    run.run_options.progress(0, 1, "scoring the views")
    with run.step("scores"):
        run.manifest, outputs = write_candidates(run.project, run.manifest)
        run.outputs += outputs
    if unknown := photos_of_unknown_azimuth(run.manifest):
        run.note(
            f"from which sides {', '.join(unknown)} were taken is not known: say --azimuth, or "
            f"`{run.project.command('align')}` estimates it"
        )
    if sentence := stale_choice(run.project, run.manifest):
        run.note(sentence)


def _register_photos(run: StageRun, named: NamedPhotos) -> None:
    """Copy the originals and record the new set, so that an interrupted run can go on without any argument."""
    photos = {
        photo.name: replace(photo, removed=photo.name not in named)
        for photo in run.manifest.photos
        if photo.prepared or photo.name in named
    }
    paths = [each.source if each.recorded else str(each.photo.path.absolute()) for each in named.values()]
    for shown, (name, requested) in zip(short_names(paths), named.items(), strict=True):
        photo = photos.get(name)
        if photo is None or photo.sha256 != requested.photo.sha256:
            photo = _new_photo(run.project, name, requested)
        run.outputs.append(_store_original(run.project, photo.original, requested))
        source = requested.source if requested.recorded else shown
        photos[name] = replace(photo, source=source, stated=requested.stated)
    _save_photos(run.project, run.manifest, list(photos.values()))
    run.manifest = replace(run.manifest, photos=tuple(photos.values()))


def _new_photo(project: Project, name: str, requested: RequestedPhoto) -> Photo:
    """The entry of a photo that has not been cut out yet."""
    sha256 = requested.photo.sha256
    suffix = Path(requested.source).suffix.lower()
    suffix = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
    original = _free_name(project, f"photos/{name}.original", suffix, sha256)
    camera = requested.stated.framed(FULL_FRAME, 1, 1)  # until the photo is framed
    return Photo(name, cut_out_file(name), original, "", sha256, camera, size=(1, 1), crop=FULL_FRAME)


def _store_original(project: Project, file: str, requested: RequestedPhoto) -> Output:
    """Copy a photo into the project unless it is there already."""
    if project.digest(file) == requested.photo.sha256:
        return Output(file, project.path(file).stat().st_size, requested.photo.sha256)
    (output,) = project.write({file: requested.photo.read()})
    return output


def _free_name(project: Project, stem: str, suffix: str, sha256: str) -> str:
    """A name for a new original: no existing file is overwritten, unless it has the same content."""
    names = (f"{stem}{f'-{number}' if number else ''}{suffix}" for number in count())
    return next(name for name in names if project.digest(name) in ("missing", sha256))

"""Photos -> views: six posed views of each photo, painted by a generator. Light until there is something to do.

What was cut out once is not cut out again. A cut-out that somebody edited by hand is kept and makes new views; a view
that was edited by hand is kept until the photos change.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meshcli.engines import VERSIONS, Generator, pick_generator
from meshcli.fingerprint import digest
from meshcli.lens import picture_size
from meshcli.manifest import Manifest, Photo
from meshcli.progress import unheard
from meshcli.project import Project
from meshcli.settings import PhotoSettings, Settings
from meshcli.stages.inputs import Parts, fingerprint, photo_parts
from meshcli.stages.painting import check_engine, engine_options, fallback, lacking, paint_views
from meshcli.stages.photo_set import Claim, Typed, claim_set, name_set, read_claim, sideless, with_alignment
from meshcli.stages.pool import is_photo, refreshed
from meshcli.stages.ready import engine_before, enter_frame, hand_on, prepare_ready, retired, suited
from meshcli.stages.work import How, Outcome, Task, Work, affordable, ensure_room, entering, unchanged, working

WHOLE = (0.0, 0.0, 1.0, 1.0)  # a frame that is the picture


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
        # a mistake leaves no directory behind
        suited(engine, claim_set(project, Manifest(), photos, typed, add, unheard))
    if not how.dry:
        project.create()
    with entering(project, how, new=True):
        manifest = project.load() if project.exists else Manifest()
        claims = claim_set(project, manifest, photos, typed, add, how.tell)
        named = with_alignment(manifest, name_set(manifest, claims))
        engine = suited(engine, claims)
        record = manifest.stages.get("generate")
        before = "" if how.force else engine_before(manifest, claims)
        chosen, why = pick_generator(engine, before, lacking(settings, how) if engine == "auto" else "")
        options = engine_options(chosen, settings, seed, how, record)
        settings, asked, smaller = affordable(record, chosen, settings, options, how)
        if smaller:
            options = engine_options(chosen, settings, seed, how, record)
        said = {name: (sha256, claim.stated.to_json()) for name, (sha256, claim) in named.items()}

        def inputs() -> Parts:
            return fingerprint(chosen, options, photo_parts(project, said))

        task = Task("generate", chosen, options, inputs(), asked, smaller, fallback(chosen, settings))
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        ensure_room(project, manifest, task, how)
        check_engine(chosen, settings, how)
        how.tell(f"engine {chosen} ({'the views are ready' if claims[0].stated.ready else why})")
        with working(project, manifest, task, how) as work:
            _cut_out(work, named, settings)
            work.task = replace(task, inputs=inputs())  # the cut-outs are there; who edits one from now on is heard
            _paint(work, settings, seed, record.engine if record else "")
        return work.outcome()


def _cut_out(work: Work, named: dict[str, tuple[str, Claim]], settings: Settings) -> None:
    with work.step("photos"):
        _register(work, named)
        for index, (name, (_, claim)) in enumerate(named.items()):
            work.how.progress(index, len(named), f"cutting out {claim.source}")
            photos = {photo.name: photo for photo in work.manifest.photos}
            photos[name] = _prepare(work, photos[name], claim, settings.photo)
            work.save(replace(work.manifest, photos=tuple(photos.values())))  # finished photos are kept
        enter_frame(work, named)


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
    for name, (sha256, claim) in named.items():
        photo = photos.get(name)
        if photo is None or photo.sha256 != sha256:
            suffix = Path(claim.source).suffix.lower()
            original = f"photos/{name}.original{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
            camera = claim.stated.framed(WHOLE, 1, 1)  # until it is framed
            photo = Photo(name, f"photos/{name}.png", original, "", sha256, camera, size=(1, 1), crop=WHOLE)
        if work.project.digest(photo.original) != sha256:
            work.project.write({photo.original: read_claim(claim, sha256)})
        work.outputs.append(work.project.output(photo.original))
        source = claim.source if claim.recorded else claim.path.name
        photos[name] = replace(photo, source=source, stated=claim.stated.to_json())
    forgotten = {photo.original for photo in work.manifest.photos} - {photo.original for photo in photos.values()}
    work.save(replace(work.manifest, photos=tuple(photos.values())))
    for file in forgotten:  # of photos that could not be used
        work.project.path(file).unlink(missing_ok=True)


def _prepare(work: Work, photo: Photo, claim: Claim, settings: PhotoSettings) -> Photo:
    """The photo cut out and framed, or as it is when that was done before and nothing changed."""
    if claim.stated.ready:
        return prepare_ready(work, photo, claim, settings)
    options = [settings.foreground_ratio, settings.rembg, settings.rembg_model, settings.side]
    prepared = digest([photo.sha256, VERSIONS["cut_out"], *options])
    if photo.prepared == prepared and not work.how.force and work.project.path(photo.file).is_file():
        work.outputs.append(work.project.output(photo.file))
        return replace(photo, camera=claim.stated.framed(photo.crop, *photo.size))

    from meshcli.foreground import cut_out
    from meshcli.image import encode_png, frame_foreground, load_picture

    pixels = load_picture(claim.path, settings.max_pixels, settings.side, work.note)
    size = picture_size(claim.path)
    read_claim(claim, photo.sha256)  # it is what was copied
    cut = cut_out(pixels, settings, rembg=settings.rembg, offline=work.how.offline)
    framed, crop = frame_foreground(cut.pixels, settings.foreground_ratio)
    framed[framed[..., 3] == 0, :3] = 255  # engines that look at RGB alone expect white
    work.write({photo.file: encode_png(framed)})
    frame = (crop.left, crop.top, crop.width, crop.height)
    return replace(
        photo, camera=claim.stated.framed(frame, *size), size=size, crop=frame, prepared=prepared, method=cut.method
    )

"""Photos -> views: six posed views of each photo, painted by a generator. Light until there is something to do.

What was cut out once is not cut out again. A cut-out that somebody edited by hand is kept and makes new views; a view
that was edited by hand is kept until the photos change.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.engines import Generator, pick_generator
from meshcli.errors import InputError
from meshcli.fingerprint import bytes_digest, digest, seed_for
from meshcli.manifest import Manifest, Photo, ViewEntry
from meshcli.progress import unheard
from meshcli.project import Project
from meshcli.settings import PhotoSettings, Settings
from meshcli.stages.inputs import Parts, fingerprint, photo_parts
from meshcli.stages.photo_set import Claim, Typed, claim_set, name_set
from meshcli.stages.pool import refreshed
from meshcli.stages.work import How, Outcome, Task, Work, affordable, unchanged, working

if TYPE_CHECKING:
    from meshcli.view import View

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
        claim_set(project, Manifest(), photos, typed, add, unheard)  # a mistake leaves no directory behind
    project.create()
    with project.writing(how.wait, how.tell, new=True):
        manifest = project.load() if project.exists else Manifest()
        named = name_set(manifest, claim_set(project, manifest, photos, typed, add, how.tell))
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
        return {
            "fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions],
            "sculpt.resolution": max(48, settings.sculpt.resolution * 2 // 3),
        }
    return {"sculpt.view_size": settings.sculpt.view_size // 2} if settings.sculpt.view_size > 160 else {}


def _options(settings: Settings, seed: int) -> dict[str, Any]:
    table = sections(settings, "photo", "sculpt", "fit")
    del table["photo"]["max_pixels"]  # a limit, not a property of the result
    return {**table, "seed": seed}


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
    from meshcli.image import encode_png

    photos = {photo.name: photo for photo in work.manifest.photos}
    entries = {view.name: view for view in work.manifest.views}
    numbers = {name: number for number, name in enumerate(entries)}
    files = {}
    for photo, views in painted:
        photos[photo.name] = photo
        for view in views:
            number = numbers.setdefault(view.name, len(numbers))
            entries[view.name] = ViewEntry(
                view.name, f"views/{number:02d}.png", photo.name, view.camera, work.task.engine
            )
            files[entries[view.name].file] = encode_png(view.pixels)
    work.write(files)
    with work.step("scores"):
        manifest = replace(work.manifest, photos=tuple(photos.values()), views=tuple(entries.values()))
        work.manifest, outputs = refreshed(work.project, manifest)
        work.outputs += outputs

"""Cutting the object out of a photo and framing it, and the sheet of all cut-outs. Light until there is work to do."""

from collections import Counter
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from shlex import quote

from meshcli.config import TypedSettings
from meshcli.engines import VERSIONS
from meshcli.errors import InputError, UsageError
from meshcli.project.artefacts import CUTOUTS_SHEET
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.settings import PhotoSettings, Settings, cutout_table
from meshcli.stages.imported_views import PreparedPhoto, prepare_import
from meshcli.stages.photo_set import RequestedPhoto
from meshcli.stages.stage_runner import StageRun
from meshcli.system.digests import digest
from meshcli.views.photo_cameras import MAX_LISTED_PHOTOS
from meshcli.weights.locations import rembg_file


def prepare_photo(run: StageRun, photo: Photo, requested: RequestedPhoto, settings: PhotoSettings) -> PreparedPhoto:
    """Cut a photo out and frame it; an existing cut-out of the same photo and settings is kept."""
    if requested.stated.ready:
        return prepare_import(run, photo, requested, settings)
    prepared = cut_out_key(photo.name, photo.sha256, settings)
    known = photo.prepared == prepared or _is_edited_since(run, photo, settings)
    if known and not run.run_options.force and run.project.path(photo.file).is_file():
        run.outputs.append(run.project.output(photo.file))
        return replace(photo, camera=requested.stated.framed(photo.crop, *photo.size), prepared=prepared), {}

    from meshcli.generators.photos import is_view_sheet
    from meshcli.pictures.foreground import cut_out
    from meshcli.pictures.image import encode_png, frame_foreground, load_picture

    source, options = requested.photo, run.run_options
    settings = replace(settings, cutout=settings.cutout_of(photo.name), cutouts="")
    size = source.header.size
    pixels = load_picture(source.path, settings.max_pixels, settings.side, run.note, source.read())
    if settings.cutout == "auto" and is_view_sheet(pixels, size):
        raise InputError(
            f"{requested.source} looks like a six-view sheet; hand it in with --from-sheet {quote(requested.source)}, "
            "or if it is a photo, say how to cut it out, such as --cutout plain"
        )
    cut = cut_out(pixels, settings, rembg=settings.rembg, offline=options.offline, weights=options.weights)
    for note in cut.notes:
        run.note(f"{requested.source}: {note}")
    framed, crop = frame_foreground(cut.pixels, settings.foreground_ratio)
    framed[framed[..., 3] == 0, :3] = 255  # engines that read RGB alone expect white
    frame = (crop.left, crop.top, crop.width, crop.height)
    camera = requested.stated.framed(frame, *size)
    after = replace(photo, camera=camera, size=size, crop=frame, prepared=prepared, method=cut.method)
    after = replace(after, uncompared=cut.uncompared)
    return after, {photo.file: encode_png(framed)}


def cut_out_key(name: str, sha256: str, settings: PhotoSettings, version: int = 0) -> str:
    """The digest of all that the cut-out of a photo depends on; `version` is that of cutting out if not today's."""
    options = [settings.foreground_ratio, settings.rembg, settings.rembg_model, settings.side]
    method = settings.cutout_of(name)
    return digest([sha256, version or VERSIONS["cut_out"], *options, *([method] if method != "auto" else [])])


def _is_edited_since(run: StageRun, photo: Photo, settings: PhotoSettings) -> bool:
    """Whether a cut-out that an earlier version made with the same settings was edited by hand: then it is kept."""
    earlier = range(1, VERSIONS["cut_out"])
    if photo.prepared not in (cut_out_key(photo.name, photo.sha256, settings, version) for version in earlier):
        return False
    written = {output.file: output.sha256 for output in run.manifest.stages["generate"].outputs}
    return photo.file in written and run.project.digest(photo.file) not in ("missing", written[photo.file])


def refuse_useless_methods(
    settings: Settings | TypedSettings, manifest: Manifest, named: Container[str], ready: bool
) -> None:
    """UsageError for a typed way to cut out that no photo of the set would be cut out by."""
    typed = TypedSettings.of(settings).values
    single, for_all = cutout_table(typed.get("photo.cutouts", "")), typed.get("photo.cutout", "auto")
    if ready and (single or for_all != "auto"):
        raise UsageError("--cutout is for photos; ready views keep their outline, or get that of their background")
    for name, method in single.items():
        if name not in named:
            letters = ", ".join(photo.name for photo in manifest.active_photos) or "a, b ... in the order of the photos"
            raise UsageError(f"--cutout {name}={method}: there is no photo of that letter; they are {letters}")


def without_failed_methods(manifest: Manifest) -> Manifest:
    """The manifest of a set that could not be cut out whole, its record without the typed ways that photos failed by.

    On record they would make the next call fail in the same way, though it says nothing about them.
    """
    record = manifest.stages["generate"]
    failed = {photo.name for photo in manifest.active_photos if not photo.prepared}
    single = cutout_table(str(record.settings.get("photo.cutouts", "")))
    kept = ",".join(f"{name}={method}" for name, method in single.items() if name not in failed)
    settings = {key: value for key, value in record.settings.items() if key != "photo.cutouts"}
    if failed - single.keys():
        settings.pop("photo.cutout", None)
    settings |= {"photo.cutouts": kept} if kept else {}
    return manifest.with_record("generate", replace(record, settings=settings))


def rembg_advice(project: Project, manifest: Manifest, weights: Path | None = None) -> str:
    """How doubtful cut-outs may be made again where rembg's network has come since; empty without them or it.

    Those that were edited by hand since are left out. Nothing is made again unasked.
    """
    record = manifest.stages.get("generate")
    if record is None or record.status != "done":
        return ""
    written = {output.file: output.sha256 for output in record.outputs}
    names = [
        photo.name
        for photo in manifest.active_photos
        if photo.uncompared and project.digest(photo.file) == written.get(photo.file)
    ]
    model = str(record.settings.get("photo.rembg_model", PhotoSettings().rembg_model))
    if not names or rembg_file(model, weights) is None:
        return ""
    ways = ",".join(f"{name}=rembg" for name in names)
    return (
        f"the cut-out of {', '.join(names)} by the plain background looked doubtful, and rembg's {model} is here now: "
        f"`{project.command('generate')} --cutout {ways}` makes it again"
    )


def write_cutouts_sheet(run: StageRun) -> None:
    """Draw all cut-outs on a checkerboard, and say how each was made; ready views were not cut out."""
    photos = run.manifest.active_photos
    if photos[0].stated.ready:
        return
    from meshcli.pictures.cutout_sheet import cutout_sheet
    from meshcli.pictures.image import encode_png, load_picture

    pictures = (load_picture(run.project.path(photo.file)) for photo in photos)
    sheet = cutout_sheet(pictures, [f"{photo.name}  {photo.method}" for photo in photos])
    run.write({CUTOUTS_SHEET: encode_png(sheet)})
    run.facts["cut_out"] = {photo.name: photo.method for photo in photos}
    run.run_options.tell(f"cut out by {_methods(photos)}; look at {run.project.path(CUTOUTS_SHEET)}")


def _methods(photos: list[Photo]) -> str:
    """`alpha (a, c), plain (b)`, or with numbers where there are too many photos to list."""
    counts = Counter(photo.method for photo in photos)
    if len(photos) > MAX_LISTED_PHOTOS:
        return ", ".join(f"{method} ({number} photos)" for method, number in sorted(counts.items()))
    names = {method: [photo.name for photo in photos if photo.method == method] for method in sorted(counts)}
    return ", ".join(f"{method} ({', '.join(letters)})" for method, letters in names.items())

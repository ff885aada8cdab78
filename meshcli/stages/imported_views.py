"""Photos used as views, views made by other programs, cameras of foreign rigs. Light until there is work to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from meshcli.engines import VERSIONS, Generator
from meshcli.errors import ProjectError, UsageError
from meshcli.json_table import JsonTable
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.settings import PhotoSettings
from meshcli.stages.photo_set import RequestedPhoto
from meshcli.stages.stage_runner import PAUSED, StageRun
from meshcli.stages.view_candidates import add_photo_views, add_views, is_photo_view
from meshcli.system.digests import digest
from meshcli.views.world_transform import WorldTransform

FULL_FRAME = (0.0, 0.0, 1.0, 1.0)  # left, top, width, height of a frame that is the whole picture

PreparedPhoto = tuple[Photo, dict[str, bytes]]  # the entry, and the files to write: name -> content


def engine_for_set(engine: Generator, requested: Sequence[RequestedPhoto]) -> Generator:
    """The engine for a set of photos; ready views are always for `photos`.

    Raises UsageError for a set that is mixed, or that the engine cannot use: `photos` needs a camera for every photo.
    """
    total = len(requested)
    ready = sum(bool(each.stated.ready) for each in requested)
    if 0 < ready < total:
        raise UsageError("a set is either photos or ready views; make a project of its own for the others")
    if ready and engine not in ("auto", "photos"):
        raise UsageError(f"ready views are not painted again by {engine}; leave --engine out")
    if 0 < sum(each.stated.foreign for each in requested) < total:
        raise UsageError("some photos have cameras of a foreign rig and some have not; hand them all in with one --rig")
    if 0 < sum(each.stated.mirrored for each in requested) < total:
        raise UsageError("some photos are mirrored by their EXIF tag and some are not; save them without that tag")
    if not ready and engine == "photos" and not all(each.stated.posed for each in requested):
        raise UsageError("the engine photos takes photos as views and needs a camera for each: --azimuth or --rig")
    return "photos" if ready else engine


def engine_before(manifest: Manifest, ready: bool) -> str:
    """The engine of the finished stage; empty when its ready views are replaced by photos, which are not `ready`."""
    record = manifest.stages.get("generate")
    paused_since = record is not None and PAUSED in record.facts and manifest.active_views
    if record is None or not (record.status == "done" or paused_since):
        return ""
    were_ready = any(photo.stated.ready for photo in manifest.active_photos)
    return "" if were_ready and not ready else record.engine


def prepare_import(run: StageRun, photo: Photo, requested: RequestedPhoto, settings: PhotoSettings) -> PreparedPhoto:
    """A ready view, or the first view of a sheet, with its silhouette, in its own frame."""
    ready = requested.stated.ready
    prepared = digest([photo.sha256, VERSIONS["cut_out"], ready, settings.rembg, settings.rembg_model])
    if photo.prepared == prepared and not run.run_options.force and run.project.path(photo.file).is_file():
        run.outputs.append(run.project.output(photo.file))
        return replace(photo, camera=requested.stated.framed(photo.crop, *photo.size)), {}

    from meshcli.generators.photos import pad_to_square, split_view_sheet, with_silhouette
    from meshcli.pictures.image import encode_png, load_picture

    source = requested.photo
    pixels = load_picture(source.path, settings.max_pixels, tell=run.note, data=source.read())
    size, frame = (pixels.shape[1], pixels.shape[0]), FULL_FRAME
    if ready == "view":
        picture, crop = pad_to_square(
            with_silhouette(pixels, settings, run.run_options.offline, run.run_options.weights)
        )
        frame = (crop.left, crop.top, crop.width, crop.height)
    else:
        picture = with_silhouette(
            split_view_sheet(pixels)[0], settings, run.run_options.offline, run.run_options.weights
        )
    camera = requested.stated.framed(frame, *size)
    after = replace(photo, camera=camera, size=size, crop=frame, prepared=prepared, method="ready")
    return after, {photo.file: encode_png(picture)}


def transform_rig_cameras(run: StageRun, named: Mapping[str, RequestedPhoto]) -> None:
    """Transform cameras of a foreign rig to our world, and record how.

    A transform that is on record stays in force as long as its photos and their cameras are in the set.
    """
    stated = {name: requested.stated for name, requested in named.items() if requested.stated.foreign}
    if not stated:
        run.manifest = replace(run.manifest, frame={})
        return
    recorded = run.manifest.frame
    cameras = {name: digest(prior.to_json()) for name, prior in stated.items()}
    photos = run.manifest.active_photos
    known = recorded.get("cameras")
    if known and isinstance(known, dict) and known.items() <= cameras.items():
        transform = WorldTransform.read(JsonTable(recorded, "manifest.json: frame", ProjectError))
    else:
        transform = _find_transform(run, photos, next(iter(stated.values())).up)
        recorded = {**transform.to_json(), "cameras": cameras}
    transformed = {photo.name: replace(photo, camera=transform.camera(photo.camera)) for photo in photos}
    entries = tuple(transformed.get(photo.name, photo) for photo in run.manifest.photos)
    run.save(replace(run.manifest, photos=entries, frame=recorded))


def _find_transform(run: StageRun, photos: Sequence[Photo], up: str) -> WorldTransform:
    from meshcli.stages.view_loading import load_views
    from meshcli.views.find_world_transform import doubt_about_up, find_world_transform

    views = load_views(run.project, photos)
    transform = find_world_transform(views, up)
    x, y, z = transform.rotation[2]
    run.note(f"the rig's world is entered with ({x:.2f}, {y:.2f}, {z:.2f}) up, {transform.scale:.4g} times as large")
    if not up and (doubt := doubt_about_up(views, transform.rotation[2])):
        run.note(f"which axis of the rig points up is a guess, because {doubt}; --up z (x, -x ... -z) states it")
    return transform


def store_imported_views(run: StageRun, settings: PhotoSettings) -> None:
    """Enter photos as views, and split sheets into their views."""
    photos = run.manifest.active_photos
    sheets = [photo for photo in photos if photo.stated.ready.startswith("sheet")]
    with run.step("views"):
        for photo in sheets:
            _store_sheet(run, photo, settings)
        run.manifest = retire_views(run.manifest, lambda view: not is_photo_view(view) and view.engine != "photos")
        run.manifest = add_photo_views(run.manifest, [photo for photo in photos if photo not in sheets])


def retire_views(manifest: Manifest, condition: Callable[[ViewEntry], bool]) -> Manifest:
    """Remove the views that meet a condition; their numbers are never used again."""
    live = {view.name for view in manifest.active_views.values()}
    views = (replace(view, removed=True) if view.name in live and condition(view) else view for view in manifest.views)
    return replace(manifest, views=tuple(views))


def _store_sheet(run: StageRun, photo: Photo, settings: PhotoSettings) -> None:
    from meshcli.generators.photos import split_view_sheet, with_silhouette
    from meshcli.pictures.image import encode_png, load_picture

    tiles = split_view_sheet(load_picture(run.project.path(photo.original), settings.max_pixels))
    named = {f"{photo.name}{tile}": camera for tile, camera in enumerate(photo.stated.sheet_cameras)}
    run.manifest, entries = add_views(run.manifest, photo.name, named, "photos")
    pictures = [with_silhouette(tile, settings, run.run_options.offline, run.run_options.weights) for tile in tiles]
    run.write({entry.file: encode_png(picture) for entry, picture in zip(entries, pictures, strict=True)})

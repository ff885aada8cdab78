"""Photos as views, views that another program painted, and cameras from a world of their own. Light until it works."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from meshcli.engines import VERSIONS, Generator
from meshcli.errors import ProjectError, UsageError
from meshcli.json_table import Table
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.settings import PhotoSettings
from meshcli.stages.photo_set import RequestedPhoto, read_claim, stated_of
from meshcli.stages.stage_runner import StageRun
from meshcli.stages.view_candidates import add_photo_views, add_views, is_photo_view
from meshcli.system.digests import digest
from meshcli.views.world_transform import Frame

WHOLE = (0.0, 0.0, 1.0, 1.0)  # a frame that is the picture

Prepared = tuple[Photo, dict[str, bytes]]  # with the files that are to be written


def suited(engine: Generator, claims: Sequence[RequestedPhoto]) -> Generator:
    """The engine for a set of photos: ready views need `photos`, which needs a camera for every photo."""
    ready = [claim for claim in claims if claim.stated.ready]
    if 0 < len(ready) < len(claims):
        raise UsageError("a set is either photos or ready views; make a project of its own for the others")
    if ready and engine not in ("auto", "photos"):
        raise UsageError(f"ready views are not painted again by {engine}; leave --engine out")
    if 0 < sum(claim.stated.foreign for claim in claims) < len(claims):
        raise UsageError("some photos have cameras of a foreign rig and some have not; hand them all in with one --rig")
    if 0 < sum(claim.stated.mirrored for claim in claims) < len(claims):
        raise UsageError("some photos are mirrored by their EXIF tag and some are not; save them without that tag")
    if not ready and engine == "photos" and not all(claim.stated.posed for claim in claims):
        raise UsageError("the engine photos takes photos as views and needs a camera for each: --azimuth or --rig")
    return "photos" if ready else engine


def engine_before(manifest: Manifest, ready: bool) -> str:
    """The engine of the finished stage; none when its ready views give way to photos, which are not `ready`."""
    record = manifest.stages.get("generate")
    if record is None or record.status != "done":
        return ""
    were_ready = any(photo.stated.get("ready") for photo in manifest.live_photos)
    return "" if were_ready and not ready else record.engine


def prepare_ready(run: StageRun, photo: Photo, claim: RequestedPhoto, settings: PhotoSettings) -> Prepared:
    """A view, or the first of a sheet, with its silhouette, in its own frame."""
    ready = claim.stated.ready
    prepared = digest([photo.sha256, VERSIONS["cut_out"], ready, settings.rembg, settings.rembg_model])
    if photo.prepared == prepared and not run.run_options.force and run.project.path(photo.file).is_file():
        run.outputs.append(run.project.output(photo.file))
        return replace(photo, camera=claim.stated.framed(photo.crop, *photo.size)), {}

    from meshcli.generators.photos import cut_sheet, ready_view, squared
    from meshcli.pictures.image import encode_png, load_picture

    pixels = load_picture(claim.path, settings.max_pixels, tell=run.note)
    read_claim(claim, photo.sha256)  # it is what was copied
    size, frame = (pixels.shape[1], pixels.shape[0]), WHOLE
    if ready == "view":
        picture, crop = squared(ready_view(pixels, settings, run.run_options.offline))
        frame = (crop.left, crop.top, crop.width, crop.height)
    else:
        picture = ready_view(cut_sheet(pixels)[0], settings, run.run_options.offline)
    camera = claim.stated.framed(frame, *size)
    after = replace(photo, camera=camera, size=size, crop=frame, prepared=prepared, method="ready")
    return after, {photo.file: encode_png(picture)}


def enter_frame(run: StageRun, named: Mapping[str, tuple[str, RequestedPhoto]]) -> None:
    """Put cameras of a foreign world into ours, and keep how; a world that was entered before stays where it is."""
    claims = {name: claim.stated for name, (_, claim) in named.items() if claim.stated.foreign}
    if not claims:
        run.manifest = replace(run.manifest, frame={})
        return
    recorded = run.manifest.frame
    cameras = {name: digest(stated.to_json()) for name, stated in claims.items()}
    photos = run.manifest.live_photos
    known = recorded.get("cameras")
    if known and isinstance(known, dict) and known.items() <= cameras.items():
        frame = Frame.read(Table(recorded, "manifest.json: frame", ProjectError))
    else:
        frame = _found_frame(run, photos, next(iter(claims.values())).up)
        recorded = {**frame.to_json(), "cameras": cameras}
    placed = {photo.name: replace(photo, camera=frame.camera(photo.camera)) for photo in photos}
    every = tuple(placed.get(photo.name, photo) for photo in run.manifest.photos)
    run.save(replace(run.manifest, photos=every, frame=recorded))


def _found_frame(run: StageRun, photos: Sequence[Photo], up: str) -> Frame:
    from meshcli.stages.view_loading import load_views
    from meshcli.views.find_world_transform import find_frame

    frame = find_frame(load_views(run.project, photos), up)
    x, y, z = frame.rotation[2]
    run.note(f"the rig's world is entered with ({x:.2f}, {y:.2f}, {z:.2f}) up, {frame.scale:.4g} times as large")
    return frame


def hand_on(run: StageRun, settings: PhotoSettings) -> None:
    """Photos as views, sheets cut into theirs."""
    photos = run.manifest.live_photos
    sheets = [photo for photo in photos if str(photo.stated.get("ready", "")).startswith("sheet")]
    with run.step("views"):
        for photo in sheets:
            _store_sheet(run, photo, settings)
        run.manifest = retired(run.manifest, lambda view: not is_photo_view(view) and view.engine != "photos")
        run.manifest = add_photo_views(run.manifest, [photo for photo in photos if photo not in sheets])


def retired(manifest: Manifest, gone: Callable[[ViewEntry], bool]) -> Manifest:
    """Without some views; their numbers stay taken."""
    live = {view.name for view in manifest.live_views.values()}
    views = (replace(view, removed=True) if view.name in live and gone(view) else view for view in manifest.views)
    return replace(manifest, views=tuple(views))


def _store_sheet(run: StageRun, photo: Photo, settings: PhotoSettings) -> None:
    from meshcli.generators.photos import cut_sheet, ready_view
    from meshcli.pictures.image import encode_png, load_picture

    tiles = cut_sheet(load_picture(run.project.path(photo.original), settings.max_pixels))
    named = {f"{photo.name}{tile}": camera for tile, camera in enumerate(stated_of(photo).sheet_cameras)}
    run.manifest, entries = add_views(run.manifest, photo.name, named, "photos")
    pictures = [ready_view(tile, settings, run.run_options.offline) for tile in tiles]
    run.write({entry.file: encode_png(picture) for entry, picture in zip(entries, pictures, strict=True)})

"""Runs the engine that generates the views, and stores them. Light until there is something to do.

`sculpt` takes all photos together. `zero123plus` takes each by itself, so finished photos are kept whatever happens to
the others, and an unfinished one continues from its checkpoint, `views/NAME.unfinished`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.engines import VERSIONS
from meshcli.errors import MissingError
from meshcli.project.artefacts import BODY, checkpoint_file
from meshcli.project.manifest import Photo, StageRecord, ViewEntry
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.azimuth_check import check_stated_azimuths
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.stages.sculpted_body import MIRROR_PLANES
from meshcli.stages.stage_runner import RunOptions, StageRun
from meshcli.stages.view_candidates import add_views
from meshcli.system.digests import digest, photo_seed
from meshcli.system.memory_peak import peak_rss
from meshcli.views.camera import Camera, orbit, zero123plus_rig
from meshcli.weights.device import install_hint
from meshcli.weights.locations import find_weights

if TYPE_CHECKING:
    from meshcli.views.view import View

RESULT_SETTINGS = ("steps", "guidance", "unet", "view_size")  # settings of zero123plus that change its views
DEFAULTS_LEFT_OUT = {"dtype": "auto", "compile": False}  # settings that count only with another value than this
VIEWS_PER_PHOTO = 6  # in the sheets of Zero123++
MESH_SETTINGS = ("parts", "body", "boxes", "bars", "hollows", "photos", "texture")  # of fit: no views depend on them


def engine_options(
    engine: str, settings: Settings, seed: int, run_options: RunOptions, record: StageRecord | None = None
) -> dict[str, Any]:
    """What the views depend on besides the photos: settings, seed, digests of the weights.

    Missing weights are fetched, except when `record` states their digests: a finished project may come from a machine
    that has them.
    """
    own = {"sculpt": ("sculpt", "fit"), "zero123plus": ("zero123plus",), "photos": ()}
    table = sections(settings, "photo", *own[engine])
    del table["photo"]["max_pixels"]  # a limit, not a property of the result
    if "fit" in table:
        table["fit"] = {key: value for key, value in table["fit"].items() if key not in MESH_SETTINGS}
    if engine == "zero123plus":
        changed = {key for key, default in DEFAULTS_LEFT_OUT.items() if getattr(settings.zero123plus, key) != default}
        table["zero123plus"] = {key: table["zero123plus"][key] for key in (*RESULT_SETTINGS, *changed)}
        table["weights"] = _weights_digests(settings, run_options, record)
    return {**table, "seed": seed}


def check_engine(engine: str, settings: Settings, run_options: RunOptions) -> None:
    """Check an engine before anything is written: MissingError for libraries or weights, UsageError for a device."""
    if engine == "zero123plus":
        from meshcli.generators.zero123plus.files import required_models
        from meshcli.stages.models import check_weights
        from meshcli.weights.device import resolve_device, resolve_dtype

        _fetch_weights(settings, run_options)
        resolve_dtype(settings.zero123plus.dtype, resolve_device(run_options.device))
        for name in required_models(settings.zero123plus.unet):
            if found := find_weights(name, run_options.weights):
                check_weights(found)


def lacking(settings: Settings, named_weights: Path | None) -> str:
    """What zero123plus needs and this machine lacks, with the command that gets it; empty when nothing is missing.

    Named weights may be those that cut photos out, or another network's.
    """
    from meshcli.generators.zero123plus.files import first_missing

    try:
        weights = first_missing(settings.zero123plus.unet, named_weights)
    except MissingError as error:
        return f"weights ({error})"
    if weights:
        return f"weights: `meshcli models pull {weights}`"
    libraries = _missing_libraries()
    return f"{libraries[0]}: {install_hint()}" if libraries else ""


def smaller_settings(engine: str, settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out; empty when nothing is left."""
    if engine == "photos":
        return {}
    return _smaller_zero123plus_settings(settings) if engine == "zero123plus" else _smaller_sculpt_settings(settings)


def run_generator(run: StageRun, settings: Settings, seed: int) -> None:
    """Generate six views of every photo; they are written and entered into the manifest."""
    if run.task.engine == "zero123plus":
        _run_zero123plus(run, settings, seed)
    else:
        _run_sculpt(run, settings, seed)


def _missing_libraries() -> list[str]:
    return [name for name in ("torch", "diffusers", "transformers", "safetensors") if find_spec(name) is None]


def _weights_digests(settings: Settings, run_options: RunOptions, record: StageRecord | None) -> dict[str, str]:
    """Digests of the weights on this machine, else of the record, else of the weights fetched now."""
    from meshcli.generators.zero123plus.files import locate_weights

    try:
        return locate_weights(settings.zero123plus.unet, run_options.weights).digests()
    except MissingError:
        known = record.options.get("weights") if record and record.engine == "zero123plus" else None
        if isinstance(known, dict) and not run_options.weights:
            return known
    _fetch_weights(settings, run_options)
    return {} if run_options.dry else locate_weights(settings.zero123plus.unet, run_options.weights).digests()


def _fetch_weights(settings: Settings, run_options: RunOptions) -> None:
    """Fetch missing weights; MissingError when a library is missing, or fetching is impossible or forbidden."""
    from meshcli.generators.zero123plus.files import required_models
    from meshcli.stages.models import fetch_missing

    if libraries := _missing_libraries():
        raise MissingError(f"zero123plus needs {', '.join(libraries)}: {install_hint()}")
    fetch_missing(required_models(settings.zero123plus.unet), run_options)


def _smaller_sculpt_settings(settings: Settings) -> dict[str, Any]:
    """Coarser grids, then smaller views; by eye: below these sizes the body is of no use."""
    if max(settings.fit.resolutions) > 40:
        return {
            "fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions],
            "sculpt.resolution": max(48, settings.sculpt.resolution * 2 // 3),
        }
    return {"sculpt.view_size": settings.sculpt.view_size // 2} if settings.sculpt.view_size > 160 else {}


def _smaller_zero123plus_settings(settings: Settings) -> dict[str, Any]:
    """One photo at a time, then fewer networks in memory at a time, then half precision."""
    own = settings.zero123plus
    if own.batch > 1:
        return {"zero123plus.batch": 1}
    if own.vram != "low":
        return {"zero123plus.vram": "normal" if own.vram == "high" else "low"}
    return {"zero123plus.dtype": "bf16"} if own.dtype == "fp32" else {}


def _run_sculpt(run: StageRun, settings: Settings, seed: int) -> None:
    """Sculpt one body from all photos; photos get the cameras that it was carved with."""
    from meshcli.export.gltf import write_glb
    from meshcli.generators.sculpt.sculpt import sculpt, sculpt_each
    from meshcli.pictures.image import encode_png
    from meshcli.stages.view_loading import load_views

    photos = run.manifest.active_photos
    run.run_options.progress(0, 1, "reading the photos")
    with run.step("views"):
        pictures = load_views(run.project, photos)
        seeds = [photo_seed(seed, photo.sha256) for photo in photos]
        if photos_of_unknown_azimuth(run.manifest):
            sculpture = sculpt_each(pictures, settings.sculpt, settings.fit, seeds, run.run_options.progress)
        else:
            check_stated_azimuths(run, pictures, settings, seed)
            sculpture = sculpt(
                pictures, settings.sculpt, settings.fit, seeds, run.run_options.progress, _unknown_elevations(photos)
            )
    for note in sculpture.notes:
        run.note(note)
    if sculpture.planes:
        run.facts[MIRROR_PLANES] = [[*plane.normal.tolist(), plane.offset] for plane in sculpture.planes]
    files = {BODY: write_glb(sculpture.mesh)} if sculpture.mesh is not None else {}
    for photo, seen, views in zip(photos, sculpture.photos, sculpture.views, strict=True):
        entries = _add_to_manifest(run, replace(photo, camera=seen.camera, painted=""), [view.camera for view in views])
        files |= {entry.file: encode_png(view.pixels) for entry, view in zip(entries, views, strict=True)}
    run.write(files)


def _run_zero123plus(run: StageRun, settings: Settings, seed: int) -> None:
    """Generate the views of each photo that has none yet; finished photos are kept."""
    from meshcli.generators.zero123plus.networks import open_networks
    from meshcli.generators.zero123plus.sampling import Callbacks, PhotoInput, generate_sheets
    from meshcli.generators.zero123plus.sheet_views import extract_views
    from meshcli.pictures.image import encode_png
    from meshcli.stages.view_loading import load_views

    own = settings.zero123plus
    run.run_options.progress(0, 1, "loading the networks")
    networks = open_networks(
        own, run.run_options.device, run.run_options.weights, run.run_options.progress, run.run_options.tell
    )
    photos = run.manifest.active_photos
    store, jobs, rigs = _CheckpointStore(run.project), {}, {}
    # Before the photos are read, so that one that is edited meanwhile has another key the next time.
    keys = {photo.name: _views_key(run, photo) for photo in photos}
    with run.step("cameras"):
        pictures = load_views(run.project, photos)
        placed = _common_world_cameras(run, pictures, settings)
    for photo, picture, seen in zip(photos, pictures, placed, strict=True):
        key, rig = keys[photo.name], zero123plus_rig(seen.azimuth, _relative_scale(seen), seen.known)
        after = replace(photo, camera=seen, painted=key)
        if run.run_options.force:
            store.forget(photo.name)
        elif _is_finished(run, photo, key):
            run.outputs += [run.project.output(entry.file) for entry in _add_to_manifest(run, after, rig)]
            continue
        jobs[photo.name] = PhotoInput(photo.name, picture.pixels, photo_seed(seed, photo.sha256), key)
        rigs[photo.name] = after, rig
    asked = run.run_options
    hooks = Callbacks(asked.progress, asked.show_preview, asked.preview_every, run.step)
    for job, sheet in generate_sheets(list(jobs.values()), networks, own, store, hooks):
        tiles = extract_views(sheet, settings.photo)
        entries = _add_to_manifest(run, *rigs[job.name])
        run.write({entry.file: encode_png(tile) for entry, tile in zip(entries, tiles.pictures, strict=True)})
        run.save(run.manifest)
        store.forget(job.name)
        if tiles.unmasked:
            names = ", ".join(entries[tile].name for tile in tiles.unmasked)
            run.note(f"the background of {names} could not be separated from the object: no mask for these views")
    run.facts |= networks.facts()
    run.run_options.tell(f"peak memory {peak_rss() / 1e9:.1f} GB")


@dataclass(frozen=True)
class _CheckpointStore:
    """Checkpoints of unfinished photos, in the project."""

    project: Project

    def load(self, name: str) -> bytes | None:
        path = self.project.path(checkpoint_file(name))
        return path.read_bytes() if path.is_file() else None

    def save(self, name: str, data: bytes) -> None:
        self.project.write({checkpoint_file(name): data})

    def forget(self, name: str) -> None:
        self.project.path(checkpoint_file(name)).unlink(missing_ok=True)


def _views_key(run: StageRun, photo: Photo) -> str:
    """Digest of what the views of a photo depend on, without cameras: those can be changed afterwards."""
    options = {name: table for name, table in run.task.options.items() if name != "photo"}
    version = VERSIONS[run.task.engine]
    return digest([run.task.engine, version, options, photo.sha256, run.project.digest(photo.file)])


def _is_finished(run: StageRun, photo: Photo, key: str) -> bool:
    """Whether all views of a photo exist and were generated from what `key` stands for."""
    views = [view for view in run.manifest.views if view.photo == photo.name and view.engine == run.task.engine]
    existing = [view for view in views if run.project.path(view.file).is_file()]
    return photo.painted == key and len(existing) == VIEWS_PER_PHOTO


def _common_world_cameras(run: StageRun, pictures: "Sequence[View]", settings: Settings) -> list[Camera]:
    """The photos' cameras in one world; the generator frames each photo separately."""
    aligned = all(photo.stated.aligned for photo in run.manifest.active_photos)
    if len(pictures) == 1 or aligned or photos_of_unknown_azimuth(run.manifest):
        return [picture.camera for picture in pictures]
    from meshcli.generators.sculpt.sculpt import align_photos

    run.run_options.progress(0, 1, "aligning the silhouettes")
    placed, notes = align_photos(pictures, settings.sculpt, _unknown_elevations(run.manifest.active_photos))
    for note in notes:
        run.note(note)
    return [view.camera for view in placed]


def _unknown_elevations(photos: Sequence[Photo]) -> list[str]:
    """The names of the photos whose elevation nobody stated and no rig has."""
    return [
        photo.name
        for photo in photos
        if photo.stated.elevation is None and photo.stated.camera is None and not photo.stated.ready
    ]


def _relative_scale(camera: Camera) -> float:
    """How much larger a photo shows the object than the generator's own camera does."""
    own = orbit(0.0, 0.0)
    return (own.distance / own.fy) / (camera.distance / camera.fy)


def _add_to_manifest(run: StageRun, photo: Photo, cameras: Sequence[Camera]) -> list[ViewEntry]:
    """Enter a photo and its views, one for each camera, into the manifest; the views' entries."""
    photos = tuple(photo if photo.name == before.name else before for before in run.manifest.photos)
    named = {f"{photo.name}{tile}": camera for tile, camera in enumerate(cameras)}
    run.manifest, entries = add_views(replace(run.manifest, photos=photos), photo.name, named, run.task.engine)
    return entries

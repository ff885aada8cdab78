"""Mesh -> renders: turntables and stills in several passes, selected views beside renders from the same cameras.

The mesh is read from the file that `reconstruct` wrote, as any other program would read it. Light until it works.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import TypedSettings
from meshcli.config import options as sections
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.project.artefacts import (
    CONTACT_SHEET,
    MESH,
    PLANES,
    SIDES,
    blend_file,
    camera_still,
    still_file,
    turntable_file,
)
from meshcli.project.project import Project
from meshcli.settings import RenderSettings, Settings
from meshcli.stages.inputs import chosen_views, fingerprint, render_parts
from meshcli.stages.networks import field_sizes
from meshcli.stages.picture_cameras import check_names
from meshcli.stages.reduced_settings import with_reduced_settings
from meshcli.stages.render_stills import write_camera_stills, write_stills
from meshcli.stages.settings_in_force import settings_in_force
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
from meshcli.stages.status import read_status
from meshcli.system.atomic_files import replacing

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.rendering.backdrop import Backdrop
    from meshcli.rendering.rasteriser import Rasteriser
    from meshcli.rendering.turntable import MeshPictures

ENGINE = "embree"
# Settings that finished renders of earlier versions lack.
LATER = ("distance", "azimuths", "background", "passes", "normals", "gif", "webp", "cameras")


def render_mesh(
    project: Project, *, settings: Settings | TypedSettings = TypedSettings(), run_options: RunOptions = RunOptions()
) -> Outcome:
    """Make the turntable, the stills and the contact sheet of the mesh, in every pass."""
    with write_lock(project, run_options):
        manifest = project.load()
        record = manifest.stages.get("render")
        requested = settings_in_force("render", record, settings)
        settings = requested.settings
        _refuse_unused_device(settings, run_options)
        if not project.path(MESH).is_file():
            raise UsageError(f"{project.root} has no mesh; run `{project.command('reconstruct')}`")
        if settings.render.source == "field":
            field_sizes(project, manifest.stages.get("reconstruct"))
        check_names(manifest, settings.render.cameras)
        settings = with_background_path(settings)
        for status in read_status(project, holds_lock=not run_options.dry).before("render"):
            if status.state != "done":
                run_options.tell(f"the mesh may be out of date: {status.stage} is {status.state} ({status.reason})")
        settings, requested_digest, reduced = with_reduced_settings(
            record, ENGINE, settings, recorded_options(settings), run_options
        )
        options = recorded_options(settings)
        inputs = fingerprint(ENGINE, options, render_parts(project, manifest, options, record.inputs if record else {}))
        task = ResolvedTask(
            "render", ENGINE, options, inputs, requested_digest, reduced, smaller_settings(settings),
            requested.to_record, files=render_files(settings.render),
        )  # fmt: skip
        if outcome := outcome_without_running(
            project, manifest, task, run_options, lambda: check_renders(settings.render)
        ):
            return outcome
        ensure_memory(project, manifest, task, run_options)
        backdrop = _read_backdrop(settings.render, run_options) if settings.render.background else None
        with recording(project, manifest, task, run_options) as run:
            _write_renders(run, settings.render, backdrop)
        return run.outcome()


def recorded_options(settings: Settings) -> dict[str, Any]:
    """The options for record and fingerprint; later settings only where they are not the default.

    So a render that was finished before there were these settings is still that of the same options.
    """
    options, defaults = (sections(each, "render")["render"] for each in (settings, Settings()))
    return {"render": {key: value for key, value in options.items() if key not in LATER or value != defaults[key]}}


def render_files(settings: RenderSettings) -> tuple[str, ...]:
    """All files that a render with these settings may write."""
    stills = list(settings.named_azimuths or SIDES)
    stills += [camera_still(name) for name in settings.cameras]
    endings = ("mp4", *(("gif",) if settings.gif else ()), *(("webp",) if settings.webp else ()))
    files = [
        file
        for kind in dict.fromkeys(settings.passes)
        for file in (
            *(turntable_file(kind, ending) for ending in endings),
            *(still_file(still, kind) for still in stills),
        )
    ]
    return tuple(dict.fromkeys([files[0], CONTACT_SHEET, *files, *map(blend_file, settings.cameras)]))


def with_background_path(settings: Settings) -> Settings:
    """The settings with the path of a background picture from the root. UsageError for what is no background."""
    text = settings.render.background
    if not text or Path(text).is_absolute():
        return settings
    from meshcli.rendering.backdrop import is_picture

    path = str(Path(text).absolute()) if is_picture(text) else text
    return replace(settings, render=replace(settings.render, background=path))


def check_renders(settings: RenderSettings) -> None:
    """MissingError when no video can be encoded; InputError for a background picture that cannot be read."""
    check_video()
    if Path(settings.background).is_absolute():
        _read_backdrop(settings, RunOptions())


def _read_backdrop(settings: RenderSettings, run_options: RunOptions) -> "Backdrop":
    """What is behind the object; InputError for a picture that cannot be read."""
    from meshcli.rendering.backdrop import read_backdrop

    return read_backdrop(settings.background, settings.size, run_options.tell)


def check_video() -> None:
    """MissingError when no video can be encoded on this machine."""
    from meshcli.rendering.ffmpeg import check_encoder

    check_encoder()


def _refuse_unused_device(settings: Settings, run_options: RunOptions) -> None:
    if run_options.device == "mps" and settings.render.source == "mesh":
        raise UsageError("--device mps is for --source field; the processor, or with cuda nvdiffrast, shows the mesh")


def smaller_settings(settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out: smaller pictures; empty below 128 pixels, which show too little."""
    return {"render.size": settings.render.size // 2} if settings.render.size > 128 else {}


def _write_renders(run: StageRun, settings: RenderSettings, backdrop: "Backdrop | None") -> None:
    """Write the contact sheet, and the stills and turntables of every pass."""
    run.run_options.progress(0, 1, "reading the mesh")
    from meshcli.export.gltf import read_glb
    from meshcli.pictures.image import encode_png
    from meshcli.rendering.turntable import MeshPictures
    from meshcli.stages.view_loading import load_views

    check_video()
    try:
        mesh = read_glb(run.project.path(MESH))
    except InputError as error:
        again = run.project.command("reconstruct")
        raise ProjectError(f"{error}; `{again} --force` rebuilds it") from error
    on_gpu = _gpu_rasteriser(run, mesh) if run.run_options.device.startswith("cuda") else None
    show = MeshPictures(mesh, settings, run.run_options.progress, on_gpu, backdrop)
    if backdrop and backdrop.transparent:
        run.note("an mp4 has no transparency: its background is white; stills, GIF and WebP have none")
    with run.step("contact sheet"):
        views = load_views(run.project, chosen_views(run.project, run.manifest))
        run.write({CONTACT_SHEET: encode_png(show.contact_sheet(views))})
    with run.step("stills"):
        write_stills(run, show)
    if settings.cameras:
        with run.step("cameras"):
            write_camera_stills(run, show)
    with run.step("turntable"):
        _write_turntables(run, show, settings)


def _write_turntables(run: StageRun, show: "MeshPictures", settings: RenderSettings) -> None:
    """Write a video for each pass, and the same as GIF and WebP where that is set."""
    for kind in dict.fromkeys(settings.passes):
        with _writing(run, turntable_file(kind)) as path:
            if settings.source == "field":
                _render_field_turntable(run, settings, path)
            else:
                show.turntable(path, kind)
        if settings.gif:
            with _writing(run, turntable_file(kind, "gif")) as path:
                show.gif(path, kind)
        if settings.webp:
            with _writing(run, turntable_file(kind, "webp")) as path:
                show.webp(path, kind)


@contextmanager
def _writing(run: StageRun, file: str) -> Iterator[Path]:
    """A temporary path for code that writes an artefact itself."""
    with replacing(run.project.path(file)) as path:
        yield path
    run.outputs.append(run.project.output(file))


def _gpu_rasteriser(run: StageRun, mesh: "Mesh") -> "Rasteriser | None":
    """A GPU rasteriser for the named device; None when nvdiffrast is not installed."""
    from meshcli.rendering.rasteriser import Rasteriser, available
    from meshcli.weights.device import resolve_device

    device = resolve_device(run.run_options.device)
    if not available():
        run.run_options.tell("nvdiffrast is not installed: the pictures of the mesh come from the processor")
        return None
    return Rasteriser(mesh.vertices, mesh.faces, str(device))


def _render_field_turntable(run: StageRun, settings: RenderSettings, path: Path) -> None:
    """Render the turntable from the radiance field, after telling how long it will take."""
    from meshcli.reconstructors.field_turntable import estimate_frame_seconds, render_field_turntable
    from meshcli.reconstructors.instantmesh import Triplanes
    from meshcli.weights.device import resolve_device

    device = resolve_device(run.run_options.device)
    sizes = field_sizes(run.project, run.manifest.stages.get("reconstruct"))
    planes = Triplanes.read(run.project.path(PLANES), sizes, device)
    minutes = estimate_frame_seconds(planes, settings.size) * settings.frames / 60
    run.run_options.tell(
        f"{settings.frames} pictures of the radiance field take about {max(minutes, 0.1):.1f} minutes on {device}"
    )
    render_field_turntable(planes, settings, path, run.run_options.progress)
    run.facts["device"] = str(device)

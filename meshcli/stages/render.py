"""Mesh -> renders: a turntable, stills from named sides, selected views beside renders from the same cameras.

The mesh is read from the file that `reconstruct` wrote, as any other program would read it. Light until it works.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import TypedSettings
from meshcli.config import options as sections
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.project.artefacts import CONTACT_SHEET, FIXED_ARTEFACTS, MESH, PLANES, TURNTABLE
from meshcli.project.project import Project
from meshcli.settings import RenderSettings, Settings
from meshcli.stages.inputs import chosen_views, fingerprint, mesh_parts
from meshcli.stages.networks import field_sizes
from meshcli.stages.settings_in_force import settings_in_force
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
from meshcli.stages.status import read_status
from meshcli.system.atomic_files import replacing

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.rendering.rasteriser import Rasteriser

ENGINE = "embree"


def render_mesh(
    project: Project, *, settings: Settings | TypedSettings = TypedSettings(), run_options: RunOptions = RunOptions()
) -> Outcome:
    """Make the turntable, the stills and the contact sheet of the mesh."""
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
        for status in read_status(project, holds_lock=not run_options.dry).before("render"):
            if status.state != "done":
                run_options.tell(f"the mesh may be out of date: {status.stage} is {status.state} ({status.reason})")
        settings, requested_digest, reduced = with_reduced_settings(
            record, ENGINE, settings, sections(settings, "render"), run_options
        )
        options = sections(settings, "render")
        inputs = fingerprint(ENGINE, options, mesh_parts(project, manifest, settings.render.source))
        task = ResolvedTask(
            "render", ENGINE, options, inputs, requested_digest, reduced, smaller_settings(settings),
            requested.to_record, files=FIXED_ARTEFACTS["render"],
        )  # fmt: skip
        if outcome := outcome_without_running(project, manifest, task, run_options, check_video):
            return outcome
        ensure_memory(project, manifest, task, run_options)
        with recording(project, manifest, task, run_options) as run:
            _write_renders(run, settings.render)
        return run.outcome()


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


def _write_renders(run: StageRun, settings: RenderSettings) -> None:
    """Write the contact sheet, the stills and the turntable."""
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
    if run.run_options.device.startswith("cuda"):
        show = MeshPictures(mesh, settings, run.run_options.progress, _gpu_rasteriser(run, mesh))
    else:
        show = MeshPictures(mesh, settings, run.run_options.progress)
    with run.step("contact sheet"):
        views = load_views(run.project, chosen_views(run.project, run.manifest))
        run.write({CONTACT_SHEET: encode_png(show.contact_sheet(views))})
    with run.step("stills"):
        run.write({f"renders/{name}.png": encode_png(picture) for name, picture in show.stills().items()})
    with run.step("turntable"):
        with replacing(run.project.path(TURNTABLE)) as path:
            if settings.source == "field":
                _render_field_turntable(run, settings, path)
            else:
                show.turntable(path)
        run.outputs.append(run.project.output(TURNTABLE))


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

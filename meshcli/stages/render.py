"""Mesh -> pictures: a turntable, stills from named sides, chosen views beside renders from the same cameras.

The mesh is read from the file that `reconstruct` wrote, as any other program would. Light until it works.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.project.project import Project
from meshcli.settings import RenderSettings, Settings
from meshcli.stages.inputs import MESH, PLANES, chosen_views, fingerprint, mesh_parts
from meshcli.stages.networks import field_sizes
from meshcli.stages.stage_runner import How, Outcome, Task, Work, affordable, ensure_room, entering, unchanged, working
from meshcli.stages.status import read_status
from meshcli.system.atomic_files import replacing

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.rendering.rasteriser import Rasteriser

ENGINE = "embree"
TURNTABLE = "renders/turntable.mp4"
CONTACT = "renders/contact.png"


def render_mesh(project: Project, *, settings: Settings = Settings(), how: How = How()) -> Outcome:
    """Make the turntable, the stills and the contact sheet of the mesh."""
    if how.device == "mps" and settings.render.source == "mesh":
        raise UsageError("--device mps is for --from field; the processor, or with cuda nvdiffrast, shows the mesh")
    with entering(project, how):
        manifest = project.load()
        if not project.path(MESH).is_file():
            raise UsageError(f"{project.root} has no mesh; run `{project.command('reconstruct')}`")
        if settings.render.source == "field":
            field_sizes(project, manifest.stages.get("reconstruct"))
        for status in read_status(project, alone=not how.dry).stages[:-1]:
            if status.state != "done":
                how.tell(f"the mesh may be out of date: {status.stage} is {status.state} ({status.reason})")
        record = manifest.stages.get("render")
        settings, asked, smaller = affordable(record, ENGINE, settings, sections(settings, "render"), how)
        options = sections(settings, "render")
        inputs = fingerprint(ENGINE, options, mesh_parts(project, manifest, settings.render.source))
        task = Task("render", ENGINE, options, inputs, asked, smaller, fallback(settings))
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        ensure_room(project, manifest, task, how)
        with working(project, manifest, task, how) as work:
            _render(work, settings.render)
        return work.outcome()


def fallback(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: smaller pictures; empty when nothing is left."""
    return {"render.size": settings.render.size // 2} if settings.render.size > 128 else {}


def _render(work: Work, settings: RenderSettings) -> None:
    from meshcli.export.gltf import read_glb
    from meshcli.pictures.image import encode_png
    from meshcli.rendering.turntable import Showcase
    from meshcli.stages.view_loading import load_views

    try:
        mesh = read_glb(work.project.path(MESH))
    except InputError as error:
        again = work.project.command("reconstruct")
        raise ProjectError(f"{error}; `{again} --force` makes it anew") from error
    if work.how.device.startswith("cuda"):
        show = Showcase(mesh, settings, work.how.progress, _rasteriser(work, mesh))
    else:
        show = Showcase(mesh, settings, work.how.progress)
    with work.step("contact sheet"):
        views = load_views(work.project, chosen_views(work.project, work.manifest))
        work.write({CONTACT: encode_png(show.beside(views))})
    with work.step("stills"):
        work.write({f"renders/{name}.png": encode_png(picture) for name, picture in show.stills().items()})
    with work.step("turntable"):
        with replacing(work.project.path(TURNTABLE)) as path:
            if settings.source == "field":
                _film_field(work, settings, path)
            else:
                show.turntable(path)
        work.outputs.append(work.project.output(TURNTABLE))


def _rasteriser(work: Work, mesh: "Mesh") -> "Rasteriser | None":
    """On a GPU that was named, where nvdiffrast is installed."""
    from meshcli.rendering.rasteriser import Rasteriser, available
    from meshcli.weights.device import resolve_device

    device = resolve_device(work.how.device)
    if not available():
        work.how.tell("nvdiffrast is not installed: the pictures of the mesh come from the processor")
        return None
    return Rasteriser(mesh.vertices, mesh.faces, str(device))


def _film_field(work: Work, settings: RenderSettings, path: Path) -> None:
    """The turntable of the radiance field; says how long it will take before it starts."""
    from meshcli.reconstructors.field_turntable import film, seconds_per_picture
    from meshcli.reconstructors.instantmesh import Planes
    from meshcli.weights.device import resolve_device

    device = resolve_device(work.how.device)
    sizes = field_sizes(work.project, work.manifest.stages.get("reconstruct"))
    planes = Planes.read(work.project.path(PLANES), sizes, device)
    minutes = seconds_per_picture(planes, settings.size) * settings.frames / 60
    work.how.tell(
        f"{settings.frames} pictures of the radiance field take about {max(minutes, 0.1):.1f} minutes on {device}"
    )
    film(planes, settings, path, work.how.progress)
    work.facts["device"] = str(device)

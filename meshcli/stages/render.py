"""Mesh -> pictures: a turntable, stills from named sides, chosen views beside renders from the same cameras.

The mesh is read from the file that `reconstruct` wrote, as any other program would. Light until it works.
"""

from typing import Any

from meshcli.atomic import replacing
from meshcli.config import options as sections
from meshcli.errors import UsageError
from meshcli.manifest import Manifest
from meshcli.project import Project
from meshcli.settings import RenderSettings, Settings
from meshcli.stages.reconstruct import MESH
from meshcli.stages.select import chosen_views, view_inputs
from meshcli.stages.work import How, Outcome, Task, Work, affordable, fingerprint, unchanged, working

TURNTABLE = "renders/turntable.mp4"
CONTACT = "renders/contact.png"


def render_mesh(project: Project, *, settings: Settings = Settings(), how: How = How()) -> Outcome:
    """Make the turntable, the stills and the contact sheet of the mesh."""
    _check(settings.render)
    with project.writing(how.wait, how.tell):
        manifest = project.load()
        if not project.path(MESH).is_file():
            raise UsageError(f"{project.root} has no mesh; run `meshcli reconstruct {project.root}`")
        record = manifest.stages.get("render")
        settings, asked, smaller = affordable(record, "render", settings, sections(settings, "render"), how)
        options = sections(settings, "render")
        now = inputs(project, manifest, options)
        task = Task("render", "render", options, now, asked, smaller, fallback(settings))
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        with working(project, manifest, task, how) as work:
            _render(work, settings.render)
        return work.outcome()


def inputs(project: Project, manifest: Manifest, options: dict[str, Any]) -> dict[str, str]:
    """The fingerprint of rendering the mesh beside the selected views."""
    parts = {"mesh": project.digest(MESH), **view_inputs(project, chosen_views(project, manifest))}
    return fingerprint("render", options, parts)


def inputs_now(project: Project, manifest: Manifest) -> dict[str, str]:
    """The same with the recorded options, for `status`."""
    return inputs(project, manifest, manifest.stages["render"].options)


def fallback(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: smaller pictures; empty when nothing is left."""
    return {"render.size": settings.render.size // 2} if settings.render.size > 128 else {}


def _check(settings: RenderSettings) -> None:
    if min(settings.frames, settings.fps, settings.samples) < 1 or not 16 <= settings.size <= 8192:
        raise UsageError("render: frames, fps and samples must be at least 1, size between 16 and 8192")
    if not -90.0 <= settings.elevation <= 90.0:
        raise UsageError("render.elevation must lie between -90 and 90 degrees")


def _render(work: Work, settings: RenderSettings) -> None:
    from meshcli.export.gltf import read_glb
    from meshcli.image import encode_png
    from meshcli.showcase import Showcase
    from meshcli.stages.pictures import load_views

    show = Showcase(read_glb(work.project.path(MESH)), settings, work.how.progress)
    with work.step("contact sheet"):
        views = load_views(work.project, chosen_views(work.project, work.manifest))
        work.write({CONTACT: encode_png(show.beside(views))})
    with work.step("stills"):
        work.write({f"renders/{name}.png": encode_png(picture) for name, picture in show.stills().items()})
    with work.step("turntable"):
        with replacing(work.project.path(TURNTABLE)) as path:
            show.turntable(path)
        work.outputs.append(work.project.output(TURNTABLE))

"""Selected views -> mesh: fit a surface, simplify it, bake a texture, write GLB and OBJ. Light until it works."""

from dataclasses import replace
from typing import Any

from meshcli.config import options as sections
from meshcli.engines import Reconstructor, pick_reconstructor
from meshcli.project import Project
from meshcli.settings import Settings
from meshcli.stages.inputs import chosen_views, fingerprint, view_parts
from meshcli.stages.work import How, Outcome, Task, Work, affordable, unchanged, working


def reconstruct_mesh(
    project: Project,
    *,
    settings: Settings = Settings(),
    engine: Reconstructor = "auto",
    seed: int = 0,
    how: How = How(),
) -> Outcome:
    """Build the textured mesh of the selected views, each seen by its own camera."""
    with project.writing(how.wait, how.tell):
        manifest = project.load()
        views = chosen_views(project, manifest)
        chosen, why = pick_reconstructor(engine)
        record = manifest.stages.get("reconstruct")
        settings, asked, smaller = affordable(record, chosen, settings, _options(settings, seed), how)
        options = _options(settings, seed)
        inputs = fingerprint(chosen, options, view_parts(project, views))
        task = Task("reconstruct", chosen, options, inputs, asked, smaller, fallback(settings))
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        how.tell(f"engine {chosen} ({why})")
        with working(project, manifest, task, how) as work:
            _reconstruct(work, settings, seed)
        return work.outcome()


def fallback(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: coarser grids, then a smaller texture; empty when nothing is left."""
    if max(settings.fit.resolutions) > 40:
        return {"fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions]}
    return {"texture.size": settings.texture.size // 2} if settings.texture.size > 512 else {}


def _options(settings: Settings, seed: int) -> dict[str, Any]:
    return {**sections(settings, "fit", "texture"), "seed": seed}


def _reconstruct(work: Work, settings: Settings, seed: int) -> None:
    from meshcli.export.gltf import write_glb
    from meshcli.export.obj import write_obj
    from meshcli.reconstructors.fit import fit
    from meshcli.stages.pictures import load_views
    from meshcli.texture import bake, simplify

    views = load_views(work.project, chosen_views(work.project, work.manifest))
    with work.step("fit"):
        dense = fit(views, settings.fit, seed, work.how.progress)
    with work.step("simplify"):
        mesh = simplify(dense, settings.texture.faces)
    with work.step("texture"):
        mesh = bake(mesh, views, settings.texture, work.how.progress)
    with work.step("write"):
        coloured = write_obj(replace(mesh, texture=None), "colours") if mesh.colours is not None else {}
        files = {"mesh.glb": write_glb(mesh), **write_obj(mesh, "mesh"), **coloured}
        work.write({f"mesh/{name}": data for name, data in files.items()})
    work.facts = {"views": len(views), "vertices": len(mesh.vertices), "faces": len(mesh.faces)}

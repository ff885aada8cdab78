"""Selected views -> mesh: a surface, fitted or seen by a network, textured, as GLB and OBJ. Light until it works."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.engines import NETWORKS, Reconstructor, refuse_idle
from meshcli.errors import MeshcliError, UsageError
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages import networks
from meshcli.stages.inputs import PLANES, chosen_views, fingerprint, view_parts
from meshcli.stages.networks import Network, pick_engine, prepare
from meshcli.stages.stage_runner import How, Outcome, Task, Work, affordable, ensure_room, entering, unchanged, working
from meshcli.weights.locations import require

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.reconstructors.instantmesh import Planes
    from meshcli.views.view import View

USUAL = 6  # views that the networks were trained with


def reconstruct_mesh(
    project: Project,
    *,
    settings: Settings = Settings(),
    engine: Reconstructor = "auto",
    seed: int = 0,
    how: How = How(),
) -> Outcome:
    """Build the textured mesh of the selected views, each seen by its own camera."""
    with entering(project, how):
        manifest = project.load()
        views = view_parts(project, chosen_views(project, manifest))
        record = manifest.stages.get("reconstruct")
        chosen, why = pick_engine(engine, record, settings, how)
        _refuse_flags(settings, chosen, why, how)
        network = None
        if chosen in NETWORKS:
            network, settings = prepare(project, chosen, settings, views, how)
        settings, asked, smaller = affordable(record, chosen, settings, _options(settings, seed, network), how)
        options = _options(settings, seed, network)
        less = networks.fallback(settings) if network else fallback(settings)
        task = Task("reconstruct", chosen, options, fingerprint(chosen, options, views), asked, smaller, less)
        if outcome := unchanged(project, manifest, task, how):
            return outcome
        ensure_room(project, manifest, task, how)
        how.tell(f"engine {chosen} ({why})")
        with working(project, manifest, task, how) as work:
            if network:
                _run_network(work, network, settings)
            else:
                _fit(work, settings, seed)
        return work.outcome()


def fallback(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: coarser grids, then a smaller texture; empty when nothing is left."""
    if max(settings.fit.resolutions) > 40:
        return {"fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions]}
    smaller = {"texture.size": settings.texture.size // 2}
    return smaller if settings.fit.texture and settings.texture.size > 512 else {}


def _refuse_flags(settings: Settings, engine: str, why: str, how: How) -> None:
    """Raise a UsageError for a flag that this engine would ignore."""
    refuse_idle(how.flags, engine, why)
    section = "lrm" if engine in NETWORKS else "fit"
    sized = [flag for flag in how.flags if flag.startswith("--texture-size")]
    if sized and not getattr(settings, section).texture:
        raise UsageError(f"{sized[0]}: there is no texture, for {section}.texture is false")


def _options(settings: Settings, seed: int, network: Network | None) -> dict[str, Any]:
    if network is None:
        return {**sections(settings, "fit", "texture"), "seed": seed}
    table = sections(settings, "lrm", "texture")
    del table["lrm"]["file"]  # what it says stands in `network`
    del table["texture"]["faces"]  # lrm.simplify says it
    return {**table, **network.options()}


def _fit(work: Work, settings: Settings, seed: int) -> None:
    from meshcli.meshes.texture import bake, simplify
    from meshcli.reconstructors.fit import fit

    views = _views(work)
    with work.step("fit"):
        dense = fit(views, settings.fit, seed, work.how.progress, work.note)
    with work.step("simplify"):
        mesh = simplify(dense, settings.texture.faces)
    _tell_faces(work, settings.texture.faces, len(dense.faces))
    if settings.fit.texture:
        with work.step("texture"):
            mesh = bake(mesh, views, settings.texture, work.how.progress)
    _write(work, mesh, len(views))


def _run_network(work: Work, network: Network, settings: Settings) -> None:
    from meshcli.reconstructors.instantmesh import Planes, build
    from meshcli.weights.device import dtype_name, resolve_device, resolve_dtype

    device = resolve_device(work.how.device)
    dtype = resolve_dtype(settings.lrm.dtype, device, auto="fp32")
    work.facts = {"device": str(device), "dtype": dtype_name(dtype), "weights": network.weights}
    planes: Planes | None = None
    if network.reusable:
        with work.step("read planes"):
            planes = _planes_from_before(work, network, device)
    views = _views(work)
    if planes is None:
        planes = _look(work, network, views, device, dtype)
    with work.step("surface"):
        built = build(planes, settings.lrm, work.how.progress)
    mesh = built.mesh
    if not len(mesh.faces):
        raise UsageError(
            f"the network sees no density above {settings.lrm.threshold:g}; try --set lrm.threshold="
            f"{settings.lrm.threshold / 2:g}"
        )
    if built.empty:
        work.note("the network sees no surface in these views: the mesh is a stand-in")
    if settings.lrm.simplify:
        _tell_faces(work, settings.lrm.simplify, built.found)
        if len(mesh.faces) < built.found:
            work.note(f"simplified to {len(mesh.faces)} faces")
    if settings.lrm.texture:
        from meshcli.meshes.texture import bake_colours

        with work.step("texture"):
            mesh = bake_colours(mesh, built.colours, settings.texture, work.how.progress)
    _write(work, mesh, len(views))
    if device.type == "cuda":
        import torch

        work.facts["peak_vram"] = torch.cuda.max_memory_allocated(device)  # bytes


def _tell_faces(work: Work, asked: int, found: int) -> None:
    """Put on record how many faces were asked for, and say so where the surface had no more than fewer."""
    work.facts["faces_asked"] = asked
    if found < asked:
        work.note(f"{asked} faces were asked for, and the surface has {found}: a finer grid has more")


def _planes_from_before(work: Work, network: Network, device: Any) -> "Planes | None":
    """The planes that an earlier run left; None when their file is damaged and the weights are here."""
    from meshcli.reconstructors.instantmesh import Planes

    try:
        planes = Planes.read(work.project.path(PLANES), network.file.sizes, device)
    except MeshcliError:
        if network.found is None:
            raise
        return None
    work.outputs.append(work.project.output(PLANES))
    work.how.tell("the planes of the run before still hold: only the mesh is made anew")
    return planes


def _look(work: Work, network: Network, views: "list[View]", device: Any, dtype: Any) -> "Planes":
    """Run the network; the planes are written at once, so that what follows may fail without losing them."""
    from meshcli.reconstructors.instantmesh import look
    from meshcli.weights.conversion import usable

    found = network.found or require(network.engine)
    if len(views) != USUAL:
        work.note(f"{len(views)} views: the network was trained with {USUAL}")
    with work.step("weights"):
        path = usable(found.path, found.model.prefix, work.how.progress, work.how.tell)
    with work.step("views to planes"):
        planes = look(views, network.file.sizes, path, device, dtype, work.how.progress)
    work.write({PLANES: planes.write(network.metadata())})
    return planes


def _views(work: Work) -> "list[View]":
    from meshcli.stages.view_loading import load_views

    return load_views(work.project, chosen_views(work.project, work.manifest))


def _write(work: Work, mesh: "Mesh", views: int) -> None:
    from meshcli.export.gltf import write_glb
    from meshcli.export.obj import write_obj

    with work.step("write"):
        both = mesh.colours is not None and mesh.texture is not None
        coloured = write_obj(replace(mesh, texture=None), "colours") if both else {}
        files = {"mesh.glb": write_glb(mesh), **write_obj(mesh, "mesh"), **coloured}
        work.write({f"mesh/{name}": data for name, data in files.items()})
    work.facts = {**work.facts, "views": views, "vertices": len(mesh.vertices), "faces": len(mesh.faces)}

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
from meshcli.stages.networks import PreparedNetwork, pick_engine, prepare_network
from meshcli.stages.stage_runner import (
    Outcome,
    ResolvedTask,
    RunOptions,
    StageRun,
    ensure_room,
    entering,
    recording,
    unchanged,
    with_reduced_settings,
)
from meshcli.weights.locations import require_weights

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.reconstructors.instantmesh import Triplanes
    from meshcli.views.view import View

USUAL = 6  # views that the networks were trained with


def reconstruct_mesh(
    project: Project,
    *,
    settings: Settings = Settings(),
    engine: Reconstructor = "auto",
    seed: int = 0,
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Build the textured mesh of the selected views, each seen by its own camera."""
    with entering(project, run_options):
        manifest = project.load()
        views = view_parts(project, chosen_views(project, manifest))
        record = manifest.stages.get("reconstruct")
        chosen, why = pick_engine(engine, record, settings, run_options)
        _refuse_flags(settings, chosen, why, run_options)
        network = None
        if chosen in NETWORKS:
            network, settings = prepare_network(project, chosen, settings, views, run_options)
        settings, asked, smaller = with_reduced_settings(
            record, chosen, settings, _options(settings, seed, network), run_options
        )
        options = _options(settings, seed, network)
        less = networks.smaller_settings(settings) if network else smaller_settings(settings)
        task = ResolvedTask("reconstruct", chosen, options, fingerprint(chosen, options, views), asked, smaller, less)
        if outcome := unchanged(project, manifest, task, run_options):
            return outcome
        ensure_room(project, manifest, task, run_options)
        run_options.tell(f"engine {chosen} ({why})")
        with recording(project, manifest, task, run_options) as run:
            if network:
                _run_network(run, network, settings)
            else:
                _fit(run, settings, seed)
        return run.outcome()


def smaller_settings(settings: Settings) -> dict[str, Any]:
    """What to take instead when memory runs out: coarser grids, then a smaller texture; empty when nothing is left."""
    if max(settings.fit.resolutions) > 40:
        return {"fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions]}
    smaller = {"texture.size": settings.texture.size // 2}
    return smaller if settings.fit.texture and settings.texture.size > 512 else {}


def _refuse_flags(settings: Settings, engine: str, why: str, run_options: RunOptions) -> None:
    """Raise a UsageError for a flag that this engine would ignore."""
    refuse_idle(run_options.flags, engine, why)
    section = "lrm" if engine in NETWORKS else "fit"
    sized = [flag for flag in run_options.flags if flag.startswith("--texture-size")]
    if sized and not getattr(settings, section).texture:
        raise UsageError(f"{sized[0]}: there is no texture, for {section}.texture is false")


def _options(settings: Settings, seed: int, network: PreparedNetwork | None) -> dict[str, Any]:
    if network is None:
        return {**sections(settings, "fit", "texture"), "seed": seed}
    table = sections(settings, "lrm", "texture")
    del table["lrm"]["file"]  # what it says stands in `network`
    del table["texture"]["faces"]  # lrm.simplify says it
    return {**table, **network.options()}


def _fit(run: StageRun, settings: Settings, seed: int) -> None:
    from meshcli.meshes.texture import bake, simplify
    from meshcli.reconstructors.fit import fit

    views = _views(run)
    with run.step("fit"):
        dense = fit(views, settings.fit, seed, run.run_options.progress, run.note)
    with run.step("simplify"):
        mesh = simplify(dense, settings.texture.faces)
    _tell_faces(run, settings.texture.faces, len(dense.faces))
    if settings.fit.texture:
        with run.step("texture"):
            mesh = bake(mesh, views, settings.texture, run.run_options.progress)
    _write(run, mesh, len(views))


def _run_network(run: StageRun, network: PreparedNetwork, settings: Settings) -> None:
    from meshcli.reconstructors.instantmesh import Triplanes, extract_mesh
    from meshcli.weights.device import dtype_name, resolve_device, resolve_dtype

    device = resolve_device(run.run_options.device)
    dtype = resolve_dtype(settings.lrm.dtype, device, auto="fp32")
    run.facts = {"device": str(device), "dtype": dtype_name(dtype), "weights": network.weights}
    planes: Triplanes | None = None
    if network.reusable:
        with run.step("read planes"):
            planes = _planes_from_before(run, network, device)
    views = _views(run)
    if planes is None:
        planes = _encode_views(run, network, views, device, dtype)
    with run.step("surface"):
        built = extract_mesh(planes, settings.lrm, run.run_options.progress)
    mesh = built.mesh
    if not len(mesh.faces):
        raise UsageError(
            f"the network sees no density above {settings.lrm.threshold:g}; try --set lrm.threshold="
            f"{settings.lrm.threshold / 2:g}"
        )
    if built.empty:
        run.note("the network sees no surface in these views: the mesh is a stand-in")
    if settings.lrm.simplify:
        _tell_faces(run, settings.lrm.simplify, built.faces_before_simplifying)
        if len(mesh.faces) < built.faces_before_simplifying:
            run.note(f"simplified to {len(mesh.faces)} faces")
    if settings.lrm.texture:
        from meshcli.meshes.texture import bake_colours

        with run.step("texture"):
            mesh = bake_colours(mesh, built.colour_at, settings.texture, run.run_options.progress)
    _write(run, mesh, len(views))
    if device.type == "cuda":
        import torch

        run.facts["peak_vram"] = torch.cuda.max_memory_allocated(device)  # bytes


def _tell_faces(run: StageRun, asked: int, found: int) -> None:
    """Put on record how many faces were asked for, and say so where the surface had no more than fewer."""
    run.facts["faces_asked"] = asked
    if found < asked:
        run.note(f"{asked} faces were asked for, and the surface has {found}: a finer grid has more")


def _planes_from_before(run: StageRun, network: PreparedNetwork, device: Any) -> "Triplanes | None":
    """The planes that an earlier run left; None when their file is damaged and the weights are here."""
    from meshcli.reconstructors.instantmesh import Triplanes

    try:
        planes = Triplanes.read(run.project.path(PLANES), network.file.sizes, device)
    except MeshcliError:
        if network.located is None:
            raise
        return None
    run.outputs.append(run.project.output(PLANES))
    run.run_options.tell("the planes of the run before still hold: only the mesh is made anew")
    return planes


def _encode_views(run: StageRun, network: PreparedNetwork, views: "list[View]", device: Any, dtype: Any) -> "Triplanes":
    """Run the network; the planes are written at once, so that what follows may fail without losing them."""
    from meshcli.reconstructors.instantmesh import encode_views
    from meshcli.weights.conversion import ensure_safetensors

    found = network.located or require_weights(network.engine)
    if len(views) != USUAL:
        run.note(f"{len(views)} views: the network was trained with {USUAL}")
    with run.step("weights"):
        path = ensure_safetensors(found.path, found.model.prefix, run.run_options.progress, run.run_options.tell)
    with run.step("views to planes"):
        planes = encode_views(views, network.file.sizes, path, device, dtype, run.run_options.progress)
    run.write({PLANES: planes.write(network.metadata())})
    return planes


def _views(run: StageRun) -> "list[View]":
    from meshcli.stages.view_loading import load_views

    return load_views(run.project, chosen_views(run.project, run.manifest))


def _write(run: StageRun, mesh: "Mesh", views: int) -> None:
    from meshcli.export.gltf import write_glb
    from meshcli.export.obj import write_obj

    with run.step("write"):
        both = mesh.colours is not None and mesh.texture is not None
        coloured = write_obj(replace(mesh, texture=None), "colours") if both else {}
        files = {"mesh.glb": write_glb(mesh), **write_obj(mesh, "mesh"), **coloured}
        run.write({f"mesh/{name}": data for name, data in files.items()})
    run.facts = {**run.facts, "views": views, "vertices": len(mesh.vertices), "faces": len(mesh.faces)}

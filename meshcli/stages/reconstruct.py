"""Selected views -> textured mesh, fitted or predicted by a network, as GLB and OBJ. Light until it works."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from meshcli.config import TypedSettings
from meshcli.config import options as sections
from meshcli.engines import IMPORT, NETWORKS, Reconstructor, refines, refuse_unsupported_flags
from meshcli.errors import MeshcliError, UsageError
from meshcli.project.artefacts import FIXED_ARTEFACTS, PLANES
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.settings import Settings, TextureSettings
from meshcli.stages import networks
from meshcli.stages.fit_photos import may_be_painted, pick_fit_photos, with_fit_photos
from meshcli.stages.inputs import COLOURS, FIT_PHOTOS, chosen_views, fingerprint, reconstruction_parts, view_parts
from meshcli.stages.mesh_check import check_mesh
from meshcli.stages.mesh_import import (
    ImportedMesh,
    engine_for_file,
    place_import,
    prepare_import,
    smaller_import_settings,
)
from meshcli.stages.mesh_texture import texture_from_pictures
from meshcli.stages.networks import PreparedNetwork, pick_engine, prepare_network
from meshcli.stages.photo_azimuths import guess_warning
from meshcli.stages.reduced_settings import with_reduced_settings
from meshcli.stages.sculpted_body import PART, read_body
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
from meshcli.stages.texture_sources import TexturePictures, pick_texture_pictures
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT
from meshcli.weights.locations import require_weights

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.reconstructors.instantmesh import Triplanes
    from meshcli.views.view import View

Source = PreparedNetwork | ImportedMesh | None  # what an engine starts from beside the views; `fit`: nothing


def reconstruct_mesh(
    project: Project,
    *,
    settings: Settings | TypedSettings = TypedSettings(),
    engine: Reconstructor = "auto",
    from_mesh: Path | None = None,
    seed: int | None = None,
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Build the textured mesh of the selected views, each with its own camera.

    Settings and seed that are not given are those on record. `from_mesh` is a file of another program that the shape
    is taken from.
    """
    with write_lock(project, run_options):
        manifest = project.load()
        chosen_entries = chosen_views(project, manifest)
        record = manifest.stages.get("reconstruct")
        engine = engine_for_file(engine, from_mesh)
        # Another network that is named is not the one that a recorded file describes.
        renamed = record is not None and engine in NETWORKS and engine != record.engine
        requested = settings_in_force("reconstruct", record, settings, seed, ("lrm.file",) if renamed else ())
        settings, seed = requested.settings, requested.seed
        chosen, why = pick_engine(engine, record, settings, run_options)
        refuse_unused_flags(run_options.flags, settings, chosen, why)
        source, settings = _source(project, manifest, chosen, settings, from_mesh, run_options)
        pictures = pick_texture_pictures(manifest, chosen_entries, chosen, settings)
        photos = pick_fit_photos(manifest, chosen_entries, settings) if source is None else ()
        settings, requested_digest, reduced = with_reduced_settings(
            record, chosen, settings, _recorded_options(settings, seed, source, pictures, photos), run_options
        )
        options = _recorded_options(settings, seed, source, pictures, photos)
        more = source.parts() if isinstance(source, ImportedMesh) else {}
        parts = {**reconstruction_parts(project, manifest, options), **more}
        task = ResolvedTask(
            "reconstruct", chosen, options, fingerprint(chosen, options, parts), requested_digest, reduced,
            _next_smaller(source, settings), requested.to_record, files=FIXED_ARTEFACTS["reconstruct"],
        )  # fmt: skip
        check = _check_of(source, settings, run_options)
        if outcome := outcome_without_running(project, manifest, task, run_options, check):
            return outcome
        ensure_memory(project, manifest, task, run_options)
        run_options.tell(f"engine {chosen} ({'--from-mesh' if from_mesh else why})")
        if warning := guess_warning(project, manifest):
            run_options.tell(warning)
        with recording(project, manifest, task, run_options) as run:
            _run(run, source, settings, seed, pictures, photos)
        return run.outcome()


def _source(
    project: Project, manifest: Manifest, engine: str, settings: Settings, from_mesh: Path | None,
    run_options: RunOptions,
) -> tuple[Source, Settings]:  # fmt: skip
    """What the engine starts from beside the views, and the settings with those of a network's file."""
    if engine in NETWORKS:
        views = view_parts(project, chosen_views(project, manifest))
        return prepare_network(project, engine, settings, views, run_options)
    if engine == IMPORT:
        return prepare_import(project, manifest.stages.get("reconstruct"), from_mesh, run_options), settings
    return None, settings


def _run(
    run: StageRun, source: Source, settings: Settings, seed: int, pictures: TexturePictures, photos: Sequence[Photo]
) -> None:
    """Build and write the mesh with the engine that starts from this."""
    if isinstance(source, PreparedNetwork):
        _run_network(run, source, settings, pictures)
    elif isinstance(source, ImportedMesh):
        _run_import(run, source, settings, pictures)
    else:
        _run_fit(run, settings, seed, pictures, photos)


def _engine(source: Source) -> str:
    """The engine that starts from this."""
    if isinstance(source, PreparedNetwork):
        return source.engine
    return IMPORT if source else "fit"


def _refined(
    run: StageRun, mesh: "Mesh", views: "list[View]", engine: str, settings: Settings, faces: int
) -> "Mesh":  # fmt: skip
    """The mesh, moved to where the views show it if that is wanted, with at most `faces` faces.

    Where its silhouettes then fit those of the views worse than before, it stays as it was.
    """
    if not refines(engine, settings.refine.when):
        return mesh
    from meshcli.meshes.simplify import simplify
    from meshcli.reconstructors.refine import refine
    from meshcli.rendering.picture_match import compare_with_pictures

    with run.step("refine"):
        moved = simplify(refine(mesh, views, settings.refine, run.run_options.progress, run.note), faces)
        before, after = (fmean(row.iou for row in compare_with_pictures(each, views)) for each in (mesh, moved))
    run.facts["silhouettes"] = {"before_refining": round(before, 4), "refined": round(after, 4)}
    if after >= before:
        return moved
    run.note(f"not refined: silhouettes would overlap with those of the views by {after:.1%}, not {before:.1%} as now")
    return mesh


def _check_of(source: Source, settings: Settings, run_options: RunOptions) -> Callable[[], None]:
    """What raises the reason for which the engine cannot run; only networks need more than what is known by now."""
    if not isinstance(source, PreparedNetwork):
        return lambda: None
    return lambda: networks.check_network(source.located, source.file, settings, run_options)


def _next_smaller(source: Source, settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out; empty when nothing is left."""
    if isinstance(source, PreparedNetwork):
        return networks.smaller_settings(settings)
    return smaller_import_settings(settings) if source else smaller_settings(settings)


def smaller_settings(settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out: coarser grids, then a smaller texture; empty when nothing is left.

    Two thirds of a grid's resolution are 30 % of its nodes. 40, 24 and 512 are choices: below them a mesh is of no use.
    """
    if max(settings.fit.resolutions) > 40:
        return {"fit.resolutions": [max(24, size * 2 // 3) for size in settings.fit.resolutions]}
    smaller = {"texture.size": settings.texture.size // 2}
    return smaller if settings.fit.texture and settings.texture.size > 512 else {}


def refuse_unused_flags(flags: Sequence[str], settings: Settings, engine: str, why: str) -> None:
    """Raise UsageError for a flag that this engine would ignore; `why` says how it was chosen."""
    refuse_unsupported_flags(flags, engine, why)
    section = "lrm" if engine in NETWORKS else "placement" if engine == IMPORT else "fit"
    texture_size = [flag for flag in flags if flag.startswith("--texture-size")]
    if texture_size and not getattr(settings, section).texture:
        raise UsageError(
            f"{texture_size[0]}: there is no texture, for {section}.texture is false; add --set {section}.texture=true"
        )


def _recorded_options(
    settings: Settings, seed: int, source: Source, pictures: TexturePictures, photos: Sequence[Photo]
) -> dict[str, Any]:
    """The options that the mesh depends on, for the record and the fingerprint."""
    more: dict[str, Any] = {COLOURS: pictures.option()}
    if refines(_engine(source), settings.refine.when):
        more |= sections(settings, "refine")
    if source is None:
        if photos:
            more[FIT_PHOTOS] = {"photos": [photo.name for photo in photos]}
        table = sections(settings, "fit", "texture")
        del table["fit"]["photos"]  # what comes of it is under FIT_PHOTOS
        return {**table, "seed": seed, **more}
    if isinstance(source, ImportedMesh):
        return {**source.options(settings), **more}
    table = {**sections(settings, "lrm", "texture"), **more}
    del table["lrm"]["file"]  # its contents are under `network`
    del table["texture"]["faces"]  # lrm.simplify takes its place
    return {**table, **source.options()}


def _run_fit(run: StageRun, settings: Settings, seed: int, pictures: TexturePictures, photos: Sequence[Photo]) -> None:
    """Fit a surface to the views and photos, simplify and texture it."""
    from meshcli.meshes.simplify import simplify
    from meshcli.reconstructors.fit import fit

    progress = run.run_options.progress
    progress(0, 1, "reading the views")
    views = _selected_views(run)
    if PART in run.task.inputs:
        with run.step("read body"):
            dense = read_body(run, settings.fit)
    else:
        if photos:
            names = ", ".join(photo.name for photo in photos)
            run.run_options.tell(f"the shape is fitted to {names} too, as photographed")
        seen, painted = (
            with_fit_photos(run.project, views, photos),
            may_be_painted(chosen_views(run.project, run.manifest)),
        )
        with run.step("fit"):
            dense = fit(seen, settings.fit, seed, progress, run.note, painted)
    dense = _refined(run, dense, views, "fit", settings, len(dense.faces))
    progress(0, 1, "simplifying the surface")
    with run.step("simplify"):
        mesh = simplify(dense, settings.texture.faces)
    _record_face_count(run, settings.texture.faces, len(dense.faces))
    if settings.fit.texture:
        mesh = texture_from_pictures(run, mesh, views, settings.texture, pictures)
    _write_mesh(run, mesh, settings.texture, len(views))


def _run_import(run: StageRun, imported: ImportedMesh, settings: Settings, pictures: TexturePictures) -> None:
    """Place the mesh of another program among the views, simplify and texture it."""
    from meshcli.meshes.colouring import colour_vertices
    from meshcli.meshes.simplify import simplify

    views = _selected_views(run)
    placed = place_import(run, imported, settings, views)
    # A moved surface needs vertices, of which a mesh that was drawn by hand may have few.
    mesh = _refined(run, placed, views, IMPORT, settings, max(len(placed.faces), settings.texture.faces))
    if len(mesh.faces) > settings.texture.faces:
        with run.step("simplify"):
            smaller = simplify(mesh, settings.texture.faces)
        run.note(f"simplified from {len(mesh.faces)} to {len(smaller.faces)} faces; --faces keeps more")
        mesh = smaller
    if settings.placement.texture:
        mesh = texture_from_pictures(run, mesh, views, settings.texture, pictures)
    else:
        with run.step("colours"):
            mesh = colour_vertices(mesh, views)
    _write_mesh(run, mesh, settings.texture, len(views))


def _run_network(run: StageRun, network: PreparedNetwork, settings: Settings, pictures: TexturePictures) -> None:
    """Predict triplanes from the views, or reuse those of an earlier run, and extract the mesh."""
    from meshcli.reconstructors.instantmesh import Triplanes, extract_mesh
    from meshcli.weights.device import dtype_name, resolve_device, resolve_dtype

    device = resolve_device(run.run_options.device)
    dtype = resolve_dtype(settings.lrm.dtype, device, auto="fp32")
    run.facts = {"device": str(device), "dtype": dtype_name(dtype), "weights": network.weights}
    planes: Triplanes | None = None
    if network.reusable:
        with run.step("read planes"):
            planes = _read_previous_planes(run, network, device)
    views = _selected_views(run)
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
        run.note("the network sees no surface in these views: the mesh is a placeholder")
    if settings.lrm.simplify:
        _record_face_count(run, settings.lrm.simplify, built.faces_before_simplifying)
        if len(mesh.faces) < built.faces_before_simplifying:
            run.note(f"simplified to {len(mesh.faces)} faces")
    mesh = _refined(run, mesh, views, network.engine, settings, len(mesh.faces))
    if settings.lrm.texture and pictures.source != "field":
        mesh = texture_from_pictures(run, mesh, views, settings.texture, pictures)
    elif settings.lrm.texture:
        from meshcli.texturing.bake import bake_colours

        with run.step("texture"):
            mesh = bake_colours(mesh, built.colour_at, settings.texture, run.run_options.progress)
    _write_mesh(run, mesh, settings.texture, len(views))
    if device.type == "cuda":
        import torch

        run.facts["peak_vram"] = torch.cuda.max_memory_allocated(device)  # bytes


def _record_face_count(run: StageRun, requested: int, found: int) -> None:
    """Record how many faces were requested; a note when the surface has fewer."""
    run.facts["faces_asked"] = requested
    if found < requested:
        run.note(f"{requested} faces were requested, and the surface has {found}: a finer grid has more")


def _read_previous_planes(run: StageRun, network: PreparedNetwork, device: Any) -> "Triplanes | None":
    """The triplanes of an earlier run; None when their file is damaged and the weights are on this machine."""
    from meshcli.reconstructors.instantmesh import Triplanes

    try:
        planes = Triplanes.read(run.project.path(PLANES), network.file.sizes, device)
    except MeshcliError:
        if network.located is None:
            raise
        return None
    run.outputs.append(run.project.output(PLANES))
    run.run_options.tell("the views are unchanged: the network's triplanes are reused, only the mesh is rebuilt")
    return planes


def _encode_views(run: StageRun, network: PreparedNetwork, views: "list[View]", device: Any, dtype: Any) -> "Triplanes":
    """Predict triplanes; they are written at once, so that a later failure does not lose them."""
    from meshcli.reconstructors.instantmesh import encode_views
    from meshcli.weights.conversion import ensure_safetensors

    found = network.located or require_weights(network.engine)
    if len(views) != DEFAULT_VIEW_COUNT:
        run.note(f"{len(views)} views: the network was trained with {DEFAULT_VIEW_COUNT}")
    with run.step("weights"):
        path = ensure_safetensors(found.path, found.model.prefix, run.run_options.progress, run.run_options.tell)
    run.run_options.progress(0, 1, "loading the network")
    with run.step("views to planes"):
        planes = encode_views(views, network.file.sizes, path, device, dtype, run.run_options.progress)
    run.write({PLANES: planes.write(network.metadata())})
    return planes


def _selected_views(run: StageRun) -> "list[View]":
    from meshcli.stages.view_loading import load_views

    return load_views(run.project, chosen_views(run.project, run.manifest))


def _write_mesh(run: StageRun, mesh: "Mesh", texture: TextureSettings, views: int) -> None:
    """Write GLB and OBJ, and an OBJ with vertex colours when the mesh has colours and a texture."""
    from meshcli.export.gltf import write_glb
    from meshcli.export.obj import write_obj

    run.run_options.progress(0, 1, "writing the mesh")
    with run.step("write"):
        both = mesh.colours is not None and mesh.texture is not None
        coloured = write_obj(replace(mesh, texture=None), "colours") if both else {}
        jpeg_quality = texture.quality if texture.format == "jpeg" else None
        files = {"mesh.glb": write_glb(mesh, jpeg_quality=jpeg_quality), **write_obj(mesh, "mesh"), **coloured}
        run.write({f"mesh/{name}": data for name, data in files.items()})
    run.facts = {**run.facts, "views": views, "vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    check_mesh(run, mesh)

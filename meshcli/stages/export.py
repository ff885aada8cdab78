"""Mesh and cameras -> files for other programs, at true size: GLB, OBJ, PLY, STL, 3MF, rig files. Light.

All files are made in memory before the first is written, so that what is refused changes nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import TypedSettings
from meshcli.config import options as sections
from meshcli.errors import ProjectError, UsageError
from meshcli.export.placement import nearest_axis, tilt
from meshcli.export.targets import Targets, file_names, resolve_targets
from meshcli.project.artefacts import EXPORT, MESH
from meshcli.project.manifest import Manifest, StageRecord
from meshcli.project.project import Project
from meshcli.settings import ExportSettings, RenderSettings, Settings
from meshcli.stages.export_scene import (
    PlacedProject,
    load_project,
    note_photos_without_camera,
    object_name,
    rig_frame,
)
from meshcli.stages.inputs import EXPORTED, export_parts, fingerprint
from meshcli.stages.reduced_settings import with_reduced_settings
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
from meshcli.system.atomic_files import write_files
from meshcli.system.digests import bytes_digest, file_digest

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh

ENGINE = "export"
NAMED_FILES = 5  # in a message; more are counted
DEFAULT_JPEG_QUALITY = 92  # where the reconstruction's own is not on record
RIG_FILES = ("cameras.json", "transforms.json", "colmap/cameras.txt", "colmap/images.txt", "colmap/points3D.txt")


def export_project(
    project: Project, *, settings: Settings | TypedSettings = TypedSettings(), run_options: RunOptions = RunOptions()
) -> Outcome:
    """Write the mesh and its cameras in the wanted formats into DIR/export, and copies into another folder if named."""
    with write_lock(project, run_options):
        manifest = project.load()
        record = manifest.stages.get("export")
        requested = settings_in_force("export", record, settings, dropped=_dropped(settings))
        settings = requested.settings
        check_export(project, manifest, settings.export)
        if not project.path(MESH).is_file():
            raise UsageError(f"{project.root} has no mesh; run `{project.command('reconstruct')}`")
        for status in read_status(project, holds_lock=not run_options.dry).before("render"):
            if status.state != "done":
                run_options.tell(f"the mesh may be out of date: {status.stage} is {status.state} ({status.reason})")
        settings, requested_digest, reduced = with_reduced_settings(
            record, ENGINE, settings, sections(settings, "export"), run_options
        )
        targets = resolve_targets(settings.export)
        options = {**sections(settings, "export"), EXPORTED: list(targets.names)}
        inputs = fingerprint(ENGINE, options, export_parts(project, manifest, options))
        task = ResolvedTask(
            "export", ENGINE, options, inputs, requested_digest, reduced, smaller_settings(settings),
            requested.to_record, files=planned_files(project, targets),
        )  # fmt: skip
        if outcome := outcome_without_running(project, manifest, task, run_options):
            if not run_options.dry:
                _renew_copies(project, outcome.record, settings.export, run_options)
            return outcome
        ensure_memory(project, manifest, task, run_options)
        with recording(project, manifest, task, run_options) as run:
            _export(run, settings.export, targets, record)
        return run.outcome()


def check_export(project: Project, manifest: Manifest, settings: ExportSettings) -> None:
    """Raise what keeps an export from running, as far as it is known before there is a mesh."""
    resolve_targets(settings)
    if settings.size_by == "like-rig" and (manifest.frame or manifest.photos):
        rig_frame(project, manifest)
    if settings.folder and Path(settings.folder).exists() and not Path(settings.folder).is_dir():
        raise UsageError(f"--output {settings.folder} is a file; name a folder")


def planned_files(project: Project, targets: Targets) -> tuple[str, ...]:
    """The files whose names are known before they are made."""
    names = file_names(object_name(project), targets.names)
    return tuple(f"{EXPORT}/{name}" for name in (*names, *(RIG_FILES if targets.have_cameras else ())))


def smaller_settings(settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out: a smaller texture; empty below 512 texels, which are of no use."""
    size = settings.export.texture_size or 2048
    return {"export.texture_size": size // 2} if size > 512 else {}


def _dropped(settings: Settings | TypedSettings) -> tuple[str, ...]:
    """Recorded settings that what is typed takes back: a pivot, where the rig's coordinates are asked for."""
    typed = TypedSettings.of(settings).values
    like_rig = typed.get("export.size_by") == "like-rig" and "export.pivot" not in typed
    return ("export.pivot",) if like_rig else ()


def _export(run: StageRun, settings: ExportSettings, targets: Targets, before: StageRecord | None) -> None:
    """Make all files, then write them."""
    run.run_options.progress(0, 1, "reading the mesh")
    from meshcli.stages.export_files import ExportedFiles

    project, manifest = run.project, run.manifest
    with run.step("read"):
        render = render_settings(manifest)
        placed = load_project(project, manifest, settings, render, lambda mesh: _changed(run, mesh, settings))
    _note_placement(run, placed, settings)
    with run.step("make"):
        quality = jpeg_quality(manifest)
        making = ExportedFiles(project, placed, settings, targets, quality, run.run_options.progress, run.note)
        made = making.make()
    note_photos_without_camera(manifest, run.note)
    with run.step("write"):
        _write(run, made, settings, before)
    run.facts |= {"faces": len(placed.mesh.faces), "cameras": len(placed.cameras), "files": len(made)}


def render_settings(manifest: Manifest) -> RenderSettings:
    """The settings of the turntable: those on record, else the defaults."""
    return settings_in_force("render", manifest.stages.get("render"), TypedSettings()).settings.render


def jpeg_quality(manifest: Manifest) -> int | None:
    """Of the texture, as it was reconstructed; None is a PNG."""
    record = manifest.stages.get("reconstruct")
    table = record.options.get("texture") if record else None
    if not isinstance(table, dict):
        return DEFAULT_JPEG_QUALITY
    quality = table.get("quality")
    if table.get("format") == "png":
        return None
    return quality if isinstance(quality, int) and 1 <= quality <= 100 else DEFAULT_JPEG_QUALITY


def _changed(run: StageRun, mesh: "Mesh", settings: ExportSettings) -> "Mesh":
    """The mesh with fewer faces or a smaller texture, where that is asked for."""
    from meshcli.export.reduction import reduce_faces, reduce_texture

    before = len(mesh.faces)
    if settings.faces and before > settings.faces:
        with run.step("simplify"):
            mesh = reduce_faces(mesh, settings.faces, run.run_options.progress)
        baked = "; its texture was baked anew" if mesh.texture is not None else ""
        run.note(f"simplified from {before} to {len(mesh.faces)} faces{baked}")
    elif settings.faces > before:
        run.note(f"the mesh has {before} faces, fewer than {settings.faces}; `reconstruct --faces` makes more")
    if settings.texture_size and mesh.texture is None:
        run.note("the mesh has no texture: --texture-size changes nothing")
    elif settings.texture_size and mesh.texture is not None:
        size = max(mesh.texture.image.shape[:2])
        mesh = reduce_texture(mesh, settings.texture_size)
        if settings.texture_size > size:
            run.note(f"the texture has {size} texels along its side; `reconstruct --texture-size` makes more")
    return mesh


def _note_placement(run: StageRun, placed: PlacedProject, settings: ExportSettings) -> None:
    """Say how large the object is and where it stands; the same as facts."""
    import numpy as np

    scene = placed.scene()
    low, high = scene.mesh.vertices.min(axis=0), scene.mesh.vertices.max(axis=0)
    depth, width, height = (float(value) for value in np.subtract(high, low))
    run.facts["metres"] = {"depth": round(depth, 6), "width": round(width, 6), "height": round(height, 6)}
    run.facts["size_known"] = placed.placement.size_known
    run.facts["to_scene"] = placed.placement.to_scene.to_json()["to_ours"]
    size = f"{length(width)} wide, {length(depth)} deep, {length(height)} high"
    if placed.placement.like_rig:
        up = placed.placement.up
        run.note(f"in the coordinates of the rig, {up} up, one of its units taken for a metre: {size}")
        frame = rig_frame(run.project, run.manifest)
        if tilt(frame) or nearest_axis(frame.rotation[2]) != up:
            run.note(f"the rig's up is not quite its axis {up}: the object stands tilted, as it does in the rig")
        return
    where = {"centre": "its centre at the origin", "origin": "the project's origin kept"}
    place = where.get(settings.pivot, "standing on the floor, the middle of its base at the origin")
    if placed.placement.size_known:
        run.note(f"{size}, {place}")
    else:
        run.note(f"no size is known, one unit became one metre: {size}, {place}; --height 0.45m gives it its size")


def length(metres: float) -> str:
    """A length for people: 45 cm, 1.15 m, 8 mm."""
    for unit, size in (("m", 1.0), ("cm", 0.01)):
        if metres >= size:
            return f"{metres / size:.3g} {unit}"
    return f"{metres / 0.001:.3g} mm"


def _write(run: StageRun, made: Mapping[str, bytes], settings: ExportSettings, before: StageRecord | None) -> None:
    """Write the files into the project, and copies into the folder that was named."""
    files = {f"{EXPORT}/{name}": data for name, data in made.items()}
    folder = copy_folder(run.project, settings)
    if folder:
        refuse_foreign_copies(folder, made, before)
    run.project.refuse_foreign_files(run.manifest, files)
    run.save(run.manifest.claiming(files))  # those that only their writer could name, too
    run.write(files)
    if folder:
        write_files({folder / name: data for name, data in made.items()})
        run.note(f"copied to {folder}")
    old = [output.file for output in before.outputs if output.file not in files] if before else []
    if left := [file for file in old if os.path.lexists(run.project.path(file))]:
        more = f" and {len(left) - NAMED_FILES} more" if len(left) > NAMED_FILES else ""
        run.note(f"from an earlier export, as they were: {', '.join(left[:NAMED_FILES])}{more}")


def copy_folder(project: Project, settings: ExportSettings) -> Path | None:
    """Where copies go; None where nothing but the project's own folder is named."""
    folder = Path(settings.folder)
    return folder if settings.folder and folder.resolve() != (project.root / EXPORT).resolve() else None


def refuse_foreign_copies(folder: Path, made: Mapping[str, bytes], before: StageRecord | None) -> None:
    """UsageError where a file in the folder would be overwritten that is no copy of this project's export.

    A copy is what has the bytes that were written before, or are to be written now.
    """
    known = {output.sha256 for output in before.outputs} if before else set()
    found = []
    for name, data in made.items():
        path = folder / name
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a file of that name is to be written; name another folder")
        if os.path.lexists(path) and (not path.is_file() or file_digest(path) not in known | {bytes_digest(data)}):
            found.append(name)
    if found:
        more = f" and {len(found) - NAMED_FILES} more" if len(found) > NAMED_FILES else ""
        raise UsageError(
            f"{folder} holds files that are not this project's export, or were changed since, and that would be "
            f"overwritten: {', '.join(found[:NAMED_FILES])}{more}; name another folder or move them away"
        )


def _renew_copies(project: Project, record: StageRecord, settings: ExportSettings, run_options: RunOptions) -> None:
    """Copy what the folder that was named has lost, where the export itself is unchanged."""
    folder = copy_folder(project, settings)
    if folder is None:
        return
    names = {output.file.removeprefix(f"{EXPORT}/"): project.path(output.file) for output in record.outputs}
    lost = {name: path for name, path in names.items() if not os.path.lexists(folder / name)}
    try:
        contents = {folder / name: path.read_bytes() for name, path in lost.items()}
    except OSError as error:
        raise ProjectError(f"{error.filename} cannot be read: {error.strerror}") from error
    if contents:
        write_files(contents)
        run_options.tell(f"copied to {folder} again: {', '.join(sorted(lost)[:NAMED_FILES])}")

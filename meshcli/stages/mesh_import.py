"""`reconstruct --from-mesh`: a mesh of any other program, kept in the project and placed among the views.

The project keeps a copy of its own (IMPORTED_MESH): the surface with the file's axes, scaled to a box around the
origin. It is what the stage depends on, so the file itself may go. Light until it works.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.config import options as sections
from meshcli.engines import IMPORT, Reconstructor
from meshcli.errors import InputError, UncertainError, UsageError
from meshcli.project.artefacts import IMPORTED_MESH
from meshcli.project.manifest import StageRecord
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.stage_runner import RunOptions, StageRun, check_library_memory
from meshcli.system.digests import bytes_digest, digest, file_digest

if TYPE_CHECKING:
    from meshcli.alignment.mesh_placement import Placement
    from meshcli.meshes.mesh import Mesh
    from meshcli.views.view import View

FORMATS = (".glb", ".gltf", ".obj", ".ply", ".stl")
MAX_BYTES = 2 << 30  # of a file; by choice: twenty million faces in binary formats, and they are read into memory
DOUBTFUL = 0.8  # overlap below which the place is called doubtful: thin objects reach .75, others .9


@dataclass(frozen=True)
class ImportedMesh:
    """The mesh that the stage starts from."""

    source: Mapping[str, Any]  # for the record: sha256 of the file, its name, faces, and centre and size in its units
    sha256: str  # of the copy
    data: bytes = b""  # of a copy that is yet to be written

    def options(self, settings: Settings) -> dict[str, Any]:
        """The options that the mesh depends on, for the record and the fingerprint."""
        return {**sections(settings, "placement", "texture"), "source": dict(self.source)}

    def parts(self) -> dict[str, str]:
        """What is added to the fingerprint."""
        return {"imported mesh": self.sha256}


def engine_for_file(engine: Reconstructor, file: Path | None) -> Reconstructor:
    """The engine where a mesh file is handed in; UsageError if another one was named."""
    if file and engine not in ("auto", IMPORT):
        raise UsageError(f"--from-mesh takes the shape from {file}, and the engine {engine} makes one; leave one out")
    return "import" if file else engine


def prepare_import(
    project: Project, record: StageRecord | None, file: Path | None, run_options: RunOptions
) -> ImportedMesh:
    """The mesh of a file, which is read unless the project has its copy, or the copy of the record.

    Raises InputError for a file that is no mesh, UsageError when there is neither a file nor a copy.
    """
    recorded = _source(record)
    copy = project.digest(IMPORTED_MESH)
    if file is None:
        if not recorded or copy == "missing":
            lost = f"{IMPORTED_MESH} is missing" if recorded else "there is no mesh yet"
            raise UsageError(f"{lost}; hand one in: `{project.command('reconstruct')} --from-mesh FILE`")
        if copy != recorded["copy"]:
            raise UsageError(
                f"{IMPORTED_MESH} is no longer the copy of {recorded['file']}; hand in the mesh that you want: "
                f"`{project.command('reconstruct')} --from-mesh FILE`"
            )
        return ImportedMesh(recorded, copy)
    sha256 = file_identity(file)
    if recorded.get("sha256") == sha256 and copy == recorded["copy"]:
        return ImportedMesh(recorded, copy)
    check_library_memory(IMPORT)
    run_options.progress(0, 1, f"reading {file.name}")
    return _read(file, sha256)


def file_identity(file: Path) -> str:
    """The sha256 of a mesh file, with the files that a glTF refers to; InputError for what cannot be one."""
    if file.suffix.lower() not in FORMATS:
        raise InputError(f"{file} is none of the formats that are read: {', '.join(FORMATS)}")
    try:
        if not file.is_file():
            raise InputError(f"{file} {'is not a file' if file.exists() else 'does not exist'}")
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 30} GB; simplify the mesh first")
        own = file_digest(file)
        beside = [file.parent / name for name in _buffers(file)]
        return digest([own, *(file_digest(each) for each in beside if each.is_file())]) if beside else own
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def place_import(run: StageRun, imported: ImportedMesh, settings: Settings, views: "list[View]") -> "Mesh":
    """The mesh in the world of the views, its faces to the outside, with vertex colours or none.

    Raises UncertainError where its silhouettes are not those of the views.
    """
    from meshcli.alignment.mesh_placement import place, placed
    from meshcli.export.frames import to_gltf
    from meshcli.export.reading import read_mesh
    from meshcli.meshes.orientation import face_outwards

    if imported.data:
        run.write({IMPORTED_MESH: imported.data})
    else:
        run.outputs.append(run.project.output(IMPORTED_MESH))
    mesh = read_mesh(run.project.path(IMPORTED_MESH))
    mesh = replace(mesh, vertices=to_gltf(mesh.vertices))  # the file's own axes
    with run.step("place"):
        found = place(
            mesh, views, settings.placement,
            lambda share: run.run_options.progress(round(100 * share), 100, "finding the mesh's place"),
        )  # fmt: skip
    _report(run, imported.source, settings, found)
    oriented, reversed_faces = face_outwards(placed(mesh, found.similarity))
    if reversed_faces:
        run.note(f"{reversed_faces} of {len(mesh.faces)} faces showed their back to the outside and are reversed")
    return oriented


def smaller_import_settings(settings: Settings) -> dict[str, Any]:
    """Settings to take after memory ran out: a smaller texture; empty when nothing is left."""
    smaller = {"texture.size": settings.texture.size // 2}
    return smaller if settings.placement.texture and settings.texture.size > 512 else {}


def engine_label(record: StageRecord | None) -> str:
    """What a stage was done with: its engine, and the file where that took the mesh from one."""
    if record is None:
        return ""
    file = _source(record).get("file")
    return f"{IMPORT} of {file}" if file else record.engine


def _read(file: Path, sha256: str) -> ImportedMesh:
    from meshcli.export.foreign_mesh import read_foreign_mesh
    from meshcli.export.frames import from_gltf
    from meshcli.export.gltf import write_glb

    read = read_foreign_mesh(file, file.read_bytes())
    data = write_glb(replace(read.mesh, vertices=from_gltf(read.mesh.vertices)))
    source = {
        "sha256": sha256, "file": file.name, "copy": bytes_digest(data), "faces": read.faces_in_file,
        "centre": read.centre.tolist(), "size": read.size,
    }  # fmt: skip
    return ImportedMesh(source, source["copy"], data)


def _report(run: StageRun, source: Mapping[str, Any], settings: Settings, found: "Placement") -> None:
    """Record and tell the place; UncertainError where it is none."""
    from meshcli.alignment.mesh_placement import axis_name

    similarity = found.similarity.before(1.0 / source["size"], source["centre"])
    up, front = axis_name(similarity.axes[2]), axis_name(similarity.axes[0])
    run.facts["placement"] = {
        "axes": similarity.axes.tolist(), "scale": similarity.scale, "shift": similarity.shift.tolist(),
        "mirrored": similarity.mirrored, "up": up, "front": front, "overlap": round(found.overlap, 4),
        "before": round(found.before, 4), "runner_up": round(found.runner_up_overlap, 4),
        "decided_by": found.decided_by,
    }  # fmt: skip
    name, mirrored = source["file"], ", mirrored" if similarity.mirrored else ""
    place = f"its {up} axis up and its {front} axis to the front{mirrored}"
    if found.overlap < settings.placement.overlap:
        raise UncertainError(
            f"{name} does not look like the object of these views: at best, with {place}, their silhouettes overlap by "
            f"{found.overlap:.0%}, and {settings.placement.overlap:.0%} are required; check file and views, or take it "
            f"all the same with --set placement.overlap={max(0.0, found.overlap - 0.01):.2f}"
        )
    run.note(
        f"{name} was found with {place}, to be scaled by {similarity.scale:.4g}: its silhouettes and the views' "
        f"overlap by {found.overlap:.0%} (by {found.before:.0%} with the file's own axes)"
    )
    if found.overlap < DOUBTFUL:
        run.note(f"the place is a guess: silhouettes of the right one mostly overlap by more than {DOUBTFUL:.0%}")
    if found.runner_up and found.decided_by == "nothing":
        other = found.runner_up
        run.note(
            f"the place is a guess: with its {axis_name(other.axes[2])} axis up, its {axis_name(other.axes[0])} axis "
            f"to the front and {'mirrored' if other.mirrored else 'not mirrored'}, silhouettes overlap by "
            f"{found.runner_up_overlap:.1%}, here by {found.overlap:.1%}; --mesh-up, --mesh-front and --mesh-mirror "
            "state it"
        )


def _source(record: StageRecord | None) -> dict[str, Any]:
    """What a record says about its mesh file; empty where that is nothing or not whole."""
    table = record.options.get("source") if record and record.engine == IMPORT else None
    if not isinstance(table, dict):
        return {}
    match [table.get(key) for key in ("sha256", "file", "copy", "centre", "size")]:
        case [str(), str(), str(), [float(), float(), float()], float() as size] if size > 0.0:
            return table
    return {}


def _buffers(file: Path) -> list[str]:
    """The names of the files beside a glTF that it refers to."""
    if file.suffix.lower() != ".gltf":
        return []
    try:
        table = json.loads(file.read_bytes())
        rows = [*table.get("buffers", ()), *table.get("images", ())]
        names = [str(row["uri"]) for row in rows if "uri" in row]
    except (ValueError, RecursionError, AttributeError, TypeError):
        return []  # which reading it will tell
    return [name for name in names if re.fullmatch(r"[^:/\\][^:\\]*", name) and ".." not in name]

"""The figures of a project as rows of a page: of the mesh, of each stage, of libraries and weights."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from meshcli.project.artefacts import MESH
from meshcli.project.manifest import Manifest, StageRecord
from meshcli.stages.mesh_check import mesh_match
from meshcli.stages.mesh_import import engine_label
from meshcli.stages.run_summary import format_seconds
from meshcli.stages.status import StageStatus, changed_settings, seconds
from meshcli.weights.catalogue import MODELS

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh

MEGABYTE = 1e6
NETWORKS_OF_ENGINE = {
    "zero123plus": ("zero123plus", "zero123plus-unet")
}  # catalogue names; other engines' are their own


def mesh_rows(manifest: Manifest, mesh: "Mesh | None", size: int) -> list[tuple[str, str]]:
    """Name and value of what there is to say about the mesh; `size` is that of its file in bytes."""
    record = manifest.stages.get("reconstruct")
    rows = [("made by", engine_label(record))] if record else []
    if mesh is not None:
        from trimesh import Trimesh

        depth, width, height = (mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)).tolist()
        watertight = Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
        rows += [
            ("faces", f"{len(mesh.faces):,}"),
            ("vertices", f"{len(mesh.vertices):,}"),
            ("width x depth x height", f"{width:.3f} x {depth:.3f} x {height:.3f} units"),
            ("watertight", "yes" if watertight else "no"),
            ("texture", " x ".join(map(str, mesh.texture.image.shape[1::-1])) if mesh.texture else "none"),
            (MESH, f"{size / MEGABYTE:.1f} MB"),
        ]
    if record and (sentence := mesh_match(record)):
        rows.append(("match", sentence.removeprefix("the mesh matches ")))
    return rows


def stage_rows(stages: Iterable[StageStatus]) -> list[dict[str, Any]]:
    """A row for each stage: state, engine, time and memory, settings that are not the defaults."""
    return [
        {
            "stage": each.stage,
            "state": each.state,
            "reason": each.reason,
            "engine": each.record.engine if each.record else "",
            "seconds": _number(seconds(each.record)),
            "steps": _steps(each.record),
            "memory": _megabytes(each.record, "peak_rss"),
            "vram": _megabytes(each.record, "peak_vram"),
            "device": _text(each.record, "device"),
            "seed": _text(each.record, "seed"),
            "settings": [f"{key}={value}" for key, value in changed_settings(each.record).items()],
            "notes": _notes(each.record),
        }
        for each in stages
    ]


def library_versions(manifest: Manifest) -> list[tuple[str, str]]:
    """Libraries and their versions, as the newest record states them; those that differ among records with all."""
    found: dict[str, list[str]] = {}
    for record in manifest.stages.values():
        versions = record.facts.get("versions")
        for name, version in versions.items() if isinstance(versions, Mapping) else ():
            if str(version) not in found.setdefault(str(name), []):
                found[str(name)].append(str(version))
    return [(name, ", ".join(versions)) for name, versions in found.items()]


def used_weights(manifest: Manifest) -> list[dict[str, str]]:
    """Networks that took part, with their licences and the digests of their files."""
    rows = []
    for record in manifest.stages.values():
        digests = record.facts.get("weights")
        for name in NETWORKS_OF_ENGINE.get(record.engine, (record.engine,)):
            if name in MODELS:
                rows.append({"name": name, "licence": MODELS[name].licence, "digest": _digest_text(digests, name)})
    if any("rembg" in photo.method for photo in manifest.active_photos):
        model = _rembg_model(manifest)
        rows.append({"name": model, "licence": MODELS[model].licence if model in MODELS else "", "digest": ""})
    return rows


def total_seconds(manifest: Manifest) -> str:
    """The time of all finished stages, for people; empty if none is on record."""
    known = [value for value in map(seconds, manifest.stages.values()) if value is not None]
    return format_seconds(sum(known)) if known else ""


def _digest_text(digests: Any, name: str) -> str:
    if isinstance(digests, str):
        return digests
    return str(digests.get(name, "")) if isinstance(digests, Mapping) else ""


def _rembg_model(manifest: Manifest) -> str:
    record = manifest.stages.get("generate")
    table = record.options.get("photo") if record else None
    return str(table.get("rembg_model", "")) if isinstance(table, Mapping) else ""


def _steps(record: StageRecord | None) -> list[tuple[str, str]]:
    table = record.facts.get("seconds") if record else None
    steps = table.items() if isinstance(table, Mapping) else ()
    return [(str(name), _number(value)) for name, value in steps if name != "total" and isinstance(value, int | float)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _megabytes(record: StageRecord | None, key: str) -> str:
    value = record.facts.get(key) if record else None
    return f"{value / MEGABYTE:.0f}" if isinstance(value, int) and not isinstance(value, bool) else ""


def _text(record: StageRecord | None, key: str) -> str:
    return str(record.facts.get(key, "")) if record else ""


def _notes(record: StageRecord | None) -> list[str]:
    notes = record.facts.get("notes") if record else None
    return [str(note) for note in notes] if isinstance(notes, list) else []

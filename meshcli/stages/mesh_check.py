"""How well a mesh matches the photos that it was made from. Light until it works.

Views cannot tell: those of `sculpt` show one body and agree with themselves, however wrong it is. Photos can, where
their cameras are known. Where they are not (a network assumes elevation and lens of a photo), and for ready-made views,
the mesh is compared with the views that were not selected, or with the selected ones if there are no others.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshcli.out_of_memory import reserved
from meshcli.project.manifest import Manifest, Photo, StageRecord, ViewEntry
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.stages.stage_runner import StageRun
from meshcli.stages.view_candidates import camera_is_known, is_photo_view
from meshcli.system.memory_check import MEGABYTE

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh

COMPARISON_MB = 150  # that loading the renderer and comparing take at most, by estimate: its code alone takes 60
MAX_PICTURES = 24  # that are compared; of more, evenly chosen ones


def check_mesh(run: StageRun, mesh: "Mesh") -> None:
    """Compare the mesh with pictures; the result is a fact of the record and a note."""
    from meshcli.rendering.picture_match import compare_with_pictures
    from meshcli.stages.view_loading import load_views

    against, entries = compared_pictures(run.manifest)
    if not entries:
        return
    try:
        with reserved(COMPARISON_MB * MEGABYTE):
            pass  # the renderer does not survive a lack of memory, and the mesh is done
        with run.step("compare"):
            rows = compare_with_pictures(mesh, load_views(run.project, entries))
    except MemoryError:
        run.note("there is too little memory to compare the mesh with the photos")
        return
    worst = min(rows, key=lambda row: row.match)
    run.facts["match"] = {
        "against": against,
        "mean": round(sum(row.match for row in rows) / len(rows), 3),
        "iou": round(sum(row.iou for row in rows) / len(rows), 3),
        "psnr": round(sum(row.psnr for row in rows) / len(rows), 1),
        "worst": worst.name,
        "pictures": {
            row.name: {"match": round(row.match, 3), "iou": round(row.iou, 3), "psnr": round(row.psnr, 1)}
            for row in rows
        },
    }
    run.note(_sentence(run.facts["match"]))


def compared_pictures(manifest: Manifest) -> tuple[str, Sequence[Photo | ViewEntry]]:
    """What a mesh of the selected views is compared with: "photos", "views not selected" or "selected views"."""
    known = [photo for photo in manifest.active_photos if camera_is_known(manifest, photo)]
    if known:
        return "photos", _spread(known)
    selected = manifest.selection.names if manifest.selection else ()
    views = [view for view in manifest.active_views.values() if not is_photo_view(view)]
    others = [view for view in views if view.name not in selected]
    if others and not photos_of_unknown_azimuth(manifest):
        return "views not selected", _spread(others)
    return "selected views", _spread([view for view in manifest.active_views.values() if view.name in selected])


def recorded_match(record: StageRecord | None) -> Any:
    """The comparison of a finished record; None if there is none."""
    return record.facts.get("match") if record and record.status == "done" else None


def mesh_match(record: StageRecord | None) -> str:
    """The comparison of a finished record in a sentence; empty if there is none."""
    return _sentence(recorded_match(record))


def _sentence(comparison: Any) -> str:
    """A comparison in a sentence; empty for anything that is none, as in a manifest edited by hand."""
    match comparison:
        case {"against": str(against), "mean": int() | float() as mean, "iou": int() | float() as iou,
              "psnr": int() | float() as psnr, "worst": str(worst), "pictures": {**pictures}}:  # fmt: skip
            rows = [row for row in pictures.values() if isinstance(row, dict)]
            shares = [row["match"] for row in rows if isinstance(row.get("match"), int | float)]
            last = f"; worst: {worst} {min(shares):.0%}" if len(shares) > 1 else ""
            return f"the mesh matches the {against} by {mean:.0%} (silhouettes {iou:.0%}, colours {psnr:.1f} dB{last})"
    return ""


def _spread(entries: Sequence[Any]) -> Sequence[Any]:
    step = -(-len(entries) // MAX_PICTURES) if entries else 1
    return entries[::step]

"""The body that `sculpt` made: where its own views are chosen, the mesh is that body, not a second one fitted to them.

Views of a body hold less than the body, and a fit to them takes most of the time. Light until it works.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshcli.project.artefacts import BODY
from meshcli.project.manifest import Manifest, ViewEntry
from meshcli.project.project import Project

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.meshes.mirror_plane import MirrorPlane
    from meshcli.settings import FitSettings
    from meshcli.stages.stage_runner import StageRun

MIRROR_PLANES = "mirror_planes"  # a fact of `generate`: normals and offsets of the planes of the body's paint
MAX_OFFSET = 10.0  # world units; objects reach to about 1
PART = "body"  # of a fingerprint: there if the mesh is the body


def body_parts(
    project: Project, manifest: Manifest, views: Sequence[ViewEntry], options: Mapping[str, Any]
) -> dict[str, str]:
    """The part of the fingerprint for the body, where the mesh of these chosen views is the body that they show.

    Empty with another engine than `fit` or `fit.body` off, and where a person, a flag or a view that was edited by hand
    says something about the shape.
    """
    table, record, selection = options.get("fit"), manifest.stages.get("generate"), manifest.selection
    wanted = isinstance(table, Mapping) and table.get("body") is True
    if not wanted or record is None or record.engine != "sculpt" or selection is None or selection.by != "auto":
        return {}
    written = {output.file: output.sha256 for output in record.outputs}
    if BODY not in written or not project.path(BODY).is_file():
        return {}
    if not all(view.engine == "sculpt" and project.digest(view.file) == written.get(view.file) for view in views):
        return {}
    return {PART: project.digest(BODY)}


def read_body(run: "StageRun", settings: "FitSettings") -> "Mesh":
    """The body, with vertex colours; InputError where its file is damaged."""
    from meshcli.export.reading import read_mesh
    from meshcli.meshes.mesh import Mesh
    from meshcli.sdf.extract import keep_parts

    run.run_options.tell("the mesh is the body that the views show; `--set fit.body=false` fits a new one to them")
    if settings.hollows:
        run.note("fit.hollows changes nothing: the mesh is a body that is finished already")
    mesh = read_mesh(run.project.path(BODY))
    if settings.parts == "all":
        return mesh
    return Mesh(*keep_parts(mesh.vertices, mesh.faces, only_largest=settings.parts == "largest"))


def body_planes(manifest: Manifest) -> "list[MirrorPlane]":
    """The mirror planes that `sculpt` found in the photos' outlines and across which it takes paint over."""
    import numpy as np

    from meshcli.meshes.mirror_plane import MirrorPlane

    record = manifest.stages.get("generate")
    rows = record.facts.get(MIRROR_PLANES) if record and record.engine == "sculpt" else None
    if not isinstance(rows, list):
        return []
    planes = [np.array(row, np.float64) for row in rows if isinstance(row, list) and _is_plane(row)]
    return [MirrorPlane(row[:3], float(row[3]), 1.0) for row in planes]


def _is_plane(row: "list[Any]") -> bool:
    """Whether these are a unit normal and an offset near the object, or what somebody else wrote."""
    return len(row) == 4 and all(isinstance(each, int | float) and abs(each) <= MAX_OFFSET for each in row)

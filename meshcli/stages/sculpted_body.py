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
    from meshcli.settings import FitSettings
    from meshcli.stages.stage_runner import StageRun

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
    mesh = read_mesh(run.project.path(BODY))
    if settings.parts == "all":
        return mesh
    return Mesh(*keep_parts(mesh.vertices, mesh.faces, only_largest=settings.parts == "largest"))

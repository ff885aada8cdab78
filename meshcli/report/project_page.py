"""One project as a page: everything that it holds, in pictures, figures and a mesh to turn around."""

import base64
from typing import TYPE_CHECKING

from meshcli import __version__
from meshcli.errors import MeshcliError
from meshcli.project.artefacts import CONTACT_SHEET, MESH, SIDES, TURNTABLE
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.report.camera_map import camera_map
from meshcli.report.command_lines import command_lines
from meshcli.report.embedded import data_uri
from meshcli.report.figures import library_versions, mesh_rows, stage_rows, total_seconds, used_weights
from meshcli.report.pages import own_script, render_page
from meshcli.report.pictures import ProjectPictures
from meshcli.report.viewer_library import viewer_library
from meshcli.stages.photo_azimuths import guess_warning
from meshcli.stages.run_summary import CHOSEN_BY, guesses
from meshcli.stages.status import ProjectStatus, read_status

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh

PAGE = "report.html"  # in the project
STILL_SIDE, SHEET_SIDE = 480, 1280  # pixels along the longer side of embedded pictures
MAX_FILE = 64 << 20  # bytes of a mesh or video that a page holds; a larger one is only named
MAX_PIXELS = 100_000_000  # of a picture of the project
STATE_WORDS = {"failed": "failed", "interrupted": "was interrupted"}  # others: `is stale`


def project_page(project: Project) -> str:
    """The HTML text of the page about a project; MeshcliError where there is none or it is damaged."""
    status = read_status(project)
    manifest = status.manifest
    pictures = ProjectPictures(project, manifest, MAX_PIXELS)
    glb, video = read_listed(project, manifest, MESH), read_listed(project, manifest, TURNTABLE)
    mesh, problem = _read_mesh(project, glb)
    shown = glb if mesh is not None else b""
    return render_page(
        "project.html",
        [viewer_library() if shown else "", own_script("viewer.js")],
        {"glb": base64_text(shown), "cameras": pictures.cameras()},
        title=project.root.resolve().name or "project",
        version=__version__,
        next=status.next,
        total=total_seconds(manifest),
        warnings=_warnings(project, status, problem),
        guesses=guesses(manifest),
        photos=pictures.photos(),
        views=pictures.views(),
        chosen_by=CHOSEN_BY[manifest.selection.by] if manifest.selection else "",
        map=camera_map(manifest),
        has_mesh=bool(shown),
        video=data_uri(video, "video/mp4") if video else "",
        stills=pictures.listed([f"renders/{side}.png" for side in SIDES], STILL_SIDE),
        contact=pictures.listed([CONTACT_SHEET], SHEET_SIDE),
        mesh=mesh_rows(manifest, mesh, len(glb)),
        stages=stage_rows(status.stages),
        weights=used_weights(manifest),
        versions=library_versions(manifest),
        commands=command_lines(project, manifest),
    )


def read_listed(project: Project, manifest: Manifest, file: str) -> bytes:
    """A file that a record lists; empty where there is none, or it is too large for a page."""
    if file not in manifest.listed_files:
        return b""
    try:
        path = project.path(file)
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_FILE else b""
    except (MeshcliError, OSError):
        return b""


def base64_text(data: bytes) -> str:
    """Bytes as a script of the page reads them."""
    return base64.b64encode(data).decode()


def _read_mesh(project: Project, glb: bytes) -> "tuple[Mesh | None, str]":
    """The mesh of the project, or why it cannot be shown."""
    from meshcli.export.gltf import read_glb

    if not glb:
        return None, ""
    try:
        return read_glb(project.path(MESH)), ""
    except MeshcliError as error:
        return None, str(error)


def _warnings(project: Project, status: ProjectStatus, problem: str) -> list[str]:
    """What makes the page's contents doubtful: stages that are out of date, guesses, damaged files."""
    manifest = status.manifest
    lines = [
        f"{each.stage} {STATE_WORDS.get(each.state, f'is {each.state}')}: {each.reason}"
        for each in status.stages
        if each.state != "done" and each.record is not None
    ]
    return [line for line in (guess_warning(project, manifest), problem, *lines) if line]

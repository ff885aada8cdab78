"""The mesh alone as a page, as part of the page of `meshcli ui`: to turn around among its cameras."""

from meshcli import __version__
from meshcli.project.artefacts import MESH
from meshcli.project.project import Project
from meshcli.report.pages import own_script, render_page
from meshcli.report.pictures import ProjectPictures
from meshcli.report.project_page import MAX_PIXELS, base64_text, read_listed
from meshcli.report.viewer_library import viewer_library


def mesh_page(project: Project) -> str:
    """The HTML text of the page; empty where there is no mesh. MeshcliError where there is no project."""
    manifest = project.load()
    glb = read_listed(project, manifest, MESH)
    if not glb:
        return ""
    pictures = ProjectPictures(project, manifest, MAX_PIXELS)
    return render_page(
        "mesh.html",
        [viewer_library(), own_script("viewer.js")],
        {"glb": base64_text(glb), "cameras": pictures.cameras()},
        title=project.root.resolve().name or "project",
        version=__version__,
        photos=pictures.photos(),
        views=pictures.views(),
    )

"""One picture of a mesh, where making a `Renderer` ready for many would only be in the way."""

from meshcli.meshes.mesh import Mesh
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import Camera


def render_picture(mesh: Mesh, camera: Camera, width: int, height: int, samples: int = 3) -> Pixels:
    """RGBA with straight alpha (height, width, 4)."""
    return Renderer(mesh).render(camera, width, height, samples)

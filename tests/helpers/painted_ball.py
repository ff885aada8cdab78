"""A painted ball and renders of it, for the tests of colouring and texturing."""

from functools import cache

import numpy as np
import trimesh

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View


def paint(points: np.ndarray) -> np.ndarray:
    """Bands over a gradient, (N, 3) sRGB, without any symmetry."""
    x, y, z = points.T
    bands = 60.0 * np.tanh(8.0 * np.sin(9.0 * z + 4.0 * x))
    return np.stack([130.0 + bands, 120.0 + 80.0 * x, 110.0 - bands * 0.5 + 60.0 * y], axis=-1).clip(0, 255)


def ball(fineness: int, radius: float = 0.8) -> Mesh:
    body = trimesh.creation.icosphere(fineness, radius=radius)
    return Mesh(
        body.vertices.astype(np.float32), body.faces.astype(np.int32), np.rint(paint(body.vertices)).astype(np.uint8)
    )


@cache
def ball_views(size: int = 160) -> list[View]:
    renderer = Renderer(ball(6))
    return [
        View(f"a{i}", renderer.render(camera, size, size, samples=2), camera)
        for i, camera in enumerate(zero123plus_rig(known="rig"))
    ]

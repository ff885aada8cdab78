"""The grey renders of examples/clay_rendering.py."""

import numpy as np
import trimesh
from clay_rendering import Lighting, render_clay

from meshcli.meshes.mesh import Mesh
from meshcli.views.camera import orbit

SQUARE = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]], np.float32)  # faces +x
HALVES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_light_from_above_lights_the_top() -> None:
    body = trimesh.creation.icosphere(3, radius=0.6)
    ball = Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32))
    above = Lighting(ambient=0.0, lamps=(((0, 5.0, 0), 1.0),))
    pixels = render_clay(ball, orbit(0, 0), 64, 64, grey=200, lighting=above)
    assert pixels[32 - 14, 32, 0] > 120
    assert pixels[32 + 14, 32, 0] < 5


def test_the_inside_of_an_open_mesh_is_lit_as_seen() -> None:
    light = Lighting(ambient=0.0, lamps=(((0, 0, 1.0), 1.0),))
    front = render_clay(Mesh(SQUARE, HALVES), orbit(0, 0), 16, 16, grey=200, lighting=light)
    turned = render_clay(Mesh(SQUARE, HALVES[:, ::-1]), orbit(0, 0), 16, 16, grey=200, lighting=light)
    assert front[8, 8, 0] == 200
    assert (front == turned).all()

"""Boxes from framed photos of which only the azimuths are known get flat faces, not the wedges of their hull."""

import numpy as np
import pytest
import trimesh

from meshcli.generators.sculpt.sculpt import Sculpture, sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import frame_foreground
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

pytestmark = pytest.mark.slow

SIDES = (0.45, 1.0, 0.9)
FIT = FitSettings(resolutions=(48,))


def sculpted(azimuths: tuple[float, ...], elevations: tuple[float, ...]) -> Sculpture:
    body = trimesh.creation.box(SIDES)
    corners = body.triangles.reshape(-1, 3).astype(np.float32)
    shades = np.repeat(
        90 + 50 * np.abs(body.face_normals).argmax(axis=1), 3
    )  # each pair of sides has a grey of its own
    greys = np.repeat(shades[:, None], 3, axis=1).astype(np.uint8)
    renderer = Renderer(Mesh(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), greys))
    photos = []
    for name, azimuth, elevation in zip("abc", azimuths, elevations, strict=True):
        framed, _ = frame_foreground(renderer.render(orbit(azimuth, elevation), 400, 400), 0.85)
        photos.append(View(name, framed, orbit(azimuth, 0.0, known="given")))
    return sculpt(photos, SculptSettings(), FIT, [0, 1, 2], silent, "abc")


def test_a_box_keeps_its_proportions() -> None:
    made = sculpted((0.0, 120.0, 240.0), (20.0, 17.0, 19.0))
    assert made.mesh is not None
    assert any("those of a box" in note for note in made.notes)
    depth, width, height = np.ptp(made.mesh.vertices, axis=0)
    assert (depth / height, width / height) == pytest.approx((SIDES[0] / SIDES[2], SIDES[1] / SIDES[2]), rel=0.15)


def test_seen_from_one_side_it_keeps_its_volume() -> None:
    """Its hull is a wedge that is deeper than the box is wide."""
    made = sculpted((0.0, 45.0, -45.0), (14.0, 9.0, 10.0))
    assert made.mesh is not None
    height = np.ptp(made.mesh.vertices[:, 2])
    volume = abs(trimesh.Trimesh(made.mesh.vertices, made.mesh.faces).volume) / height**3
    assert volume == pytest.approx(np.prod(SIDES) / SIDES[2] ** 3, rel=0.2)

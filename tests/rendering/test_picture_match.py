"""The match of a mesh with pictures is high for the right mesh, and low for a turned one or other colours."""

import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.picture_match import PictureMatch, compare_with_pictures
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.view import View


def slab(colour: tuple[int, int, int] = (200, 60, 40)) -> Mesh:
    """Broad from the front, narrow from the side."""
    body = trimesh.creation.box((0.3, 1.4, 0.8))
    colours = np.tile(np.array(colour, np.uint8), (len(body.vertices), 1))
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours)


def matches(mesh: Mesh, seen: float, said: float) -> PictureMatch:
    picture = Renderer(slab()).render(orbit(seen, 10.0), 300, 300, samples=2)
    return compare_with_pictures(mesh, [View("a", picture, orbit(said, 10.0))])[0]


def test_the_right_mesh_matches() -> None:
    found = matches(slab(), 20.0, 20.0)
    assert found.match > 0.99
    assert found.iou > 0.99
    assert found.psnr > 40.0


def test_a_wrong_side_lowers_silhouette_and_match() -> None:
    found = matches(slab(), 0.0, 90.0)
    assert found.iou == pytest.approx(0.3 / 1.4, abs=0.06)
    assert found.match <= found.iou


def test_wrong_colours_lower_the_match_alone() -> None:
    found = matches(slab((40, 60, 200)), 20.0, 20.0)
    assert found.iou > 0.99
    assert found.match == 0.0
    assert found.psnr < 8.0


def test_a_mesh_beside_the_picture_matches_nothing() -> None:
    mesh = slab()
    away = Mesh(mesh.vertices + np.float32(5.0), mesh.faces, mesh.colours)
    assert matches(away, 0.0, 0.0) == PictureMatch("a", 0.0, 0.0, 0.0)

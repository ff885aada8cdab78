import numpy as np
import pytest
import trimesh

from helpers.golden import RECORDED, Numbers
from meshcli.meshes.mesh import corner_normals, vertex_normals


def test_normals_of_a_ball_point_outwards() -> None:
    ball = trimesh.creation.icosphere(3)
    assert np.abs(vertex_normals(ball.vertices, ball.faces) - ball.vertices).max() < 0.02
    assert np.abs(corner_normals(ball.vertices, ball.faces) - ball.vertices[ball.faces]).max() < 0.02


def test_creases_stay_sharp() -> None:
    box = trimesh.creation.box()
    normals = corner_normals(box.vertices, box.faces)
    assert np.abs(normals - box.face_normals[:, None]).max() < 1e-6


def test_a_vertex_without_area_has_a_normal() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]], float)
    assert vertex_normals(vertices, np.array([[0, 1, 2]])) == pytest.approx(np.tile([0, 0, 1.0], (4, 1)))


def test_normals_equal_the_published_ones(numbers: Numbers) -> None:
    """compute_vertex_normal (InstantMesh's geometry/render/neural_render.py)."""
    mesh, wanted = numbers.arrays("mesh_extract"), numbers.arrays("mesh_utils")
    found = vertex_normals(mesh["vertices"], mesh["faces"])
    np.testing.assert_allclose(found, wanted["vertex_normals"], atol=1e-5)


def test_normals_of_degenerate_faces_equal_the_published_ones() -> None:
    """With exactly three faces the published function takes its cross products along the wrong axis: not with four."""
    given = RECORDED.arrays("mesh_utils")
    found = vertex_normals(given["degenerate_vertices"], given["degenerate_faces"])
    np.testing.assert_allclose(found, given["degenerate_vertex_normals"], atol=1e-6)
    assert found[4:].tolist() == [[0.0, 0.0, 1.0]] * 2

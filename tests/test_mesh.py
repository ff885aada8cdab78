import numpy as np
import pytest
import trimesh

from meshcli.mesh import corner_normals, vertex_normals


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

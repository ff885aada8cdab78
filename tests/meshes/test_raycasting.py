import numpy as np
import pytest
import trimesh

from meshcli.meshes import raycasting
from meshcli.meshes.raycasting import Scene

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float), np.array([[0, 1, 2]])


def test_hits_have_barycentric_coordinates_and_depths() -> None:
    hits = Scene(*TRIANGLE).cast(np.array([[0.2, 0.3, 2.0], [2.0, 2.0, 2.0]]), np.array([[0, 0, -1.0], [0, 0, -1.0]]))
    assert hits.faces.tolist() == [0, -1]
    assert hits.barycentric[0] == pytest.approx([0.5, 0.2, 0.3], abs=1e-6)
    assert hits.barycentric[1].tolist() == [0, 0, 0]
    assert hits.depths.tolist() == [pytest.approx(2.0, rel=1e-6), np.inf]


def test_depth_is_in_lengths_of_the_direction() -> None:
    assert Scene(*TRIANGLE).cast(np.array([0.2, 0.3, 2.0]), np.array([[0, 0, -0.5]])).depths.tolist() == [
        pytest.approx(4.0, rel=1e-6)
    ]


def test_both_sides_stop_a_ray() -> None:
    assert Scene(*TRIANGLE).cast(np.array([0.2, 0.3, -2.0]), np.array([[0, 0, 1.0]])).faces.tolist() == [0]


def test_blocked_looks_no_further_than_asked() -> None:
    origins, directions = np.tile([0.2, 0.3, 2.0], (2, 1)), np.tile([0, 0, -1.0], (2, 1))
    assert Scene(*TRIANGLE).occluded(origins, directions, np.array([1.9, 2.1])).tolist() == [False, True]
    assert Scene(*TRIANGLE).occluded(origins, directions).tolist() == [True, True]


def test_an_empty_mesh_is_never_seen() -> None:
    scene = Scene(np.zeros((0, 3)), np.zeros((0, 3)))
    assert scene.cast(np.zeros((1, 3)), np.ones((1, 3))).faces.tolist() == [-1]
    assert scene.cast(np.zeros((0, 3)), np.ones((0, 3))).faces.shape == (0,)


def test_no_ray_slips_through_an_edge() -> None:
    ball = trimesh.creation.icosphere(4)
    scene = Scene(ball.vertices, ball.faces)
    targets = np.concatenate(
        [ball.vertices[ball.edges_unique].mean(axis=1), np.random.default_rng(0).normal(size=(10**5, 3))]
    )
    for origin in np.zeros(3), np.array([0.31, -0.2, 0.17]):
        assert (scene.cast(origin, targets - origin).faces >= 0).all()
        assert (scene.cast(origin, ball.vertices - origin).faces >= 0).mean() > 0.99


def test_threads_and_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ball = trimesh.creation.icosphere(3)
    directions = np.random.default_rng(0).normal(size=(5000, 3))
    scene = Scene(ball.vertices, ball.faces)
    whole = scene.cast(np.array([0.0, 2.0, 0.0]), directions, threads=1)
    monkeypatch.setattr(raycasting, "RAYS_PER_CHUNK", 700)
    parts = scene.cast(np.array([0.0, 2.0, 0.0]), directions, threads=3)
    assert (whole.faces == parts.faces).all()
    assert (whole.barycentric == parts.barycentric).all()
    assert (whole.depths == parts.depths).all()

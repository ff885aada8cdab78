import numpy as np

from meshcli.export.frames import TO_GLTF, from_gltf, to_gltf


def test_front_left_and_top_land_where_gltf_has_them() -> None:
    front, left, up = np.eye(3)  # ours: x to the viewer, y to the viewer's right, z up
    assert to_gltf(front[None]).tolist() == [[0, 0, 1]]
    assert to_gltf(left[None]).tolist() == [[1, 0, 0]]
    assert to_gltf(up[None]).tolist() == [[0, 1, 0]]


def test_never_a_mirror() -> None:
    assert np.linalg.det(TO_GLTF) == 1.0


def test_frames_round_trip() -> None:
    points = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    assert np.abs(from_gltf(to_gltf(points, 0.3), 0.3) - points).max() < 1e-6

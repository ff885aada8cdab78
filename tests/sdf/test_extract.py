"""Surfaces: closed, outside out, in the right place."""

import numpy as np
import pytest

from meshcli.errors import InputError
from meshcli.sdf.extract import extract_pieces, extract_surface, keep_largest, keep_parts, taubin_smooth
from meshcli.sdf.grid import Grid

GRID = Grid.around(np.array([-1.0, -0.8, -0.9]), np.array([1.2, 0.9, 0.7]), 36, 5)


def distance_to(*balls: tuple[tuple[float, float, float], float]) -> np.ndarray:
    nodes = GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
    each = [np.linalg.norm(nodes - np.array(centre), axis=-1) - radius for centre, radius in balls]
    return (np.min(each, axis=0) / GRID.voxel).astype(np.float32)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed: positive where faces are counter-clockwise seen from outside."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_ball_comes_out_round_and_outside_out() -> None:
    vertices, faces = extract_surface(distance_to(((0.1, 0.0, -0.1), 0.5)), GRID)
    radii = np.linalg.norm(vertices - np.array([0.1, 0.0, -0.1]), axis=1)
    assert np.abs(radii - 0.5).max() < 0.03 * 0.5
    assert abs(volume(vertices, faces) / (4 / 3 * np.pi * 0.125) - 1) < 0.02


def test_every_edge_has_two_faces() -> None:
    _, faces = extract_surface(distance_to(((0.1, 0.0, -0.1), 0.5), ((-0.5, 0.3, 0.2), 0.2)), GRID)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()


def test_specks_are_dropped() -> None:
    vertices, faces = extract_surface(distance_to(((0.1, 0.0, 0.0), 0.5), ((-0.8, -0.6, -0.7), 0.04)), GRID, 1)
    kept, kept_faces = keep_parts(vertices, faces)
    assert vertices[:, 0].min() < -0.7
    assert kept[:, 0].min() > -0.45
    assert kept_faces.max() == len(kept) - 1


def test_the_largest_part_alone() -> None:
    triangles = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6]], np.int32)
    vertices = np.arange(21, dtype=np.float32).reshape(7, 3)
    kept, faces = keep_parts(vertices, triangles, only_largest=True)
    assert len(kept) == 4
    assert faces.tolist() == [[0, 1, 2], [1, 3, 2]]
    assert len(keep_parts(vertices, triangles, only_largest=False)[1]) == 3


def test_taubin_smooths_noise_and_keeps_the_volume() -> None:
    vertices, faces = extract_surface(distance_to(((0.1, 0.0, -0.1), 0.5)), GRID)
    rough = vertices + np.random.default_rng(0).normal(0, 0.01, vertices.shape)
    smooth = taubin_smooth(rough, faces, 10)

    def roughness(points: np.ndarray) -> float:
        return float(np.linalg.norm(points - np.array([0.1, 0.0, -0.1]), axis=1).std())

    assert roughness(smooth) < 0.4 * roughness(rough)
    assert abs(volume(smooth, faces) / volume(vertices, faces) - 1) < 0.02


@pytest.mark.parametrize("least", [0.4, 2.0, 50.0])
def test_a_grid_without_a_surface_is_refused_in_one_line(least: float) -> None:
    with pytest.raises(InputError, match="no surface is left"):
        extract_surface(distance_to(((0.1, 0.0, -0.1), 0.5)).clip(least), GRID)


def test_a_surface_has_as_many_parts_as_its_grid_has_pieces() -> None:
    three = distance_to(((0.1, 0.0, -0.1), 0.5), ((-0.7, -0.5, 0.4), 0.15), ((0.9, 0.6, 0.4), 0.1))
    vertices, faces = extract_pieces(three, GRID)
    for count in (1, 2, 3, 4):
        kept, _ = keep_largest(vertices, faces, count)
        assert len(kept) == len(vertices) if count >= 3 else len(kept) < len(vertices)
    largest, _ = keep_largest(vertices, faces, 1)
    assert np.linalg.norm(largest - np.array([0.1, 0.0, -0.1]), axis=1).max() < 0.55

"""Ripples go; edges, thin parts and what may not move stay."""

import numpy as np
import pytest
import trimesh

from meshcli.reconstructors.fit import LAST
from meshcli.sdf.fairing import fair
from meshcli.sdf.fit_level import ColouredSdf, LevelOptimiser, LossWeights
from meshcli.sdf.grid import Grid
from meshcli.sdf.pixel_rays import PixelRays

Mesh = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def box() -> Mesh:
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    for _ in range(5):
        mesh = mesh.subdivide()
    return np.array(mesh.vertices), np.array(mesh.faces, np.int32)


@pytest.fixture(scope="module")
def rippled(box: Mesh) -> Mesh:
    vertices, faces = box
    return vertices + np.random.default_rng(0).normal(0, 0.003, vertices.shape), faces


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    found = np.cross(b - a, c - a)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def tilt(vertices: np.ndarray, faces: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Degrees between the faces' normals and those of the box."""
    return np.degrees(np.arccos(np.clip((normals(vertices, faces) * flat).sum(axis=1), -1, 1)))


def test_panels_become_flat_and_edges_stay(box: Mesh, rippled: Mesh) -> None:
    vertices, faces = rippled
    flat = normals(*box)
    smooth = fair(vertices, faces, np.full(len(vertices), 0.05))
    before, after = tilt(vertices, faces, flat), tilt(smooth, faces, flat)
    assert after.mean() < 0.5 * before.mean()
    edge = (np.abs(box[0]) > 0.499).sum(axis=1) >= 2
    assert np.linalg.norm(smooth - box[0], axis=1)[edge].mean() < 0.008  # a quarter of a triangle's side
    assert np.abs(smooth).max(axis=0).min() > 0.495


def test_flat_surfaces_are_unchanged(box: Mesh) -> None:
    vertices, faces = box
    moved = np.linalg.norm(fair(vertices, faces, np.full(len(vertices), 0.05)) - vertices, axis=1)
    assert np.percentile(moved, 90) < 1e-4
    assert moved.max() < 0.008  # at the edges


def test_no_vertex_goes_beyond_its_reach(rippled: Mesh) -> None:
    vertices, faces = rippled
    reach = np.where(vertices[:, 2] > 0, 0.0, 0.001)
    moved = np.linalg.norm(fair(vertices, faces, reach) - vertices, axis=1)
    assert (moved[reach == 0] == 0).all()
    assert moved.max() == pytest.approx(0.001)


def test_a_vertex_without_a_face_and_a_face_without_an_area_do_no_harm(rippled: Mesh) -> None:
    vertices, faces = rippled
    more = np.vstack([vertices, [[9.0, 9.0, 9.0]]])
    smooth = fair(more, np.vstack([faces, [[0, 0, 1]]]).astype(np.int32), np.full(len(more), 0.05))
    assert np.isfinite(smooth).all()
    assert (smooth[-1] == 9.0).all()


def test_panels_are_flat_edges_straight_and_corners_neither() -> None:
    grid = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 40, 8)
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    gap = np.abs(grid.to_world(nodes)) - 0.8
    outside = np.linalg.norm(np.maximum(gap, 0), axis=-1)
    distance = ((outside + np.minimum(gap.max(axis=-1), 0)) / grid.voxel).astype(np.float32)
    nothing = np.zeros((0, 3), np.float32)
    rays = PixelRays(nothing, nothing, np.zeros((0, 4), np.float32))
    shape = ColouredSdf(grid, distance, np.zeros((*grid.shape, 3), np.float32))
    level = LevelOptimiser(shape, distance.copy(), None, rays, LAST, LossWeights(1.0, 1.0, 1.0))
    level._update_active_region()
    flat, straight = level._planarity()
    places = grid.to_world(np.stack(np.unravel_index(level._nodes, grid.shape), axis=-1))

    def near(place: tuple[float, float, float]) -> int:
        return int(np.argmin(np.linalg.norm(places - np.array(place), axis=1)))

    panel, edge, corner = near((0.8, 0, 0)), near((0.8, 0.8, 0)), near((0.8, 0.8, 0.8))
    assert flat[panel] > 0.95
    assert straight[panel] > 0.95
    assert flat[edge] < 0.1
    assert straight[edge] > 0.9
    assert max(flat[corner], straight[corner]) < 0.1

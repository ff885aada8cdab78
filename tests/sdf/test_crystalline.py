"""Crystalline curvature leaves boxes alone and makes boxes of balls."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from meshcli.sdf.crystalline import crystalline_curvature
from meshcli.sdf.grid import Grid, interior, redistance

GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 32, 4)
NODES = np.flatnonzero(interior(GRID.shape, 3))
POINTS = GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
ROUNDING = 0.12


def flow(field: np.ndarray, yaw: float, steps: int) -> np.ndarray:
    result = np.zeros_like(field)
    for step in range(steps):
        crystalline_curvature(field, NODES, yaw, ROUNDING, result)
        field = field + np.float32(0.3 * ROUNDING) * result
        if step % 20 == 19:
            field = redistance(field, NODES, 12)
    return field


def reach(field: np.ndarray, direction: tuple[float, float, float]) -> float:
    """How far the body reaches from the origin, in the world."""
    away = np.arange(0.0, 0.95, 0.002)
    ray = away[:, None] * np.array(direction) / np.linalg.norm(direction)
    values = map_coordinates(field, GRID.to_lattice(ray).T, order=1)
    return float(away[np.flatnonzero(values < 0)[-1]])


def ball() -> np.ndarray:
    return ((np.linalg.norm(POINTS, axis=-1) - 0.7) / GRID.voxel).astype(np.float32)


@pytest.mark.parametrize("yaw", [0.0, 30.0])
def test_a_ball_becomes_a_box_of_this_yaw(yaw: float) -> None:
    angle = np.radians(yaw)
    body = flow(ball(), angle, 300)
    axis = reach(body, (np.cos(angle), np.sin(angle), 0.0))
    assert axis == pytest.approx(reach(body, (-np.sin(angle), np.cos(angle), 0.0)), abs=0.02)
    assert axis == pytest.approx(reach(body, (0.0, 0.0, 1.0)), abs=0.03)
    # From face to edge: 1 of a ball, 0.71 of a cube.
    assert axis / reach(body, (np.cos(angle + np.pi / 4), np.sin(angle + np.pi / 4), 0.0)) < 0.85


def test_a_flat_face_stays_where_it_is() -> None:
    plane = ((POINTS @ np.array([0.6, 0.0, 0.8])) / GRID.voxel).astype(np.float32)
    result = np.zeros_like(plane)
    crystalline_curvature(plane, NODES, 0.4, ROUNDING, result)
    assert np.abs(result.ravel()[NODES]).max() < 1e-3


def test_a_ball_is_convex_everywhere_and_a_hollow_is_not() -> None:
    result = np.zeros_like(ball())
    crystalline_curvature(ball(), NODES, 0.0, ROUNDING, result)
    near = NODES[np.abs(ball().ravel()[NODES]) < 1.0]
    assert result.ravel()[near].min() > -1e-3
    assert result.ravel()[near].mean() > 0.02
    hollow = np.zeros_like(result)
    crystalline_curvature(-ball(), NODES, 0.0, ROUNDING, hollow)
    np.testing.assert_allclose(hollow.ravel()[NODES], -result.ravel()[NODES], atol=1e-5)

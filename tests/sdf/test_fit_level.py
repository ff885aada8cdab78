"""The regularisation of a level by itself: no picture moves the surface."""

import numpy as np

from helpers.simple_bodies import ball
from meshcli.sdf.fit_level import ColouredSdf, LevelOptimiser, LossWeights, Schedule
from meshcli.sdf.grid import Field, Grid
from meshcli.sdf.pixel_rays import collect_pixel_rays
from meshcli.views.camera import orbit

GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 32, 4)
POINTS = GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
STEPS = 12
ROD, RIDGE, EAVES = 0.8, -0.2, 0.3  # along the x axis
HALF_BREADTH = 1.4 * GRID.voxel  # of the rod


def rod_and_roof() -> Field:
    """An upright rod beside a block with a roof of two slopes of 20 degrees."""
    x, y, z = np.moveaxis(POINTS, -1, 0)
    rod = np.maximum(np.maximum(np.abs(x - ROD), np.abs(y)) - HALF_BREADTH, np.abs(z) - 0.8)
    slope = np.sin(np.radians(20.0)) * np.abs(x - RIDGE) + np.cos(np.radians(20.0)) * (z - 0.2)
    block = np.maximum.reduce([np.abs(x - RIDGE) - 0.6, np.abs(y) - 0.6, -0.6 - z])
    return (np.minimum(rod, np.maximum(block, slope)) / GRID.voxel).astype(np.float32)


def flattened(limit: float | None) -> Field:
    """After some steps of the crystalline flow alone."""
    schedule = Schedule(
        (0.0, 0.0), (1.0, 1.0), (2.0, 2.0), 0.0, thin_plate=0.0, high_pass=0.0, edge_flow=0.0,
        crystalline=0.7, crystalline_limit=limit,
    )  # fmt: skip
    body = rod_and_roof()
    shape = ColouredSdf(GRID, body, np.full((*GRID.shape, 3), 0.5, np.float32))
    rays = collect_pixel_rays([ball(orbit(0.0, 10.0))])
    level = LevelOptimiser(shape, np.full_like(body, -50.0), None, rays, schedule, LossWeights(1.0, 1.0, 1.0))
    generator = np.random.default_rng(0)
    for step in range(STEPS):
        level.step(step / STEPS, 100, generator)
    return shape.distance


def height(field: Field, x: float) -> float:
    """Of the body over a point of the x axis; -1 where there is none."""
    i, j = (round(value) for value in GRID.to_lattice(np.array([x, 0.0, 0.0]))[:2])
    inside = np.flatnonzero(field[i, j] < 0)
    return float(GRID.to_world(np.array([i, j, inside[-1]]))[2]) if len(inside) else -1.0


def test_a_limited_flow_flattens_a_roof_and_keeps_a_rod() -> None:
    before, after = rod_and_roof(), flattened(0.15)
    assert height(after, RIDGE) < height(before, RIDGE) - 0.1
    assert height(after, RIDGE) > height(before, EAVES) - 0.1
    assert height(after, ROD) == height(before, ROD)
    assert height(flattened(None), ROD) == -1.0

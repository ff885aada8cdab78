"""Patches of a surface, compared between pictures."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.sphere_tracing import photograph, waves
from meshcli.sdf.grid import Grid, cube_grid
from meshcli.sdf.patch_matching import UNTESTED, Pictures, first_depths, least_differences
from meshcli.sdf.pixel_rays import to_lattice_rays
from meshcli.views.camera import orbit
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

GRID = cube_grid(0.7, 40, 3)
RADIUS = 0.5


def ball(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points, axis=-1) - RADIUS


@pytest.fixture(scope="module")
def views() -> list[View]:
    """A ball from two sides, 50 degrees apart, the second picture darker."""
    pictures = [photograph(orbit(azimuth, 10), ball, 160, waves) for azimuth in (0, 50)]
    darker = pictures[1].pixels.copy()
    darker[..., :3] = 0.85 * darker[..., :3]
    return [pictures[0], replace(pictures[1], pixels=darker)]


def on_both(grid: Grid, radius: float) -> np.ndarray:
    """Points (N, 3), lattice units, on the side that both cameras see, at a distance from the middle."""
    towards = np.array(orbit(25, 10).position)
    generator = np.random.default_rng(0)
    offsets = towards / np.linalg.norm(towards) + generator.uniform(-0.3, 0.3, (60, 3))
    return grid.to_lattice(radius * offsets / np.linalg.norm(offsets, axis=1, keepdims=True))


def test_pictures_agree_on_the_surface_and_nowhere_before_it(views: list[View]) -> None:
    pictures = Pictures.of(views, GRID)
    least = least_differences(pictures, on_both(GRID, RADIUS))
    np.testing.assert_array_equal(least, least.transpose(1, 0, 2))
    assert np.median(least[0, 1]) < 0.1
    before = least_differences(pictures, on_both(GRID, RADIUS + 0.15))[0, 1]
    assert np.median(before[before < UNTESTED]) > 0.4


def test_plain_pictures_say_nothing(views: list[View]) -> None:
    plain = [replace(view, pixels=view.pixels.copy()) for view in views]
    for view in plain:
        view.pixels[..., :3] = 120
    assert (least_differences(Pictures.of(plain, GRID), on_both(GRID, RADIUS)) == UNTESTED).all()


def test_the_depth_of_a_pixel_is_found(views: list[View]) -> None:
    origins, directions = rays(views[0].camera, pixel_centres(160, 160)[40:120:6, 60:120:6], 160, 160)
    origins, directions = origins.reshape(-1, 3).astype(np.float32), directions.reshape(-1, 3).astype(np.float32)
    hull = (
        ball(GRID.to_world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1))) - 0.1
    ) / GRID.voxel
    lattice = to_lattice_rays(origins, directions, GRID)
    depths, supports = first_depths(Pictures.of(views, GRID), 0, lattice, hull.astype(np.float32))
    told = supports > 0.4
    points = GRID.to_world(lattice.origins + depths[:, None] * lattice.directions)
    assert told.sum() > 20
    assert (np.abs(ball(points[told])) < 1.5 * GRID.voxel).mean() > 0.9

"""Free space inside a hull, told by colours."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from helpers.sphere_tracing import photograph, waves
from meshcli.progress import silent
from meshcli.reconstructors.fit import Evidence, fit_sdf
from meshcli.sdf.fit_level import ColouredSdf
from meshcli.sdf.free_space import FreeSpace, _count_rays, _follow_rays, find_free_space
from meshcli.sdf.grid import Grid, cube_grid
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig

Paint = Callable[[np.ndarray], np.ndarray]
OUTER, FLOOR, WALL = np.array([0.6, 0.5, 0.25]), -0.1, 0.12  # of a tray: half sizes, its floor's height, the rim


def box(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Signed distances (...) of points (..., 3) to a box."""
    outside = np.abs(points - (low + high) / 2) - (high - low) / 2
    return np.linalg.norm(np.maximum(outside, 0), axis=-1) + np.minimum(outside.max(axis=-1), 0)


def inside_of_tray(points: np.ndarray) -> np.ndarray:
    """Signed distances of the hollow, which goes on above the rim."""
    rim = OUTER - WALL
    return box(points, np.array([-rim[0], -rim[1], FLOOR]), np.array([rim[0], rim[1], 1.0]))


def tray(points: np.ndarray) -> np.ndarray:
    return np.maximum(box(points, -OUTER, OUTER), -inside_of_tray(points))


def ball(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points, axis=-1) - 0.6


def views_through(points: np.ndarray) -> np.ndarray:
    """How many of the six cameras see points (N, 3), no part of the tray between; (N,)."""
    seen = np.zeros(points.shape[:-1], int)
    for camera in zero123plus_rig():
        towards = (np.array(camera.position) - points) / camera.distance
        seen += np.min([tray(points + along * towards) for along in np.linspace(0, 2, 60)], axis=0) > 0
    return seen


def nodes(grid: Grid) -> np.ndarray:
    """World positions (X, Y, Z, 3)."""
    return grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


@pytest.fixture(scope="module")
def six_of_a_tray() -> Evidence:
    return Evidence.of([photograph(camera, tray, 200, waves) for camera in zero123plus_rig()])


def test_rays_that_meet_nothing_solid_are_charged_to_the_voxels_on_them() -> None:
    index = np.full((5, 4, 4), -1, np.int64)
    index[1:4, 1, 1] = 0, 1, 2
    index[1:3, 2, 2] = 3, 4
    free = np.ones(index.shape, np.float32)
    free[2, 1, 1] = 0.0  # on the first ray alone
    origins = np.array([[0, 1, 1], [0, 2, 2]], np.float32)
    along, spans = np.array([[1, 0, 0]] * 2, np.float32), np.array([[0, 4]] * 2, np.float32)
    shortest, price = np.full(5, np.inf), np.zeros(5)
    _follow_rays(origins, along, spans, index, free, shortest, price)
    np.testing.assert_allclose(price, [0, 0, 0, 1 / 2, 1 / 2])
    np.testing.assert_allclose(shortest, [3, 3, 3, 2, 2])


def test_rays_to_a_known_depth_are_free_before_it_and_solid_behind_it() -> None:
    index = np.full((12, 2, 2), -1, np.int64)
    index[1:11, 0, 0] = np.arange(10)
    origin, along, span = (
        np.zeros((1, 3), np.float32),
        np.array([[1, 0, 0]], np.float32),
        np.array([[0, 11]], np.float32),
    )
    sums = np.zeros((3, 10))
    _count_rays(origin, along, span, np.array([4.9]), np.array([0.7]), index, sums)
    passing, ending, count = sums
    np.testing.assert_allclose(passing, [0.7] * 4 + [0] * 6)  # up to a voxel before the depth
    np.testing.assert_allclose(ending, [0] * 5 + [0.7] * 2 + [0] * 3)
    np.testing.assert_allclose(count, 1)


@pytest.mark.slow
def test_the_inside_of_a_tray_is_free(six_of_a_tray: Evidence) -> None:
    free = find_free_space(six_of_a_tray.hull, six_of_a_tray.silhouettes)
    assert free
    hull = six_of_a_tray.hull(free.grid) < 0
    points, found = nodes(free.grid)[hull], free.distance[hull] < 0
    seen = views_through(points)
    assert found[(seen >= 2) & (tray(points) > 0.03)].mean() > 0.85
    assert found[(seen == 0) & (tray(points) < -0.03)].mean() < 0.02


def plain(points: np.ndarray) -> np.ndarray:
    return np.full(points.shape, 150.0)


@pytest.mark.slow
@pytest.mark.parametrize("paint", [waves, plain])
def test_a_ball_has_no_hollow(paint: Paint) -> None:
    evidence = Evidence.of([photograph(camera, ball, 200, paint) for camera in zero123plus_rig()])
    free = find_free_space(evidence.hull, evidence.silhouettes)
    assert free is None or (free.distance[ball(nodes(free.grid)) < -0.05] < 0).mean() < 0.002


@pytest.mark.slow
def test_photos_of_a_ball_that_are_not_exposed_alike_tell_no_hollow() -> None:
    views = [photograph(camera, ball, 200, waves) for camera in zero123plus_rig()]
    for view, gain in zip(views, (0.85, 1.1, 0.95, 1.15, 0.9, 1.0), strict=True):
        view.pixels[..., :3] = np.clip(gain * view.pixels[..., :3], 0, 255)
    evidence = Evidence.of(views)
    free = find_free_space(evidence.hull, evidence.silhouettes)
    assert free is None or (free.distance[ball(nodes(free.grid)) < -0.05] < 0).mean() < 0.002


@pytest.mark.slow
def test_a_plain_tray_stays_as_it_is() -> None:
    evidence = Evidence.of([photograph(camera, tray, 200, plain) for camera in zero123plus_rig()])
    assert find_free_space(evidence.hull, evidence.silhouettes) is None


def test_what_is_free_is_kept_out_of_a_hull_but_for_its_rim() -> None:
    fine, coarse = cube_grid(1.0, 40, 2), cube_grid(1.0, 25, 2)
    distance = ((np.linalg.norm(nodes(coarse), axis=-1) - 0.5) / coarse.voxel).astype(np.float32)
    free = FreeSpace(coarse, distance, np.zeros((*coarse.shape, 3), np.float32), 0.1)
    carved = free.carve(np.full(fine.shape, -9, np.float32), fine)
    radius = np.linalg.norm(nodes(fine), axis=-1)
    rim = 0.5 - 0.5 * coarse.voxel
    assert (carved[radius < rim - 0.02] > 0).all()
    assert (carved[radius > rim + 0.02] < 0).all()


def test_what_is_cut_out_of_a_body_gets_the_colours_of_its_walls() -> None:
    fine, coarse = cube_grid(1.0, 40, 2), cube_grid(1.0, 25, 2)
    distance = ((np.linalg.norm(nodes(coarse) - (0, 0, 0.6), axis=-1) - 0.3) / coarse.voxel).astype(np.float32)
    free = FreeSpace(coarse, distance, np.full((*coarse.shape, 3), 0.9, np.float32), 0.1)
    whole = (ball(nodes(fine)) / fine.voxel).astype(np.float32)
    shape = free.cut_out(ColouredSdf(fine, whole, np.full((*fine.shape, 3), 0.5, np.float32)))
    outside, inside = ball(nodes(fine)), 0.3 - np.linalg.norm(nodes(fine) - (0, 0, 0.6), axis=-1)
    expected = np.maximum(outside, inside)
    near = (np.abs(expected) < 1.5 * fine.voxel) & (np.abs(outside - inside) > 0.15)  # at the rim there is a kink
    np.testing.assert_allclose(shape.distance[near] * fine.voxel, expected[near], atol=0.3 * fine.voxel)
    cut = (expected > 0) & (whole < -1)
    np.testing.assert_allclose(shape.colour[cut], 0.9)
    np.testing.assert_allclose(shape.colour[nodes(fine)[..., 2] < 0.1], 0.5)


@pytest.mark.slow
def test_a_fit_says_what_it_does_about_hollows(six_of_a_tray: Evidence) -> None:
    quick = FitSettings((20,), (2,), 500, hollows=True)
    views = [photograph(camera, ball, 64, waves) for camera in zero123plus_rig()]
    moved = replace(views[0], pixels=np.roll(views[0].pixels, 8, axis=0))
    of_balls = [Evidence.of(views), Evidence.of([moved, *views[1:]])]
    said: list[list[str]] = []
    for evidence in (six_of_a_tray, *of_balls):
        said.append([])
        fit_sdf(evidence, quick, 0, silent, note=said[-1].append)
    assert any("% of the common body of all outlines is hollow" in note for note in said[0])
    assert "the colours tell no hollow" in said[1]
    assert "the outlines contradict each other, so no hollows are looked for" in said[2]


@pytest.mark.slow
def test_a_fit_keeps_the_inside_of_a_tray_open(six_of_a_tray: Evidence) -> None:
    shape = fit_sdf(six_of_a_tray, FitSettings((24, 48), (60, 60), 6000, hollows=True), 0, silent)
    near = np.abs(nodes(shape.grid)).max(axis=-1) < OUTER[0]
    points, distance = nodes(shape.grid)[near], shape.distance[near]
    hollow = (inside_of_tray(points) < -0.05) & (points[..., 2] < OUTER[2]) & (views_through(points) >= 2)
    assert (distance[hollow] > 0).mean() > 0.8
    walls = (tray(points) < -0.04) & (points[..., 2] < OUTER[2] - 0.05)
    assert (distance[walls] < 0).mean() > 0.9

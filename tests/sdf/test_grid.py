"""Distance grids against bodies whose distance is known."""

import numpy as np
import pytest

from meshcli.sdf.grid import (
    Grid,
    blur,
    curvatures,
    laplacian,
    redistance,
    resample,
    silhouette_distance,
    visual_hull,
)
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.projection import pixel_centres, rays

GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 40, 4)


def nodes_of(grid: Grid) -> np.ndarray:
    return grid.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))


def inner(grid: Grid) -> np.ndarray:
    mask = np.zeros(grid.shape, bool)
    mask[3:-3, 3:-3, 3:-3] = True
    return np.flatnonzero(mask)


def ball(radius: float, grid: Grid = GRID) -> np.ndarray:
    return ((np.linalg.norm(nodes_of(grid), axis=-1) - radius) / grid.voxel).astype(np.float32)


def disc(size: int, radius: float, centre: tuple[float, float]) -> np.ndarray:
    """Alpha of an anti-aliased disc."""
    away = np.linalg.norm(pixel_centres(size, size) - np.array(centre), axis=-1)
    return (255 * np.clip(radius - away + 0.5, 0, 1)).round().astype(np.uint8)


def test_grid_round_trip() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(GRID.to_world(GRID.to_lattice(points)), points, atol=1e-12)


def test_silhouette_distance_is_good_to_a_quarter_of_a_pixel() -> None:
    alpha = disc(96, 30.3, (47.7, 50.2))
    distance = silhouette_distance(alpha, 2) / 2
    at = pixel_centres(192, 192) / 2
    truth = 30.3 - np.linalg.norm(at - np.array([47.7, 50.2]), axis=-1)
    near = np.abs(truth) < 12
    assert np.abs(distance - truth)[near].max() < 0.6
    assert np.abs((distance - truth)[near].mean()) < 0.1


def test_silhouette_at_the_border_is_not_closed_off() -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, 10:] = 255
    assert silhouette_distance(alpha, 1)[20, 39] == pytest.approx(29.5)


def test_hull_of_a_ball_holds_the_ball_tightly() -> None:
    cameras = [*zero123plus_rig(), orbit(0, 85), orbit(0, -85)]
    alphas = []
    for camera in cameras:
        origins, directions = rays(camera, pixel_centres(160, 160), 160, 160)
        closest = np.linalg.norm(np.cross(origins, directions), axis=-1)
        alphas.append(np.where(closest < 0.7, 255, 0).astype(np.uint8))
    hull = visual_hull(cameras, [silhouette_distance(alpha) for alpha in alphas], GRID)
    radii = np.linalg.norm(nodes_of(GRID), axis=-1)
    assert hull[radii < 0.7 - 0.02].max() < 0
    assert hull[radii > 0.7 * 1.25].min() > 0
    grown = visual_hull(cameras, [silhouette_distance(alpha) + np.float32(6) for alpha in alphas], GRID)
    pixel = 1 / (cameras[0].fy * 160)
    assert (hull - grown)[radii < 0.5].mean() == pytest.approx(3 * pixel * 4 / GRID.voxel, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1)])
def test_a_silhouette_one_sample_wide_is_not_left(shape: tuple[int, int]) -> None:
    """Wherever a ray passes it, the distance to its cone is that of the one sample there is across."""
    around = np.full((shape[0] + 2, shape[1] + 2), np.float32(-1e6))  # what lies beside it in memory
    silhouette = around[1:-1, 1:-1]
    silhouette[:] = 5.0
    camera = orbit(0, 0)
    hull = visual_hull([camera], [silhouette], GRID)
    depth = 4.0 - nodes_of(GRID)[..., 0]
    np.testing.assert_allclose(hull, -5.0 * depth / (camera.fy * shape[0]) / GRID.voxel, rtol=1e-4)


def test_blur_keeps_the_sum_and_spreads_it() -> None:
    field = np.zeros((21, 22, 23), np.float32)
    field[10, 11, 12] = 1
    result = blur(field, 1.5)
    assert result.sum() == pytest.approx(1.0, rel=1e-4)
    offsets = np.arange(21) - 10
    assert (result.sum(axis=(1, 2)) * offsets**2).sum() == pytest.approx(1.5**2, rel=0.15)


def test_laplacian_of_a_parabola() -> None:
    field = (np.arange(12, dtype=np.float32) ** 2)[:, None, None] * np.ones((12, 12, 12), np.float32)
    result = np.zeros_like(field)
    nodes = np.ravel_multi_index(np.array([[5, 5], [6, 5], [5, 7]]), field.shape)
    laplacian(field, nodes, result)
    np.testing.assert_allclose(result.ravel()[nodes], 2.0, atol=1e-4)


def test_curvatures_of_ball_and_rod() -> None:
    smaller, larger = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.float32)
    field = ball(0.6)
    near = inner(GRID)[np.abs(field.ravel()[inner(GRID)]) < 0.8]
    curvatures(field, near, smaller, larger)
    expected = GRID.voxel / 0.6
    np.testing.assert_allclose(smaller.ravel()[near], expected, atol=0.2 * expected)
    np.testing.assert_allclose(larger.ravel()[near], expected, atol=0.2 * expected)
    rod = ((np.linalg.norm(nodes_of(GRID)[..., :2], axis=-1) - 0.4) / GRID.voxel).astype(np.float32)
    near = inner(GRID)[np.abs(rod.ravel()[inner(GRID)]) < 0.8]
    curvatures(rod, near, smaller, larger)
    assert np.abs(smaller.ravel()[near]).max() < 0.02  # along the rod: nothing pulls it thin
    assert larger.ravel()[near].mean() == pytest.approx(GRID.voxel / 0.4, rel=0.1)


def test_redistance_mends_slopes_and_leaves_the_surface() -> None:
    truth = ball(0.6)
    bent = (truth * (1.5 + 0.5 * np.sin(nodes_of(GRID)[..., 0] * 3))).astype(np.float32)
    mended = redistance(bent, inner(GRID), 16)
    near = np.abs(truth) < 3
    assert np.abs(bent - truth)[near].max() > 1.0
    assert np.abs(mended - truth)[near].max() < 0.35
    assert np.abs(mended - truth)[np.abs(truth) < 0.7].max() < 0.12


def test_resample_of_a_linear_field_is_exact() -> None:
    coarse = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 10, 2)
    field = nodes_of(coarse) @ np.array([1.0, -2.0, 0.5])
    offset = coarse.to_lattice(np.array(GRID.origin))
    inside = Grid((-0.9, -0.9, -0.9), 0.1, (18, 18, 18))
    offset = coarse.to_lattice(np.array(inside.origin))
    result = resample(field.astype(np.float32), offset, inside.voxel / coarse.voxel, inside.shape)
    np.testing.assert_allclose(result, nodes_of(inside) @ np.array([1.0, -2.0, 0.5]), atol=1e-5)

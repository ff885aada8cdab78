"""Bodies of revolution with handles and spouts whose shapes are known, and bodies that are none."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.grid import DistanceFunction, Grid, silhouette_distance, visual_hull
from meshcli.sdf.lathed import Lathed, find_lathed
from meshcli.views.camera import orbit
from meshcli.views.view import View

ROUND, ONE_SIDE = (0.0, 120.0, 240.0), (0.0, 45.0, -45.0)
RADIUS, HALF = 0.45, 0.55
RING, THICKNESS = 0.28, 0.06  # radii of the handle
ARC = np.radians(np.linspace(-70.0, 70.0, 29))  # of its middle line, outside the body


def turned(radii: Sequence[float], heights: Sequence[float], sides: int = 120, yaw: float = 0.0) -> trimesh.Trimesh:
    line = np.vstack([[[0.0, heights[0]]], np.column_stack([radii, heights]), [[0.0, heights[-1]]]])
    return about_the_axis(trimesh.creation.revolve(line, sections=sides), yaw)


def cylinder(sides: int = 120, yaw: float = 0.0) -> trimesh.Trimesh:
    return turned([RADIUS, RADIUS], [-HALF, HALF], sides, yaw)


def about_the_axis(body: trimesh.Trimesh, yaw: float) -> trimesh.Trimesh:
    return body.apply_transform(trimesh.transformations.rotation_matrix(np.radians(yaw), [0.0, 0.0, 1.0]))


def handle(yaw: float = 0.0) -> trimesh.Trimesh:
    ring = trimesh.creation.torus(RING, THICKNESS)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2.0, [1.0, 0.0, 0.0]))
    return about_the_axis(ring.apply_translation([RADIUS, 0.0, 0.0]), yaw)


def photos(parts: Sequence[trimesh.Trimesh], azimuths: Sequence[float] = ROUND) -> list[View]:
    body = trimesh.util.concatenate(parts)
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey))
    cameras = [orbit(azimuth, 10.0) for azimuth in azimuths]
    return [View(str(i), renderer.render(camera, 200, 200, 2), camera) for i, camera in enumerate(cameras)]


def hull_of(views: Sequence[View]) -> DistanceFunction:
    silhouettes = [silhouette_distance(view.pixels[..., 3]) for view in views]
    return lambda grid: visual_hull([view.camera for view in views], silhouettes, grid)


def find(parts: Sequence[trimesh.Trimesh], azimuths: Sequence[float] = ROUND) -> Lathed | None:
    views = photos(parts, azimuths)
    return find_lathed(views, hull_of(views))


@cache
def mug(azimuths: Sequence[float]) -> Lathed | None:
    return find([cylinder(), handle()], azimuths)


def depths(body: Lathed, points: np.ndarray) -> np.ndarray:
    """Distances (N,) at the points (N, 3), to the nearest node of a fine grid, world units, negative inside."""
    grid = Grid.around(np.full(3, -0.9), np.full(3, 0.9), 110, 1)
    nodes = np.rint(grid.to_lattice(points)).astype(int)
    return body.solid(grid)[tuple(nodes.T)] * grid.voxel


@pytest.mark.slow
@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
def test_a_mug_is_round(azimuths):
    found = mug(azimuths)
    assert found is not None
    assert found.body.centre == pytest.approx((0.0, 0.0), abs=0.004)
    assert found.body.heights[[0, -1]] == pytest.approx((-HALF, HALF), abs=0.012)
    inner = np.linspace(-0.5, 0.5, 30)
    np.testing.assert_allclose(np.interp(inner, found.body.heights, found.body.radii), RADIUS, atol=0.008)


@pytest.mark.slow
@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
def test_its_handle_is_whole_and_reaches_the_body(azimuths):
    found = mug(azimuths)
    assert found is not None
    assert np.degrees(found.parts.azimuths) == pytest.approx([0.0], abs=2.0)
    assert found.parts.unexplained < 0.02
    middle = np.column_stack([RADIUS + RING * np.cos(ARC), np.zeros(len(ARC)), RING * np.sin(ARC)])
    assert depths(found, middle).max() < 0.0


@pytest.mark.slow
@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
def test_its_handle_is_no_slab_and_its_hole_is_open(azimuths):
    found = mug(azimuths)
    assert found is not None
    out = np.column_stack([RADIUS + RING * np.cos(ARC), np.zeros(len(ARC)), RING * np.sin(ARC)])
    for side in (-1.0, 1.0):
        assert depths(found, out + np.array([0.0, side * 2.0 * THICKNESS, 0.0]))[10:-10].min() > 0.0
    assert depths(found, np.array([[RADIUS + 0.14, 0.0, 0.0]]))[0] > 0.0


@pytest.mark.slow
def test_wedges_of_the_hull_are_gone():
    found = mug(ROUND)
    assert found is not None
    corners = np.radians([120.0, 240.0])  # of the prism that is the hull
    points = np.column_stack([0.49 * np.cos(corners), 0.49 * np.sin(corners), np.zeros(2)])
    grid = Grid.around(np.full(3, -0.9), np.full(3, 0.9), 110, 1)
    hull = found.hull(grid)[tuple(np.rint(grid.to_lattice(points)).astype(int).T)]
    assert (hull < 0.0).all()
    assert depths(found, points).min() > 0.0


@pytest.mark.slow
def test_handles_on_both_sides():
    found = find([cylinder(), handle(), handle(180.0)], ONE_SIDE)
    assert found is not None
    assert sorted(np.degrees(found.parts.azimuths) % 360.0) == pytest.approx([0.0, 180.0], abs=2.0)


def test_without_parts_there_is_none():
    assert find([cylinder()]) is None


@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
@pytest.mark.parametrize("yaw", [0.0, 45.0])
def test_square_prisms_with_a_handle_are_none(yaw, azimuths):
    assert find([cylinder(4, yaw), handle()], azimuths) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sides", "yaw", "azimuths"),
    [
        (6, 0.0, ROUND),
        (6, 30.0, ROUND),
        (6, 0.0, ONE_SIDE),
        (6, 30.0, ONE_SIDE),
        (8, 0.0, ONE_SIDE),
        (8, 22.5, ONE_SIDE),
    ],
)
def test_prisms_with_a_handle_are_none(sides, yaw, azimuths):
    assert find([cylinder(sides, yaw), handle()], azimuths) is None


def test_two_sides_are_too_few():
    assert find([cylinder(), handle()], (0.0, 90.0)) is None


def test_a_part_as_large_as_the_body_is_none():
    ball = trimesh.creation.icosphere(3, 0.4).apply_translation([0.0, 0.7, 0.0])
    assert find([turned([0.2, 0.2], [-HALF, HALF]), ball]) is None


@pytest.mark.slow
def test_a_body_with_two_round_legs_is_none():
    legs = [turned([0.06, 0.06], [-0.7, 0.3]).apply_translation([x, 0.0, 0.0]) for x in (-0.4, 0.4)]
    assert find([turned([0.6, 0.6], [0.3, 0.42]), *legs]) is None

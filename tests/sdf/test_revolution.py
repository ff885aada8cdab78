"""Lathed bodies and prisms whose shapes are known, from photos of their outlines."""

from collections.abc import Sequence

import numpy as np
import pytest

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.grid import Grid
from meshcli.sdf.profile import Revolution
from meshcli.sdf.revolution import find_revolution
from meshcli.views.camera import orbit
from meshcli.views.view import View

ROUND, ONE_SIDE = (0.0, 120.0, 240.0), (0.0, 45.0, -45.0)
UNLUCKY = (22.5, 67.5, 112.5)  # from where a square prism that is turned by no angle is equally wide
HEIGHTS = np.linspace(-0.8, 0.8, 60)
VASE = 0.32 + 0.14 * np.sin(3.2 * HEIGHTS + 0.5)
BOTTLE = np.interp(HEIGHTS, [-0.8, 0.1, 0.35, 0.8], [0.3, 0.3, 0.1, 0.1])
SHIFT = (0.04, -0.03)
GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 40, 1)


def lathe(
    heights: Sequence[float], radii: Sequence[float], sides: int = 120, yaw: float = 0.0, flat: float = 1.0
) -> Mesh:
    """A profile turned about an axis, beside the origin; with few sides a prism; `flat` makes it oval."""
    angles = yaw + 2 * np.pi * (np.arange(sides) + 0.5) / sides
    rings = [
        np.column_stack([r * np.cos(angles), flat * r * np.sin(angles), np.full(sides, z)])
        for r, z in zip(radii, heights, strict=True)
    ]
    vertices = np.vstack([*rings, [[0.0, 0.0, heights[0]], [0.0, 0.0, heights[-1]]]]) + np.array([*SHIFT, 0.0])
    here = np.arange(sides)
    after = (here + 1) % sides
    top = (len(radii) - 1) * sides
    faces = [
        np.column_stack([np.full(sides, len(vertices) - 2), after, here]),
        np.column_stack([np.full(sides, len(vertices) - 1), top + here, top + after]),
    ]
    for start in range(0, top, sides):
        low, high = start + np.array([here, after]), start + sides + np.array([here, after])
        faces += [np.stack([low[0], low[1], high[1]], axis=1), np.stack([low[0], high[1], high[0]], axis=1)]
    grey = np.full((len(vertices), 3), 128, np.uint8)
    return Mesh(vertices.astype(np.float32), np.concatenate(faces).astype(np.int32), grey)


def prism(sides: int, radius: float, yaw: float = 0.0) -> Mesh:
    """Of an inscribed circle."""
    return lathe([-0.6, 0.6], [radius / np.cos(np.pi / sides)] * 2, sides, yaw)


def photos(mesh: Mesh, azimuths: Sequence[float] = ROUND, elevations: Sequence[float] = (10.0,) * 9) -> list[View]:
    renderer = Renderer(mesh)
    cameras = [orbit(*side) for side in zip(azimuths, elevations, strict=False)]
    return [View(str(i), renderer.render(camera, 160, 160), camera) for i, camera in enumerate(cameras)]


@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE, (3.0, 115.0, 236.0)])
@pytest.mark.parametrize("radii", [VASE, BOTTLE])
def test_axis_and_profile_are_found(radii, azimuths):
    body = find_revolution(photos(lathe(HEIGHTS, radii), azimuths))
    assert body is not None
    assert body.centre == pytest.approx(SHIFT, abs=0.004)
    assert body.lean == pytest.approx((0.0, 0.0), abs=0.006)
    assert body.heights[[0, -1]] == pytest.approx((-0.8, 0.8), abs=0.012)
    inner = np.linspace(-0.75, 0.75, 30)
    found = np.interp(inner, body.heights, body.radii)
    np.testing.assert_allclose(found, np.interp(inner, HEIGHTS, radii), atol=0.006)


def test_ends_that_are_seen_from_above_are_flat():
    body = find_revolution(photos(lathe([-0.6, 0.6], [0.5, 0.5]), ROUND, (10.0, 25.0, 50.0)))
    assert body is not None
    assert body.heights[[0, -1]] == pytest.approx((-0.6, 0.6), abs=0.012)
    assert np.interp([-0.58, 0.58], body.heights, body.radii) == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
@pytest.mark.parametrize("yaw", np.radians([0.0, 15.0, 30.0]))
def test_hexagonal_prisms_are_none(yaw, azimuths):
    """From three sides all round, all of them are equally wide: only the rims tell."""
    assert find_revolution(photos(prism(6, 0.5, yaw), azimuths)) is None


def test_nor_is_a_slender_prism_whose_sides_are_seen_edge_on():
    assert find_revolution(photos(prism(6, 0.2, np.radians(30.0)))) is None


def test_a_prism_of_twelve_sides_is_as_good_as_round():
    body = find_revolution(photos(prism(12, 0.5), ONE_SIDE))
    assert body is not None
    assert np.interp([-0.4, 0.4], body.heights, body.radii) == pytest.approx(0.51, abs=0.01)


@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE, UNLUCKY, (20.0, 65.0, 110.0, 155.0)])
@pytest.mark.parametrize("elevation", [2.0, 10.0])
def test_square_prisms_are_none(azimuths, elevation):
    assert find_revolution(photos(prism(4, 0.4), azimuths, (elevation,) * 4)) is None


@pytest.mark.parametrize("azimuths", [ROUND, ONE_SIDE])
def test_ovals_are_none(azimuths):
    assert find_revolution(photos(lathe(HEIGHTS, VASE, flat=0.88), azimuths)) is None


def test_a_ring_beside_it_is_no_part_of_it():
    handle = lathe([-0.2, 0.2], [0.12, 0.12])
    body = lathe([-0.6, 0.6], [0.4, 0.4])
    vertices = np.vstack([body.vertices, handle.vertices + np.array([0.45, 0.0, 0.0], np.float32)])
    faces = np.vstack([body.faces, handle.faces + len(body.vertices)]).astype(np.int32)
    assert find_revolution(photos(Mesh(vertices, faces, np.full((len(vertices), 3), 128, np.uint8)))) is None


@pytest.mark.parametrize("azimuths", [(0.0, 90.0), (0.0, 90.0, 180.0, 270.0), (0.0, 10.0, 90.0)])
def test_two_sides_do_not_tell_a_disc_from_a_square(azimuths):
    assert find_revolution(photos(lathe(HEIGHTS, VASE), azimuths)) is None


def test_a_body_that_a_photo_cuts_off_is_none():
    views = photos(lathe(HEIGHTS, VASE))
    views[1] = View("b", np.ascontiguousarray(views[1].pixels[40:]), views[1].camera)
    assert (views[1].pixels[0, :, 3] > 0).any()
    assert find_revolution(views) is None


def test_the_solid_of_a_cone():
    body = Revolution((0.1, 0.0), (0.0, 0.0), np.linspace(-0.5, 0.5, 64), np.linspace(0.6, 0.2, 64))
    x, y, z = np.moveaxis(
        GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1)), -1, 0
    )
    side = (np.hypot(x - 0.1, y) - (0.4 - 0.4 * z)) / np.hypot(1.0, 0.4)
    expected = np.maximum(side, np.abs(z) - 0.5) / GRID.voxel
    found = body.solid(GRID)
    near = np.abs(expected) < 2.0
    np.testing.assert_array_equal(found[np.abs(expected) > 0.1] < 0, expected[np.abs(expected) > 0.1] < 0)
    np.testing.assert_allclose(found[near & (expected < 0)], expected[near & (expected < 0)], atol=0.1)

"""Wavy bars become straight where the outlines are, bent ones stay bent, and blobs stay as they are."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from meshcli.meshes.depth_maps import depth_map
from meshcli.sdf.bar_chart import Chart
from meshcli.sdf.bars import Surface, find_bars
from meshcli.sdf.extract import extract_surface
from meshcli.sdf.grid import Field, Grid
from meshcli.sdf.straight_bars import StraightBars, straighten_bars
from meshcli.views.camera import Camera, orbit
from meshcli.views.view import View

Body = Callable[[np.ndarray], np.ndarray]
RADIUS, HALF = 0.06, 0.6  # of the bar, along x
WAVE = 0.012  # height
GRID = Grid.around(np.array([-0.7, -0.4, -0.4]), np.array([0.7, 0.4, 0.4]), 96, 2)
NODES = GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
SIZE = 256  # pixels
ARC = 0.5  # radius of a bent bar's axis, a quarter and more of a circle


def bar(points: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    along = np.clip(points[..., 0], -HALF, HALF)
    return np.linalg.norm(points - along[..., None] * np.array([1.0, 0, 0]), axis=-1) - radius


def square_bar(points: np.ndarray) -> np.ndarray:
    return np.max(np.abs(points) - np.array([HALF, RADIUS, RADIUS]), axis=-1)


def wavy(points: np.ndarray) -> np.ndarray:
    """Off the axis and of uneven thickness."""
    shift = WAVE * np.stack([0 * points[..., 0], np.sin(25 * points[..., 0]), np.cos(21 * points[..., 0])], axis=-1)
    return bar(points - shift, RADIUS + 0.5 * WAVE * np.sin(33 * points[..., 0]))


def bent(points: np.ndarray) -> np.ndarray:
    """An arc around (0, 0, -ARC) in the plane y = 0, from -55 to 55 degrees off the vertical."""
    angle = np.clip(np.arctan2(points[..., 0], points[..., 2] + ARC), -0.96, 0.96)
    axis = np.stack([ARC * np.sin(angle), 0 * angle, ARC * np.cos(angle) - ARC], axis=-1)
    return np.linalg.norm(points - axis, axis=-1) - RADIUS


def beaded(points: np.ndarray) -> np.ndarray:
    """Turned on a lathe."""
    return bar(points, RADIUS + 0.025 * np.sin(24 * points[..., 0]))


def ball_on_bar(points: np.ndarray) -> np.ndarray:
    return np.minimum(bar(points), np.linalg.norm(points - np.array([0.6, 0, 0]), axis=-1) - 0.25)


@cache
def surface(body: Body) -> tuple[np.ndarray, np.ndarray]:
    field: Field = (body(NODES) / GRID.voxel).astype(np.float32)
    return extract_surface(field, GRID)


def views(body: Body) -> list[View]:
    """Outlines from three sides."""
    vertices, faces = surface(body)
    return [outline(vertices, faces, orbit(azimuth, 15.0)) for azimuth in (0.0, 60.0, 120.0)]


def outline(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> View:
    covered = np.isfinite(depth_map(vertices, faces, camera, 4 * SIZE, 4 * SIZE)).reshape(SIZE, 4, SIZE, 4)
    alpha = np.rint(255 * covered.mean(axis=(1, 3))).astype(np.uint8)
    return View("a0", np.dstack([np.full((SIZE, SIZE, 3), 128, np.uint8), alpha]), camera)


def straightened(body: Body, seen: Body) -> tuple[np.ndarray, StraightBars]:
    """Vertices before and after, of a body whose views are those of another one."""
    vertices, faces = surface(body)
    return vertices, straighten_bars(vertices, faces, views(seen))


def error(vertices: np.ndarray, truth: Body, reach: float = 0.5) -> float:
    """Mean distance from a true body, of the vertices that far from the middle."""
    return float(np.abs(truth(vertices[np.abs(vertices[:, 0]) < reach])).mean())


def test_a_wavy_bar_becomes_straight() -> None:
    before, found = straightened(wavy, bar)
    assert found.count == 1
    assert found.sentence.startswith("1 long thin part was")
    assert error(before, bar) > 0.6 * WAVE
    assert error(found.vertices, bar) < 0.2 * WAVE


def test_a_square_section_stays_square() -> None:
    before, found = straightened(square_bar, square_bar)
    assert found.count == 1
    assert error(found.vertices, square_bar) < 0.0015
    assert np.linalg.norm(found.vertices - before, axis=1).max() < 0.006  # at the edges, a third of a voxel


def test_a_bent_bar_stays_bent() -> None:
    before, found = straightened(bent, bent)
    assert error(found.vertices, bent, 0.38) < 0.0015
    assert np.linalg.norm(found.vertices - before, axis=1).mean() < 0.002


def test_a_bent_bar_becomes_smooth() -> None:
    before, faces = surface(bent)
    waves = 0.5 * WAVE
    rough = before + waves * np.sin(40 * before[:, :1]) * np.array([0.0, 1.0, 0.0])
    smooth = straighten_bars(rough, faces, views(bent))
    assert smooth.count == 1
    assert error(smooth.vertices, bent, 0.38) < 0.5 * error(rough, bent, 0.38)


def test_beads_that_the_outlines_show_stay() -> None:
    before, found = straightened(beaded, beaded)
    assert found.count == 0
    assert found.sentence == ""
    assert np.array_equal(found.vertices, before)


def test_a_blob_is_no_bar() -> None:
    def ball(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points * np.array([1.0, 1.6, 1.6]), axis=-1) - 0.5

    vertices, faces = surface(ball)
    assert straighten_bars(vertices, faces, views(ball)).vertices is vertices


def test_a_joint_keeps_its_place() -> None:
    vertices, faces = surface(ball_on_bar)
    found = straighten_bars(vertices, faces, views(ball_on_bar))
    assert found.count == 1
    moved = np.linalg.norm(found.vertices - vertices, axis=1)
    assert moved[vertices[:, 0] > 0.45].max() < 0.002
    assert error(found.vertices, ball_on_bar, 0.7) < 0.0015


def test_a_bar_goes_on_beyond_a_joint() -> None:
    def crossed(points: np.ndarray) -> np.ndarray:
        return np.minimum(bar(points), bar((points - np.array([0.3, 0, 0]))[..., [1, 0, 2]], 0.04))

    found = find_bars(Surface.of(*surface(crossed)))
    ends = [bar.middles[:, 0].max() for bar in found if bar.is_straight() and np.ptp(bar.middles[:, 0]) > 0.8]
    assert max(ends) > 0.45  # in the stub beyond the joint at 0.3


@pytest.mark.parametrize("body", [bar, square_bar])
def test_sections_are_told_from_all_sides(body: Body) -> None:
    solid = Surface.of(*surface(body))
    chart = Chart.of(find_bars(solid)[0], solid)
    assert chart is not None
    nothing = np.zeros(len(chart.rows))
    moves = chart.moves(chart.smooth(8.0 * chart.width, nothing, nothing))
    assert np.abs(body(solid.points[chart.rows] + moves))[chart.on_bar].mean() < 0.0012

import numpy as np
import pytest

from meshcli.views.camera import DISTANCE, OBJECT_RADIUS, orbit
from meshcli.views.projection import camera_to_world, project
from meshcli.views.viewpoints import cameras_around, count_directions

SIDES = [(30.0 * step, 25.0) for step in range(12)]


def cloud(radius: float, count: int = 400) -> np.ndarray:
    points = np.random.default_rng(3).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * radius


def test_an_aligned_object_is_seen_as_by_the_generators_cameras() -> None:
    assert cameras_around(cloud(OBJECT_RADIUS), SIDES) == [orbit(*side) for side in SIDES]
    assert cameras_around(np.zeros((0, 3)), SIDES) == [orbit(*side) for side in SIDES]


@pytest.mark.parametrize("radius", [0.96, 1.3, 7.0, 1e6])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (0.5, -2.0, 1.0)])
def test_all_cameras_are_as_far_away_as_the_tightest_of_them_needs(
    radius: float, centre: tuple[float, float, float]
) -> None:
    points = cloud(radius) + centre
    cameras = cameras_around(points, SIDES)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    distances = [np.linalg.norm(camera_to_world(camera)[:3, 3] - middle) for camera in cameras]
    assert distances == pytest.approx([distances[0]] * len(SIDES))
    spots = np.stack([project(camera, points, 2, 2)[0] - 1 for camera in cameras])  # -1 to 1 across the picture
    used = np.tan(np.arcsin(OBJECT_RADIUS / DISTANCE)) / np.tan(np.radians(15))
    assert np.abs(spots).max() == pytest.approx(used) or distances[0] == pytest.approx(DISTANCE)
    assert np.abs(spots).max() <= used + 1e-9


@pytest.mark.parametrize(
    ("azimuths", "count"),
    [((0.0, 120.0, 240.0), 3), ((0.0, 180.0), 1), ((0.0, 90.0, 180.0, -90.0), 2), ((175.0, 4.0, 20.0), 2), ((), 0)],
)
def test_opposite_and_near_sides_count_as_one(azimuths: tuple[float, ...], count: int) -> None:
    assert count_directions([orbit(azimuth, 10.0) for azimuth in azimuths]) == count

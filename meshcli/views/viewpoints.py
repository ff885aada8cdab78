"""Cameras around an object that show the whole of it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.views.camera import DISTANCE, OBJECT_RADIUS, Camera, orbit
from meshcli.views.projection import camera_to_world

Points = NDArray[np.floating[Any]]

# Half the width of what a picture may show at distance 1. The rest is the margin that the generators' cameras leave
# around an object of OBJECT_RADIUS.
HALF_EXTENT = math.tan(math.asin(OBJECT_RADIUS / DISTANCE))
SAME_DIRECTION = 15.0  # degrees between the azimuths of photos whose outlines tell no more than that of one of them


def cameras_around(points: Points, sides: Sequence[tuple[float, float]], wanted_distance: float = 0.0) -> list[Camera]:
    """A camera for each side (azimuth and elevation in degrees), all at one distance, that show all points (N, 3).

    They orbit the origin at the distance of the generators' cameras if that leaves the margin of an aligned object. If
    not, they orbit the centre of the points' bounding box, at the distance that the margin needs. A wanted distance
    other than 0 replaces either, and may cut the object off.
    """
    standard = [orbit(azimuth, elevation) for azimuth, elevation in sides]
    if not len(points) or viewing_distance(points, standard) == DISTANCE:
        if wanted_distance:
            return [orbit(azimuth, elevation, wanted_distance) for azimuth, elevation in sides]
        return standard
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    x, y, z = ((low + high) / 2.0).tolist()
    distance = wanted_distance or viewing_distance(points - np.array([x, y, z]), standard)
    return [orbit(azimuth, elevation, distance, centre=(x, y, z)) for azimuth, elevation in sides]


def viewing_distance(points: Points, cameras: Sequence[Camera]) -> float:
    """The distance from the origin, at least DISTANCE, at which cameras in these directions leave the margin."""
    farthest = DISTANCE
    for camera in cameras:
        right, up, back = (points @ camera_to_world(camera)[:3, :3]).T
        farthest = max(farthest, float((np.maximum(np.abs(right), np.abs(up)) / HALF_EXTENT + back).max()))
    return farthest


def count_directions(cameras: Sequence[Camera]) -> int:
    """How many cameras look from sides of their own; from opposite ones the same outline is seen."""
    apart: list[float] = []
    for azimuth in (camera.azimuth % 180.0 for camera in cameras):
        if all(min(abs(azimuth - each), 180.0 - abs(azimuth - each)) >= SAME_DIRECTION for each in apart):
            apart.append(azimuth)
    return len(apart)

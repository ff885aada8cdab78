"""Cameras all round an object that show the whole of it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.views.camera import DISTANCE, FARTHEST, Camera, orbit
from meshcli.views.projection import camera_to_world

Points = NDArray[np.floating[Any]]

# Half a picture's side at distance 1 that may be used: the rest is the margin that an aligned object leaves at least.
USED = math.tan(math.asin(FARTHEST / DISTANCE))


def around(points: Points, sides: Sequence[tuple[float, float]]) -> list[Camera]:
    """A camera for each side (azimuth and elevation in degrees), all at one distance, that show all points (N, 3).

    They are as far from the origin as the generators' cameras if the points leave the margin there that an aligned
    object leaves. If not, they turn around the middle of the points' box, as far from it as the margin takes.
    """
    usual = [orbit(azimuth, elevation) for azimuth, elevation in sides]
    if not len(points) or far_enough(points, usual) == DISTANCE:
        return usual
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    x, y, z = ((low + high) / 2.0).tolist()
    distance = far_enough(points - np.array([x, y, z]), usual)
    return [orbit(azimuth, elevation, distance, centre=(x, y, z)) for azimuth, elevation in sides]


def far_enough(points: Points, cameras: Sequence[Camera]) -> float:
    """The distance from the origin, at least the usual one, at which cameras on these sides leave points the margin."""
    farthest = DISTANCE
    for camera in cameras:
        right, up, back = (points @ camera_to_world(camera)[:3, :3]).T
        farthest = max(farthest, float((np.maximum(np.abs(right), np.abs(up)) / USED + back).max()))
    return farthest

"""Pictures of bodies that are given by a signed-distance function, by sphere tracing (Hart 1996)."""

from collections.abc import Callable

import numpy as np

from meshcli.views.camera import Camera
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

SIZE = 96  # pixels
BALL, ROD = 0.5, 0.08  # radii; the rod stands on the ball


def rod_on_ball(points: np.ndarray) -> np.ndarray:
    """Signed distances (...) of points (..., 3)."""
    ball = np.linalg.norm(points + np.array([0, 0, 0.3]), axis=-1) - BALL
    along = np.clip(points[..., 2], 0.0, 0.8)
    rod = np.linalg.norm(points - along[..., None] * np.array([0, 0, 1.0]), axis=-1) - ROD
    return np.minimum(ball, rod)


def gradients(points: np.ndarray) -> np.ndarray:
    """Colours (..., 3), 0 to 255, of points (..., 3): red towards +x, green towards +y, blue below."""
    return np.clip(128 + 200 * points * np.array([1, 1, -1]), 0, 255)


def waves(points: np.ndarray, lengths: tuple[float, float] = (0.15, 0.6)) -> np.ndarray:
    """Colours (..., 3), 0 to 255, of points (..., 3): sums of waves of such lengths, from which a place is told."""
    generator = np.random.default_rng(0)
    colours = np.full(points.shape, 128.0)
    for _ in range(24):
        direction = generator.normal(size=3)
        direction *= 2 * np.pi / generator.uniform(*lengths) / np.linalg.norm(direction)
        colours += 22 * np.sin(points @ direction + generator.uniform(0, 6.3))[..., None] * generator.normal(size=3)
    return np.clip(colours, 0, 255)


def photograph(
    camera: Camera,
    body: Callable[[np.ndarray], np.ndarray] = rod_on_ball,
    size: int = SIZE,
    paint: Callable[[np.ndarray], np.ndarray] = gradients,
) -> View:
    """A picture (size, size) of a body given by its signed distances, in colours given by place."""
    origins, directions = rays(camera, pixel_centres(size, size), size, size)
    depth = np.full((size, size), camera.distance - 1.2)
    for _ in range(60):
        gap = body(origins + depth[..., None] * directions)
        depth += np.clip(gap, -0.05, 0.5)
    points = origins + depth[..., None] * directions
    hit = (np.abs(gap) < 0.01) & (depth < camera.distance + 1.2)
    pixels = np.dstack([paint(points), 255 * hit]).astype(np.uint8)
    return View("a0", pixels, camera)

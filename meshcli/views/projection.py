"""Cameras as arrays: points to pixels, pixels to rays. The conventions are those of camera.py."""

import numpy as np

from meshcli.arrays import Float64Array
from meshcli.views.camera import Camera


def camera_to_world(camera: Camera) -> Float64Array:
    """The rigid transform from camera to world, (4, 4)."""
    return np.array(camera.camera_to_world, dtype=np.float64)


def world_to_camera(camera: Camera) -> Float64Array:
    """The inverse of `camera_to_world`, (4, 4), by transposing the rotation."""
    pose = camera_to_world(camera)
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def project(camera: Camera, points: Float64Array, width: int, height: int) -> tuple[Float64Array, Float64Array]:
    """Points (..., 3) to pixel positions (..., 2) and depths along the viewing direction (...).

    Depth is positive in front of the camera; positions of points behind it mean nothing.
    """
    matrix = world_to_camera(camera)
    local = points @ matrix[:3, :3].T + matrix[:3, 3]
    depth = -local[..., 2]
    safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
    column = (camera.cx + camera.fx * local[..., 0] / safe) * width
    row = (camera.cy - camera.fy * local[..., 1] / safe) * height
    return np.stack([column, row], axis=-1), depth


def rays(camera: Camera, pixels: Float64Array, width: int, height: int) -> tuple[Float64Array, Float64Array]:
    """Rays through pixel positions (..., 2): origins (..., 3) and unit directions (..., 3)."""
    direction = view_directions(camera, pixels, width, height)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return np.broadcast_to(np.array(camera.position), direction.shape), direction


def view_directions(camera: Camera, pixels: Float64Array, width: int, height: int) -> Float64Array:
    """Directions (..., 3) in the world through pixel positions (..., 2), of depth 1 along the viewing direction."""
    x = (pixels[..., 0] / width - camera.cx) / camera.fx
    y = -(pixels[..., 1] / height - camera.cy) / camera.fy
    local = np.stack([x, y, -np.ones_like(x)], axis=-1)
    directions: Float64Array = local @ camera_to_world(camera)[:3, :3].T
    return directions


def march(origins: Float64Array, directions: Float64Array, offsets: Float64Array) -> Float64Array:
    """Points (N, S, 3) on rays (N, 3), at offsets (S,) from each ray's closest point to the world's origin."""
    closest = -(origins * directions).sum(axis=-1, keepdims=True)
    points: Float64Array = origins[:, None] + (closest + offsets)[..., None] * directions[:, None]
    return points


def pixel_centres(width: int, height: int) -> Float64Array:
    """Positions of the pixels' centres, (height, width, 2)."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)

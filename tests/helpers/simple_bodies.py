"""Pictures of a ball and of a box, ray traced: bodies whose every measure is known."""

import numpy as np

from meshcli.views.camera import Camera
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

SIZE = 160  # pixels along the pictures' sides


def ball(
    camera: Camera, radius: float = 0.6, centre: tuple[float, float, float] = (0.0, 0.0, 0.0), name: str = "a"
) -> View:
    """A picture of a ball, red on the world's +y side, blue on the other."""
    samples = 3
    origins, directions = rays(camera, pixel_centres(SIZE * samples, SIZE * samples) / samples, SIZE, SIZE)
    offset = origins - np.array(centre)
    along = (offset * directions).sum(-1)
    inner = along**2 - (offset**2).sum(-1) + radius**2
    hit = inner > 0
    y = (offset + (-along - np.sqrt(np.maximum(inner, 0)))[..., None] * directions)[..., 1]
    rgba = np.where((y > 0)[..., None], (200.0, 40.0, 40.0, 255.0), (40.0, 40.0, 200.0, 255.0)) * hit[..., None]
    mean = rgba.reshape(SIZE, samples, SIZE, samples, 4).mean(axis=(1, 3))
    alpha = mean[..., 3:]
    colours = np.where(alpha > 0, mean[..., :3] * 255 / np.maximum(alpha, 1), 255)
    return View(name, np.concatenate([colours, alpha], axis=-1).round().astype(np.uint8), camera)


def block(
    camera: Camera, half: tuple[float, float, float] = (0.35, 0.6, 0.5), name: str = "a", yaw: float = 0.0
) -> View:
    """A picture of an upright box whose faces have one colour each, turned about z by `yaw`, radians."""
    samples = 3
    origins, directions = rays(camera, pixel_centres(SIZE * samples, SIZE * samples) / samples, SIZE, SIZE)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    origins, directions = origins @ turn, directions @ turn
    first, last = (-np.array(half) - origins) / directions, (np.array(half) - origins) / directions
    near, far = np.minimum(first, last), np.maximum(first, last)
    hit = near.max(-1) < far.min(-1)
    colours = np.array([(180.0, 60, 60), (60, 160, 60), (60, 60, 200)])[near.argmax(-1)]
    rgba = np.concatenate([colours, np.full((*hit.shape, 1), 255.0)], axis=-1) * hit[..., None]
    mean = rgba.reshape(SIZE, samples, SIZE, samples, 4).mean(axis=(1, 3))
    alpha = mean[..., 3:]
    colours = np.where(alpha > 0, mean[..., :3] * 255 / np.maximum(alpha, 1), 255)
    return View(name, np.concatenate([colours, alpha], axis=-1).round().astype(np.uint8), camera)

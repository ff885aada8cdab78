"""One ray per pixel in and near the masks, of all views together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from meshcli.arrays import Float32Array
from meshcli.sdf.grid import Grid
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

DILATION = 6  # pixels around a mask whose rays are drawn too, so that what sticks out is noticed


@dataclass(frozen=True)
class PixelRays:
    """Rays and what is to be seen along them."""

    origins: Float32Array  # (N, 3) world
    directions: Float32Array  # (N, 3) of unit length
    targets: Float32Array  # (N, 4) RGB over white and coverage, 0 to 1


@dataclass(frozen=True)
class LatticeRays:
    """The same in a grid's lattice units, with the part inside the grid."""

    origins: Float32Array  # (N, 3)
    directions: Float32Array  # (N, 3)
    spans: Float32Array  # (N, 2) near and far; empty where near > far


def gather_rays(views: Sequence[View]) -> PixelRays:
    """Rays through the pixels' centres."""
    origins, directions, targets = [], [], []
    for view in views:
        near = binary_dilation(view.pixels[..., 3] >= 8, iterations=DILATION)
        start, direction = rays(view.camera, pixel_centres(view.width, view.height)[near], view.width, view.height)
        pixels = view.pixels[near].astype(np.float32) / 255
        alpha = pixels[:, 3:]
        origins.append(start.astype(np.float32))
        directions.append(direction.astype(np.float32))
        targets.append(np.concatenate([pixels[:, :3] * alpha + 1 - alpha, alpha], axis=1))
    return PixelRays(np.concatenate(origins), np.concatenate(directions), np.concatenate(targets))


def in_lattice(origins: Float32Array, directions: Float32Array, grid: Grid) -> LatticeRays:
    """World rays in lattice units; spans keep one node away from the grid's border."""
    starts = grid.to_lattice(origins).astype(np.float32)
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    first = (1.0 - starts) / safe
    last = (np.array(grid.shape) - 2.001 - starts) / safe
    near = np.minimum(first, last).max(axis=1)
    far = np.maximum(first, last).min(axis=1)
    spans = np.stack([np.maximum(near, 0), far], axis=1)
    return LatticeRays(starts, directions, spans.astype(np.float32))

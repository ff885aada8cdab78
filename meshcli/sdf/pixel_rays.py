"""One ray per pixel in and near the masks, for all views together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from meshcli.arrays import Float32Array
from meshcli.sdf.grid import Grid
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

DILATION = 6  # pixels around a mask that have rays too, so that a body that sticks out of its silhouette is penalised


@dataclass(frozen=True)
class PixelRays:
    """World rays, and the pixel values to be reproduced along them."""

    origins: Float32Array  # (N, 3) world
    directions: Float32Array  # (N, 3) of unit length
    targets: Float32Array  # (N, 4) RGB over white and coverage, 0 to 1

    def every(self, stride: int) -> "PixelRays":
        """One ray in `stride`."""
        return PixelRays(self.origins[::stride], self.directions[::stride], self.targets[::stride])

    def joined(self, others: "PixelRays") -> "PixelRays":
        """Both sets of rays."""
        return PixelRays(
            np.concatenate([self.origins, others.origins]),
            np.concatenate([self.directions, others.directions]),
            np.concatenate([self.targets, others.targets]),
        )


@dataclass(frozen=True)
class LatticeRays:
    """Rays in a grid's lattice units, and the part of each that is inside the grid."""

    origins: Float32Array  # (N, 3)
    directions: Float32Array  # (N, 3)
    spans: Float32Array  # (N, 2) near and far; empty where near > far


def collect_pixel_rays(views: Sequence[View]) -> PixelRays:
    """Rays through the centres of the pixels in the dilated masks."""
    origins, directions, targets = [], [], []
    for view in views:
        sampled = binary_dilation(view.pixels[..., 3] >= 8, iterations=DILATION)
        start, direction = rays(view.camera, pixel_centres(view.width, view.height)[sampled], view.width, view.height)
        pixels = view.pixels[sampled].astype(np.float32) / 255
        alpha = pixels[:, 3:]
        origins.append(start.astype(np.float32))
        directions.append(direction.astype(np.float32))
        targets.append(np.concatenate([pixels[:, :3] * alpha + 1 - alpha, alpha], axis=1))
    return PixelRays(np.concatenate(origins), np.concatenate(directions), np.concatenate(targets))


def to_lattice_rays(origins: Float32Array, directions: Float32Array, grid: Grid) -> LatticeRays:
    """World rays in lattice units; spans stay one node away from the grid's border."""
    starts = grid.to_lattice(origins).astype(np.float32)
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    first = (1.0 - starts) / safe
    last = (np.array(grid.shape) - 2.001 - starts) / safe
    near = np.minimum(first, last).max(axis=1)
    far = np.maximum(first, last).min(axis=1)
    spans = np.stack([np.maximum(near, 0), far], axis=1)
    return LatticeRays(starts, directions, spans.astype(np.float32))

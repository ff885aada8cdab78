"""One ray per pixel in and near the masks, for all views together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from meshcli.arrays import Float32Array
from meshcli.sdf.grid import Grid
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

MORTON_BITS = 16  # of a pixel's row and column
DILATION = 6  # pixels around a mask that have rays too, so that a body that sticks out of its silhouette is penalised


GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0  # its multiples are spread evenly over the fractions from 0 to 1


@dataclass(frozen=True)
class PixelRays:
    """World rays, and the pixel values to be reproduced along them. Neighbours in a picture are close in the list."""

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


class StratifiedChoice:
    """Chooses some of many rays, again and again: each time one of every patch, and in turn all of a patch's rays.

    Independent draws leave patches out and take others twice. This noise moves a surface to and fro, which leaves
    pockmarks. A golden-ratio sequence per patch, shifted at random, sees every part of every picture alike.
    """

    def __init__(self, rays: int, count: int, generator: np.random.Generator) -> None:
        """`count` of so many rays."""
        self._rays = rays
        self._shifts = generator.random(count)
        self._turn = 0

    def next(self) -> NDArray[np.int64]:
        """Rows of the rays, (count,)."""
        places = np.arange(len(self._shifts)) + (self._shifts + self._turn * GOLDEN) % 1.0
        self._turn += 1
        return np.minimum(places * (self._rays / len(self._shifts)), self._rays - 1).astype(np.int64)


def collect_pixel_rays(views: Sequence[View]) -> PixelRays:
    """Rays through the centres of the pixels in the dilated masks, along a space-filling curve through each picture."""
    origins, directions, targets = [], [], []
    for view in views:
        sampled = np.nonzero(binary_dilation(view.pixels[..., 3] >= 8, iterations=DILATION))
        along = np.argsort(_morton_codes(*sampled))
        sampled = sampled[0][along], sampled[1][along]
        start, direction = rays(view.camera, pixel_centres(view.width, view.height)[sampled], view.width, view.height)
        pixels = view.pixels[sampled].astype(np.float32) / 255
        alpha = pixels[:, 3:]
        origins.append(start.astype(np.float32))
        directions.append(direction.astype(np.float32))
        targets.append(np.concatenate([pixels[:, :3] * alpha + 1 - alpha, alpha], axis=1))
    return PixelRays(np.concatenate(origins), np.concatenate(directions), np.concatenate(targets))


def _morton_codes(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places (N,) of pixels along the Z-order curve (Morton 1966): the bits of row and column, interleaved."""
    codes = np.zeros(len(rows), np.int64)
    for bit in range(MORTON_BITS):
        codes |= ((rows >> bit) & 1) << (2 * bit + 1) | ((columns >> bit) & 1) << (2 * bit)
    return codes


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

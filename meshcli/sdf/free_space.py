"""Hollows: the part of a visual hull that views see through, told by colours, for no silhouette shows it.

Each ray of a picture ends at the first occupied voxel, and there the other pictures that see the voxel should show the
same colour. The probabilities that voxels are occupied follow by expectation maximisation from all rays together
(compare Bhotika et al. 2002). Unlike in space carving, a point whose colours disagree by chance, or agree by
chance, is outvoted by what lies behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, map_coordinates

from meshcli.arrays import Array, Float32Array, Float64Array, Mask
from meshcli.sdf.fit_level import ColouredSdf
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box, redistance_interior, resample
from meshcli.sdf.lost_parts import Silhouette
from meshcli.sdf.pixel_rays import to_lattice_rays
from meshcli.system.numba_kernel import kernel
from meshcli.views.projection import project
from meshcli.views.view import View

RESOLUTION = 56  # voxels along the hull's longest side
PADDING = 3  # voxels
ROUNDS = 12
MAX_VIEWS = 12  # of more views so many are looked at: time and memory go with their square
MAX_RAYS = 40_000  # of each view: more than one per voxel that it sees
STEP = 0.6  # voxels between samples of a ray
OCCUPIED = 0.05  # probability for a voxel of the hull, before any picture is looked at
CERTAINTY = 0.5  # rays that this is worth
SIGMA = 0.08  # of the difference of a point's colours in two pictures, 0 to 1
PEAK = 30.0  # likelihood of the same colour in two pictures, relative to that of any colour
ALONE = 0.1  # views that would have to see a voxel for their colours to count half
COLOUR_BLUR = 0.35  # voxels: of the pictures
DIFFERENCE_BLUR = 0.7  # voxels: of the squared differences of colours
MIN_PASSING = 0.3  # share of a view's rays through a voxel that end behind it, in two views, where it is free
FREE_BLUR = 0.8  # voxels
MIN_SHARE = 0.02  # of the hull: with less free space there is no hollow
CUT_DEPTH = 0.3  # voxels: where so much or more is cut off, colours are replaced


@dataclass(frozen=True)
class FreeSpace:
    """What is to be cut out of a body, as a body in the world, and the colours of its walls."""

    grid: Grid
    distance: Field  # (X, Y, Z) of `grid`, voxels, negative inside
    colour: NDArray[np.float32]  # (X, Y, Z, 3), 0 to 1
    share: float  # of the hull

    def cut_out(self, shape: ColouredSdf) -> ColouredSdf:
        """A body on any grid without the free space; where it is cut, with the colours that the views show there."""
        ratio = shape.grid.voxel / self.grid.voxel
        offset = self.grid.to_lattice(np.array(shape.grid.origin))
        free = resample(self.distance, offset, ratio, shape.grid.shape) / np.float32(ratio)
        cut = binary_dilation((free < 1) & (-free > shape.distance + np.float32(CUT_DEPTH)), iterations=2)
        colour = shape.colour.copy()
        for channel in range(3):
            there = resample(np.ascontiguousarray(self.colour[..., channel]), offset, ratio, shape.grid.shape)
            colour[cut, channel] = there[cut]
        distance = redistance_interior(np.maximum(shape.distance, -free).astype(np.float32), 2)
        return ColouredSdf(shape.grid, distance, colour)


def find_free_space(hull: DistanceFunction, silhouettes: Sequence[Silhouette]) -> FreeSpace | None:
    """The free space inside a hull; None where there is hardly any.

    The colours of the views have to agree: free space of views that a network painted is arbitrary.
    """
    box = bounding_box(hull, 1.0)
    if box is None:
        return None
    chosen = np.linspace(0, len(silhouettes) - 1, min(len(silhouettes), MAX_VIEWS)).round().astype(int)
    looked_at = [silhouettes[number] for number in chosen]
    grid = Grid.around(*box, RESOLUTION, PADDING)
    solid = hull(grid) < 0
    if not solid.any():
        return None
    points = grid.to_world(np.argwhere(solid).astype(np.float64))
    colours, inside = _colours([each.view for each in looked_at], points, grid.voxel)
    passing, visible = _explain(looked_at, grid, solid, colours, inside)
    free = np.zeros(grid.shape, np.float32)
    free[solid] = np.sort(passing, axis=0)[-2] > MIN_PASSING if len(looked_at) > 1 else 0.0
    free = gaussian_filter(free, FREE_BLUR)
    share = float((free[solid] > 0.5).mean())
    if share < MIN_SHARE:
        return None
    distance = redistance_interior((1 - 2 * free).astype(np.float32), 1)
    weights = visible**2 + 1e-6
    mean = np.einsum("vn,vnc->nc", weights, colours) / weights.sum(axis=0)[:, None]
    return FreeSpace(grid, distance, _spread(mean, solid), share)


def _explain(
    silhouettes: Sequence[Silhouette], grid: Grid, solid: Mask, colours: Float32Array, inside: Mask
) -> tuple[Float64Array, Float64Array]:
    """Which share of a view's rays through a voxel of the hull end behind it, and arrive there; (V, N) each."""
    likelihood_of = _PairLikelihoods(colours, solid)
    index = np.full(grid.shape, -1, np.int64)
    index[solid] = np.arange(inside.shape[1])
    origins, directions = (
        [each[:: 1 + (len(each) - 1) // MAX_RAYS] for each in (getattr(one, name) for one in silhouettes)]
        for name in ("origins", "directions")
    )
    starts = np.cumsum([0] + [len(each) for each in origins])
    rays = to_lattice_rays(np.concatenate(origins), np.concatenate(directions), grid)
    occupied, visible = np.full(inside.shape[1], OCCUPIED), inside.astype(np.float64)
    for _ in range(ROUNDS):
        sums = np.zeros((5, *inside.shape))
        _follow_rays(rays.origins, rays.directions, rays.spans, starts, index, occupied, likelihood_of(visible), sums)
        ending, reaching, passing, arriving, count = sums
        visible = arriving / np.maximum(count, 1)
        scale = len(silhouettes) / np.maximum(count.sum(axis=0), 1)  # as if each view had one ray through the voxel
        occupied = (ending.sum(axis=0) * scale + CERTAINTY * OCCUPIED) / (reaching.sum(axis=0) * scale + CERTAINTY)
        occupied = np.clip(occupied, 1e-3, 0.95)
    return passing / np.maximum(count, 1), visible


class _PairLikelihoods:
    """How well each view's colour of a voxel fits the other views', given which of them see it."""

    def __init__(self, colours: Float32Array, solid: Mask) -> None:
        """`colours` (V, N, 3) of the N voxels in `solid` (X, Y, Z)."""
        views = len(colours)
        share = np.maximum(gaussian_filter(solid.astype(np.float32), DIFFERENCE_BLUR)[solid], 1e-3)
        self._pairs: dict[tuple[int, int], Float32Array] = {}
        for i in range(views):
            for j in range(i):
                squared = np.zeros(solid.shape, np.float32)
                squared[solid] = np.square(colours[i] - colours[j]).sum(axis=-1)
                smooth = gaussian_filter(squared, DIFFERENCE_BLUR)[solid] / share
                self._pairs[i, j] = (PEAK * np.exp(-0.5 * smooth / SIGMA**2)).astype(np.float32)

    def __call__(self, visible: Float64Array) -> Float64Array:
        """Likelihoods (V, N), relative to that of any colour; `visible` (V, N): the probability of being seen."""
        result = np.full(visible.shape, ALONE)
        for (i, j), pair in self._pairs.items():
            result[i] += visible[j] * pair
            result[j] += visible[i] * pair
        likelihood: Float64Array = result / (visible.sum(axis=0) - visible + ALONE)
        return likelihood


def _colours(views: Sequence[View], points: Float64Array, voxel: float) -> tuple[Float32Array, Mask]:
    """Colours (V, N, 3) that the views show at points (N, 3), 0 to 1, and whether these are in the picture, (V, N)."""
    colours = np.zeros((len(views), len(points), 3), np.float32)
    inside = np.zeros((len(views), len(points)), bool)
    for i, view in enumerate(views):
        sigma = COLOUR_BLUR * voxel / view.pixel_size
        alpha = view.pixels[..., 3].astype(np.float32) / 255
        positions, depth = project(view.camera, points, view.width, view.height)
        inside[i] = (depth > 0) & (positions >= 0).all(axis=1) & (positions <= (view.width, view.height)).all(axis=1)
        weight = np.maximum(gaussian_filter(alpha, sigma), 1e-3)
        for channel in range(3):
            blurred = gaussian_filter(view.pixels[..., channel].astype(np.float32) / 255 * alpha, sigma) / weight
            colours[i, :, channel] = map_coordinates(blurred, positions.T[::-1] - 0.5, order=1, mode="nearest")
    return colours, inside


def _spread(values: Array, solid: Mask) -> NDArray[np.float32]:
    """Values (N, 3) of the voxels in `solid` (X, Y, Z), elsewhere those of the nearest of them; (X, Y, Z, 3)."""
    result = np.zeros((*solid.shape, 3), np.float32)
    result[solid] = values
    nearest: Any = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    spread: NDArray[np.float32] = result[tuple(nearest)]
    return spread


@kernel(parallel=True)
def _follow_rays(
    origins: Array, directions: Array, spans: Array, starts: Array, index: Array, occupied: Array, likelihood: Array,
    sums: Array,
) -> None:  # fmt: skip
    """Add to `sums` (5, V, N), for each view and voxel, what its rays through the voxel do.

    That is: end there, end there or behind it, end behind it (probabilities given the colours), arrive there (given
    `occupied` (N,) alone), and their number. The rays of view v, in lattice units, are rows starts[v] to
    starts[v + 1]; index (X, Y, Z) is the number of a voxel, -1 outside the hull; likelihood (V, N) of ending there.
    """
    sx, sy = index.shape[1] * index.shape[2], index.shape[2]
    voxels = index.ravel()
    longest = int((index.shape[0] + index.shape[1] + index.shape[2]) / STEP) + 2
    for view in prange(len(starts) - 1):
        passed, weights = np.empty(longest, np.int64), np.empty(longest)
        for ray in range(starts[view], starts[view + 1]):
            origin, direction = origins[ray], directions[ray]
            count, t, last = 0, spans[ray, 0], -1
            through, total = 1.0, 0.0
            while t < spans[ray, 1]:
                i = int(origin[0] + t * direction[0] + 0.5)
                j = int(origin[1] + t * direction[1] + 0.5)
                k = int(origin[2] + t * direction[2] + 0.5)
                node = i * sx + j * sy + k
                voxel = voxels[node]
                if node != last and voxel >= 0:
                    sums[3, view, voxel] += through
                    sums[4, view, voxel] += 1.0
                    weights[count] = through * occupied[voxel] * likelihood[view, voxel]
                    total += weights[count]
                    through *= 1.0 - occupied[voxel]
                    passed[count] = voxel
                    count += 1
                last = node
                t += STEP
            if count == 0:
                continue
            end = passed[count - 1]  # it shows the object, so it ends there at the latest
            rest = through * likelihood[view, end]
            weights[count - 1] += rest
            total += rest
            behind = 0.0
            for n in range(count - 1, -1, -1):
                ends = weights[n] / (total + 1e-30)
                sums[2, view, passed[n]] += behind
                behind += ends
                sums[0, view, passed[n]] += ends
                sums[1, view, passed[n]] += behind

"""Phantoms: parts of a visual hull that stick out of it although nothing but the hull explains them.

Between legs and behind heads the cones of silhouettes meet where nothing is. A part is such a phantom where it sticks
out (an opening by a ball cuts it off), where every silhouette stays filled without it, and where no body that the
pictures suggest reaches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from meshcli.arrays import Mask
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box, resample
from meshcli.sdf.lost_parts import Silhouette
from meshcli.sdf.pixel_rays import to_lattice_rays
from meshcli.sdf.volume_rendering import rays_hit

RESOLUTION = 80  # voxels along the hull's longest side
PADDING = 4  # voxels
RADII = (1.5, 3.0, 5.0)  # voxels: of the balls whose openings cut parts off, thin ones first
MIN_SIZE = 20  # voxels: smaller parts are left alone
MAX_UNCOVERED = 2.5  # reference pixels per silhouette, on the mean, that may be empty without a phantom
COVERED_LEVEL = 0.3  # voxels from the rest of the hull that still count as inside: rays are sampled every half voxel
# Voxels that a phantom is outside the prior on the mean. On three photos of nine bodies, round and on one side, .75 of
# the volume of parts that no silhouette needs is farther than .05 from the truth; .94 to .98 outside the prior.
MIN_PRIOR_DISTANCE = 1.5
TOUCHING = np.ones((3, 3, 3), bool)  # voxels that share a corner are connected


@dataclass(frozen=True)
class Phantoms:
    """What is to be cut off a hull, as a body in the world."""

    grid: Grid
    distance: Field  # (X, Y, Z) of `grid`, voxels, negative inside
    count: int  # of parts

    def cut_off(self, hull: Field, grid: Grid) -> Field:
        """The hull's distances (X, Y, Z) on any grid, in its voxels, without the phantoms."""
        ratio = grid.voxel / self.grid.voxel
        there = resample(self.distance, self.grid.to_lattice(np.array(grid.origin)), ratio, grid.shape) / ratio
        without: Field = np.maximum(hull, -there).astype(np.float32)
        return without


def find_phantoms(
    hull: DistanceFunction, prior: DistanceFunction, silhouettes: Sequence[Silhouette]
) -> Phantoms | None:
    """The phantoms of a hull; None where there are none.

    `prior` is a body that the pictures suggest. What any of its parts, or the pixels of one of the silhouettes, explain
    is none. A part that is removed counts as empty for those that are tried after it.
    """
    box = bounding_box(hull, 1.0)
    if box is None:
        return None
    grid = Grid.around(*box, RESOLUTION, PADDING)
    field, suggested = hull(grid), prior(grid)
    phantoms, count = np.zeros(grid.shape, bool), 0
    for radius in RADII:
        for part in _parts(field < 0, radius):
            if suggested[part].mean() < MIN_PRIOR_DISTANCE:
                continue
            without = np.where(part, np.maximum(field, np.float32(1.0)), field)
            lost = sum(_uncovered(part, field, without, grid, each) for each in silhouettes)
            if lost < MAX_UNCOVERED * len(silhouettes):
                field, phantoms, count = without, phantoms | part, count + 1
    if not count:
        return None
    inner, outer = distance_transform_edt(phantoms), distance_transform_edt(~phantoms)
    return Phantoms(grid, np.where(phantoms, 0.5 - inner, outer - 0.5).astype(np.float32), count)


def _parts(solid: Mask, radius: float) -> Iterator[Mask]:
    """What the opening of a body (X, Y, Z) by a ball removes, and the lesser pieces that it falls into."""
    core = np.asarray(distance_transform_edt(solid)) > radius
    if not core.any():
        return
    to_core, nearest = distance_transform_edt(~core, return_indices=True)
    edges, count = label(solid & (to_core > radius), TOUCHING)
    yield from _pieces(edges, count)
    cores, count = label(core)
    if count > 1:
        largest = 1 + int(np.argmax(np.bincount(cores.ravel())[1:]))
        closest = np.where(solid, cores[tuple(nearest)], 0)
        yield from _pieces(np.where(closest == largest, 0, closest), count)


def _pieces(labels: NDArray[np.signedinteger[Any]], count: int) -> Iterator[Mask]:
    """The nodes of each label that has MIN_SIZE of them."""
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    for number in range(1, count + 1):
        if sizes[number] >= MIN_SIZE:
            yield labels == number


def _uncovered(part: Mask, field: Field, without: Field, grid: Grid, silhouette: Silhouette) -> float:
    """Reference pixels of a silhouette that a body fills, but not `without` one of its parts."""
    footprint = silhouette.footprint(grid.to_world(np.argwhere(part).astype(np.float64)), grid.voxel)
    chosen = footprint[silhouette.mask]
    if not chosen.any():
        return 0.0
    rays = to_lattice_rays(silhouette.origins[chosen], silhouette.directions[chosen], grid)
    before = rays_hit(field, rays.origins, rays.directions, rays.spans, 0.0)
    after = rays_hit(without, rays.origins, rays.directions, rays.spans, COVERED_LEVEL)
    return float(np.count_nonzero(before & ~after)) / silhouette.scale**2

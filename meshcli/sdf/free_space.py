"""Hollows: the part of a visual hull that views see through, told by colours, for no silhouette shows it.

What nothing contradicts is solid. Pixels whose depth another picture bears out tell that the way there is free and what
lies behind it is solid. Where two views see a surface and show, in no orientation of a patch, the same colours, it is
none (space carving, Kutulakos and Seitz 2000); which views see it follows from what is free already. The region of
least energy has a small surface (compare Vogiatzis, Torr and Cipolla 2005; solved as a minimum of the total variation,
Chan, Esedoglu and Nikolova 2006), and each pixel of the object has to meet a solid voxel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, minimum_filter
from scipy.spatial import cKDTree

from meshcli.arrays import Array, Float32Array, Float64Array, Mask
from meshcli.sdf.fit_level import ColouredSdf
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box, redistance_interior, resample
from meshcli.sdf.lost_parts import Silhouette
from meshcli.sdf.patch_matching import UNTESTED, Pictures, first_depths, least_differences
from meshcli.sdf.pixel_rays import LatticeRays, to_lattice_rays
from meshcli.sdf.total_variation import TotalVariation
from meshcli.system.numba_kernel import kernel

RESOLUTION = 56  # voxels along the hull's longest side
PADDING = 3  # voxels
MAX_VIEWS = 12  # of more views so many are looked at: time and memory go with their square
RAY_SPACING = 0.8  # voxels between a view's rays whose depth is looked for
MAX_RAYS = 12_000  # of each view, that have to meet something solid
STEP = 0.5  # voxels between samples of a ray
MIN_SUPPORT = 0.4  # of a pixel's depth
SAME_DEPTH = 1.2  # voxels between points of two views that bear each other out
FREE_BEFORE = 1.0  # voxels before such a point from which on its ray tells nothing
SOLID_BEHIND = 2.5  # voxels behind it that are solid: the thinnest wall
# Relative differences of two views' patches up to which they agree, and between which they contradict each other more
# and more. Of true points that both see well, nearly all differ by less than .1, of others nearly all by more than .3.
AGREEING, CONTRADICTING = 0.1, (0.3, 0.6)
WALL = 2.0  # voxels before a point within which nothing hides it: so much can be carved at once

# Energies of a voxel, positive where it wants to be free; one view's rays that all pass through it count 1.
BIAS = -0.1
LONGEST_CHORD = -1.0  # over the voxels of the shortest ray through it: one of them is solid
UNMET = -0.5  # each round, over the voxels of a ray that meets nothing solid
SOLID = -4.0  # relative to rays that pass
CONTRADICTION = 2.0  # of two views, and at most 1.5 times that
AGREEMENT = -0.3
TENSION = 0.4  # of the surface, per voxel's face
TENSION_AT_POINTS = 0.2  # the same relative to it where pixels tell a surface
ROUNDS = 12
FIRST_STEPS, STEPS = 250, 50  # of the solver, before the first round and in each

FREE_BLUR = 0.8  # voxels
LID = 1.5  # voxels outside the hull that are free where the hull is
MIN_SHARE = 0.05  # of the hull: less free space is no hollow; the hull of a ball has .03
KEPT_SOLID = 0.5  # voxels at the rim of the free space where the fit may grow the body again
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
        ratio, offset = self._place(shape.grid)
        free = self._on(shape.grid)
        cut = binary_dilation((free < 1) & (-free > shape.distance + np.float32(CUT_DEPTH)), iterations=2)
        colour = shape.colour.copy()
        for channel in range(3):
            there = resample(np.ascontiguousarray(self.colour[..., channel]), offset, ratio, shape.grid.shape)
            colour[cut, channel] = there[cut]
        distance = redistance_interior(np.maximum(shape.distance, -free).astype(np.float32), 2)
        return ColouredSdf(shape.grid, distance, colour)

    def carve(self, hull: Field, grid: Grid) -> Field:
        """A hull (X, Y, Z) on any grid, in voxels, without the free space but for its rim."""
        rim = np.float32(KEPT_SOLID * self.grid.voxel / grid.voxel)
        carved: Field = np.maximum(hull, -self._on(grid) - rim).astype(np.float32)
        return carved

    def _on(self, grid: Grid) -> Field:
        """The distance on another grid, in its voxels."""
        ratio, offset = self._place(grid)
        distance: Field = (resample(self.distance, offset, ratio, grid.shape) / ratio).astype(np.float32)
        return distance

    def _place(self, grid: Grid) -> tuple[float, NDArray[np.float64]]:
        """A grid's voxel, and its origin (3,), in lattice units of `self.grid`."""
        return grid.voxel / self.grid.voxel, self.grid.to_lattice(np.array(grid.origin))


@dataclass(frozen=True)
class _Scene:
    """A hull's voxels, and what the views show of them."""

    grid: Grid
    hull: Field
    pictures: Pictures
    index: NDArray[np.int64]  # (X, Y, Z) number of a voxel in or at the hull, -1 elsewhere
    points: Float64Array  # (N, 3) of these voxels, lattice units
    rays: list[LatticeRays]  # of each view's object


def find_free_space(hull: DistanceFunction, silhouettes: Sequence[Silhouette]) -> FreeSpace | None:
    """The free space inside a hull; None where there is hardly any.

    The colours of the views have to agree: free space of views that a network painted is arbitrary.
    """
    box = bounding_box(hull, 1.0)
    if box is None or len(silhouettes) < 2:
        return None
    chosen = np.linspace(0, len(silhouettes) - 1, min(len(silhouettes), MAX_VIEWS)).round().astype(int)
    looked_at = [silhouettes[number] for number in chosen]
    grid = Grid.around(*box, RESOLUTION, PADDING)
    scene = _scene(hull(grid), looked_at, grid)
    if not (scene.hull <= 0).any():
        return None
    free, seen = _free_region(scene, looked_at)
    share = float((free[scene.hull < 0] > 0.5).mean())
    if share < MIN_SHARE:
        return None
    blurred = gaussian_filter(_with_lid(free, scene.hull), FREE_BLUR)
    distance = redistance_interior((1 - 2 * blurred).astype(np.float32), 1)
    return FreeSpace(grid, distance, _wall_colours(scene, seen), share)


def _scene(hull: Field, silhouettes: Sequence[Silhouette], grid: Grid) -> _Scene:
    near = hull < 0.5
    index = np.full(hull.shape, -1, np.int64)
    index[near] = np.arange(near.sum())
    rays = [to_lattice_rays(each.origins, each.directions, grid) for each in silhouettes]
    pictures = Pictures.of([each.view for each in silhouettes], grid)
    return _Scene(grid, hull, pictures, index, np.argwhere(near).astype(np.float64), rays)


def _free_region(scene: _Scene, silhouettes: Sequence[Silhouette]) -> tuple[Field, Float64Array]:
    """How free each voxel (X, Y, Z) is, 0 to 1, outside the hull 1; and which views see it from there (V, N)."""
    near = scene.index >= 0
    told, surface = _told_by_pixels(scene, silhouettes)
    all_rays = _joined([_thinned(each, 1 + (len(each.origins) - 1) // MAX_RAYS) for each in scene.rays])
    price, shortest = np.zeros(len(scene.points)), np.full(len(scene.points), np.inf)
    solver = TotalVariation(scene.hull <= 0)
    free = solver.minimum
    _follow_rays(*all_rays, scene.index, free, shortest, price)
    energy = told + BIAS + LONGEST_CHORD / np.maximum(shortest, 1.0)
    tension = np.exp(-3 * gaussian_filter(surface, 0.7))
    tension = (TENSION * (TENSION_AT_POINTS + (1 - TENSION_AT_POINTS) * tension)).astype(np.float32)
    field = np.zeros(near.shape, np.float32)
    field[near] = energy
    free = solver.run(field, tension, FIRST_STEPS)
    pairs = _pairs(scene)
    seen = np.zeros((len(scene.rays), len(scene.points)))
    price[:] = 0
    for _ in range(ROUNDS):
        _look_around(scene.points, scene.pictures.centres, free, seen)
        _follow_rays(*all_rays, scene.index, free, shortest, price)
        field[near] = energy + UNMET * price + _told_by_pairs(pairs, seen)
        free = solver.run(field, tension, STEPS)
    _look_around(scene.points, scene.pictures.centres, free, seen)
    return free, seen


def _told_by_pixels(scene: _Scene, silhouettes: Sequence[Silhouette]) -> tuple[Float64Array, Float32Array]:
    """The energy (N,) by depths that two views bear out; and how many such points a voxel has, (X, Y, Z)."""
    rays, depths, supports = [], [], []
    for number, (silhouette, its_rays) in enumerate(zip(silhouettes, scene.rays, strict=True)):
        spacing = max(1, round(RAY_SPACING * scene.grid.voxel / silhouette.view.pixel_size))
        rows, columns = np.nonzero(silhouette.mask)
        chosen = _chosen(its_rays, (rows % spacing == 0) & (columns % spacing == 0))
        depth, support = first_depths(scene.pictures, number, chosen, scene.hull)
        rays.append(chosen)
        depths.append(depth)
        supports.append(np.where(support > MIN_SUPPORT, np.minimum(support, 1.0), 0.0))
    points = [each.origins + depth[:, None] * each.directions for each, depth in zip(rays, depths, strict=True)]
    trees = [cKDTree(each[support > 0]) for each, support in zip(points, supports, strict=True)]
    energy, surface = np.zeros(len(scene.points)), np.zeros(scene.index.shape, np.float32)
    for number, (its_rays, its_points) in enumerate(zip(rays, points, strict=True)):
        others = [tree for other, tree in enumerate(trees) if other != number and tree.n]
        near = [tree.query(its_points, distance_upper_bound=SAME_DEPTH)[0] < np.inf for tree in others]
        borne_out = np.stack(near).any(axis=0) if near else np.zeros(len(its_points), bool)
        weights = np.where(borne_out, supports[number], 0.0)
        sums = np.zeros((3, len(scene.points)))
        _count_rays(its_rays.origins, its_rays.directions, its_rays.spans, depths[number], weights, scene.index, sums)
        energy += (sums[0] + SOLID * sums[1]) / np.maximum(sums[2], 1)
        places = np.rint(its_points[weights > 0]).astype(int)
        np.add.at(surface, tuple(places.T), weights[weights > 0])
    return energy, surface


def _pairs(scene: _Scene) -> dict[tuple[int, int], tuple[Float32Array, Mask]]:
    """How much each pair of views contradicts itself at each voxel, 0 to 1, and whether it agrees; (N,) each."""
    least = least_differences(scene.pictures, scene.points)
    near = scene.index >= 0
    low, high = CONTRADICTING
    pairs = {}
    for first, second in combinations(range(len(least)), 2):
        field = np.full(near.shape, UNTESTED, np.float32)
        field[near] = least[first, second]
        around = minimum_filter(field, 3)[near]
        tested = least[first, second] < UNTESTED
        contradicting = np.where(tested, np.clip((around - low) / (high - low), 0, 1), 0).astype(np.float32)
        pairs[first, second] = contradicting, tested & (around < AGREEING)
    return pairs


def _told_by_pairs(pairs: dict[tuple[int, int], tuple[Float32Array, Mask]], seen: Float64Array) -> Float64Array:
    """The energy (N,) by what pairs of views show at voxels that both see."""
    contradictions, agreements = np.zeros(seen.shape[1]), np.zeros(seen.shape[1])
    for (first, second), (contradicting, agreeing) in pairs.items():
        both = seen[first] * seen[second]
        contradictions += both * contradicting
        agreements += both * agreeing
    energy: Float64Array = np.where(agreements > 0, AGREEMENT, CONTRADICTION * np.minimum(contradictions, 1.5))
    return energy


def _with_lid(free: Field, hull: Field) -> Field:
    """Solid outside the hull too, but for a lid on what is free: a part thinner than a voxel lies there."""
    outside: Any = distance_transform_edt(hull > 0, return_indices=True)
    distance, nearest = outside
    lid: Field = np.where(distance <= LID, free[tuple(nearest)], np.float32(0))
    return lid


def _wall_colours(scene: _Scene, seen: Float64Array) -> NDArray[np.float32]:
    """Mean colours of the voxels in the views that see them, elsewhere those of the nearest voxel; (X, Y, Z, 3)."""
    colours = np.zeros((*scene.index.shape, 3), np.float32)
    near = scene.index >= 0
    sums, weights = np.zeros((len(scene.points), 3)), np.zeros(len(scene.points))
    for view, its_seen in enumerate(seen):
        weight = its_seen + 1e-4
        sums += weight[:, None] * scene.pictures.at(view, scene.points)
        weights += weight
    colours[near] = sums / weights[:, None]
    nearest: Any = distance_transform_edt(~near, return_distances=False, return_indices=True)
    spread: NDArray[np.float32] = colours[tuple(nearest)]
    return spread


def _chosen(rays: LatticeRays, which: Mask | slice) -> LatticeRays:
    return LatticeRays(rays.origins[which], rays.directions[which], rays.spans[which])


def _thinned(rays: LatticeRays, stride: int) -> LatticeRays:
    return _chosen(rays, slice(None, None, stride))


def _joined(rays: Sequence[LatticeRays]) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Origins, directions and spans of all."""
    return (
        np.concatenate([each.origins for each in rays]),
        np.concatenate([each.directions for each in rays]),
        np.concatenate([each.spans for each in rays]),
    )


@kernel(inline=True)
def _nearest(field: Array, origin: Array, direction: Array, t: float) -> Any:
    """The value (X, Y, Z) of the voxel at a depth along a ray."""
    i = int(origin[0] + t * direction[0] + 0.5)
    j = int(origin[1] + t * direction[1] + 0.5)
    k = int(origin[2] + t * direction[2] + 0.5)
    return field[i, j, k]


@kernel()
def _count_rays(
    origins: Array, directions: Array, spans: Array, depths: Array, weights: Array, index: Array, sums: Array
) -> None:
    """Add to `sums` (3, N) the weights of a view's rays that pass each voxel, that end there, and all rays' number."""
    for ray in range(len(origins)):
        t, last = spans[ray, 0], -1
        while t < spans[ray, 1]:
            voxel = _nearest(index, origins[ray], directions[ray], t)
            if voxel >= 0 and voxel != last:
                last = voxel
                sums[2, voxel] += 1.0
                if t < depths[ray] - FREE_BEFORE:
                    sums[0, voxel] += weights[ray]
                elif depths[ray] < t < depths[ray] + SOLID_BEHIND:
                    sums[1, voxel] += weights[ray]
            t += STEP


@kernel()
def _follow_rays(
    origins: Array, directions: Array, spans: Array, index: Array, free: Array, shortest: Array, price: Array
) -> None:
    """Lower `shortest` (N,) to the length of rays in the hull; add to `price` (N,) for those that meet nothing solid.

    free (X, Y, Z): above a half where a voxel is free.
    """
    passed = np.empty(int((index.shape[0] + index.shape[1] + index.shape[2]) / STEP) + 2, np.int64)
    for ray in range(len(origins)):
        t, last, count, length, met = spans[ray, 0], -1, 0, 0.0, False
        while t < spans[ray, 1]:
            voxel = _nearest(index, origins[ray], directions[ray], t)
            if voxel >= 0:
                length += STEP
                if voxel != last:
                    last = voxel
                    passed[count] = voxel
                    count += 1
                    met = met or _nearest(free, origins[ray], directions[ray], t) < 0.5
            t += STEP
        for n in range(count):
            shortest[passed[n]] = min(shortest[passed[n]], length)
            if not met:
                price[passed[n]] += 1.0 / count


@kernel(parallel=True)
def _look_around(points: Array, centres: Array, free: Array, seen: Array) -> None:
    """Fill `seen` (V, N): 1 where nothing solid is between a point, but for a wall's thickness, and a camera."""
    nx, ny, nz = free.shape
    for n in prange(len(points)):
        for view in range(len(centres)):
            towards = centres[view] - points[n]
            towards = towards / np.sqrt((towards * towards).sum())
            t, clear = WALL, 1.0
            while True:
                i = int(np.floor(points[n, 0] + t * towards[0] + 0.5))
                j = int(np.floor(points[n, 1] + t * towards[1] + 0.5))
                k = int(np.floor(points[n, 2] + t * towards[2] + 0.5))
                if i < 0 or j < 0 or k < 0 or i >= nx or j >= ny or k >= nz:
                    break
                if free[i, j, k] < 0.5:
                    clear = 0.0
                    break
                t += 0.7
            seen[view, n] = clear

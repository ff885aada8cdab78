"""Signed-distance grids: negative inside, one float32 per lattice node, distances in voxels unless stated otherwise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter, zoom

from meshcli.arrays import Array, Mask
from meshcli.pictures.interpolation import bilinear
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import Camera
from meshcli.views.projection import world_to_camera

Field = NDArray[np.float32]  # (X, Y, Z)
TRUNCATION = 6.0  # voxels: distances are cut off there before they are blurred; more than any blur reaches
DEPTH_LIMIT = 5  # voxels: `local_depth` does not tell deeper bodies apart
DEPTH_WINDOW = 7  # nodes along each axis in which it looks for the deepest one
KERNEL_RADIUS = 2.5  # sigmas at which a Gaussian is cut off
REDISTANCE_RATE = 0.45  # voxels per step: a little below the half voxel that is usual for this scheme
BOX_GRID = (1.15, 64)  # half side and resolution of the grid for bounding boxes; objects reach to 0.95
UNKNOWN = 1e3  # distance where nothing is known: far, and still finite after any arithmetic here
BLOCKS = 64  # parts that loops over nodes are split into: fixed, as results must not depend on the thread count


@dataclass(frozen=True)
class Grid:
    """A box of cubic voxels: node (i, j, k) is at origin + voxel * (i, j, k) in the world."""

    origin: tuple[float, float, float]
    voxel: float
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, low: NDArray[np.float64], high: NDArray[np.float64], resolution: int, padding: int) -> "Grid":
        """The box from low to high, its longest side `resolution` voxels, `padding` more voxels on every side."""
        voxel = float((high - low).max()) / resolution
        counts = np.ceil((high - low) / voxel).astype(int) + 2 * padding + 1
        origin = (low + high) / 2 - voxel * (counts - 1) / 2
        return cls(tuple(origin.tolist()), voxel, tuple(counts.tolist()))

    def to_lattice(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """World positions (..., 3) to lattice units."""
        lattice: NDArray[np.float64] = (points - np.array(self.origin)) / self.voxel
        return lattice

    def to_world(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Lattice positions (..., 3) to the world."""
        world: NDArray[np.float64] = np.asarray(points, dtype=np.float64) * self.voxel + np.array(self.origin)
        return world


DistanceFunction = Callable[[Grid], Field]  # a body: its signed distances in voxels at the nodes of any grid


def cube_grid(half: float, resolution: int, padding: int) -> Grid:
    """The grid around the cube from -half to half on each axis."""
    return Grid.around(np.full(3, -half), np.full(3, half), resolution, padding)


def bounding_box(body: DistanceFunction, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The corners (3,) of a box around a body, a coarse voxel wider; None where no node is below `level` voxels."""
    grid = cube_grid(*BOX_GRID, padding=1)
    inside = np.argwhere(body(grid) < level).astype(np.float64)
    if not len(inside):
        return None
    return grid.to_world(inside.min(axis=0) - 1), grid.to_world(inside.max(axis=0) + 1)


def finest_grid(low: NDArray[np.float64], high: NDArray[np.float64], resolutions: Iterable[int], padding: int) -> Grid:
    """The grid around a box at the first of descending resolutions that fits into the budget of nodes.

    The budget is a cube of the last resolution with its padding, so thin boxes may have finer voxels than cubes. The
    last resolution is always accepted.
    """
    *finer, least = resolutions
    budget = (least + 2 * padding + 1) ** 3
    for resolution in finer:
        grid = Grid.around(low, high, resolution, padding)
        if np.prod(grid.shape) <= budget:
            return grid
    return Grid.around(low, high, least, padding)


def silhouette_distance(alpha: NDArray[np.uint8], enlarge: int = 2) -> Field:
    """Signed distance to a mask's outline, positive inside, in samples of the enlarged picture (H, W times `enlarge`).

    The picture's border is no outline: an object that touches it is not closed off there.
    """
    fine = zoom(alpha.astype(np.float32), enlarge, order=1, grid_mode=True, mode="nearest")
    inside = fine >= 127.5
    if inside.all() or not inside.any():
        return np.full(fine.shape, UNKNOWN if inside.all() else -UNKNOWN, np.float32)
    outer = np.asarray(distance_transform_edt(~inside), dtype=np.float32)
    inner = np.asarray(distance_transform_edt(inside), dtype=np.float32)
    return np.where(inside, inner - 0.5, 0.5 - outer).astype(np.float32)


@kernel(parallel=True)
def _intersect_cone(
    matrix: Array, intrinsics: Array, silhouette: Array, scale: float, origin: Array, voxel: float, field: Array
) -> None:
    """Intersect `field`, world distances, with one silhouette's cone: the maximum of both, positive outside."""
    height, width = silhouette.shape
    fx, fy, cx, cy = intrinsics
    for i in prange(field.shape[0]):
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                x, y, z = origin[0] + voxel * i, origin[1] + voxel * j, origin[2] + voxel * k
                depth = -(matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3])
                if depth <= 1e-6:
                    field[i, j, k] = max(field[i, j, k], UNKNOWN)
                    continue
                across = (
                    cx + fx * (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / depth
                ) * width
                down = (
                    cy - fy * (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / depth
                ) * height
                value = bilinear(silhouette, across, down)
                column, row = across - 0.5, down - 0.5
                c, r = min(max(column, 0.0), width - 1.0), min(max(row, 0.0), height - 1.0)
                beyond = ((column - c) ** 2 + (row - r) ** 2) ** 0.5
                if value < 0:
                    value -= beyond
                field[i, j, k] = max(field[i, j, k], -value * depth * scale)


def visual_hull(cameras: Sequence[Camera], silhouettes: Sequence[Field], grid: Grid) -> Field:
    """Distance in voxels to the intersection of the silhouettes' cones (Laurentini 1994), negative inside.

    silhouettes: from `silhouette_distance`; adding a constant to one grows it by as many of its samples.
    """
    field = np.full(grid.shape, -UNKNOWN, np.float32)
    origin = np.array(grid.origin)
    for camera, silhouette in zip(cameras, silhouettes, strict=True):
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        scale = 1.0 / (camera.fy * silhouette.shape[0])  # world size of one sample at depth 1; samples are square
        _intersect_cone(world_to_camera(camera), intrinsics, silhouette, scale, origin, grid.voxel, field)
    return field / np.float32(grid.voxel)


@kernel(parallel=True)
def _blur_rows(source: Array, target: Array, weights: Array, axis: int) -> None:
    """Convolve along one axis; outside the grid is zero.

    The innermost loops run along memory, over one-dimensional arrays: that is what the compiler vectorises.
    """
    radius = weights.shape[0] // 2
    nx, ny, nz = source.shape
    strides = (ny * nz, nz, 1)
    first, after = source.ravel(), target.ravel()
    for block in prange(nx):
        i = np.int64(block)
        for j in range(ny):
            start = (i * ny + j) * nz
            row = after[start : start + nz]
            for k in range(nz):
                row[k] = 0.0
            for tap in range(-radius, radius + 1):
                low, high = 0, nz
                if (axis == 0 and not 0 <= i + tap < nx) or (axis == 1 and not 0 <= j + tap < ny):
                    continue
                if axis == 2:
                    low, high = max(0, -tap), min(nz, nz - tap)
                weight = weights[tap + radius]
                shifted = start + strides[axis] * tap
                other = first[shifted + low : shifted + high]
                for k in range(high - low):
                    row[low + k] += weight * other[k]


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur with zeros beyond the grid; sigma in voxels."""
    radius = max(1, int(np.ceil(KERNEL_RADIUS * sigma)))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights = (taps / taps.sum()).astype(np.float32)
    first, second = np.empty_like(field), np.empty_like(field)
    _blur_rows(field, first, weights, 0)
    _blur_rows(first, second, weights, 1)
    _blur_rows(second, first, weights, 2)
    return first


def truncated(field: Field) -> Field:
    """Distances cut off at TRUNCATION and lowered by it: zero far outside, which is what `blur` assumes there."""
    return np.clip(field, -TRUNCATION, TRUNCATION) - TRUNCATION


def rounded(field: Field, sigma: float) -> Field:
    """Truncated distances to the same body with its edges rounded: blurred by sigma voxels."""
    return blur(truncated(field), sigma) + TRUNCATION


def local_depth(field: Field) -> Field:
    """How deep the body is near each node, up to DEPTH_LIMIT voxels: the maximum inside DEPTH_WINDOW."""
    deepest: Field = maximum_filter(np.clip(-field, 0, DEPTH_LIMIT), DEPTH_WINDOW)
    return deepest


@kernel(parallel=True)
def laplacian(field: Array, nodes: Array, result: Array) -> None:
    """Seven-point Laplacian at some nodes (flat indices, none on the grid's border), zero elsewhere in `result`."""
    sx, sy = field.shape[1] * field.shape[2], field.shape[2]
    f, out = field.ravel(), result.ravel()
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            out[at] = f[at - sx] + f[at + sx] + f[at - sy] + f[at + sy] + f[at - 1] + f[at + 1] - 6 * f[at]


@kernel(parallel=True)
def curvatures(field: Array, nodes: Array, smaller: Array, larger: Array) -> None:
    """Principal curvatures of smaller and larger magnitude of the level sets, per voxel, at some nodes (flat indices).

    Positive where convex. Flow by the smaller one smooths along edges and rods without rounding edges or thinning rods
    (compare the curve flow of Lorigo et al. 2001).
    """
    sx, sy = field.shape[1] * field.shape[2], field.shape[2]
    f, small, large = field.ravel(), smaller.ravel(), larger.ravel()
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            centre = 2 * f[at]
            x, y, z = 0.5 * (f[at + sx] - f[at - sx]), 0.5 * (f[at + sy] - f[at - sy]), 0.5 * (f[at + 1] - f[at - 1])
            xx, yy, zz = (
                f[at + sx] + f[at - sx] - centre,
                f[at + sy] + f[at - sy] - centre,
                f[at + 1] + f[at - 1] - centre,
            )
            xy = 0.25 * (f[at + sx + sy] - f[at + sx - sy] - f[at - sx + sy] + f[at - sx - sy])
            xz = 0.25 * (f[at + sx + 1] - f[at + sx - 1] - f[at - sx + 1] + f[at - sx - 1])
            yz = 0.25 * (f[at + sy + 1] - f[at + sy - 1] - f[at - sy + 1] + f[at - sy - 1])
            square = x * x + y * y + z * z + np.float32(1e-4)
            # Goldman 2005: mean and Gaussian curvature of an implicit surface
            mean = (
                square * (xx + yy + zz)
                - (x * x * xx + y * y * yy + z * z * zz + 2 * (x * y * xy + x * z * xz + y * z * yz))
            ) / (2 * square * square**0.5)
            gauss = (
                x * x * (yy * zz - yz * yz)
                + y * y * (xx * zz - xz * xz)
                + z * z * (xx * yy - xy * xy)
                + 2 * (x * y * (xz * yz - xy * zz) + y * z * (xy * xz - yz * xx) + x * z * (xy * yz - xz * yy))
            ) / (square * square)
            root = max(mean * mean - gauss, np.float32(0)) ** 0.5
            if mean < 0:
                root = -root
            small[at] = min(max(mean - root, np.float32(-1)), np.float32(1))
            large[at] = min(max(mean + root, np.float32(-1)), np.float32(1))


@kernel(parallel=True)
def _reinitialise_step(initial: Array, source: Array, target: Array, nodes: Array, rate: Any) -> None:
    """One step of reinitialisation: towards |gradient| = 1, the zero level set of `initial` kept.

    Sussman, Smereka and Osher 1994 with the sub-cell fix of Russo and Smereka 2000.
    """
    strides = (initial.shape[1] * initial.shape[2], initial.shape[2], 1)
    first, now, after = initial.ravel(), source.ravel(), target.ravel()
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            s0 = first[at]
            crosses = False
            steep = np.float32(1e-6)
            for axis in range(3):
                low, high = first[at - strides[axis]], first[at + strides[axis]]
                if s0 * low < 0 or s0 * high < 0:
                    crosses = True
                slope = max(abs(high - low) * 0.5, abs(high - s0), abs(s0 - low))
                steep += slope * slope
            sign = 1.0 if s0 > 0 else -1.0
            if crosses:
                central = np.float32(1e-6)
                for axis in range(3):
                    half = 0.5 * (first[at + strides[axis]] - first[at - strides[axis]])
                    central += half * half
                wanted = s0 / max(central**0.5, np.float32(0.5) * steep**0.5)
                after[at] = now[at] - rate * (sign * abs(now[at]) - wanted)
                continue
            total = np.float32(0.0)
            for axis in range(3):
                back = now[at] - now[at - strides[axis]]
                ahead = now[at + strides[axis]] - now[at]
                if sign > 0:
                    back, ahead = max(back, np.float32(0.0)), min(ahead, np.float32(0.0))
                else:
                    back, ahead = min(back, np.float32(0.0)), max(ahead, np.float32(0.0))
                total += max(back * back, ahead * ahead)
            after[at] = now[at] - rate * sign * (total**0.5 - 1)


def redistance(field: Field, nodes: NDArray[np.int64], steps: int = 12) -> Field:
    """Signed distances in voxels with the same zero level set, valid to about steps / 2 voxels from it, at `nodes`."""
    now, after = field.copy(), field.copy()
    for _ in range(steps):
        _reinitialise_step(field, now, after, nodes, np.float32(REDISTANCE_RATE))
        now, after = after, now
    return now


def interior(shape: tuple[int, ...], margin: int) -> Mask:
    """The nodes of a grid that are at least `margin` nodes away from its border."""
    inner = np.zeros(shape, bool)
    inner[tuple(slice(margin, -margin) for _ in shape)] = True
    return inner


def redistance_interior(field: Field, margin: int, steps: int = 12) -> Field:
    """`redistance` at all nodes that are at least `margin` nodes away from the border."""
    return redistance(field, np.flatnonzero(interior(field.shape, margin)), steps)


@kernel(parallel=True)
def resample(field: Array, offset: Array, ratio: float, shape: tuple[int, int, int]) -> Array:
    """Trilinear values at the nodes of another grid, whose node n is at offset + ratio * n in this one."""
    nx, ny, nz = shape
    result = np.empty((nx, ny, nz), np.float32)
    mx, my, mz = field.shape
    for i in prange(nx):
        x = min(max(offset[0] + ratio * i, 0.0), mx - 1.001)
        a = int(x)
        u = x - a
        for j in range(ny):
            y = min(max(offset[1] + ratio * j, 0.0), my - 1.001)
            b = int(y)
            v = y - b
            for k in range(nz):
                z = min(max(offset[2] + ratio * k, 0.0), mz - 1.001)
                c = int(z)
                w = z - c
                total = 0.0
                for corner in range(8):
                    p, q, r = corner >> 2, (corner >> 1) & 1, corner & 1
                    total += (
                        (u if p else 1 - u) * (v if q else 1 - v) * (w if r else 1 - w) * field[a + p, b + q, c + r]
                    )
                result[i, j, k] = total
    return result

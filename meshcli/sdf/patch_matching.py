"""Small planar patches of a surface, compared between pictures: which depth a pixel has, and where none fits.

A patch is a square of the hull's grid with one of 26 orientations. Two pictures agree on it where the squared
difference of their colours is small beside the patch's own contrast; plain patches say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from meshcli.arrays import Array, Float32Array, Float64Array
from meshcli.sdf.grid import Field, Grid
from meshcli.sdf.pixel_rays import LatticeRays
from meshcli.system.numba_kernel import kernel
from meshcli.views.projection import world_to_camera
from meshcli.views.view import View

HALF = 2  # samples from a patch's centre to its side
SPACING = 0.6  # voxels between its samples
SAMPLES = (2 * HALF + 1) ** 2
COLOUR_BLUR = 0.3  # voxels: of the pictures
NEAR_HULL = 0.5  # voxels outside the hull within which depths are tried
STEP = 0.6  # voxels between the depths that are tried
MIN_COSINE = 0.17  # between a patch's normal and the way to a camera that sees it
MIN_CONTRAST = 0.03  # root mean square of a channel in a patch, 0 to 1: plainer ones say nothing
MAX_GAIN = 1.35  # between two pictures: exposures and light differ
FITTING = 0.5  # relative difference from which two pictures do not agree at all
FIRST_FITTING = 0.5  # of the best support along a ray: the first depth that has so much is taken
UNTESTED = 9.0  # relative difference where no two pictures see any patch


@dataclass(frozen=True)
class Pictures:
    """Blurred pictures in which patches on a grid are looked up."""

    images: Float32Array  # (V, H, W, 4) colours and coverage, 0 to 1; beyond a smaller picture nothing is covered
    matrices: Float64Array  # (V, 3, 4) from lattice units to homogeneous columns and rows
    centres: Float64Array  # (V, 3) of the cameras, lattice units

    @classmethod
    def of(cls, views: Sequence[View], grid: Grid) -> Self:
        """The pictures blurred by a fraction of the grid's voxel."""
        height, width = max(view.height for view in views), max(view.width for view in views)
        images = np.zeros((len(views), height, width, 4), np.float32)
        for image, view in zip(images, views, strict=True):
            image[: view.height, : view.width] = _blurred(view, COLOUR_BLUR * grid.voxel / view.pixel_size)
        centres = grid.to_lattice(np.array([view.camera.position for view in views]))
        return cls(images, np.stack([_matrix(view, grid) for view in views]), centres)

    def at(self, view: int, points: Float64Array) -> Float32Array:
        """The colours (N, 3) of one picture at points (N, 3), lattice units; at its border beyond it."""
        column, row, depth = self.matrices[view, :, :3] @ points.T + self.matrices[view, :, 3:]
        height, width = self.images.shape[1:3]
        rows = np.clip(row / depth, 0, height - 1).astype(int)
        return self.images[view, rows, np.clip(column / depth, 0, width - 1).astype(int), :3]


def first_depths(pictures: Pictures, view: int, rays: LatticeRays, hull: Field) -> tuple[Float64Array, Float64Array]:
    """The first depth, in voxels, at which the other pictures bear out what pixels of a view show; (N,) twice.

    The second is the support there: one other picture that agrees fully counts 1. A depth behind the first good one
    may be better by chance; that the nearer one is taken never opens a body too far.
    """
    found = np.zeros((2, len(rays.origins)))
    pictured = pictures.images, pictures.matrices, pictures.centres
    _sweep(pictured, view, rays.origins, rays.directions, rays.spans, hull, _orientations(), found)
    return found[0], found[1]


def least_differences(pictures: Pictures, points: Float64Array) -> NDArray[np.float32]:
    """The least relative difference between two pictures over a patch at points (N, 3), lattice units; (V, V, N).

    UNTESTED where they see no patch of any contrast; symmetric.
    """
    views = len(pictures.images)
    least = np.full((views, views, len(points)), UNTESTED, np.float32)
    plain = np.ones(least.shape, np.bool_)
    _compare((pictures.images, pictures.matrices, pictures.centres), points, _orientations(), least, plain)
    least[plain] = UNTESTED
    return least


def _blurred(view: View, sigma: float) -> Float32Array:
    """Colours, blurred by sigma pixels within the object, and its coverage; (H, W, 4)."""
    alpha = view.pixels[..., 3].astype(np.float32) / 255
    weight = np.maximum(gaussian_filter(alpha, sigma), 1e-3)
    channels = [gaussian_filter(view.pixels[..., c] / np.float32(255) * alpha, sigma) / weight for c in range(3)]
    return np.dstack([*channels, alpha]).astype(np.float32)


def _matrix(view: View, grid: Grid) -> Float64Array:
    """From lattice units to homogeneous columns and rows, (3, 4)."""
    camera = view.camera
    intrinsics = np.array(
        [
            [camera.fx * view.width, 0.0, -camera.cx * view.width],
            [0.0, -camera.fy * view.height, -camera.cy * view.height],
            [0.0, 0.0, -1.0],
        ]
    )
    to_world = np.eye(4)
    to_world[:3, :3] *= grid.voxel
    to_world[:3, 3] = grid.origin
    matrix: Float64Array = intrinsics @ world_to_camera(camera)[:3] @ to_world
    return matrix


def _orientations() -> tuple[Float64Array, Float64Array]:
    """The unit normals (26, 3) towards a cube's faces, edges and corners, and steps along their patches (26, 2, 3)."""
    steps = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if i or j or k], np.float64)
    normals = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]]))
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return normals, SPACING * np.stack([first, np.cross(normals, first)], axis=1)


@kernel(inline=True)
def _column_and_row(matrix: Array, x: float, y: float, z: float) -> tuple[float, float]:
    """Where a picture shows a point."""
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    column = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
    row = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
    return column, row


@kernel()
def _look_up(image: Array, matrix: Array, centre: Array, steps: Array, colours: Array) -> Any:
    """Fill colours (SAMPLES, 3) of a patch; its sum of squared deviations, -1 where it is not all on the object."""
    height, width = image.shape[:2]
    column, row = _column_and_row(matrix, centre[0], centre[1], centre[2])
    a, b = centre + steps[0], centre + steps[1]
    column_a, row_a = _column_and_row(matrix, a[0], a[1], a[2])
    column_b, row_b = _column_and_row(matrix, b[0], b[1], b[2])
    sums, squares = np.zeros(3), 0.0
    n = 0
    for i in range(-HALF, HALF + 1):
        for j in range(-HALF, HALF + 1):
            c = int(np.floor(column + i * (column_a - column) + j * (column_b - column)))
            r = int(np.floor(row + i * (row_a - row) + j * (row_b - row)))
            if c < 0 or r < 0 or c >= width or r >= height or image[r, c, 3] < 0.5:
                return -1.0
            for channel in range(3):
                value = image[r, c, channel]
                colours[n, channel] = value
                sums[channel] += value
                squares += value * value
            n += 1
    return squares - (sums[0] ** 2 + sums[1] ** 2 + sums[2] ** 2) / n


@kernel(inline=True)
def _cosine(normal: Array, towards: Array) -> Any:
    """Of the angle between a unit normal and any vector."""
    length = np.sqrt(towards[0] ** 2 + towards[1] ** 2 + towards[2] ** 2)
    return (normal[0] * towards[0] + normal[1] * towards[1] + normal[2] * towards[2]) / length


@kernel()
def _squared_difference(a: Array, b: Array) -> float:
    """Of two patches' colours (SAMPLES, 3), the second one brighter or darker by what suits best within MAX_GAIN."""
    own, mixed, other = 0.0, 0.0, 0.0
    for n in range(SAMPLES):
        for channel in range(3):
            own += a[n, channel] * a[n, channel]
            mixed += a[n, channel] * b[n, channel]
            other += b[n, channel] * b[n, channel]
    gain = min(max(mixed / (other + 1e-9), 1.0 / MAX_GAIN), MAX_GAIN)
    return own - 2.0 * gain * mixed + gain * gain * other


@kernel()
def _support(pictures: Any, view: int, point: Array, direction: Array, ways: Any, colours: Array) -> float:
    """How many other pictures bear out that a view shows a surface at a point, in the best orientation.

    colours (2, SAMPLES, 3) is scratch.
    """
    images, matrices, centres = pictures
    normals, steps = ways
    best = 0.0
    for way in range(len(normals)):
        if -_cosine(normals[way], direction) < MIN_COSINE:
            continue
        spread = _look_up(images[view], matrices[view], point, steps[way], colours[0])
        if spread < 3 * SAMPLES * MIN_CONTRAST**2:
            continue
        support = 0.0
        for other in range(len(images)):
            if other == view or _cosine(normals[way], centres[other] - point) < MIN_COSINE:
                continue
            other_spread = _look_up(images[other], matrices[other], point, steps[way], colours[1])
            if other_spread >= 0.0:
                difference = _squared_difference(colours[0], colours[1]) / (spread + other_spread)
                support += max(0.0, 1.0 - difference / FITTING)
        best = max(best, support)
    return best


@kernel(parallel=True)
def _sweep(
    pictures: Any, view: int, origins: Array, directions: Array, spans: Array, hull: Array, ways: Any, found: Array
) -> None:
    """Fill `found` (2, N): depths and supports of one view's rays, in lattice units; see `first_depths`."""
    longest = int((hull.shape[0] + hull.shape[1] + hull.shape[2]) / STEP) + 2
    for ray in prange(len(origins)):
        origin, direction = origins[ray].astype(np.float64), directions[ray].astype(np.float64)
        colours, profile = np.empty((2, SAMPLES, 3)), np.zeros(longest)
        count = int(max(spans[ray, 1] - spans[ray, 0], 0.0) / STEP)
        for place in range(count):
            point = origin + (spans[ray, 0] + place * STEP) * direction
            if hull[int(point[0] + 0.5), int(point[1] + 0.5), int(point[2] + 0.5)] < NEAR_HULL:
                profile[place] = _support(pictures, view, point, direction, ways, colours)
        best, place = profile.max(), 0
        while best > 0.0 and profile[place] < FIRST_FITTING * best:
            place += 1
        while place + 1 < count and profile[place + 1] > profile[place]:
            place += 1
        found[0, ray], found[1, ray] = spans[ray, 0] + place * STEP, profile[place]


@kernel(parallel=True)
def _compare(pictures: Any, points: Array, ways: Any, least: Array, plain: Array) -> None:
    """Lower `least` (V, V, N) to the least relative differences; fill `plain` where these are of plain patches."""
    images, matrices, centres = pictures
    normals, steps = ways
    views, contrast = len(images), SAMPLES * MIN_CONTRAST**2
    for n in prange(len(points)):
        colours, spreads = np.empty((views, SAMPLES, 3)), np.empty(views)
        for way in range(len(normals)):
            for view in range(views):
                spreads[view] = -1.0
                if _cosine(normals[way], centres[view] - points[n]) >= MIN_COSINE:
                    spreads[view] = _look_up(images[view], matrices[view], points[n], steps[way], colours[view])
            for i in range(views):
                for j in range(i):
                    lower = min(spreads[i], spreads[j])
                    squared = _squared_difference(colours[i], colours[j])
                    difference = squared / (spreads[i] + spreads[j] + 2 * contrast)
                    if lower >= 0.0 and difference < least[i, j, n]:
                        least[i, j, n] = least[j, i, n] = difference
                        plain[i, j, n] = plain[j, i, n] = lower < 3 * contrast

"""Silhouettes of views as small square masks, and those of a mesh from the same cameras, quickly."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from meshcli.arrays import Array, Float32Array, Float64Array, Mask
from meshcli.pictures.image import resize_floats
from meshcli.system.numba_kernel import kernel
from meshcli.views.projection import world_to_camera
from meshcli.views.view import View

NEAR = 1e-3  # world units in front of a camera: nearer corners have no place in the picture


class ViewMasks:
    """The silhouettes of views, each stretched to size x size pixels, and their cameras as matrices."""

    def __init__(self, views: Sequence[View], size: int) -> None:
        self.size = size
        alphas = [resize_floats(view.pixels[..., 3:].astype(np.float32) / 255.0, size, size) for view in views]
        self.masks: Mask = np.concatenate(alphas, axis=2).transpose(2, 0, 1) >= 0.5  # (V, size, size)
        self.cameras: Float64Array = np.stack([_picture_matrix(view, size) for view in views])  # (V, 3, 4)

    def of_mesh(self, points: Float64Array, faces: Array) -> NDArray[np.uint8]:
        """The mesh's silhouettes from the same cameras, 1 where it covers a pixel's centre, (V, size, size)."""
        covered = np.zeros(self.masks.shape, np.uint8)
        _cover(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(faces, np.int32), self.cameras, covered)
        return covered

    def overlaps(self, points: Float64Array, faces: Array) -> Float64Array:
        """Intersection over union of the mesh's silhouette with each view's, (V,)."""
        covered = self.of_mesh(points, faces).astype(np.bool_)
        both = np.logical_and(covered, self.masks).sum(axis=(1, 2))
        either = np.logical_or(covered, self.masks).sum(axis=(1, 2))
        result: Float64Array = both / np.maximum(either, 1)
        return result


def blurred(masks: Array, sigma: float) -> Float32Array:
    """Masks (V, H, W) as floats, each blurred by a Gaussian of so many pixels."""
    result: Float32Array = gaussian_filter(masks.astype(np.float32), (0.0, sigma, sigma), truncate=2.5)
    return result


def _picture_matrix(view: View, size: int) -> Float64Array:
    """World points to (column, row, 1) times depth in a picture of size x size pixels, (3, 4)."""
    camera = view.camera
    intrinsics = np.array([[camera.fx, 0.0, -camera.cx], [0.0, -camera.fy, -camera.cy], [0.0, 0.0, -1.0]])
    intrinsics[:2] *= size
    matrix: Float64Array = intrinsics @ world_to_camera(camera)[:3]
    return matrix


@kernel()
def _cover(points: Array, faces: Array, cameras: Array, covered: Array) -> None:
    """Set the pixels whose centres a face covers; faces that reach behind a camera are left out."""
    columns, rows, depths = np.empty(len(points)), np.empty(len(points)), np.empty(len(points))
    for view in range(len(covered)):
        m = cameras[view]
        for n in range(len(points)):
            x, y, z = points[n, 0], points[n, 1], points[n, 2]
            depths[n] = depth = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
            if depth > NEAR:  # a pixel's centre is at whole numbers here
                columns[n] = (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]) / depth - 0.5
                rows[n] = (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]) / depth - 0.5
        for face in range(len(faces)):
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            if depths[a] > NEAR and depths[b] > NEAR and depths[c] > NEAR:
                _fill(columns[a], rows[a], columns[b], rows[b], columns[c], rows[c], covered[view])


@kernel()
def _fill(ax: float, ay: float, bx: float, by: float, cx: float, cy: float, mask: Array) -> None:
    """Set the pixels of a mask whose centres, at whole numbers, are inside a triangle or on its edges."""
    height, width = mask.shape
    left, right = max(math.ceil(min(ax, bx, cx)), 0), min(math.floor(max(ax, bx, cx)), width - 1)
    top, bottom = max(math.ceil(min(ay, by, cy)), 0), min(math.floor(max(ay, by, cy)), height - 1)
    if left > right or top > bottom:
        return
    if (bx - ax) * (cy - ay) < (cx - ax) * (by - ay):
        bx, by, cx, cy = cx, cy, bx, by
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if (
                (bx - ax) * (row - ay) >= (column - ax) * (by - ay)
                and (cx - bx) * (row - by) >= (column - bx) * (cy - by)
                and (ax - cx) * (row - cy) >= (column - cx) * (ay - cy)
            ):
                mask[row, column] = 1

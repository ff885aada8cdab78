"""Depth maps of a mesh by z-buffering on the processor: coverage and visibility for many small triangles, quickly."""

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array, Mask
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import Camera
from meshcli.views.projection import project

MIN_DEPTH = 1e-6  # of a corner in front of the camera, world units: faces that reach behind it are left out


def depth_map(vertices: Array, faces: Array, camera: Camera, width: int, height: int) -> NDArray[np.float32]:
    """Depth along the viewing direction at the pixels' centres, (height, width); infinite where nothing is."""
    positions, depth = project(camera, vertices.astype(np.float64), width, height)
    result = np.full((height, width), np.inf, np.float32)
    _rasterise(positions, depth, faces, result)
    return result


def depth_edges(depth: Array, limit: Array) -> Mask:
    """The pixels (H, W) that differ from a neighbour by more than `limit` (H, W) in depth.

    Infinite depth beside the surface makes the silhouette an edge too.
    """
    padded = np.where(np.isfinite(depth), depth, np.float32(1e6))
    edge = np.zeros(depth.shape, np.bool_)
    for axis in (0, 1):
        jump = np.abs(np.diff(padded, axis=axis)) > np.delete(limit, -1, axis)
        padding = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
        edge |= np.pad(jump, padding) | np.pad(jump, [side[::-1] for side in padding])
    return edge


@kernel()
def _rasterise(positions: Array, depth: Array, faces: Array, result: Array) -> None:
    """Keep in `result` (H, W) the smallest depth of all faces at each pixel's centre.

    positions (V, 2) columns and rows, depth (V,), faces (F, 3). Inside a face 1 / depth is linear in the picture.
    """
    height, width = result.shape
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if depth[a] < MIN_DEPTH or depth[b] < MIN_DEPTH or depth[c] < MIN_DEPTH:
            continue
        ax, ay, bx, by, cx, cy = (
            positions[a, 0], positions[a, 1], positions[b, 0], positions[b, 1], positions[c, 0], positions[c, 1],
        )  # fmt: skip
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        first, last = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(width - 1, int(max(ax, bx, cx) - 0.5))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(height - 1, int(max(ay, by, cy) - 0.5))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(first, last + 1):
                x = column + 0.5
                u = ((cx - bx) * (y - by) - (cy - by) * (x - bx)) / area
                v = ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) / area
                w = 1.0 - u - v
                if u >= 0.0 and v >= 0.0 and w >= 0.0:
                    nearness = u / depth[a] + v / depth[b] + w / depth[c]
                    result[row, column] = min(result[row, column], 1.0 / nearness)

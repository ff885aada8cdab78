"""Rasterisation on the processor: the first surface at regular points of a picture, by a z-buffer.

What rays through the same points would hit, in a fraction of the time: neighbouring points of a triangle cost a few
additions each. A point that lies exactly on an edge may go to the other triangle there.

The buffer covers some rows at a time, so that its size does not depend on the picture's.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.raycasting import Hits
from meshcli.system.numba_kernel import kernel
from meshcli.views import projection
from meshcli.views.camera import Camera

HitArrays = tuple[Array, Array, Array]  # of `Hits`

BUFFER_POINTS = 1 << 20  # 8 bytes each
NEAREST = 1e-3  # depth of a vertex, world units: with a nearer one, or one behind the camera, rays are needed
SPARSE = 0.3  # of the pixels in some rows: where fewer are asked for, triangles beside them are not drawn
EDGE_TOLERANCE = 1e-7  # points: those on a shared edge belong to both triangles, so that none is missed


class ZBuffer:
    """A mesh to be drawn from any number of cameras. Thread-safe."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self._vertices = np.ascontiguousarray(vertices, np.float64).reshape(-1, 3)
        self._faces = np.ascontiguousarray(faces, np.int32).reshape(-1, 3)
        self._memory = _Memory()

    def rasterise(self, camera: Camera, width: int, height: int, pixels: Array, samples: int) -> Hits | None:
        """The first surface at samples x samples points of each pixel (P,), given as row * width + column, in order.

        None where a vertex is too near to the camera or behind it. The next call of the same thread reuses the arrays.
        """
        columns, count = width * samples, len(pixels) * samples**2
        scale = np.array([camera.fx, camera.fy, camera.cx, camera.cy]) * ((columns, height * samples) * 2)
        corners = self._memory.array("corners", (len(self._vertices), 3), np.float64)
        if not _project(self._vertices, projection.world_to_camera(camera), scale, corners):
            return None
        hits = Hits(
            self._memory.array("faces", (count,), np.int32),
            self._memory.array("barycentric", (count, 3), np.float32),
            self._memory.array("depths", (count,), np.float32),
        )
        first, last = (int(pixels[0]) // width, int(pixels[-1]) // width + 1) if count else (0, 0)
        rows = max(1, BUFFER_POINTS // (columns * samples))  # of pixels
        for top in range(first, last, rows):
            start, end = np.searchsorted(pixels, (top * width, min(top + rows, last) * width))
            if start == end:
                continue
            size = (min(rows, last - top) * samples, columns)
            drawn = self._memory.array("drawn", size, np.int32), self._memory.array("nearest", size, np.float32)
            _draw(corners, self._faces, top * samples, samples, _wanted(pixels[start:end], top, size, samples), *drawn)
            part = slice(start * samples**2, end * samples**2)
            found = hits.faces[part], hits.barycentric[part], hits.depths[part]
            _read(corners, self._faces, drawn[0], top * samples, width, samples, pixels[start:end], found)
        return hits


def _wanted(pixels: Array, top: int, size: tuple[int, int], samples: int) -> NDArray[np.int32]:
    """Sums over the pixels above and to the left, (H + 1, W + 1), of those that are asked for; empty if many are."""
    rows, width = size[0] // samples, size[1] // samples
    if len(pixels) > SPARSE * rows * width:
        return np.zeros((0, 0), np.int32)
    sums = np.zeros((rows + 1, width + 1), np.int32)
    inner = np.zeros((rows, width), np.int32)
    inner.reshape(-1)[pixels - top * width] = 1
    np.cumsum(inner, axis=0, out=inner)
    np.cumsum(inner, axis=1, out=sums[1:, 1:])
    return sums


class _Memory(threading.local):
    """Arrays that a thread uses again and again: new ones would be cleared by the system first."""

    def __init__(self) -> None:
        self._blocks: dict[str, NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], kind: type) -> NDArray[Any]:
        """An array of any content."""
        size = math.prod(shape)
        block = self._blocks.get(name)
        if block is None or len(block) < size:
            block = self._blocks[name] = np.empty(size, kind)
        return block[:size].reshape(shape)


@kernel()
def _project(vertices: Array, pose: Array, intrinsics: Array, corners: Array) -> bool:
    """Fill in column, row and 1 / depth of each vertex; False if one is nearer than NEAREST."""
    for v in range(len(vertices)):
        x, y, z = vertices[v]
        depth = -(pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3])
        if not depth >= NEAREST:
            return False
        right = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
        up = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
        corners[v, 0] = intrinsics[2] + intrinsics[0] * right / depth
        corners[v, 1] = intrinsics[3] - intrinsics[1] * up / depth
        corners[v, 2] = 1.0 / depth
    return True


@kernel()
def _draw(
    corners: Array, triangles: Array, top: int, samples: int, wanted: Array, faces: Array, inverse_depths: Array
) -> None:
    """Fill in the nearest face at each point of some rows, -1 where there is none, and 1 / depth.

    Triangles that reach no pixel counted in the sums `wanted` are left out.
    """
    faces[:] = -1
    inverse_depths[:] = 0.0
    rows, columns = faces.shape
    for face in range(len(triangles)):
        a, b, c = triangles[face]
        ax, ay, az = corners[a]
        bx, by, bz = corners[b]
        cx, cy, cz = corners[c]
        first_row = max(int(np.ceil(min(ay, by, cy) - 0.5)), top)
        last_row = min(int(np.floor(max(ay, by, cy) - 0.5)), top + rows - 1)
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if first_row > last_row or right < 0.0 or left > columns or area == 0.0:
            continue
        if len(wanted) and not _count(wanted, (first_row - top, last_row - top), (left, right), samples):
            continue
        # Weights of b and c are linear in column and row, and so is 1 / depth.
        bu, bv = (cy - ay) / area, (ax - cx) / area
        cu, cv = (ay - by) / area, (bx - ax) / area
        zu, zv = bu * (bz - az) + cu * (cz - az), bv * (bz - az) + cv * (cz - az)
        slopes = (bu, cu, -bu - cu)
        inverse = (_inverse(bu), _inverse(cu), _inverse(-bu - cu))
        for row in range(first_row, last_row + 1):
            y = row + 0.5 - ay
            start, end = _span(slopes, inverse, (bv * y, cv * y, 1.0 - bv * y - cv * y), left - ax, right - ax)
            first = max(int(np.ceil(start + ax - 0.5 - EDGE_TOLERANCE)), 0)
            last = min(int(np.floor(end + ax - 0.5 + EDGE_TOLERANCE)), columns - 1)
            near = az + zv * y + zu * (0.5 - ax)
            for column in range(first, last + 1):
                inverse_depth = np.float32(near + zu * column)
                if inverse_depth > inverse_depths[row - top, column]:
                    inverse_depths[row - top, column] = inverse_depth
                    faces[row - top, column] = face


@kernel()
def _count(sums: Array, rows: tuple[int, int], columns: tuple[float, float], samples: int) -> int:
    """How many wanted pixels the rows and columns of points reach, the last ones included."""
    i, k = rows[0] // samples, rows[1] // samples + 1
    width = sums.shape[1] - 1
    j, m = min(int(max(columns[0], 0.0)) // samples, width), min(int(columns[1]) // samples + 1, width)
    return int(sums[k, m] - sums[i, m] - sums[k, j] + sums[i, j])


@kernel()
def _span(
    slopes: tuple[float, float, float],
    inverse: tuple[float, float, float],
    rests: tuple[float, float, float],
    start: float,
    end: float,
) -> tuple[float, float]:
    """The part of a row from `start` to `end` where three weights, slope * column + rest, are at least 0."""
    for k in range(3):
        if slopes[k] > 0.0:
            start = max(start, -rests[k] * inverse[k])
        elif slopes[k] < 0.0:
            end = min(end, -rests[k] * inverse[k])
    return start, end


@kernel()
def _inverse(value: float) -> float:
    return 1.0 / value if value != 0.0 else 0.0


@kernel()
def _read(
    corners: Array, triangles: Array, drawn: Array, top: int, width: int, samples: int, pixels: Array, hits: HitArrays
) -> None:
    """Fill in the faces at the points of some pixels, their corners' weights in space, and the depths."""
    faces, barycentric, depths = hits
    n = 0
    for pixel in pixels:
        row, column = pixel // width * samples, pixel % width * samples
        for i in range(row, row + samples):
            for j in range(column, column + samples):
                face = drawn[i - top, j]
                faces[n], depths[n] = face, np.inf
                if face >= 0:
                    a, b, c = triangles[face]
                    ax, ay, az = corners[a]
                    bx, by, bz = corners[b]
                    cx, cy, cz = corners[c]
                    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                    x, y = j + 0.5 - ax, i + 0.5 - ay
                    in_b, in_c = ((cy - ay) * x + (ax - cx) * y) / area, ((ay - by) * x + (bx - ax) * y) / area
                    inverse = (1.0 - in_b - in_c) * az + in_b * bz + in_c * cz
                    barycentric[n, 0] = (1.0 - in_b - in_c) * az / inverse
                    barycentric[n, 1] = in_b * bz / inverse
                    barycentric[n, 2] = in_c * cz / inverse
                    depths[n] = 1.0 / inverse
                else:
                    barycentric[n, 0], barycentric[n, 1], barycentric[n, 2] = 0.0, 0.0, 0.0
                n += 1

"""Rasterisation on the processor: the first surface at regular points of a picture, by a z-buffer.

What rays through the same points would hit, in a fraction of the time: neighbouring points of a triangle cost a few
additions each. A point that lies exactly on an edge may go to the other triangle there.

A picture is drawn band by band, so that the buffers stay in the processor's cache whatever the picture's size: the
faces that reach a band are drawn, those turned to the camera first; then its pixels are shaded from the faces found.
Faces turned away are left out where a coarse map of the depths drawn so far shows that they are hidden.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.rendering.shading import Frame, shade_band
from meshcli.rendering.surface import Paint
from meshcli.system.numba_kernel import kernel
from meshcli.views import projection
from meshcli.views.camera import Camera

BAND_POINTS = 1 << 17  # 8 bytes each: the buffers fit into the second-level cache
BLOCK = 16  # points: side of the blocks of the coarse map of depths
NEAREST = 1e-3  # depth of a vertex, world units: with a nearer one, or one behind the camera, rays are needed
EDGE_TOLERANCE = 1e-7  # points: those on a shared edge belong to both triangles, so that none is missed

# Nearest faces and inverse depths of a band, the coarse map, and of each face that was drawn the plane of 1 / depth, 1
# or -1 for front or back, its least height, and the planes of its attributes.
Buffers = tuple[Array, Array, Array, Array]


class ZBuffer:
    """A mesh to be drawn from any number of cameras. Thread-safe."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self._vertices = np.ascontiguousarray(vertices, np.float64).reshape(-1, 3)
        self._faces = np.ascontiguousarray(faces, np.int32).reshape(-1, 3)
        self._memory = _Memory()

    def draw(self, camera: Camera, picture: Array, samples: int, adaptive: bool, paint: Paint) -> bool:
        """Draw into a picture (H, W, 4) by samples x samples points of each pixel; `adaptive` shades fewer of them.

        Straight alpha; pixels that nothing covers stay as they are. False, and nothing is drawn, where a vertex is too
        near to the camera or behind it.
        """
        height, width = picture.shape[:2]
        corners = self._corners(camera, width * samples, height * samples)
        if corners is None:
            return False
        buffers, band = self._buffers(height, width, samples, paint.attributes.shape[2])
        if len(paint.heights):
            buffers[3][:, 4] = paint.heights
        plan = samples, adaptive and samples > 2
        look = paint.kind, paint.frame
        _draw_picture(corners, self._faces, paint.attributes, paint.texture, look, plan, band, buffers, picture)
        return True

    def depth(self, camera: Camera, width: int, height: int) -> NDArray[np.float32] | None:
        """Depth at the pixels' centres (height, width), infinite where nothing is; None where `draw` would not draw."""
        corners = self._corners(camera, width, height)
        if corners is None:
            return None
        buffers, band = self._buffers(height, width, 1, 0)
        result = np.empty((height, width), np.float32)
        _draw_depths(corners, self._faces, np.zeros((len(self._faces), 3, 0), np.float32), band, buffers, result)
        return result

    def _corners(self, camera: Camera, columns: int, rows: int) -> Array | None:
        """Column, row and 1 / depth of each vertex, (V, 3), in a grid of points."""
        scale = np.array([camera.fx, camera.fy, camera.cx, camera.cy]) * ((columns, rows) * 2)
        corners = self._memory.array("corners", (len(self._vertices), 3), np.float64)
        return corners if _project(self._vertices, projection.world_to_camera(camera), scale, corners) else None

    def _buffers(self, height: int, width: int, samples: int, attributes: int) -> tuple[Buffers, int]:
        """Memory for a band of a picture, and how many pixel rows a band has."""
        columns = width * samples
        band = min(max(1, BAND_POINTS // (columns * samples)), height)
        rows = band * samples
        return (
            self._memory.array("drawn", (rows, columns), np.int32),
            self._memory.array("nearest", (rows, columns), np.float32),
            self._memory.array("coarse", (-(-rows // BLOCK), -(-columns // BLOCK)), np.float32),
            self._memory.array("planes", (len(self._faces), 5 + 3 * attributes), np.float64),
        ), band


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
def _draw_picture(
    corners: Array,
    triangles: Array,
    attributes: Array,
    texture: Array,
    look: tuple[int, Frame],
    plan: tuple[int, bool],
    band: int,
    buffers: Buffers,
    picture: Array,
) -> None:
    drawn, _, _, planes = buffers
    samples, height = plan[0], picture.shape[0]
    bands = -(-height // band)
    order, starts = _sort_into_bands(corners, triangles, drawn.shape[1], bands, band * samples)
    for k in range(bands):
        rows = min(band, height - k * band)
        left, right = _draw_band(corners, triangles, attributes, order, starts, (k, rows * samples), buffers)
        columns = max(left // samples, 0), min(right // samples + 1, picture.shape[1])
        shade_band(drawn, planes, texture, look, plan, columns, (k * band, rows), picture)


@kernel()
def _draw_depths(
    corners: Array, triangles: Array, attributes: Array, band: int, buffers: Buffers, depths: Array
) -> None:
    height = depths.shape[0]
    bands = -(-height // band)
    order, starts = _sort_into_bands(corners, triangles, depths.shape[1], bands, band)
    for k in range(bands):
        rows = min(band, height - k * band)
        _draw_band(corners, triangles, attributes, order, starts, (k, rows), buffers)
        for i in range(rows):
            for j in range(depths.shape[1]):
                nearest = buffers[1][i, j]
                depths[k * band + i, j] = 1.0 / nearest if nearest > 0.0 else np.inf


@kernel()
def _sort_into_bands(corners: Array, triangles: Array, columns: int, bands: int, band_rows: int) -> tuple[Array, Array]:
    """The faces that reach each band: those of band k turned to the camera are order[starts[2 k] : starts[2 k + 1]].

    Those turned away are order[starts[2 k + 1] : starts[2 k + 2]].
    """
    reach = np.empty((len(triangles), 3), np.int32)  # first and last band, and 1 for faces turned away
    starts = np.zeros(2 * bands + 1, np.int64)
    for face in range(len(triangles)):
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        ax, ay = corners[a, 0], corners[a, 1]
        bx, by = corners[b, 0], corners[b, 1]
        cx, cy = corners[c, 0], corners[c, 1]
        first = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        last = min(int(np.floor(max(ay, by, cy) - 0.5)), bands * band_rows - 1)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        reach[face, 0], reach[face, 1], reach[face, 2] = 0, -1, area > 0.0  # rows go down: clockwise is the front
        if first > last or max(ax, bx, cx) < 0.0 or min(ax, bx, cx) > columns or area == 0.0:
            continue
        reach[face, 0], reach[face, 1] = first // band_rows, last // band_rows
        for band in range(reach[face, 0], reach[face, 1] + 1):
            starts[2 * band + reach[face, 2] + 1] += 1
    for k in range(2 * bands):
        starts[k + 1] += starts[k]
    order, filled = np.empty(starts[2 * bands], np.int32), starts.copy()
    for face in range(len(triangles)):
        for band in range(reach[face, 0], reach[face, 1] + 1):
            k = 2 * band + reach[face, 2]
            order[filled[k]] = face
            filled[k] += 1
    return order, starts


@kernel()
def _draw_band(
    corners: Array,
    triangles: Array,
    attributes: Array,
    order: Array,
    starts: Array,
    where: tuple[int, int],
    buffers: Buffers,
) -> tuple[int, int]:
    """Fill in the nearest face at each point of band k, -1 where there is none, 1 / depth, and the faces' planes.

    `where` is k and the number of rows. Returned are the first and last column that may have been drawn.
    """
    k, rows = where
    drawn, nearest, coarse, planes = buffers
    drawn[:rows] = -1
    nearest[:rows] = 0.0
    top, columns = k * drawn.shape[0], drawn.shape[1]
    start, middle, end = starts[2 * k], starts[2 * k + 1], starts[2 * k + 2]
    left, right = _draw_faces(corners, triangles, attributes, order[start:middle], (top, rows), drawn, nearest, planes)
    if middle < end:
        _summarise(nearest, rows, coarse)
        seen = _leave_out_hidden(corners, triangles, order[middle:end], (top, rows), columns, coarse)
        rest = order[middle : middle + seen]
        first, last = _draw_faces(corners, triangles, attributes, rest, (top, rows), drawn, nearest, planes)
        left, right = min(left, first), max(right, last)
    return left, right


@kernel()
def _summarise(nearest: Array, rows: int, coarse: Array) -> None:
    """The least of the inverse depths in each block of points; 0 where a point is empty."""
    columns = nearest.shape[1]
    bits = nearest.view(np.int32)  # in the order of the numbers, as they are not negative, and quicker to compare
    for m in range(coarse.shape[0]):
        for n in range(coarse.shape[1]):
            least, end = np.int32(np.iinfo(np.int32).max), min(n * BLOCK + BLOCK, columns)
            for i in range(m * BLOCK, min(m * BLOCK + BLOCK, rows)):
                for j in range(n * BLOCK, end):
                    least = min(least, bits[i, j])
            coarse.view(np.int32)[m, n] = least


@kernel()
def _leave_out_hidden(
    corners: Array, triangles: Array, order: Array, band: tuple[int, int], columns: int, coarse: Array
) -> int:
    """Put the faces first that may be seen before all drawn in some block that their box reaches; their number."""
    top, rows = band
    seen = 0
    for face in order:
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        highest = min(corners[a, 1], corners[b, 1], corners[c, 1])
        lowest = max(corners[a, 1], corners[b, 1], corners[c, 1])
        left = min(corners[a, 0], corners[b, 0], corners[c, 0])
        right = max(corners[a, 0], corners[b, 0], corners[c, 0])
        near = np.float32(max(corners[a, 2], corners[b, 2], corners[c, 2]))
        first, last = max(int(highest - 1.0) - top, 0), min(int(lowest + 1.0) - top, rows - 1)
        start, end = int(max(left - 1.0, 0.0)), min(int(right + 1.0), columns - 1)
        before = False
        for m in range(first // BLOCK, last // BLOCK + 1):
            for n in range(start // BLOCK, end // BLOCK + 1):
                before |= near > coarse[m, n]
        if before:
            order[seen] = face
            seen += 1
    return seen


@kernel()
def _draw_faces(
    corners: Array,
    triangles: Array,
    attributes: Array,
    order: Array,
    band: tuple[int, int],
    drawn: Array,
    nearest: Array,
    planes: Array,
) -> tuple[int, int]:
    """Draw faces into a band, whose first row and number of rows are given; first and last column they may reach."""
    top, rows = band
    leftmost, rightmost = drawn.shape[1], -1
    for face in order:
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        ax, ay, az = corners[a, 0], corners[a, 1], corners[a, 2]
        bx, by, bz = corners[b, 0] - ax, corners[b, 1] - ay, corners[b, 2] - az
        cx, cy, cz = corners[c, 0] - ax, corners[c, 1] - ay, corners[c, 2] - az
        area = bx * cy - by * cx
        left, right = min(0.0, bx, cx), max(0.0, bx, cx)
        first_row = max(int(np.ceil(min(0.0, by, cy) + ay - 0.5)), top)
        last_row = min(int(np.floor(max(0.0, by, cy) + ay - 0.5)), top + rows - 1)
        # Weights of b and c are linear in column and row, and so is 1 / depth.
        bu, bv, cu, cv = cy / area, -cx / area, -by / area, bx / area
        zu, zv = bu * bz + cu * cz, bv * bz + cv * cz
        b_low, b_low_step, b_high, b_high_step = _bounds(bu, bv, 0.0, left, right)
        c_low, c_low_step, c_high, c_high_step = _bounds(cu, cv, 0.0, left, right)
        a_low, a_low_step, a_high, a_high_step = _bounds(-bu - cu, -bv - cv, 1.0, left, right)
        seen = False
        for row in range(first_row, last_row + 1):
            y = row + 0.5 - ay
            start = max(b_low + b_low_step * y, c_low + c_low_step * y, a_low + a_low_step * y, left)
            end = min(b_high + b_high_step * y, c_high + c_high_step * y, a_high + a_high_step * y, right)
            first = max(int(np.ceil(start + ax - 0.5 - EDGE_TOLERANCE)), 0)
            last = min(int(np.floor(end + ax - 0.5 + EDGE_TOLERANCE)), drawn.shape[1] - 1)
            near = az + zv * y + zu * (0.5 - ax)
            for column in range(first, last + 1):
                inverse_depth = np.float32(near + zu * column)
                if inverse_depth > nearest[row - top, column]:
                    nearest[row - top, column] = inverse_depth
                    drawn[row - top, column] = face
                    seen = True
        if seen:
            leftmost, rightmost = min(leftmost, int(left + ax)), max(rightmost, int(right + ax))
            planes[face, 3] = 1.0 if area < 0.0 else -1.0
            _set_planes(planes, attributes, face, (ax, ay), (az, az + bz, az + cz), (bu, bv, cu, cv))
    return leftmost, rightmost


@kernel()
def _bounds(u: float, v: float, rest: float, left: float, right: float) -> tuple[float, float, float, float]:
    """Where u * column + v * row + rest is at least 0: the first column and what a row adds, and the last one."""
    if u > 0.0:
        return -rest / u, -v / u, right, 0.0
    if u < 0.0:
        return left, 0.0, -rest / u, -v / u
    return left, 0.0, right, 0.0


@kernel()
def _set_planes(
    planes: Array,
    attributes: Array,
    face: int,
    origin: tuple[float, float],
    depths: tuple[float, float, float],
    slopes: tuple[float, float, float, float],
) -> None:
    """Fill in the planes of 1 / depth and of each attribute / depth, c + p * column + q * row: three numbers each."""
    x, y = origin
    az, bz, cz = depths
    bu, bv, cu, cv = slopes
    for k in range(attributes.shape[2] + 1):
        value, second, third, place = az, bz, cz, 0
        if k > 0:
            value, second = az * attributes[face, 0, k - 1], bz * attributes[face, 1, k - 1]
            third, place = cz * attributes[face, 2, k - 1], 2 + 3 * k
        second, third = second - value, third - value
        p, q = bu * second + cu * third, bv * second + cv * third
        planes[face, place], planes[face, place + 1], planes[face, place + 2] = value - p * x - q * y, p, q

"""Rays through a signed-distance grid and a colour grid: pictures, and the gradients of a picture loss.

Opacity follows NeuS (Wang et al. 2021, eq. 13): between two samples of a ray it is (p0 - p1) / p0, p = sigmoid(k s),
where s is the signed distance in voxels, positive outside. The gradients are written out by hand. Grids are (X, Y, Z)
float32, one value per lattice node; positions are in lattice units, so node (i, j, k) lies at (i, j, k).
"""

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.sdf.grid import BLOCKS
from meshcli.system.numba_kernel import kernel

BUFFERS = 4  # fixed, as BLOCKS is, so that sums and roundings do not depend on the number of threads
MAX_SAMPLES = 512  # along one ray, inside the active region
STOP = 1e-3  # transmittance below which a ray ends
VISIBLE = 1e-4  # opacity below which the colour of a segment is not looked up
FELT = 1e-3  # weight in the picture below which it is not corrected

Real = float | np.floating[Any]
# positions, probability, alpha, transmittance in front, colour, and room for a cell's weights
Segments = tuple[Array, Array, Array, Array, Array, Array]


@kernel()
def _sigmoid(x: Real) -> float:
    share: float = np.float32(1.0) / (np.float32(1.0) + np.exp(-x))
    return share


@kernel()
def _march(
    distance: Array, active: Array, origin: Array, direction: Array, near: Real, far: Real, step: Real,
    start: Real, positions: Array, values: Array,
) -> int:  # fmt: skip
    """Sample the distance along one ray inside the active cells: how many; fills `positions` and `values`."""
    count = 0
    t = near + start * step
    limit = positions.shape[0]
    sy, sz = distance.shape[1], distance.shape[2]
    flat = distance.ravel()
    cells = active.ravel()
    while t < far and count < limit:
        x = origin[0] + t * direction[0]
        y = origin[1] + t * direction[1]
        z = origin[2] + t * direction[2]
        i, j, k = int(x), int(y), int(z)
        base = (i * sy + j) * sz + k
        if cells[base]:
            u, v, w = x - i, y - j, z - k
            a = flat[base] + w * (flat[base + 1] - flat[base])
            b = flat[base + sz] + w * (flat[base + sz + 1] - flat[base + sz])
            up = base + sy * sz
            c = flat[up] + w * (flat[up + 1] - flat[up])
            d = flat[up + sz] + w * (flat[up + sz + 1] - flat[up + sz])
            e = a + v * (b - a)
            f = c + v * (d - c)
            positions[count] = t
            values[count] = e + u * (f - e)
            count += 1
        t += step
    return count


@kernel()
def _cell(origin: Array, direction: Array, t: Real, sx: int, sy: int, corners: Array) -> int:
    """The flat index of the cell at t of a ray; `corners` (8,) is filled with the trilinear weights of its nodes."""
    x = origin[0] + t * direction[0]
    y = origin[1] + t * direction[1]
    z = origin[2] + t * direction[2]
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - i, y - j, z - k
    for corner in range(8):
        corners[corner] = (u if corner & 4 else 1 - u) * (v if corner & 2 else 1 - v) * (w if corner & 1 else 1 - w)
    return i * sx + j * sy + k


@kernel()
def _node(cell: int, corner: int, sx: int, sy: int) -> int:
    return cell + (sx if corner & 4 else 0) + (sy if corner & 2 else 0) + (corner & 1)


@kernel()
def _composite(
    origin: Array, direction: Array, colours: Array, step: Real, count: int, segments: Segments, result: Array,
    sx: int, sy: int,
) -> int:  # fmt: skip
    """Opacity and colour of the segments between samples: how many were used; fills `result` (3,), without white."""
    positions, probability, alpha, transmittance, shade, corners = segments
    transmittance[0] = 1.0
    result[:] = 0.0
    used = 0
    for n in range(count - 1):
        used = n + 1
        ratio = probability[n + 1] / probability[n]
        alpha[n] = 1 - ratio if ratio < 1 and positions[n + 1] - positions[n] < 1.5 * step else 0.0
        transmittance[n + 1] = transmittance[n] * (1 - alpha[n])
        shade[n, :] = 1.0
        if alpha[n] > VISIBLE:
            cell = _cell(origin, direction, positions[n] + 0.5 * step, sx, sy, corners)
            shade[n, :] = 0.0
            for corner in range(8):
                node = _node(cell, corner, sx, sy)
                for c in range(3):
                    shade[n, c] += corners[corner] * colours[node, c]
            for c in range(3):
                result[c] += transmittance[n] * alpha[n] * shade[n, c]
        if transmittance[n + 1] < STOP:
            break
    return used


@kernel()
def _loss(
    result: Array, rest: Real, target: Array, huber: Real, weights: tuple[Real, Real, Real], grad_rgb: Array
) -> tuple[float, float]:
    """The loss of a ray, and its derivative by the coverage; that by the colour is left in `pull` (3,)."""
    rgb_weight, mask_weight, missing_weight = weights
    miss = 1 - rest - target[3]
    weight = mask_weight * (missing_weight if miss < 0 else np.float32(1))
    loss = weight * miss * miss
    for c in range(3):
        error = result[c] + rest - target[c]
        size = abs(error)
        if size < huber:
            loss += rgb_weight * 0.5 * error * error / huber
            grad_rgb[c] = rgb_weight * error / huber
        else:
            loss += rgb_weight * (size - 0.5 * huber)
            grad_rgb[c] = rgb_weight * (1.0 if error > 0 else -1.0)
    return loss, 2 * weight * miss


@kernel()
def _backward(
    origin: Array, direction: Array, step: Real, sharpness: Real, used: int, segments: Segments, grad_rgb: Array,
    pull_mask: Real, slope: Array, into_colour: Array, sx: int, sy: int,
) -> None:  # fmt: skip
    """Walk the segments backwards: colour gradients are spread, those of the samples' distances left in `slope`."""
    positions, probability, alpha, transmittance, shade, corners = segments
    slope[: used + 1] = 0.0
    # the derivative by the transmittance behind a segment, times that transmittance
    behind = transmittance[used] * (grad_rgb[0] + grad_rgb[1] + grad_rgb[2] - pull_mask)
    for n in range(used - 1, -1, -1):
        if alpha[n] <= 0:
            continue
        here = grad_rgb[0] * shade[n, 0] + grad_rgb[1] * shade[n, 1] + grad_rgb[2] * shade[n, 2]
        by_alpha = transmittance[n] * here - behind / max(1 - alpha[n], np.float32(1e-6))
        weight = transmittance[n] * alpha[n]
        behind += weight * here
        p0, p1 = probability[n], probability[n + 1]
        slope[n] += by_alpha * p1 / p0 * sharpness * (1 - p0)
        slope[n + 1] -= by_alpha / p0 * sharpness * p1 * (1 - p1)
        if weight > FELT:
            cell = _cell(origin, direction, positions[n] + 0.5 * step, sx, sy, corners)
            for corner in range(8):
                node = _node(cell, corner, sx, sy)
                for c in range(3):
                    into_colour[node, c] += corners[corner] * weight * grad_rgb[c]


@kernel(parallel=True)
def picture_gradients(
    distance: Array, colour: Array, active: Array, origins: Array, directions: Array, spans: Array, starts: Array,
    targets: Array, sharpness: Real, step: Real, huber: Real, weights: tuple[Real, Real, Real],
    distance_gradients: Array, colour_gradients: Array,
) -> float:  # fmt: skip
    """Add the gradients of the picture loss of some rays to the buffers; returns the mean loss.

    distance (X, Y, Z); colour (X, Y, Z, 3); active (X, Y, Z) uint8, 1 where the cell above a node is to be sampled;
    origins, directions (N, 3) in lattice units, directions of unit length; spans (N, 2) near and far;
    starts (N,) jitter in [0, 1); targets (N, 4) RGB over white and coverage, 0 to 1; weights: of colour, of coverage,
    and the factor on coverage where the body is missing;
    distance_gradients (BUFFERS, X * Y * Z, 1); colour_gradients (BUFFERS, X * Y * Z, 3).
    Loss per ray: colour * sum of Huber(rgb error) / huber + coverage * (coverage error)^2.
    """
    rays = origins.shape[0]
    losses = np.zeros(BUFFERS)
    sx, sy = distance.shape[1] * distance.shape[2], distance.shape[2]
    colours = colour.reshape(-1, 3)
    for buffer in prange(BUFFERS):
        positions, values = np.empty(MAX_SAMPLES, np.float32), np.empty(MAX_SAMPLES, np.float32)
        probability, alpha = np.empty(MAX_SAMPLES, np.float32), np.empty(MAX_SAMPLES, np.float32)
        transmittance, shade = np.empty(MAX_SAMPLES + 1, np.float32), np.empty((MAX_SAMPLES, 3), np.float32)
        corners, slope = np.empty(8, np.float32), np.empty(MAX_SAMPLES + 1, np.float32)
        result, grad_rgb = np.empty(3, np.float32), np.empty(3, np.float32)
        segments = (positions, probability, alpha, transmittance, shade, corners)
        into = distance_gradients[buffer]
        loss = 0.0
        for ray in range(buffer, rays, BUFFERS):
            origin, direction = origins[ray], directions[ray]
            near, far = spans[ray]
            count = _march(distance, active, origin, direction, near, far, step, starts[ray], positions, values)
            for n in range(count):
                probability[n] = _sigmoid(sharpness * values[n])
            used = _composite(origin, direction, colours, step, count, segments, result, sx, sy)
            lost, pull_mask = _loss(result, transmittance[used], targets[ray], huber, weights, grad_rgb)
            loss += lost
            _backward(
                origin, direction, step, sharpness, used, segments, grad_rgb, pull_mask, slope,
                colour_gradients[buffer], sx, sy,
            )  # fmt: skip
            for n in range(min(used + 1, count)):
                if slope[n] != 0:
                    cell = _cell(origin, direction, positions[n], sx, sy, corners)
                    for corner in range(8):
                        into[_node(cell, corner, sx, sy), 0] += corners[corner] * slope[n]
        losses[buffer] = loss
    total: float = losses.sum() / max(rays, 1)
    return total


@kernel(parallel=True)
def collect(buffers: Array, nodes: Array, total: Array) -> None:
    """Sum gradient buffers (BUFFERS, X * Y * Z, C) at some nodes into `total` (X * Y * Z, C), and clear them there."""
    channels = buffers.shape[2]
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            for c in range(channels):
                value = buffers[0, at, c]
                buffers[0, at, c] = 0
                for b in range(1, buffers.shape[0]):
                    value += buffers[b, at, c]
                    buffers[b, at, c] = 0
                total[at, c] = value


@kernel(parallel=True)
def adam(values: Array, gradients: Array, first: Array, second: Array, nodes: Array, rate: Real, turn: int) -> None:
    """One step of Adam (Kingma and Ba 2015, beta 0.9 and 0.99) on (X * Y * Z, C) at some nodes, kept within [0, 1]."""
    fair_first, fair_second = 1 / (1 - 0.9**turn), 1 / (1 - 0.99**turn)
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            for c in range(values.shape[1]):
                g = gradients[at, c]
                a = np.float32(0.9) * first[at, c] + np.float32(0.1) * g
                b = np.float32(0.99) * second[at, c] + np.float32(0.01) * g * g
                first[at, c], second[at, c] = a, b
                value = values[at, c] - rate * (a * fair_first) / ((b * fair_second) ** 0.5 + np.float32(1e-8))
                values[at, c] = min(max(value, np.float32(0)), np.float32(1))


def meets(distance: Array, origins: Array, directions: Array, spans: Array, level: float) -> NDArray[np.bool_]:
    """Whether rays in lattice units (N, 3) come below `level` of a distance grid, looking every half voxel; (N,)."""
    low = distance < level
    cells = np.zeros(distance.shape, np.uint8)  # 1 where any of a cell's nodes is below
    for corner in range(8):
        moved = tuple(slice(1, None) if corner >> axis & 1 else slice(-1) for axis in range(3))
        cells[:-1, :-1, :-1] |= low[moved]
    return _meets(distance, cells, origins, directions, spans, np.float32(level))


@kernel(parallel=True)
def _meets(
    distance: Array, cells: Array, origins: Array, directions: Array, spans: Array, level: Real
) -> NDArray[np.bool_]:
    result = np.zeros(origins.shape[0], np.bool_)
    for ray in prange(origins.shape[0]):
        positions = np.empty(MAX_SAMPLES, np.float32)
        values = np.empty(MAX_SAMPLES, np.float32)
        count = _march(
            distance, cells, origins[ray], directions[ray], spans[ray, 0], spans[ray, 1], np.float32(0.5),
            np.float32(0), positions, values,
        )  # fmt: skip
        for n in range(count):
            if values[n] < level:
                result[ray] = True
                break
    return result

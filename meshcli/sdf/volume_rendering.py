"""Volume rendering of a signed-distance grid and a colour grid, with the gradients of an image loss.

Opacity follows NeuS (Wang et al. 2021, eq. 13): between two samples of a ray, alpha = (p0 - p1) / p0, p = sigmoid(k s),
where s is the signed distance in voxels, positive outside, and k the sharpness. The backward pass is written by hand.
Grids are (X, Y, Z) float32, one value per lattice node; positions are in lattice units: node (i, j, k) is at (i, j, k).
"""

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.sdf.grid import BLOCKS
from meshcli.system.numba_kernel import kernel

BUFFERS = 4  # gradient buffers: fixed, as BLOCKS is, so that sums and roundings do not depend on the thread count
MAX_SAMPLES = 512  # per ray, inside the active cells: the diagonal of a cube of 236 voxels at 0.8 voxels a step
# Cut-offs that save time. Each is below 1/255, half a step of an 8-bit channel, so that no pixel shows the difference.
MIN_TRANSMITTANCE = 1e-3  # a ray ends where less than this is left
MIN_ALPHA = 1e-4  # the colour of a segment with less opacity is not looked up
MIN_COLOUR_WEIGHT = 1e-3  # segments with less weight in the pixel pass no gradient on to the colour grid

Scalar = float | np.floating[Any]
# Per ray: sample positions t, sigmoids p, alpha, transmittance in front of each segment, rgb, scratch (8,) for weights
Segments = tuple[Array, Array, Array, Array, Array, Array]


@kernel()
def _sigmoid(x: Scalar) -> float:
    value: float = np.float32(1.0) / (np.float32(1.0) + np.exp(-x))
    return value


@kernel()
def _march(
    distance: Array, active: Array, origin: Array, direction: Array, near: Scalar, far: Scalar, step: Scalar,
    start: Scalar, positions: Array, values: Array,
) -> int:  # fmt: skip
    """Sample the distance along one ray inside the active cells; fills `positions` and `values`, returns how many."""
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
def _trilinear_cell(origin: Array, direction: Array, t: Scalar, sx: int, sy: int, corners: Array) -> int:
    """Flat index of the cell at t on a ray; fills `corners` (8,) with the trilinear weights of its nodes."""
    x = origin[0] + t * direction[0]
    y = origin[1] + t * direction[1]
    z = origin[2] + t * direction[2]
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - i, y - j, z - k
    for corner in range(8):
        corners[corner] = (u if corner & 4 else 1 - u) * (v if corner & 2 else 1 - v) * (w if corner & 1 else 1 - w)
    return i * sx + j * sy + k


@kernel()
def _corner_node(cell: int, corner: int, sx: int, sy: int) -> int:
    """Flat index of one of the 8 nodes of a cell; bits 4, 2, 1 of `corner` step along x, y, z."""
    return cell + (sx if corner & 4 else 0) + (sy if corner & 2 else 0) + (corner & 1)


@kernel()
def _composite(
    origin: Array, direction: Array, colours: Array, step: Scalar, count: int, segments: Segments, result: Array,
    sx: int, sy: int,
) -> int:  # fmt: skip
    """Alpha-composite the segments between samples front to back into `result` (3,), without background.

    Returns the number of segments until the ray is opaque.
    """
    positions, probability, alpha, transmittance, rgb, corners = segments
    transmittance[0] = 1.0
    result[:] = 0.0
    used = 0
    for n in range(count - 1):
        used = n + 1
        ratio = probability[n + 1] / probability[n]
        alpha[n] = 1 - ratio if ratio < 1 and positions[n + 1] - positions[n] < 1.5 * step else 0.0
        transmittance[n + 1] = transmittance[n] * (1 - alpha[n])
        rgb[n, :] = 1.0
        if alpha[n] > MIN_ALPHA:
            cell = _trilinear_cell(origin, direction, positions[n] + 0.5 * step, sx, sy, corners)
            rgb[n, :] = 0.0
            for corner in range(8):
                node = _corner_node(cell, corner, sx, sy)
                for c in range(3):
                    rgb[n, c] += corners[corner] * colours[node, c]
            for c in range(3):
                result[c] += transmittance[n] * alpha[n] * rgb[n, c]
        if transmittance[n + 1] < MIN_TRANSMITTANCE:
            break
    return used


@kernel()
def _loss(
    result: Array,
    background: Scalar,
    target: Array,
    huber: Scalar,
    weights: tuple[Scalar, Scalar, Scalar],
    grad_rgb: Array,
) -> tuple[float, float]:
    """A ray's loss and its derivative by coverage; fills `grad_rgb` (3,). `background` is the transmittance behind all.

    `weights` are those of `image_loss_gradients`.
    """
    rgb_weight, mask_weight, missing_weight = weights
    coverage_error = 1 - background - target[3]
    weight = mask_weight * (missing_weight if coverage_error < 0 else np.float32(1))
    loss = weight * coverage_error * coverage_error
    for c in range(3):
        error = result[c] + background - target[c]
        size = abs(error)
        if size < huber:
            loss += rgb_weight * 0.5 * error * error / huber
            grad_rgb[c] = rgb_weight * error / huber
        else:
            loss += rgb_weight * (size - 0.5 * huber)
            grad_rgb[c] = rgb_weight * (1.0 if error > 0 else -1.0)
    return loss, 2 * weight * coverage_error


@kernel()
def _backward(
    origin: Array, direction: Array, step: Scalar, sharpness: Scalar, used: int, segments: Segments, grad_rgb: Array,
    grad_coverage: Scalar, grad_samples: Array, grad_colours: Array, sx: int, sy: int,
) -> None:  # fmt: skip
    """Backward pass of `_composite`: adds to `grad_colours`, fills `grad_samples` with the derivatives by distance."""
    positions, probability, alpha, transmittance, rgb, corners = segments
    grad_samples[: used + 1] = 0.0
    # Derivative by the transmittance behind segment n, times that transmittance: it is all white background at first.
    grad_behind = transmittance[used] * (grad_rgb[0] + grad_rgb[1] + grad_rgb[2] - grad_coverage)
    for n in range(used - 1, -1, -1):
        if alpha[n] <= 0:
            continue
        grad_rgb_here = grad_rgb[0] * rgb[n, 0] + grad_rgb[1] * rgb[n, 1] + grad_rgb[2] * rgb[n, 2]
        grad_alpha = transmittance[n] * grad_rgb_here - grad_behind / max(1 - alpha[n], np.float32(1e-6))
        weight = transmittance[n] * alpha[n]
        grad_behind += weight * grad_rgb_here
        p0, p1 = probability[n], probability[n + 1]
        grad_samples[n] += grad_alpha * p1 / p0 * sharpness * (1 - p0)
        grad_samples[n + 1] -= grad_alpha / p0 * sharpness * p1 * (1 - p1)
        if weight > MIN_COLOUR_WEIGHT:
            cell = _trilinear_cell(origin, direction, positions[n] + 0.5 * step, sx, sy, corners)
            for corner in range(8):
                node = _corner_node(cell, corner, sx, sy)
                for c in range(3):
                    grad_colours[node, c] += corners[corner] * weight * grad_rgb[c]


@kernel(parallel=True)
def image_loss_gradients(
    distance: Array, colour: Array, active: Array, origins: Array, directions: Array, spans: Array, starts: Array,
    targets: Array, sharpness: Scalar, step: Scalar, huber: Scalar, weights: tuple[Scalar, Scalar, Scalar],
    grad_distances: Array, grad_colour_buffers: Array,
) -> float:  # fmt: skip
    """Add the gradients of the image loss of some rays to the buffers; returns the mean loss.

    distance (X, Y, Z); colour (X, Y, Z, 3); active (X, Y, Z) uint8, 1 where the cell above a node is to be sampled;
    origins, directions (N, 3) in lattice units, directions of unit length; spans (N, 2) near and far;
    starts (N,) jitter in [0, 1); targets (N, 4) RGB over white and coverage, 0 to 1; weights: of colour, of coverage,
    and a factor on coverage where the body is missing;
    grad_distances (BUFFERS, X * Y * Z, 1); grad_colour_buffers (BUFFERS, X * Y * Z, 3).
    Loss per ray: colour * sum of Huber(rgb error) / huber + coverage * (coverage error)^2.
    """
    rays = origins.shape[0]
    losses = np.zeros(BUFFERS)
    sx, sy = distance.shape[1] * distance.shape[2], distance.shape[2]
    colours = colour.reshape(-1, 3)
    for buffer in prange(BUFFERS):
        positions, values = np.empty(MAX_SAMPLES, np.float32), np.empty(MAX_SAMPLES, np.float32)
        probability, alpha = np.empty(MAX_SAMPLES, np.float32), np.empty(MAX_SAMPLES, np.float32)
        transmittance, rgb = np.empty(MAX_SAMPLES + 1, np.float32), np.empty((MAX_SAMPLES, 3), np.float32)
        corners, grad_samples = np.empty(8, np.float32), np.empty(MAX_SAMPLES + 1, np.float32)
        result, grad_rgb = np.empty(3, np.float32), np.empty(3, np.float32)
        segments = (positions, probability, alpha, transmittance, rgb, corners)
        grad_distance = grad_distances[buffer]
        loss = 0.0
        for ray in range(buffer, rays, BUFFERS):
            origin, direction = origins[ray], directions[ray]
            near, far = spans[ray]
            count = _march(distance, active, origin, direction, near, far, step, starts[ray], positions, values)
            for n in range(count):
                probability[n] = _sigmoid(sharpness * values[n])
            used = _composite(origin, direction, colours, step, count, segments, result, sx, sy)
            ray_loss, grad_coverage = _loss(result, transmittance[used], targets[ray], huber, weights, grad_rgb)
            loss += ray_loss
            _backward(
                origin, direction, step, sharpness, used, segments, grad_rgb, grad_coverage, grad_samples,
                grad_colour_buffers[buffer], sx, sy,
            )  # fmt: skip
            for n in range(min(used + 1, count)):
                if grad_samples[n] != 0:
                    cell = _trilinear_cell(origin, direction, positions[n], sx, sy, corners)
                    for corner in range(8):
                        grad_distance[_corner_node(cell, corner, sx, sy), 0] += corners[corner] * grad_samples[n]
        losses[buffer] = loss
    mean_loss: float = losses.sum() / max(rays, 1)
    return mean_loss


@kernel(parallel=True)
def sum_buffers(buffers: Array, nodes: Array, total: Array) -> None:
    """Sum the gradient buffers (BUFFERS, X * Y * Z, C) at some nodes into `total` (X * Y * Z, C); clear them there."""
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
def adam(values: Array, gradients: Array, first: Array, second: Array, nodes: Array, rate: Scalar, step: int) -> None:
    """One step of Adam (Kingma and Ba 2015, beta 0.9 and 0.99) at some nodes of (X * Y * Z, C), clamped to [0, 1]."""
    bias_first, bias_second = 1 / (1 - 0.9**step), 1 / (1 - 0.99**step)
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            at = nodes[n]
            for c in range(values.shape[1]):
                g = gradients[at, c]
                a = np.float32(0.9) * first[at, c] + np.float32(0.1) * g
                b = np.float32(0.99) * second[at, c] + np.float32(0.01) * g * g
                first[at, c], second[at, c] = a, b
                value = values[at, c] - rate * (a * bias_first) / ((b * bias_second) ** 0.5 + np.float32(1e-8))
                values[at, c] = min(max(value, np.float32(0)), np.float32(1))


def rays_hit(distance: Array, origins: Array, directions: Array, spans: Array, level: float) -> NDArray[np.bool_]:
    """Whether each ray (N, 3), in lattice units, reaches a distance below `level`, sampled every half voxel; (N,)."""
    below = distance < level
    cells = np.zeros(distance.shape, np.uint8)  # 1 where any of a cell's nodes is below
    for corner in range(8):
        shifted = tuple(slice(1, None) if corner >> axis & 1 else slice(-1) for axis in range(3))
        cells[:-1, :-1, :-1] |= below[shifted]
    return _rays_hit(distance, cells, origins, directions, spans, np.float32(level))


@kernel(parallel=True)
def _rays_hit(
    distance: Array, cells: Array, origins: Array, directions: Array, spans: Array, level: Scalar
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

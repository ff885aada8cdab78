"""A picture moved by a few pixels, smoothly, until its details lie where other pictures have them.

The method is Lucas and Kanade's (1981) with weights, from which the flow is spread where there is something to see and
falls off to nothing elsewhere. It works at a picture's working size; the full picture is warped with the flow enlarged.
"""

import numpy as np
from numba import prange

from meshcli.arrays import Array, Float32Array
from meshcli.pictures.interpolation import bicubic, bilinear
from meshcli.pictures.pixels import Pixels
from meshcli.system.numba_kernel import kernel
from meshcli.texturing.detail import flattened, halved, smoothed

LIMIT = 4.0  # pixels at working size: what is farther apart is another thing, or a wrong surface
MARGIN = 8  # pixels around what can be compared, within which the flow falls off
STEPS = 2  # at half and at full working size each
BLUR = 1  # pixels: radius of the blur of what is compared
LIGHTING = 12  # pixels: radius beyond which differences of colour are lighting
WINDOW = 5  # pixels: radius over which the flow is taken as constant
SPREAD = 6  # pixels: radius over which it is smoothed
NOISE = 1e-4  # squared slope of the colours (0 to 1 per pixel) from which on a place has something to align
COLOUR_SCALE = 0.08  # of the range: differences well above it are highlights or other surfaces
RELIABLE = 0.02  # share of the window that must be reliable for the flow to be taken in full


def find_flow(colours: Float32Array, wanted: Float32Array, weight: Float32Array, start: Float32Array) -> Float32Array:
    """The flow (h, w, 2), right and down in pixels, with which colours(x + flow) resembles `wanted`(x).

    `colours` (h, w, 4) premultiplied, `wanted` (h, w, 3), both 0 to 1; `weight` (h, w), 0 to 1, tells where they can be
    compared; `start` (h, w, 2) is a first guess.
    """
    box = _bounds(weight)
    flow = np.zeros_like(start)
    if box is None:
        return flow
    colours, wanted, weight, part = colours[box], wanted[box], weight[box], start[box]
    for level in (1, 0):
        images = colours, wanted * weight[..., None], weight[..., None], part
        reduced = [halved(image) for image in images] if level else images
        scale = np.float32(0.5) if level else np.float32(1.0)
        change = _find(reduced[0], reduced[1], reduced[2][..., 0], reduced[3] * scale)
        part = part + (change.repeat(2, axis=0).repeat(2, axis=1) if level else change) / scale
    flow[box] = _limited(part, LIMIT)
    return flow


def _bounds(weight: Float32Array) -> tuple[slice, slice] | None:
    """The rectangle of even sides where there is weight, and a margin around it; None where there is none."""
    sides = []
    for axis in (0, 1):
        places = np.flatnonzero(weight.any(axis=1 - axis))
        if not len(places):
            return None
        first = max(int(places[0]) - MARGIN, 0)
        last = min(int(places[-1]) + 1 + MARGIN, weight.shape[axis])
        sides.append(slice(first, last - (last - first) % 2))
    return sides[0], sides[1]


def _find(colours: Float32Array, wanted: Float32Array, weight: Float32Array, flow: Float32Array) -> Float32Array:
    """The change (h, w, 2) of a flow at one size; `wanted` (h, w, 3) is multiplied by the weights."""
    moved = warped(colours, flow)
    mask = weight * (moved[..., 3] >= 0.5)
    target = flattened(wanted / np.maximum(weight[..., None], np.float32(1e-6)), mask, BLUR, LIGHTING)
    picture = flattened(moved[..., :3] / np.maximum(moved[..., 3:], np.float32(1e-3)), mask, BLUR, LIGHTING)
    change = np.zeros_like(flow)
    for _ in range(STEPS):
        change = change + _step(warped(picture, change), target, mask)
    return change


def spread(values: Float32Array, weight: Float32Array) -> Float32Array:
    """Values (h, w) where they have weight (h, w), continued smoothly a little beyond; 0 far away."""
    sums = smoothed(np.stack([values * weight, weight], axis=-1), SPREAD)
    result: Float32Array = sums[..., 0] / (sums[..., 1] + np.float32(1e-3))
    return result


def warped(image: Float32Array, flow: Float32Array) -> Float32Array:
    """An image (h, w, C) looked up at x + flow (h, w, 2), bilinear."""
    result: Float32Array = _warp(np.ascontiguousarray(image), flow)
    return result


def warp_picture(pixels: Pixels, flow: Float32Array) -> Pixels:
    """A picture (H, W, 4) of any size warped by a flow (h, w, 2) in pixels of its own size, bicubic.

    Pixels that do not move keep their values to the bit.
    """
    result = pixels.copy()
    if np.any(flow):
        _warp_picture(pixels, _premultiplied(pixels), flow, result)
    return result


def _premultiplied(pixels: Pixels) -> Float32Array:
    values = pixels.astype(np.float32)
    values[..., :3] *= values[..., 3:] / np.float32(255.0)
    return values


def _step(picture: Float32Array, target: Float32Array, mask: Float32Array) -> Float32Array:
    """One step (h, w, 2) of Lucas and Kanade, spread smoothly."""
    sums = smoothed(_products(picture, target, mask, COLOUR_SCALE), WINDOW)
    spread = smoothed(_solve(sums, NOISE), SPREAD)
    step: Float32Array = spread[..., :2] / (spread[..., 2:] + np.float32(RELIABLE))
    return step


def _limited(flow: Float32Array, limit: float) -> Float32Array:
    """A flow (h, w, 2) shortened to `limit` where it is longer."""
    length = np.linalg.norm(flow, axis=-1, keepdims=True)
    shorter: Float32Array = flow * np.minimum(np.float32(limit) / np.maximum(length, np.float32(1e-9)), np.float32(1.0))
    return shorter


@kernel()
def _products(picture: Array, target: Array, mask: Array, scale: float) -> Array:
    """Per pixel gx^2, gx gy, gy^2, gx d, gy d and 1 (h, w, 6), times the weights; d is picture minus target."""
    height, width, channels = picture.shape
    result = np.zeros((height, width, 6), np.float32)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            if mask[i, j] <= 0.0:
                continue
            xx, xy, yy, xd, yd, dd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(channels):
                gx = 0.25 * (picture[i, j + 1, k] - picture[i, j - 1, k] + target[i, j + 1, k] - target[i, j - 1, k])
                gy = 0.25 * (picture[i + 1, j, k] - picture[i - 1, j, k] + target[i + 1, j, k] - target[i - 1, j, k])
                d = picture[i, j, k] - target[i, j, k]
                xx, xy, yy = xx + gx * gx, xy + gx * gy, yy + gy * gy
                xd, yd, dd = xd + gx * d, yd + gy * d, dd + d * d
            weight = mask[i, j] / (1.0 + dd / scale**2)
            result[i, j, 0], result[i, j, 1], result[i, j, 2] = weight * xx, weight * xy, weight * yy
            result[i, j, 3], result[i, j, 4], result[i, j, 5] = weight * xd, weight * yd, weight
    return result


@kernel()
def _solve(sums: Array, noise: float) -> Array:
    """Flow times its reliability, and the reliability (h, w, 3), from the windows' sums (h, w, 6)."""
    height, width = sums.shape[:2]
    result = np.zeros((height, width, 3), np.float32)
    for i in range(height):
        for j in range(width):
            total = sums[i, j, 5]
            if total <= 1e-4:
                continue
            xx, xy, yy = sums[i, j, 0] / total, sums[i, j, 1] / total, sums[i, j, 2] / total
            energy = xx + yy
            xx, yy = xx + noise, yy + noise
            determinant = xx * yy - xy * xy
            xd, yd = sums[i, j, 3] / total, sums[i, j, 4] / total
            reliability = min(total, 1.0) * energy / (energy + noise)
            result[i, j, 0] = -reliability * (yy * xd - xy * yd) / determinant
            result[i, j, 1] = -reliability * (xx * yd - xy * xd) / determinant
            result[i, j, 2] = reliability
    return result


@kernel()
def _warp(image: Array, flow: Array) -> Array:
    height, width, channels = image.shape
    result = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            x = min(max(j + flow[i, j, 0], 0.0), width - 1.0)
            y = min(max(i + flow[i, j, 1], 0.0), height - 1.0)
            left, upper = int(x), int(y)
            right, lower = min(left + 1, width - 1), min(upper + 1, height - 1)
            a, b = y - upper, x - left
            for k in range(channels):
                above = (1.0 - b) * image[upper, left, k] + b * image[upper, right, k]
                below = (1.0 - b) * image[lower, left, k] + b * image[lower, right, k]
                result[i, j, k] = (1.0 - a) * above + a * below
    return result


@kernel(parallel=True)
def _warp_picture(pixels: Array, premultiplied: Array, flow: Array, result: Array) -> None:
    height, width = pixels.shape[:2]
    rows, columns = flow.shape[:2]
    for i in prange(height):
        for j in range(width):
            x, y = (j + 0.5) * columns / width, (i + 0.5) * rows / height
            right = bilinear(flow[:, :, 0], x, y) * width / columns
            down = bilinear(flow[:, :, 1], x, y) * height / rows
            if abs(right) < 1e-3 and abs(down) < 1e-3:
                continue
            alpha = bicubic(premultiplied[:, :, 3], j + 0.5 + right, i + 0.5 + down)
            result[i, j, 3] = np.uint8(alpha + 0.5)
            if alpha < 0.5:
                continue
            for k in range(3):
                value = bicubic(premultiplied[:, :, k], j + 0.5 + right, i + 0.5 + down) * 255.0 / alpha
                result[i, j, k] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)

"""Fast averages over pixels, and pictures without their lighting."""

import numpy as np

from meshcli.arrays import Array, Float32Array
from meshcli.system.numba_kernel import kernel


def flattened(colours: Array, mask: Array, blur: int, coarse: int) -> Float32Array:
    """Colours (h, w, C) minus their coarse averages, both over a mask (h, w): detail without lighting.

    `blur` and `coarse` are radii in pixels, as in `smoothed`.
    """
    weighted = np.concatenate([colours * mask[..., None], mask[..., None]], axis=-1, dtype=np.float32)
    detail: Float32Array = _divided(smoothed(weighted, blur)) - _divided(smoothed(weighted, coarse))
    return detail


def smoothed(values: Float32Array, radius: int) -> Float32Array:
    """Averages (h, w, C) over squares of 2 `radius` + 1 pixels, twice, 0 outside: nearly a Gaussian.

    Its sigma is about .82 (radius + 1/2). The cost does not depend on the radius.
    """
    result = np.ascontiguousarray(values, np.float32)
    for _ in range(2):
        result = _box_along_rows(np.ascontiguousarray(_box_along_rows(result, radius).transpose(1, 0, 2)), radius)
        result = np.ascontiguousarray(result.transpose(1, 0, 2))
    return result


def _divided(weighted: Float32Array) -> Float32Array:
    """Colours times weights, followed by the weights (h, w, C + 1), divided by the weights (h, w, C)."""
    mean: Float32Array = weighted[..., :-1] / np.maximum(weighted[..., -1:], np.float32(1e-4))
    return mean


@kernel()
def _box_along_rows(values: Array, radius: int) -> Array:
    """Averages along axis 1 of (h, w, C)."""
    height, width, channels = values.shape
    result = np.empty_like(values)
    total = np.empty(channels)  # double precision: a running sum keeps its rounding
    for row in range(height):
        total[:] = 0.0
        for column in range(min(radius, width)):
            for k in range(channels):
                total[k] += values[row, column, k]
        for column in range(width):
            first, last = column - radius - 1, column + radius
            for k in range(channels):
                if last < width:
                    total[k] += values[row, last, k]
                if first >= 0:
                    total[k] -= values[row, first, k]
                result[row, column, k] = total[k] / (2 * radius + 1)
    return result

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
    source, result = np.array(values, np.float32), np.empty(values.shape, np.float32)
    for _ in range(2):
        _box_rows(source, result, radius)
        _box_columns(result, source, radius)
    return source


def halved(values: Float32Array) -> Float32Array:
    """Averages (h / 2, w / 2, C) of squares of 2 x 2 pixels; h and w are even."""
    rows = values[0::2] + values[1::2]
    return np.asarray((rows[:, 0::2] + rows[:, 1::2]) / 4.0, np.float32)


def _divided(weighted: Float32Array) -> Float32Array:
    """Colours times weights, followed by the weights (h, w, C + 1), divided by the weights (h, w, C)."""
    return np.asarray(weighted[..., :-1] / np.maximum(weighted[..., -1:], np.float32(1e-4)), np.float32)


@kernel()
def _box_rows(values: Array, result: Array, radius: int) -> None:
    """Averages along the rows of (h, w, C); running sums in double precision, whose rounding does not add up."""
    height, width, channels = values.shape
    total = np.empty(channels)
    share = 1.0 / (2 * radius + 1)
    for i in range(height):
        total[:] = 0.0
        for j in range(min(radius, width)):
            for k in range(channels):
                total[k] += values[i, j, k]
        for j in range(width):
            for k in range(channels):
                if j + radius < width:
                    total[k] += values[i, j + radius, k]
                if j > radius:
                    total[k] -= values[i, j - radius - 1, k]
                result[i, j, k] = total[k] * share


@kernel()
def _box_columns(values: Array, result: Array, radius: int) -> None:
    """Averages along the columns of (h, w, C)."""
    height, width, channels = values.shape
    total = np.zeros((width, channels))
    share = 1.0 / (2 * radius + 1)
    for i in range(min(radius, height)):
        for j in range(width):
            for k in range(channels):
                total[j, k] += values[i, j, k]
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                if i + radius < height:
                    total[j, k] += values[i + radius, j, k]
                if i > radius:
                    total[j, k] -= values[i - radius - 1, j, k]
                result[i, j, k] = total[j, k] * share

"""Bilinear lookup in a texture, in compiled loops: at one point, or fast at many.

A packed texture has one number for each texel, so that a lookup reads four: red + 256 green + 65536 blue. Its last row
and column are there twice, so that the texels to the right and below always exist. The first texel's centre is at 0.5.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.pictures.pixels import Pixels
from meshcli.system.numba_kernel import kernel

Colour = tuple[float, float, float]


def packed(image: Pixels) -> NDArray[np.int32]:
    """A picture (H, W, 3) as a packed texture (H + 1, W + 1)."""
    result = np.empty((image.shape[0] + 1, image.shape[1] + 1), np.int32)
    _pack(np.ascontiguousarray(image), result)
    return result


@kernel()
def texel(texture: Array, x: float, y: float) -> Colour:
    """Red, green and blue, 0 to 255, of a packed texture at a column and row; beyond the border it is repeated."""
    x, y = min(max(x - 0.5, 0.0), texture.shape[1] - 2.0), min(max(y - 0.5, 0.0), texture.shape[0] - 2.0)
    j, i = int(x), int(y)
    near = texture[i, j], texture[i, j + 1], texture[i + 1, j], texture[i + 1, j + 1]
    return _mixed(near, np.float32(x - j), np.float32(y - i))


@kernel()
def look_up(texture: Array, places: Array, count: int, colours: Array) -> None:
    """The same at many columns and rows, which `places` (2 or more, N) has, for the rows of `colours` (3, N)."""
    first, shares = np.empty(count, np.int32), np.empty((2, count), np.float32)
    near = np.empty((4, count), np.int32)
    width, half, zero = np.int32(texture.shape[1]), np.float32(0.5), np.float32(0.0)
    last_column, last_row = np.float32(texture.shape[1] - 2), np.float32(texture.shape[0] - 2)
    for n in range(count):
        x, y = min(max(places[0, n] - half, zero), last_column), min(max(places[1, n] - half, zero), last_row)
        j, i = np.int32(x), np.int32(y)
        shares[0, n], shares[1, n] = x - np.float32(j), y - np.float32(i)
        first[n] = i * width + j
    texels, right, below = texture.reshape(-1), np.uint64(1), np.uint64(texture.shape[1])
    for n in range(count):
        here = np.uint64(first[n])  # unsigned: an index that may be negative takes longer
        near[0, n], near[1, n] = texels[here], texels[here + right]
        near[2, n], near[3, n] = texels[here + below], texels[here + below + right]
    for n in range(count):
        corners = near[0, n], near[1, n], near[2, n], near[3, n]
        colours[0, n], colours[1, n], colours[2, n] = _mixed(corners, shares[0, n], shares[1, n])


@kernel()
def _mixed(corners: tuple[int, int, int, int], p: Any, q: Any) -> Colour:
    """The mean of four packed texels by the shares of the way to the right and down, in float32."""
    both = p * q
    weights = np.float32(1.0) - p - q + both, p - both, q - both, both
    return _channel(corners, weights, 0), _channel(corners, weights, 8), _channel(corners, weights, 16)


@kernel()
def _channel(corners: tuple[int, int, int, int], weights: tuple[Any, Any, Any, Any], shift: int) -> Any:
    first = weights[0] * np.float32((corners[0] >> shift) & 255) + weights[1] * np.float32((corners[1] >> shift) & 255)
    second = weights[2] * np.float32((corners[2] >> shift) & 255) + weights[3] * np.float32((corners[3] >> shift) & 255)
    return first + second


@kernel()
def _pack(image: Array, result: Array) -> None:
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            texel = image[min(i, image.shape[0] - 1), min(j, image.shape[1] - 1)]
            result[i, j] = texel[0] | texel[1] << 8 | texel[2] << 16

"""Image lookup between pixels, for compiled loops. Positions are in pixels: the first pixel's centre is at 0.5.

numba keeps a caller's machine code by the date of the caller's own file: after a change here, delete `__pycache__`.
"""

from typing import Any

from meshcli.arrays import Array
from meshcli.system.numba_kernel import kernel


@kernel()
def adjacent_pixels(position: float, count: int) -> tuple[int, int, float]:
    """The two of `count` pixels in a row whose centres enclose a position, and the fraction of the way to the second.

    Beyond the border the last pixel is repeated; a row may be a single pixel.
    """
    index = min(max(position - 0.5, 0.0), count - 1.0)
    first = int(index)
    return first, min(first + 1, count - 1), index - first


@kernel()
def bilinear(image: Array, x: float, y: float) -> Any:
    """Bilinear value of one channel (H, W) at x, y."""
    height, width = image.shape
    j, right, b = adjacent_pixels(x, width)
    i, below, a = adjacent_pixels(y, height)
    upper = (1.0 - b) * image[i, j] + b * image[i, right]
    lower = (1.0 - b) * image[below, j] + b * image[below, right]
    return (1.0 - a) * upper + a * lower


@kernel()
def bicubic(image: Array, x: float, y: float) -> Any:
    """Catmull-Rom value of one channel (H, W) at x, y, clamped to the range of the four nearest pixels."""
    height, width = image.shape
    j, right, b = adjacent_pixels(x, width)
    i, below, a = adjacent_pixels(y, height)
    total = 0.0
    for m in range(-1, 3):
        row = min(max(i + m, 0), height - 1)
        line = 0.0
        for n in range(-1, 3):
            line += catmull_rom(n - b) * image[row, min(max(j + n, 0), width - 1)]
        total += catmull_rom(m - a) * line
    low = min(image[i, j], image[i, right], image[below, j], image[below, right])
    high = max(image[i, j], image[i, right], image[below, j], image[below, right])
    return min(max(total, low), high)


@kernel()
def catmull_rom(distance: float) -> float:
    """Weight of a pixel at this distance in pixels (Catmull and Rom 1974, as a cubic convolution)."""
    t = abs(distance)
    if t < 1.0:
        return 1.0 + t * t * (1.5 * t - 2.5)
    return 2.0 + t * (-4.0 + t * (2.5 - 0.5 * t)) if t < 2.0 else 0.0


@kernel()
def six_point(distance: float) -> float:
    """Weight of a pixel at this distance in pixels: the cubic convolution over six pixels of Keys (1981, eq. 25).

    It keeps more of the finest detail than Catmull-Rom: 0.97 instead of 0.94 of the contrast at 4 pixels a period.
    """
    t = abs(distance)
    if t < 1.0:
        return 1.0 + t * t * (4.0 * t - 7.0) / 3.0
    if t < 2.0:
        return 2.5 + t * (-59.0 + t * (36.0 - 7.0 * t)) / 12.0
    return -1.5 + t * (21.0 + t * (-8.0 + t)) / 12.0 if t < 3.0 else 0.0

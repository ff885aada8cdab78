"""A plan view: the cameras around the object, seen from above. Light: no numpy.

Azimuth 0, the front, is at the bottom, where somebody stands who looks at the object; it grows counter-clockwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

HALF = 0.5  # a cell of a terminal is half as wide as high


@dataclass(frozen=True)
class Mark:
    """What stands for a camera."""

    azimuth: float  # degrees
    sign: str  # one character
    style: str


def plan_view(marks: Sequence[Mark], rows: int) -> list[list[tuple[str, str]]]:
    """Rows of (character, style), 2 * rows - 1 columns; later marks cover earlier ones."""
    columns = 2 * rows - 1
    middle, radius = (rows - 1) / 2.0, (rows - 1) / 2.0
    cells = [[(" ", "")] * columns for _ in range(rows)]
    for degrees in range(0, 360, 5):
        row, column = _cell(degrees, middle, radius)
        cells[row][column] = ("·", "dim")
    cells[round(middle)][columns // 2] = ("■", "dim")
    for mark in marks:
        row, column = _cell(mark.azimuth, middle, radius)
        cells[row][column] = (mark.sign, mark.style)
    return cells


def _cell(azimuth: float, middle: float, radius: float) -> tuple[int, int]:
    down, right = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    return round(middle + radius * down), round((middle + radius * right) / HALF)

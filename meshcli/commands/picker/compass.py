"""A plan view of the cameras around the object, from above. Light: no numpy.

Azimuth 0, the front, is at the bottom, towards the reader; azimuths grow counter-clockwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CELL_ASPECT = 0.5  # width over height of a terminal's character, as in most fonts


@dataclass(frozen=True)
class Marker:
    """The marker of a camera."""

    azimuth: float  # degrees
    symbol: str  # one character
    style: str


def plan_view(marks: Sequence[Marker], rows: int) -> list[list[tuple[str, str]]]:
    """Rows of (character, style), 2 * rows - 1 columns; later markers cover earlier ones."""
    columns = 2 * rows - 1
    middle, radius = (rows - 1) / 2.0, (rows - 1) / 2.0
    cells = [[(" ", "")] * columns for _ in range(rows)]
    for degrees in range(0, 360, 5):
        row, column = _cell(degrees, middle, radius)
        cells[row][column] = ("·", "dim")
    cells[round(middle)][columns // 2] = ("■", "dim")
    for mark in marks:
        row, column = _cell(mark.azimuth, middle, radius)
        cells[row][column] = (mark.symbol, mark.style)
    return cells


def _cell(azimuth: float, middle: float, radius: float) -> tuple[int, int]:
    down, right = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    return round(middle + radius * down), round((middle + radius * right) / CELL_ASPECT)

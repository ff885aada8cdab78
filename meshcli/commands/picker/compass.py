"""A plan view of the cameras around the object, from above. Light: no numpy.

Azimuth 0, the front, is at the bottom, towards the reader; azimuths grow counter-clockwise.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CELL_ASPECT = 0.5  # width over height of a terminal's character, as in most fonts
LEGEND = ("front", "0°→")  # inside the ring, above its lowest point: where azimuth 0 is and which way azimuths grow
Cell = tuple[str, str]  # one character and its style
RING: Cell = ("·", "dim")
MORE: Cell = ("…", "dim")


@dataclass(frozen=True)
class Marker:
    """The marker of a camera."""

    azimuth: float  # degrees
    symbol: str  # the place of its view in the selection, or a sign
    style: str


@dataclass(frozen=True)
class _Label:
    """Markers that share a stretch of a row."""

    start: int  # column
    cells: tuple[Cell, ...]

    @property
    def end(self) -> int:
        """The column after the last."""
        return self.start + len(self.cells)

    def joined(self, other: "_Label", columns: int) -> "_Label":
        """Both as one, separated by a comma, about their common middle."""
        if self.cells[-1] == MORE:
            return self
        cells = _shortened((*self.cells, (",", "dim"), *other.cells), columns)
        return _Label(_inside((self.start + other.end - len(cells)) // 2, len(cells), columns), cells)


def plan_view(dots: Iterable[Marker], labels: Sequence[Marker], rows: int, columns: int) -> list[list[Cell]]:
    """Rows of (character, style) with a ring of 2 * rows - 1 columns in the middle; columns beside it are for labels.

    Dots may cover each other. Labels never do: those of cameras at one place, and those that would touch, are joined
    by commas. What is longer than a whole row ends with an ellipsis.
    """
    columns = max(columns, 2 * rows - 1)
    cells = [[(" ", "")] * columns for _ in range(rows)]
    for degrees in range(0, 360, 5):
        row, column = _place(degrees, rows, columns)
        cells[row][column] = RING
    cells[rows // 2][columns // 2] = ("■", "dim")
    for row, text in enumerate(LEGEND, rows - 1 - len(LEGEND)):
        start = (columns - len(text)) // 2
        cells[row][start : start + len(text)] = [(sign, "dim") for sign in text]
    for dot in dots:
        row, column = _place(dot.azimuth, rows, columns)
        cells[row][column] = (dot.symbol, dot.style)
    for row in range(rows):
        here = [label for label in labels if _place(label.azimuth, rows, columns)[0] == row]
        here.sort(key=lambda label: _place(label.azimuth, rows, columns)[1])
        for label in _apart([_label(marker, rows, columns) for marker in here], columns):
            cells[row][label.start : label.end] = label.cells
            for beside in (label.start - 1, label.end):
                if 0 <= beside < columns and cells[row][beside] == RING:
                    cells[row][beside] = (" ", "")
    return cells


def _place(azimuth: float, rows: int, columns: int) -> tuple[int, int]:
    """The row and column of an azimuth on the ring."""
    radius = (rows - 1) / 2.0
    down, right = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    return round(radius + radius * down), round((columns - 1) / 2.0 + radius * right / CELL_ASPECT)


def _label(marker: Marker, rows: int, columns: int) -> _Label:
    """It begins at the camera and extends outwards, if there is room; in the middle it is centred."""
    column, middle, width = _place(marker.azimuth, rows, columns)[1], columns // 2, len(marker.symbol)
    start = column if column > middle else column - width + 1 if column < middle else column - width // 2
    return _Label(_inside(start, width, columns), tuple((sign, marker.style) for sign in marker.symbol))


def _apart(labels: Sequence[_Label], columns: int) -> list[_Label]:
    """The labels of a row, ordered from left to right, joined until a space is between each two."""
    apart: list[_Label] = []
    for each in labels:
        label = each
        while apart and apart[-1].end >= label.start:
            label = apart.pop().joined(label, columns)
        apart.append(label)
    return apart


def _shortened(cells: tuple[Cell, ...], columns: int) -> tuple[Cell, ...]:
    """As many whole numbers as a row has room for, and a sign if there are more."""
    if len(cells) <= columns:
        return cells
    end = max((place for place in range(columns) if cells[place][0] == ","), default=columns - 1)
    return (*cells[:end], MORE)


def _inside(start: int, width: int, columns: int) -> int:
    return max(0, min(start, columns - width))

"""Unique rows of integer tables, faster than numpy's: rows are packed into single integers."""

import numpy as np

from meshcli.arrays import Array

MAX_CODES = 2**62  # of a packed row, so that int64 holds it


def unique_rows(table: Array) -> tuple[Array, Array]:
    """Indices of the first occurrences (U,), in sorted order, and the inverse (N,), for integers (N, K) with N > 0.

    The same as `np.unique(table, axis=0)`, several times faster: as many columns as fit become one integer.
    """
    packed, count = np.zeros(len(table), np.int64), 1
    for column in table.T:
        low = int(column.min())
        span = int(column.max()) - low + 1
        if count * span > MAX_CODES:
            _, first, packed = np.unique(packed, return_index=True, return_inverse=True)
            count = len(first)
        packed = packed * span + (column - low)
        count *= span
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return first, inverse

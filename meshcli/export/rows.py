"""Equal rows of integer tables, as a few sorts of single numbers."""

import numpy as np

from meshcli.arrays import Array

ROOM = 2**62


def unique_rows(table: Array) -> tuple[Array, Array]:
    """Of integers (N, K), N > 0: the first row of each kind (U,), kinds in order, and the kind of each row (N,).

    What `np.unique(axis=0)` says, several times faster: as many columns as there is room for become one number.
    """
    packed, count = np.zeros(len(table), np.int64), 1
    for column in table.T:
        low = int(column.min())
        span = int(column.max()) - low + 1
        if count * span > ROOM:
            _, first, packed = np.unique(packed, return_index=True, return_inverse=True)
            count = len(first)
        packed = packed * span + (column - low)
        count *= span
    _, first, kinds = np.unique(packed, return_index=True, return_inverse=True)
    return first, kinds

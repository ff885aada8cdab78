"""Linear systems with memory for their library made sure of first."""

from functools import cache
from typing import Any

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.sparse.linalg import splu, spsolve

from meshcli.arrays import Array
from meshcli.out_of_memory import reserved

BUFFER = 40 << 20  # bytes; OpenBLAS maps 32 MB
SIZE = 512  # of a system for which it needs the buffer


def solve(matrix: Any, right_side: Array) -> Array:
    """The solution (N,) or (N, K) of a sparse system (N, N); MemoryError where there is no room."""
    ensure_buffer()
    solution: Array = spsolve(matrix, right_side)
    return solution


def factorise(matrix: Any) -> Any:
    """A sparse system (N, N), ready to be solved; MemoryError where there is no room."""
    ensure_buffer()
    return splu(matrix)


@cache
def ensure_buffer() -> None:
    """Let scipy's OpenBLAS map its work buffer now, which it keeps; MemoryError when it cannot.

    Where the system refuses that, the library in scipy 1.17 asks again and again, for ever.
    """
    with reserved(BUFFER):
        pass
    dtrsv(np.eye(SIZE), np.ones(SIZE))

"""Sparse linear systems, after making sure that OpenBLAS has its work buffer."""

from functools import cache
from typing import Any

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.sparse.linalg import splu, spsolve

from meshcli.arrays import Array
from meshcli.out_of_memory import reserved

BUFFER_BYTES = 40 << 20  # OpenBLAS maps 32 MB
BUFFERED_SIZE = 512  # unknowns of a dense system that is solved with the buffer; small ones need none


def solve(matrix: Any, right_side: Array) -> Array:
    """The solution (N,) or (N, K) of a sparse system (N, N); MemoryError when memory is short."""
    ensure_openblas_buffer()
    solution: Array = spsolve(matrix, right_side)
    return solution


def factorise(matrix: Any) -> Any:
    """The LU factorisation of a sparse system (N, N); MemoryError when memory is short."""
    ensure_openblas_buffer()
    return splu(matrix)


@cache
def ensure_openblas_buffer() -> None:
    """Make scipy's OpenBLAS map its work buffer now, which it keeps; MemoryError when it cannot.

    The OpenBLAS in scipy 1.17 retries a refused mapping for ever.
    """
    with reserved(BUFFER_BYTES):
        pass
    dtrsv(np.eye(BUFFERED_SIZE), np.ones(BUFFERED_SIZE))

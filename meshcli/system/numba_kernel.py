"""Loops compiled by numba, once per machine where the disk allows it."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(*, parallel: bool = False) -> Callable[[Function], Function]:
    """Compile a function on its first call, without the interpreter's lock, and keep the machine code on disk.

    numba looks for a writable place beside the source, then in the user's cache directory; where there is neither
    (a read-only installation without a home) it raises RuntimeError, and we compile once per process instead.

    Never fastmath: the machine code that is kept is optimised once more than the one that the compiling process runs,
    and with sums that may be reordered the two round differently. It would make `fit` 7 % faster.
    """

    def compile_it(function: Function) -> Function:
        options: dict[str, Any] = {"nogil": True, "parallel": parallel, "error_model": "numpy"}
        try:
            compiled: Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            compiled = numba.njit(**options)(function)
        return compiled

    return compile_it

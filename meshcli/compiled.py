"""Loops compiled by numba, once per machine where the disk allows it."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(*, parallel: bool = False, fastmath: bool = False) -> Callable[[Function], Function]:
    """Compile a function on its first call, without the interpreter's lock, and keep the machine code on disk.

    numba looks for a writable place beside the source, then in the user's cache directory; where there is neither
    (a read-only installation without a home) it raises RuntimeError, and we compile once per process instead.
    """

    def compile_it(function: Function) -> Function:
        # Infinities and not-a-numbers keep their meaning also in fast code.
        fast = {"reassoc", "contract", "arcp", "nsz"} if fastmath else False
        options: dict[str, Any] = {"nogil": True, "parallel": parallel, "fastmath": fast, "error_model": "numpy"}
        try:
            compiled: Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            compiled = numba.njit(**options)(function)
        return compiled

    return compile_it

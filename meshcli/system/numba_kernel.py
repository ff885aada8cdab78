"""Loops compiled by numba; the machine code is cached on disk."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

from meshcli.system import compilation

Function = TypeVar("Function", bound=Callable[..., Any])


class _CompilerListener(event.Listener):
    """Tells `compilation` when numba compiles; machine code that comes from the disk is no such event."""

    def on_start(self, _: object) -> None:
        """A compilation begins, perhaps inside another one."""
        compilation.begin()

    def on_end(self, _: object) -> None:
        """A compilation ends."""
        compilation.end()


event.register("numba:compile", _CompilerListener())  # type: ignore[no-untyped-call]


def kernel(*, parallel: bool = False, inline: bool = False) -> Callable[[Function], Function]:
    """Decorator: compile a function on its first call, to run without the GIL, and cache the machine code on disk.

    numba caches beside the source or else in the user's cache directory. Where neither can be written (a read-only
    installation without a home directory) it raises RuntimeError, and the function is compiled once per process.

    `inline` is for short functions of arrays that an inner loop calls: each call counts references to the arrays, which
    takes as long as 20 additions. An argument that is a constant is one within the function too.

    Never with fastmath, which would make `fit` 7 % faster: cached machine code is optimised once more than the code
    that the compiling process runs, and sums that may be reordered then round differently.
    """

    def compile_kernel(function: Function) -> Function:
        options: dict[str, Any] = {"nogil": True, "parallel": parallel, "error_model": "numpy"}
        if inline:
            options["inline"] = "always"
        try:
            compiled: Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            compiled = numba.njit(**options)(function)
        return compiled

    return compile_kernel

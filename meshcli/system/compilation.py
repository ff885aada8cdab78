"""Who shows progress learns here when loops are compiled, and for how long. Light: standard library only.

numba compiles in the middle of the work, on the first call of a loop, one at a time under its own lock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[bool, float], None]  # called with whether a compilation begins, and the seconds of the ended one
_LISTENERS: list[Listener] = []
_STARTS: list[float] = []  # of the compilations that run, one inside another


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a function when a compilation begins and when it ends."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def begin() -> None:
    """A compilation begins."""
    _STARTS.append(time.monotonic())
    if len(_STARTS) == 1:
        for listener in _LISTENERS:
            listener(True, 0.0)


def end() -> None:
    """A compilation ends."""
    start = _STARTS.pop()
    if not _STARTS:
        for listener in _LISTENERS:
            listener(False, time.monotonic() - start)

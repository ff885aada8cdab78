"""Memory that runs out, whichever part of torch notices it, and a second try with less of it."""

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch

from meshcli.lrm.triplane import POINTS_PER_CHUNK

T = TypeVar("T")

MMAP_THRESHOLD = -3  # of glibc's mallopt
RETRY_DIVISOR = 16  # times fewer points at a time in the second try
SAID = ("can't allocate memory", "not enough memory", "out of memory", "alloc failed")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises when there is no memory, on a GPU or not, into a MemoryError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if any(words in str(error).lower() for words in SAID):
            raise MemoryError(str(error)) from error
        raise


def retry_in_smaller_chunks(compute: Callable[[int], T]) -> T:
    """`compute` with the usual number of points at a time; once more with fewer when memory runs out."""
    return retry_after_oom(lambda: compute(POINTS_PER_CHUNK), lambda: compute(POINTS_PER_CHUNK // RETRY_DIVISOR))


def retry_after_oom(first: Callable[[], T], second: Callable[[], T] | None = None) -> T:
    """What `first` computes, or, when memory ran out, `second`, which is `first` again if there is no other."""
    try:
        with memory_errors():
            return first()
    except MemoryError:
        pass  # outside of the handler, so that the failed try's tensors are not kept alive by its traceback
    free()
    with memory_errors():
        return (second or first)()


def map_blocks_from(size: int) -> None:
    """Tell glibc from how many bytes on a block is mapped by itself, and goes when it is freed; others do nothing."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, size)


def free() -> None:
    """Give back what nobody uses."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

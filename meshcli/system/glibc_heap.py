"""Two settings of glibc's malloc about when freed memory returns to the system; no effect with other C libraries."""

import ctypes
from contextlib import suppress

M_MMAP_THRESHOLD = -3  # of mallopt, in glibc's malloc.h


def set_mmap_threshold(size: int) -> None:
    """Map blocks of `size` bytes and more individually: such a block returns to the system when it is freed."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, size)


def trim_heap() -> None:
    """Return the free pages of the heap to the system."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

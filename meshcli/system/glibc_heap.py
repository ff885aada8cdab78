"""When freed memory returns to the system: two settings of glibc's malloc, without effect on other C libraries."""

import ctypes
from contextlib import suppress

from meshcli.out_of_memory import release_memory

M_MMAP_THRESHOLD = -3  # of mallopt, in glibc's malloc.h


def set_mmap_threshold(size: int) -> None:
    """Map blocks of `size` bytes and more individually: such a block returns to the system when it is freed."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, size)


def free_memory() -> None:
    """Collect garbage, and return freed memory to the system, so that what comes next does not come on top of it.

    glibc keeps freed arrays and tensors in its heap until `malloc_trim`; other C libraries have no such call.
    """
    release_memory()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

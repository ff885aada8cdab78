"""Whether the libraries of an engine fit into memory, checked before they are loaded. Light: no numpy.

Libraries do not survive a lack of memory while they load: OpenBLAS exits or retries for ever when it cannot map its
buffers, and compiled modules crash. So the memory that they need is reserved first, in one piece, and released.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from meshcli.engines import NETWORKS
from meshcli.out_of_memory import reserved

MEGABYTE = 1 << 20
# Private memory that libraries map with one thread. tests/system/test_memory_check.py holds the first: with 60 MB for
# the interpreter, the embedded engines load within it.
EMBEDDED_MB = 200  # numpy, scipy, numba, scikit-image and Embree
RECONSTRUCTION_MB = 300  # these and torch
DIFFUSION_MB = 440  # these, torch, diffusers and transformers
MB_PER_THREAD = 80  # a buffer and a stack in numpy's OpenBLAS, and again in scipy's
OPENBLAS_MAX_THREADS = 64  # that numpy's and scipy's builds of OpenBLAS start
RESERVE_MB = 16  # enough to write a record; never touched, so it occupies no pages


def check_memory(engine: str) -> None:
    """Raise MemoryError when the libraries of an engine do not fit. Loaded ones need no more memory."""
    if "scipy" in sys.modules:
        return
    with reserved(library_bytes(engine)):
        pass


@contextmanager
def memory_reserve() -> Iterator[None]:
    """Keep a reserve during the block, so that a failure for lack of memory can be recorded after it."""
    with reserved(RESERVE_MB * MEGABYTE):
        yield


def library_bytes(engine: str) -> int:
    """Bytes that the libraries of an engine map when they are loaded."""
    base = RECONSTRUCTION_MB if engine in NETWORKS else DIFFUSION_MB if engine == "zero123plus" else EMBEDDED_MB
    return (base + MB_PER_THREAD * (_openblas_threads() - 1)) * MEGABYTE


def available_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _openblas_threads() -> int:
    """How many threads OpenBLAS starts."""
    values = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    requested = [int(text) for text in values if text.isdecimal() and int(text)]
    return min(available_cores(), OPENBLAS_MAX_THREADS, *requested[:1])

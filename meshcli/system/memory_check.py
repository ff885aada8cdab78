"""Whether there is room in memory for the libraries of an engine, asked before they are loaded. Light.

Libraries fare badly while they are loaded: OpenBLAS leaves the process, or tries for ever, when it cannot map its
buffers, and compiled modules crash. So what they take is asked for first, in one piece, and given back.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from meshcli.engines import NETWORKS
from meshcli.out_of_memory import reserved

MEGABYTE = 1 << 20
EMBEDDED = 200  # MB of private memory that numpy, scipy, numba, scikit-image and Embree map with one thread
RECONSTRUCTION = 300  # the same and torch
DIFFUSION = 440  # the same and diffusers and transformers
A_THREAD = 80  # MB: a buffer and a stack in the OpenBLAS of numpy, and again in that of scipy
SPARE = 16  # MB; never touched, so that it takes up none
MOST_THREADS = 64  # that those were built for


def check_room(engine: str) -> None:
    """Raise MemoryError when the libraries of an engine do not fit; what is loaded already takes no more."""
    if "scipy" in sys.modules:
        return
    with reserved(needed(engine)):
        pass


@contextmanager
def spare_room() -> Iterator[None]:
    """Keep some room free, so that afterwards it can be written down that the rest was not enough."""
    with reserved(SPARE * MEGABYTE):
        yield


def needed(engine: str) -> int:
    """Bytes that the libraries of an engine map by themselves."""
    base = RECONSTRUCTION if engine in NETWORKS else DIFFUSION if engine == "zero123plus" else EMBEDDED
    return (base + A_THREAD * (_threads() - 1)) * MEGABYTE


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _threads() -> int:
    """How many OpenBLAS starts."""
    told = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    wanted = [int(text) for text in told if text.isdecimal() and int(text)]
    return min(cores(), MOST_THREADS, *wanted[:1])

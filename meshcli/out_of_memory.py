"""Running out of memory: errors and signals that mean it, and trying again with less. Light: standard library only.

A failed allocation shows in many ways: a MemoryError, ENOMEM, an error of a library that says so in words, a crash, or
SIGKILL from the kernel.
"""

import errno
import gc
import mmap
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# What class names and messages of the MESSAGE_ERRORS contain after a failed allocation, in lower case.
MESSAGES = (
    "outofmemoryerror",  # class in torch for GPUs; importing torch to compare with it would take seconds
    "out of memory",  # CUDA and MPS, through torch; zlib, libpng
    "can't allocate memory",  # torch's allocator on a CPU (c10/core/impl/alloc_cpu.cpp)
    "not enough memory",  # the same where torch is built without posix_memalign
    "bad_alloc",  # std::bad_alloc of C++: Embree, xatlas, fast-simplification, onnxruntime
    "alloc failed",  # OpenBLAS; protobuf, which reads onnx files
    "cannot allocate memory",  # glibc's text for ENOMEM; numpy
    "failed to map segment",  # glibc's dynamic linker, for a compiled module that is imported
    "can't start new thread",  # CPython: there is no room for the thread's stack
    "error return without exception set",  # CPython, when compiled code fails silently: numba's does
    "without setting an exception",  # the same in other calls
    "could not create a memory object",  # oneDNN, which multiplies for torch on a CPU
    "could not execute a primitive",
)
# The same library when it has no memory for a kernel. The words with which it refuses what it has no kernel for go on:
# "could not create a primitive descriptor".
LAST_WORDS = ("could not create a primitive",)
MESSAGE_ERRORS = (RuntimeError, SystemError, ImportError)

OOM_KILLER_SIGNAL = signal.SIGKILL  # sent by Linux's OOM killer
# Libraries in C and C++ that do not check an allocation crash so, but a bug does too.
CRASH_SIGNALS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
OPENBLAS_EXIT_CODE = 1  # OpenBLAS calls exit(1) when it cannot allocate its buffers
PROCESS_START_ERRNOS = (errno.ENOMEM, errno.EAGAIN)  # fork(2) without enough memory, or with too many processes

CHUNK_DIVISOR = 16  # of the second try: far below what failed, and still large enough to be quick; not tuned


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is a failed allocation."""
    if error is None:
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or _says_out_of_memory(error):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Raise MemoryError in place of whatever a library raises when an allocation fails."""
    try:
        yield
    except MESSAGE_ERRORS as error:
        if _says_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise


def retry_after_oom(first: Callable[[], T], second: Callable[[], T] | None = None) -> T:
    """The result of `first`; if that runs out of memory, of `second`, or of `first` again when there is no other.

    Raises MemoryError when the second try runs out of memory too.
    """
    try:
        with as_memory_error():
            return first()
    except MemoryError:
        pass  # leave the handler: the traceback keeps the arrays of the failed try alive
    release_memory()
    with as_memory_error():
        return (second or first)()


def retry_in_smaller_chunks(compute: Callable[[int], T], chunk: int) -> T:
    """The result of `compute(chunk)`; if that runs out of memory, with chunks of a sixteenth of that size."""
    return retry_after_oom(lambda: compute(chunk), lambda: compute(chunk // CHUNK_DIVISOR))


def release_memory() -> None:
    """Collect garbage, and return the blocks that torch caches on a GPU."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()


def clear_failed_frames(error: BaseException) -> None:
    """Release the local variables of the calls that failed with an error, and of those it was raised from."""
    failed: BaseException | None = error
    while failed:
        traceback.clear_frames(failed.__traceback__)
        failed = failed.__cause__ or failed.__context__


@contextmanager
def reserved(size: int) -> Iterator[None]:
    """Keep `size` bytes mapped; untouched, they occupy no pages but count against limits. MemoryError where refused.

    Some libraries do not survive a failed allocation: reserving what they need shows beforehand that it is there.
    """
    try:
        block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError from error
    with block:
        yield


def _says_out_of_memory(error: BaseException) -> bool:
    text = f"{type(error).__name__} {error}".lower()
    said = any(message in text for message in MESSAGES) or text.strip().endswith(LAST_WORDS)
    return isinstance(error, MESSAGE_ERRORS) and said

"""Standard streams that are missing, that nobody reads any more, or whose disk is full. Light: standard library only.

Daemons and GUIs start programs without them, the reader of a pipe leaves, the disk behind a redirection fills up. The
work goes on in all of these: its results are files. What nobody reads is dropped; only data for standard output that a
disk refuses is an error, once.
"""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO


def prepare() -> None:
    """Make standard input, output and error usable; what another program has put in their place stays as it is."""
    _occupy()
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 (open to the end)
    sys.stdout = _guarded(sys.stdout, sys.__stdout__, matters=True)
    sys.stderr = _guarded(sys.stderr, sys.__stderr__, matters=False)


def _occupy() -> None:
    """Leave no number below 3 free: a file that got it would have messages written into it, or read as input."""
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)


def _guarded(stream: TextIO | None, first: TextIO | None, matters: bool) -> TextIO:
    """The stream that the interpreter began with, with a `_Descriptor` behind it; another one as it is."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    binary = getattr(stream, "buffer", None)
    raw = getattr(binary, "raw", binary)
    if stream is not first or not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream
    own = _Descriptor(raw.fileno(), matters)
    return io.TextIOWrapper(
        io.BufferedWriter(own) if isinstance(binary, io.BufferedWriter) else own, stream.encoding, stream.errors, "\n",
        stream.line_buffering, stream.write_through,
    )  # fmt: skip


class _Descriptor(io.FileIO):
    """Writes to a descriptor until that fails, and drops the rest; an OSError where it `matters` and was awaited."""

    def __init__(self, number: int, matters: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._matters = matters
        self._terminal = self.isatty()
        self._lost = False

    def write(self, data: Any, /) -> int:
        """As the buffer in front of it hands them over."""
        if not self._lost:
            try:
                return self._written(data)
            except OSError as error:
                self._lost = True
                # EBADF: it was opened for reading; EIO is what a terminal answers that was closed.
                left = error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EBADF)
                if self._matters and not left and not (self._terminal and error.errno == errno.EIO):
                    raise
        return memoryview(data).nbytes

    def _written(self, data: Any) -> int:
        """All of it, piece by piece; a descriptor that another process made non-blocking is waited for."""
        rest = memoryview(data)
        while rest:
            if (size := super().write(rest)) is None:
                select.select([], [self], [])
            else:
                rest = rest[size:]
        return memoryview(data).nbytes

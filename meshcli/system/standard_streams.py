"""Standard streams that are missing, closed by their reader, or on a full disk. Light: standard library only.

Daemons and GUIs start programs without streams, the reader of a pipe exits, the disk behind a redirection fills up. The
work goes on in each case, because its results are files. Output without a reader is dropped; only standard output that
a disk refuses is an error, raised once.
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
    """Make standard input, output and error usable; streams that another program has replaced stay as they are."""
    _fill_standard_descriptors()
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    sys.stdout = _wrap_output(sys.stdout, sys.__stdout__, required=True)
    sys.stderr = _wrap_output(sys.stderr, sys.__stderr__, required=False)


def _fill_standard_descriptors() -> None:
    """Leave no descriptor below 3 free: a file opened there would receive messages, or be read as input."""
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)


def _wrap_output(stream: TextIO | None, original: TextIO | None, required: bool) -> TextIO:
    """The interpreter's original stream on top of a `_TolerantOutput`; any other stream unchanged."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    binary = getattr(stream, "buffer", None)
    raw = getattr(binary, "raw", binary)
    if stream is not original or not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream
    tolerant = _TolerantOutput(raw.fileno(), required)
    return io.TextIOWrapper(
        io.BufferedWriter(tolerant) if isinstance(binary, io.BufferedWriter) else tolerant,
        stream.encoding, stream.errors, "\n",
        stream.line_buffering, stream.write_through,
    )  # fmt: skip


class _TolerantOutput(io.FileIO):
    """Writes to a descriptor until that fails, and drops the rest. If `required`, the failure is raised.

    A reader that has gone is no failure: it did not want the rest.
    """

    def __init__(self, number: int, required: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._required = required
        self._terminal = self.isatty()
        self._failed = False

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them after a failure; the number of bytes either way."""
        if not self._failed:
            try:
                return self._write_all(data)
            except OSError as error:
                self._failed = True
                # EBADF: opened for reading only. EIO: a terminal that was closed.
                reader_gone = error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EBADF)
                if self._required and not reader_gone and not (self._terminal and error.errno == errno.EIO):
                    raise
        return memoryview(data).nbytes

    def _write_all(self, data: Any) -> int:
        """Write all bytes; wait for a descriptor that another process made non-blocking."""
        rest = memoryview(data)
        while rest:
            if (size := super().write(rest)) is None:
                select.select([], [self], [])
            else:
                rest = rest[size:]
        return memoryview(data).nbytes

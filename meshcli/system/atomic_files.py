"""Atomic writes: a unique temporary name, flush, fsync, rename, fsync of the directory."""

import errno
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

LINKS_UNSUPPORTED = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)  # reported by file systems without hard links
TEMPORARY_PREFIX = ".tmp-"
TEMPORARY_NAME = re.compile(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{12}}-")  # a user's file may begin like the prefix


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files atomically: all of them under temporary names first, then rename them one right after the other."""
    pending: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            pending[path] = temporary = temporary_beside(path)
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path in files:
            pending[path].replace(path)
    finally:
        for temporary in pending.values():
            temporary.unlink(missing_ok=True)
    for directory in {path.parent for path in files}:
        _sync_directory(directory)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path with the same suffix, for code that writes the file itself; renamed when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def create_file(path: Path, data: bytes) -> None:
    """Create a file, which appears with all that it holds where the disk has links; FileExistsError if it is there."""
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(data)
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in LINKS_UNSUPPORTED:
            raise
        with path.open("xb") as file:
            file.write(data)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary_files(directory: Path) -> None:
    """Delete temporary files that a killed process left behind; the caller holds the lock."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        if TEMPORARY_NAME.match(path.name):
            with suppress(OSError):
                path.unlink()


def temporary_beside(path: Path) -> Path:
    """A new name in the same directory, which `remove_temporary_files` knows if its file is left behind."""
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}")


def _sync_directory(directory: Path) -> None:
    """Make renames durable; some systems do not let a directory be opened."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

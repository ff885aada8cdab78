"""Files that appear whole or not at all: a unique temporary name, flush, fsync, rename, fsync of the directory."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".tmp-"  # nothing else in a project begins like this


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write all of them under temporary names first, then rename them in one burst."""
    pending: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            pending[path] = temporary = _beside(path)
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
        _sync(directory)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name with the same suffix, for programs that write by themselves; renamed when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def remove_leftovers(directory: Path) -> None:
    """Delete temporary files that a killed process left behind; the caller holds the lock."""
    for path in directory.glob(f"{PREFIX}*"):
        with suppress(OSError):
            path.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{PREFIX}{secrets.token_hex(6)}-{path.name}")


def _sync(directory: Path) -> None:
    """Make the renames themselves durable; not every system lets a directory be opened."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

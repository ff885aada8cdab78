"""Folders of this machine's disk for work on what lies in storage; nothing of them is left, whatever ends it. Light.

A process that is killed cannot remove its folder. Its lock is free then, and the next process that needs one removes
it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "meshcli-batch-"
LOCK = "lock"  # in the folder, held as long as it is in use
WORK = "work"  # in it too: what the caller gets


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that is removed at the end, where TMPDIR says; those that killed processes left go too."""
    from filelock import FileLock

    remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire()
        (folder / WORK).mkdir()
        yield (folder / WORK).resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def remove_abandoned() -> None:
    """Remove the folders of this user's processes that are gone."""
    from filelock import FileLock, Timeout

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout, NotImplementedError):
            # One that is being made has no lock yet; it is never old enough to be a lost one's.
            if folder.lstat().st_uid == os.getuid() and (folder / WORK).exists():
                lock = FileLock(folder / LOCK, timeout=0)
                with lock:
                    shutil.rmtree(folder, ignore_errors=True)

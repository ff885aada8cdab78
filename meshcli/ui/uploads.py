"""Photos that a page hands in: into a private folder, under harmless names; then the command line checks them."""

import re
import shutil
import tempfile
from pathlib import Path

from meshcli.errors import UsageError

MAX_FILES = 50  # handed in at a time; by choice: more than anybody takes of one object with care
MAX_NAME = 80  # characters
UNSAFE = re.compile(r"[^\w .()+,=-]")  # letters and digits of any script stay


class Inbox:
    """A folder that only this user can read, for the files of one upload."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="meshcli-ui-"))  # with mode 700
        self.files: list[Path] = []

    def place(self, name: str) -> Path:
        """Where a file of this name goes; UsageError when there are too many."""
        if len(self.files) >= MAX_FILES:
            raise UsageError(f"at most {MAX_FILES} files at a time")
        path = self.folder / safe_name(name)
        number = 2
        while path in self.files:
            path = self.folder / f"{Path(safe_name(name)).stem}-{number}{path.suffix}"
            number += 1
        self.files.append(path)
        return path

    def remove(self) -> None:
        """Delete the folder and what is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def safe_name(name: str) -> str:
    """The last part of a file's name without anything that a shell, a path or the command line would read in it.

    `photo@45.jpg` would be read as an angle by nobody, but `photo.jpg@45` would: @ becomes -. Browsers send " as %22.
    """
    last = re.split(r"[/\\]", name)[-1].replace("%22", "-")
    cleaned = UNSAFE.sub("-", last).strip(" .-=")
    stem, dot, suffix = cleaned.rpartition(".")
    if not stem:
        stem, dot, suffix = cleaned or "photo", "", ""
    return f"{stem[:MAX_NAME]}{dot}{suffix[:10]}"

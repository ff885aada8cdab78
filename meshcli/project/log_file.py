"""DIR/log.txt: every command on a project with its messages, its failure and its end. Light.

A record is a line, `TIME PROCESS KIND TEXT`, appended by a single write, so that two processes do not disturb each
other. At a megabyte the file becomes log.1.txt. A log is never worth a failure: where it cannot be written, in a
read-only or full directory, it is not. A log.txt that does not begin as ours is the user's, and stays as it is.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, get_args

from meshcli.project.artefacts import LOG, ROTATED_LOG
from meshcli.project.project import MANIFEST
from meshcli.system.atomic_files import create_file

HEADER = b"# Log of a meshcli project: commands ($), messages (-), failures (!), ends (=). It may be deleted.\n"
MAX_BYTES = 1_000_000  # by choice: some ten thousand lines
TAIL_BYTES = 100_000  # what is read to find the last failure
PROJECT = re.compile(rb'\s*\{\s*"meshcli"\s*:')  # how our manifests begin; other programs have manifest.json too
OPENING = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Kind = Literal[
    "$",  # a command line, as it was typed
    "-",  # a message
    "!",  # the failure of a command
    "=",  # the end of a command: its exit code and duration
]
END = re.compile(r"exit (\d+)")  # the text of an end begins like this


@dataclass(frozen=True)
class LogEntry:
    """One line of a log."""

    time: str  # ISO 8601, UTC
    process: int
    kind: Kind
    text: str

    @classmethod
    def now(cls, process: int, kind: Kind, text: str) -> Self:
        """An entry about what happens now."""
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), process, kind, _on_one_line(text))

    @classmethod
    def read(cls, line: str) -> Self | None:
        """The entry that a line holds; None for any other line."""
        time, process, kind, text = (*line.split(" ", 3), "", "", "")[:4]
        known = next((each for each in get_args(Kind) if each == kind), None)
        return cls(time, int(process), known, text) if known and process.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.time} {self.process} {self.kind} {self.text}"


@dataclass(frozen=True)
class LastFailure:
    """The last command that failed, with nothing that succeeded after it."""

    command: str  # its verb
    time: str
    error: str
    exit_code: int | None  # None when the process was ended before it could tell


@dataclass(frozen=True)
class LoggedCommand:
    """A command line that ended, and when."""

    line: str
    started: str  # ISO 8601, UTC
    ended: str
    exit_code: int

    def covers(self, started: str, ended: str) -> bool:
        """Whether it ran during all of a span of time."""
        return self.started <= started and ended <= self.ended


def append(root: Path, entries: Iterable[LogEntry]) -> bool:
    """Append entries to the log of a project; False where that is not possible, or there is no project."""
    data = "".join(f"{entry}\n" for entry in entries).encode()
    with suppress(OSError):
        if not _begins(root / MANIFEST, PROJECT) or not _prepare(root):
            return False
        handle = os.open(root / LOG, OPENING)
        try:
            return os.write(handle, data) == len(data)
        finally:
            os.close(handle)
    return False


def holds(root: Path, entry: LogEntry) -> bool:
    """Whether the end of a log has an entry."""
    return entry in _last_entries(root)


def last_failure(root: Path) -> LastFailure | None:
    """The last failure, unless a command succeeded after it."""
    verbs: dict[int, str] = {}
    found: LastFailure | None = None
    process = 0  # that failed
    for entry in _last_entries(root):
        if entry.kind == "$":
            verbs[entry.process] = entry.text.split(" ")[1] if " " in entry.text else ""
        elif entry.kind == "!":
            found = LastFailure(verbs.get(entry.process, "command"), entry.time, entry.text, None)
            process = entry.process
        elif entry.kind == "=" and (end := END.match(entry.text)):
            code = int(end[1])
            if not code:
                found = None
            elif found is None:
                found = LastFailure(verbs.get(entry.process, "command"), entry.time, f"exit code {code}", code)
            elif process == entry.process:
                found = LastFailure(found.command, found.time, found.error, code)
    return found


def logged_commands(root: Path) -> list[LoggedCommand]:
    """All command lines in the log of a project that have ended, the oldest first; none without a log."""
    running: dict[int, LogEntry] = {}
    found = []
    for entry in (*_entries(root / ROTATED_LOG, 2 * MAX_BYTES), *_entries(root / LOG, 2 * MAX_BYTES)):
        if entry.kind == "$":
            running[entry.process] = entry
        elif entry.kind == "=" and (end := END.match(entry.text)) and (start := running.pop(entry.process, None)):
            found.append(LoggedCommand(start.text, start.time, entry.time, int(end[1])))
    return sorted(found, key=lambda command: command.started)


def _last_entries(root: Path) -> Iterator[LogEntry]:
    return _entries(root / LOG, TAIL_BYTES)


def _entries(path: Path, most: int) -> Iterator[LogEntry]:
    """The entries in the last bytes, `most` of them, of a log; none of a file that is not ours."""
    with suppress(OSError):
        if not _is_our_log(path):
            return
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            lines = file.read().decode(errors="replace").splitlines()
        yield from (entry for entry in map(LogEntry.read, lines) if entry)


def _prepare(root: Path) -> bool:
    """Create or rotate the log where that is due; False where it must not be written."""
    path = root / LOG
    if os.path.lexists(path) and not _is_our_log(path):
        return False
    if path.exists() and path.stat().st_size >= MAX_BYTES and not _rotate(path):
        return False
    if not path.exists():
        _create(path)
    return True


def _create(path: Path) -> None:
    """Create a log; it appears with its first line in it, for other processes look at that."""
    with suppress(FileExistsError):
        create_file(path, HEADER)


def _rotate(path: Path) -> bool:
    """Rename a full log; one process does, and the others go on in the new one. False where a user's file is there."""
    older = path.with_name(ROTATED_LOG)
    if os.path.lexists(older) and not _is_our_log(older):
        return False
    with suppress(BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_ino == path.stat().st_ino:  # else another process was faster
            path.replace(older)
    return True


def _is_our_log(path: Path) -> bool:
    return _begins(path, re.compile(re.escape(HEADER)))


def _begins(path: Path, pattern: re.Pattern[bytes]) -> bool:
    """Whether a file, and nothing else, begins with a pattern."""
    with suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            with path.open("rb") as file:
                return pattern.match(file.read(256)) is not None
    return False


def _on_one_line(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)

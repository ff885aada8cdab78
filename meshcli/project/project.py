"""The project directory: its manifest, its write lock, and paths that stay inside it. Light: no numpy."""

import errno
import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.errors import ProjectError, UsageError
from meshcli.json_table import parse_table, read_json_text
from meshcli.progress import Tell, unheard
from meshcli.project.artefacts import FOLDERS
from meshcli.project.manifest import Manifest, NewerManifestError, Output
from meshcli.system.atomic_files import remove_temporary_files, write_files
from meshcli.system.digests import bytes_digest, file_digest

if TYPE_CHECKING:
    from filelock import FileLock

MANIFEST = "manifest.json"
LOCK = ".lock"
LOCK_OWNER = re.compile(rb"\d+\n")  # what filelock writes where the system has no locks; elsewhere a lock is empty
LOCKING_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # reported by some network file systems
NAMED_FILES = 5  # in a message; more are counted
# Called when a manifest has been saved, where a copy of the project is kept somewhere else.
SAVED: ContextVar[Callable[[], None]] = ContextVar("SAVED", default=lambda: None)
LOCK_TIMEOUT = 0.5  # seconds: longer than `status` holds the lock while testing it


class LockedError(ProjectError):
    """Another process is writing the project."""

    details: Mapping[str, Any] = {"locked": True}


def locked_text(place: Path | str) -> str:
    """That another process writes a project."""
    return f"{place} is being written by another meshcli"


@dataclass(frozen=True)
class Project:
    """A directory with a manifest; nothing is read or written before a method is called."""

    root: Path

    def __init__(self, root: Path | str) -> None:
        object.__setattr__(self, "root", Path(root))

    @property
    def exists(self) -> bool:
        """Whether the directory has a manifest."""
        return (self.root / MANIFEST).exists()

    def command(self, verb: str) -> str:
        """The command line of a verb for this project, to be quoted in messages."""
        photos = " PHOTO..." if verb == "generate" and not self.exists else ""
        return f"meshcli {verb} {shlex.quote(str(self.root))}{photos}"

    def create(self) -> None:
        """Create the directory unless it exists."""
        if self.root.exists() and not self.root.is_dir():
            photo = shlex.quote(str(self.root))
            raise UsageError(f"{photo} is a file; the project directory comes first: `meshcli generate DIR {photo}`")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(f"{self.root} cannot be created: {error.strerror}") from error

    def load(self) -> Manifest:
        """Read the manifest; UsageError if there is none, ProjectError if it is damaged."""
        if not self.exists:
            raise self._no_project_error()
        path = self.path(MANIFEST)
        return _parse_manifest(read_json_text(path, ProjectError), str(path))

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest; the caller holds the write lock and has written the files it names."""
        text = json.dumps(manifest.to_json(), indent=1, allow_nan=False)
        write_files({self.path(MANIFEST): text.encode()})
        SAVED.get()()

    def path(self, file: str) -> Path:
        """The path of a file in the manifest; ProjectError if a link leads out of the project."""
        path = self.root / file
        try:
            inside = not self._may_lead_out(path) or path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError, ValueError) as error:
            raise ProjectError(f"{path} cannot be followed: {error}") from error
        if not inside:
            raise ProjectError(f"{path} leads out of the project; remove the link")
        return path

    def _may_lead_out(self, path: Path) -> bool:
        """Whether a link, or `..`, is on the way from the root to a path; without one it need not be followed."""
        if not path.is_relative_to(self.root):
            return True
        parts, place = path.parts[len(self.root.parts) :], str(self.root)
        for part in parts:
            place = f"{place}/{part}"
            try:
                if part == ".." or stat.S_ISLNK(os.lstat(place).st_mode):
                    return True
            except OSError:
                return False  # there is nothing, so no link either
        return False

    def refuse_foreign_files(self, manifest: Manifest, files: Iterable[str]) -> None:
        """UsageError where one of these files, which are about to be written, exists and is not meshcli's own."""
        own = manifest.own_files
        paths = {file: self.path(file) for file in files if file not in own}
        found = [file for file, path in paths.items() if os.path.lexists(path) and not path.is_dir()]
        if found:
            more = f" and {len(found) - NAMED_FILES} more" if len(found) > NAMED_FILES else ""
            raise UsageError(
                f"{self.root} holds files that no manifest lists as meshcli's and that would be overwritten: "
                f"{', '.join(sorted(found)[:NAMED_FILES])}{more}; choose another DIR or move them away"
            )

    def write(self, files: Mapping[str, bytes]) -> list[Output]:
        """Write files of the project atomically, all or none, and describe them."""
        write_files({self.path(file): data for file, data in files.items()})
        return [Output(file, len(data), bytes_digest(data)) for file, data in files.items()]

    def output(self, file: str) -> Output:
        """Describe an existing file of the project."""
        path = self.path(file)
        return Output(file, path.stat().st_size, file_digest(path))

    def digest(self, file: str) -> str:
        """The sha256 of a file of the project as it is now; "missing" if it does not exist."""
        path = self.path(file)
        return file_digest(path) if path.is_file() else "missing"

    @contextmanager
    def write_lock(self, wait: bool = False, tell: Tell = unheard, new: bool = False) -> Iterator[None]:
        """Hold the write lock.

        ProjectError if another process holds it, unless `wait`. UsageError if there is no manifest, unless the project
        is `new`: nothing is written into a directory that was named by mistake.
        """
        from filelock import FileLock

        if not new and not self.exists:
            raise self._no_project_error()
        lock = FileLock(self._lock_path(), timeout=-1 if wait else LOCK_TIMEOUT)
        self._acquire(lock, tell)
        try:
            if self.exists:
                self._refuse_damaged_manifest()
            for folder in (".", *FOLDERS):
                remove_temporary_files(self.path(folder))
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Whether a process holds the write lock; it is released at once where it was free."""
        from filelock import FileLock, Timeout

        path = self._lock_path()
        if not path.exists() or not os.access(path, os.W_OK):
            return False
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        except (NotImplementedError, OSError):
            return False
        lock.release()
        return False

    def _acquire(self, lock: "FileLock", tell: Tell) -> None:
        """Take the lock; on a file system that has no locks, warn and go on without it."""
        from filelock import Timeout

        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"{locked_text(self.root)}; wait for it with --wait") from error
        except IsADirectoryError as error:
            raise ProjectError(f"{self.root / LOCK} is a folder; remove it, the lock goes there") from error
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in LOCKING_UNSUPPORTED:
                raise
            tell(f"{self.root} is on a disk without locks: make sure that nobody else writes there")

    def _lock_path(self) -> Path:
        """The path of the lock file; ProjectError for a link or anything else that opening could change or block on.

        UsageError for a file of the user's, which older versions of filelock would empty.
        """
        path = self.path(LOCK)
        with suppress(FileNotFoundError, PermissionError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ProjectError(f"{path} is not a file; remove it")
            with path.open("rb") as file:
                if (content := file.read(64)) and not LOCK_OWNER.match(content):
                    raise UsageError(
                        f"{path} is not meshcli's, whose lock is empty; choose another DIR or move it away"
                    )
        return path

    def _refuse_damaged_manifest(self) -> None:
        """ProjectError for a damaged manifest, of which a copy is kept for repair."""
        try:
            self.load()
        except NewerManifestError:
            raise
        except ProjectError as error:
            raise ProjectError(f"{error}; mend it, or start again in another DIR{self._back_up_manifest()}") from error

    def _back_up_manifest(self) -> str:
        """Copy the manifest beside itself, once per content; a note with the name of the copy, empty if that failed."""
        try:
            path = self.path(MANIFEST)
            if not path.is_file():
                return ""
            digest = file_digest(path)
            for copy in (path.with_name(f"{MANIFEST}.broken-{number}") for number in count(1)):
                if not os.path.lexists(copy):
                    with path.open("rb") as source, copy.open("xb") as target:
                        shutil.copyfileobj(source, target)
                if copy.is_file() and not copy.is_symlink() and file_digest(copy) == digest:
                    return f" (a copy is {copy.name})"
        except (OSError, ProjectError):
            pass
        return ""

    def _no_project_error(self) -> UsageError:
        return UsageError(f"{self.root} is no project yet; start with `{self.command('generate')}`")


@lru_cache(maxsize=2)  # a command reads the same text several times; nobody changes a manifest, only copies of it
def _parse_manifest(text: str, where: str) -> Manifest:
    return Manifest.read(parse_table(text, where, ProjectError))

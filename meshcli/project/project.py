"""The project directory: one manifest, one writer, files that never leave it. Light: no numpy."""

import errno
import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from meshcli.errors import ProjectError, UsageError
from meshcli.json_table import read_table
from meshcli.progress import Tell, unheard
from meshcli.project.manifest import FOLDERS, Manifest, NewerManifestError, Output
from meshcli.system.atomic_files import remove_temporary_files, write_files
from meshcli.system.digests import bytes_digest, file_digest

MANIFEST = "manifest.json"
LOCK = ".lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what some network disks answer
PATIENCE = 0.5  # seconds; `status` holds the lock for an instant when it looks whether somebody works


@dataclass(frozen=True)
class Project:
    """A directory with a manifest; nothing is read or written before a method is called."""

    root: Path

    def __init__(self, root: Path | str) -> None:
        object.__setattr__(self, "root", Path(root))

    @property
    def exists(self) -> bool:
        """Whether there is a manifest."""
        return (self.root / MANIFEST).exists()

    def command(self, verb: str) -> str:
        """What to type for this project."""
        photos = " PHOTO..." if verb == "generate" and not self.exists else ""
        return f"meshcli {verb} {shlex.quote(str(self.root))}{photos}"

    def create(self) -> None:
        """Make the directory; an existing one is kept as it is."""
        if self.root.exists() and not self.root.is_dir():
            photo = shlex.quote(str(self.root))
            raise UsageError(f"{photo} is a file; the project directory comes first: `meshcli generate DIR {photo}`")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(f"{self.root} cannot be created: {error.strerror}") from error

    def load(self) -> Manifest:
        """Read the manifest; UsageError when there is none, ProjectError when it is damaged."""
        if not self.exists:
            raise self._nothing()
        return Manifest.read(read_table(self.path(MANIFEST), ProjectError))

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest; the caller holds the lock and has written the files it names."""
        text = json.dumps(manifest.to_json(), indent=1, allow_nan=False)
        write_files({self.path(MANIFEST): text.encode()})

    def path(self, file: str) -> Path:
        """Where a file of the manifest lies; a link that leads out of the project is a ProjectError."""
        path = self.root / file
        try:
            inside = path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError, ValueError) as error:
            raise ProjectError(f"{path} cannot be followed: {error}") from error
        if not inside:
            raise ProjectError(f"{path} leads out of the project; remove the link")
        return path

    def write(self, files: Mapping[str, bytes]) -> list[Output]:
        """Write some files of the project, together and atomically, and say what was written."""
        write_files({self.path(file): data for file, data in files.items()})
        return [Output(file, len(data), bytes_digest(data)) for file, data in files.items()]

    def output(self, file: str) -> Output:
        """Describe a file that is there already."""
        path = self.path(file)
        return Output(file, path.stat().st_size, file_digest(path))

    def digest(self, file: str) -> str:
        """The sha256 of a file of the project as it is now; "missing" when it is not there."""
        path = self.path(file)
        return file_digest(path) if path.is_file() else "missing"

    @contextmanager
    def writing(self, wait: bool = False, tell: Tell = unheard, new: bool = False) -> Iterator[None]:
        """Be the only writer; somebody else working is a ProjectError, or waited for.

        Only a `new` project may be without a manifest, so that nothing is left in a directory named by mistake.
        """
        from filelock import FileLock, Timeout

        if not new and not self.exists:
            raise self._nothing()
        lock = FileLock(self._lock(), timeout=-1 if wait else PATIENCE)
        try:
            lock.acquire()
        except Timeout as error:
            raise ProjectError(f"{self.root} is being written by another meshcli; wait for it with --wait") from error
        except NotImplementedError:
            tell(f"{self.root} lies on a disk without locks: make sure that nobody else writes there")
        except IsADirectoryError as error:
            raise ProjectError(f"{self.root / LOCK} is a folder; remove it, the lock goes there") from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            tell(f"{self.root} lies on a disk without locks: make sure that nobody else writes there")
        try:
            if self.exists:
                self._check_manifest()
            for folder in (".", *FOLDERS):
                remove_temporary_files(self.path(folder))
            yield
        finally:
            lock.release()

    def busy(self) -> bool:
        """Whether somebody is writing at this moment; asked without keeping the lock."""
        from filelock import FileLock, Timeout

        path = self._lock()
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

    def _lock(self) -> Path:
        """The file that is locked: opening it must not open, make or empty anything else."""
        path = self.path(LOCK)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ProjectError(f"{path} is not a file; remove it")
        return path

    def _check_manifest(self) -> None:
        """Complain about a damaged manifest before anything is touched, and copy it for whoever mends it."""
        try:
            self.load()
        except NewerManifestError:
            raise
        except ProjectError as error:
            raise ProjectError(f"{error}; mend it or remove it{self._keep_broken()}") from error

    def _keep_broken(self) -> str:
        """Copy the manifest beside itself, once for each content; says where it is."""
        try:
            path = self.path(MANIFEST)
            digest = file_digest(path) if path.is_file() else ""
            for copy in (path.with_name(f"{MANIFEST}.broken-{number}") for number in count(1)) if digest else ():
                if not os.path.lexists(copy):
                    with path.open("rb") as source, copy.open("xb") as target:
                        shutil.copyfileobj(source, target)
                if copy.is_file() and not copy.is_symlink() and file_digest(copy) == digest:
                    return f" (a copy is {copy.name})"
        except (OSError, ProjectError):
            pass
        return ""

    def _nothing(self) -> UsageError:
        return UsageError(f"{self.root} is no project yet; start with `{self.command('generate')}`")

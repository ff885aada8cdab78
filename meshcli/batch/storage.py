"""Files in storage that a URL names: s3://, gs://, az://, file:// and whatever else fsspec knows. Light.

fsspec is imported by the functions that need it. Names are relative to the URL, with / between folders. Nothing that a
storage lists is remembered, since others write there too.
"""

import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshcli.errors import MeshcliError, MissingError, ProjectError, ResourceError, UsageError
from meshcli.stages.stage_runner import DISK_FULL
from meshcli.system.atomic_files import create_file, replacing, write_files

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Where a file can be created only if it is not there. fsspec looks first and then writes for all others.
EXCLUSIVE = ("file", "local", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
LOCAL = ("file", "local")
REACH_SECONDS = 30.0  # that a storage has to answer before work starts
NOT_ALLOWED = ("credential", "forbidden", "unauthorized", "accessdenied", "access denied", "permission")


@dataclass(frozen=True)
class Found:
    """A file as a storage lists it."""

    size: int  # bytes
    version: str  # changes with the file: its entity tag or time


class Storage:
    """What lies under a URL. Its methods raise ProjectError for what is not there or not allowed.

    They raise ResourceError where the storage cannot be reached, and the system's error when a disk here is full.
    """

    def __init__(self, url: str) -> None:
        """UsageError for a kind of storage that nobody knows, MissingError where its package is not installed."""
        self.url = url.rstrip("/")
        self.scheme = url.partition("://")[0].lower()
        self._files, root = _open(self.url, self.scheme)
        self._root = root.rstrip("/")

    @property
    def creates_exclusively(self) -> bool:
        """Whether `create` is sure that no other program creates the same file."""
        return self.scheme in EXCLUSIVE

    def names(self, folder: str = "") -> dict[str, Found | None]:
        """What lies directly in a folder, None for folders; empty if there is none."""
        with self._told(folder):
            try:
                rows = self._files.ls(self._path(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        found = {str(row["name"]).rstrip("/").rpartition("/")[2]: row for row in rows}
        return {name: None if row["type"] == "directory" else _found(row) for name, row in found.items() if name}

    def files(self, folder: str = "") -> dict[str, Found]:
        """All files in a folder and those in it, by their names in it. ProjectError for a name that leads out of it."""
        start = f"{self._path(folder)}/"
        with self._told(folder):
            rows = self._files.find(start.rstrip("/"), detail=True)
        found = {path.removeprefix(start): _found(row) for path, row in rows.items() if path.startswith(start)}
        for name in found:
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                raise ProjectError(f"{self.place(folder)} holds {name!r}, which is no name of a file; remove it")
        return found

    def found(self, name: str) -> Found | None:
        """A file as the storage lists it; None if there is none."""
        with self._told(name):
            try:
                return _found(self._files.info(self._path(name)))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        with self._told(name):
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those of the files that are there, read side by side."""
        paths = {self._path(name): name for name in names}
        with self._told():
            read: Mapping[str, Any] = self._files.cat(list(paths), on_error="return") if paths else {}
            for error in read.values():
                if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                    raise error
        return {paths[path]: data for path, data in read.items() if isinstance(data, bytes)}

    def write(self, name: str, data: bytes) -> None:
        """Replace a file."""
        path = self._path(name)
        with self._told(name):
            if self.scheme in LOCAL:
                write_files({Path(path): data})
            else:
                self._files.pipe_file(path, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; False if it is."""
        path = self._path(name)
        with self._told(name):
            try:
                if self.scheme in LOCAL:
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                    create_file(Path(path), data)
                else:
                    self._files.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except Exception as error:
                if "412" in str(error) or "precondition" in str(error).lower():
                    return False
                raise
        return True

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone already are no error."""
        for name in names:
            with self._told(name), suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

    def get(self, names: Mapping[str, Path]) -> None:
        """Copy files to paths here; ProjectError if one of them is not there."""
        for path in {path.parent for path in names.values()}:
            path.mkdir(parents=True, exist_ok=True)
        if names:
            with self._told(next(iter(names))):
                self._files.get([self._path(name) for name in names], list(map(str, names.values())))

    def put(self, files: Mapping[str, Path]) -> None:
        """Replace files by copies of those here."""
        if not files:
            return
        with self._told():
            if self.scheme not in LOCAL:
                self._files.put(list(map(str, files.values())), [self._path(name) for name in files])
                return
            for name, path in files.items():
                with replacing(Path(self._path(name))) as temporary:
                    shutil.copyfile(path, temporary)

    def place(self, name: str = "") -> str:
        """The URL of a file or folder."""
        return f"{self.url}/{name}" if name else self.url

    def require_answer(self) -> None:
        """ProjectError unless the storage answers, within a time limit."""
        ended: list[MeshcliError | OSError] = []

        def look() -> None:
            try:
                self.names()
            except (MeshcliError, OSError) as error:
                ended.append(error)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(REACH_SECONDS)
        if thread.is_alive():
            raise ProjectError(f"{self.url} does not answer within {REACH_SECONDS:g} s")
        if ended:
            raise ProjectError(str(ended[0])) from ended[0]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """The errors of libraries as ours."""
        try:
            yield
        except Exception as error:
            known = _storage_error(error, self.place(name))
            if known is error:
                raise
            raise known from error


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return URL.match(text) is not None


def parent_url(url: str) -> str:
    """The URL of the folder that a file or folder lies in."""
    return url.rstrip("/").rpartition("/")[0]


def _open(url: str, scheme: str) -> tuple[Any, str]:
    """The file system, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingError(f"{url} needs fsspec: `pip install 'meshcli[storage]'`") from error
    try:
        return url_to_fs(url, use_listings_cache=False)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingError(f"{url} needs a package: `pip install {_package(error)}`") from error
    except ValueError as error:
        if "rotocol" in str(error):
            raise UsageError(f"{url}: there is no kind of storage {scheme}://") from error
        raise UsageError(f"{url} is no URL: {_first_line(error)}") from error
    except Exception as error:
        raise _storage_error(error, url) from error


def _package(error: BaseException) -> str:
    """The package whose absence is behind an error."""
    named, cause = "", error.__cause__ or error
    while isinstance(cause, ImportError):
        named = (cause.name or named).partition(".")[0]
        cause = cause.__context__ or ValueError()
    return named or "what fsspec names"


def _found(row: Mapping[str, Any]) -> Found:
    keys = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")
    version = next((str(row[key]) for key in keys if row.get(key)), "")
    return Found(int(row.get("size") or 0), version)


def _storage_error(error: Exception, place: str) -> Exception:
    """What an error of a library means to a user; an error of ours, and that of a full disk here, as it is."""
    if isinstance(error, MeshcliError) or (isinstance(error, OSError) and error.errno in DISK_FULL):
        return error
    said = _first_line(error)
    if isinstance(error, FileNotFoundError):
        what = "" if not said or said in place or place.endswith(said) else f": {said}"
        return ProjectError(f"{place} is not there{what}")
    told = f"{type(error).__name__} {said}".lower()
    if isinstance(error, PermissionError | NotImplementedError) or any(each in told for each in NOT_ALLOWED):
        return ProjectError(f"{place} cannot be used: {said}")
    return ResourceError(f"{place} cannot be reached: {said}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

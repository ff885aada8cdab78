"""A stage of an object whose project or photos lie in storage, on this machine's disk. Light.

The project is copied here, the stage runs as it does anywhere, and what it changed goes back: artefacts first, the
manifest last, so that it never names files that are not there. While the stage runs, its record goes back too, so that
tries are counted whatever ends the process. Photos are copied here for the stage that reads them.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshcli.batch.claims import RENEWAL, Claim, take
from meshcli.batch.scratch import scratch_folder
from meshcli.batch.storage import Storage, is_url, parent_url
from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.errors import InputError, MeshcliError, ProjectError
from meshcli.project.manifest import Stage
from meshcli.project.project import LOCK, MANIFEST, SAVED, LockedError, locked_text
from meshcli.stages.stage_runner import to_user_error
from meshcli.system.atomic_files import TEMPORARY_NAME
from meshcli.views.photo_cameras import RIG_FILE, split_angle

SEND_SECONDS = 5.0  # between two times that the project of a stage that runs is sent, at least; by choice

RunStage = Callable[[BatchObject, Stage], StageResult]
Stamp = tuple[int, int]  # of a file: bytes, and time of the last change in ns


def run_staged(run_stage: RunStage, item: BatchObject, stage: Stage) -> StageResult:
    """Run a stage by `run_stage`, on copies of what lies in storage. What fails with these is in the result."""
    if not item.storage and not any(map(_names_url, item.words)):
        return run_stage(item, stage)
    here = item
    try:
        with scratch_folder() as folder:
            here = replace(item, project=folder / item.name) if item.storage else item
            here = replace(here, words=_words_here(item, stage, folder / "inputs"))
            result = _run_on_copy(run_stage, here, stage) if item.storage else run_stage(here, stage)
    except (MeshcliError, OSError) as error:
        known = to_user_error(error, item.place)
        if known is None:
            raise
        locked = isinstance(known, LockedError)
        result = StageResult(item.name, stage, known.exit_code, error=str(known), tries=int(not locked), locked=locked)
    return replace(result, error=result.error.replace(str(here.project), item.place))


def _run_on_copy(run_stage: RunStage, item: BatchObject, stage: Stage) -> StageResult:
    """Run a stage on a copy of its project; LockedError where another works on it, or has taken it meanwhile."""
    storage = Storage(item.storage)
    claim = take(storage, item.name, item.driver)
    if claim is None:
        raise LockedError(locked_text(item.place))
    copy = ProjectCopy(storage, item.name, item.project)
    try:
        copy.fetch()
        with _kept_up(copy, claim):
            result = run_stage(replace(item, storage=""), stage)
        if claim.is_ours():
            copy.send()
    except BaseException:  # interrupted, most of all
        with suppress(MeshcliError, OSError):
            if claim.is_ours():
                copy.send()
        raise
    finally:
        with suppress(MeshcliError, OSError):  # it ends by itself if it cannot be taken back
            claim.release()
    if claim.lost:
        raise LockedError(f"{item.place} was taken by another meshcli, since this one did not answer for long")
    return result


@dataclass
class ProjectCopy:
    """A project in storage and its copy here."""

    storage: Storage
    name: str
    root: Path
    _known: dict[str, Stamp] = field(default_factory=dict)  # of the copies that are as they are in storage
    _stored: set[str] = field(default_factory=set)  # the files there

    def fetch(self) -> None:
        """Copy the project here."""
        found = [file for file in self.storage.files(self.name) if file != LOCK]
        self.storage.get({f"{self.name}/{file}": self.root / file for file in found})
        self._stored = set(found)
        self._known = self._files()

    def send(self) -> None:
        """Send what has changed here: artefacts, then the manifest as it was before them, then what is gone."""
        manifest = self.root / MANIFEST
        before = _stamp(manifest) if manifest.is_file() else None
        text = manifest.read_bytes() if before else b""
        files = self._files()
        changed = {file: seen for file, seen in files.items() if self._known.get(file) != seen}
        changed.pop(MANIFEST, None)
        self.storage.put({f"{self.name}/{file}": self.root / file for file in changed})
        self._known |= changed
        if before and self._known.get(MANIFEST) != before:
            self.storage.write(f"{self.name}/{MANIFEST}", text)
            self._known[MANIFEST] = before
        gone = self._stored - files.keys() - {MANIFEST}
        self.storage.remove(f"{self.name}/{file}" for file in gone)
        self._stored = (self._stored | files.keys()) - gone

    def _files(self) -> dict[str, Stamp]:
        """The files of the project, without those that only processes here have a use for."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                own = path.name == LOCK or TEMPORARY_NAME.match(path.name) or path.is_symlink()
                if not own and (seen := _stamp(path)):
                    found[path.relative_to(self.root).as_posix()] = seen
        return found


@contextmanager
def _kept_up(copy: ProjectCopy, claim: Claim) -> Iterator[None]:
    """Renew the claim while the block runs, and send the project when its manifest is saved."""
    sent = -SEND_SECONDS

    def send() -> None:
        nonlocal sent
        if time.monotonic() > sent + SEND_SECONDS:
            with suppress(MeshcliError):  # the storage is asked again at the end
                if claim.is_ours():
                    copy.send()
            sent = time.monotonic()

    over, hook = threading.Event(), SAVED.set(send)

    def renew() -> None:
        while not over.wait(RENEWAL):
            with suppress(MeshcliError, OSError):
                claim.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        SAVED.reset(hook)
        over.set()
        thread.join()


def _names_url(word: str) -> bool:
    return is_url(word.partition("=")[2] if word.startswith("-") else word)


def _words_here(item: BatchObject, stage: Stage, folder: Path) -> tuple[str, ...]:
    """The words with files of this disk in place of URLs; of a stage that reads none of them, without such words."""
    words = []
    for word in item.words:
        if not _names_url(word):
            words.append(word)
        elif stage == "generate":
            flag, equals, url = word.partition("=") if word.startswith("-") else ("", "", word)
            words.append(f"{flag}{equals}{_fetched(url, folder)}")
    return tuple(words)


def _fetched(url: str, folder: Path) -> str:
    """The path of a copy of a photo, `photo@45`, or of a rig's file or folder; a cameras.json beside it comes along."""
    url, angle = split_angle(url)
    storage, name = Storage(parent_url(url)), url.rstrip("/").rpartition("/")[2]
    parts = [part for part in storage.url.split("/") if part not in ("", ".", "..")]
    place = folder.joinpath(*(part.replace(":", "") for part in parts))
    files = storage.files(name)
    wanted = {f"{name}/{file}": place / name / file for file in files} or {name: place / name}
    try:
        storage.get(wanted)
    except ProjectError as error:
        raise InputError(str(error)) from error
    beside = place / RIG_FILE
    if not beside.exists() and (data := storage.read(RIG_FILE)):
        beside.write_bytes(data)
    return f"{place / name}{f'@{angle}' if angle else ''}"


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns

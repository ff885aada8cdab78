"""The folder of a batch in storage: a project per object under a URL. Light: no numpy.

What the driver reads and writes has a copy in a scratch folder. Records are listed and not fetched one by one: copies
of all of them lie in one file, `.batch/records.jsonl`, with the versions that they are of, and only those that have
changed since are read. Whether an object is finished is told by its record and by whether its project is listed; its
files are not looked at.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshcli.batch.batch_folder import (
    FIRST_HEADING,
    HIDDEN,
    PAGE,
    TABLE,
    BatchFolder,
    ObjectRecord,
)
from meshcli.batch.claims import taken_names
from meshcli.batch.scratch import scratch_folder
from meshcli.batch.storage import Storage, is_url
from meshcli.batch.tasks import BatchObject
from meshcli.errors import MeshcliError, ProjectError, UsageError
from meshcli.json_table import JsonTable
from meshcli.project.manifest import Manifest
from meshcli.project.project import MANIFEST
from meshcli.report.pages import MARK, MARK_WITHIN

RECORDS = f"{HIDDEN}/records.jsonl"
OBJECTS = f"{HIDDEN}/objects"
MANY = 50  # records that are read one by one before all are put into one file again; by choice


@dataclass(frozen=True)
class StorageFolder(BatchFolder):
    """As `BatchFolder`, under a URL; `root` is the scratch folder."""

    storage: Storage
    driver: str = field(default_factory=lambda: uuid.uuid4().hex)
    _records: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # name -> version, record
    _projects: set[str] = field(default_factory=set)  # what is listed
    _unsaved: set[str] = field(default_factory=set)  # records that the file of all of them lacks
    _taken: set[str] = field(default_factory=set)  # objects that somebody works on

    def placed(self, item: BatchObject) -> BatchObject:
        """The object with the place of its project."""
        new = item.name not in self._projects
        return replace(item, storage=self.storage.url, driver=self.driver, new=new)

    def place(self, name: str = "") -> str:
        """Where a file of the batch is, for people."""
        return self.storage.place(name)

    def check(self) -> None:
        """ProjectError where the storage does not answer, UsageError where a file that is not ours is in the way."""
        if self.storage.scheme == "memory":
            raise UsageError(f"--out {self.place()} ends with this process; name a storage that stays")
        self.storage.require_answer()
        found = self.storage.names()
        if MANIFEST in found:
            raise UsageError(f"--out {self.place()} is a project itself; name a folder for many of them")
        if TABLE in found and not self._begin(TABLE).startswith(f"{FIRST_HEADING},".encode()):
            raise UsageError(f"{self.place(TABLE)} is no table of meshcli's; move it away, or name another --out")
        if PAGE in found and MARK not in self._begin(PAGE)[:MARK_WITHIN]:
            raise UsageError(f"{self.place(PAGE)} is no page of meshcli's; move it away, or name another --out")
        self._look(found)

    def prepare(self, list_path: Path | str, objects: Iterable[BatchObject]) -> None:
        """Keep what the batch is called with; ProjectError where nothing can be written."""
        self._save_batch(list_path, objects)
        self.publish(f"{HIDDEN}/{self._file.name}")

    def warnings(self) -> list[str]:
        """What a user should know about the storage before work starts."""
        if self._tells_twice():
            return []
        return [f"{self.place()} cannot keep two programs apart: make sure that nobody else works on it"]

    def _tells_twice(self) -> bool:
        """Whether the storage tells when a file is created that is there already, so that claims hold."""
        trial = f"{HIDDEN}/try-{self.driver}"
        self.storage.write(trial, b"")
        try:
            return self.storage.creates_exclusively and not self.storage.create(trial, b"")
        except MeshcliError:  # a server that does not know such a request
            return False
        finally:
            self.storage.remove([trial])

    def refresh(self) -> None:
        """List projects, records and claims, and read the records that have changed."""
        self._look(self.storage.names())

    def record(self, name: str) -> ObjectRecord | None:
        """How an object ended; None where that is not known."""
        with suppress(MeshcliError, ValueError):
            _, data = self._records.get(name, ("", b""))
            return ObjectRecord.read(JsonTable(json.loads(data), name, ProjectError)) if data else None
        return None

    def save_record(self, record: ObjectRecord) -> None:
        """Keep how an object ended."""
        file = f"{OBJECTS}/{record.name}.json"
        self.storage.write(file, record.to_bytes())
        found = self.storage.found(file)
        self._records[record.name] = found.version if found else "", record.to_bytes()
        self._unsaved.add(record.name)
        if record.manifest:
            self._projects.add(record.name)

    def fits(self, item: BatchObject, record: ObjectRecord) -> bool:
        """Whether the project is listed as it should be, and nobody works on it."""
        return bool(record.manifest) == (item.name in self._projects) and item.name not in self._taken

    def holds_files(self, item: BatchObject, record: ObjectRecord) -> bool:
        """Not looked at: it would take a listing for each object."""
        return True

    def bring(self, items: Iterable[BatchObject]) -> None:
        """Have the manifests and a picture of projects at hand, for the page."""
        from meshcli.report.projects_page import picture_files  # loads pictures

        found = {item.name: item for item in items if item.name in self._projects}
        manifests = self.storage.read_all(f"{name}/{MANIFEST}" for name in found)
        wanted: dict[str, Path] = {}
        for name, item in found.items():
            data = manifests.get(f"{name}/{MANIFEST}", b"")
            with suppress(MeshcliError, ValueError):
                manifest = Manifest.read(JsonTable(json.loads(data), name, ProjectError))
                wanted |= {f"{name}/{file}": item.project / file for file in picture_files(manifest)[:1]}
        here = {found[file.rpartition("/")[0]].project / MANIFEST: data for file, data in manifests.items()}
        here |= {wanted[file]: data for file, data in self.storage.read_all(wanted).items()}
        for path, data in here.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def publish(self, *names: str) -> None:
        """Let others see files of the batch that were written in `root`."""
        self.storage.put({name: self.root / name for name in names})
        if self._unsaved:
            self._save_records()

    def load_list(self) -> str:
        """The list that the batch was last called with; UsageError where there is no batch."""
        self._fetch_batch()
        return super().load_list()

    def load_objects(self) -> list[BatchObject]:
        """The objects that the batch was last called with; UsageError where there is no batch."""
        self._fetch_batch()
        return super().load_objects()

    def _fetch_batch(self) -> None:
        name = f"{HIDDEN}/{self._file.name}"
        data = self.storage.read(name)
        if data is None:
            raise UsageError(f"{self.place()} is no batch yet; start with `meshcli batch LIST --out {self.place()}`")
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_bytes(data)

    def _look(self, found: Iterable[str]) -> None:
        self._projects.clear()
        self._projects.update(found)
        self._taken.clear()
        self._taken.update(taken_names(self.storage))
        listed = self.storage.names(OBJECTS)
        versions = {name.removesuffix(".json"): each.version for name, each in listed.items() if each}
        if not self._records:
            self._records.update(_read_records(self.storage.read(RECORDS) or b""))
        for name in self._records.keys() - versions.keys():
            del self._records[name]
        changed = [name for name, version in versions.items() if self._records.get(name, ("",))[0] != version]
        read = self.storage.read_all(f"{OBJECTS}/{name}.json" for name in changed)
        for name in changed:
            if data := read.get(f"{OBJECTS}/{name}.json"):
                self._records[name] = versions[name], data
        if len(changed) > MANY:
            self._save_records()

    def _save_records(self) -> None:
        """Put all records into one file, where the next call finds them."""
        lines = (_record_line(*each) for each in self._records.values())
        with suppress(MeshcliError):  # it only saves time
            self.storage.write(RECORDS, b"".join(lines))
            self._unsaved.clear()

    def _begin(self, name: str) -> bytes:
        return self.storage.read(name) or b""


@contextmanager
def open_batch(place: str) -> Iterator[BatchFolder]:
    """The folder of a batch, which is a path or a URL. MissingError for a URL that needs a package."""
    if not is_url(place):
        yield BatchFolder(Path(place))
        return
    storage = Storage(place)
    with scratch_folder() as root:
        yield StorageFolder(root, storage)


def _record_line(version: str, data: bytes) -> bytes:
    return json.dumps([version, data.decode("utf-8", "surrogatepass")]).encode() + b"\n"


def _read_records(data: bytes) -> dict[str, tuple[str, bytes]]:
    """The records of RECORDS, by name; a line that is not as it was written is left out."""
    found = {}
    for line in data.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            version, text = json.loads(line)
            found[str(json.loads(text)["name"])] = str(version), text.encode("utf-8", "surrogatepass")
    return found

"""The folder of a batch: a project per object, and beside them what the batch was called with and what came of it.

DIR/.batch/batch.jsonl names the objects. DIR/.batch/objects/NAME.json states how an object ended, and by which files
that can be seen without reading them: it is a copy, and where it does not fit the project's manifest, that one counts.
Each object has a file of its own, so that drivers on several machines never write into the same one. Light: no numpy.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from meshcli.batch.object_list import OWN_FILES
from meshcli.batch.tasks import BatchObject
from meshcli.errors import MeshcliError, ProjectError, UsageError
from meshcli.json_table import JsonTable, read_table
from meshcli.project.manifest import ALL_STAGES, Stage
from meshcli.project.project import MANIFEST
from meshcli.report.pages import refuse_foreign_page
from meshcli.stages.stage_runner import DISK_FULL
from meshcli.system.atomic_files import write_files

HIDDEN = ".batch"
TABLE, PAGE = OWN_FILES
FIRST_HEADING = "object"  # of the table, by which it is known as ours
SCHEMA = 1

Stamp = str  # of a file: bytes, and time of the last change in ns; empty where there is none


@dataclass(frozen=True)
class StageFigures:
    """What a stage of an object took."""

    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True)
class ObjectRecord:
    """How an object ended, when it was last worked on."""

    name: str
    asked: str  # digest of what was asked for: flags, photos, stages
    exit_code: int = 0
    error: str = ""
    stage: str = ""  # that failed
    tries: int = 0  # of that stage
    figures: Mapping[Stage, StageFigures] = field(default_factory=dict)
    faces: int | None = None
    score: float | None = None  # match of the mesh to the pictures, from 0 to 1
    manifest: Stamp = ""  # of the project's manifest
    files: Mapping[str, int] = field(default_factory=dict)  # of the project -> bytes

    def to_bytes(self) -> bytes:
        """The file of the record."""
        text = json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")

    @classmethod
    def read(cls, table: JsonTable) -> "ObjectRecord":
        """Read the JSON object."""
        stages = table.table("figures")
        rows = {stage: stages.table(stage) for stage in ALL_STAGES if stage in stages.values}
        figures = {
            stage: StageFigures(row.number("seconds"), int(row.number("peak_bytes"))) for stage, row in rows.items()
        }
        faces, score = table.values.get("faces"), table.values.get("score")
        return cls(
            table.string("name"), table.string("asked"), int(table.number("exit_code")), table.string("error"),
            table.string("stage"), int(table.number("tries")), figures,
            int(table.number("faces")) if faces is not None else None,
            table.number("score") if score is not None else None,
            table.string("manifest"),
            {str(name): int(size) for name, size in table.get("files", dict).items()},
        )  # fmt: skip


@dataclass(frozen=True)
class BatchFolder:
    """DIR; nothing is read or written before a method is called."""

    root: Path

    def prepare(self, list_path: Path | str, objects: Iterable[BatchObject]) -> None:
        """Make the folder, and keep what the batch is called with; MeshcliError where it cannot, or leave nothing."""
        self.check()
        made = [each for each in (self.root, *self.root.parents) if not each.exists()]
        try:
            (self._hidden / "objects").mkdir(parents=True, exist_ok=True)
            self._refuse_read_only()
            self._save_batch(list_path, objects)
        except OSError as error:
            for each in (self._hidden / "objects", self._hidden, *made):
                with suppress(OSError):
                    each.rmdir()  # an empty one only
            if error.errno in DISK_FULL:
                raise
            raise ProjectError(f"{self.root} cannot be written: {error.strerror}") from error

    def check(self) -> None:
        """UsageError where DIR is no folder for projects, or a file that is not ours would be overwritten."""
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--out {self.root} is a file; name the folder for the projects")
        if (self.root / MANIFEST).exists():
            raise UsageError(f"--out {self.root} is a project itself; name a folder for many of them")
        if not self.root.exists():
            return
        refuse_foreign_page(self.root / PAGE)
        table = self.root / TABLE
        if os.path.lexists(table) and not _begins(table, f"{FIRST_HEADING},".encode()):
            raise UsageError(f"{table} exists and is no table of meshcli's; move it away, or name another --out")

    def load_objects(self) -> list[BatchObject]:
        """The objects that the batch was last called with; UsageError where there is no batch."""
        return [self._object(row) for row in self._rows()[1:]]

    def load_list(self) -> str:
        """The path of the list that the batch was last called with; UsageError where there is no batch."""
        list_path: str = self._rows()[0].string("list")
        return list_path

    def record(self, name: str) -> ObjectRecord | None:
        """How an object ended; None where that is not known."""
        path = self._record_path(name)
        with suppress(MeshcliError, OSError, ValueError):
            return ObjectRecord.read(read_table(path, ProjectError)) if path.exists() else None
        return None

    def save_record(self, record: ObjectRecord) -> None:
        """Keep how an object ended."""
        write_files({self._record_path(record.name): record.to_bytes()})

    def placed(self, item: BatchObject) -> BatchObject:
        """The object with the place of its project."""
        return item

    def place(self, name: str = "") -> str:
        """Where a file of the batch is, for people."""
        return str(self.root / name)

    def warnings(self) -> list[str]:
        """What a user should know about the place before work starts; it is prepared already."""
        return []

    def refresh(self) -> None:
        """Find out what others have changed; a folder is asked each time anyway."""

    def fits(self, item: BatchObject, record: ObjectRecord) -> bool:
        """Whether the project is as it was when the record was made, by its manifest."""
        return record.manifest == stamp(item.project / MANIFEST)

    def holds_files(self, item: BatchObject, record: ObjectRecord) -> bool:
        """Whether every file that the project had is there with its size."""
        root = str(item.project)
        return all(stamp(f"{root}/{file}").split(" ")[0] == str(size) for file, size in record.files.items())

    def bring(self, items: Iterable[BatchObject]) -> None:
        """Have the manifests and a picture of projects at hand, for the page."""

    def publish(self, *names: str) -> None:
        """Let others see files of the batch that were written in `root`."""

    @property
    def _hidden(self) -> Path:
        return self.root / HIDDEN

    @property
    def _file(self) -> Path:
        return self._hidden / "batch.jsonl"

    def _record_path(self, name: str) -> Path:
        return self._hidden / "objects" / f"{name}.json"

    def _save_batch(self, list_path: Path | str, objects: Iterable[BatchObject]) -> None:
        place = str(list_path.absolute()) if isinstance(list_path, Path) else list_path
        rows: list[dict[str, Any]] = [{"meshcli_batch": SCHEMA, "list": place}]
        rows += [{"name": e.name, "line": e.line, "words": e.words, "stages": e.stages} for e in objects]
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        write_files({self._file: text.encode("utf-8", "surrogatepass")})

    def _rows(self) -> list[JsonTable]:
        """The lines of the file: one about the batch, then one for each object."""
        if not self._file.is_file():
            raise UsageError(f"{self.root} is no batch yet; start with `meshcli batch LIST --out {self.root}`")
        try:
            tables = [json.loads(line) for line in self._file.read_text("utf-8", "surrogatepass").splitlines()]
        except (OSError, ValueError, RecursionError) as error:
            raise ProjectError(f"{self._file} cannot be read: {error}") from error
        if not tables or not all(isinstance(each, dict) for each in tables) or tables[0].get("meshcli_batch") != SCHEMA:
            raise ProjectError(f"{self._file} is not as this meshcli writes it; call `meshcli batch LIST` again")
        return [JsonTable(each, f"{self._file}: line {line}", ProjectError) for line, each in enumerate(tables, 1)]

    def _refuse_read_only(self) -> None:
        """OSError where no project can be made in DIR."""
        trial = self._hidden / f"try-{os.getpid()}"
        trial.mkdir(exist_ok=True)
        trial.rmdir()

    def _object(self, row: JsonTable) -> BatchObject:
        name: str = row.string("name")
        if "/" in name or name in ("", ".", ".."):
            raise row.invalid("name", name)
        stages = tuple(stage for stage in ALL_STAGES if stage in row.strings("stages"))
        return self.placed(BatchObject(name, self.root / name, row.strings("words"), stages, int(row.number("line"))))


def stamp(path: Path | str) -> Stamp:
    """Size and time of a file; empty where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # called for every photo of every object: a Path costs more than the call
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _begins(path: Path, with_what: bytes) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return file.read(len(with_what)) == with_what

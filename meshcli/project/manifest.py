"""The contents of manifest.json.

Reading checks every type and refuses paths that leave the project; unknown fields are kept and written back. Light: no
numpy.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from meshcli.errors import ProjectError
from meshcli.json_table import Table
from meshcli.views.camera import Camera, read_camera
from meshcli.views.photo_cameras import CameraPrior

SCHEMA_VERSION = 1

Stage = Literal["generate", "select", "reconstruct", "render"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Status = Literal["running", "done", "failed"]
PHOTO_NAME = re.compile("[a-z]{1,4}")  # becomes part of file names
VIEW_NAME = re.compile("[a-z]{1,4}[0-9]{0,2}")  # the name of its photo, then which of the photo's views it is
FOLDERS = ("photos", "views", "mesh", "renders")  # of the artefacts
SELECTION_SHEET = "selection.png"  # the only artefact outside them; the name and place that InstantMesh uses
MAX_SIDE = 10**6  # pixels of a picture; also the largest ratio, and 1 / the smallest, of a frame to its picture
# By choice: far more than the networks use, and 3500 views are still read in half a second.
MAX_PHOTOS, MAX_VIEWS, MAX_OUTPUTS = 500, 3500, 10_000
Chooser = Literal["person", "flag", "auto"]


class NewerManifestError(ProjectError):
    """The manifest was written by a newer version; it is not damaged."""


@dataclass(frozen=True)
class Output:
    """A file written by a stage."""

    file: str  # relative to the project, with / as separator
    size: int  # bytes
    sha256: str
    unknown_fields: dict[str, Any] = field(default_factory=dict)  # of later versions; kept, here and below

    def to_json(self) -> dict[str, Any]:
        """The JSON object in a record."""
        return {**self.unknown_fields, "file": self.file, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the JSON object in a record."""
        output = cls(safe_path(table, "file"), int(table.number("bytes")), table.text("sha256"))
        return replace(output, unknown_fields=table.rest(*output.to_json()))


@dataclass(frozen=True)
class Record:
    """The last run of a stage: what is needed to repeat it, to tell whether it is stale, and to report on it."""

    status: Status
    engine: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # every option of the engine, defaults included
    inputs: dict[str, str] = field(default_factory=dict)  # the fingerprint: a value or digest per input and setting
    outputs: tuple[Output, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # measurements and circumstances: seconds, memory, versions
    started: str = ""  # ISO 8601, UTC
    finished: str = ""
    error: str = ""
    asked: str = ""  # digest of engine and options as asked for, before `smaller` was taken
    smaller: dict[str, Any] = field(default_factory=dict)  # settings to take instead after memory ran out
    fallback: dict[str, Any] = field(default_factory=dict)  # what joins `smaller` if memory runs out in this run
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the manifest."""
        return {
            **self.unknown_fields,
            "status": self.status,
            "engine": self.engine,
            "options": self.options,
            "inputs": self.inputs,
            "outputs": [output.to_json() for output in self.outputs],
            "facts": self.facts,
            "started": self.started,
            "finished": self.finished,
            "error": self.error,
            "asked": self.asked,
            "smaller": self.smaller,
            "fallback": self.fallback,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the JSON object in the manifest."""
        status = table.text("status")
        if status not in get_args(Status):
            raise table.wrong("status", status)
        record = cls(
            status,
            table.text("engine", ""),
            table.get("options", dict, {}),
            _read_strings(table.table("inputs")),
            tuple(Output.read(row) for row in _limited_tables(table, "outputs", MAX_OUTPUTS)),
            table.get("facts", dict, {}),
            table.text("started", ""),
            table.text("finished", ""),
            table.text("error", ""),
            table.text("asked", ""),
            table.get("smaller", dict, {}),
            table.get("fallback", dict, {}),
        )
        return replace(record, unknown_fields=table.rest(*record.to_json()))


@dataclass(frozen=True)
class Photo:
    """An input photo and its cut-out, framed."""

    name: str  # a, b ... z, aa
    file: str  # the cut-out in its frame, RGBA
    original: str  # the unmodified copy in the project
    source: str  # its path as the user named it
    sha256: str  # of the original
    camera: Camera  # of the cut-out in its frame
    stated: CameraPrior = field(default_factory=CameraPrior)  # what is known about the original's camera
    size: tuple[int, ...] = ()  # width and height of the original in pixels, upright
    crop: tuple[float, ...] = ()  # the frame: left, top, width, height as fractions of the original
    prepared: str = ""  # digest of the original and of the cut-out options; empty until it is cut out
    method: str = ""  # of the cut-out: alpha, plain background, rembg ...
    painted: str = ""  # digest of what its views were generated from; only of engines that take one photo at a time
    removed: bool = False  # from the set; the entry stays, so that its name and view numbers are never reused
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the manifest."""
        return {
            **self.unknown_fields,
            "name": self.name,
            "file": self.file,
            "original": self.original,
            "source": self.source,
            "sha256": self.sha256,
            "camera": {**self.unknown_fields.get("camera", {}), **self.camera.to_json()},
            "stated": self.stated.to_json(),
            "size": list(self.size),
            "crop": list(self.crop),
            "prepared": self.prepared,
            "method": self.method,
            "painted": self.painted,
            "removed": self.removed,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the JSON object in the manifest."""
        photo = cls(
            _read_name(table, "name", PHOTO_NAME),
            safe_path(table, "file"),
            safe_path(table, "original"),
            table.text("source", ""),
            table.text("sha256"),
            read_camera(table, "camera"),
            CameraPrior.read(table.table("stated")),
            _read_size(table),
            _read_crop(table),
            table.text("prepared", ""),
            table.text("method", ""),
            table.text("painted", ""),
            table.get("removed", bool, False),
        )
        return replace(photo, unknown_fields=_unknown_fields(table, photo.to_json()))


@dataclass(frozen=True)
class ViewEntry:
    """A generated view; its number is its index in the manifest's list."""

    name: str  # a0 ... a5, b0 ...
    file: str
    photo: str  # name of the photo it was generated from
    camera: Camera
    engine: str
    scores: dict[str, Any] = field(default_factory=dict)
    removed: bool = False  # replaced by views of another engine; the entry stays, so that its number is never reused
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the manifest."""
        return {
            **self.unknown_fields,
            "name": self.name,
            "file": self.file,
            "photo": self.photo,
            "camera": {**self.unknown_fields.get("camera", {}), **self.camera.to_json()},
            "engine": self.engine,
            "scores": self.scores,
            "removed": self.removed,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the JSON object in the manifest."""
        view = cls(
            _read_name(table, "name", VIEW_NAME),
            safe_path(table, "file"),
            _read_name(table, "photo", PHOTO_NAME),
            read_camera(table, "camera"),
            table.text("engine", ""),
            table.get("scores", dict, {}),
            table.get("removed", bool, False),
        )
        return replace(view, unknown_fields=_unknown_fields(table, view.to_json()))


@dataclass(frozen=True)
class Selection:
    """The views that the mesh is reconstructed from, in order."""

    names: tuple[str, ...]
    by: Chooser
    unknown_fields: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the manifest."""
        return {**self.unknown_fields, "names": list(self.names), "by": self.by}

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the JSON object in the manifest."""
        by = table.text("by")
        if by not in get_args(Chooser):
            raise table.wrong("by", by)
        names = table.texts("names")
        if not names or len(set(names)) < len(names) or not all(map(VIEW_NAME.fullmatch, names)):
            raise table.wrong("names", list(names))
        return cls(names, by, table.rest("names", "by"))


@dataclass(frozen=True)
class Manifest:
    """The state of a project; the only source of truth about it."""

    photos: tuple[Photo, ...] = ()
    views: tuple[ViewEntry, ...] = ()
    selection: Selection | None = None
    stages: Mapping[Stage, Record] = field(default_factory=dict)
    scored: str = ""  # digest of the views that the scores were computed for
    # the transform from the world of an imported rig into ours, see world_transform.py; empty without such a rig
    frame: dict[str, Any] = field(default_factory=dict)
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    @property
    def live_photos(self) -> list[Photo]:
        """The photos that have not been removed, in the order of their names."""
        return [photo for photo in self.photos if not photo.removed]

    @property
    def live_views(self) -> dict[int, ViewEntry]:
        """The views of those photos that have not been removed themselves, by number."""
        names = {photo.name for photo in self.live_photos}
        return {number: view for number, view in enumerate(self.views) if view.photo in names and not view.removed}

    def with_record(self, stage: Stage, record: Record) -> Self:
        """A copy with another record of a stage."""
        return replace(self, stages={**self.stages, stage: record})

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the whole file."""
        return {
            "meshcli": SCHEMA_VERSION,
            **self.unknown_fields,
            "photos": [photo.to_json() for photo in self.photos],
            "views": [view.to_json() for view in self.views],
            "selection": self.selection.to_json() if self.selection else None,
            "stages": {stage: record.to_json() for stage, record in self.stages.items()},
            "scored": self.scored,
            "frame": self.frame,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the whole file; ProjectError names what is wrong with it."""
        schema = table.get("meshcli", int)
        if schema > SCHEMA_VERSION:
            raise NewerManifestError(
                f"{table.where} was written by a newer meshcli (schema {schema:.4g}, this one knows {SCHEMA_VERSION})"
            )
        if schema < 1:
            raise table.wrong("meshcli", schema)
        stages = table.table("stages")
        if unknown := stages.values.keys() - set(STAGES):
            raise stages.wrong(sorted(unknown)[0], "no such stage")
        manifest = cls(
            tuple(Photo.read(row) for row in _limited_tables(table, "photos", MAX_PHOTOS)),
            tuple(ViewEntry.read(row) for row in _limited_tables(table, "views", MAX_VIEWS)),
            Selection.read(table.table("selection")) if table.values.get("selection") is not None else None,
            {stage: Record.read(stages.table(stage)) for stage in STAGES if stage in stages.values},
            table.text("scored", ""),
            table.get("frame", dict, {}),
        )
        for key, rows in (("photos", manifest.photos), ("views", manifest.views)):
            for field_name, values in (("name", [row.name for row in rows]), ("file", [row.file for row in rows])):
                if len(set(values)) != len(values):
                    raise ProjectError(f"{table.where}: {key} holds a {field_name} twice")
        return replace(manifest, unknown_fields=table.rest(*manifest.to_json()))


def safe_path(table: Table, key: str) -> str:
    """The path at a key, checked: the manifest may come from an untrusted source.

    Relative, with / as separator, inside one of the FOLDERS. Names that cannot be printed are refused, and hidden ones
    too, which could be those of the lock or of another program's data.
    """
    text: str = table.text(key)
    folder, *names = text.split("/")
    plain = text.isprintable() and len(text) < 200 and not set(text) & {"\\", ":"}
    inside = folder in FOLDERS and names and all(name and not name.startswith(".") for name in names)
    if not plain or not (inside or text == SELECTION_SHEET):
        raise ProjectError(f"{table.where}: {key} is not a path inside the project ({text[:80]!r})")
    return text


def _read_name(table: Table, key: str, pattern: re.Pattern[str]) -> str:
    name: str = table.text(key)
    if not pattern.fullmatch(name):
        raise table.wrong(key, name)
    return name


def _limited_tables(table: Table, key: str, limit: int) -> Iterator[Table]:
    if len(table.get(key, list, [])) > limit:
        raise ProjectError(f"{table.where}: {key} has more than {limit} entries")
    return table.tables(key)


def _read_strings(table: Table) -> dict[str, str]:
    return {key: table.text(key) for key in table.values}


def _read_size(table: Table) -> tuple[int, ...]:
    size = tuple(int(value) for value in table.numbers("size", 2))
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise table.wrong("size", list(size))
    return size


def _read_crop(table: Table) -> tuple[float, ...]:
    crop = table.numbers("crop", 4)
    if min(crop[2:]) < 1.0 / MAX_SIDE or max(map(abs, crop)) > MAX_SIDE:
        raise table.wrong("crop", list(crop))
    return crop


def _unknown_fields(table: Table, known: Mapping[str, Any]) -> dict[str, Any]:
    """The unknown fields of a photo or view, and under "camera" those of its camera."""
    camera = {key: value for key, value in table.values["camera"].items() if key not in known["camera"]}
    return table.rest(*known) | ({"camera": camera} if camera else {})

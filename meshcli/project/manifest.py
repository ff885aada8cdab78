"""The contents of manifest.json.

Reading checks every type and refuses paths that leave the project; unknown fields are kept and written back. Light: no
numpy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from meshcli.errors import ProjectError
from meshcli.json_table import JsonTable
from meshcli.project.artefacts import FIXED_ARTEFACTS, generated_files
from meshcli.project.manifest_fields import (
    PHOTO_NAME,
    VIEW_NAME,
    limited_tables,
    read_crop,
    read_name,
    read_size,
    read_strings,
    safe_path,
    unknown_with_camera,
)
from meshcli.views.camera import Camera, read_camera
from meshcli.views.photo_cameras import CameraPrior

SCHEMA_VERSION = 1

RunStage = Literal["generate", "select", "reconstruct", "render"]  # those that every finished project has run
Stage = Literal[RunStage, "export"]  # `export` runs where it is asked for
STAGES: tuple[RunStage, ...] = get_args(RunStage)
ALL_STAGES: tuple[Stage, ...] = get_args(Stage)
Status = Literal["running", "done", "failed"]
MAX_VIEWS_PER_PHOTO = 7  # the six of a generator, and the photo itself
# By choice: far more than the networks use, and 3500 views are still read in half a second.
MAX_PHOTOS, MAX_VIEWS, MAX_OUTPUTS = 500, 3500, 10_000
SelectedBy = Literal["person", "flag", "auto"]


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
    def read(cls, table: JsonTable) -> Self:
        """Read the JSON object in a record."""
        output = cls(safe_path(table, "file"), int(table.number("bytes")), table.string("sha256"))
        return replace(output, unknown_fields=table.unknown_fields(*output.to_json()))


@dataclass(frozen=True)
class StageRecord:
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
    tries: int = 0  # runs that began since the stage was last done, this one included; 0: of an older version
    requested_digest: str = ""  # digest of engine and options as requested, before any reduction
    reduced_settings: dict[str, Any] = field(default_factory=dict)  # used since memory ran out
    next_reduction: dict[str, Any] = field(default_factory=dict)  # added if it runs out again
    # the requested settings (section.key) and seed that are not the defaults, before any reduction
    settings: dict[str, Any] = field(default_factory=dict)
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
            "tries": self.tries,
            "asked": self.requested_digest,
            "smaller": self.reduced_settings,
            "fallback": self.next_reduction,
            "settings": self.settings,
        }

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """Read the JSON object in the manifest."""
        status = table.string("status")
        if status not in get_args(Status):
            raise table.invalid("status", status)
        record = cls(
            status,
            table.string("engine", ""),
            table.get("options", dict, {}),
            read_strings(table.table("inputs")),
            tuple(Output.read(row) for row in limited_tables(table, "outputs", MAX_OUTPUTS)),
            table.get("facts", dict, {}),
            table.string("started", ""),
            table.string("finished", ""),
            table.string("error", ""),
            _read_tries(table),
            table.string("asked", ""),
            table.get("smaller", dict, {}),
            table.get("fallback", dict, {}),
            table.get("settings", dict, {}),
        )
        return replace(record, unknown_fields=table.unknown_fields(*record.to_json()))


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
    uncompared: bool = False  # the cut-out looks doubtful, and rembg was not there to be compared with
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
            **({"uncompared": True} if self.uncompared else {}),
            "painted": self.painted,
            "removed": self.removed,
        }

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """Read the JSON object in the manifest."""
        photo = cls(
            read_name(table, "name", PHOTO_NAME),
            safe_path(table, "file"),
            safe_path(table, "original"),
            table.string("source", ""),
            table.string("sha256"),
            read_camera(table, "camera"),
            CameraPrior.read(table.table("stated")),
            read_size(table),
            read_crop(table),
            table.string("prepared", ""),
            table.string("method", ""),
            table.get("uncompared", bool, False),
            table.string("painted", ""),
            table.get("removed", bool, False),
        )
        return replace(photo, unknown_fields=unknown_with_camera(table, photo.to_json()))


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
    def read(cls, table: JsonTable) -> Self:
        """Read the JSON object in the manifest."""
        view = cls(
            read_name(table, "name", VIEW_NAME),
            safe_path(table, "file"),
            read_name(table, "photo", PHOTO_NAME),
            read_camera(table, "camera"),
            table.string("engine", ""),
            table.get("scores", dict, {}),
            table.get("removed", bool, False),
        )
        return replace(view, unknown_fields=unknown_with_camera(table, view.to_json()))


@dataclass(frozen=True)
class Selection:
    """The views that the mesh is reconstructed from, in order."""

    names: tuple[str, ...]
    by: SelectedBy
    unknown_fields: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the manifest."""
        return {**self.unknown_fields, "names": list(self.names), "by": self.by}

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """Read the JSON object in the manifest."""
        by = table.string("by")
        if by not in get_args(SelectedBy):
            raise table.invalid("by", by)
        names = table.strings("names")
        if not names or len(set(names)) < len(names) or not all(map(VIEW_NAME.fullmatch, names)):
            raise table.invalid("names", list(names))
        return cls(names, by, table.unknown_fields("names", "by"))


def _read_tries(table: JsonTable) -> int:
    """How often a stage was tried; 0 in a manifest of an older version."""
    tries = table.number("tries", 0)
    if tries < 0 or tries != int(tries):
        raise table.invalid("tries", tries)
    return int(tries)


@dataclass(frozen=True)
class Manifest:
    """The state of a project; the only source of truth about it."""

    photos: tuple[Photo, ...] = ()
    views: tuple[ViewEntry, ...] = ()
    selection: Selection | None = None
    stages: Mapping[Stage, StageRecord] = field(default_factory=dict)
    scored: str = ""  # digest of the views that the scores were computed for
    # the transform from the world of an imported rig into ours, see world_transform.py; empty without such a rig
    frame: dict[str, Any] = field(default_factory=dict)
    # files that are meshcli's though nothing above lists them: of a run that was cut off, or of an earlier record
    unlisted: frozenset[str] = frozenset()
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    @property
    def listed_files(self) -> frozenset[str]:
        """The files of all photos, views and records."""
        files = {file for photo in self.photos for file in (photo.file, photo.original)}
        files |= {view.file for view in self.views}
        return frozenset(files.union(output.file for record in self.stages.values() for output in record.outputs))

    @property
    def own_files(self) -> frozenset[str]:
        """The files that meshcli may replace: those that it wrote, or was about to write when it was cut off."""
        return self.listed_files | self.unlisted

    @property
    def active_photos(self) -> list[Photo]:
        """The photos that have not been removed, in the order of their names."""
        return [photo for photo in self.photos if not photo.removed]

    @property
    def active_views(self) -> dict[int, ViewEntry]:
        """The views of those photos that have not been removed themselves, by number."""
        names = {photo.name for photo in self.active_photos}
        return {number: view for number, view in enumerate(self.views) if view.photo in names and not view.removed}

    def claiming(self, files: Iterable[str]) -> Self:
        """A copy whose own files include these, which are about to be written, and all that it has now."""
        return replace(self, unlisted=self.own_files.union(files))

    def with_record(self, stage: Stage, record: StageRecord) -> Self:
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
            "unlisted": sorted(self.unlisted),
        }

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """Read the whole file; ProjectError names what is wrong with it."""
        schema = table.get("meshcli", int)
        if schema > SCHEMA_VERSION:
            raise NewerManifestError(
                f"{table.where} was written by a newer meshcli (schema {schema:.4g}, this one knows {SCHEMA_VERSION})"
            )
        if schema < 1:
            raise table.invalid("meshcli", schema)
        stages = table.table("stages")
        if unknown := stages.values.keys() - set(ALL_STAGES):
            raise stages.invalid(sorted(unknown)[0], "no such stage")
        manifest = cls(
            tuple(Photo.read(row) for row in limited_tables(table, "photos", MAX_PHOTOS)),
            tuple(ViewEntry.read(row) for row in limited_tables(table, "views", MAX_VIEWS)),
            Selection.read(table.table("selection")) if table.values.get("selection") is not None else None,
            {stage: StageRecord.read(stages.table(stage)) for stage in ALL_STAGES if stage in stages.values},
            table.string("scored", ""),
            table.get("frame", dict, {}),
            _read_unlisted(table),
        )
        if "unlisted" not in table.values:
            manifest = replace(manifest, unlisted=_places_before_unlisted(manifest))
        for key, rows in (("photos", manifest.photos), ("views", manifest.views)):
            for field_name, values in (("name", [row.name for row in rows]), ("file", [row.file for row in rows])):
                if len(set(values)) != len(values):
                    raise ProjectError(f"{table.where}: {key} holds a {field_name} twice")
        return replace(manifest, unknown_fields=table.unknown_fields(*manifest.to_json()))


def _read_unlisted(table: JsonTable) -> frozenset[str]:
    files = table.strings("unlisted")
    if len(files) > MAX_OUTPUTS:
        raise ProjectError(f"{table.where}: unlisted has more than {MAX_OUTPUTS} entries")
    rows = (JsonTable({"unlisted": file}, table.where, ProjectError) for file in files)
    return frozenset(safe_path(row, "unlisted") for row in rows)


def _places_before_unlisted(manifest: Manifest) -> frozenset[str]:
    """In a manifest without the key: whatever its recorded stages may have written without listing it."""
    files = [file for stage in manifest.stages for file in FIXED_ARTEFACTS[stage]]
    if "generate" in manifest.stages:
        first, most = len(manifest.views), MAX_VIEWS_PER_PHOTO * max(1, len(manifest.photos))
        files += generated_files((photo.name for photo in manifest.photos), range(first, first + most))
    return frozenset(files)

"""What manifest.json holds. Reading checks every type; unknown fields are kept; paths may not leave the project.

Light: no numpy.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from meshcli.errors import ProjectError
from meshcli.json_table import Table
from meshcli.views.camera import Camera, read_camera
from meshcli.views.photo_cameras import CameraPrior

SCHEMA = 1

Stage = Literal["generate", "select", "reconstruct", "render"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Status = Literal["running", "done", "failed"]
NAME = re.compile("[a-z]{1,4}")  # of a photo; it becomes part of a file's name
VIEW = re.compile("[a-z]{1,4}[0-9]{0,2}")  # name of a view: the photo's, and which of its views
FOLDERS = ("photos", "views", "mesh", "renders")
CHOSEN = "selection.png"  # the only file beside them, as InstantMesh writes it
WIDEST = 10**6  # pixels of a picture; and its frame is no larger or smaller than so many times the picture
MOST_PHOTOS, MOST_VIEWS, MOST_OUTPUTS = 500, 3500, 10_000  # more than anybody has, and quick to go through
Chooser = Literal["person", "flag", "auto"]


class NewerManifestError(ProjectError):
    """Nothing is damaged: a later version wrote it."""


@dataclass(frozen=True)
class Output:
    """A file that a stage wrote."""

    file: str  # relative to the project, with /
    size: int  # bytes
    sha256: str
    extra: dict[str, Any] = field(default_factory=dict)  # fields of a later version, here and below

    def to_json(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {**self.extra, "file": self.file, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From a record."""
        output = cls(safe_path(table, "file"), int(table.number("bytes")), table.text("sha256"))
        return replace(output, extra=table.rest(*output.to_json()))


@dataclass(frozen=True)
class Record:
    """One run of a stage: enough to run it again, to know whether it must be, and to say what happened."""

    status: Status
    engine: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # resolved
    inputs: dict[str, str] = field(default_factory=dict)  # the fingerprint, part by part
    outputs: tuple[Output, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    started: str = ""  # ISO 8601, UTC
    finished: str = ""
    error: str = ""
    asked: str = ""  # digest of engine and options as asked for, before `smaller` was taken
    smaller: dict[str, Any] = field(default_factory=dict)  # settings to take instead after memory ran out
    fallback: dict[str, Any] = field(default_factory=dict)  # what joins `smaller` if memory runs out in this run
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {
            **self.extra,
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
        """From the manifest."""
        status = table.text("status")
        if status not in get_args(Status):
            raise table.wrong("status", status)
        record = cls(
            status,
            table.text("engine", ""),
            table.get("options", dict, {}),
            _texts(table.table("inputs")),
            tuple(Output.read(row) for row in _few(table, "outputs", MOST_OUTPUTS)),
            table.get("facts", dict, {}),
            table.text("started", ""),
            table.text("finished", ""),
            table.text("error", ""),
            table.text("asked", ""),
            table.get("smaller", dict, {}),
            table.get("fallback", dict, {}),
        )
        return replace(record, extra=table.rest(*record.to_json()))


@dataclass(frozen=True)
class Photo:
    """A picture that was handed in, and its framed cut-out."""

    name: str  # a, b ... z, aa
    file: str  # the framed cut-out, RGBA
    original: str  # the untouched picture, in the project
    source: str  # the name it was handed in with
    sha256: str  # of the original
    camera: Camera  # of the framed cut-out
    stated: CameraPrior = field(default_factory=CameraPrior)  # what is known about the original's camera
    size: tuple[int, ...] = ()  # width and height of the original in pixels, upright
    crop: tuple[float, ...] = ()  # left, top, width, height of the frame in fractions of the original
    prepared: str = ""  # digest of the options of cutting out and framing
    method: str = ""  # how the object was cut out
    painted: str = ""  # digest of what its views were painted from, by engines that paint each photo by itself
    removed: bool = False  # no longer in the set; kept so that its letter and numbers are never used again
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {
            **self.extra,
            "name": self.name,
            "file": self.file,
            "original": self.original,
            "source": self.source,
            "sha256": self.sha256,
            "camera": {**self.extra.get("camera", {}), **self.camera.to_json()},
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
        """From the manifest."""
        photo = cls(
            _name(table, "name", NAME),
            safe_path(table, "file"),
            safe_path(table, "original"),
            table.text("source", ""),
            table.text("sha256"),
            read_camera(table, "camera"),
            CameraPrior.read(table.table("stated")),
            _size(table),
            _crop(table),
            table.text("prepared", ""),
            table.text("method", ""),
            table.text("painted", ""),
            table.get("removed", bool, False),
        )
        return replace(photo, extra=_rest(table, photo.to_json()))


@dataclass(frozen=True)
class ViewEntry:
    """A generated view; its number is its place in the manifest's list."""

    name: str  # a0 ... a5, b0 ...
    file: str
    photo: str  # name of the photo it was made from
    camera: Camera
    engine: str
    scores: dict[str, Any] = field(default_factory=dict)
    removed: bool = False  # another engine made other views; kept so that its number is never used again
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {
            **self.extra,
            "name": self.name,
            "file": self.file,
            "photo": self.photo,
            "camera": {**self.extra.get("camera", {}), **self.camera.to_json()},
            "engine": self.engine,
            "scores": self.scores,
            "removed": self.removed,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest."""
        view = cls(
            _name(table, "name", VIEW),
            safe_path(table, "file"),
            _name(table, "photo", NAME),
            read_camera(table, "camera"),
            table.text("engine", ""),
            table.get("scores", dict, {}),
            table.get("removed", bool, False),
        )
        return replace(view, extra=_rest(table, view.to_json()))


@dataclass(frozen=True)
class Selection:
    """The views that build the mesh, in order."""

    names: tuple[str, ...]
    by: Chooser
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {**self.extra, "names": list(self.names), "by": self.by}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest."""
        by = table.text("by")
        if by not in get_args(Chooser):
            raise table.wrong("by", by)
        names = table.texts("names")
        if not names or len(set(names)) < len(names) or not all(map(VIEW.fullmatch, names)):
            raise table.wrong("names", list(names))
        return cls(names, by, table.rest("names", "by"))


@dataclass(frozen=True)
class Manifest:
    """The only source of truth about a project."""

    photos: tuple[Photo, ...] = ()
    views: tuple[ViewEntry, ...] = ()
    selection: Selection | None = None
    stages: Mapping[Stage, Record] = field(default_factory=dict)
    scored: str = ""  # digest of what the views' scores were computed from
    frame: dict[str, Any] = field(
        default_factory=dict
    )  # the way from a foreign rig's world into ours; see world_transform.py
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def live_photos(self) -> list[Photo]:
        """The photos of the set, in the order of their letters."""
        return [photo for photo in self.photos if not photo.removed]

    @property
    def live_views(self) -> dict[int, ViewEntry]:
        """The views of those photos, by number."""
        names = {photo.name for photo in self.live_photos}
        return {number: view for number, view in enumerate(self.views) if view.photo in names and not view.removed}

    def with_record(self, stage: Stage, record: Record) -> Self:
        """The same project after something happened to a stage."""
        return replace(self, stages={**self.stages, stage: record})

    def to_json(self) -> dict[str, Any]:
        """The whole file."""
        return {
            "meshcli": SCHEMA,
            **self.extra,
            "photos": [photo.to_json() for photo in self.photos],
            "views": [view.to_json() for view in self.views],
            "selection": self.selection.to_json() if self.selection else None,
            "stages": {stage: record.to_json() for stage, record in self.stages.items()},
            "scored": self.scored,
            "frame": self.frame,
        }

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the file; ProjectError says what is wrong with it."""
        schema = table.get("meshcli", int)
        if schema > SCHEMA:
            raise NewerManifestError(
                f"{table.where} was written by a newer meshcli (schema {schema:.4g}, this one knows {SCHEMA})"
            )
        if schema < 1:
            raise table.wrong("meshcli", schema)
        stages = table.table("stages")
        if unknown := stages.values.keys() - set(STAGES):
            raise stages.wrong(sorted(unknown)[0], "no such stage")
        manifest = cls(
            tuple(Photo.read(row) for row in _few(table, "photos", MOST_PHOTOS)),
            tuple(ViewEntry.read(row) for row in _few(table, "views", MOST_VIEWS)),
            Selection.read(table.table("selection")) if table.values.get("selection") is not None else None,
            {stage: Record.read(stages.table(stage)) for stage in STAGES if stage in stages.values},
            table.text("scored", ""),
            table.get("frame", dict, {}),
        )
        for key, rows in (("photos", manifest.photos), ("views", manifest.views)):
            for what, values in (("name", [row.name for row in rows]), ("file", [row.file for row in rows])):
                if len(set(values)) != len(values):
                    raise ProjectError(f"{table.where}: {key} holds a {what} twice")
        return replace(manifest, extra=table.rest(*manifest.to_json()))


def safe_path(table: Table, key: str) -> str:
    """A path of the manifest, which may come from somebody else: relative, with /, to where artefacts lie.

    A hidden name could be that of a lock or of another program's folder; a name that cannot be printed is none of ours.
    """
    text: str = table.text(key)
    folder, *names = text.split("/")
    plain = text.isprintable() and len(text) < 200 and not set(text) & {"\\", ":"}
    inside = folder in FOLDERS and names and all(name and not name.startswith(".") for name in names)
    if not plain or not (inside or text == CHOSEN):
        raise ProjectError(f"{table.where}: {key} is not a path inside the project ({text[:80]!r})")
    return text


def _name(table: Table, key: str, pattern: re.Pattern[str]) -> str:
    name: str = table.text(key)
    if not pattern.fullmatch(name):
        raise table.wrong(key, name)
    return name


def _few(table: Table, key: str, most: int) -> Iterator[Table]:
    if len(table.get(key, list, [])) > most:
        raise ProjectError(f"{table.where}: {key} are more than {most}")
    return table.tables(key)


def _texts(table: Table) -> dict[str, str]:
    return {key: table.text(key) for key in table.values}


def _size(table: Table) -> tuple[int, ...]:
    size = tuple(int(value) for value in table.numbers("size", 2))
    if not all(1 <= side <= WIDEST for side in size):
        raise table.wrong("size", list(size))
    return size


def _crop(table: Table) -> tuple[float, ...]:
    crop = table.numbers("crop", 4)
    if min(crop[2:]) < 1.0 / WIDEST or max(map(abs, crop)) > WIDEST:
        raise table.wrong("crop", list(crop))
    return crop


def _rest(table: Table, known: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that this version does not know, those of the camera too."""
    camera = {key: value for key, value in table.values["camera"].items() if key not in known["camera"]}
    return table.rest(*known) | ({"camera": camera} if camera else {})

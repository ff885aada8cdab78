"""From a list to the objects of a batch: every row is checked before anything starts. Light: no numpy.

A row becomes the words that would be typed after `meshcli run PROJECT`: the flags of the whole batch, those of the row,
which win, and its photos. Paths in a list are relative to its folder.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import get_args

from meshcli.batch.list_files import ListRow, Value, read_rows
from meshcli.batch.photo_patterns import PhotoPatterns, pictures_in
from meshcli.batch.storage import is_url
from meshcli.batch.tasks import BatchObject
from meshcli.config import check_each, override, read_typed_settings
from meshcli.engines import IMPORT, Generator, Reconstructor
from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.export.placement import parse_length
from meshcli.pictures.photo_arguments import counted, existing_path
from meshcli.project.manifest import STAGES, RunStage, Stage
from meshcli.setting_types import unknown_name
from meshcli.settings import Settings

COLUMNS = ("name", "photos", "azimuth", "rig", "engine", "settings", "height", "export")
OWN_FILES = ("batch.csv", "report.html")  # in DIR, beside the projects
MAX_NAME = 150  # bytes: file systems take 255 for a name, and exported files have it with an ending
BETWEEN_TEXTS = re.compile(r"\s*[;|\n]\s*")
BETWEEN_SETTINGS = re.compile(r"\s*[;|\n]\s*|\s+(?=\w+\.\w+=)")
BETWEEN_WORDS = re.compile(r"[\s,;|+/]+")


@dataclass(frozen=True)
class BatchFlags:
    """What was typed for all objects of a batch."""

    words: tuple[str, ...] = ()  # as typed after `meshcli run PROJECT`, without photos and cameras
    cameras: tuple[str, ...] = ()  # such words about cameras; a row with an azimuth or a rig goes without them
    azimuths: int = 0  # how many of them are typed
    first: RunStage = "generate"
    last: RunStage = "render"
    exports: bool = False  # whether all objects are exported

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of every object; UsageError where there are none."""
        stages = STAGES[STAGES.index(self.first) : STAGES.index(self.last) + 1]
        if not stages:
            raise UsageError(f"--from {self.first} comes after --to {self.last}")
        return stages


@dataclass(frozen=True)
class RowProblem:
    """Why a row cannot be run."""

    line: int  # 0 where it is no line
    name: str
    problem: str

    def __str__(self) -> str:
        return f"{f'line {self.line}: ' if self.line else ''}{f'{self.name}: ' if self.name else ''}{self.problem}"


@dataclass(frozen=True)
class CheckedList:
    """The objects of a list that can be run, and what is wrong with the other rows."""

    path: Path | str  # or a URL
    objects: tuple[BatchObject, ...]
    problems: tuple[RowProblem, ...]


def check_list(path: Path | str, out: Path, flags: BatchFlags) -> CheckedList:
    """Read a list and check every row; InputError where it cannot be read as a whole.

    `path` may be a URL. `out` is the folder of the projects.
    """
    stages, (folder, rows) = flags.stages, read_rows(path)
    _refuse_unknown_columns(path, rows)
    reader = _RowReader(out, flags, stages, PhotoPatterns(folder))
    objects: list[BatchObject] = []
    problems: list[RowProblem] = []
    named: dict[str, tuple[str, int]] = {}  # name, as file systems compare them -> name and line where it stands first
    for row in rows:
        name = " ".join(row.values.get("name", ()))
        try:
            key = unicodedata.normalize("NFC", name).casefold()
            if name and key in named:
                first, line = named[key]
                where = f", in line {line}" if row.line else ""
                alike = "" if first == name else f" as {first}; some disks take both for the same"
                raise InputError(f"the name is there already{where}{alike}")
            named[key] = name, row.line
            objects.append(reader.read(row, name))
        except MeshcliError as error:
            problems.append(RowProblem(row.line, name[:MAX_NAME], str(error)))
    return CheckedList(path, tuple(objects), tuple(problems))


def _refuse_unknown_columns(path: Path | str, rows: Sequence[ListRow]) -> None:
    """InputError for a column that all rows have and nobody knows; one that some have is their problem."""
    readable = [row for row in rows if not row.problem]
    common = set.intersection(*(set(row.values) for row in readable)) if readable else set()
    for column in sorted(common.difference(COLUMNS)):
        raise InputError(f"{path}: {_unknown_column(column)}")
    if readable and not any("name" in row.values for row in readable):
        raise InputError(f"{path} has no column name; columns are {', '.join(COLUMNS)}")


def _unknown_column(column: str) -> str:
    near = get_close_matches(column, COLUMNS, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLUMNS)}"
    return f"there is no column {column[:80]}; {hint}"


@dataclass(frozen=True)
class _RowReader:
    """Turns rows into objects."""

    out: Path
    flags: BatchFlags
    stages: tuple[Stage, ...]
    patterns: PhotoPatterns

    def read(self, row: ListRow, name: str) -> BatchObject:
        """The object of a row; MeshcliError for what is wrong with it first."""
        if row.problem:
            raise InputError(row.problem)
        if unknown := sorted(row.values.keys() - set(COLUMNS)):
            raise InputError(_unknown_column(unknown[0]))
        _check_name(name)
        words = _split(row, "photos", BETWEEN_TEXTS, self.patterns)
        photos = list(dict.fromkeys(each for word in words for each in self.patterns.find(word)))
        if not photos:
            raise InputError("has no photos")
        cameras = self._cameras(row, photos)
        engines = _engines(tuple(_split(row, "engine", BETWEEN_WORDS)))
        settings = [f"--set={each}" for each in _split(row, "settings", BETWEEN_SETTINGS)]
        for each in settings:
            _check_setting(each.removeprefix("--set="))
        handed_over = self._export(row)
        export: tuple[Stage, ...] = ("export",) if handed_over or self.flags.exports else ()
        height = " ".join(row.values.get("height", ()))
        if height:
            _check_height(height, bool(export))
        sized = [f"--height={height}"] if height else []
        typed = (*self.flags.words, *cameras, *engines, *settings, *handed_over, *sized, *photos)
        stored = [word for word in (*photos, *(each.removeprefix("--rig=") for each in cameras)) if is_url(word)]
        stamps = self.patterns.urls.stamps(stored) if stored else ()
        return BatchObject(name, self.out / name, typed, (*self.stages, *export), row.line, stamps=stamps)

    def _cameras(self, row: ListRow, photos: Sequence[str]) -> Sequence[str]:
        """The words about the photos' cameras: those of the row, else those of the batch."""
        azimuths, rig = _split(row, "azimuth", BETWEEN_WORDS), " ".join(row.values.get("rig", ()))
        if azimuths and rig:
            raise InputError("has an azimuth and a rig, which has the cameras already; leave one of them out")
        if rig:
            path = self.patterns.existing(rig)
            if path is None:
                raise InputError(f"there is no rig {rig}")
            return [f"--rig={path}"]
        angles = [_angle(each) for each in azimuths]
        count = len(angles) or self.flags.azimuths
        if count and count != (held := _count_photos(photos)):
            raise InputError(f"has {counted(count, 'azimuth')} for {counted(held, 'photo')}; one per photo")
        if angles and any("@" in Path(each).name and existing_path(each) is None for each in photos):
            raise InputError("has azimuths twice, in its column and behind the @ of a photo")
        return [f"--azimuth={','.join(angles)}"] if angles else self.flags.cameras

    def _export(self, row: ListRow) -> list[str]:
        formats = ",".join(_split(row, "export", BETWEEN_WORDS))
        if formats:
            _check_export(formats)
        return [f"--export={formats}"] if formats else []


def _check_name(name: str) -> None:
    """InputError for a name that cannot be that of a folder in DIR."""
    if not name:
        raise InputError("has no name")
    if name in (".", "..") or set("/\\").intersection(name):
        raise InputError("the name leads out of DIR; it is that of a folder in it, without / and \\")
    if name.startswith("."):
        raise InputError("the name begins with a dot, which hides a folder")
    if not name.isprintable() or any(unicodedata.bidirectional(each).endswith(("E", "O", "I")) for each in name):
        raise InputError("the name holds characters that cannot be printed")
    if len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise InputError(f"the name is longer than {MAX_NAME} bytes")
    if name.casefold() in OWN_FILES:
        raise InputError("the name is that of a file of the batch's own")


def _split(row: ListRow, column: str, between: re.Pattern[str], patterns: PhotoPatterns | None = None) -> list[str]:
    """The texts of a column, of which one may stand for several; the name of an existing file is not split."""
    texts: Value = row.values.get(column, ())
    parts: list[str] = []
    for text in texts:
        parted = between.search(text) is not None
        whole = not parted or (patterns is not None and patterns.holds(text))
        parts += [text] if whole else [part for part in between.split(text) if part]
    return parts


def _angle(text: str) -> str:
    try:
        if math.isfinite(float(text)):
            return text
    except ValueError:
        pass
    raise InputError(f"the azimuth {text} is no number of degrees; leave it empty where it is unknown")


def _count_photos(photos: Sequence[str]) -> int:
    """How many photos there are, those in folders included."""
    folders = [path for path in map(Path, photos) if not path.suffix and path.is_dir()]
    return len(photos) - len(folders) + sum(len(pictures_in(folder)) for folder in folders)


@lru_cache(maxsize=1024)
def _engines(names: tuple[str, ...]) -> tuple[str, ...]:
    """The flags of the engines that a row names: a generator, a reconstructor, or both."""
    kinds = {"--generator": get_args(Generator), "--reconstructor": get_args(Reconstructor)}
    words: dict[str, str] = {}
    for name in names:
        flag = next((flag for flag, known in kinds.items() if name in known), "")
        if not flag or name == IMPORT:
            known = [each for kind in kinds.values() for each in kind if each != IMPORT]
            raise InputError(unknown_name("engine", name, list(dict.fromkeys(known))))
        if name != "auto":
            if flag in words:
                raise InputError(f"{words[flag]} and {name} are engines of the same step; take one")
            words[flag] = name
    return tuple(f"{flag}={name}" for flag, name in words.items())


@lru_cache(maxsize=1024)
def _check_setting(assignment: str) -> None:
    """UsageError for an invalid setting. Whole numbers are read here: rows often differ by one, as by a seed."""
    key, _, value = assignment.partition("=")
    if value.isascii() and value.isdecimal() and len(value) < 10 and key.count(".") == 1:
        check_each({key: int(value)}, f"--set {assignment}")
    else:
        read_typed_settings(assignments=(assignment,))


@lru_cache(maxsize=1024)
def _check_height(text: str, exports: bool) -> None:
    parse_length("height", text)
    if not exports:
        raise InputError("a height is for an export; say in the column export which files, as glb")


@lru_cache(maxsize=1024)
def _check_export(formats: str) -> None:
    override(Settings(), {"export.to": formats}, "export")

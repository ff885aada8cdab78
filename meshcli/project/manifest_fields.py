"""Fields of manifest.json whose values are checked as they are read: paths, names, sizes. Light: no numpy."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from meshcli.errors import ProjectError
from meshcli.json_table import JsonTable
from meshcli.project.artefacts import FOLDERS, SELECTION_SHEET

PHOTO_NAME = re.compile("[a-z]{1,4}")  # becomes part of file names
VIEW_NAME = re.compile("[a-z]{1,4}[0-9]{0,2}")  # the name of its photo, then which of the photo's views it is
MAX_SIDE = 10**6  # pixels of a picture; also the largest ratio, and 1 / the smallest, of a frame to its picture


def safe_path(table: JsonTable, key: str) -> str:
    """The path at a key, checked: the manifest may come from an untrusted source.

    Relative, with / as separator, inside one of the FOLDERS. Names that cannot be printed are refused, and hidden ones
    too, which could be those of the lock or of another program's data.
    """
    text: str = table.string(key)
    folder, *names = text.split("/")
    plain = text.isprintable() and len(text) < 200 and not set(text) & {"\\", ":"}
    inside = folder in FOLDERS and names and all(name and not name.startswith(".") for name in names)
    if not plain or not (inside or text == SELECTION_SHEET):
        raise ProjectError(f"{table.where}: {key} is not a path inside the project ({text[:80]!r})")
    return text


def read_name(table: JsonTable, key: str, pattern: re.Pattern[str]) -> str:
    """The name at a key, of this pattern."""
    name: str = table.string(key)
    if not pattern.fullmatch(name):
        raise table.invalid(key, name)
    return name


def limited_tables(table: JsonTable, key: str, limit: int) -> Iterator[JsonTable]:
    """The objects in a list; ProjectError for more than `limit`."""
    if len(table.get(key, list, [])) > limit:
        raise ProjectError(f"{table.where}: {key} has more than {limit} entries")
    return table.tables(key)


def read_strings(table: JsonTable) -> dict[str, str]:
    """All fields, each of which is a text."""
    return {key: table.string(key) for key in table.values}


def read_size(table: JsonTable) -> tuple[int, ...]:
    """Width and height of a picture in pixels."""
    size = tuple(int(value) for value in table.numbers("size", 2))
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise table.invalid("size", list(size))
    return size


def read_crop(table: JsonTable) -> tuple[float, ...]:
    """A frame: left, top, width and height as fractions of its picture."""
    crop = table.numbers("crop", 4)
    if min(crop[2:]) < 1.0 / MAX_SIDE or max(map(abs, crop)) > MAX_SIDE:
        raise table.invalid("crop", list(crop))
    return crop


def unknown_with_camera(table: JsonTable, known: Mapping[str, Any]) -> dict[str, Any]:
    """The unknown fields of a photo or view, and under "camera" those of its camera."""
    camera = {key: value for key, value in table.values["camera"].items() if key not in known["camera"]}
    return table.unknown_fields(*known) | ({"camera": camera} if camera else {})

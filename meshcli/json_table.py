"""Strict reading of JSON files from untrusted sources: every value is read by key and checked for its type.

Light: no imports beyond the standard library.
"""

import json
import math
import reprlib
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshcli.errors import MeshcliError
from meshcli.system.text_files import read_text

MAX_JSON_BYTES = 16 * 2**20  # a manifest with a thousand views has less than one megabyte
# Levels of objects and arrays; json.dumps recurses, and unknown fields are written back. By choice, far below Python's
# recursion limit of 1000 and far above the seven levels of our own files.
MAX_DEPTH = 100
MAX_INTEGER_DIGITS = 300  # below the largest float, 1.8e308, so that every number can be converted to float


@dataclass(frozen=True)
class JsonTable:
    """A JSON object, its location for messages, and the class of the errors that it raises."""

    values: dict[str, Any]
    where: str  # location, such as "desk/manifest.json: views[3]"
    error: type[MeshcliError]  # raised for every value that is missing or invalid

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        """The value of a key, checked for its type (a bool is no number); `default`, if given, for absent or null."""
        value = self.values.get(key)
        if value is None and default is not ...:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.invalid(key, value)
        return value

    def string(self, key: str, default: Any = ...) -> Any:
        """The string at a key."""
        return self.get(key, str, default)

    def number(self, key: str, default: Any = ...) -> Any:
        """The finite number at a key, as float."""
        value = self.get(key, (int, float), default)
        if value is default:
            return default
        try:
            result = float(value)
        except OverflowError as error:
            raise self.invalid(key, value) from error
        if not math.isfinite(result):
            raise self.invalid(key, value)
        return result

    def table(self, key: str) -> "JsonTable":
        """The object at a key; empty if absent or null."""
        return JsonTable(self.get(key, dict, {}), f"{self.where}: {key}", self.error)

    def tables(self, key: str) -> Iterator["JsonTable"]:
        """The objects of the array at a key; none if absent or null."""
        for index, value in enumerate(self.get(key, list, [])):
            if not isinstance(value, dict):
                raise self.invalid(f"{key}[{index}]", value)
            yield JsonTable(value, f"{self.where}: {key}[{index}]", self.error)

    def strings(self, key: str) -> tuple[str, ...]:
        """The strings of the array at a key; none if absent or null."""
        values = self.get(key, list, [])
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.invalid(f"{key}[{index}]", value)
        return tuple(values)

    def numbers(self, key: str, count: int | None) -> tuple[float, ...]:
        """The finite numbers of the array at a key; exactly `count` of them unless that is None."""
        values = self.get(key, list)
        if count is not None and len(values) != count:
            raise self.invalid(key, values)
        row = JsonTable({f"{key}[{index}]": value for index, value in enumerate(values)}, self.where, self.error)
        return tuple(row.number(name) for name in row.values)

    def unknown_fields(self, *known: str) -> dict[str, Any]:
        """The fields with other keys than the known ones, to be written back unchanged."""
        return {key: value for key, value in self.values.items() if key not in known}

    def invalid(self, key: str, value: Any) -> MeshcliError:
        """The error for a value that is missing (None) or invalid; the caller raises it."""
        found = "missing" if value is None else f"unusable ({reprlib.repr(value)})"
        return self.error(f"{self.where}: {key[:80]} is {found}")


def read_table(path: Path, error: type[MeshcliError]) -> JsonTable:
    """Read a JSON file that holds one object; `error`, naming the file, for what cannot be read, or `parse_table`."""
    return parse_table(read_json_text(path, error), str(path), error)


def read_json_text(path: Path, error: type[MeshcliError]) -> str:
    """The text of a JSON file; `error`, naming the file, for none, another encoding, or more than MAX_JSON_BYTES."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
            raise error(f"{path} is not a file")
        if status.st_size > MAX_JSON_BYTES:
            raise error(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MB")
        return read_text(path)
    except ValueError as problem:
        raise error(f"{path} is not readable JSON: {problem}") from problem
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from problem


def parse_table(text: str, where: str, error: type[MeshcliError]) -> JsonTable:
    """The one object that a JSON text from `where` holds.

    Raises `error`, naming the place, for anything else, and for what JSON readers disagree about or cannot represent:
    duplicate keys, NaN and infinity, numbers beyond float, deep nesting.
    """
    try:
        values = json.loads(
            text,
            parse_constant=_reject_constant,
            parse_int=_parse_integer,
            parse_float=_parse_float,
            object_pairs_hook=_unique_keys,
        )
        if _is_too_deep(values):
            raise RecursionError
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise error(f"{where} is not readable JSON: {reason}") from problem
    if not isinstance(values, dict):
        raise error(f"{where} does not hold a JSON object")
    return JsonTable(values, where, error)


def _reject_constant(name: str) -> float:
    """NaN, Infinity or -Infinity, which Python reads although JSON has no such numbers."""
    raise ValueError(f"{name} is not a number")


def _parse_integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is too large")
    return int(digits)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as dict; ValueError for a duplicate key, of which readers may take either value."""
    values = dict(pairs)
    if len(values) < len(pairs):
        (duplicate, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {duplicate[:80]!r}")
    return values


def _is_too_deep(values: Any) -> bool:
    """Whether objects and arrays are nested deeper than MAX_DEPTH; breadth-first, without recursion."""
    level = [values] if isinstance(values, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True

"""Reading JSON that may come from somebody else: every value is asked for by name and type.

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

LARGEST = 16 * 2**20  # bytes; a manifest of a thousand views is below one megabyte
DEEPEST = 100  # tables in tables; what is written again must not exceed what Python can write
DIGITS = 300  # of a whole number: as many as a float can hold


@dataclass(frozen=True)
class Table:
    """A JSON object, where it stands, and which error tells that it is wrong."""

    values: dict[str, Any]
    where: str  # "desk/manifest.json: views[3]"
    error: type[MeshcliError]

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        """The value of this key; absent or null is `default` when there is one."""
        value = self.values.get(key)
        if value is None and default is not ...:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, value)
        return value

    def text(self, key: str, default: Any = ...) -> Any:
        """A string."""
        return self.get(key, str, default)

    def number(self, key: str, default: Any = ...) -> Any:
        """A finite number, as float."""
        value = self.get(key, (int, float), default)
        if value is default:
            return default
        try:
            result = float(value)
        except OverflowError as error:
            raise self.wrong(key, value) from error
        if not math.isfinite(result):
            raise self.wrong(key, value)
        return result

    def table(self, key: str) -> "Table":
        """An object inside this one; absent is empty."""
        return Table(self.get(key, dict, {}), f"{self.where}: {key}", self.error)

    def tables(self, key: str) -> Iterator["Table"]:
        """A list of objects; absent is empty."""
        for index, value in enumerate(self.get(key, list, [])):
            if not isinstance(value, dict):
                raise self.wrong(f"{key}[{index}]", value)
            yield Table(value, f"{self.where}: {key}[{index}]", self.error)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; absent is empty."""
        values = self.get(key, list, [])
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.wrong(f"{key}[{index}]", value)
        return tuple(values)

    def numbers(self, key: str, count: int | None) -> tuple[float, ...]:
        """So many finite numbers, any number of them without `count`."""
        values = self.get(key, list)
        if count is not None and len(values) != count:
            raise self.wrong(key, values)
        row = Table({f"{key}[{index}]": value for index, value in enumerate(values)}, self.where, self.error)
        return tuple(row.number(name) for name in row.values)

    def rest(self, *known: str) -> dict[str, Any]:
        """The fields that this version does not know, to be written back as they were."""
        return {key: value for key, value in self.values.items() if key not in known}

    def wrong(self, key: str, value: Any) -> MeshcliError:
        """The error that says this value cannot be used."""
        found = "missing" if value is None else f"unusable ({reprlib.repr(value)})"
        return self.error(f"{self.where}: {key[:80]} is {found}")


def read_table(path: Path, error: type[MeshcliError]) -> Table:
    """Read a JSON file that holds one object; `error` is raised with the file's name for anything else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            raise error(f"{path} is not a file")
        if status.st_size > LARGEST:
            raise error(f"{path} is larger than {LARGEST // 2**20} MB")
        values = json.loads(
            read_text(path), parse_constant=_refuse, parse_int=_whole, parse_float=_finite, object_pairs_hook=_distinct
        )
        if _deep(values):
            raise RecursionError
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise error(f"{path} is not readable JSON: {reason}") from problem
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from problem
    if not isinstance(values, dict):
        raise error(f"{path} does not hold a JSON object")
    return Table(values, str(path), error)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is too large")
    return int(digits)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one key twice would mean that readers disagree about what the file says."""
    values = dict(pairs)
    if len(values) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:80]!r} stands in one object twice")
    return values


def _deep(values: Any) -> bool:
    """Whether tables are nested deeper than `DEEPEST`."""
    level = [values] if isinstance(values, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True

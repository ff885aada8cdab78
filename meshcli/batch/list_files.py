"""Lists of objects as CSV, JSON Lines, JSON, YAML or a folder, read into rows of text. Light: no numpy.

All values are text, as they were written: 007 stays 007, and 45 is the same in a CSV file as in YAML.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from meshcli.batch.storage import Storage, parent_url
from meshcli.errors import InputError, ProjectError
from meshcli.pictures.photo_arguments import SUFFIXES, counted, is_picture, natural_sort_key
from meshcli.system.text_files import decode_text, read_text

MAX_LIST_BYTES = 64 * 2**20  # by choice: a list of 100,000 objects has about 10 MB
MAX_VALUE = 20_000  # characters of one value; by choice: some two hundred paths
MAX_DEPTH = 8  # levels of a YAML or JSON list; settings.a.b in an object of a list are four
DELIMITERS = ",;\t"
YAML_TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = {YAML_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")}

Value = tuple[str, ...]  # what one column holds: no, one or several texts


@dataclass(frozen=True)
class ListRow:
    """One object as its list states it."""

    line: int  # in the file, from 1 on; 0 in a folder
    values: Mapping[str, Value] = field(default_factory=dict)  # column, in lower case -> texts
    problem: str = ""  # why the row cannot be read; then there are no values


def read_rows(path: Path | str) -> tuple[Path | str, list[ListRow]]:
    """The rows of a list, and the folder that its paths are relative to; a list and its folder may be URLs.

    Raises InputError where it cannot be read as a whole, or holds nothing.
    """
    folder, text = (path, None) if isinstance(path, Path) and path.is_dir() else _read(path)
    if text is None:
        rows = list(_folder_rows(folder) if isinstance(folder, Path) else _url_rows(folder))
        if not rows:
            raise InputError(f"{path} holds neither pictures nor folders of pictures")
        return folder, rows
    readers: dict[str, Callable[[str], Iterator[ListRow]]] = {
        ".csv": _csv_rows, ".tsv": _csv_rows, ".txt": _csv_rows, ".jsonl": _json_lines, ".ndjson": _json_lines,
        ".json": _yaml_rows, ".yaml": _yaml_rows, ".yml": _yaml_rows,
    }  # fmt: skip
    reader = readers.get(PurePath(path).suffix.lower())
    if reader is None:
        raise InputError(f"{path}: a list of objects ends with .csv, .jsonl, .json or .yaml, or is a folder")
    try:
        rows = list(reader(text))
    except ValueError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    if not rows:
        raise InputError(f"{path} is empty: it names no object")
    return folder, rows


def _read(path: Path | str) -> tuple[Path | str, str | None]:
    """The folder of a list and its text; None for a folder in storage."""
    folder: Path | str
    try:
        if isinstance(path, str):
            folder, data = _read_url(path)
            text = None if data is None else decode_text(data)
        else:
            _check_file(path)
            folder, text = path.parent, read_text(path)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if text and "\0" in text:
        raise InputError(f"{path} is no text: it holds a NUL")
    return folder, text


def _check_file(path: Path) -> None:
    """InputError for what is no file of a list's size."""
    if not path.exists():
        raise InputError(f"there is no list of objects {path}{_similar(path)}")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder")
    _check_size(path, path.stat().st_size)


def _check_size(path: Path | str, size: int) -> None:
    if size > MAX_LIST_BYTES:
        raise InputError(f"{path} is larger than {MAX_LIST_BYTES >> 20} MB, so it is no list of objects")


def _read_url(url: str) -> tuple[str, bytes | None]:
    """The folder of a list in storage and its bytes; the URL itself and None for a folder."""
    storage, name = Storage(parent_url(url)), url.rstrip("/").rpartition("/")[2]
    try:
        storage.require_answer()
        found = storage.names()
        if listed := found.get(name):
            _check_size(url, listed.size)
            return storage.url, storage.read(name) or b""
        if name not in found and not Storage(url).names():
            raise InputError(f"there is no list of objects {url}")
    except ProjectError as error:
        raise InputError(str(error)) from error
    return url.rstrip("/"), None


def _similar(missing: Path) -> str:
    """A hint to a list beside a missing one; empty without one."""
    from difflib import get_close_matches

    try:
        names = [each.name for each in missing.parent.iterdir()]
    except OSError:
        return ""
    near = get_close_matches(missing.name, names, 1)
    return f"; did you mean {missing.parent / near[0]}?" if near else ""


def _folder_rows(folder: Path) -> Iterator[ListRow]:
    """An object per folder of pictures; where there is none, an object per picture."""
    try:
        entries = [each for each in folder.iterdir() if not each.name.startswith(".")]
        entries.sort(key=lambda each: (natural_sort_key(each.name), each.name))
        folders = [each for each in entries if each.is_dir() and any(map(is_picture, each.iterdir()))]
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    for each in folders or filter(is_picture, entries):
        yield ListRow(0, {"name": (each.name if each in folders else each.stem,), "photos": (each.name,)})


def _url_rows(url: str) -> Iterator[ListRow]:
    """As `_folder_rows`, of a folder in storage."""
    folders_of_pictures: dict[str, None] = {}  # in their order
    singles: list[str] = []
    for path in sorted(Storage(url).files(), key=lambda each: (natural_sort_key(each), each)):
        *folders, name = path.split("/")
        if name.startswith(".") or not name.lower().endswith(SUFFIXES) or len(folders) > 1:
            continue
        if folders and not folders[0].startswith("."):
            folders_of_pictures[folders[0]] = None
        elif not folders:
            singles.append(name)
    for name in folders_of_pictures or singles:
        title = name if folders_of_pictures else PurePath(name).stem
        yield ListRow(0, {"name": (title,), "photos": (name,)})


def _csv_rows(text: str) -> Iterator[ListRow]:
    """Rows of a CSV file with a line of headings; , or ; or tabulators between its fields."""
    before = csv.field_size_limit(MAX_LIST_BYTES)  # a long field is told below, with its line
    try:
        first = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, strict=True)
        skipped = text[: len(text) - len(text.lstrip())].count("\n")
        headings = [each.strip().casefold() for each in next(reader, [])]
        if twice := [name for name, times in Counter(headings).items() if name and times > 1]:
            raise ValueError(f"line {1 + skipped}: the column {twice[0]} is there twice")
        line = reader.line_num + 1
        for fields in reader:
            if any(each.strip() for each in fields):
                yield _csv_row(line + skipped, headings, [each.strip() for each in fields])
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped}: {error}") from error
    finally:
        csv.field_size_limit(before)


def _csv_row(line: int, headings: Sequence[str], fields: Sequence[str]) -> ListRow:
    over = [each for each in fields[len(headings) :] if each]
    if over:
        return ListRow(
            line, problem=f'has {len(fields)} fields for {counted(len(headings), "column")}; put commas in ""'
        )
    if any(text and not name for name, text in zip(headings, fields, strict=False)):
        return ListRow(line, problem="has a value in a column without a heading")
    cells = {name: _texts(text) for name, text in zip(headings, fields, strict=False) if name}
    return _row(line, {**dict.fromkeys(filter(None, headings), ()), **cells})


def _json_lines(text: str) -> Iterator[ListRow]:
    """Rows of JSON Lines: an object of JSON on every line."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            table = json.loads(
                line, parse_int=str, parse_float=str, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys
            )
            yield _table_row(number, table)
        except json.JSONDecodeError as error:
            yield ListRow(number, problem=f"is no JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError) as error:
            what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            yield ListRow(number, problem=f"is no row: {what}")


def _yaml_rows(text: str) -> Iterator[ListRow]:
    """Rows of a YAML or JSON file that holds a list of tables; nothing in it is built but texts."""
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader_class):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            where = f"line {event.start_mark.line + 1}"
            if isinstance(event, yaml.AliasEvent):  # nested ones expand exponentially
                raise ValueError(f"{where}: write values out instead of *alias")
            if depth > MAX_DEPTH:
                raise ValueError(f"{where}: it is nested too deeply")
        loader = loader_class(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError("it holds no list; every object begins with `- name:`")
    for each in node.value:
        line = each.start_mark.line + 1
        try:
            yield _table_row(line, _plain(each))
        except ValueError as error:
            yield ListRow(line, problem=f"is no row: {error}")


def _plain(node: Any) -> Any:
    """A node of YAML as tables, lists and texts as they were written; None for null."""
    import yaml

    if node.tag not in PLAIN_TAGS:
        raise ValueError(f"the tag {node.tag.replace(YAML_TAG, '!!')} is not for lists")
    if isinstance(node, yaml.MappingNode):
        return _unique_keys([(str(_plain(key)), _plain(value)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each) for each in node.value]
    return None if node.tag.endswith(":null") else node.value


def _table_row(line: int, table: Any) -> ListRow:
    """The row of a table with text, lists, and in `settings` a table of its own."""
    if not isinstance(table, dict):
        return ListRow(line, problem="is no table of columns and values")
    values: dict[str, Value] = {}
    for key, value in table.items():
        name = str(key).strip().casefold()
        if isinstance(value, dict) and name != "settings":
            return ListRow(line, problem=f"has a table in {name[:80]}; write a text or a list")
        if name in values:
            return ListRow(line, problem=f"has the column {name[:80]} twice")
        values[name] = tuple(_assignments(value)) if isinstance(value, dict) else _texts(value)
    return _row(line, values)


def _row(line: int, values: Mapping[str, Value]) -> ListRow:
    """The row, if none of its values is longer than any can be."""
    for name, texts in values.items():
        if (length := sum(map(len, texts))) > MAX_VALUE:
            return ListRow(line, problem=f"has {length:,} characters in {name[:80]}, more than {MAX_VALUE:,}")
    return ListRow(line, values)


def _texts(value: Any) -> Value:
    """A value, or a list of them, as texts; an empty one is none."""
    if isinstance(value, list):
        return tuple(text for each in value for text in _texts(each if isinstance(each, str) else _written(each)))
    text = _written(value).strip()
    return (text,) if text else ()


def _assignments(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """A table of settings, nested or not, as `section.key=value`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _assignments(value, f"{before}{key}.")
        else:
            yield f"{before}{key}={_written(value)}"


def _written(value: Any) -> str:
    """A value as `--set` and the flags take it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        raise ValueError("a list holds a table")
    return str(value)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{twice[:80]} is there twice")
    return table

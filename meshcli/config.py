"""Settings from files and the command line: packaged default <- --config FILE <- --set a.b=c <- flags.

A key that does not exist is an error with a suggestion, a value of the wrong type or out of its range one that names
what it may be.
"""

import difflib
import io
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from meshcli.errors import UsageError
from meshcli.settings import MOST_LEVELS, Range, Settings
from meshcli.system.text_files import read_text

T = TypeVar("T")
LARGEST = 256 * 1024  # bytes of a file: ours have less than two thousand

# What InstantMesh's files may say under infer_config, and which setting of ours that is. The paths of weights are read
# by the engines that need them.
INFER = {
    "unet_path": "",
    "model_path": "",
    "texture_resolution": "texture.size",
    "render_resolution": "render.size",
    "mesh_threshold": "lrm.threshold",
    "mesh_resolution": "lrm.grid",
}


def read_settings(
    config: Path | None = None, assignments: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> Settings:
    """All settings; `flags` has dotted keys, and None where a flag was not typed."""
    settings = Settings()
    if config:
        path = find_config(config)
        settings = _fill(settings, _own_format(read_yaml(path), path), "", str(config))
    for assignment in assignments:
        settings = _fill(settings, _read_assignment(assignment), "", f"--set {assignment}")
    typed = {key: value for key, value in (flags or {}).items() if value is not None}
    sources = [*([str(config)] if config else []), *(f"--set {assignment}" for assignment in assignments)]
    return override(settings, typed, ", ".join(sources) or "command line")


def override(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    """The same settings with some replaced, by dotted key."""
    for key, value in values.items():
        *path, last = key.split(".")
        table: Any = {last: value}
        for part in reversed(path):
            table = {part: table}
        settings = _fill(settings, table, "", source)
    if conflict := settings.conflict():
        raise UsageError(f"{source}: {conflict}")
    return settings


def options(settings: Settings, *sections: str) -> dict[str, Any]:
    """Some sections as plain JSON values, for records and fingerprints."""
    table = asdict(settings)
    return {section: {key: _plain(value) for key, value in table[section].items()} for section in sections}


def packaged_configs() -> Path:
    """The folder of configuration files: inside the installed package, or beside it in a clone."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def find_config(config: Path) -> Path:
    """A file, or the bare name of a packaged one."""
    packaged = packaged_configs() / f"{config.name.removesuffix('.yaml')}.yaml"
    if config.is_file() or len(config.parts) > 1:
        return config
    if packaged.is_file():
        return packaged
    names = ", ".join(sorted(path.stem for path in packaged_configs().glob("*.yaml")))
    raise UsageError(f"--config: there is no file {config}; packaged ones are: {names}")


def read_yaml(path: Path) -> Any:
    """A YAML file as plain values; UsageError says what is wrong with it."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import AliasToken, YAMLError, scan

    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"--config {path} is not a file")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"--config {path} is larger than {LARGEST // 1024} kB")
        text = read_text(path)
        if any(isinstance(token, AliasToken) for token in scan(text)):  # a few lines of them would fill any memory
            raise UsageError(f"--config {path}: write values out instead of *alias")
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=True)
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UsageError(f"--config {path}: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from error


def _own_format(table: Any, path: Path) -> Any:
    """A configuration file of InstantMesh in our words; any other as it is."""
    if not isinstance(table, Mapping) or "model_config" not in table:
        return table
    if unknown := sorted(table.keys() - {"model_config", "infer_config"}, key=str):
        raise UsageError(f"--config {path}: a file with model_config has no section {unknown[0]}")
    infer = table.get("infer_config") or {}
    if not isinstance(infer, Mapping):
        raise UsageError(f"--config {path}: infer_config must hold keys and values")
    if wrong := sorted(infer.keys() - INFER.keys(), key=str):
        raise UsageError(f"--config {path}: infer_config has no setting {wrong[0]}; known: {', '.join(INFER)}")
    ours: dict[str, dict[str, Any]] = {"lrm": {"file": str(path)}}
    for name, value in infer.items():
        if place := INFER[name]:
            section, key = place.split(".")
            ours.setdefault(section, {})[key] = value
    return ours


def _read_assignment(assignment: str) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if "=" not in assignment:
        raise UsageError(f"--set {assignment}: write --set section.key=value")
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([assignment]), resolve=True)
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UsageError(f"--set {assignment}: {' '.join(str(error).split())}") from error


def _fill(target: T, table: Any, path: str, source: str) -> T:
    """A dataclass with the fields that the table names replaced."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{source}: {path or 'the file'} must hold keys and values")
    kinds = get_type_hints(type(target), include_extras=True)
    changed = {}
    for key, value in table.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in kinds:
            raise UsageError(f"{source}: there is no setting {here}{_suggestion(here, path, list(kinds))}")
        current = getattr(target, key)
        changed[key] = (
            _fill(current, value, here, source) if is_dataclass(current) else _typed(value, kinds[key], here, source)
        )
    return replace(target, **changed)  # type: ignore[type-var]


def _typed(value: Any, kind: Any, path: str, source: str, allowed: Range | None = None) -> Any:
    """The value as the field's type, within its range; an int passes for a float, a list for a tuple."""
    if get_origin(kind) is Annotated:
        kind, allowed = get_args(kind)[:2]
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if not 1 <= len(items) <= MOST_LEVELS:
            raise UsageError(f"{source}: {path} must have between 1 and {MOST_LEVELS} entries, not {len(items)}")
        return tuple(_typed(item, get_args(kind)[0], path, source, allowed) for item in items)
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise UsageError(f"{source}: {path} must be one of {', '.join(map(str, get_args(kind)))}, not {_shown(value)}")
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{source}: {path} must be of type {kind.__name__}, not {_shown(value)}")
    if allowed is not None and value not in allowed:
        raise UsageError(f"{source}: {path} must be {allowed}, not {_shown(value)}")
    return kind(value)


def _shown(value: Any) -> str:
    """A few words of it: it may be long, or a number that Python refuses to spell out."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "that"


def _suggestion(wrong: str, path: str, keys: Sequence[str]) -> str:
    """The nearest name that does exist, in this section or elsewhere."""
    everywhere = [f"{section.name}.{key}" for section in fields(Settings) for key in _keys(section.name)]
    here = [f"{path}.{key}" if path else key for key in keys]
    near = difflib.get_close_matches(wrong, here, 1) or difflib.get_close_matches(wrong, everywhere, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(keys)}"


def _keys(section: str) -> list[str]:
    return [field.name for field in fields(getattr(Settings(), section))]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

"""Settings from files and the command line: defaults <- --config FILE <- --set a.b=c <- flags, the last one wins.

What a project has on record comes between the defaults and the rest; see stages/settings_in_force.py.

An unknown key is an error that suggests a similar one; a value of the wrong type or out of its range is an error that
names what the setting accepts.
"""

import difflib
import io
import reprlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from meshcli.errors import UsageError
from meshcli.setting_types import Entries, Range, types_of
from meshcli.settings import MAX_LEVELS, Settings
from meshcli.system.text_files import read_text

T = TypeVar("T")
ALIAS = object()  # in place of the values of a file that has aliases
Assignments = dict[str, Any]  # section.key -> value
MAX_CONFIG_BYTES = 256 * 1024  # by choice; the packaged files have less than two thousand

# The keys of infer_config in InstantMesh's configuration files -> our settings. The paths of weights have none: the
# engines that need them read them.
INFER_CONFIG_KEYS = {
    "unet_path": "",
    "model_path": "",
    "texture_resolution": "texture.size",
    "render_resolution": "render.size",
    "mesh_threshold": "lrm.threshold",
    "mesh_resolution": "lrm.grid",
}


@dataclass(frozen=True)
class TypedSettings:
    """The settings that were typed; those that were not are still to come from a project's record or the defaults."""

    values: Assignments = field(default_factory=dict)  # valid, each by itself
    source: str = "command line"  # where they were typed, for messages
    defaults: bool = False  # the others are the defaults, whatever is on record

    @classmethod
    def of(cls, settings: "Settings | TypedSettings") -> "TypedSettings":
        """The same, where all settings count as typed."""
        if isinstance(settings, TypedSettings):
            return settings
        tables = {section.name: vars(getattr(settings, section.name)) for section in fields(settings)}
        return cls({f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()})

    def with_flags(self, flags: Mapping[str, Any]) -> "TypedSettings":
        """The same with what flags set: `section.key` -> value, None where a flag was not given. Raises UsageError."""
        given = {key: value for key, value in flags.items() if value is not None}
        return replace(self, values={**self.values, **check_each(given, self.source)})


def read_typed_settings(
    config: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    defaults: bool = False,
) -> TypedSettings:
    """What was typed, the last one wins; `flags` maps dotted keys to values, None where a flag was not given.

    Raises UsageError for what is not valid by itself.
    """
    values: Assignments = {}
    if config:
        path = find_config(config)
        values |= _checked_values(_from_instantmesh(read_yaml(path), path), str(config))
    for assignment in assignments:
        values |= _checked_values(_read_assignment(assignment), f"--set {assignment}")
    sources = [*([str(config)] if config else []), *(f"--set {assignment}" for assignment in assignments)]
    source = ", ".join(sources) or "command line"
    return TypedSettings(values, source, defaults).with_flags(flags or {})


def read_settings(
    config: Path | None = None, assignments: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> Settings:
    """The defaults, replaced by what was typed. Raises UsageError."""
    typed = read_typed_settings(config, assignments, flags)
    return override(Settings(), typed.values, typed.source)


def override(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    """A copy with some settings replaced, by dotted key; UsageError, which names the `source`, for invalid values."""
    for key, value in values.items():
        settings = _replace_fields(settings, _nested(key, value), "", source)
    if conflict := settings.conflict():
        raise UsageError(f"{source}: {conflict}")
    return settings


def check_each(values: Mapping[str, Any], source: str) -> Assignments:
    """The values of settings, each by itself, as their types; UsageError, which names the `source`, for invalid ones.

    Whether they contradict each other is not checked.
    """
    return {key: _checked_values(_nested(key, value), source)[key] for key, value in values.items()}


def options(settings: Settings, *sections: str) -> dict[str, Any]:
    """Some sections as JSON objects, for records and fingerprints."""
    tables = {section: vars(getattr(settings, section)) for section in sections}
    return {section: {key: _json_value(value) for key, value in table.items()} for section, table in tables.items()}


def packaged_configs() -> Path:
    """The folder of the packaged configuration files: in the installed package, or beside it in a clone."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def find_config(config: Path) -> Path:
    """The path of a configuration file, given by path or by the name of a packaged one; UsageError if there is none."""
    packaged = packaged_configs() / f"{config.name.removesuffix('.yaml')}.yaml"
    if config.is_file() or len(config.parts) > 1:
        return config
    if packaged.is_file():
        return packaged
    names = ", ".join(sorted(path.stem for path in packaged_configs().glob("*.yaml")))
    raise UsageError(f"--config: there is no file {config}; packaged ones are: {names}")


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values; UsageError names what is wrong with it."""
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"--config {path} is not a file")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UsageError(f"--config {path} is larger than {MAX_CONFIG_BYTES // 1024} kB")
        text = read_text(path)
        # A run reads the file for each stage, and a worker for each object; ${oc.env:NAME} may be another each time.
        parse = _parse_yaml.__wrapped__ if "${" in text else _parse_yaml
        if (values := parse(text)) is ALIAS:
            raise UsageError(f"--config {path}: write values out instead of *alias")
        return deepcopy(values)
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UsageError(f"--config {path}: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from error


@lru_cache(maxsize=8)
def _parse_yaml(text: str) -> Any:
    """The plain values of a file; ALIAS for one with aliases, which may expand exponentially where they are nested."""
    from omegaconf import OmegaConf
    from yaml import AliasToken, scan

    if any(isinstance(token, AliasToken) for token in scan(text)):
        return ALIAS
    return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=True)


def _from_instantmesh(table: Any, path: Path) -> Any:
    """Our settings for a configuration file of InstantMesh, which has model_config; any other file unchanged."""
    if not isinstance(table, Mapping) or "model_config" not in table:
        return table
    if unknown := sorted(table.keys() - {"model_config", "infer_config"}, key=str):
        raise UsageError(f"--config {path}: a file with model_config has no section {unknown[0]}")
    infer = table.get("infer_config") or {}
    if not isinstance(infer, Mapping):
        raise UsageError(f"--config {path}: infer_config must hold keys and values")
    if unknown := sorted(infer.keys() - INFER_CONFIG_KEYS.keys(), key=str):
        raise UsageError(
            f"--config {path}: infer_config has no setting {unknown[0]}; known: {', '.join(INFER_CONFIG_KEYS)}"
        )
    ours: dict[str, dict[str, Any]] = {"lrm": {"file": str(path)}}
    for name, value in infer.items():
        if setting := INFER_CONFIG_KEYS[name]:
            section, key = setting.split(".")
            ours.setdefault(section, {})[key] = value
    return ours


def _nested(key: str, value: Any) -> Any:
    """`a.b` and a value as a configuration file nests them."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _checked_values(table: Any, source: str) -> Assignments:
    """The settings that a nested table holds, checked each by itself; errors name the `source`."""
    settings = _replace_fields(Settings(), table, "", source)
    return {
        f"{section}.{key}": getattr(getattr(settings, section), key) for section, keys in table.items() for key in keys
    }


def _read_assignment(assignment: str) -> Any:
    """The nested values of `section.key=value`."""
    return deepcopy(_parse_assignment(assignment))


@lru_cache(maxsize=256)  # a run reads each for every stage, and a worker for every object
def _parse_assignment(assignment: str) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if "=" not in assignment:
        raise UsageError(f"--set {assignment}: write --set section.key=value")
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([assignment]), resolve=True)
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UsageError(f"--set {assignment}: {' '.join(str(error).split())}") from error


def _replace_fields(target: T, table: Any, path: str, source: str) -> T:
    """A copy of a dataclass, whose dotted key is `path`, with the values of `table`; errors name the `source`."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{source}: {path or 'the file'} must hold keys and values")
    kinds = types_of(type(target))
    changed = {}
    for key, value in table.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in kinds:
            raise UsageError(f"{source}: there is no setting {here}{_suggestion(here, path, list(kinds))}")
        current = getattr(target, key)
        changed[key] = (
            _replace_fields(current, value, here, source)
            if is_dataclass(current)
            else _checked(value, kinds[key], here, source)
        )
    return replace(target, **changed)  # type: ignore[type-var]


def _checked(value: Any, kind: Any, path: str, source: str, allowed: Range | None = None) -> Any:
    """The value as the type of its field, within its range; accepts int for float, and list or one item for tuple."""
    entries = Entries(1, MAX_LEVELS)
    if get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        allowed = next((each for each in metadata if isinstance(each, Range)), None)
        entries = next((each for each in metadata if isinstance(each, Entries)), entries)
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if not entries.low <= len(items) <= entries.high:
            raise UsageError(
                f"{source}: {path} must have between {entries.low} and {entries.high} entries, not {len(items)}"
            )
        return tuple(_checked(item, get_args(kind)[0], path, source, allowed) for item in items)
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise UsageError(
            f"{source}: {path} must be one of {', '.join(map(str, get_args(kind)))}, not {_abbreviated(value)}"
        )
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{source}: {path} must be of type {kind.__name__}, not {_abbreviated(value)}")
    if allowed is not None and value not in allowed:
        raise UsageError(f"{source}: {path} must be {allowed}, not {_abbreviated(value)}")
    return kind(value)


def _abbreviated(value: Any) -> str:
    """The value for a message, shortened; Python refuses to print integers of thousands of digits."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "that"


def _suggestion(unknown: str, path: str, keys: Sequence[str]) -> str:
    """The most similar key of this section or else of any; all keys of this section if there is none."""
    everywhere = [f"{section.name}.{key}" for section in fields(Settings) for key in _keys(section.name)]
    here = [f"{path}.{key}" if path else key for key in keys]
    same = [key for key in everywhere if key.endswith(f".{unknown}")]  # in another section, perhaps in several
    near = same or difflib.get_close_matches(unknown, here, 1) or difflib.get_close_matches(unknown, everywhere, 1, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else f"; known here: {', '.join(keys)}"


def _keys(section: str) -> list[str]:
    return [field.name for field in fields(getattr(Settings(), section))]


def _json_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

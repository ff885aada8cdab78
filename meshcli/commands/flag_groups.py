"""Dataclasses as groups of command-line flags.

Typer wants one parameter per flag; a command here takes one per group:

    @dataclass(frozen=True)
    class SettingsFlags(FlagGroup, title="Settings"):
        seed: Annotated[int, typer.Option(help="Random seed.")] = 0

    @app.command()
    @expand_flag_groups
    def align(directory: Directory, settings: SettingsFlags) -> None: ...

A field describes its flag once. The options that Typer parses and their panels in `--help`, the words that hand a
typed flag on to a child process, and the settings that it overrides all come from there. `usual_first` puts a command's
usual flags before those of its groups.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from meshcli.config import override
from meshcli.errors import UsageError
from meshcli.setting_types import range_of, types_of, unknown_name
from meshcli.settings import Settings

Result = TypeVar("Result")


class Overrides:
    """Metadata of a flag: the settings that it overrides, with the flag's own value or with a fixed one.

    Where the first setting is a number, the flag is checked against that setting's range as soon as it is parsed.
    """

    def __init__(self, *settings: str, value: Any = None) -> None:
        self.settings = settings  # "section.key"
        self.value = value


class Only:
    """Metadata of a parameter that is a group: the command offers these flags of it; the others keep their defaults."""

    def __init__(self, *names: str) -> None:
        self.names = names


class FlagGroup:
    """A frozen dataclass of flags; every field is `Annotated` with a `typer.Option` and has a default."""

    title: ClassVar[str]  # of the panel in `--help`

    def __init_subclass__(cls, title: str) -> None:
        cls.title = title

    def words(self, *names: str) -> list[str]:
        """The typed flags, or those among them that are named, as words of a command line."""
        line: list[str] = []
        for flag, value in self._typed():
            if isinstance(flag.option, ArgumentInfo) or (names and flag.name not in names):
                continue
            if flag.option.count:
                line += [flag.long] * value
            elif isinstance(value, list):
                line += [f"{flag.long}={each}" for each in value]
            else:
                line.append(flag.long if value is True else f"{flag.long}={value}")
        return line

    def overrides(self) -> dict[str, Any]:
        """The settings that the typed flags override: `section.key` -> value."""
        return {
            setting: value if flag.overrides.value is None else flag.overrides.value
            for flag, value in self._typed()
            for setting in flag.overrides.settings
        }

    def _typed(self) -> "Iterator[tuple[_Flag, Any]]":
        """The flags that do not have their default, with their values."""
        hints = types_of(type(self))
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, each.name)
            if value not in (each.default, []):
                yield _Flag.read(each.name, hints[each.name]), value


def expand_flag_groups(command: Callable[..., Result]) -> Callable[..., Result]:
    """The command as Typer wants it: with a parameter for every flag of its groups, in their order."""
    hints = get_type_hints(command, include_extras=True)
    result = hints.pop("return")

    @wraps(command)
    def expanded(**values: Any) -> Result:
        return command(**{name: _collect(hint, values) or values[name] for name, hint in hints.items()})

    own = signature(command).parameters
    parameters = [flag for name, hint in hints.items() for flag in _expand(name, hint, own[name].default)]
    expanded.__signature__ = Signature(parameters, return_annotation=result)  # type: ignore[attr-defined]
    expanded.__annotations__ = {flag.name: flag.annotation for flag in parameters}
    return expanded


def usual_first(*names: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let `--help` show these flags of an expanded command first, in this order, in the panel that needs no name."""

    def reorder(command: Callable[..., Result]) -> Callable[..., Result]:
        flags = signature(command).parameters
        usual = [_without_panel(flags[name]) for name in names]
        rest = [flag for name, flag in flags.items() if name not in names]
        arguments = [flag for flag in rest if _is_argument(flag)]
        ordered = [*arguments, *usual, *(flag for flag in rest if flag not in arguments)]
        command.__signature__ = Signature(ordered, return_annotation=signature(command).return_annotation)  # type: ignore[attr-defined]
        command.__annotations__ = {flag.name: flag.annotation for flag in ordered}
        return command

    return reorder


def _without_panel(flag: Parameter) -> Parameter:
    """A flag of an expanded command, in the panel of flags that belong to none."""
    kind, *metadata = get_args(flag.annotation)
    option = copy(next(each for each in metadata if isinstance(each, OptionInfo)))
    option.rich_help_panel = None
    return flag.replace(annotation=Annotated[kind, option])


def _is_argument(flag: Parameter) -> bool:
    return any(isinstance(each, ArgumentInfo) for each in get_args(flag.annotation))


def _expand(name: str, hint: Any, default: Any, title: str = "") -> Iterator[Parameter]:
    """A parameter or field as the flags that it stands for."""
    group, offered = _group(hint)
    if group is None:
        annotation = _Flag.read(name, hint).annotation(title) if title else hint
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        return
    hints = types_of(group)
    for each in fields(group):
        if each.name in offered:
            yield from _expand(each.name, hints[each.name], each.default, getattr(group, "title", ""))


def _collect(hint: Any, values: Mapping[str, Any]) -> Any:
    """The group made of the parsed flags; None where the hint is not that of a group."""
    group, offered = _group(hint)
    if group is None:
        return None
    hints = types_of(group)
    return group(**{name: _collect(hints[name], values) or values[name] for name in offered})


def _group(hint: Any) -> tuple[Any, tuple[str, ...]]:
    """The dataclass that a hint names, and which of its fields a command offers; None where it names none."""
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not is_dataclass(kind):
        return None, ()
    only = next((each for each in metadata if isinstance(each, Only)), None)
    return kind, only.names if only else tuple(each.name for each in fields(kind))


@dataclass(frozen=True)
class _Flag:
    """A field of a group, read."""

    name: str
    kind: Any
    option: Any  # typer's OptionInfo, or ArgumentInfo
    overrides: Overrides = field(default_factory=Overrides)

    @classmethod
    def read(cls, name: str, hint: Any) -> "_Flag":
        """From the field's name and type."""
        kind, *metadata = get_args(hint)
        option = next(each for each in metadata if isinstance(each, ParameterInfo))
        return cls(name, kind, option, next((each for each in metadata if isinstance(each, Overrides)), Overrides()))

    @property
    def long(self) -> str:
        """As it is typed: `--dry-run`."""
        # In `Annotated`, Typer takes the first name for a default.
        names = [each for each in (self.option.default, *(self.option.param_decls or ())) if isinstance(each, str)]
        return next((each for each in names if each.startswith("--")), f"--{self.name.replace('_', '-')}")

    def annotation(self, title: str) -> Any:
        """What Typer reads: the type, and the option with its panel, and its range where it is a number."""
        option = copy(self.option)
        if isinstance(option, OptionInfo):
            option.rich_help_panel = title
        if self.overrides.settings:
            self._limit(option, self.overrides.settings[0])
        return Annotated[self.kind, option]

    def _limit(self, option: OptionInfo, setting: str) -> None:
        """Let the option accept what its setting accepts, if that is a number."""
        section, key = setting.split(".")
        part = getattr(Settings(), section)
        if (allowed := range_of(type(part), key)) is None:
            return
        number = type(getattr(part, key))

        def parse(text: str) -> Any:
            try:
                value = number(text)
            except ValueError:
                value = text  # the message names it, and what it may be
            override(Settings(), {setting: value}, f"{self.long} {text}")
            return value

        option.parser = parse
        option.metavar = "N"
        option.help = f"{str(option.help).rstrip('.')} ({allowed})."


def refuse_unknown(flag: str, what: str, names: Iterable[str], known: Sequence[str]) -> None:
    """UsageError, naming the flag, where the list that it takes has a word that is none of the `known` ones."""
    for name in names:
        if name not in known:
            raise UsageError(f"{flag}: {unknown_name(what, name, known)}")

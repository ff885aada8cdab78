"""The man page, written from the commands: `python -m meshcli.commands.manual > meshcli.1`."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from meshcli import __version__
from meshcli.commands.cli import COMMANDS, app
from meshcli.commands.lazy_commands import load_command


def manual() -> str:
    """The page in the man macros of roff."""
    root: Any = get_command(app)
    lines = [
        f'.TH MESHCLI 1 "" "meshcli {__version__}" "User Commands"',
        ".SH NAME",
        r"meshcli \- photos of one object in, a textured mesh out",
        ".SH SYNOPSIS",
        r".B meshcli \fICOMMAND\fR [\fIOPTION\fR...] \fIDIR\fR [\fIPHOTO\fR...]",
        ".SH DESCRIPTION",
        _text(root.help),
        ".SH COMMANDS",
    ]
    for name in ("run", *(each for each in COMMANDS if each != "run")):  # the one that is typed most comes first
        command = load_command(name)
        for title, each in [(name, command), *_inner_commands(name, command)]:
            lines += _command(title, each)
    return "\n".join([*lines, ".SH EXIT STATUS", _text(root.epilog), ""])


def _inner_commands(name: str, command: Any) -> list[tuple[str, Any]]:
    return [(f"{name} {inner}", each) for inner, each in getattr(command, "commands", {}).items()]


def _command(title: str, command: Any) -> Iterator[str]:
    """A command as a subsection, with its flags in their groups."""
    yield f'.SS "meshcli {title}"'
    yield _text(command.help)
    group = ""
    for each in command.params:
        if getattr(each, "hidden", False):
            continue
        panel = getattr(each, "rich_help_panel", None) or ""
        if panel != group and panel:
            yield f".PP\n.I {_text(panel)}"
        group = panel
        yield ".TP"
        yield rf".B {_text(_name(each))}"
        yield _text(each.help or "")
    if command.epilog:
        yield f".PP\n{_text(command.epilog)}"


def _name(parameter: Any) -> str:
    """`--views LIST`, or the placeholder of an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join(parameter.opts)
    if parameter.is_flag or parameter.count:
        return names
    choices = getattr(getattr(parameter, "type_descriptor", None), "choices", None)
    return f"{names} {parameter.metavar or ('|'.join(map(str, choices)) if choices else 'VALUE')}"


def _text(text: str) -> str:
    """Text in which nothing is an escape or a request of roff."""
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(rf"\&{line}" if line[:1] in (".", "'") else line for line in plain.splitlines() if line.strip())


if __name__ == "__main__":
    print(manual(), end="")

"""The entry point of the command line: dispatch to a command, turn errors into one line and an exit code. Light."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from meshcli import __version__
from meshcli.commands.lazy_commands import Group, LazyCommand, load_command
from meshcli.commands.plain_output import escape_controls, prepare_output, print_json
from meshcli.errors import MeshcliError, UsageError
from meshcli.system.processes import (
    INTERRUPTED_MESSAGE,
    REPORT_VARIABLE,
    UNSUPERVISED,
    Interrupted,
    exit_with_parent,
    listen_to_signals,
)

EXIT_CODES = (
    "Exit codes: 0 done | 1 a bug | 2 usage | 3 bad input file | 4 weights or optional packages missing or unusable | "
    "5 project damaged or locked | 6 uncertain | 75 out of memory or disk (the same command may be tried again, "
    "with a smaller setting) | 130 Ctrl-C | 143 SIGTERM."
)

# Each is defined by the module of its name and repeats the first sentence of its help, for `meshcli --help`.
COMMANDS = {
    "generate": "Cut the object out of the photos and generate six views of each.",
    "align": "Estimate the azimuths of the photos and their relative scales by comparing their views.",
    "select": "Choose the views that build the mesh; without a flag, ask on the terminal.",
    "reconstruct": "Build a textured mesh from the selected views: mesh/mesh.glb and mesh/mesh.obj.",
    "render": "Render renders/turntable.mp4, stills, and a contact sheet of the selected views and the mesh.",
    "export": "Hand mesh and cameras over to other programs at true size: GLB, OBJ, PLY, STL, 3MF, rig files.",
    "run": "Run all four stages, each in its own process; finished, unchanged ones are skipped.",
    "batch": "Run all stages for every object of a list; what is done is skipped, a failure stops nothing else.",
    "status": "Show which stages are done, stale, failed or interrupted, and what to run next.",
    "report": "Write report.html: photos, views, cameras, the mesh to turn around, figures, in one file.",
    "ui": "Open the steps in a browser: hand photos in, choose views, build the mesh and look at it.",
    "models": "Weights of the networks: list, pull, verify, path, convert.",
}
LOGGED_COMMANDS = COMMANDS.keys() - {"batch", "status", "report", "ui", "models"}  # which change no project

app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
for _name, _summary in COMMANDS.items():
    app.command(_name, cls=LazyCommand, help=_summary)(lambda: None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; bugs keep their traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    line = _with_auto_count(_with_flags_for_words(words))
    prepare_output()
    listen_to_signals()
    UNSUPERVISED.set(not exit_with_parent() and arguments is None)
    directory = _logged_directory(line)
    if directory is None:
        return _run(line)
    from meshcli.commands.command_log import logging_command

    with logging_command(words, directory) as log:
        code = _run(line)
        log.end(code)
        return code


def _run(line: Sequence[str]) -> int:
    """Run a command line and return its exit code; bugs are raised."""
    try:
        code = int(_root_command()(list(line), standalone_mode=False, prog_name="meshcli") or 0)
        sys.stdout.flush()  # so that a write error is reported here
        return code
    except MeshcliError as error:
        return _report(error, error.exit_code, line)
    except TyperException as error:
        message, code = _explain(error, line), error.exit_code  # no message when the help was printed instead
        return _report(UsageError(message), code, line) if message else code
    except typer.Abort:
        return 130
    except Interrupted as error:
        if REPORT_VARIABLE not in os.environ:  # else the parent prints it
            _print_error(INTERRUPTED_MESSAGE)
        return error.exit_code
    except Exception as error:
        from meshcli.stages.stage_runner import to_user_error

        known = to_user_error(error, "the output")
        if known is None:
            raise
        return _report(known, known.exit_code, line)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"meshcli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Photos of one object in, a textured mesh out: generate, select, reconstruct, render."""


@cache  # a line is read twice, and a worker reads one after the other
def _root_command() -> Any:
    return get_command(app)


def _with_flags_for_words(line: list[str]) -> list[str]:
    """The line with --help and --version for the words `help`, which may stand before a command, and `version`."""
    match line:
        case ["version"]:
            return ["--version"]
        case ["help", *words]:
            return [*words, "--help"]
        case ["models", "help", *words]:
            return ["models", *words, "--help"]
    return line


def _with_auto_count(line: list[str]) -> list[str]:
    """The line with a number after `select --auto`, which may be left out; the parser cannot express that."""
    if line[:1] != ["select"] or "--auto" not in line:
        return line
    place = line.index("--auto") + 1
    given = place < len(line) and line[place].lstrip("-").isdecimal()
    return line if given else [*line[:place], "6", *line[place:]]


def _explain(error: TyperException, line: Sequence[str]) -> str:
    """The message for a mistake that the parser found; empty for an empty one."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if not message or context is None:
        return message
    if hasattr(error, "possibilities"):  # only an unknown flag has them
        from meshcli.commands.hints import explain_unknown_flag

        return explain_unknown_flag(str(error.option_name), context, line)  # type: ignore[attr-defined]
    if " is not one of " in message:
        from meshcli.commands.hints import nearest_choice

        if near := nearest_choice(message):
            message = f"{message.rstrip('.')}; did you mean {near}?"
    if message.startswith("Got unexpected extra argument"):
        from meshcli.commands.hints import explain_extra_arguments

        if hint := explain_extra_arguments(context, line):
            return hint
    return f"{message.replace('Value error, ', '', 1)} (see `{context.command_path} --help`)"  # pydantic's words


def _report(error: MeshcliError, code: int, line: Sequence[str]) -> int:
    """Print an error as one line, with --json as a document too, with -vv with its traceback; return the exit code."""
    as_json, trace = _requested_output(line)
    if trace:
        import traceback

        for text in traceback.format_exception(error):
            for each in text.splitlines():
                print(escape_controls(each), file=sys.stderr)
    if error.printed:
        from meshcli.commands.command_log import log_message

        log_message(str(error))
    else:
        _print_error(str(error))
    if as_json:
        with suppress(OSError):  # standard output may be what the error is about
            print_json({"meshcli": 1, "error": str(error), "exit_code": code, **error.details})
            sys.stdout.flush()
    return code


def _print_error(message: str) -> None:
    from meshcli.commands.command_log import log_failure
    from meshcli.commands.console import print_error

    log_failure(message)
    print_error(message)


def _requested_output(line: Sequence[str]) -> tuple[bool, bool]:
    """Whether a line, though it may hold mistakes, asks for JSON, and for tracebacks, as its command parses it.

    Where no command has the name, the line is read as one of `run`, whose output flags are those of all commands.
    """
    parameters = _parse_leniently(line)
    return bool(parameters.get("as_json")), (parameters.get("verbose") or 0) > 1


def _logged_directory(line: Sequence[str]) -> Path | None:
    """The project directory of a command that is logged: of one that may change the project."""
    if not line or line[0] not in LOGGED_COMMANDS:
        return None
    parameters = _parse_leniently(line)
    only_reads = parameters.get("dry_run") or parameters.get("list_views") or {"--help", "-h"}.intersection(line)
    directory = parameters.get("directory")
    return directory if isinstance(directory, Path) and not only_reads else None


def _parse_leniently(line: Sequence[str]) -> dict[str, Any]:
    """The parameters of a command line, though it may hold mistakes."""
    command: Any = _root_command()
    rest = list(line)
    while rest and isinstance(command, Group):
        command = command.commands.get(rest.pop(0), load_command("run"))
        if isinstance(command, LazyCommand):
            command = load_command(command.name)
    context = command.make_context("meshcli", rest, resilient_parsing=True, ignore_unknown_options=True)
    return dict(context.params)

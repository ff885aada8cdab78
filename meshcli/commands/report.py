"""`meshcli report`: a page of results to look at in a browser, or to send."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from meshcli.commands.console import print_error
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import OutputFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import escape_controls, print_json
from meshcli.project.project import Project

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli report desk --open")
@expand_flag_groups
def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Project directories.", show_default=False)
    ],
    output: Annotated[OutputFlags, Only("as_json", "quiet")],
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="The page; else report.html in DIR, or here if there are several.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> int:
    """Write report.html: photos, views, cameras, the mesh to turn around, figures, in one file."""
    from meshcli.report.report import write_report

    for directory in directories:
        refuse_photos_as_directory(directory, "report", [])
    written = write_report([Project(directory) for directory in directories], file)
    if output.as_json:
        errors = [str(error) for error in written.errors]
        print_json({"meshcli": 1, "report": str(written.path), "bytes": written.size, "errors": errors})
    elif not output.quiet:
        print(escape_controls(f"{written.path} ({written.size / 1e6:.1f} MB)"))
    for error in written.errors:
        print_error(str(error))
    if show:
        webbrowser.open(written.path.resolve().as_uri())
    return written.errors[0].exit_code if written.errors else 0

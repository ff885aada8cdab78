"""`meshcli ui`: the steps in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.reporter import Reporter
from meshcli.project.project import Project
from meshcli.system.processes import Interrupted

app = typer.Typer(add_completion=False)
NEW_PROJECT = Path("object")  # where none is named, and this directory is none


@app.command(cls=Command, epilog="Example: meshcli ui desk")
def ui(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Project directory; else this one, or ./object.", show_default=False),
    ] = None,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port; else the first free one from 8765.", show_default=False),
    ] = 0,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; for others, add --password.")
    ] = "127.0.0.1",
    password: Annotated[
        str,
        typer.Option(
            "--password",
            envvar="MESHCLI_UI_PASSWORD",
            show_envvar=True,
            show_default=False,
            help="Ask for this instead of a token in the address.",
        ),
    ] = "",
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> int:
    """Open the steps in a browser: hand photos in, choose views, build the mesh and look at it."""
    from meshcli.ui.server import Listening, serve

    directory = directory or (Path() if Project(Path()).exists else NEW_PROJECT)
    refuse_photos_as_directory(directory, "ui", [])
    project = Project(directory)
    if project.exists:
        project.load()
    tell = Reporter().tell
    try:
        serve(
            project,
            Listening(host, port, password, not no_open),
            tell,
            lambda address: print(escape_controls(address), flush=True),
        )
    except Interrupted as error:
        tell("stopped; what was at work goes on from what is finished when it is started again")
        return error.exit_code
    return 0

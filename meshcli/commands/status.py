"""`meshcli status`: what is done, and what to run next."""

from typing import Annotated

import typer

from meshcli.commands.console import print_status
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import Directory, OutputFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import escape_controls, print_json
from meshcli.project.project import Project
from meshcli.stages.status import read_status

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli status desk --json")
@expand_flag_groups
def status(directory: Directory, output: Annotated[OutputFlags, Only("as_json", "quiet")]) -> None:
    """Show which stages are done, stale, failed or interrupted, and what to run next."""
    refuse_photos_as_directory(directory, "status", [])
    found = read_status(Project(directory))
    if output.as_json:
        print_json(found.to_json())
    elif not output.quiet:
        print_status(found)
    elif found.next:
        print(escape_controls(found.next))

"""`meshcli align`: the photos' azimuths and relative scales."""

from dataclasses import replace
from typing import Annotated

import typer

from meshcli.commands.console import print_alignment
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import Directory, ExecutionFlags, OutputFlags, SettingsFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import explain_os_errors, fork_stage, run_options
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import print_json
from meshcli.commands.reporter import Reporter
from meshcli.project.project import Project
from meshcli.stages.status import read_status

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli align desk")
@expand_flag_groups
def align(
    directory: Directory,
    settings: Annotated[SettingsFlags, Only("seed")],
    execution: Annotated[ExecutionFlags, Only("wait")],
    output: OutputFlags,
) -> None:
    """Estimate the azimuths of the photos and their relative scales by comparing their views."""
    from meshcli.stages.align import align_photos

    refuse_photos_as_directory(directory, "align", [])
    project = Project(directory)
    fork_stage(project, "generate", "align")
    with Reporter(output.quiet or output.as_json, output.verbose) as reporter, explain_os_errors(project):
        options = replace(run_options(execution), progress=reporter.progress, tell=reporter.tell)
        answers = align_photos(project, seed=settings.seed, run_options=options)
    following = read_status(project).next
    if output.as_json:
        photos = [vars(each) for each in answers]
        print_json({"meshcli": 1, "project": str(directory), "photos": photos, "next": following})
    else:
        print_alignment(project, answers, following)

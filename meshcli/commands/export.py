"""`meshcli export`: mesh and cameras -> files for other programs."""

from typing import Annotated

import typer

from meshcli.commands.export_flags import ExportFlags, SizeFlags
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import Directory, ExecutionFlags, OutputFlags, SettingsFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_settings_flags, run_options, run_stage
from meshcli.commands.lazy_commands import Command

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli export desk --to glb,usdz --height 1.15m")
@expand_flag_groups
def export(
    directory: Directory,
    files: ExportFlags,
    size: SizeFlags,
    settings: Annotated[SettingsFlags, Only("config", "assignments", "defaults")],
    execution: Annotated[ExecutionFlags, Only("force", "wait", "dry_run")],
    output: OutputFlags,
) -> int:
    """Hand mesh and cameras over to other programs at true size: GLB, OBJ, PLY, STL, 3MF, rig files."""
    from meshcli.stages.export import export_project

    refuse_photos_as_directory(directory, "export", [])
    typed = read_settings_flags(settings, {**files.overrides(), **size.overrides()})
    return run_stage(
        directory,
        "export",
        lambda project, reported: export_project(project, settings=typed, run_options=reported),
        run_options(execution),
        output,
    )

"""`meshcli render`: mesh -> turntable video and pictures."""

from typing import Annotated

import typer

from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import Directory, ExecutionFlags, NetworkFlags, OutputFlags, SettingsFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_settings_flags, run_options, run_stage
from meshcli.commands.lazy_commands import Command
from meshcli.commands.render_flags import RenderFlags

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli render desk --frames 60 --size 768")
@expand_flag_groups
def render(
    directory: Directory,
    turntable: RenderFlags,
    network: Annotated[NetworkFlags, Only("device")],
    settings: Annotated[SettingsFlags, Only("config", "assignments", "defaults")],
    execution: Annotated[ExecutionFlags, Only("force", "wait", "dry_run")],
    output: OutputFlags,
) -> int:
    """Render renders/turntable.mp4, stills, and a contact sheet of the selected views and the mesh.

    Each of --passes has files of its own: turntable.normals.mp4, front.normals.png. All of these flags stay in force
    until others are typed; --defaults drops them.
    """
    from meshcli.stages.render import render_mesh

    refuse_photos_as_directory(directory, "render", [])
    typed = read_settings_flags(settings, turntable.overrides())
    return run_stage(
        directory,
        "render",
        lambda project, reported: render_mesh(project, settings=typed, run_options=reported),
        run_options(execution, network),
        output,
    )

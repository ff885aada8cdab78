"""`meshcli generate`: photos -> views."""

from dataclasses import replace
from typing import Annotated

import typer

from meshcli.commands.flag_groups import expand_flag_groups, usual_first
from meshcli.commands.flags import (
    Directory,
    ExecutionFlags,
    GeneratorFlags,
    InputFlags,
    NetworkFlags,
    OutputFlags,
    PhotoFlags,
    SettingsFlags,
)
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_inputs, read_settings_flags, run_options, run_stage, with_rig
from meshcli.commands.lazy_commands import Command
from meshcli.commands.reporter import Reporter
from meshcli.errors import UsageError
from meshcli.project.project import Project

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli generate desk 1.png 2.png 3.png --azimuth 0,40,-50")
@usual_first(
    "azimuth",
    "rig",
    "cutout",
    "add",
    "remove",
    "engine",
    "steps",
    "seed",
    "config",
    "dry_run",
)
@expand_flag_groups
def generate(
    directory: Directory,
    inputs: InputFlags,
    photo: PhotoFlags,
    generator: GeneratorFlags,
    network: NetworkFlags,
    settings: SettingsFlags,
    execution: ExecutionFlags,
    output: OutputFlags,
    cut_outs_only: Annotated[
        bool,
        typer.Option(
            "--cutouts-only",
            rich_help_panel=PhotoFlags.title,
            help="Stop when the photos are cut out; the same command goes on.",
        ),
    ] = False,
) -> int:
    """Cut the object out of the photos and generate six views of each.

    Without PHOTO, the recorded photos are used. A cameras.json beside the photos is read unless cameras are given.
    """
    from meshcli.stages.generate import generate_views

    refuse_photos_as_directory(directory, "generate", inputs.handed_in)
    inputs = with_rig(inputs, Project(directory))
    pictures, cameras = read_inputs(inputs, Reporter(output.quiet or output.as_json).tell)
    if photo.add and not pictures:
        raise UsageError("--add appends photos; name some")
    remove = ",".join(photo.remove or ()).split(",") if photo.remove else []
    if remove and pictures and not photo.add:
        raise UsageError("--remove takes photos out of the recorded set, and PHOTO replaces that; add --add to append")
    typed_flags = (inputs.overrides(), generator.overrides(), photo.overrides())
    overrides = {key: value for table in typed_flags for key, value in table.items()}
    overrides |= network.dtype_override("zero123plus")
    typed = read_settings_flags(settings, overrides)
    options = run_options(execution, network, [*generator.words(), *network.network_words()])
    return run_stage(
        directory,
        "generate",
        lambda project, reported: generate_views(
            project, pictures, cameras, add=photo.add, remove=remove, settings=typed, engine=generator.engine,
            seed=settings.seed, run_options=reported,
        ),
        replace(
            options, keep_going=photo.keep_going, refuse_guesses=photo.certain, cut_outs_only=cut_outs_only,
        ),
        output,
    )  # fmt: skip

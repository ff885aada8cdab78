"""`meshcli run`: all stages, each as a child process."""

import typer

from meshcli.commands.console import Reporter, print_plan
from meshcli.commands.flag_groups import expand_flag_groups
from meshcli.commands.flags import (
    Directory,
    ExecutionFlags,
    InputFlags,
    OutputFlags,
    SettingsFlags,
    StageFlags,
    StageOptionFlags,
)
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_inputs, read_settings_flags, run_options, with_rig
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import print_json, print_output
from meshcli.errors import InputError
from meshcli.project.project import Project
from meshcli.stages.run import RunArguments, run_stages

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli run desk 1.png 2.png 3.png --azimuth 0,40,-50")
@expand_flag_groups
def run(
    directory: Directory,
    inputs: InputFlags,
    stages: StageFlags,
    options: StageOptionFlags,
    settings: SettingsFlags,
    execution: ExecutionFlags,
    output: OutputFlags,
) -> int:
    """Run all four stages, each in its own process; finished, unchanged ones are skipped."""
    refuse_photos_as_directory(directory, "run", inputs.handed_in)
    tell = Reporter(output.quiet or output.as_json).tell
    inputs = with_rig(inputs, Project(directory))
    pictures, _ = read_inputs(inputs, tell)
    photos = [str(each) for each in pictures] if inputs.photos else []
    arguments = _child_arguments(photos, inputs, stages, options, settings, execution, output)
    documents = run_stages(Project(directory), arguments, capture=output.as_json, tell=tell, print_output=print_output)
    if output.as_json:
        print_json({"meshcli": 1, "project": str(directory), "stages": documents})
    elif execution.dry_run:
        print_plan(documents)
    return InputError.exit_code if any(document.get("left_out") for document in documents) else 0


def _child_arguments(
    photos: list[str],
    inputs: InputFlags,
    stages: StageFlags,
    options: StageOptionFlags,
    settings: SettingsFlags,
    execution: ExecutionFlags,
    output: OutputFlags,
) -> RunArguments:
    """What each child process is called with. Raises UsageError for wrong settings, before any child starts."""
    configuration = settings.words("config", "assignments", "defaults")
    generation = [*options.generator.words(), *options.photo.words("no_rembg", "max_pixels")]
    reconstruction, rendering = options.reconstructor.words(), options.render.words()
    common = options.network.words_for_any_engine()
    shared = [*settings.words("seed"), *execution.words("offline"), *common, *configuration]
    # A dry run asks every child for a document, whether or not it prints one itself.
    reporting = output.words("quiet", "verbose") if execution.dry_run else output.words()
    return RunArguments(
        generate=[f"--engine={stages.generator}", *generation, *shared],
        cameras=[*inputs.words(), *options.photo.words("add", "remove", "keep_going")],
        photos=photos,
        views=options.selection.views,
        include_photos=options.selection.include_photos,
        reconstruct=[f"--engine={stages.reconstructor}", *reconstruction, *shared],
        render=[*rendering, *configuration],
        common=[*execution.words("wait"), *reporting],
        force=execution.force,
        first=stages.first,
        last=stages.last,
        dry=execution.dry_run,
        typed={
            "generate": [*stages.words("generator"), *generation],
            "reconstruct": [*stages.words("reconstructor"), *reconstruction],
            "render": rendering,
        },
        shared=options.network.network_words(),
        generator="photos" if inputs.from_sheet or inputs.from_views else stages.generator,
        reconstructor=stages.reconstructor,
        settings=read_settings_flags(settings),
        run_options=run_options(execution, options.network),
    )

"""`meshcli run`: all stages, each as a child process."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.main import get_command

from meshcli.commands.console import print_plan, print_room, print_summary
from meshcli.commands.export_flags import SizeFlags, refuse_unknown_formats
from meshcli.commands.flag_groups import Only, expand_flag_groups, usual_first
from meshcli.commands.flags import (
    Directory,
    ExecutionFlags,
    GeneratorFlags,
    InputFlags,
    NetworkFlags,
    OutputFlags,
    PhotoFlags,
    ReconstructorFlags,
    SelectionFlags,
    SettingsFlags,
    StageFlags,
)
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_inputs, read_settings_flags, run_options, tell_rig, with_rig
from meshcli.commands.lazy_commands import Command
from meshcli.commands.mesh_file_flags import MeshFileFlags
from meshcli.commands.plain_output import print_json, print_output
from meshcli.commands.render_flags import RenderFlags
from meshcli.commands.reporter import Reporter
from meshcli.commands.run_progress import RunRecords
from meshcli.commands.run_story import RunStory
from meshcli.config import TypedSettings
from meshcli.errors import InputError, UsageError
from meshcli.progress import Tell, unheard
from meshcli.project.manifest import Stage
from meshcli.project.project import Project
from meshcli.stages.mesh_import import engine_for_file
from meshcli.stages.preflight import plan_summary
from meshcli.stages.run import RunArguments, run_stages
from meshcli.stages.run_summary import summary_lines
from meshcli.system.child_records import sends_records

app = typer.Typer(add_completion=False)
parser = typer.Typer(add_completion=False, pretty_exceptions_enable=False)  # of the same words, without running them


@dataclass(frozen=True)
class StageOptionFlags:
    """The flags that `run` hands on to single stages, group by group."""

    photo: PhotoFlags
    generator: Annotated[GeneratorFlags, Only("steps", "unet", "vram")]
    selection: Annotated[SelectionFlags, Only("views", "include_photos")]
    reconstructor: Annotated[ReconstructorFlags, Only("faces", "texture_size")]
    mesh_file: Annotated[MeshFileFlags, Only("from_mesh", "refine", "no_refine")]
    render: Annotated[RenderFlags, Only("frames", "size", "fps")]
    size: SizeFlags
    network: NetworkFlags


@dataclass(frozen=True)
class RunFlags:
    """All flags of `run`, group by group."""

    inputs: InputFlags
    options: StageOptionFlags
    settings: SettingsFlags
    stages: StageFlags
    execution: ExecutionFlags
    output: OutputFlags


@app.command(cls=Command, epilog="Example: meshcli run desk 1.png 2.png 3.png --azimuth 0,40,-50")
@usual_first(
    "azimuth",
    "guess",
    "rig",
    "cutout",
    "generator",
    "views",
    "reconstructor",
    "faces",
    "config",
    "dry_run",
)
@expand_flag_groups
def run(directory: Directory, flags: RunFlags) -> int:
    """Run all four stages, each in its own process; finished, unchanged ones are skipped."""
    execution, output = flags.execution, flags.output
    refuse_photos_as_directory(directory, "run", flags.inputs.handed_in)
    tell = Reporter(output.quiet or output.as_json).tell
    arguments = _run_arguments(directory, flags, tell)
    silent = output.quiet or output.as_json or execution.dry_run
    documents = _run(Project(directory), arguments, tell, output.as_json, silent)
    room = plan_summary(Project(directory), documents) if execution.dry_run else {}
    if output.as_json:
        print_json({"meshcli": 1, "project": str(directory), "stages": documents, **room})
    elif execution.dry_run:
        print_plan(documents)
        if room["bytes"]:
            print_room(room["bytes"], room["free"])
    return InputError.exit_code if any(document.get("left_out") for document in documents) else 0


@parser.command()
@expand_flag_groups
def parse(directory: Directory, flags: RunFlags) -> tuple[Project, RunArguments]:
    """What `run` would do with the same words."""
    return Project(directory), _run_arguments(directory, flags, unheard)


@cache  # a worker parses for every stage
def _parser() -> Any:
    return get_command(parser)


def read_run(words: Sequence[str]) -> tuple[Project, RunArguments]:
    """The project and the arguments of the command line `meshcli run WORDS`; raises what that would say at once."""
    found: tuple[Project, RunArguments] = _parser()(list(words), standalone_mode=False, prog_name="meshcli run")
    return found


def _run_arguments(directory: Path, flags: RunFlags, tell: Tell) -> RunArguments:
    """What the flags ask for; UsageError where a new project gets no photos."""
    inputs = with_rig(flags.inputs, Project(directory))
    pictures, cameras = read_inputs(inputs, tell)
    photos = [str(each) for each in pictures] if inputs.photos else []
    if not inputs.handed_in and not Project(directory).exists:
        raise UsageError(f"{directory} has no photos; hand some in: `{Project(directory).command('run')} PHOTO...`")
    if flags.execution.dry_run:
        tell_rig(photos, cameras, Project(directory), tell)
    return _child_arguments(photos, replace(flags, inputs=inputs))


def _run(project: Project, arguments: RunArguments, tell: Tell, as_json: bool, silent: bool) -> list[dict[str, Any]]:
    """Run the stages, told as a story on a terminal, and print a summary at the end unless `silent`."""
    console = Console(stderr=True, highlight=False)
    start = time.monotonic()
    if sends_records() and not silent:
        records = RunRecords(arguments.stages, arguments.force, _may_be_unposed(arguments))
        return run_stages(project, arguments, tell=tell, print_output=print_output, watcher=records)
    if silent or not sys.stderr.isatty() or not console.is_terminal or console.is_dumb_terminal:
        documents = run_stages(project, arguments, capture=as_json, tell=tell, print_output=print_output)
    else:
        captures = sys.stdout.isatty()  # the summary names the results; what a pipe gets stays as it is
        with RunStory(console, arguments.stages, captures, arguments.force, _may_be_unposed(arguments)) as story:
            output = _print_table if captures else print_output
            documents = run_stages(project, arguments, tell=tell, print_output=output, watcher=story)
    if not silent:
        print_summary(console, summary_lines(project, time.monotonic() - start))
    return documents


def _may_be_unposed(arguments: RunArguments) -> bool:
    """Whether several photos are handed in without a word about their cameras."""
    told = any(word.startswith(("--azimuth", "--rig", "--from-")) for word in arguments.cameras)
    return len(arguments.photos) > 1 and not told and not all("@" in photo for photo in arguments.photos)


def _print_table(output: str) -> None:
    """Print what a child printed if it is more than the path of its result: the table of `align`."""
    if output.count("\n") > 1:
        print_output(output)


def _child_arguments(photos: list[str], flags: RunFlags) -> RunArguments:
    """What each child process is called with. Raises UsageError for wrong settings, before any child starts."""
    inputs, options, settings, stages = flags.inputs, flags.options, flags.settings, flags.stages
    execution, output = flags.execution, flags.output
    configuration = settings.words("config", "assignments", "defaults")
    generation = [*options.generator.words(), *options.photo.words("cutout", "no_rembg", "max_pixels")]
    options.mesh_file.refuse_contradictions()
    reconstructor = engine_for_file(stages.reconstructor, options.mesh_file.from_mesh)
    reconstruction = [*options.reconstructor.words(), *options.mesh_file.words()]
    rendering = options.render.words()
    common = options.network.words_for_any_engine()
    typed = read_settings_flags(settings)
    shared = [*settings.words("seed"), *execution.words("offline"), *common, *configuration]
    # A dry run asks every child for a document, whether or not it prints one itself.
    reporting = output.words("quiet", "verbose") if execution.dry_run else output.words()
    return RunArguments(
        generate=[f"--engine={stages.generator}", *generation, *shared],
        cameras=[*inputs.words(), *options.photo.words("add", "remove", "keep_going")],
        photos=photos,
        views=options.selection.views,
        include_photos=options.selection.include_photos,
        reconstruct=[f"--engine={reconstructor}", *reconstruction, *shared],
        render=[*rendering, *configuration],
        export=[f"--to={stages.export}", *options.size.words(), *configuration] if stages.export else None,
        common=[*execution.words("wait"), *reporting],
        force=execution.force,
        first=stages.first,
        last=stages.last,
        dry=execution.dry_run,
        guess=stages.guess,
        typed={
            "generate": [*stages.words("generator"), *generation],
            "reconstruct": [*stages.words("reconstructor"), *reconstruction],
            "render": rendering,
            "export": options.size.words(),
        },
        shared=options.network.network_words(),
        generator="photos" if inputs.from_sheet or inputs.from_views else stages.generator,
        reconstructor=reconstructor,
        from_mesh=options.mesh_file.from_mesh,
        settings=typed,
        stage_settings=_stage_settings(options, typed, stages),
        run_options=run_options(execution, options.network),
    )


def _stage_settings(
    options: StageOptionFlags, settings: TypedSettings, stages: StageFlags
) -> dict[Stage, TypedSettings]:
    """What was typed about the settings of each stage, as its own command reads it: those of all, and its flags."""
    overrides: dict[Stage, dict[str, Any]] = {
        "generate": {
            **options.generator.overrides(),
            **options.network.dtype_override("zero123plus"),
            **options.photo.overrides(),
        },
        "reconstruct": {
            **options.reconstructor.overrides(),
            **options.mesh_file.overrides(),
            **options.network.dtype_override("lrm"),
        },
        "render": options.render.overrides(),
    }
    refuse_unknown_formats("--export", stages.export)
    overrides["export"] = {**options.size.overrides(), **({"export.to": stages.export} if stages.export else {})}
    return {stage: settings.with_flags(table) for stage, table in overrides.items()}

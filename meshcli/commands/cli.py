"""The command line: parse, call one stage, report. Light: `--help` and `status` load no numpy."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from meshcli import __version__
from meshcli.commands import flags, invocation
from meshcli.commands.console import (
    Reporter,
    hand_on,
    prepare_output,
    show_alignment,
    show_error,
    show_json,
    show_plan,
    show_status,
    show_views,
    views_json,
)
from meshcli.commands.invocation import words
from meshcli.commands.models import models
from meshcli.engines import Generator, Reconstructor
from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.project.manifest import Chooser
from meshcli.project.project import Project
from meshcli.stages.stage_runner import to_user_error
from meshcli.stages.status import read_status
from meshcli.system.processes import INTERRUPTED_MESSAGE, UNSUPERVISED, Interrupted, exit_with_parent, listen_to_signals

EXIT_CODES = (
    "Exit codes: 0 done | 1 a bug | 2 usage | 3 bad input file | 4 weights or optional packages missing or unusable | "
    "5 project damaged or locked | 75 out of memory or disk (the same command may be tried again, with a smaller "
    "setting) | 130 Ctrl-C | 143 SIGTERM."
)

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


app.add_typer(models, name="models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; bugs keep their traceback."""
    line = invocation.with_count(list(sys.argv[1:] if arguments is None else arguments))
    prepare_output()
    listen_to_signals()
    UNSUPERVISED.set(not exit_with_parent() and arguments is None)
    try:
        code = int(app(line, standalone_mode=False, prog_name="meshcli") or 0)
        sys.stdout.flush()  # what cannot be written is an error like any other
        return code
    except MeshcliError as error:
        return invocation.complain(error, error.exit_code, *_asked(line))
    except TyperException as error:
        message, code = error.format_message(), error.exit_code  # no message when the help was printed instead
        hint = f" (see `meshcli {' '.join(line[:1])} --help`)"
        return invocation.complain(UsageError(message), code, *_asked(line), hint) if message else code
    except typer.Abort:
        return 130
    except Interrupted as error:
        show_error(INTERRUPTED_MESSAGE)
        return error.exit_code
    except Exception as error:
        known = to_user_error(error, "the output")
        if known is None:
            raise
        return invocation.complain(known, known.exit_code, *_asked(line))


def _asked(line: Sequence[str]) -> tuple[bool, bool]:
    """Whether a line asks for JSON, and for tracebacks, as its parser reads it; also when it holds a mistake.

    Where no command has the name, the line is read as one of `run`, which has the flags that all share.
    """
    group: Any = get_command(app)
    command, rest = group, list(line)
    while rest and hasattr(command, "commands"):
        command = command.commands.get(rest.pop(0), group.commands["run"])
    context = command.make_context("meshcli", rest, resilient_parsing=True, ignore_unknown_options=True)
    return bool(context.params.get("as_json")), (context.params.get("verbose") or 0) > 1


def _version(wanted: bool) -> None:
    if wanted:
        print(f"meshcli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Photos of one object in, a textured mesh out: generate, select, reconstruct, render."""


@app.command(epilog="Example: meshcli generate desk 1.png 2.png 3.png --azimuth 0,40,-50")
def generate(
    directory: flags.Directory,
    photos: flags.Photos = None,
    azimuth: flags.Azimuth = "",
    elevation: flags.Elevation = "",
    fov: flags.Fov = "",
    rig: flags.Rig = None,
    up: flags.Up = "",
    focal: flags.Focal = "",
    sensor: flags.Sensor = "",
    from_sheet: flags.FromSheet = None,
    rig_version: flags.RigVersion = "1.2",
    from_views: flags.FromViews = None,
    engine: Generator = "auto",
    steps: flags.Steps = None,
    guidance: flags.Guidance = None,
    unet: flags.UNet = None,
    vram: flags.VRAM = None,
    attention: flags.AttentionKind = None,
    batch: flags.Batch = None,
    checkpoint_every: flags.CheckpointEvery = None,
    preview: flags.Preview = None,
    device: flags.Device = "auto",
    dtype: flags.Dtype = "auto",
    weights: flags.Weights = None,
    no_rembg: flags.Rembg = False,
    add: flags.Add = False,
    keep_going: flags.KeepGoing = False,
    max_pixels: flags.MaxPixels = None,
    seed: flags.Seed = 0,
    config: flags.Config = None,
    assign: flags.Assign = None,
    offline: flags.Offline = False,
    force: flags.Force = False,
    wait: flags.Wait = False,
    dry_run: flags.Dry = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> int:
    """Cut the object out of the photos and paint six views of each.

    No PHOTO means the recorded set. A cameras.json beside the photos is used when no angle is typed.
    """
    from meshcli.stages.generate import generate_views

    typed = invocation.typed_cameras(azimuth, elevation, fov, focal, sensor, rig, up)
    tell = Reporter(quiet or as_json).tell
    pictures, typed = invocation.handed_in(photos, from_sheet, rig_version, from_views, typed, tell)
    if add and not pictures:
        raise UsageError("--add appends photos; name some")
    network = {
        "steps": steps,
        "guidance": guidance,
        "unet": unet,
        "vram": vram,
        "attention": attention,
        "batch": batch,
        "checkpoint_every": checkpoint_every,
        "preview": preview,
        "dtype": None if dtype == "auto" else dtype,
    }
    typed_words = [*words(**network), *invocation.network_words(device, "auto", weights)]
    wanted = {"photo.rembg": False if no_rembg else None, "photo.max_pixels": max_pixels,
             **{f"zero123plus.{key}": value for key, value in network.items()}}  # fmt: skip
    settings = invocation.settings_of(config, assign, wanted)
    return invocation.perform(
        directory,
        "generate",
        lambda project, as_told: generate_views(
            project, pictures, typed, add=add, settings=settings, engine=engine, seed=seed, run_options=as_told
        ),
        replace(
            invocation.run_options(force, wait, offline, device, weights, dry_run, typed_words), keep_going=keep_going
        ),
        as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli align desk")
def align(
    directory: flags.Directory,
    seed: flags.Seed = 0,
    wait: flags.Wait = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> None:
    """Find from which sides the photos were taken, and how much each was enlarged, by comparing their views."""
    from meshcli.stages.align import align_photos

    project = Project(directory)
    invocation.step_aside(project, "generate", "align")
    with Reporter(quiet or as_json, verbose) as reporter, invocation.explaining(project):
        told = replace(invocation.run_options(False, wait), progress=reporter.progress, tell=reporter.tell)
        answers = align_photos(project, seed=seed, run_options=told)
    following = read_status(project).next
    if as_json:
        show_json(
            {"meshcli": 1, "project": str(directory), "photos": [vars(each) for each in answers], "next": following}
        )
    else:
        show_alignment(answers, following)


@app.command(epilog="Example: meshcli select desk --views 0,3,5,7,8,10")
def select(
    directory: flags.Directory,
    views: flags.Views = "",
    auto: Annotated[
        int | None,
        typer.Option(min=1, metavar="[N]", help="Take the N (6) best well-spread views.", show_default=False),
    ] = None,
    include_photos: flags.IncludePhotos = False,
    list_views: Annotated[bool, typer.Option("--list", help="Print the views and leave.")] = False,
    force: flags.Force = False,
    wait: flags.Wait = False,
    dry_run: flags.Dry = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> None:
    """Choose the views that build the mesh; without a flag, ask on the terminal."""
    from meshcli.stages.select import select_views

    project = Project(directory)
    if list_views and (views or auto or include_photos or force or dry_run):
        raise UsageError("--list only prints the views; leave out what chooses them")
    if list_views:
        manifest = project.load()
        if as_json:
            show_json({"meshcli": 1, **views_json(manifest)})
        else:
            show_views(manifest)
        return
    if views and auto:
        raise UsageError("--views and --auto exclude each other")
    if dry_run and not (views or auto):
        raise UsageError("--dry-run asks nobody; say --views or --auto")
    told = invocation.run_options(force, wait, dry=dry_run)
    answer = views or (
        "" if auto else invocation.ask(project, include_photos, replace(told, tell=Reporter(quiet).tell))
    )
    if not answer and not auto:
        Reporter(quiet or as_json).tell("the choice is left as it was")
        return
    by: Chooser = "flag" if views else "person"
    invocation.perform(
        directory,
        "select",
        lambda project, as_told: select_views(
            project, answer, auto=auto or 0, include_photos=include_photos, by=by, run_options=as_told
        ),
        told, as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli reconstruct desk --faces 10000 --texture-size 2048")
def reconstruct(
    directory: flags.Directory,
    engine: Reconstructor = "auto",
    grid: flags.Grid = None,
    faces: flags.Faces = None,
    texture_size: flags.TextureSize = None,
    no_texture: flags.NoTexture = False,
    parts: flags.KeepParts = None,
    device: flags.Device = "auto",
    dtype: flags.Dtype = "auto",
    weights: flags.Weights = None,
    seed: flags.Seed = 0,
    config: flags.Config = None,
    assign: flags.Assign = None,
    offline: flags.Offline = False,
    force: flags.Force = False,
    wait: flags.Wait = False,
    dry_run: flags.Dry = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> None:
    """Build a textured mesh of the selected views: mesh/mesh.glb and mesh/mesh.obj."""
    from meshcli.stages.reconstruct import reconstruct_mesh

    if no_texture and texture_size:
        raise UsageError("--no-texture and --texture-size exclude each other")
    texture = False if no_texture else None
    wanted = {"texture.faces": faces, "texture.size": texture_size, "lrm.simplify": faces, "lrm.grid": grid,
             "fit.texture": texture, "lrm.texture": texture, "fit.parts": parts, "lrm.parts": parts,
             "lrm.dtype": None if dtype == "auto" else dtype}  # fmt: skip
    typed_words = [*words(grid=grid, texture_size=texture_size), *invocation.network_words(device, dtype, weights)]
    settings = invocation.settings_of(config, assign, wanted)
    invocation.perform(
        directory,
        "reconstruct",
        lambda project, as_told: reconstruct_mesh(
            project, settings=settings, engine=engine, seed=seed, run_options=as_told
        ),
        invocation.run_options(force, wait, offline, device, weights, dry_run, typed_words), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli render desk --frames 60 --size 768")
def render(
    directory: flags.Directory,
    frames: flags.Frames = None,
    size: flags.Size = None,
    elevation: Annotated[
        float | None,
        typer.Option(
            **flags.number("--elevation", "render.elevation"),
            help="Of the turntable's camera, degrees.",
            show_default=False,
        ),
    ] = None,
    fps: flags.Fps = None,
    source: flags.From = None,
    device: flags.Device = "auto",
    config: flags.Config = None,
    assign: flags.Assign = None,
    force: flags.Force = False,
    wait: flags.Wait = False,
    dry_run: flags.Dry = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> None:
    """Make renders/turntable.mp4, stills, and a sheet of the chosen views beside the mesh."""
    from meshcli.stages.render import render_mesh

    wanted = {"frames": frames, "size": size, "elevation": elevation, "fps": fps, "source": source}
    settings = invocation.settings_of(config, assign, {f"render.{key}": value for key, value in wanted.items()})
    invocation.perform(
        directory,
        "render",
        lambda project, as_told: render_mesh(project, settings=settings, run_options=as_told),
        invocation.run_options(force, wait, device=device, dry=dry_run), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli run desk 1.png 2.png 3.png --azimuth 0,40,-50")
def run(
    directory: flags.Directory,
    photos: flags.Photos = None,
    azimuth: flags.Azimuth = "",
    elevation: flags.Elevation = "",
    fov: flags.Fov = "",
    rig: flags.Rig = None,
    up: flags.Up = "",
    focal: flags.Focal = "",
    sensor: flags.Sensor = "",
    from_sheet: flags.FromSheet = None,
    rig_version: flags.RigVersion = "1.2",
    from_views: flags.FromViews = None,
    first: flags.First = "generate",
    last: flags.Last = "render",
    generator: Generator = "auto",
    reconstructor: Reconstructor = "auto",
    steps: flags.Steps = None,
    unet: flags.UNet = None,
    vram: flags.VRAM = None,
    device: flags.Device = "auto",
    dtype: flags.Dtype = "auto",
    weights: flags.Weights = None,
    no_rembg: flags.Rembg = False,
    add: flags.Add = False,
    keep_going: flags.KeepGoing = False,
    max_pixels: flags.MaxPixels = None,
    views: flags.Views = "",
    include_photos: flags.IncludePhotos = False,
    faces: flags.Faces = None,
    texture_size: flags.TextureSize = None,
    frames: flags.Frames = None,
    size: flags.Size = None,
    fps: flags.Fps = None,
    seed: flags.Seed = 0,
    config: flags.Config = None,
    assign: flags.Assign = None,
    offline: flags.Offline = False,
    force: flags.Force = False,
    wait: flags.Wait = False,
    dry_run: flags.Dry = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = 0,
) -> int:
    """Do all four, each as its own process; what is done and unchanged is skipped."""
    from meshcli.stages.run import RunArguments, run_stages

    tell = Reporter(quiet or as_json).tell
    typed = invocation.typed_cameras(azimuth, elevation, fov, focal, sensor, rig, up)
    pictures, _ = invocation.handed_in(photos, from_sheet, rig_version, from_views, typed, tell)
    known = invocation.settings_of(config, assign, {})  # complain once, before any child starts
    settings = [*words(config=config), *(word for value in assign or () for word in ("--set", value))]
    angles = words(azimuth=azimuth, elevation=elevation, fov=fov, rig=rig, up=up, focal=focal, sensor=sensor)
    ready = words(from_sheet=from_sheet, from_views=from_views, rig_version=rig_version if from_sheet else "")
    painting = words(steps=steps, unet=unet, vram=vram, no_rembg=no_rembg, max_pixels=max_pixels)
    building, showing = words(faces=faces, texture_size=texture_size), words(frames=frames, size=size, fps=fps)
    where = words(offline=offline, device=device if device == "cpu" else "")  # where every engine can compute
    arguments = RunArguments(
        generate=[*words(engine=generator, seed=seed), *where, *painting, *settings],
        cameras=[*angles, *ready, *words(add=add, keep_going=keep_going)],
        photos=[str(each) for each in pictures] if photos else (),
        views=views,
        include_photos=include_photos,
        reconstruct=[*words(engine=reconstructor, seed=seed), *where, *building, *settings],
        render=[*showing, *settings],
        common=[*words(wait=wait, json=as_json and not dry_run, quiet=quiet), *["-v"] * verbose],
        force=force,
        first=first,
        last=last,
        dry=dry_run,
        typed={
            "generate": [*words(generator="" if generator == "auto" else generator), *painting],
            "reconstruct": [*words(reconstructor="" if reconstructor == "auto" else reconstructor), *building],
            "render": showing,
        },
        shared=invocation.network_words(device, dtype, weights),
        generator="photos" if from_sheet or from_views else generator,
        reconstructor=reconstructor,
        settings=known,
        run_options=invocation.run_options(force, wait, offline, device, weights),
    )  # fmt: skip
    documents = run_stages(Project(directory), arguments, capture=as_json, tell=tell, print_output=hand_on)
    if as_json:
        show_json({"meshcli": 1, "project": str(directory), "stages": documents})
    elif dry_run:
        show_plan(documents)
    return InputError.exit_code if any(document.get("left_out") for document in documents) else 0


@app.command(epilog="Example: meshcli status desk --json")
def status(directory: flags.Directory, as_json: flags.Json = False) -> None:
    """Show what is done, stale, failed or interrupted, and what to run next."""
    found = read_status(Project(directory))
    if as_json:
        show_json(found.to_json())
    else:
        show_status(found)

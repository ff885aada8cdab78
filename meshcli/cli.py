"""The command line: parse, call one stage, report. Light: `--help` and `status` load no numpy."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from meshcli import __version__
from meshcli.children import Interrupted, listen_to_signals, watch_parent
from meshcli.engines import Generator, Reconstructor
from meshcli.errors import MeshcliError, UsageError
from meshcli.flags import (
    Add,
    Assign,
    Azimuth,
    Config,
    Directory,
    Elevation,
    Faces,
    Force,
    Fov,
    Fps,
    Frames,
    Json,
    MaxPixels,
    Offline,
    Photos,
    Quiet,
    Rembg,
    Seed,
    Size,
    TextureSize,
    Verbose,
    Views,
    Wait,
)

if TYPE_CHECKING:
    from meshcli.manifest import Chooser

EXIT_CODES = (
    "Exit codes: 0 done | 1 a bug | 2 usage | 3 bad input file | 4 weights or optional packages missing or unusable | "
    "5 project damaged or locked | 75 out of memory or disk (the same command may be tried again, with a smaller "
    "setting) | 130 Ctrl-C | 143 SIGTERM."
)

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; bugs keep their traceback."""
    words = _with_count(list(sys.argv[1:] if arguments is None else arguments))
    listen_to_signals()
    watch_parent()
    try:
        return int(app(words, standalone_mode=False, prog_name="meshcli") or 0)
    except MeshcliError as error:
        return _complain(error, words)
    except TyperException as error:
        if error.format_message():
            _show_error(f"{error.format_message()} (see `meshcli {' '.join(words[:1])} --help`)")
        return error.exit_code
    except typer.Abort:
        return 130
    except Interrupted as error:
        _show_error("interrupted; the same command goes on from what is finished")
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own last flush
        return 141


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
    """Photos of one object in, a textured mesh with its camera rig out: generate, select, reconstruct, render."""


@app.command(epilog="Example: meshcli generate desk 1.png 2.png 3.png --azimuth 0,40,-50")
def generate(
    directory: Directory,
    photos: Photos = None,
    azimuth: Azimuth = "",
    elevation: Elevation = "",
    fov: Fov = "",
    engine: Generator = "auto",
    no_rembg: Rembg = False,
    add: Add = False,
    max_pixels: MaxPixels = None,
    seed: Seed = 0,
    config: Config = None,
    assign: Assign = None,
    offline: Offline = False,
    force: Force = False,
    wait: Wait = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Cut the object out of the photos and paint six views of each.

    No PHOTO means the recorded set. A cameras.json beside the photos is used when no angle is typed.
    """
    from meshcli.stages.generate import Typed, generate_views

    typed = Typed(_degrees("--azimuth", azimuth), _degrees("--elevation", elevation), _degrees("--fov", fov))
    flags = {"photo.rembg": False if no_rembg else None, "photo.max_pixels": max_pixels}
    settings = _settings(config, assign, flags)
    _perform(
        directory,
        lambda project, how: generate_views(
            project, photos or (), typed, add=add, settings=settings, engine=engine, seed=seed, how=how
        ),
        _how(force, wait, offline), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli select desk --views 0,3,5,7,8,10")
def select(
    directory: Directory,
    views: Views = "",
    auto: Annotated[
        int | None, typer.Option(min=1, metavar="[N]", help="Take N (6) well-spread views.", show_default=False)
    ] = None,
    list_views: Annotated[bool, typer.Option("--list", help="Print the views and leave.")] = False,
    force: Force = False,
    wait: Wait = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Choose the views that build the mesh; without a flag, ask on the terminal."""
    from meshcli import console
    from meshcli.project import Project
    from meshcli.stages.select import select_views

    project = Project(directory)
    if list_views:
        manifest = project.load()
        if as_json:
            console.show_json({"meshcli": 1, "views": console.views_json(manifest)})
        else:
            console.show_views(manifest)
        return
    if views and auto:
        raise UsageError("--views and --auto exclude each other")
    answer = views or ("" if auto else _ask(project))
    by: Chooser = "flag" if views else "person"
    _perform(
        directory,
        lambda project, how: select_views(project, answer, auto=auto or 0, by=by, how=how),
        _how(force, wait), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli reconstruct desk --faces 10000 --texture-size 2048")
def reconstruct(
    directory: Directory,
    engine: Reconstructor = "auto",
    faces: Faces = None,
    texture_size: TextureSize = None,
    seed: Seed = 0,
    config: Config = None,
    assign: Assign = None,
    force: Force = False,
    wait: Wait = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Build a textured mesh of the selected views: mesh/mesh.glb and mesh/mesh.obj."""
    from meshcli.stages.reconstruct import reconstruct_mesh

    settings = _settings(config, assign, {"texture.faces": faces, "texture.size": texture_size})
    _perform(
        directory,
        lambda project, how: reconstruct_mesh(project, settings=settings, engine=engine, seed=seed, how=how),
        _how(force, wait), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli render desk --frames 60 --size 768")
def render(
    directory: Directory,
    frames: Frames = None,
    size: Size = None,
    elevation: Annotated[
        float | None, typer.Option(min=-90, max=90, help="Of the turntable's camera, degrees.", show_default=False)
    ] = None,
    fps: Fps = None,
    config: Config = None,
    assign: Assign = None,
    force: Force = False,
    wait: Wait = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make renders/turntable.mp4, stills, and a sheet of the chosen views beside the mesh."""
    from meshcli.stages.render import render_mesh

    flags = {"frames": frames, "size": size, "elevation": elevation, "fps": fps}
    settings = _settings(config, assign, {f"render.{key}": value for key, value in flags.items()})
    _perform(
        directory,
        lambda project, how: render_mesh(project, settings=settings, how=how),
        _how(force, wait), as_json, quiet, verbose,
    )  # fmt: skip


@app.command(epilog="Example: meshcli run desk 1.png 2.png 3.png --azimuth 0,40,-50")
def run(
    directory: Directory,
    photos: Photos = None,
    azimuth: Azimuth = "",
    elevation: Elevation = "",
    fov: Fov = "",
    generator: Generator = "auto",
    reconstructor: Reconstructor = "auto",
    no_rembg: Rembg = False,
    add: Add = False,
    max_pixels: MaxPixels = None,
    views: Views = "",
    faces: Faces = None,
    texture_size: TextureSize = None,
    frames: Frames = None,
    size: Size = None,
    fps: Fps = None,
    seed: Seed = 0,
    config: Config = None,
    assign: Assign = None,
    offline: Offline = False,
    force: Force = False,
    wait: Wait = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Do all four, each as its own process; what is done and unchanged is skipped."""
    from meshcli import console
    from meshcli.project import Project
    from meshcli.stages.run import RunArguments, run_stages

    _degrees("--azimuth", azimuth)
    _settings(config, assign, {})  # complain once, before any child starts
    settings = [*_flags(config=config), *(word for value in assign or () for word in ("--set", value))]
    angles = _flags(azimuth=azimuth, elevation=elevation, fov=fov)
    switches = _flags(no_rembg=no_rembg, add=add, offline=offline)
    arguments = RunArguments(
        [*_flags(engine=generator, seed=seed, max_pixels=max_pixels), *angles, *switches, *settings,
         "--", str(directory), *(photos or ())],
        views,
        [*_flags(engine=reconstructor, seed=seed, faces=faces, texture_size=texture_size), *settings],
        [*_flags(frames=frames, size=size, fps=fps), *settings],
        [*_flags(force=force, wait=wait, json=as_json, quiet=quiet), *["-v"] * verbose],
    )  # fmt: skip
    tell = console.Reporter(quiet or as_json).tell
    documents = run_stages(Project(directory), arguments, capture=as_json, tell=tell)
    if as_json:
        console.show_json({"meshcli": 1, "project": str(directory), "stages": documents})


@app.command(epilog="Example: meshcli status desk --json")
def status(directory: Directory, as_json: Json = False) -> None:
    """Show what is done, stale, failed or interrupted, and what to run next."""
    from meshcli import console
    from meshcli.project import Project
    from meshcli.stages.status import read_status

    found = read_status(Project(directory))
    if as_json:
        console.show_json(found.to_json())
    else:
        console.show_status(found)


def _perform(directory: Path, stage: Callable[..., Any], how: Any, as_json: bool, quiet: bool, verbose: int) -> None:
    """Call a stage and report; what the machine refuses becomes a one-line error."""
    from meshcli import console
    from meshcli.project import Project
    from meshcli.stages.status import read_status
    from meshcli.stages.work import explained

    project = Project(directory)
    with console.Reporter(quiet or as_json, verbose) as reporter:
        try:
            outcome = stage(project, replace(how, progress=reporter.progress, tell=reporter.tell))
        except (OSError, MemoryError) as error:
            known = explained(error, project)
            raise (known or error) from error
        following = read_status(project).next
        if as_json:
            console.show_json(console.outcome_json(project, outcome, following))
        else:
            reporter.finished(project, outcome, following)


def _how(force: bool, wait: bool, offline: bool = False) -> Any:
    from meshcli.stages.work import How

    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's library
    return How(force, wait, offline)


def _settings(config: Path | None, assign: Sequence[str] | None, flags: dict[str, Any]) -> Any:
    from meshcli.config import read_settings

    return read_settings(config, assign or (), flags)


def _degrees(flag: str, text: str) -> list[float]:
    """`0,40,-50` as numbers."""
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"{flag} {text}: write numbers with commas between them, like {flag} 0,120,240") from error


def _ask(project: Any) -> str:
    """What the person at the terminal chooses."""
    from meshcli import console
    from meshcli.stages.choice import read_choice, suggest

    manifest = project.load()
    if not manifest.live_views:
        raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
    if not console.interactive():
        raise UsageError("there is no terminal to ask on; use --views 0,3,5, --auto or --list")
    console.show_views(manifest, to_stderr=True)
    proposed = manifest.selection.names if manifest.selection else suggest(manifest)
    while True:
        answer = console.ask_views(project, proposed)
        try:
            read_choice(answer, manifest)
        except UsageError as error:
            console.show_error(str(error))
        else:
            return answer


def _flags(**values: Any) -> list[str]:
    """Keyword arguments as words of a command line; what is None, empty or False is left out."""
    words = []
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not None and value is not False and value != "":
            words.append(f"{flag}={value}")
    return words


def _with_count(words: list[str]) -> list[str]:
    """`select --auto` may stand without its number, which the parser cannot express."""
    if words[:1] != ["select"] or "--auto" not in words:
        return words
    place = words.index("--auto") + 1
    given = place < len(words) and words[place].lstrip("-").isdecimal()
    return words if given else [*words[:place], "6", *words[place:]]


def _complain(error: MeshcliError, words: Sequence[str]) -> int:
    """One line; with --json one document too; with -vv the way that led there."""
    from meshcli.stages.run import StageFailedError

    if "-vv" in words:
        import traceback

        traceback.print_exception(error)
    if not isinstance(error, StageFailedError):  # a child has said it already
        _show_error(str(error))
    if "--json" in words:
        from meshcli.console import show_json

        show_json({"meshcli": 1, "error": str(error), "exit_code": error.exit_code})
    return error.exit_code


def _show_error(message: str) -> None:
    from meshcli.console import show_error

    show_error(message)

"""Between the commands and the stages: read words, call a stage, report. Light."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshcli.commands.console import (
    Reporter,
    ask_views,
    full_screen,
    interactive,
    one_line,
    outcome_json,
    outcome_plan,
    show_error,
    show_json,
    show_plan,
    show_views,
)
from meshcli.config import read_settings
from meshcli.errors import InputError, UsageError
from meshcli.pictures.photo_arguments import list_photos
from meshcli.progress import Tell, unheard
from meshcli.project.manifest import Manifest, Stage
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.killed_child import killed_child_error, read_record
from meshcli.stages.photo_set import Typed
from meshcli.stages.run import StageFailedError
from meshcli.stages.select import prepare_candidates
from meshcli.stages.stage_runner import Outcome, RunOptions, to_user_error
from meshcli.stages.status import read_status
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT, parse_view_choice, suggest_views
from meshcli.system.processes import fork_supervised
from meshcli.views.lens import read_sensor
from meshcli.views.photo_cameras import ready_views
from meshcli.views.world_transform import axis
from meshcli.weights.device import check_device


def perform(
    directory: Path, name: Stage, stage: Callable[[Project, RunOptions], Outcome], run_options: RunOptions,
    as_json: bool, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Call a stage, report, and return the exit code; what the machine refuses becomes a one-line error."""
    project = Project(directory)
    if name != "select":  # which has asked a person, and loaded what starts threads
        step_aside(project, name)
    with Reporter(quiet or as_json, verbose) as reporter:
        with explaining(project):
            heard = replace(run_options, progress=reporter.progress, tell=reporter.tell, warn=reporter.complain)
            outcome = stage(project, replace(heard, show_preview=reporter.show))
        if run_options.dry:
            plan = outcome_plan(outcome)
            if as_json:
                show_json({"meshcli": 1, "project": str(project.root), **plan})
            else:
                show_plan([plan])
            return 0
        following = read_status(project).next
        if as_json:
            show_json(outcome_json(project, outcome, following))
        else:
            reporter.finished(project, outcome, following)
    return InputError.exit_code if outcome.left_out else 0


def step_aside(project: Project, stage: Stage, command: str = "") -> None:
    """Go on in a copy of this process where that is to be had; here it ends as the copy did, or says what ended it.

    `command` is what is called when it is no stage of its own.
    """
    before = read_record(project, stage)
    code = fork_supervised()
    if code is not None:
        if error := killed_child_error(project, stage, code, before, command):
            raise error
        sys.exit(128 - code if code < 0 else code)


@contextmanager
def explaining(project: Project) -> Iterator[None]:
    """What the machine or the disk refuses becomes a one-line error."""
    try:
        yield
    except Exception as error:
        known = to_user_error(error, project.root)
        if known is None or known is error:
            raise
        raise known from error


def run_options(
    force: bool,
    wait: bool,
    offline: bool = False,
    device: str = "auto",
    weights: Path | None = None,
    dry: bool = False,
    flags: Sequence[str] = (),
) -> RunOptions:
    """How a stage is run, from its flags."""
    check_device(device)
    if offline:
        stay_offline()
    return RunOptions(force, wait, offline, device, weights, dry=dry, flags=flags)


def network_words(device: str, dtype: str, weights: Path | None) -> list[str]:
    """What was typed about networks, as words; the processor is where everything else computes anyway."""
    return words(
        device="" if device in ("auto", "cpu") else device, dtype="" if dtype == "auto" else dtype, weights=weights
    )


def stay_offline() -> None:
    """Keep the hub's library off the network; before anything imports it."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def settings_of(config: Path | None, assignments: Sequence[str] | None, flags: Mapping[str, Any]) -> Settings:
    """The settings of a command line."""
    return read_settings(config, assignments or (), flags)


def degrees(flag: str, text: str) -> list[float]:
    """`0,40,-50` as numbers."""
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"{flag} {text}: write numbers with commas between them, like {flag} 0,120,240") from error


def typed_cameras(azimuth: str, elevation: str, fov: str, focal: str, sensor: str, rig: Path | None, up: str) -> Typed:
    """What the flags say about the photos' cameras."""
    if up and not rig:
        raise UsageError("--up is about the world of a --rig")
    if up:
        axis(up)
    return Typed(
        degrees("--azimuth", azimuth), degrees("--elevation", elevation), degrees("--fov", fov),
        degrees("--focal", focal), read_sensor(sensor) if sensor else None, rig, up,
    )  # fmt: skip


def handed_in(
    photos: Sequence[str] | None,
    sheets: Sequence[Path] | None,
    version: str,
    views: Path | None,
    typed: Typed,
    tell: Tell = unheard,
) -> tuple[Sequence[str | Path], Typed]:
    """The pictures of a command line: photos, also of a directory or a list; sheets of ready views, or single ones."""
    if sum(map(bool, (photos, sheets, views))) > 1:
        raise UsageError("PHOTO, --from-sheet and --from-views exclude each other")
    if version != "1.2" and not sheets:
        raise UsageError("--rig-version is about --from-sheet")
    if sheets:
        return sheets, replace(typed, ready="sheet 1.1" if version == "1.1" else "sheet 1.2")
    if views is None:
        return list_photos(photos or (), getattr(sys.stdin, "buffer", None), tell), typed
    if typed.rig is None:
        raise UsageError("--from-views needs the cameras of the views: --rig FILE")
    return ready_views(views, typed.rig), replace(typed, ready="view")


def ask(project: Project, include_photos: bool, run_options: RunOptions) -> str:
    """What the person at the terminal chooses; empty when the choice is to stay as it is."""
    manifest = project.load()
    if not manifest.live_views:
        raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
    if not interactive():
        raise UsageError("there is no terminal to ask on; use --views 0,3,5, --auto or --list")
    manifest = prepare_candidates(project, include_photos, run_options.wait, run_options.tell)
    proposed = suggest_views(manifest, min(DEFAULT_VIEW_COUNT, len(manifest.live_views)))
    standing = manifest.selection.names if manifest.selection else proposed
    if not full_screen():
        return _ask_by_line(project, manifest, standing)

    from meshcli.commands.picker.screen import Row
    from meshcli.commands.picker.state import Picking
    from meshcli.commands.picker.terminal import pick

    views = manifest.live_views
    sources = {photo.name: one_line(photo.source) for photo in manifest.live_photos}
    rows = [Row(number, view, sources[view.photo]) for number, view in views.items()]
    names = tuple(view.name for view in views.values())
    state = Picking(names, tuple(proposed), tuple(name for name in standing if name in names))
    files = {view.name: project.path(view.file) for view in views.values()}
    end = pick(project.root.resolve().name, rows, files, state, lambda text: parse_view_choice(text, manifest))
    return ",".join(end.chosen) if end.end == "accepted" else ""


def _ask_by_line(project: Project, manifest: Manifest, proposed: Sequence[str]) -> str:
    """On a terminal that cannot place its cursor: a table, and a question until the answer can be used."""
    show_views(manifest, to_stderr=True)
    while True:
        answer = ask_views(project, proposed)
        try:
            parse_view_choice(answer, manifest)
        except UsageError as error:
            show_error(str(error))
        else:
            return answer


def words(**values: Any) -> list[str]:
    """Keyword arguments as words of a command line; what is None, empty or False is left out, a list is repeated."""
    line = []
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            line.append(flag)
        elif isinstance(value, list | tuple):
            line += [f"{flag}={each}" for each in value]
        elif value is not None and value is not False and value != "":
            line.append(f"{flag}={value}")
    return line


def with_count(words: list[str]) -> list[str]:
    """`select --auto` may stand without its number, which the parser cannot express."""
    if words[:1] != ["select"] or "--auto" not in words:
        return words
    place = words.index("--auto") + 1
    given = place < len(words) and words[place].lstrip("-").isdecimal()
    return words if given else [*words[:place], "6", *words[place:]]


def complain(error: Exception, code: int, as_json: bool, trace: bool, hint: str = "") -> int:
    """One line; one document too where JSON is asked for; the way that led there where a trace is."""
    if trace:
        import traceback

        for text in traceback.format_exception(error):
            for each in text.splitlines():
                print(one_line(each), file=sys.stderr)
    if not isinstance(error, StageFailedError):  # a child has said it already
        show_error(f"{error}{hint}")
    if as_json:
        with suppress(OSError):  # it may be the output that the error is about
            show_json({"meshcli": 1, "error": str(error), "exit_code": code})
            sys.stdout.flush()
    return code

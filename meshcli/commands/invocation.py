"""What the commands share: from parsed flags to the call of a stage, and the report of its outcome. Light."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshcli.commands.console import print_plan
from meshcli.commands.flags import ExecutionFlags, InputFlags, NetworkFlags, OutputFlags, SettingsFlags
from meshcli.commands.plain_output import print_json
from meshcli.commands.reporter import Reporter, outcome_json, outcome_plan
from meshcli.config import TypedSettings, read_typed_settings
from meshcli.errors import InputError, UsageError
from meshcli.pictures.photo_arguments import list_photos
from meshcli.progress import Tell
from meshcli.project.manifest import Stage
from meshcli.project.project import Project
from meshcli.stages.killed_child import killed_child_error, read_record
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.stage_runner import Outcome, RunOptions, to_user_error
from meshcli.stages.status import read_status
from meshcli.system.processes import fork_supervised
from meshcli.views.lens import read_sensor
from meshcli.views.photo_cameras import pictures_of_rig
from meshcli.views.rigs_among_photos import own_rigs_beside, rig_file_names, rig_in_directory, take_rigs
from meshcli.views.world_transform import parse_axis
from meshcli.weights.device import check_device

EXAMPLES = {
    "--azimuth": "--azimuth 0,120,240",
    "--elevation": "--elevation 10",
    "--fov": "--fov 40",
    "--focal": "--focal 50 --sensor full",
}

RunStage = Callable[[Project, RunOptions], Outcome]


def run_stage(directory: Path, name: Stage, stage: RunStage, options: RunOptions, output: OutputFlags) -> int:
    """Run a stage in a forked process, report its outcome, and return the exit code.

    Raises MeshcliError, also for what the operating system refuses.
    """
    project = Project(directory)
    if name != "select":  # it may have run the picker, whose libraries start threads: such a process must not fork
        fork_stage(project, name)
    with Reporter(output.quiet or output.as_json, output.verbose) as reporter:
        with explain_os_errors(project):
            reported = replace(
                options, progress=reporter.progress, tell=reporter.tell, warn=reporter.report_left_out,
                show_preview=reporter.show, preview_every=reporter.preview_every,
            )  # fmt: skip
            outcome = stage(project, reported)
        if options.dry:
            plan = outcome_plan(outcome)
            if output.as_json:
                print_json({"meshcli": 1, "project": str(project.root), **plan})
            else:
                print_plan([plan])
            return InputError.exit_code if outcome.left_out else 0
        following = read_status(project).next
        if output.as_json:
            print_json(outcome_json(project, outcome, following))
        else:
            reporter.finished(project, outcome, following)
    return InputError.exit_code if outcome.left_out else 0


def fork_stage(project: Project, stage: Stage, command: str = "") -> None:
    """Fork, and return in the child only; the parent exits with the child's status, or raises what killed it.

    `command` is the name of the command if it is not that of the stage. Where this process cannot be forked, it goes on
    itself.
    """
    before = read_record(project, stage)
    code = fork_supervised()
    if code is not None:
        if error := killed_child_error(project, stage, code, before, command):
            raise error
        sys.exit(128 - code if code < 0 else code)


@contextmanager
def explain_os_errors(project: Project) -> Iterator[None]:
    """Turn errors of memory, disk and permissions into a MeshcliError of one line."""
    try:
        yield
    except Exception as error:
        known = to_user_error(error, project.root)
        if known is None or known is error:
            raise
        raise known from error


def run_options(
    execution: ExecutionFlags, network: NetworkFlags | None = None, engine_flags: Sequence[str] = ()
) -> RunOptions:
    """The options of a stage; `engine_flags` were typed and are refused if the engine has no use for them."""
    network = network or NetworkFlags()
    check_device(network.device)
    if execution.offline:
        stay_offline()
    return RunOptions(
        execution.force, execution.wait, execution.offline, network.device, network.weights, dry=execution.dry_run,
        flags=engine_flags,
    )  # fmt: skip


def stay_offline() -> None:
    """Keep the library of the Hugging Face hub off the network; to be called before it is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def read_settings_flags(settings: SettingsFlags, overrides: Mapping[str, Any] | None = None) -> TypedSettings:
    """What was typed: the settings of --config, of --set, and of other flags (`section.key` -> value)."""
    return read_typed_settings(settings.config, settings.assignments or (), overrides, settings.defaults)


def read_cameras(inputs: InputFlags) -> CameraArguments:
    """What the flags tell about the photos' cameras."""
    if inputs.up and not inputs.rig:
        raise UsageError("--up is for the world of a --rig; add --rig FILE")
    if inputs.up:
        parse_axis(inputs.up)
    return CameraArguments(
        _parse_numbers("--azimuth", inputs.azimuth),
        _parse_numbers("--elevation", inputs.elevation),
        _parse_numbers("--fov", inputs.fov),
        _parse_numbers("--focal", inputs.focal),
        read_sensor(inputs.sensor) if inputs.sensor else None,
        inputs.rig,
        inputs.up,
    )


def with_rig(inputs: InputFlags, project: Project) -> InputFlags:
    """The inputs, where a rig that was handed in among the photos, or lies in their directory, is the value of --rig.

    One that only lies there is left where anything about the cameras is typed, or azimuths are on record as typed.
    """
    if not inputs.photos:
        return inputs
    photos, rig = take_rigs(inputs.photos, inputs.rig)
    typed = rig or inputs.azimuth or inputs.elevation or inputs.fov or inputs.focal
    if not typed and (found := rig_in_directory(photos)) and not _has_typed_azimuths(project):
        photos, rig = found
    return replace(inputs, photos=photos, rig=rig)


def tell_rig(photos: Sequence[str], cameras: CameraArguments, project: Project, tell: Tell) -> None:
    """Say which file the photos' cameras would come from, if from any; for a dry run."""
    unposed = not cameras.anything and not any("@" in photo for photo in photos) and not _has_typed_azimuths(project)
    rigs = [cameras.rig] if cameras.rig else own_rigs_beside(photos) if photos and unposed else []
    if rigs:
        tell(f"cameras would be taken from {', '.join(map(str, rigs))}")


def _has_typed_azimuths(project: Project) -> bool:
    return project.exists and any(photo.stated.azimuth is not None for photo in project.load().active_photos)


def read_inputs(inputs: InputFlags, tell: Tell) -> tuple[Sequence[str | Path], CameraArguments]:
    """The files that are handed in, and what is known about their cameras.

    They are photos (directories and lists are expanded), sheets of six ready-made views, or single ready-made views.
    """
    cameras = read_cameras(inputs)
    _check_sheets(inputs)
    if sum(map(bool, (inputs.photos, inputs.from_sheet, inputs.from_views))) > 1:
        raise UsageError("PHOTO, --from-sheet and --from-views exclude each other")
    if inputs.rig_version != "1.2" and not inputs.from_sheet:
        raise UsageError("--rig-version is for sheets; add --from-sheet FILE")
    if inputs.from_sheet:
        return inputs.from_sheet, replace(cameras, ready="sheet 1.1" if inputs.rig_version == "1.1" else "sheet 1.2")
    if inputs.from_views is None:
        used = () if cameras.anything and not cameras.rig else rig_file_names(cameras.rig)
        return list_photos(inputs.photos or (), getattr(sys.stdin, "buffer", None), tell, used), cameras
    if cameras.rig is None:
        raise UsageError("--from-views needs the cameras of the views: --rig FILE")
    return pictures_of_rig(inputs.from_views, cameras.rig), replace(cameras, ready="view")


def _check_sheets(inputs: InputFlags) -> None:
    """UsageError for several sheets behind one --from-sheet, as words of their own or with commas between them."""
    for sheet in inputs.from_sheet or ():
        parts = str(sheet).split(",")
        if not sheet.exists() and len(parts) > 1 and all(Path(part).is_file() for part in parts):
            raise UsageError(f"--from-sheet {sheet}: every sheet has its own flag, `{_sheet_flags(parts)}`")
    if inputs.from_sheet and inputs.photos:
        sheets = _sheet_flags([*map(str, inputs.from_sheet), *inputs.photos])
        raise UsageError(f"PHOTO and --from-sheet exclude each other; every sheet has its own flag, `{sheets}`")


def _sheet_flags(sheets: Sequence[str]) -> str:
    return shlex.join(word for sheet in sheets for word in ("--from-sheet", sheet))


def _parse_numbers(flag: str, text: str) -> list[float]:
    """The numbers of a flag: `0,40,-50`."""
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(
            f"{flag} {text}: write numbers without units and with commas between them, like {EXAMPLES[flag]}"
        ) from error

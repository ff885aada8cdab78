"""`meshcli batch`: all objects of a list, each in a project of its own; `meshcli batch status`: how far they are."""

import shlex
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from meshcli.batch.batch_folder import BatchFolder
from meshcli.batch.batch_state import read_state
from meshcli.batch.object_list import BatchFlags, CheckedList, check_list
from meshcli.batch.shards import in_shard, only_named
from meshcli.batch.stage_needs import needs_of
from meshcli.batch.storage import is_url
from meshcli.batch.storage_folder import open_batch
from meshcli.batch.tasks import BatchObject, Runner
from meshcli.batch.template import TemplateKind
from meshcli.batch.tracker import BatchPlan, BatchTracker, named, plan_batch
from meshcli.commands.batch_flags import ListFlags, ObjectFlags, Runners
from meshcli.commands.batch_progress import BatchProgress, elapsed, event, print_states
from meshcli.commands.console import print_error
from meshcli.commands.flag_groups import Only, expand_flag_groups, usual_first
from meshcli.commands.flags import OutputFlags
from meshcli.commands.lazy_commands import Command
from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.stages.stage_runner import to_user_error
from meshcli.system.processes import Interrupted, listen_to_signals

STATUS = "status"  # the word that makes `meshcli batch status DIR` of it; a list of this name is ./status
MAX_PROBLEMS = 20  # rows that are named; more are counted

app = typer.Typer(add_completion=False)
status_app = typer.Typer(add_completion=False)


class BatchCommand(Command):
    """`meshcli batch LIST`, which gives way to `meshcli batch status DIR`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments, or have the other command do it."""
        if args[:1] == [STATUS]:
            return self.commands[STATUS].make_context(f"{info_name} {STATUS}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    @property
    def commands(self) -> dict[str, Any]:
        """The command that stands behind a word of its own."""
        return {STATUS: get_command(status_app)}


@app.command(cls=BatchCommand, epilog="Example: meshcli batch chairs.csv --out chairs; meshcli batch status chairs")
@usual_first("out", "retry_failed", "keep_going", "only", "config", "export", "guess", "dry_run")
@expand_flag_groups
def batch(
    list_path: Annotated[
        str,
        typer.Argument(
            metavar="LIST",
            path_type=str,
            show_default=False,
            help="CSV, JSON Lines or YAML with a row per object (name, photos, azimuth, rig, engine, settings, height, "
            "export), or a folder with a folder of pictures, or a picture, per object. `status DIR` in place of LIST: "
            "how far a batch is.",
        ),
    ],
    which: ListFlags,
    objects: ObjectFlags,
    output: OutputFlags,
) -> int:
    """Run all stages for every object of a list; what is done is skipped, a failure stops nothing else."""
    try:
        return _batch(list_path, which, objects, output)
    except MeshcliError as error:
        if not output.as_json:
            raise
        event("error", error=str(error), exit_code=error.exit_code)
        print_error(str(error))
        return error.exit_code


@status_app.command(cls=Command, epilog="Example: meshcli batch status chairs --json")
@expand_flag_groups
def status(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", path_type=str, help="The folder of a batch, its --out.", show_default=False)
    ],
    output: Annotated[OutputFlags, Only("as_json")],
) -> int:
    """Show how many objects of a batch are done, and which are not and why; by the manifests of their projects."""
    with open_batch(directory) as folder:
        items = folder.load_objects()
        folder.refresh()
        states = [read_state(folder, item) for item in items]
        if output.as_json:
            for state in states:
                event("object", **state.to_json())
        else:
            print_states(states, folder.load_list())
    return 0


def _batch(list_place: str, which: ListFlags, objects: ObjectFlags, output: OutputFlags) -> int:
    """Check the list, run what is left of it and sum it up; the exit code."""
    if not which.out:
        raise UsageError(f"say where the projects go: `meshcli batch {shlex.quote(list_place)} --out DIR`")
    which.refuse_contradictions()
    list_path = list_place if is_url(list_place) else Path(list_place)
    if which.template and isinstance(list_path, str):
        raise UsageError(f"--template makes jobs that share folders, and {list_place} lies in none")
    flags = objects.read()
    needs_of(flags.words)  # UsageError for a configuration file that no stage could read
    with open_batch(which.out) as folder:
        folder.check()
        checked = check_list(list_path, folder.root, flags)
        checked = replace(checked, objects=tuple(map(folder.placed, checked.objects)))
        _tell_problems(checked, which.keep_going, output.as_json)
        chosen = only_named(checked.objects, which.only) if which.only else list(checked.objects)
        if which.template and isinstance(list_path, Path):
            _print_job_file(which.template, list_path, folder.root, which, flags)
            return 0
        chosen = in_shard(chosen, which.shard) if which.shard else chosen
        plan = plan_batch(folder, chosen, which.retry_failed)
        if objects.execution.dry_run:
            _print_plan(plan, output.as_json)
            return InputError.exit_code if checked.problems else 0
        try:
            folder.prepare(list_path, checked.objects)
            return _run(folder, plan, checked, output, make_runner(which.on, which.address))
        except OSError as error:
            raise to_user_error(error, which.out) or error from error


def _run(folder: BatchFolder, plan: BatchPlan, checked: CheckedList, output: OutputFlags, runner: Runner) -> int:
    """Run what is left, write table and page; the exit code. What ends a batch early comes after table and page."""
    start = time.monotonic()
    with BatchProgress(output.quiet, output.as_json, output.verbose) as progress:
        for warning in folder.warnings():
            progress.say(warning)
        tracker = BatchTracker(folder, plan, progress.ended)
        done, left = len(plan.finished), len(plan.left)
        if output.as_json:
            event("batch", objects=done + left + len(plan.failed), done=done, failed=len(plan.failed), left=left)
        elif done or plan.failed:
            progress.say(f"{done} done already, {len(plan.failed)} failed before, {left} to run")
        try:
            if left:
                runner.run(tracker.objects(), progress.listening(tracker))
        except (Interrupted, MeshcliError) as error:
            if tracker.began:
                listen_to_signals()  # a second Ctrl-C leaves out what follows
                with suppress(MeshcliError, OSError):
                    table, _ = _sum_up(tracker, checked, progress, start, error.exit_code)
                    progress.say(f"{table} says what came of each so far")
            raise
        code = tracker.exit_code(len(checked.problems))
        table, page = _sum_up(tracker, checked, progress, start, code)
    if not output.quiet and not output.as_json:
        print(f"{table}\n{page}")
    return code


def _sum_up(
    tracker: BatchTracker, checked: CheckedList, progress: BatchProgress, start: float, code: int
) -> tuple[str, str]:
    """Write table and page, whose paths are returned, and say how far the batch came; `start` by time.monotonic."""
    from meshcli.batch.summary import write_summary  # loads pictures

    plan = tracker.plan
    table, page, shown = write_summary(tracker.folder, checked.objects)
    count, failures = len(plan.finished) + tracker.codes[0], len(plan.failed) + tracker.failures
    if progress.as_json:
        event("end", done=count, failed=failures, locked=tracker.locked, table=table, page=page,
              exit_code=code)  # fmt: skip
        return table, page
    if failures:
        names = [state.item.name for state in plan.failed]
        before = f" ({named(names)} before)" if names else ""
        again = "the same call" if tracker.retried == failures else "--retry-failed"
        progress.say(f"{failures} failed{before}; {again} tries them again")
    total = len(plan.finished) + len(plan.failed) + len(plan.left)
    progress.say(f"{count} of {total} objects are done, {elapsed(start)}")
    if shown < len(checked.objects):
        progress.say(f"the page shows {shown} of them, those that are not done first")
    return table, page


def make_runner(on: Runners = "local", address: str = "") -> Runner:
    """What spreads the work: processes of this machine, or a Ray cluster at an address."""
    if on == "local":
        from meshcli.batch.local import LocalRunner

        return LocalRunner()
    from meshcli.batch.ray_cluster import RayRunner
    from meshcli.commands.stage_call import run_object_stage

    return RayRunner(run_object_stage, address)


def _tell_problems(checked: CheckedList, keep_going: bool, as_json: bool) -> None:
    """Name the rows that cannot be run; InputError unless the others are to be run."""
    problems = checked.problems
    for problem in problems[:MAX_PROBLEMS]:
        print_error(f"{checked.path}: {problem}")
    if as_json:
        for problem in problems:
            event("problem", line=problem.line, name=problem.name, error=problem.problem)
    more = f", of which {MAX_PROBLEMS} are named above" if len(problems) > MAX_PROBLEMS else ""
    total = len(problems) + len(checked.objects)
    if problems and not (keep_going and checked.objects):
        others = "; --keep-going runs the others" if checked.objects else ""
        raise InputError(f"{len(problems)} of {total} objects in {checked.path} cannot be run{more}{others}")


def _print_plan(plan: BatchPlan, as_json: bool) -> None:
    """Print what would be done with each object."""
    rows: list[tuple[BatchObject, str]] = [(item, "run") for item in plan.left]
    rows += [(state.item, "leave, failed before") for state in plan.failed]
    rows += [(item, "skip, done") for item in plan.finished]
    for item, what in rows:
        if as_json:
            event("plan", name=item.name, project=item.place, what=what, words=item.words, stages=item.stages)
        else:
            print(f"{what}: {item.name} ({', '.join(item.stages)})" if what == "run" else f"{what}: {item.name}")


def _print_job_file(kind: TemplateKind, list_path: Path, out: Path, which: ListFlags, flags: BatchFlags) -> None:
    """Print a farm's job file."""
    from meshcli.batch.template import render_template

    words = [*flags.words, *flags.cameras, *(f"--only={name}" for name in which.only or ())]
    words += which.words("retry_failed", "keep_going")
    sys.stdout.write(render_template(kind, list_path, out, words, which.shards))

"""How far a batch is: a bar and its failures on a terminal, plain lines elsewhere, JSON lines for machines."""

import json
import sys
import time
from collections import Counter
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meshcli.batch.batch_state import ObjectState
from meshcli.batch.tasks import Report, StageResult, StageStarted
from meshcli.batch.tracker import BatchTracker, named
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.run_progress import TITLES
from meshcli.project.manifest import ALL_STAGES
from meshcli.stages.run_summary import format_rough, format_seconds

BAR_WIDTH = 40  # columns at most; by eye, as that of `run`
MAX_SHOWN = 50  # objects that `batch status` names


def event(kind: str, **values: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps({"meshcli": 1, "event": kind, **values}), flush=True)


def seconds_of(state: ObjectState) -> float:
    """What all stages of an object took."""
    return sum(figures.seconds for figures in state.figures.values())


def state_line(state: ObjectState) -> str:
    """How an object ended, in a line."""
    name = state.item.name
    if not state.exit_code:
        match = f", matches by {state.score:.0%}" if state.score is not None else ""
        return f"{name}: done, {format_seconds(seconds_of(state))}{match}"
    return f"{name}: {state.stage} failed (exit code {state.exit_code}): {state.error}"


class BatchProgress:
    """Shows a batch while it runs; a context manager."""

    def __init__(self, quiet: bool, as_json: bool, verbose: int) -> None:
        self.quiet, self.as_json, self.verbose = quiet, as_json, verbose
        self.console = Console(stderr=True, highlight=False)
        self.tracker: BatchTracker | None = None
        silent = quiet or as_json
        drawn = not silent and sys.stderr.isatty() and self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(get_renderable=self._render, console=self.console, transient=True) if drawn else None

    def __enter__(self) -> "BatchProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def listening(self, tracker: BatchTracker) -> Report:
        """The function that a runner reports to."""
        self.tracker = tracker

        def report(told: StageStarted | StageResult) -> None:
            self._tell_stage(told)
            tracker.report(told)

        return report

    def ended(self, state: ObjectState) -> None:
        """An object ended."""
        if self.as_json:
            event("object", **state.to_json())
        elif not self.quiet or state.exit_code:
            self._say(state_line(state), "red" if state.exit_code else "green")

    def say(self, sentence: str) -> None:
        """Print a message."""
        if not self.quiet and not self.as_json:
            self._say(sentence)

    def _tell_stage(self, told: StageStarted | StageResult) -> None:
        if self.as_json and isinstance(told, StageStarted):
            event("stage started", name=told.name, stage=told.stage)
        elif self.as_json and isinstance(told, StageResult):
            event("stage", **{key: value for key, value in vars(told).items() if key != "name"}, name=told.name)
        elif self.verbose and isinstance(told, StageResult) and not told.failed and not told.skipped:
            peak = f", {told.peak_bytes / 1e6:.0f} MB" if told.peak_bytes else ""
            self.say(f"{told.name}: {told.stage}, {told.seconds:.1f} s{peak}")
        if isinstance(told, StageResult) and told.locked:
            self.say(f"{told.name}: left to another meshcli, which is writing it")

    def _say(self, sentence: str, style: str = "") -> None:
        self.console.print(Text(escape_controls(sentence), style), soft_wrap=True)

    def _render(self) -> RenderableType:
        """What is at work, and the bar with the time left."""
        tracker = self.tracker
        if tracker is None:
            return Text("reading the list")
        total, over, failures = len(tracker.plan.left), tracker.over, tracker.failures
        works = Counter(tracker.running.values())
        at_work = [f"{works[stage]} {TITLES[stage]}" for stage in ALL_STAGES if works[stage]]
        running = f" - {', '.join(at_work)}: {named(sorted(tracker.running), 3)}" if at_work else ""
        counts = f"{over} of {total} objects{f', {failures} failed' if failures else ''}"
        left = tracker.remaining()
        time_left = "" if left is None else f"about {format_rough(left)} left"
        row = Table.grid(padding=(0, 1))
        width = max(min(BAR_WIDTH, self.console.width - len(time_left) - 2), 4)
        row.add_row(ProgressBar(max(total, 1), over, width=width), Text(time_left, "dim"))
        return Group(Text(escape_controls(counts + running), no_wrap=True, overflow="ellipsis"), row)


def print_states(states: list[ObjectState], list_path: str) -> None:
    """Print the objects of a batch: how many stand where, and those that are not done."""
    console = Console(highlight=False)
    counts = Counter(state.state for state in states)
    console.print(
        Text(f"{len(states)} objects of {escape_controls(list_path)}: ")
        + Text(", ".join(f"{count} {state}" for state, count in counts.most_common())),
        soft_wrap=True,
    )
    rows = [state for state in states if state.state not in ("done", "not started")]
    for state in rows[:MAX_SHOWN]:
        what = state_line(state) if state.exit_code else f"{state.item.name}: {state.state}, at {state.stage}"
        console.print(Text(escape_controls(what)), soft_wrap=True)
    if len(rows) > MAX_SHOWN:
        console.print(f"and {len(rows) - MAX_SHOWN} more; all of them: --json")


def elapsed(start: float) -> str:
    """The time since `start`, for people."""
    return format_seconds(time.monotonic() - start)

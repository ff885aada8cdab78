"""`run` on a terminal: which of the stages is at work, on what, and how long all that is left will take.

The estimate comes from recorded times of this machine (stages/pace.py); where one is missing, none is shown.
"""

import time
from collections.abc import Mapping, Sequence, Set

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meshcli.commands.child_reports import parse_record, report_value
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.prose import wrap_prose
from meshcli.project.manifest import Stage
from meshcli.stages.pace import Work, expected_seconds, record_seconds
from meshcli.stages.run_summary import format_seconds
from meshcli.stages.run_watcher import RunWatcher

TITLES = {  # command -> what it does, for people
    "generate": "making views",
    "align": "finding the photos' sides",
    "select": "choosing views",
    "reconstruct": "building the mesh",
    "render": "making pictures and video",
    "export": "handing over",
}
BAR_WIDTH = 40  # columns at most; by eye
# A stage that takes OVERRUN times its expected time, and SLACK seconds more, is slower than before: no estimate holds.
OVERRUN, SLACK = 1.25, 5.0
EACH_PHOTO_ALONE = "generate each"  # `generate` before `align`, in recorded times
NO_ESTIMATE = "first time with these settings"
SLOWER = "slower than last time"


class RunStory(RunWatcher):
    """Draws the state of a run at the bottom of a terminal, and what its children print above; a context manager."""

    def __init__(self, console: Console, stages: Sequence[Stage], captures: bool, forced: bool, unposed: bool) -> None:
        self.console = console
        self.report = report_value(console)
        self.read_line = self._read_line
        self.captures = captures
        self._stages = tuple(stages)
        self._forced = forced
        self._unposed = unposed  # whether `align` is probably needed
        self._works: Mapping[Stage, Work] = {}
        self._finished: Set[Stage] = frozenset()
        self._stage, self._command = self._stages[0], str(self._stages[0])
        self._aligned = False
        self._runs = False  # whether the current child has work to do
        self._any_ran = False
        self._skipped: bool | None = None  # as the current child reports
        self._detail = ""
        self._fraction = 0.0  # of the bar
        self._compiled = 0.0  # seconds that the current child spent on compiling
        self._start = self._begin = time.monotonic()
        self._live = Live(get_renderable=self._render, console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> "RunStory":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def plan(self, works: Mapping[Stage, Work], finished: Set[Stage]) -> None:
        """Take what the stages have to do."""
        self._works, self._finished = works, finished

    def started(self, stage: Stage, command: str) -> None:
        """A child begins."""
        self._aligned = self._aligned or command == "align"
        self._stage, self._command, self._detail, self._skipped = stage, command, "", None
        self._compiled, self._runs, self._start = 0.0, self._will_run(stage), time.monotonic()

    def ended(self, stage: Stage, command: str, code: int) -> None:
        """A child is over: record its time, and leave a line about it."""
        seconds = time.monotonic() - self._start
        if code or (self._skipped is None and command != "align"):
            return
        if not self._skipped:
            self._any_ran = True
            if work := self._works.get(stage):
                record_seconds(work.of(self._now[1]), max(seconds - self._compiled, 0.0))
        took = "unchanged" if self._skipped else format_seconds(seconds)
        self.console.print(Text(f"{self._title()}, {took}", "green"))

    def remaining(self) -> float | None:
        """The seconds that all that is left will take; None where no time is known."""
        spent = time.monotonic() - self._start
        expected = self._expected(*self._now) if self._runs else 0.0
        later = [self._expected(stage, command) for stage, command in self._upcoming()]
        if expected is None or None in later or spent > OVERRUN * expected + SLACK:
            return None
        return max(expected - spent, 0.0) + sum(each for each in later if each is not None)

    @property
    def _now(self) -> tuple[Stage, str]:
        """The current stage, and what its time is recorded under: each photo by itself takes another time than all."""
        alone = self._command == "generate" and self._unposed and not self._aligned
        return self._stage, EACH_PHOTO_ALONE if alone else self._command

    def _will_run(self, stage: Stage) -> bool:
        return self._forced or self._any_ran or stage not in self._finished

    def _expected(self, stage: Stage, command: str) -> float | None:
        work = self._works.get(stage)
        return expected_seconds(work.of(command)) if work else None

    def _upcoming(self) -> list[tuple[Stage, str]]:
        """The calls after the current one that have work to do."""
        first = self._stage == "generate" and not self._aligned
        again: list[tuple[Stage, str]] = [("generate", "generate")] if self._command == "align" else []
        if first and self._unposed and self._runs:
            again = [("generate", "align"), ("generate", "generate")]
        later = self._stages[self._stages.index(self._stage) + 1 :]
        return [*again, *((stage, stage) for stage in later if self._runs or self._will_run(stage))]

    def _read_line(self, line: str) -> None:
        record = parse_record(line)
        if record is None:
            self._print(line)
        elif "what" in record:
            self._runs = True
            count = f" {record.get('done')}/{record['total']}" if record.get("total", 1) > 1 else ""
            self._detail = escape_controls(f"{record['what']}{count}")
        elif "compiled" in record:
            self._compiled += float(record["compiled"])
        elif "skipped" in record:
            self._skipped = bool(record["skipped"])

    def _print(self, line: str) -> None:
        """A line of text; one with colours is of a picture."""
        if "\x1b[" in line:
            self.console.print(Text.from_ansi(line), soft_wrap=True)
        elif line.startswith("error:"):  # on one line, so that it can be copied
            self.console.print("error:", style="bold red", end=" ")
            self.console.print(escape_controls(line).removeprefix("error: "), markup=False, soft_wrap=True)
        else:
            for part in wrap_prose(escape_controls(line), self.console.width - 1):
                self.console.print(part, markup=False, soft_wrap=True)

    def _title(self) -> str:
        again = " again" if self._aligned and self._command == "generate" else ""
        return f"{self._stages.index(self._stage) + 1} of {len(self._stages)}: {TITLES[self._command]}{again}"

    def _render(self) -> RenderableType:
        """Two lines: what is being done, and the bar with the time left; three where the first would not fit."""
        width, title = self.console.width - 1, self._title()
        whole = f"{title} - {self._detail}" if self._detail else title
        lines = [whole] if len(whole) <= width else [title, f"  {self._detail}"]
        texts = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
        left, fraction = self._left_and_fraction()
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(1.0, fraction, width=max(min(BAR_WIDTH, width - len(left) - 1), 4)), Text(left, "dim"))
        return Group(*texts, row)

    def _left_and_fraction(self) -> tuple[str, float]:
        """The time left in words, and how much of the whole is done: by time, else by stages."""
        remaining, elapsed = self.remaining(), time.monotonic() - self._begin
        if remaining is None:
            timed = None not in [self._expected(stage, command) for stage, command in [self._now, *self._upcoming()]]
            text, fraction = SLOWER if timed else NO_ESTIMATE, self._stages.index(self._stage) / len(self._stages)
        else:
            text, fraction = f"about {format_rough(remaining)} left", elapsed / max(elapsed + remaining, 1e-9)
        self._fraction = max(self._fraction, fraction)  # a bar that goes back says nothing
        return text, self._fraction


def format_rough(seconds: float) -> str:
    """A time as exact as an estimate is: in steps of 5 seconds, from 90 seconds on in minutes."""
    return f"{max(round(seconds / 5) * 5, 5)} s" if seconds < 90 else f"{round(seconds / 60)} min"

"""Where `run` stands: which stage is at work, on what, and how long all that is left will take.

The estimate comes from recorded times of this machine (stages/pace.py); where one is missing, there is none.
"""

import sys
import time
from collections.abc import Mapping, Sequence, Set

from meshcli.commands.plain_output import escape_controls
from meshcli.project.manifest import Stage
from meshcli.stages.pace import Work, expected_seconds, record_seconds
from meshcli.stages.run_summary import format_seconds
from meshcli.stages.run_watcher import RunWatcher
from meshcli.system.child_records import NO_TERMINAL, parse_picture, parse_record, send, send_picture

TITLES = {  # command -> what it does, for people
    "generate": "making views",
    "align": "finding the photos' sides",
    "select": "choosing views",
    "reconstruct": "building the mesh",
    "render": "making pictures and video",
    "export": "handing over",
}
# A stage that takes OVERRUN times its expected time, and SLACK seconds more, is slower than before: no estimate holds.
OVERRUN, SLACK = 1.25, 5.0
EACH_PHOTO_ALONE = "generate each"  # `generate` before `align`, in recorded times


class RunProgress(RunWatcher):
    """Follows the children of `run` by their records, and estimates what is left."""

    def __init__(self, stages: Sequence[Stage], forced: bool, unposed: bool) -> None:
        self.read_line = self._read_line
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
        self._done, self._total = 0, 1  # of the current work
        self._fraction = 0.0  # of the bar
        self._compiled = 0.0  # seconds that the current child spent on compiling
        self._start = self._begin = time.monotonic()

    def plan(self, works: Mapping[Stage, Work], finished: Set[Stage]) -> None:
        """Take what the stages have to do."""
        self._works, self._finished = works, finished

    def started(self, stage: Stage, command: str) -> None:
        """A child begins."""
        self._aligned = self._aligned or command == "align"
        self._stage, self._command, self._detail, self._skipped = stage, command, "", None
        self._compiled, self._runs, self._start = 0.0, self._will_run(stage), time.monotonic()
        self._done, self._total = 0, 1

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
        self._say_ended(f"{self._title()}, {took}")

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
            self._done, self._total = int(record.get("done", 0)), int(record.get("total", 1))
            count = f" {record.get('done')}/{record['total']}" if record.get("total", 1) > 1 else ""
            self._detail = escape_controls(f"{record['what']}{count}")
        elif "compiled" in record:
            self._compiled += float(record["compiled"])
        elif "skipped" in record:
            self._skipped = bool(record["skipped"])

    def _title(self) -> str:
        again = " again" if self._aligned and self._command == "generate" else ""
        if len(self._stages) == 1:
            return f"{TITLES[self._command]}{again}"
        return f"{self._stages.index(self._stage) + 1} of {len(self._stages)}: {TITLES[self._command]}{again}"

    def _left_and_share(self) -> tuple[float | None, float]:
        """The seconds left, None where not known, and how much of the whole is done: by time, else by stages."""
        remaining, elapsed = self.remaining(), time.monotonic() - self._begin
        over = self._stages.index(self._stage) / len(self._stages)
        share = over if remaining is None else elapsed / max(elapsed + remaining, 1e-9)
        self._fraction = max(self._fraction, share)  # a bar that goes back says nothing
        return remaining, self._fraction

    def _all_timed(self) -> bool:
        return None not in [self._expected(stage, command) for stage, command in [self._now, *self._upcoming()]]

    def _say_ended(self, sentence: str) -> None:
        """A stage is over: say which, and how long it took."""

    def _print(self, line: str) -> None:
        """Pass on a line of text of the current child."""


class RunRecords(RunProgress):
    """Tells the process that started this `run` by records: for a page in a browser."""

    report = NO_TERMINAL

    def started(self, stage: Stage, command: str) -> None:
        """A child begins."""
        super().started(stage, command)
        self._send()

    def _read_line(self, line: str) -> None:
        super()._read_line(line)
        record = parse_record(line)
        if record is None:
            return
        if picture := parse_picture(record):
            send_picture(*picture)
        else:
            self._send()

    def _send(self) -> None:
        left, share = self._left_and_share()
        send(
            stage=self._stage, title=self._title(), what=self._detail, done=self._done, total=self._total, left=left,
            share=round(share, 4),
        )  # fmt: skip

    def _say_ended(self, sentence: str) -> None:
        self._print(sentence)

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

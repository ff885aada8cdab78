"""Follows a batch: what has ended, what came of it, and how long all that is left will take. Light: no numpy."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from meshcli.batch.batch_folder import BatchFolder
from meshcli.batch.batch_state import (
    ObjectState,
    asked_of,
    failed_before,
    is_finished,
    record_of,
    state_of_record,
)
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.errors import InputError, ResourceError
from meshcli.project.manifest import Stage

FORCE = "--force"


@dataclass(frozen=True)
class BatchPlan:
    """What is to be done."""

    finished: tuple[BatchObject, ...]
    failed: tuple[ObjectState, ...]  # before, and would only fail again
    left: tuple[BatchObject, ...]


def plan_batch(folder: BatchFolder, objects: Iterable[BatchObject], retry_failed: bool) -> BatchPlan:
    """Sort the objects by what is to be done; no project is read whose record fits it."""
    finished, failed, left = [], [], []
    for item in objects:
        asked = asked_of(item)
        if FORCE not in item.words and is_finished(folder, item, asked):
            finished.append(item)
        elif FORCE not in item.words and not retry_failed and (state := failed_before(folder, item, asked)):
            failed.append(state)
        else:
            left.append(item)
    return BatchPlan(tuple(finished), tuple(failed), tuple(left))


@dataclass
class BatchTracker:
    """Keeps a record of every object that ends, and counts."""

    folder: BatchFolder
    plan: BatchPlan
    ended: Callable[[ObjectState], None]  # called with each object that ended
    codes: Counter[int] = field(default_factory=Counter)  # exit code -> objects that ended with it in this call
    locked: list[str] = field(default_factory=list)  # objects that another meshcli works on
    retried: int = 0  # objects that failed and that the next call tries again by itself
    running: dict[str, Stage] = field(default_factory=dict)  # object -> its stage at work
    _ends: dict[str, dict[Stage, StageResult]] = field(default_factory=dict)  # of objects that have not ended
    _items: dict[str, tuple[BatchObject, str]] = field(default_factory=dict)  # of the same: object, what was asked for
    _spent: Counter[Stage] = field(default_factory=Counter)  # seconds of stages that ran
    _counts: Counter[Stage] = field(default_factory=Counter)  # how many these are
    _passed: Counter[Stage] = field(default_factory=Counter)  # stages that are over, skipped ones too
    _start: float = field(default_factory=time.monotonic)

    def objects(self) -> Iterator[BatchObject]:
        """The objects to run; one that another driver has finished meanwhile is left out."""
        for item in self.plan.left:
            asked = asked_of(item)  # before the stages read the files: what is edited meanwhile counts as changed
            if FORCE not in item.words and is_finished(self.folder, item, asked):
                self.codes[0] += 1
                continue
            self._items[item.name] = item, asked
            yield item

    def report(self, told: StageStarted | StageResult) -> None:
        """Take what a runner reports."""
        if isinstance(told, StageStarted):
            self.running[told.name] = told.stage
            return
        self.running.pop(told.name, None)
        item, asked = self._items[told.name]
        ends = self._ends.setdefault(told.name, {})
        ends[told.stage] = told
        self._passed[told.stage] += 1
        if not told.skipped and not told.failed:
            self._spent[told.stage] += told.seconds  # type: ignore[assignment]  # a Counter of seconds
            self._counts[told.stage] += 1
        if told.locked:
            self.locked.append(told.name)
        elif told.failed or told.stage == item.stages[-1]:
            record = record_of(item, asked, ends)
            self.folder.save_record(record)
            state = state_of_record(item, record)
            self.codes[record.exit_code] += 1
            self.retried += state.state == "retry"
            self.ended(state)
        else:
            return
        del self._ends[told.name], self._items[told.name]

    @property
    def began(self) -> bool:
        """Whether a stage was begun."""
        return bool(self.running or self._ends or self.over)

    @property
    def over(self) -> int:
        """How many of the objects to run have ended."""
        return sum(self.codes.values()) + len(self.locked)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return sum(count for code, count in self.codes.items() if code)

    def remaining(self) -> float | None:
        """The seconds that all that is left will take: by the mean time of each stage, and how many ran at a time.

        None while no object has ended, or a stage that is to come has never run.
        """
        to_come = Counter(stage for item in self.plan.left for stage in item.stages)
        left = {stage: count - self._passed[stage] for stage, count in to_come.items() if count > self._passed[stage]}
        spent, elapsed = sum(self._spent.values()), time.monotonic() - self._start
        if not self.codes[0] or spent <= 0 or any(not self._counts[stage] for stage in left):
            return None
        work = sum(count * self._spent[stage] / self._counts[stage] for stage, count in left.items())
        return work * elapsed / spent

    def exit_code(self, wrong_rows: int) -> int:
        """0 when all is done; 75 when the same call would go on by itself; else the code of the failures, 3 if several.

        Rows that cannot be run count as failures of code 3. So do objects that ran out of memory in all their tries:
        75 would let a farm put the task back for ever, which leaves such objects alone.
        """
        unended = len(self.plan.left) - self.over
        if self.locked or unended or self.retried:
            return ResourceError.exit_code
        codes = {code for code in self.codes if code and self.codes[code]}
        codes |= {state.exit_code for state in self.plan.failed}
        codes = {InputError.exit_code if code == ResourceError.exit_code else code for code in codes}
        codes |= {InputError.exit_code} if wrong_rows else set()
        return codes.pop() if len(codes) == 1 else (InputError.exit_code if codes else 0)


def named(names: Sequence[str], most: int = 5) -> str:
    """Names for a message; more than a few are counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"

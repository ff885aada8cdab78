"""A stage of an object on its way through a Ray cluster: how often it was tried, and what follows its end. Light."""

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from meshcli.batch.stage_needs import Needs
from meshcli.batch.stored_projects import opened, record_before, stage_record, unlock_lost
from meshcli.batch.tasks import BUG, MAX_TRIES, BatchObject, StageResult
from meshcli.errors import ProjectError, ResourceError
from meshcli.project.manifest import ALL_STAGES, Stage, StageRecord
from meshcli.stages.killed_child import record_lost_worker

LOCK_SECONDS = 5.0  # between two tries at a project that a lost worker may still hold
LOCK_PATIENCE = 150.0  # NFS 4 servers drop the locks of a client that is gone after 90 s, by default

Loss = Literal["memory", "crash", "node"]
HOW = {
    "memory": "was ended by the memory monitor of its node",
    "crash": "was lost with its worker, perhaps because memory ran out",
    "node": "was lost with its node",
}


@dataclass
class Job:
    """A stage of an object that waits or runs."""

    item: BatchObject
    stages: tuple[Stage, ...]  # left, this one first
    needs: Needs
    fresh: bool = True  # no stage of the object was tried yet
    before: StageRecord | None = None  # of this stage before the try that runs
    tries_before: int = 0  # those of an object that had failed for good and is tried again
    tried: bool = False
    lost: int = 0  # tries of this stage that ended with their worker
    failed: int = 0  # those that ended for lack of memory or disk, or of an answer from storage
    locked_since: float = 0.0  # by the clock; 0 unless the project was found locked after a lost try
    not_before: float = 0.0  # by the clock

    @property
    def stage(self) -> Stage:
        """The stage that is next."""
        return self.stages[0]

    def begin(self) -> None:
        """Take note of the record before a try."""
        self.before = record_before(self.item, self.stage, self.tried)
        if not self.tried and self.before and self.before.status == "failed" and self.before.tries >= MAX_TRIES:
            self.tries_before = self.before.tries
        self.tried, self.fresh = True, False

    def tries(self, counted: int) -> int:
        """The tries of this stage: `counted` ones in the manifest, or those known here if it has no word of them."""
        return max(counted - self.tries_before, self.lost + self.failed)

    def may_try_again(self, result: StageResult) -> bool:
        """Whether the same stage can be tried once more after a result: memory ran out, and tries are left.

        A full disk is no better at once: the next call tries again. A try whose results could not be sent to
        storage counts here; the project there knows nothing of it.
        """
        if result.exit_code != ResourceError.exit_code or result.disk_full:
            return False
        self.failed += 1
        return self.tries(result.tries) < MAX_TRIES

    def waits_for_lock(self) -> bool:
        """Whether to try a locked project again soon, since the lock may be that of a worker lost here."""
        now = time.monotonic()
        self.locked_since = self.locked_since or now
        self.not_before = now + LOCK_SECONDS
        return self.lost > 0 and now < self.locked_since + LOCK_PATIENCE

    def lose(self, loss: Loss) -> StageResult | None:
        """Count a try that was lost; the result of the stage if it was the last one.

        The record of a stage that was lost with its node stays as it is and reads as interrupted: its settings were not
        the reason.
        """
        self.lost += 1
        record = stage_record(self.item, self.stage)
        last = self.tries(record.tries if record else 0) >= MAX_TRIES
        if loss != "node" or last:
            # Another process, or the lost one, may still hold the project; storage may be out of reach.
            with suppress(ProjectError, ResourceError), opened(self.item) as project:
                record = record_lost_worker(project, self.stage, self.before, HOW[loss], loss == "memory")
        unlock_lost(self.item)
        if not last:
            return None
        tries = self.tries(record.tries if record else 0)
        error = f"{self.stage} {HOW[loss]}; tried {tries} times"
        return StageResult(self.item.name, self.stage, ResourceError.exit_code, error=error, tries=tries)


@dataclass
class Waiting:
    """Jobs that wait, by stage."""

    queues: dict[Stage, deque[Job]] = field(default_factory=lambda: {stage: deque() for stage in ALL_STAGES})
    late: list[Job] = field(default_factory=list)  # that wait for a time
    fresh: int = 0  # those of objects of which no stage was tried yet

    def add(self, job: Job, first: bool = False) -> None:
        """Add a job, as the first of its stage or the last."""
        self.fresh += job.fresh
        if job.not_before > time.monotonic():
            self.late.append(job)
        elif first:
            self.queues[job.stage].appendleft(job)
        else:
            self.queues[job.stage].append(job)

    def wake(self) -> None:
        """Put those whose time has come into their queues."""
        now = time.monotonic()
        due = [job for job in self.late if job.not_before <= now]
        self.late = [job for job in self.late if job.not_before > now]
        for job in due:
            self.queues[job.stage].appendleft(job)

    def heads(self, last_stage_first: bool = False) -> list[Job]:
        """The first job of every stage that has one."""
        stages = reversed(ALL_STAGES) if last_stage_first else ALL_STAGES
        return [self.queues[stage][0] for stage in stages if self.queues[stage]]

    def take(self, job: Job) -> None:
        """Take the first job of a stage out."""
        self.queues[job.stage].popleft()
        self.fresh -= job.fresh

    def __bool__(self) -> bool:
        return bool(self.late) or any(self.queues.values())


def loss_of(ray: Any, error: Exception) -> Loss | None:
    """What became of a worker, by the error of its task; None where the worker lives and its code failed."""
    kinds = ray.exceptions
    if isinstance(error, kinds.OutOfMemoryError):
        return "memory"
    if isinstance(error, kinds.RayTaskError):
        return None
    if isinstance(error, kinds.WorkerCrashedError):
        return "crash"
    if isinstance(error, kinds.ActorDiedError) and "node" not in str(error).lower():
        return "crash"
    return "node"


def failed_with(job: Job, error: Exception) -> StageResult:
    """The result of a stage whose code raised what it never should: a bug."""
    line = str(error).strip().split("\n")[-1]
    return replace(StageResult(job.item.name, job.stage, BUG), error=f"a bug: {line}", tries=max(job.lost, 1))

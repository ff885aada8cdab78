"""Runs the objects of a batch on this machine, in worker processes. Light: no numpy.

Stages without a network go to workers of the processor, those of the objects that are furthest first. Stages with one
go to a worker of networks, one per GPU, which keeps the network: all objects are painted, then all are reconstructed.
Objects are taken from their source only when a worker can begin one, and an object that waits for a network is a name.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from selectors import EVENT_READ, DefaultSelector

from meshcli.batch.capacity import Capacity
from meshcli.batch.machine import Machine, this_machine
from meshcli.batch.stage_needs import ENGINE_FLAGS, WITH_NETWORK, StageKinds, word_value
from meshcli.batch.stored_projects import is_locked, opened, record_before, stage_record, unlock_lost
from meshcli.batch.tasks import MAX_TRIES, BatchObject, Report, StageResult, StageStarted
from meshcli.batch.worker_process import STOP_GRACE, WORKER, WorkerProcess
from meshcli.errors import MeshcliError, ResourceError
from meshcli.project.manifest import Stage, StageRecord
from meshcli.project.project import LockedError, locked_text
from meshcli.stages.killed_child import killed_child_error

LOCK_PAUSE = 1.0  # seconds between two looks at projects that other processes write
LOCK_PATIENCE = 60.0  # seconds without any other work before such a project is left to them


@dataclass
class LocalRunner:
    """Spreads stages over processes of this machine; see `tasks.Runner`."""

    machine: Machine = field(default_factory=this_machine)
    command: Sequence[str] = WORKER  # that starts a worker
    lock_patience: float = LOCK_PATIENCE

    def run(self, objects: Iterable[BatchObject], report: Report) -> None:
        """Run all stages of all objects, and report each as it begins and ends; see `tasks.Runner.run`.

        Whatever ends this call, no worker is left. ResourceError where a worker cannot be started.
        """
        dispatch = _Dispatch(self, iter(objects), report, Capacity(self.machine))
        try:
            dispatch.run()
        finally:
            dispatch.close()


@dataclass(eq=False)
class _Job:
    """The next stage of an object."""

    item: BatchObject
    number: int = 0  # of the stage among the object's
    kind: str = ""  # of work, as `stage_needs` has them
    before: StageRecord | None = None  # of this stage, before the try that runs
    tries: int = 0  # of this stage in this call
    allowed: int = 0  # tries in this call, at most; 0 before the first

    @property
    def stage(self) -> Stage:
        return self.item.stages[self.number]


@dataclass(eq=False)
class _Worker:
    """A worker and what it does."""

    process: WorkerProcess
    gpu: str | None  # None: of the processor; empty: of networks, on whatever they choose
    job: _Job | None = None
    started: float = 0.0  # by time.monotonic


@dataclass
class _Dispatch:
    """The jobs of a batch and its workers."""

    runner: LocalRunner
    source: Iterator[BatchObject]
    report: Report
    capacity: Capacity
    kinds: StageKinds = field(default_factory=StageKinds)
    waiting: list[_Job] = field(default_factory=list)  # for the processor
    waiting_networks: list[_Job] = field(default_factory=list)  # for a network
    locked: list[_Job] = field(default_factory=list)  # whose projects other processes write
    workers: list[_Worker] = field(default_factory=list)
    exhausted: bool = False
    patience: float = 0.0  # seconds that are left to wait for locked projects

    def run(self) -> None:
        """Work until nothing is left."""
        self.patience = self.runner.lock_patience
        while not self.exhausted and self._unbegun < self.runner.machine.cores:
            self._pull()
        if self.exhausted:
            self.capacity.objects = self._unbegun
        while True:
            self._start_what_fits()
            if self._busy:
                self._take_answers()
            elif self.locked:
                self._look_at_locked()
            elif self.exhausted and not self.waiting and not self.waiting_networks:
                return

    def close(self) -> None:
        """End all workers; those that work are interrupted."""
        for worker in self.workers:
            if worker.job:
                worker.process.terminate()
            worker.process.ask_to_end()
        deadline = time.monotonic() + STOP_GRACE
        while self.workers:
            self.workers.pop().process.stop(deadline - time.monotonic())

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.job]

    @property
    def _busy_kinds(self) -> list[str]:
        return [worker.job.kind for worker in self.workers if worker.job]

    @property
    def _unbegun(self) -> int:
        return sum(not job.number for job in (*self.waiting, *self.waiting_networks))

    @property
    def _networks(self) -> set[str]:
        """The kinds of networks that work or are waited for."""
        return {
            kind for kind in (*self._busy_kinds, *(job.kind for job in self.waiting_networks)) if kind in WITH_NETWORK
        }

    def _start_what_fits(self) -> None:
        """Start jobs until no worker is free for one."""
        while sum(kind in WITH_NETWORK for kind in self._busy_kinds) < len(self.capacity.gpus):
            # Of the earliest stage first, which objects still in the source may want: a network is loaded once for all.
            self._pull_until(lambda: any(not job.number for job in self.waiting_networks))
            job = min(self.waiting_networks, key=lambda each: each.number, default=None)
            if job is None or not self.capacity.has_room(job.kind, self._busy_kinds):
                break
            self.waiting_networks.remove(job)
            self._start(job, self._free_gpu(job), self.capacity.network_threads(job.kind))
        if not self._networks:
            self._end_network_workers()
        while True:
            self._pull_until(lambda: bool(self.waiting))
            networks = self._networks
            slots = self.capacity.slots(networks)
            # The object that is furthest first: few are unfinished at a time.
            job = max(self.waiting, key=lambda each: each.number, default=None)
            if job is None or sum(kind not in WITH_NETWORK for kind in self._busy_kinds) >= slots:
                break
            self.waiting.remove(job)
            self._start(job, None, self.capacity.threads(networks, slots))

    def _pull_until(self, found: Callable[[], bool]) -> None:
        """Take objects from the source until what is looked for is among the jobs, or enough objects wait to begin."""
        while not self.exhausted and self._unbegun < 2 * self.runner.machine.cores and not found():
            self._pull()

    def _pull(self) -> None:
        item = next(self.source, None)
        if item is None:
            self.exhausted = True
        elif item.stages:
            self._queue(_Job(item))

    def _queue(self, job: _Job) -> None:
        """Let a job wait for a worker of its kind."""
        job.kind = self.kinds.kind(job.item, job.stage)
        self.capacity.expect(job.kind, self.kinds.needs(job.item, job.kind))
        if job.kind in WITH_NETWORK:
            self.waiting_networks.append(job)
        else:
            self.waiting.append(job)

    def _start(self, job: _Job, gpu: str | None, threads: int) -> None:
        """Let a worker begin a job."""
        worker = self._free_worker(gpu, threads)
        job.before = record_before(job.item, job.stage, job.tries > 0)
        if not job.allowed:
            # Tries of earlier calls count; for an object that used them up and is handed in again, they begin anew.
            used = job.before.tries if job.before and job.before.status != "done" else 0
            job.allowed = MAX_TRIES - used if used < MAX_TRIES else MAX_TRIES
        job.tries += 1
        worker.job, worker.started = job, time.monotonic()
        self.report(StageStarted(job.item.name, job.stage))
        worker.process.send(job.item, job.stage)

    def _free_gpu(self, job: _Job) -> str:
        """A GPU that no worker works on; empty where the object's own words name a device."""
        if word_value(job.item.words, "--device") not in ("", "auto", "cuda"):
            return ""
        used = [worker.gpu for worker in self._busy]
        return next((gpu for gpu in self.capacity.gpus if gpu not in used), "")

    def _free_worker(self, gpu: str | None, threads: int) -> _Worker:
        """A worker for this GPU, or for the processor, that has nothing to do."""
        for worker in [each for each in self.workers if each.gpu == gpu and not each.job]:
            if worker.process.threads == threads and not worker.process.ended:
                return worker
            self._end(worker)  # libraries keep the number of threads that they start with
        visible = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        worker = _Worker(WorkerProcess(threads, self.runner.command, visible), gpu)
        self.workers.append(worker)
        return worker

    def _end_network_workers(self) -> None:
        """End the workers of networks, which hold gigabytes, once no object may need one any more."""
        jobs = [*self.waiting, *self.locked, *(worker.job for worker in self._busy if worker.job)]
        left = {stage for job in jobs for stage in job.item.stages[job.number :]}
        if self.exhausted and not left.intersection(ENGINE_FLAGS):
            for worker in [each for each in self.workers if each.gpu is not None]:
                self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.process.stop()

    def _take_answers(self) -> None:
        """Wait until a worker answers or ends, and deal with what has become of its stage."""
        with DefaultSelector() as selector:
            for worker in self._busy:
                selector.register(worker.process, EVENT_READ, worker)
            ready: list[_Worker] = [key.data for key, _ in selector.select()]
        for worker in ready:
            job, answer = worker.job, worker.process.receive()
            if job:
                result = answer.result if answer else self._lost(worker, job)
                worker.job = None
                self._ended(job, result)

    def _lost(self, worker: _Worker, job: _Job) -> StageResult:
        """The result of a stage whose worker ended without an answer; the project's record says so too."""
        seconds, code = round(time.monotonic() - worker.started, 3), worker.process.exit_code()
        said = worker.process.last_words()
        self._end(worker)
        error: MeshcliError | None = None
        try:
            with opened(job.item) as project:
                error = killed_child_error(project, job.stage, code, job.before)
        except MeshcliError as failed:
            error = failed
        unlock_lost(job.item)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        text = str(error or f"{job.stage}: its worker ended with {how}{f': {said}' if said else ''}")
        record = stage_record(job.item, job.stage)
        tries = record.tries if record and record != job.before else job.tries
        return StageResult(job.item.name, job.stage, ResourceError.exit_code, seconds, 0, text, tries=tries)

    def _ended(self, job: _Job, result: StageResult) -> None:
        """Report a result and go on with its object, or try the stage again."""
        if result.locked:
            job.tries -= 1
            self.locked.append(job)
            return
        self.patience = self.runner.lock_patience
        if result.peak_bytes:
            self.capacity.measured(job.kind, result.peak_bytes)
        if result.exit_code == ResourceError.exit_code and not result.disk_full:
            self.capacity.ran_out(job.kind)
            if job.tries < job.allowed:
                self._queue(job)
                return
            result = replace(result, tries=max(result.tries, job.tries))
        self.report(result)
        if not result.failed and job.number + 1 < len(job.item.stages):
            self._queue(_Job(job.item, job.number + 1))

    def _look_at_locked(self) -> None:
        """Go on with projects that are free again; wait for the others, and in the end leave them to whom has them."""
        jobs, self.locked = self.locked, []
        for job in jobs:
            if not is_locked(job.item):
                self._queue(job)
            elif self.patience > 0.0:
                self.locked.append(job)
            else:
                error = locked_text(job.item.place)
                self.report(StageResult(job.item.name, job.stage, LockedError.exit_code, error=error, locked=True))
        if len(self.locked) == len(jobs):
            time.sleep(LOCK_PAUSE)
            self.patience -= LOCK_PAUSE

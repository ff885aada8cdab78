"""Runs the objects of a batch on a Ray cluster: which stage goes where and when, and what becomes of lost ones. Light.

Stages with a network on a GPU are calls of actors, which keep it loaded; all others are tasks. What is in flight fits
into the cluster, give or take a few tasks, so the driver holds names of objects and nothing else. Ray's own retries are
off: how often a stage was tried stands in the project's manifest, where the next driver finds it too.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from meshcli.batch.ray_connection import check_nodes, connected
from meshcli.batch.ray_jobs import Job, Waiting, failed_with, loss_of
from meshcli.batch.ray_tasks import ClusterNeeds, NetworkWorker, run_on_node
from meshcli.batch.stage_needs import Needs, word_value
from meshcli.batch.staging import RunStage
from meshcli.batch.stored_projects import unlock_lost
from meshcli.batch.tasks import PATH_FLAGS, BatchObject, Report, StageResult, StageStarted
from meshcli.errors import MeshcliError, ResourceError, UsageError
from meshcli.project.manifest import Stage

SPARE_TASKS = 2  # in flight beyond what the cluster has room for: no core waits for the driver, autoscalers see demand
AHEAD = 4  # objects that are planned before there is room for them
WAIT_SECONDS = 1.0  # at most between two looks at the cluster
NODE_PATIENCE = 600.0  # that a cluster that has lost all its nodes has to get one: autoscalers take minutes
CANCEL_SECONDS = 10.0  # that cancelled stages have to be gone

NeedsOf = Callable[[BatchObject, Stage], Needs]


@dataclass
class RayRunner:
    """Spreads stages over the nodes of a Ray cluster; see `tasks.Runner`.

    `run_stage` is called on the nodes. `needs` raises UsageError for a stage that no cluster can run.
    """

    run_stage: RunStage
    address: str = ""  # see `connected`
    needs: NeedsOf = field(default_factory=ClusterNeeds)

    def run(self, objects: Iterable[BatchObject], report: Report) -> None:
        """Run all stages of all objects. Raises what `connected` and `check_nodes` raise, before any work."""
        source = map(on_any_node, objects)
        first = next(source, None)
        if first is None:
            return
        with connected(self.address) as ray:
            check_nodes(ray, first.storage or first.project.parent, paths_among(first.words))
            dispatch = _Dispatch(ray, self, report, source)
            dispatch.look_at_nodes()
            dispatch.plan(first, refuse=True)
            try:
                dispatch.run()
            finally:
                dispatch.cancel()


def on_any_node(item: BatchObject) -> BatchObject:
    """The object with absolute paths of files and folders that exist here: nodes have other working directories."""
    here = Path.cwd()
    words = []
    for word in item.words:
        flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        names_path = flag in PATH_FLAGS or (not flag and "." in value)
        relative = names_path and not value.startswith("/") and _path_in(value)
        words.append(f"{flag}{equals}{here / value}" if relative else word)
    return replace(item, project=item.project.absolute(), words=tuple(words))


def paths_among(words: Iterable[str]) -> tuple[str, ...]:
    """The files and folders, by absolute paths, that words of a command line name, `--flag=FILE` and `FILE@45` too."""
    values = (word.partition("=")[2] if word.startswith("-") else word for word in words)
    return tuple(path for value in values if value.startswith("/") and (path := _path_in(value)))


def _path_in(value: str) -> str:
    """The existing file or folder that a word names, without the azimuth behind a photo; empty if there is none."""
    return next((text for text in (value, value.rpartition("@")[0]) if text and _exists(text)), "")


def fits(needs: Needs, node: Needs) -> bool:
    """Whether a node has as much."""
    return needs.cpus <= node.cpus and needs.memory <= node.memory and needs.gpus <= node.gpus


def _exists(text: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(text).exists()
    return False


@dataclass
class _Actor:
    """An actor on a GPU of its own."""

    handle: Any
    stage: Stage
    needs: Needs
    busy: bool = False


@dataclass
class _Flight:
    """A job on its way."""

    job: Job
    needs: Needs
    actor: _Actor | None
    withdrawn: bool = False  # cancelled, since no node is left that it fits on


@dataclass
class _Dispatch:
    """What waits and what is in flight."""

    ray: Any
    runner: RayRunner
    report: Report
    source: Iterator[BatchObject]
    exhausted: bool = False
    waiting: Waiting = field(default_factory=Waiting)
    flights: dict[Any, _Flight] = field(default_factory=dict)
    actors: list[_Actor] = field(default_factory=list)
    nodes: list[Needs] = field(default_factory=list)
    looked_at: float = 0.0  # by the clock, when there were nodes

    def __post_init__(self) -> None:
        """Make the remote function and class once: Ray sends the code of each that is made to the cluster."""
        self.task = self.ray.remote(run_on_node)
        self.network_worker = self.ray.remote(NetworkWorker)

    def run(self) -> None:
        """Run everything that is planned and that the source still has."""
        while True:
            self.look_at_nodes()
            self.waiting.wake()
            self._plan_ahead()
            while self._send_task() or self._call_actor():
                self._plan_ahead()
            if self.flights:
                self._receive()
            elif self.waiting.late:
                time.sleep(WAIT_SECONDS)
            elif not self.waiting:
                return

    def plan(self, item: BatchObject, refuse: bool = False) -> None:
        """Queue an object. What it needs and cannot get is its failure, or is raised with `refuse`."""
        try:
            self._queue(Job(item, item.stages, self._needs(item, item.stages[0])))
        except MeshcliError as error:
            if refuse:
                raise
            self.report(StageResult(item.name, item.stages[0], error.exit_code, error=str(error)))

    def cancel(self) -> None:
        """End whatever is in flight; at the end of a batch these are only idle actors."""
        refs = list(self.flights)
        with suppress(Exception):  # the cluster may be what was lost
            for ref in refs:
                if self.flights[ref].actor is None:
                    self.ray.cancel(ref, force=True)
            for actor in self.actors:
                self.ray.kill(actor.handle)
            if refs:
                self.ray.wait(refs, num_returns=len(refs), timeout=CANCEL_SECONDS)
        for flight in self.flights.values():
            unlock_lost(flight.job.item)
        self.flights.clear()

    def look_at_nodes(self) -> None:
        """See what nodes there are, and take back what fits on none of them any more."""
        now = time.monotonic()
        if self.looked_at and now < self.looked_at + WAIT_SECONDS and self.nodes:
            return
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self.nodes = [
            Needs(int(each.get("CPU", 0)), int(each.get("memory", 0)), int(each.get("GPU", 0))) for each in nodes
        ]
        self.nodes = [node for node in self.nodes if node.cpus]
        if self.nodes or not self.looked_at:
            self.looked_at = now
        if now > self.looked_at + NODE_PATIENCE:
            raise ResourceError("the cluster has no node with a processor left; add one, and the same command goes on")
        for ref, flight in self.flights.items():
            if self.nodes and not flight.withdrawn and not any(fits(flight.needs, node) for node in self.nodes):
                flight.withdrawn = True
                self._end(ref, flight)

    def _plan_ahead(self) -> None:
        while not self.exhausted and self.waiting.fresh < AHEAD:
            item = next(self.source, None)
            if item is None:
                self.exhausted = True
            else:
                self.plan(item)

    def _needs(self, item: BatchObject, stage: Stage) -> Needs:
        """What a stage needs in this cluster; UsageError where that is a GPU and there is none."""
        needs = self.runner.needs(item, stage)
        if needs.gpus and not any(node.gpus for node in self.nodes):
            if word_value(item.words, "--device") == "cuda":
                raise UsageError(f"{stage} of {item.name} is to run on a GPU, and the cluster has none")
            return replace(needs, gpus=0)
        return needs

    def _queue(self, job: Job, first: bool = False) -> None:
        self.waiting.add(job, first)

    def _cut(self, needs: Needs) -> Needs:
        """The needs, or what the node with the most memory has: a stage that needs more runs alone there."""
        able = [node for node in self.nodes if node.gpus >= needs.gpus]
        if not able or any(fits(needs, node) for node in able):
            return needs
        best = max(able, key=lambda node: node.memory)
        return replace(needs, cpus=min(needs.cpus, best.cpus), memory=min(needs.memory, best.memory))

    def _has_room(self, needs: Needs) -> bool:
        """Whether the cluster has room for a further task."""
        taken = [flight.needs for flight in self.flights.values() if flight.actor is None]
        held = [actor.needs for actor in self.actors]
        cpus, memory = (sum(getattr(node, name) for node in self.nodes) for name in ("cpus", "memory"))
        cpus -= sum(each.cpus for each in (*taken, *held)) - SPARE_TASKS
        memory -= sum(each.memory for each in (*taken, *held))
        return not taken or (needs.cpus <= cpus and needs.memory <= memory)

    def _send_task(self) -> bool:
        """Send the stage on a processor that finishes an object soonest; False if there is none, or no room."""
        for job in self.waiting.heads(last_stage_first=True):
            needs = self._cut(job.needs)
            if needs.gpus or not self._has_room(needs):
                continue
            task = self.task.options(
                num_cpus=needs.cpus, memory=needs.memory, num_gpus=0, max_retries=0, retry_exceptions=False
            )
            self._launch(job, needs, None, task)
            return True
        return False

    def _call_actor(self) -> bool:
        """Call an actor for the earliest stage on a GPU that waits: all objects are painted, then reconstructed."""
        for job in self.waiting.heads():
            if job.needs.gpus and (actor := self._idle_actor(job.stage, self._cut(job.needs))):
                actor.busy = True
                self._launch(job, actor.needs, actor, actor.handle.run)
                return True
        return False

    def _idle_actor(self, stage: Stage, needs: Needs) -> _Actor | None:
        """An actor of this stage that has nothing to do, a new one, or None where all GPUs work.

        One of another stage is ended first: its process would keep its CUDA memory.
        """
        idle = [actor for actor in self.actors if not actor.busy]
        for actor in idle:
            if actor.stage == stage:
                return actor
        if len(self.actors) >= sum(node.gpus for node in self.nodes):
            if not idle:
                return None
            self._drop(idle[0])
        handle = self.network_worker.options(
            num_cpus=needs.cpus, memory=needs.memory, num_gpus=needs.gpus, max_restarts=0, max_task_retries=0
        )
        self.actors.append(_Actor(handle.remote(), stage, needs))
        return self.actors[-1]

    def _drop(self, actor: _Actor) -> None:
        self.actors.remove(actor)
        with suppress(Exception):  # it may be gone
            self.ray.kill(actor.handle)

    def _launch(self, job: Job, needs: Needs, actor: _Actor | None, call: Any) -> None:
        self.waiting.take(job)
        job.begin()
        ref = call.remote(self.runner.run_stage, job.item, job.stage, needs.cpus)
        self.flights[ref] = _Flight(job, needs, actor)
        self.report(StageStarted(job.item.name, job.stage))

    def _end(self, ref: Any, flight: _Flight) -> None:
        if flight.actor:
            self._drop(flight.actor)
        else:
            self.ray.cancel(ref, force=True)

    def _receive(self) -> None:
        """Wait for something to end, and see what follows from it."""
        ready, _ = self.ray.wait(list(self.flights), num_returns=1, timeout=WAIT_SECONDS)
        if ready:
            ready, _ = self.ray.wait(list(self.flights), num_returns=len(self.flights), timeout=0)
        for ref in ready:
            flight = self.flights.pop(ref)
            if flight.actor:
                flight.actor.busy = False
            try:
                self._ended(flight.job, self.ray.get(ref))
            except self.ray.exceptions.RayError as error:
                self._failed(flight, error)

    def _failed(self, flight: _Flight, error: Exception) -> None:
        """A call that brought no result: its worker is lost, or its code has a bug."""
        loss = loss_of(self.ray, error)
        if loss is None:
            self.report(failed_with(flight.job, error))
            return
        if flight.actor in self.actors:
            self._drop(flight.actor)
        if flight.withdrawn:
            unlock_lost(flight.job.item)
            self._queue(flight.job, first=True)
        elif result := flight.job.lose(loss):
            self.report(result)
        else:
            self._queue(flight.job, first=True)

    def _ended(self, job: Job, result: StageResult) -> None:
        """What follows a result: the next stage, another try, or nothing more of this object."""
        if result.locked and job.waits_for_lock():
            self._queue(job)
            return
        if job.may_try_again(result):
            self._queue(job, first=True)
            return
        self.report(result)
        if result.exit_code == 0 and len(job.stages) > 1:
            stages = job.stages[1:]
            try:
                self._queue(Job(job.item, stages, self._needs(job.item, stages[0]), fresh=False))
            except MeshcliError as error:
                self.report(StageResult(job.item.name, stages[0], error.exit_code, error=str(error)))

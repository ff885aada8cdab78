"""What a batch on Ray costs its driver: python tests/bench/batch_ray.py [--objects N] [--cores C] [--profile].

Runs stages that do nothing on a Ray cluster of one node, with so many cores on paper, and prints the driver's processor
time for each: of its own thread, which hands stages out and takes results, and of Ray's threads beside it. What ends
before every core has had a few stages does not count: workers are started then.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from meshcli.batch.ray_cluster import RayRunner
from meshcli.batch.ray_connection import ENVIRONMENT
from meshcli.batch.stage_needs import Needs
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.project.manifest import STAGES, Stage

STORE = 80 * 2**20  # bytes of the node's object store: the least that Ray takes is 75 MiB


def nothing(item: BatchObject, stage: Stage) -> StageResult:
    """A stage that is done at once."""
    return StageResult(item.name, stage)


def small(item: BatchObject, stage: Stage) -> Needs:
    """One core for each stage."""
    return Needs(1, 2**20)


@dataclass
class Clocks:
    """What the driver's process and its own thread have used since some stages had ended."""

    uncounted: int
    profile: cProfile.Profile | None = None
    ended: int = 0
    used: list[float] = field(default_factory=list)

    def report(self, told: StageStarted | StageResult) -> None:
        """Take what the runner reports."""
        self.ended += isinstance(told, StageResult)
        if self.ended == self.uncounted and not self.used:
            self.used = [time.process_time(), time.thread_time()]
            if self.profile:
                self.profile.enable()

    def milliseconds(self) -> list[float]:
        """For each stage that counts: of the process, and of its thread."""
        now = [time.process_time(), time.thread_time()]
        return [1000 * (a - b) / (self.ended - self.uncounted) for a, b in zip(now, self.used, strict=True)]


def objects(folder: Path, count: int) -> list[BatchObject]:
    """Objects with words of a usual length, whose projects do not exist."""
    words = ("--config=quick", "--generator=sculpt", *(f"/photos/of/the/objects/{number}.jpg" for number in range(3)))
    return [BatchObject(f"{number:06}", folder / f"{number:06}", words, STAGES) for number in range(count)]


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=150)
    parser.add_argument("--cores", type=int, default=4, help="on paper: how many stages are on their way at a time")
    parser.add_argument("--profile", action="store_true", help="print the functions that took most")
    given = parser.parse_args()
    os.environ.update(ENVIRONMENT, PYTHONPATH=str(Path(__file__).parent))
    from ray.cluster_utils import Cluster

    head = {"num_cpus": given.cores, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    clocks = Clocks(5 * given.cores, cProfile.Profile() if given.profile else None)
    found: list[float] = []

    def report(told: StageStarted | StageResult) -> None:
        clocks.report(told)
        if clocks.ended == len(STAGES) * given.objects and not found:
            found.extend(clocks.milliseconds())

    try:
        with tempfile.TemporaryDirectory() as name:
            RayRunner(nothing, cluster.address, small).run(objects(Path(name), given.objects), report)
    finally:
        cluster.shutdown()
    print(
        f"{clocks.ended - clocks.uncounted} stages, {given.cores} cores on paper: {found[0]:.2f} ms of the driver's "
        f"processor for each, {found[1]:.2f} ms of it in its own thread"
    )
    if clocks.profile:
        clocks.profile.disable()
        pstats.Stats(clocks.profile).sort_stats("cumulative").print_stats(25)


if __name__ == "__main__":
    from importlib import import_module

    import_module("batch_ray").main()  # under the name by which the nodes find its functions

"""How a batch's time falls with the nodes of a cluster: python tests/bench/batch_nodes.py [DIR] [--objects N].

A discrete-event simulation, of no cluster in particular. DIR is a batch that has run, whose stages' seconds and peaks
stand in its projects' records (without one, eight quick objects are run for it); each simulated object takes those of
one of them. A node has cores and memory; a stage
takes one core and its peak for its seconds. One driver hands stages out, one after the other, and takes its own time
for each; a node that gets its first stage on a core loads libraries first. Prints a line for each number of nodes.
"""

import argparse
import heapq
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from batch_local import objects as objects_of
from batch_local import run_batch

from meshcli.errors import MeshcliError
from meshcli.project.manifest import STAGES
from meshcli.project.project import Project

NODES = (1, 2, 3, 5, 10, 20, 30, 50, 75, 100)

Stages = tuple[tuple[float, int], ...]  # of an object: seconds and peak in bytes of each stage


@dataclass
class Node:
    """Free resources of a node."""

    cores: int
    memory: int  # bytes
    loaded: int = 0  # cores whose worker has its libraries


@dataclass(frozen=True)
class Cluster:
    """What is simulated."""

    nodes: int
    cores: int  # of a node
    memory: int  # of a node, bytes
    driver: float  # seconds that the driver takes for a stage
    start: float  # seconds in which a worker loads its libraries


@dataclass
class Simulation:
    """The events of one batch."""

    cluster: Cluster
    objects: list[Stages]
    now: float = 0.0
    driver_free: float = 0.0
    events: list[tuple[float, int, int, int, int]] = field(default_factory=list)  # end, order, node, object, stage
    worked: float = 0.0

    def run(self) -> float:
        """Seconds until the last stage ends."""
        nodes = [Node(self.cluster.cores, self.cluster.memory) for _ in range(self.cluster.nodes)]
        begun: list[tuple[int, int]] = []  # objects that are under way, and their next stage
        fresh = iter(range(len(self.objects)))
        waiting = next(fresh, None)
        order = 0
        while True:
            while (job := begun[-1] if begun else None if waiting is None else (waiting, 0)) is not None:
                seconds, peak = self.objects[job[0]][job[1]]
                peak = min(peak, self.cluster.memory)
                place = max(
                    (n for n, node in enumerate(nodes) if node.cores and node.memory >= peak),
                    key=lambda n: nodes[n].cores,
                    default=None,
                )
                if place is None:
                    break
                if begun:
                    begun.pop()
                else:
                    waiting = next(fresh, None)
                self.driver_free = max(self.driver_free, self.now) + self.cluster.driver
                node = nodes[place]
                node.cores -= 1
                node.memory -= peak
                cold = self.cluster.cores - node.cores > node.loaded
                node.loaded += cold
                order += 1
                end = self.driver_free + seconds + cold * self.cluster.start
                self.worked += seconds
                heapq.heappush(self.events, (end, order, place, *job))
            if not self.events:
                return self.now
            self.now, _, place, number, stage = heapq.heappop(self.events)
            nodes[place].cores += 1
            nodes[place].memory += min(self.objects[number][stage][1], self.cluster.memory)
            if stage + 1 < len(self.objects[number]):
                begun.append((number, stage + 1))


def recorded(folder: Path) -> list[Stages]:
    """The stages of the finished objects of a batch."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            records = Project(path).load().stages if Project(path).exists else {}
        except MeshcliError:
            continue
        done = [records[stage] for stage in STAGES if stage in records and records[stage].status == "done"]
        if len(done) == len(STAGES):
            found.append(tuple((record.facts["seconds"]["total"], record.facts["peak_rss"]) for record in done))
    return found


def main() -> None:
    """Simulate each number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--cores", type=int, default=8, help="of a node")
    parser.add_argument("--memory", type=float, default=16.0, help="of a node, GB of 2^30 bytes")
    parser.add_argument("--driver", type=float, default=0.0014, help="seconds for a stage, as batch_local.py measures")
    parser.add_argument("--start", type=float, default=4.0, help="seconds in which a worker loads its libraries")
    given = parser.parse_args()
    if given.folder:
        samples = recorded(given.folder)
    else:
        with tempfile.TemporaryDirectory() as name:
            run_batch(objects_of(Path(name), 8))
            samples = recorded(Path(name))
    if not samples:
        parser.error(f"{given.folder} has no finished object")
    draw = random.Random(0)  # noqa: S311 (no secret)
    objects = [draw.choice(samples) for _ in range(given.objects)]
    mean = sum(seconds for stages in objects for seconds, _ in stages) / len(objects)
    print(f"{given.objects} objects like {len(samples)} recorded ones, {mean:.1f} s each; {given.cores} cores a node")
    print("nodes       hours   times faster than one   cores at work")
    alone = 0.0
    for count in NODES:
        cluster = Cluster(count, given.cores, int(given.memory * 2**30), given.driver, given.start)
        simulation = Simulation(cluster, objects)
        seconds = simulation.run()
        alone = alone or seconds
        share = simulation.worked / (seconds * count * given.cores)
        print(f"{count:5} {seconds / 3600:11.3f} {alone / seconds:23.1f} {share:15.1%}")


if __name__ == "__main__":
    main()

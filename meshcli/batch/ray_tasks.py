"""What runs on the nodes of a Ray cluster: one stage of one object, with the threads that it was given. Light."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.project.manifest import Stage

RunStage = Callable[[BatchObject, Stage], StageResult]
# Read once, when a library loads: the largest number of threads that a worker process will ever use.
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Needs:
    """What a stage is given, or a node has. Ray only counts with it: it keeps no process from taking more."""

    cpus: int
    memory: int  # bytes
    gpus: int = 0  # whole ones: a part of one would not limit its memory
    only_on_gpu: bool = False  # it was told to run there, and is not run on a processor where there is none

    def fit(self, node: "Needs") -> bool:
        """Whether a node has as much."""
        return self.cpus <= node.cpus and self.memory <= node.memory and self.gpus <= node.gpus


def run_on_node(run_stage: RunStage, item: BatchObject, stage: Stage, cpus: int) -> StageResult:
    """Run a stage in this worker's process, with as many threads as it was given cores."""
    if "numba" not in sys.modules and "numpy" not in sys.modules:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(max(cpus, 1))))
    return run_stage(item, stage)


class NetworkWorker:
    """An actor on a GPU of its own. What a stage loads stays loaded for the next object, its CUDA memory as well."""

    def run(self, *arguments: Any) -> StageResult:
        """As `run_on_node`."""
        return run_on_node(*arguments)

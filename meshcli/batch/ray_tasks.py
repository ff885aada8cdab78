"""What runs on the nodes of a Ray cluster: one stage of one object, with the threads that it was given. Light."""

import os
import sys
from typing import Any

from meshcli.batch.stage_needs import Needs, StageKinds, word_value
from meshcli.batch.staging import RunStage, run_staged
from meshcli.batch.tasks import THREAD_VARIABLES, BatchObject, StageResult
from meshcli.errors import UsageError
from meshcli.project.manifest import Stage
from meshcli.system.glibc_heap import free_memory
from meshcli.system.processes import Interrupted

LONG = 5.0  # seconds of a stage behind which memory is tidied up, which takes 0.2


class ClusterNeeds:
    """Tells what a stage needs, by the engine that it takes and the device that its object's words name."""

    def __init__(self) -> None:
        self._kinds = StageKinds()

    def __call__(self, item: BatchObject, stage: Stage) -> Needs:
        """The needs of a stage; UsageError for a device that only one machine has."""
        needs = self._kinds.needs(item, self._kinds.kind(item, stage))
        device = word_value(item.words, "--device")
        if needs.gpus and ":" in device:
            raise UsageError(f"--device {device} names a GPU of one machine; on a cluster write --device cuda")
        return Needs(needs.cpus, needs.memory) if device in ("cpu", "mps") else needs


def run_on_node(run_stage: RunStage, item: BatchObject, stage: Stage, cpus: int) -> StageResult:
    """Run a stage in this worker's process, with as many threads as it was given cores."""
    if "numba" not in sys.modules and "numpy" not in sys.modules:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(max(cpus, 1))))
    try:
        result = run_staged(run_stage, item, stage)
    except Interrupted as error:  # Ray would take it for a crash; the record reads as interrupted
        os._exit(error.exit_code)
    if result.seconds > LONG:
        free_memory()
    return result


class NetworkWorker:
    """An actor on a GPU of its own. The network that a stage loads stays loaded, and its CUDA memory taken."""

    def __init__(self) -> None:
        from meshcli.weights.kept_networks import KeptNetworks

        self._kept = KeptNetworks()

    def run(self, *arguments: Any) -> StageResult:
        """As `run_on_node`."""
        with self._kept.in_use():
            result = run_on_node(*arguments)
        if result.spoils_worker:
            self._kept.drop()
        return result

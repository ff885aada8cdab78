"""A worker of a batch with fake engines, of which an object's name tells its trouble: `fit killed 1` is `fit:killed`.

`python tests/helpers/fake_worker.py` is `python -m meshcli.commands.stage_worker`.
"""

import os
import sys
from pathlib import Path

import fake_engines

from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.project.manifest import Stage


def run_stage(item: BatchObject, stage: Stage) -> StageResult:
    from meshcli.commands.stage_call import run_object_stage

    engine, _, rest = item.name.partition(" ")
    os.environ["MESHCLI_TEST"] = f"{engine}:{rest.split()[0]}" if rest else ""
    if "sleep" in rest:
        os.environ["MESHCLI_TEST"] += f"={item.project.parent / f'{item.name}.pid'}"
    result = run_object_stage(item, stage)
    if (log := os.environ.get("MESHCLI_TEST_LOG")) and not result.failed and not result.skipped:
        with Path(log).open("a") as file:
            file.write(f"{stage} {item.name}\n")
    return result


if __name__ == "__main__":
    sys.modules |= fake_engines.modules(exports=True)
    from meshcli.commands.stage_worker import main
    from meshcli.stages import generate

    generate.lacking = lambda *_: "weights"  # whoever runs the tests may have them
    sys.exit(main(run_stage))

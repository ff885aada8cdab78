"""What a batch on this machine costs: python tests/bench/batch_local.py [--count N] [--flat N].

Objects are single photos of examples/desk, with --config quick (default settings: --usual) and ready machine code:

- overhead: what workers and driver take beside the stages' own seconds, which their records state, as a share of these;
- `meshcli run` for one object after the other, as a shell script does it, in units of the batch's seconds;
- processor seconds of stages within and beside their records, in one process, which other processes disturb little:
  alone with --processor N, for N objects behind one that is not counted;
- memory: what one worker occupies after each fifth of many small objects.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from meshcli.batch.local import LocalRunner
from meshcli.batch.machine import this_machine
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.batch.worker_process import WorkerProcess
from meshcli.commands.stage_call import run_object_stage
from meshcli.project.manifest import STAGES
from meshcli.project.project import Project
from meshcli.stages import stage_runner

DESK = Path(__file__).resolve().parents[2] / "examples" / "desk"
DOES_NOTHING = (sys.executable, str(DESK.parents[1] / "tests" / "helpers" / "instant_worker.py"))
NOTHING = 0.01  # seconds in which it does so
IDLE = 200  # objects that it gets
USUAL = ("--generator=sculpt", "--reconstructor=fit")
QUICK = (*USUAL, "--config=quick")
SMALLEST = ("--set=render.frames=2", "--set=render.size=64", "--set=texture.size=64", "--set=fit.steps=[5,5]")


def objects(folder: Path, count: int, words: Sequence[str]) -> list[BatchObject]:
    """So many objects with these flags, each with a seed of its own."""
    photos = sorted(DESK.glob("*.png"))
    return [
        BatchObject(
            f"{number:03}",
            folder / f"{number:03}",
            (*words, f"--seed={number}", str(photos[number % len(photos)])),
        )
        for number in range(count)
    ]


def own_seconds(item: BatchObject) -> float:
    """What the stages of an object took by their records."""
    records = Project(item.project).load().stages.values()
    return float(sum(record.facts["seconds"]["total"] for record in records))


def run_batch(listed: list[BatchObject]) -> tuple[float, float]:
    """Run a batch: its seconds by the clock, and those of its stages in the workers, in total."""
    results: list[StageResult] = []

    def report(said: StageStarted | StageResult) -> None:
        refuse_failure(said)
        if isinstance(said, StageResult):
            results.append(said)

    start = time.monotonic()
    LocalRunner().run(listed, report)
    return time.monotonic() - start, sum(each.seconds for each in results)


def refuse_failure(said: StageStarted | StageResult) -> None:
    """AssertionError for a stage that failed: its seconds would be no measure."""
    assert not isinstance(said, StageResult) or not said.failed, said


def measure_overhead(folder: Path, count: int, words: Sequence[str]) -> float:
    """Print what a batch takes beside the work; the seconds of an object."""
    cores = this_machine().cores
    run_batch(objects(folder / "warm", cores, words))  # compiles, fills caches
    listed = objects(folder / "batch", count, words)
    seconds, worked = run_batch(listed)
    own = sum(map(own_seconds, listed)) / count
    idle = [BatchObject(str(number), folder / "none" / str(number)) for number in range(IDLE)]
    start, process = time.monotonic(), time.process_time()
    LocalRunner(replace(this_machine(), cores=1), command=DOES_NOTHING).run(idle, refuse_failure)
    per_stage = (time.monotonic() - start) / (IDLE * len(STAGES)) - NOTHING
    driver = (time.process_time() - process) / (IDLE * len(STAGES))
    print(f"{count} objects on {cores} cores: {seconds:.1f} s, {seconds / count:.1f} s an object")
    print(f"the stages of an object by their records: {own:.1f} s on one core")
    print(f"checks and command layer: {worked / count - own:.2f} s an object, {100 * (worked / count / own - 1):.1f} %")
    print(f"handing out and back: {1000 * per_stage:.1f} ms a stage, {100 * len(STAGES) * per_stage / own:.2f} %")
    print(f"of it the driver's processor time: {1000 * driver:.1f} ms a stage")
    return seconds / count


def measure_runs(folder: Path, count: int, words: Sequence[str], batch: float) -> None:
    """Print what separate calls of `meshcli run` take beside the work, and in units of the batch's seconds."""
    listed = objects(folder / "runs", count, words)
    start = time.monotonic()
    for item in listed:
        line = [sys.executable, "-m", "meshcli", "run", str(item.project), *item.words, "--quiet"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    seconds, own = time.monotonic() - start, sum(map(own_seconds, listed))
    print(
        f"`meshcli run`, one by one: {seconds / count:.1f} s an object, {seconds / count / batch:.1f} times a batch's;"
    )
    print(f"  {100 * (seconds / own - 1):.0f} % of it beside the stages by their records")


def measure_processor(folder: Path, count: int, words: Sequence[str]) -> None:
    """Print the processor seconds of stages within and beside their records, of objects that this process makes."""
    marks: list[float] = []

    def marking(function: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*arguments: Any) -> Any:
            marks.append(time.process_time())
            return function(*arguments)

        return marked

    first, *listed = objects(folder / "processor", count + 1, words)
    with (
        mock.patch.object(stage_runner, "_start", marking(stage_runner._start)),
        mock.patch.object(stage_runner, "_done_record", marking(stage_runner._done_record)),
    ):
        for item in (first, *listed):
            if item is listed[0]:
                marks.clear()
                start = time.process_time()
            for stage in item.stages:
                result = run_object_stage(item, stage)
                assert not result.failed, result
    whole = (time.process_time() - start) / count
    within = (sum(marks[1::2]) - sum(marks[::2])) / count
    share = 100 * (whole / within - 1)
    print(
        f"processor seconds of an object: {within:.2f} in its stages, {whole - within:.3f} beside them, {share:.1f} %"
    )


def measure_memory(folder: Path, count: int) -> None:
    """Print what a worker occupies after some and after all of its objects."""
    worker = WorkerProcess(1)
    resident: list[int] = []
    for item in objects(folder / "flat", count, (*QUICK, *SMALLEST)):
        for stage in item.stages:
            worker.send(item, stage)
            answer = worker.receive()
            assert answer, worker.last_words()
            assert not answer.result.failed, answer
        resident.append(answer.resident)
    worker.stop()
    print(
        f"one worker, {count} objects, MB after each fifth:",
        json.dumps([round(each / 2**20) for each in resident[4::5]]),
    )


def main() -> None:
    """Measure all, or processor seconds alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12, help="objects of the batch")
    parser.add_argument("--runs", type=int, default=3, help="calls of `meshcli run`")
    parser.add_argument("--flat", type=int, default=50, help="objects of the one worker")
    parser.add_argument("--processor", type=int, default=0, help="objects whose processor seconds are counted")
    parser.add_argument("--usual", action="store_true", help="the default settings instead of the quick ones")
    given = parser.parse_args()
    words = USUAL if given.usual else QUICK
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.processor:
            measure_processor(folder, given.processor, words)
            return
        measure_runs(folder, given.runs, words, measure_overhead(folder, given.count, words))
        measure_memory(folder, given.flat)


if __name__ == "__main__":
    main()

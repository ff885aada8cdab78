"""Stages that do nothing but keep their record and write down that they ran, for tests of what spreads them.

`python tests/helpers/counted_stages.py ADDRESS DIR COUNT WORD...` runs a batch of them on a Ray cluster, as a driver of
its own, and prints a line for each result: its name, stage, exit code and tries.
"""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from meshcli.batch.ray_cluster import RayRunner
from meshcli.batch.stage_needs import Needs
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.errors import MeshcliError
from meshcli.project.manifest import Manifest, Stage, StageRecord
from meshcli.project.project import LockedError, Project

LOG = "log.jsonl"  # beside the projects; lines are appended, which is atomic at this length
MEGABYTE = 2**20
STAGES: tuple[Stage, ...] = ("generate", "render")


def objects(folder: Path, count: int, *words: str, stages: Sequence[Stage] = STAGES) -> list[BatchObject]:
    """Objects named 000, 001 ...; with `storage=URL` their projects lie there, and what is written down in `folder`."""
    storage = next((word.partition("=")[2] for word in words if word.startswith("storage=")), "")
    words, driver = ((*words, f"log={folder}"), uuid.uuid4().hex) if storage else (words, "")
    return [
        BatchObject(f"{each:03}", folder / f"{each:03}", words, tuple(stages), each + 1, storage, driver)
        for each in range(count)
    ]


def needs(item: BatchObject, stage: Stage) -> Needs:
    """One core for every stage, or eight with `cpus=8`; a GPU for those that the words name, as `gpu=generate`."""
    return Needs(8 if "cpus=8" in item.words else 1, 100 * MEGABYTE, int(f"gpu={stage}" in item.words))


def run_counted(item: BatchObject, stage: Stage) -> StageResult:
    """A stage that sleeps `sleep=SECONDS`; `die=NAME` ends its process as often as a file of that name has letters.

    `full=NAME` fails for lack of memory as often. Its record is kept as a real stage keeps its own.
    """
    project = Project(item.project)
    try:
        project.create()
        with project.write_lock(new=True):
            manifest = project.load() if project.exists else Manifest()
            before = manifest.stages.get(stage)
            if before and before.status == "done":
                return StageResult(item.name, stage, skipped=True)
            tries = 1 + (before.tries if before else 0)
            smaller = before.reduced_settings if before else {}
            record = StageRecord(
                "running", tries=tries, reduced_settings=smaller, next_reduction={"fit.steps": 10 // tries}
            )
            manifest = manifest.with_record(stage, record)
            project.save(manifest)
            _write_down(item, stage, "began")
            code = _work(item, stage)
            status = "failed" if code else "done"
            project.save(manifest.with_record(stage, replace(record, status=status, next_reduction={})))
            if not code:
                _write_down(item, stage, "done")
    except LockedError as error:
        return StageResult(item.name, stage, error.exit_code, error=str(error), locked=True)
    except MeshcliError as error:
        return StageResult(item.name, stage, error.exit_code, error=str(error))
    return StageResult(item.name, stage, code, error="memory ran out" if code else "", tries=tries)


def lines(folder: Path, event: str) -> list[dict[str, str]]:
    """What stages wrote down: `began` or `done`."""
    log = folder / LOG
    written = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()] if log.exists() else []
    return [line for line in written if line["event"] == event]


def _work(item: BatchObject, stage: Stage) -> int:
    """Do what the words say; the exit code."""
    for word in item.words:
        what, _, value = word.partition("=")
        trouble = _folder(item) / value.format(name=item.name, stage=stage)
        if what == "sleep":
            time.sleep(float(value))
        elif what in ("die", "full") and trouble.is_file() and (left := trouble.read_text(encoding="ascii")):
            trouble.write_text(left[1:], encoding="ascii")
            if what == "full":
                return 75
            os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _write_down(item: BatchObject, stage: Stage, event: str) -> None:
    line = {"name": item.name, "stage": stage, "event": event, "pid": os.getpid(), "gpu": _gpu()}
    with (_folder(item) / LOG).open("a", encoding="ascii") as log:
        log.write(json.dumps(line) + "\n")


def _folder(item: BatchObject) -> Path:
    """Where the stages write down that they ran."""
    return next((Path(word.partition("=")[2]) for word in item.words if word.startswith("log=")), item.project.parent)


def _gpu() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


@contextmanager
def _interruptible() -> Iterator[None]:
    from meshcli.system.processes import Interrupted, listen_to_signals

    listen_to_signals()
    try:
        yield
    except Interrupted as error:
        sys.exit(error.exit_code)


def main(address: str, folder: str, count: str, *words: str) -> None:
    """Run a batch as the driver."""

    def report(event: StageStarted | StageResult) -> None:
        if isinstance(event, StageResult):
            print(event.name, event.stage, event.exit_code, event.tries, flush=True)

    with _interruptible():
        RayRunner(run_counted, address, needs).run(objects(Path(folder), int(count), *words), report)


if __name__ == "__main__":
    from importlib import import_module

    import_module("helpers.counted_stages").main(*sys.argv[1:])  # under the name by which the nodes find its functions

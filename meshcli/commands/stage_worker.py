"""A worker of a batch on this machine: runs the stages that it reads, one a line, and answers each with its result.

`python -m meshcli.commands.stage_worker`, started by `batch.worker_process`, which describes the lines. What is loaded
for one object, libraries and networks, is there for the next. It ends when its input ends, or with the process that
started it.
"""

import io
import json
import os
import sys
from typing import TextIO

from meshcli.batch.staging import RunStage, run_staged
from meshcli.batch.worker_process import read_task, write_answer
from meshcli.system.glibc_heap import free_memory
from meshcli.system.processes import Interrupted, exit_with_parent, listen_to_signals
from meshcli.weights.kept_networks import KeptNetworks

GROWTH = 64 * 2**20  # bytes that may be left behind until they are looked for, which takes 0.2 s with all libraries


def main(run_stage: RunStage | None = None) -> int:
    """Work until the input ends; the exit code. `run_stage` takes the place of `run_object_stage`."""
    listen_to_signals()
    exit_with_parent()
    tasks, answers = _own_streams()
    try:
        from meshcli.commands.stage_call import run_object_stage

        serve(tasks, answers, run_stage or run_object_stage)
    except Interrupted as error:
        return error.exit_code
    except BrokenPipeError:  # nobody listens any more
        return 0
    return 0


def serve(tasks: TextIO, answers: TextIO, run_stage: RunStage) -> None:
    """Run each stage that is read and write its result, keeping networks from one to the next."""
    kept, resident = KeptNetworks(), 0
    for line in tasks:
        item, stage = read_task(json.loads(line))
        with kept.in_use():
            result = run_staged(run_stage, item, stage)
        if result.spoils_worker:
            kept.drop()
        if _resident_bytes() > resident + GROWTH:
            free_memory()
            resident = _resident_bytes()
        answers.write(json.dumps(write_answer(result, _resident_bytes())) + "\n")
        answers.flush()


def _own_streams() -> tuple[TextIO, TextIO]:
    """Input and output of the tasks, out of the reach of stages, which find an empty input, and errors as output."""
    tasks = os.fdopen(os.dup(0), encoding="ascii")
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    return tasks, answers


def _resident_bytes() -> int:
    """Resident memory now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (not a file of the disk)
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())

"""A worker process on this machine, seen from the driver: its start, the lines to and from it, its end. Light.

Task and answer are a line of JSON each. A worker is a new interpreter, not a fork: it has its own memory and threads.
It holds the reading end of a pipe, so that it ends with its driver, whatever ended that.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from meshcli.batch.tasks import THREAD_VARIABLES, BatchObject, StageResult
from meshcli.errors import ResourceError
from meshcli.project.manifest import Stage
from meshcli.system.processes import PARENT_PIPE_VARIABLE, PLAIN_REPORT, REPORT_VARIABLE, signals_blocked

WORKER = (sys.executable, "-m", "meshcli.commands.stage_worker")
STOP_GRACE = 10.0  # seconds that a worker has to clean up before it is killed

Task = dict[str, Any]


def write_task(item: BatchObject, stage: Stage) -> Task:
    """A task as JSON can hold it."""
    return {**asdict(item), "project": str(item.project), "stage": stage}


def read_task(task: Task) -> tuple[BatchObject, Stage]:
    """The stage of the object that `write_task` was given."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in task.items() if key != "stage"
    }
    return BatchObject(**{**values, "project": Path(task["project"])}), task["stage"]


def write_answer(result: StageResult, resident: int) -> dict[str, Any]:
    """A result as JSON can hold it, and what the worker occupies when it waits, in bytes."""
    return {**asdict(result), "resident": resident}


@dataclass(frozen=True)
class Answer:
    """What a worker says when a stage has ended."""

    result: StageResult
    resident: int  # bytes that the worker occupies now


class WorkerProcess:
    """A started worker; it works on one stage at a time."""

    def __init__(
        self, threads: int, command: Sequence[str] = WORKER, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it; ResourceError where the system has no room for a process."""
        self.threads = threads
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop`)
        read, self._alive = os.pipe()
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict(environment or {})
        process = None
        try:
            with signals_blocked():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    pass_fds=[read],
                    env={**os.environ, **variables, PARENT_PIPE_VARIABLE: str(read), REPORT_VARIABLE: PLAIN_REPORT},
                )
        except BaseException as error:
            if process:  # a signal came while it started
                process.kill()
                process.wait()
            os.close(self._alive)
            if isinstance(error, OSError):
                raise ResourceError(f"no worker can be started: {error.strerror}") from error
            raise
        finally:
            os.close(read)
        self._process = process
        self._tasks, self._answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def fileno(self) -> int:
        """Where its answers are read, for `select`."""
        return self._answers.fileno()

    def send(self, item: BatchObject, stage: Stage) -> None:
        """Let it work on a stage. That a worker is gone shows when its answer is read."""
        with suppress(BrokenPipeError):
            self._tasks.write(f"{json.dumps(write_task(item, stage))}\n".encode("ascii"))
            self._tasks.flush()

    def receive(self) -> Answer | None:
        """The answer that is ready; None when the worker has ended instead."""
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            return None
        table = json.loads(line)
        resident = int(table.pop("resident"))
        return Answer(StageResult(**table), resident)

    @property
    def ended(self) -> bool:
        """Whether the process is gone already, as one may be that was killed while it waited."""
        return self._process.poll() is not None

    def exit_code(self) -> int:
        """Wait for its end: the exit code, negative for a signal."""
        return self._process.wait()

    def last_words(self) -> str:
        """The last line that it wrote where errors go; empty if it wrote none."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - 4096, 0))
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def ask_to_end(self) -> None:
        """Let it end when it waits for its next task."""
        with suppress(OSError):
            self._tasks.close()

    def terminate(self) -> None:
        """Interrupt its work: it cleans up and ends."""
        with suppress(OSError):
            self._process.terminate()

    def stop(self, seconds: float = STOP_GRACE) -> None:
        """Wait for its end, and kill it where that takes longer; release what the driver holds of it."""
        self.ask_to_end()
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._answers.close()
            os.close(self._alive)
            self._errors.close()

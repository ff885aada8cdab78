"""A stage of an object of a batch, run in this process by the command line's own code, any number of times.

What `meshcli run` does by child processes happens here in one: the same checks, records, log and exit codes, without
the seconds that a new process needs to load its libraries. A worker calls this; what it loads stays loaded.
"""

import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from typer.exceptions import TyperException

from meshcli.batch.tasks import BUG, BatchObject, StageResult
from meshcli.commands import cli
from meshcli.commands.run import read_run
from meshcli.errors import MeshcliError
from meshcli.project.manifest import Stage
from meshcli.project.project import Project
from meshcli.stages.killed_child import read_record
from meshcli.stages.run import ChildInterruptedError, run_stages
from meshcli.stages.stage_runner import to_user_error
from meshcli.system.memory_peak import peak_rss, reset_peak_rss
from meshcli.system.processes import Interrupted


@dataclass
class _Calls:
    """Runs command lines in this process and keeps the documents that they print."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    bug: str = ""

    def __call__(self, line: Sequence[str], *_: object) -> tuple[int, str]:
        """As `run_child`, with the output captured: the exit code, and what the command printed."""
        printed, told = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(printed), redirect_stderr(told):
                code = cli.main([line[0], *([] if "--json" in line else ["--json"]), *line[1:]])
        except Exception as error:  # its traceback is in the project's log
            self.bug = f"a bug: {error!r}; its traceback is in the project's log"
            return BUG, ""
        with suppress(ValueError):
            document = json.loads(printed.getvalue())
            if isinstance(document, dict) and "runs" not in document:  # which a dry run prints
                self.documents.append(document)
        return code, printed.getvalue()


def run_object_stage(item: BatchObject, stage: Stage) -> StageResult:
    """Run one stage of one object in this process, as `meshcli run` would; a failure is in the result, not raised.

    Raises Interrupted where the process was told to end.
    """
    reset_peak_rss()
    start, calls = time.monotonic(), _Calls()
    with _same_environment():
        end = _end(item, stage, calls)
    documents = [document for document in calls.documents if document.get("stage") == stage]
    skipped = not end.exit_code and all(document.get("skipped") for document in documents)
    record = read_record(Project(item.project), stage)
    return replace(
        end,
        seconds=round(time.monotonic() - start, 3),
        peak_bytes=0 if skipped else peak_rss(),
        skipped=skipped,
        tries=record.tries if record and not skipped else 0,
    )


def _end(item: BatchObject, stage: Stage, calls: _Calls) -> StageResult:
    """Run the stage: its exit code, its error and whether another process holds the project."""
    result = StageResult(item.name, stage)
    try:
        project, arguments = read_run([str(item.project), *item.words])
        run_stages(project, arguments.of_stage(stage), capture=True, call=calls)
    except ChildInterruptedError as error:
        raise Interrupted(error.exit_code - 128) from error
    except TyperException as error:  # a mistake in the words
        return replace(result, exit_code=error.exit_code, error=" ".join(error.format_message().split()))
    except Exception as error:
        known = to_user_error(error, item.project)
        if calls.bug or known is None:
            return replace(result, exit_code=BUG, error=calls.bug or f"a bug: {error!r}")
        told = {key for document in (*calls.documents, known.details) for key, value in document.items() if value}
        return replace(
            result, exit_code=known.exit_code, error=_one_line(known, calls), locked="locked" in told,
            disk_full="disk_full" in told,
        )  # fmt: skip
    return result


@contextmanager
def _same_environment() -> Iterator[None]:
    """Undo what a command changes in the environment for processes that it starts."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _one_line(error: MeshcliError, calls: _Calls) -> str:
    said = [str(document["error"]) for document in calls.documents if "error" in document]
    return " ".join((said[-1] if said else str(error)).split())

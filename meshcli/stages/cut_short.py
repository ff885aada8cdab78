"""What is to be done when a stage's process was ended from outside, or by a library, before its record was. Light."""

import signal

from meshcli.errors import ResourceError
from meshcli.manifest import Record, Stage
from meshcli.project import Project
from meshcli.stages.work import out_of_memory

# The kernel's OOM killer, and how libraries in C end that do not look at what the allocator answers.
KILLED = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
LEFT = 1  # the exit code of OpenBLAS, whose record is then not that of a bug: it is running


def cut_short(project: Project, stage: Stage, code: int, since: str) -> ResourceError | None:
    """The error when a process that began at `since` ended as it happens when memory runs out, negative for a signal.

    Its record takes the smaller setting. None when the process has brought its record and what it had to say to an end.
    """
    if -code not in KILLED and code != LEFT:
        return None
    name = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else "one of its libraries"
    ended = f"{stage} was ended by {name}, as happens when memory runs out"
    record = _begun(project, stage, since)
    if record is None:
        return ResourceError(f"{ended}, before it began") if code < 0 else None
    with project.writing(wait=True):
        project.save(project.load().with_record(stage, out_of_memory(record)))
    if not record.fallback:
        return ResourceError(f"{ended}; there is no smaller setting left to try")
    smaller = ", ".join(f"{key}={value}" for key, value in record.fallback.items())
    return ResourceError(f"{ended}; the same command will now take {smaller}")


def _begun(project: Project, stage: Stage, since: str) -> Record | None:
    """The record that the process has left unfinished."""
    record = project.load().stages.get(stage) if project.exists else None
    return record if record and record.status == "running" and record.started >= since else None

"""What is to be done when a stage's process was ended from outside, or by a library, before its record was. Light."""

import signal
from contextlib import suppress

from meshcli.errors import MeshcliError, ResourceError
from meshcli.manifest import Record, Stage
from meshcli.project import Project
from meshcli.stages.work import out_of_memory

# The kernel's OOM killer, and how libraries in C end that do not look at what the allocator answers.
KILLED = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
LEFT = 1  # the exit code of OpenBLAS, whose record is then not that of a bug: it is running


def standing(project: Project, stage: Stage) -> Record | None:
    """The record before a process begins, for `cut_short`: by it, not by a clock, one knows what the process left."""
    with suppress(MeshcliError):
        return project.load().stages.get(stage)
    return None


def cut_short(project: Project, stage: Stage, code: int, before: Record | None) -> ResourceError | None:
    """The error when a process ended as it happens when memory runs out; `code` is negative for a signal.

    Its record takes the smaller setting. None when the process has brought its record and what it had to say to an end.
    """
    if -code not in KILLED and code != LEFT:
        return None
    name = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else "one of its libraries"
    ended = f"{stage} was ended by {name}, as happens when memory runs out"
    record = standing(project, stage)
    if record is None or record.status != "running" or record == before:
        return ResourceError(f"{ended}, before it began") if code < 0 else None
    with project.writing(wait=True):
        project.save(project.load().with_record(stage, out_of_memory(record)))
    if not record.fallback:
        return ResourceError(f"{ended}; there is no smaller setting left to try")
    smaller = ", ".join(f"{key}={value}" for key, value in record.fallback.items())
    return ResourceError(f"{ended}; the same command will now take {smaller}")

"""What is to be done when a stage's process was ended from outside, or by a library, before its record was. Light.

SIGKILL comes from the kernel's OOM killer: the record takes the next smaller setting. Libraries in C that do not look
at what the allocator answers crash, or leave; a bug of theirs looks the same. So the first such end keeps the settings
and only notes what it was; when the same command ends so again, it is taken for a lack of memory until the stage is
done. A command has as many settings to try as its stage has, and one call more: loops that count come to an end.
"""

import signal
from contextlib import suppress
from dataclasses import replace

from meshcli.errors import MeshcliError, ResourceError
from meshcli.out_of_memory import CRASH_SIGNALS, OOM_KILLER_SIGNAL, OPENBLAS_EXIT_CODE
from meshcli.project.manifest import Record, Stage
from meshcli.project.project import Project
from meshcli.stages.stage_runner import ENDED, now
from meshcli.system.processes import SIGNALS


class EndedError(MeshcliError):
    """A signal that has nothing to do with memory ended a process."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # type: ignore[misc]  # as shells say it


def standing(project: Project, stage: Stage) -> Record | None:
    """The record before a process begins, for `cut_short`: by it, not by a clock, one knows what the process left."""
    with suppress(MeshcliError):
        return project.load().stages.get(stage)
    return None


def cut_short(
    project: Project, stage: Stage, code: int, before: Record | None, command: str = ""
) -> MeshcliError | None:
    """The error when a process ended by a signal, negative in `code`, or by a library; its record says so from now on.

    None when the process has brought its record and what it had to say to an end, or was interrupted. `command` is what
    was called when it has no record of its own: `align`.
    """
    if -code in SIGNALS or code not in (*range(-signal.NSIG, 0), OPENBLAS_EXIT_CODE):
        return None
    name = f"signal {-code} ({_name(code)})" if code < 0 else "one of its libraries"
    what = command or stage
    if code < 0 and -code not in (OOM_KILLER_SIGNAL, *CRASH_SIGNALS):
        return EndedError(f"{what} was ended by {name}; the same command goes on from what is finished", -code)
    sure = code == -OOM_KILLER_SIGNAL
    why = "as happens when memory runs out" if sure else "perhaps because memory ran out"
    record = standing(project, stage)
    if command or record is None or record.status != "running" or record == before:
        where = "" if command else ", before it began"
        again = "the same command may be tried again"
        return ResourceError(f"{what} was ended by {name}, {why}{where}; {again}") if code < 0 else None
    known = sure or _again(before, record)
    kept = replace(
        record, status="failed", error=f"{what} was ended by {name}, {why}", facts={ENDED: _name(code)}, finished=now(),
        smaller=record.smaller | record.fallback if known else record.smaller, fallback={},
    )  # fmt: skip
    with project.writing(wait=True):
        project.save(project.load().with_record(stage, kept))
    if known and not record.fallback:
        return ResourceError(f"{what} was ended by {name}, {why}; there is no smaller setting left to try")
    smaller = ", ".join(f"{key}={value}" for key, value in record.fallback.items())
    taken = smaller if known else "the same settings once more"
    return ResourceError(f"{what} was ended by {name}, {why}; the same command will now take {taken}")


def _again(before: Record | None, record: Record) -> bool:
    """Whether the same command was ended in such a way the last time, too."""
    return before is not None and before.status == "failed" and ENDED in before.facts and before.asked == record.asked


def _name(code: int) -> str:
    """Of a signal as C calls it; real-time signals have numbers only."""
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"SIG{-code}"

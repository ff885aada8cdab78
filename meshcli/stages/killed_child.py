"""What happens when a stage's process ended before its record did, by a signal or by a library. Light: no numpy.

SIGKILL comes from the kernel's OOM killer: the record takes the next smaller settings. Libraries in C that do not check
an allocation crash or exit, and so does a bug in them. The first such end therefore keeps the settings and only records
how the process ended; if the same command ends like that again, it counts as a lack of memory until the stage is done.
A command can thus fail once more often than its stage has smaller settings, so retry loops terminate.
"""

import signal
from contextlib import suppress
from dataclasses import replace

from meshcli.errors import MeshcliError, ResourceError
from meshcli.out_of_memory import CRASH_SIGNALS, OOM_KILLER_SIGNAL, OPENBLAS_EXIT_CODE
from meshcli.project.manifest import Stage, StageRecord
from meshcli.project.project import Project
from meshcli.stages.reduced_settings import ENDED_BY, assignments
from meshcli.stages.stage_runner import utc_timestamp
from meshcli.system.processes import SIGNALS

LOST_WORKER = "lost worker"  # how a process of another machine ended, in place of a signal


class SignalError(MeshcliError):
    """A signal unrelated to memory ended a process."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # type: ignore[misc]  # as shells report it


def read_record(project: Project, stage: Stage) -> StageRecord | None:
    """A stage's record, read before its process starts, for `killed_child_error`: clocks may be set back."""
    with suppress(MeshcliError):
        return project.load().stages.get(stage)
    return None


def killed_child_error(
    project: Project, stage: Stage, code: int, before: StageRecord | None, command: str = ""
) -> MeshcliError | None:
    """The error for a process that ended by a signal (negative `code`) or by a library, after recording the failure.

    None when the process finished its record and reported its error itself, or was interrupted. `command` names what
    was called when it has no record of its own: `align`.
    """
    if -code in SIGNALS or code not in (*range(-signal.NSIG, 0), OPENBLAS_EXIT_CODE):
        return None
    what, ending = command or stage, _describe(code)
    if code < 0 and -code not in (OOM_KILLER_SIGNAL, *CRASH_SIGNALS):
        return SignalError(f"{what} was ended by {ending}; the same command goes on from what is finished", -code)
    certain = -code == OOM_KILLER_SIGNAL
    why = "as happens when memory runs out" if certain else "perhaps because memory ran out"
    record = read_record(project, stage)
    if command or record is None or record.status != "running" or record == before:
        when = "" if command else ", before it began"
        error = ResourceError(f"{what} was ended by {ending}, {why}{when}; the same command may be tried again")
        return error if code < 0 else None
    out_of_memory = certain or _ended_so_before(before, record)
    _save_failed(project, stage, record, f"{what} was ended by {ending}, {why}", code, out_of_memory)
    if out_of_memory and not record.next_reduction:
        return ResourceError(f"{what} was ended by {ending}, {why}; there is no smaller setting left to try")
    taken = assignments(record.next_reduction) if out_of_memory else "the same settings once more"
    return ResourceError(f"{what} was ended by {ending}, {why}; the same command will now take {taken}")


def _save_failed(
    project: Project, stage: Stage, record: StageRecord, error: str, code: int, out_of_memory: bool
) -> None:
    """Replace the running record of a child that ended with `code`."""
    _replace_running(project, stage, record, error, _name(code), out_of_memory, wait=True)


def _replace_running(
    project: Project, stage: Stage, record: StageRecord, error: str, ended_by: str, out_of_memory: bool, *, wait: bool
) -> None:
    """Replace a running record; the next run takes smaller settings after a lack of memory."""
    failed = replace(
        record,
        status="failed",
        error=error,
        facts={ENDED_BY: ended_by},
        finished=utc_timestamp(),
        reduced_settings=record.reduced_settings | (record.next_reduction if out_of_memory else {}),
        next_reduction={},
    )
    with project.write_lock(wait):
        project.save(project.load().with_record(stage, failed))


def _ended_so_before(before: StageRecord | None, record: StageRecord) -> bool:
    """Whether the previous run of the same command was ended by a signal or a library too."""
    return (
        before is not None
        and before.status == "failed"
        and ENDED_BY in before.facts
        and before.requested_digest == record.requested_digest
    )


def _describe(code: int) -> str:
    return f"signal {-code} ({_name(code)})" if code < 0 else "one of its libraries"


def _name(code: int) -> str:
    """A signal's name in C, or the exit code; real-time signals have numbers only."""
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"SIG{-code}"


def record_lost_worker(
    project: Project, stage: Stage, before: StageRecord | None, how: str, out_of_memory: bool
) -> StageRecord | None:
    """Record that a process elsewhere was lost while it ran a stage; `how` it was lost is a sentence about the stage.

    The next run takes smaller settings if memory ran out, and also when the run before was lost as well, as is done for
    a child of this machine. Returns the record as it is now: unchanged where that stage had not begun.
    Raises ProjectError where another process holds the project.
    """
    record = read_record(project, stage)
    if record is None or record.status != "running" or record == before:
        return record
    smaller = out_of_memory or _ended_so_before(before, record)
    ending = OOM_KILLER_SIGNAL.name if out_of_memory else LOST_WORKER
    _replace_running(project, stage, record, f"{stage} {how}", ending, smaller, wait=False)
    return read_record(project, stage)

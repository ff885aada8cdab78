"""How every stage runs: fingerprint, record, timing, failure. Light: no numpy.

A stage takes the write lock, resolves a `ResolvedTask`, returns early when nothing changed, and does its work inside
`recording`, which saves a `running` record first and a `done` or `failed` one last. A killed process leaves the
`running` record behind: when no process holds the lock, it reads as interrupted.
"""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli import __version__
from meshcli.errors import MeshcliError, ProjectError, ResourceError
from meshcli.out_of_memory import clear_failed_frames, is_out_of_memory
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.project.manifest import Manifest, Output, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.stages.photo_validation import LeftOutPhoto
from meshcli.stages.reasons import why_missing, why_stale
from meshcli.stages.reduced_settings import assignments
from meshcli.system.memory_check import MEGABYTE, check_memory, library_bytes, memory_reserve
from meshcli.system.memory_peak import peak_rss

if TYPE_CHECKING:
    from meshcli.pictures.pixels import Pixels

RECORDED_LIBRARIES = (  # whose versions a record states
    *("torch", "diffusers", "transformers", "numpy", "numba", "scipy", "scikit-image", "trimesh", "embreex", "xatlas"),
    "fast-simplification",
)
PAUSED = "paused"  # key in Record.facts of a stage that ended before its work was done, as it was asked to: why
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A directory where a file belongs or the reverse, a symbolic link, missing permissions, a broken disk.
NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL, errno.EIO),
)


class DiskFullError(ResourceError):
    """Disk space ran out, or would: smaller settings are no help, and another try at once would end in the same way."""

    details: Mapping[str, Any] = {"disk_full": True}


@dataclass(frozen=True)
class RunOptions:
    """How a stage is run, as opposed to what it makes."""

    force: bool = False  # run although nothing changed, with the requested settings although memory ran out before
    wait: bool = False  # until another process releases the write lock
    offline: bool = False  # no network access
    device: str = "auto"  # where networks compute: auto, cpu, cuda, cuda:1 or mps
    weights: Path | None = None  # file or directory of network weights, beside the usual places
    progress: Progress = silent
    tell: Tell = unheard  # callback for messages, one sentence each
    show_preview: "Callable[[str, Pixels], None] | None" = None  # callback for unfinished pictures: name, (H, W, 3)
    preview_every: int = 0  # denoising steps between unfinished pictures, where the settings ask for none
    warn: Tell = unheard  # callback for messages about photos that are left out
    keep_going: bool = False  # leave out photos that cannot be used
    flags: Sequence[str] = ()  # typed flags that only some engines use
    dry: bool = False  # only find out whether the stage would run, and why
    cut_outs_only: bool = False  # of `generate`: pause when the photos are cut out
    refuse_guesses: bool = False  # stop where azimuths are guesses with which nobody has gone on


@dataclass(frozen=True)
class ResolvedTask:
    """One run of a stage with everything resolved."""

    stage: Stage
    engine: str
    options: dict[str, Any]  # section -> key -> value, and the seed
    inputs: dict[str, str]  # the fingerprint, part by part
    requested: str = ""  # digest of engine and options as requested, before any setting was reduced
    reduced: dict[str, Any] = field(default_factory=dict)  # settings that were reduced because memory ran out before
    next_reduced: dict[str, Any] = field(default_factory=dict)  # settings to reduce if memory runs out in this run
    settings: dict[str, Any] = field(default_factory=dict)  # requested ones that are not the defaults, and the seed
    files: Sequence[str] = ()  # all that it may write, apart from files with free names


@dataclass(frozen=True)
class Outcome:
    """The result of calling a stage."""

    stage: Stage
    record: StageRecord
    skipped: bool = False  # nothing was done: the record is of the same work
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOutPhoto, ...] = ()  # photos that cannot be used
    would_run: str = ""  # on a dry run: why the stage would run


@dataclass
class StageRun:
    """A running stage: collects its outputs, timings, facts and notes."""

    project: Project
    manifest: Manifest
    task: ResolvedTask
    run_options: RunOptions
    outputs: list[Output] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    paused: str = ""  # why the stage ends before its work is done; the same command goes on from there
    previously_done: bool = False  # the run before finished, so every file was as its record says

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the duration of the block to the named step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write artefacts, together and atomically; a note names each file that was edited by hand before."""
        self.project.refuse_foreign_files(self.manifest, files)
        before = {output.file: output.sha256 for output in self.manifest.stages[self.task.stage].outputs}
        for file in files:
            known = before.get(file) if self.previously_done else None
            if known and self.project.digest(file) not in ("missing", known):
                self.note(f"{file} had been edited by hand and is overwritten")
        self.outputs += self.project.write(files)

    def note(self, sentence: str) -> None:
        """Tell the user something about the result, and keep it for the outcome."""
        self.notes.append(sentence)
        self.run_options.tell(sentence)

    def save(self, manifest: Manifest) -> None:
        """Save what is finished so far. If that fails, a failed record is added to what was saved before."""
        self.project.save(manifest)
        self.manifest = manifest

    def outcome(self) -> Outcome:
        """The outcome of the finished run."""
        return Outcome(self.task.stage, self.manifest.stages[self.task.stage], False, tuple(self.notes))


def write_lock(project: Project, run_options: RunOptions, new: bool = False) -> AbstractContextManager[None]:
    """Hold the write lock; none on a dry run. A `new` project may be without a manifest."""
    return nullcontext() if run_options.dry else project.write_lock(run_options.wait, run_options.tell, new)


def outcome_without_running(
    project: Project,
    manifest: Manifest,
    task: ResolvedTask,
    run_options: RunOptions,
    check: Callable[[], object] | None = None,
) -> Outcome | None:
    """The outcome when the stage is done for the same inputs and its files exist; None when it must run.

    A dry run never runs: the outcome states why the stage would, after `check`, which raises what keeps its engine from
    running. Raises UsageError when it must run and would overwrite files that are not meshcli's own.
    """
    record = manifest.stages.get(task.stage)
    reason = "--force" if run_options.force else _reason_to_run(project, manifest, task)
    if record and not reason:
        if record.settings != task.settings and not run_options.dry:  # typed ones that this engine makes no use of
            record = replace(record, settings=task.settings)
            project.save(manifest.with_record(task.stage, record))
        return Outcome(task.stage, record, skipped=True)
    project.refuse_foreign_files(manifest, task.files)
    if run_options.dry:
        if record and record.status == "running" and project.is_locked():
            reason = "another process is running it"
        if check:
            check_library_memory(task.engine)
            check()
        return Outcome(task.stage, StageRecord("running", task.engine, task.options), would_run=reason)
    return None


def missing_files(project: Project, record: StageRecord) -> list[str]:
    """Outputs of a record that do not exist any more."""
    return [output.file for output in record.outputs if not project.path(output.file).is_file()]


def ensure_memory(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> None:
    """Check that the libraries of an engine fit before they are loaded; else save a failed record: ResourceError."""
    try:
        check_memory(task.engine)
    except MemoryError as error:
        run = _start(project, manifest, task, run_options)
        raise _fail(run, _running_record(manifest, task), error) from error


def check_library_memory(engine: str) -> None:
    """ResourceError when the libraries of an engine do not fit into memory."""
    try:
        check_memory(engine)
    except MemoryError as error:
        needed = library_bytes(engine) // MEGABYTE
        raise ResourceError(f"the libraries of {engine} need {needed} MB of memory; make room and try again") from error


@contextmanager
def recording(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> Iterator[StageRun]:
    """Run a stage and keep its record; the caller holds the write lock. Earlier outputs stay listed until it is done.

    Raises a MeshcliError in place of what `to_user_error` explains; other exceptions are bugs and pass unchanged.
    """
    run, record = _start(project, manifest, task, run_options), _running_record(manifest, task)
    start = time.perf_counter()
    try:
        with memory_reserve():
            run.save(manifest.claiming(task.files).with_record(task.stage, record))
            yield run
            run.seconds["total"] = round(time.perf_counter() - start, 3)
            run.save(_without_unwritten(project, run.manifest.with_record(task.stage, _done_record(run, record))))
    except Exception as error:
        known = _fail(run, record, error)
        if known is error:
            raise
        raise known from error


def to_user_error(error: BaseException, where: Path | str) -> MeshcliError | None:
    """The one-line error for a lack of memory or disk space, or for missing permissions; None for a bug.

    `where` is the path to name when the error has none.
    """
    if isinstance(error, MeshcliError):
        return error
    if is_out_of_memory(error):
        return ResourceError("memory ran out; make room and type the same command again")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return DiskFullError(f"the disk of {where} is full; free some space and type the same command again")
    if isinstance(error, OSError) and error.errno in NOT_ALLOWED:
        return ProjectError(f"{error.filename or where} cannot be used: {error.strerror}")
    return None


def utc_timestamp() -> str:
    """The current time as records state it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason_to_run(project: Project, manifest: Manifest, task: ResolvedTask) -> str:
    """Why a stage must run; empty when it need not."""
    record = manifest.stages.get(task.stage)
    if record is None:
        return "not run yet"
    if record.status != "done":
        unfinished = str(record.facts.get(PAUSED) or "it was interrupted")
        return f"it failed: {record.error}" if record.status == "failed" else unfinished
    missing = missing_files(project, record)
    return why_stale(manifest, record.inputs, task.inputs) or (why_missing(missing) if missing else "")


def _start(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> StageRun:
    before = manifest.stages.get(task.stage)
    return StageRun(
        project, manifest, task, run_options, previously_done=before is not None and before.status == "done"
    )


def _running_record(manifest: Manifest, task: ResolvedTask) -> StageRecord:
    before = manifest.stages.get(task.stage)
    return StageRecord(
        "running", task.engine, task.options, outputs=before.outputs if before else (), started=utc_timestamp(),
        tries=1 + (before.tries if before and before.status != "done" else 0),
        requested_digest=task.requested, reduced_settings=task.reduced, next_reduction=task.next_reduced,
        settings=task.settings,
    )  # fmt: skip


def _done_record(run: StageRun, record: StageRecord) -> StageRecord:
    if run.paused:
        return _paused_record(run, record)
    outputs = tuple(sorted(run.outputs, key=lambda output: output.file))
    return replace(
        record, status="done", inputs=run.task.inputs, outputs=outputs, facts={**_facts(run), **run.facts},
        finished=utc_timestamp(), next_reduction={},
    )  # fmt: skip


def _paused_record(run: StageRun, record: StageRecord) -> StageRecord:
    """The record of a stage that paused: what earlier runs wrote is listed as before."""
    files = {output.file: output for output in (*record.outputs, *run.outputs)}
    outputs = tuple(files[file] for file in sorted(files) if os.path.lexists(run.project.root / file))
    return replace(
        record, inputs=run.task.inputs, outputs=outputs, facts={**_facts(run), **run.facts, PAUSED: run.paused},
        finished=utc_timestamp(),
    )  # fmt: skip


def _without_unwritten(project: Project, manifest: Manifest) -> Manifest:
    """The manifest without the files that it claimed and that were not written."""
    left = manifest.unlisted - manifest.listed_files
    return replace(manifest, unlisted=frozenset(file for file in left if os.path.lexists(project.root / file)))


def _fail(run: StageRun, record: StageRecord, error: Exception) -> Exception:
    """Save a failed record; the error to raise, which is `error` itself when there is nothing to add."""
    out_of_memory = is_out_of_memory(error)
    if out_of_memory:
        clear_failed_frames(error)  # the record is yet to be written
    known = to_user_error(error, run.project.root)
    reduce_more = out_of_memory and isinstance(known, ResourceError)
    failed = replace(
        record,
        status="failed",
        error="memory ran out" if out_of_memory else str(known or repr(error)),
        facts=_facts(run),
        finished=utc_timestamp(),
        reduced_settings=record.reduced_settings | record.next_reduction if reduce_more else record.reduced_settings,
        next_reduction={},
    )
    with suppress(OSError):  # a full disk may refuse this too; the running record then reads as interrupted
        run.save(run.manifest.with_record(run.task.stage, failed))
    if known is None or known is error:
        return error
    return _name_next_settings(run.task) if out_of_memory else known


def _name_next_settings(task: ResolvedTask) -> ResourceError:
    """The error for a lack of memory: which settings the same command takes next."""
    if not task.next_reduced:
        return ResourceError(f"memory ran out in {task.stage}, and there is no smaller setting left to try")
    smaller = assignments(task.next_reduced)
    return ResourceError(f"memory ran out in {task.stage}; the same command will now take {smaller}")


def _facts(run: StageRun) -> dict[str, Any]:
    """What every record states about its run."""
    return {
        "seconds": run.seconds,
        "notes": run.notes,
        "peak_rss": peak_rss(),
        "device": "cpu",
        "seed": run.task.options.get("seed", 0),
        "versions": {"meshcli": __version__, "python": sys.version.split()[0], **_library_versions()},
    }


@lru_cache(maxsize=1)  # a worker's do not change
def _library_versions() -> dict[str, str]:
    """Versions of the installed libraries."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in RECORDED_LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found

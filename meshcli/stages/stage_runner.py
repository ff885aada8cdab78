"""How every stage runs: fingerprint, record, steps, failure. Light: no numpy.

A stage takes the lock, builds a Task, leaves early when nothing changed, and else does its work inside `working`,
which writes a `running` record first and a `done` or `failed` one last. A process that was killed leaves the `running`
record behind: with nobody holding the lock it reads as interrupted.
"""

import errno
import reprlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli import __version__
from meshcli.config import override
from meshcli.errors import MeshcliError, ProjectError, ResourceError, UsageError
from meshcli.out_of_memory import OOM_KILLER_SIGNAL, clear_failed_frames, is_out_of_memory
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.project.manifest import Manifest, Output, Record, Stage
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.photo_validation import LeftOutPhoto
from meshcli.system.digests import difference, digest
from meshcli.system.memory_check import check_room, spare_room

if TYPE_CHECKING:
    from meshcli.pictures.pixels import Pixels

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers",
    "numpy",
    "numba",
    "scipy",
    "scikit-image",
    "trimesh",
    "embreex",
    "xatlas",
    "fast-simplification",
)
SMALLER_WORDS = ("zero123plus.vram", "zero123plus.dtype")  # settings that are no numbers
FLOOR = 64  # what numbers never need to be made smaller than
ENDED = "ended"  # the fact of a record that says by which signal its process was ended
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Somebody put a folder where a file belongs, a file where a folder, a link, or forbade it.
NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL, errno.EIO),
)


@dataclass(frozen=True)
class RunOptions:
    """How a stage is run, as opposed to what it makes."""

    force: bool = False  # run although nothing changed, and with the full settings although memory ran out
    wait: bool = False  # for somebody else who is writing
    offline: bool = False  # touch no network
    device: str = "auto"  # where networks compute: auto, cpu, cuda, cuda:1 or mps
    weights: Path | None = None  # of networks, where not in one of the usual places
    progress: Progress = silent
    tell: Tell = unheard
    show: "Callable[[str, Pixels], None] | None" = None  # looks at unfinished pictures (H, W, 3)
    complain: Tell = unheard  # hears what is wrong with something that is left out
    keep_going: bool = False  # leave out photos that cannot be used
    flags: Sequence[str] = ()  # typed, that only some engines have a use for
    dry: bool = False  # only find out whether there is anything to do, and why


@dataclass(frozen=True)
class ResolvedTask:
    """One run of a stage, resolved."""

    stage: Stage
    engine: str
    options: dict[str, Any]  # section -> key -> value, and the seed
    inputs: dict[str, str]  # the fingerprint, part by part
    asked: str = ""
    smaller: dict[str, Any] = field(default_factory=dict)
    fallback: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of calling a stage."""

    stage: Stage
    record: Record
    skipped: str = ""  # the reason when there was nothing to do
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOutPhoto, ...] = ()  # photos that cannot be used
    planned: str = ""  # the reason why it would run, when that was all that was asked


@dataclass
class StageRun:
    """A stage at work: where it puts what it makes and measures."""

    project: Project
    manifest: Manifest
    task: ResolvedTask
    run_options: RunOptions
    outputs: list[Output] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = False  # the run before came to its end, so that every file was as its record says

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a part of the work."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write artefacts, together and atomically; what somebody edited by hand is replaced, and that is said."""
        before = {output.file: output.sha256 for output in self.manifest.stages[self.task.stage].outputs}
        for file in files:
            if self.complete and before.get(file) and self.project.digest(file) not in ("missing", before[file]):
                self.note(f"{file} had been edited by hand and is made anew")
        self.outputs += self.project.write(files)

    def note(self, sentence: str) -> None:
        """Something the user should know about the result."""
        self.notes.append(sentence)
        self.run_options.tell(sentence)

    def save(self, manifest: Manifest) -> None:
        """Keep what is finished so far."""
        self.manifest = manifest
        self.project.save(manifest)

    def outcome(self) -> Outcome:
        """After the work."""
        return Outcome(self.task.stage, self.manifest.stages[self.task.stage], "", tuple(self.notes))


def with_reduced_settings(
    record: Record | None, engine: str, settings: Settings, options: Mapping[str, Any], run_options: RunOptions
) -> tuple[Settings, str, dict[str, Any]]:
    """The settings to use, the digest of those asked for, and what was made smaller.

    When this very command ran out of memory before, it takes the smaller settings that its record keeps; once it has
    succeeded with them, they stay, so that calling it again finds nothing to do. `--force` tries the full ones.
    """
    asked = digest({"engine": engine, "options": options})
    if not record or record.asked != asked or not record.smaller or run_options.force:
        return settings, asked, {}
    if record.status != "done":
        taken = ", ".join(f"{key}={value}" for key, value in record.smaller.items())
        perhaps = "perhaps " if record.facts.get(ENDED, OOM_KILLER_SIGNAL.name) != OOM_KILLER_SIGNAL.name else ""
        run_options.tell(f"{perhaps}memory ran out the last time, taking smaller settings: {taken}")
    return _taken(settings, record.smaller), asked, record.smaller


def _taken(settings: Settings, smaller: Mapping[str, Any]) -> Settings:
    """With the smaller ones; ProjectError where a manifest from elsewhere would change or enlarge something else."""
    try:
        taken = override(settings, smaller, "smaller")
    except UsageError as error:
        raise ProjectError(f"manifest.json: {error}") from error
    for key in smaller:
        section, _, name = key.partition(".")
        before, now = (vars(getattr(each, section)).get(name) for each in (settings, taken))
        numbers = [max(value) if isinstance(value, tuple) and value else value for value in (before, now)]
        if key not in SMALLER_WORDS and not (
            all(isinstance(value, int) for value in numbers) and 0 < numbers[1] <= max(numbers[0], FLOOR)
        ):
            raise ProjectError(f"manifest.json: smaller: {key}={reprlib.repr(smaller[key])} is not smaller")
    return taken


def entering(project: Project, run_options: RunOptions, new: bool = False) -> AbstractContextManager[None]:
    """Be the only writer, or nobody who writes at all."""
    return nullcontext() if run_options.dry else project.writing(run_options.wait, run_options.tell, new)


def unchanged(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> Outcome | None:
    """The outcome when the stage is done, for the same inputs, and its files are there; None when it must run.

    With `how.dry` it never runs: the outcome says why it would.
    """
    record = manifest.stages.get(task.stage)
    reason = "--force" if run_options.force else _why(project, record, task)
    if record and not reason:
        return Outcome(task.stage, record, f"unchanged since {record.finished}")
    if run_options.dry:
        if record and record.status == "running" and project.busy():
            reason = "somebody is at it now"
        return Outcome(task.stage, Record("running", task.engine, task.options), planned=reason)
    return None


def _why(project: Project, record: Record | None, task: ResolvedTask) -> str:
    """Why a stage must run; empty when it need not."""
    if record is None:
        return "not run yet"
    if record.status != "done":
        return f"it failed: {record.error}" if record.status == "failed" else "it was interrupted"
    gone = missing_files(project, record)
    return difference(record.inputs, task.inputs) or (f"{gone[0]} is gone" if gone else "")


def missing_files(project: Project, record: Record) -> list[str]:
    """Outputs of a record that are not there any more."""
    return [output.file for output in record.outputs if not project.path(output.file).is_file()]


def ensure_room(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> None:
    """Before the libraries of an engine are loaded: a failed record and ResourceError when they do not fit."""
    try:
        check_room(task.engine)
    except MemoryError:
        with recording(project, manifest, task, run_options):
            raise


@contextmanager
def recording(project: Project, manifest: Manifest, task: ResolvedTask, run_options: RunOptions) -> Iterator[StageRun]:
    """Run a stage; the caller holds the lock. What it made before stays listed until it is done again."""
    before = manifest.stages.get(task.stage)
    record = Record(
        "running",
        task.engine,
        task.options,
        outputs=before.outputs if before else (),
        started=now(),
        asked=task.asked,
        smaller=task.smaller,
        fallback=task.fallback,
    )
    run = StageRun(project, manifest, task, run_options, complete=before is not None and before.status == "done")
    start = time.perf_counter()
    try:
        with spare_room():
            run.save(manifest.with_record(task.stage, record))
            yield run
            run.seconds["total"] = round(time.perf_counter() - start, 3)
            facts = {**_facts(task, run), **run.facts}
            outputs = tuple(sorted(run.outputs, key=lambda output: output.file))
            done = replace(
                record,
                status="done",
                inputs=run.task.inputs,
                outputs=outputs,
                facts=facts,
                finished=now(),
                fallback={},
            )
            run.save(run.manifest.with_record(task.stage, done))
    except Exception as error:
        if is_out_of_memory(error):
            clear_failed_frames(error)
        known = explained(error, project.root)
        ran_out = isinstance(known, ResourceError) and is_out_of_memory(error)
        smaller = task.smaller | task.fallback if ran_out else task.smaller
        said = "memory ran out" if is_out_of_memory(error) else str(known or repr(error))
        failed = replace(
            record, status="failed", error=said, facts=_facts(task, run), finished=now(),
            smaller=smaller, fallback={},
        )  # fmt: skip
        with suppress(OSError):  # a full disk may refuse this too; the running record then reads as interrupted
            run.save(run.manifest.with_record(task.stage, failed))
        if known is None or known is error:
            raise
        raise _with_advice(known, task, error) from error


def explained(error: BaseException, where: Path | str) -> MeshcliError | None:
    """The one-line error for what the machine or the disk refused; None when it is a bug."""
    if isinstance(error, MeshcliError):
        return error
    if is_out_of_memory(error):
        return ResourceError("memory ran out; make room and type the same command again")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return ResourceError(f"the disk of {where} is full; free some space and type the same command again")
    if isinstance(error, OSError) and error.errno in NOT_ALLOWED:
        return ProjectError(f"{error.filename or where} cannot be used: {error.strerror}")
    return None


def _with_advice(known: MeshcliError, task: ResolvedTask, error: BaseException) -> MeshcliError:
    if not is_out_of_memory(error):
        return known
    if not task.fallback:
        return ResourceError(f"memory ran out in {task.stage}, and there is no smaller setting left to try")
    smaller = ", ".join(f"{key}={value}" for key, value in task.fallback.items())
    return ResourceError(f"memory ran out in {task.stage}; the same command will now take {smaller}")


def peak_rss() -> int:
    """The most memory that this process has had so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _facts(task: ResolvedTask, run: StageRun) -> dict[str, Any]:
    return {
        "seconds": run.seconds,
        "peak_rss": peak_rss(),
        "device": "cpu",
        "seed": task.options.get("seed", 0),
        "versions": {"meshcli": __version__, "python": sys.version.split()[0], **_versions()},
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def now() -> str:
    """As records state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""What a batch hands to its workers and gets back: strings and numbers, which any process can send. Light: no numpy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from meshcli.errors import ResourceError
from meshcli.project.manifest import STAGES, Stage

MAX_TRIES = 3  # of a stage that runs out of memory, each with smaller settings, or whose worker is lost
BUG = 1  # exit code of a stage whose code failed
# Flags whose value may be a file or folder, which is then an input as photos are.
PATH_FLAGS = ("--config", "--rig", "--weights", "--unet", "--from-mesh", "--from-views", "--from-sheet")
NEEDS_WORD = "--set=needs."  # how the words begin that say what stages need; no result depends on them
# How many threads libraries may start; they read it once, when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class BatchObject:
    """One object of a list, as it would be run by `meshcli run PROJECT WORDS`."""

    name: str
    project: Path  # its project directory
    words: tuple[str, ...] = ()  # photos and flags, as typed after the directory
    stages: tuple[Stage, ...] = STAGES
    line: int = 0  # in the list, from 1 on; 0 where it is no line
    storage: str = ""  # the URL of the folder of projects, where that lies in storage; `project` is a copy then
    driver: str = ""  # who claims projects there: a name that no other call of a batch has
    new: bool = False  # in storage: there was no project when the batch was planned
    stamps: tuple[str, ...] = ()  # of photos in storage: size and version when the list was read

    @property
    def place(self) -> str:
        """Where the project is, for people: a path or a URL."""
        return f"{self.storage}/{self.name}" if self.storage else str(self.project)


@dataclass(frozen=True)
class StageStarted:
    """A worker began a stage."""

    name: str  # of the object
    stage: Stage


@dataclass(frozen=True)
class StageResult:
    """How a stage of an object ended."""

    name: str  # of the object
    stage: Stage
    exit_code: int = 0  # as `meshcli run` would exit
    seconds: float = 0.0  # by the clock
    peak_bytes: int = 0  # largest resident memory of the stage; 0 where it did not run
    error: str = ""  # one line; empty if it ended well
    skipped: bool = False  # it was done already
    tries: int = 0  # of this stage since it was last done; 0 where it did not run
    locked: bool = False  # another process works on the project: nothing was done, and it is no failure
    disk_full: bool = False

    @property
    def failed(self) -> bool:
        """Whether the object cannot go on."""
        return self.exit_code != 0

    @property
    def spoils_worker(self) -> bool:
        """Whether nobody knows what it left behind in its process: memory ran out, or its code failed."""
        return self.exit_code in (BUG, ResourceError.exit_code)


Report = Callable[[StageStarted | StageResult], None]


class Runner(Protocol):
    """Spreads the stages of objects over workers."""

    def run(self, objects: Iterable[BatchObject], report: Report) -> None:
        """Run all stages of all objects, and report each as it begins and ends.

        A stage that fails ends its object, not the batch. Raises MeshcliError where nothing can be run at all.
        """

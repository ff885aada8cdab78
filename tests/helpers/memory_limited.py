"""Stages under a memory limit: the commands, and their outcomes.

The calls go through limited_meshcli.py, which sets the limit.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from helpers.cli_processes import error_lines
from helpers.paths import EXAMPLE

TIMEOUT = 600  # seconds
MAX_CALLS = 9
LIMITED_MESHCLI = Path(__file__).parent / "limited_meshcli.py"
PHOTO = str(EXAMPLE / "1.png")
QUICK = ["--config", "quick", "--seed", "3"]
SMALL = ["--grid", "96", "--no-texture", "--faces", "1000"]
TINY = ["--set", "zero123plus.view_size=64", "--set", "zero123plus.steps=2", "--unet", "original", "--dtype", "fp32"]


@dataclass(frozen=True)
class Case:
    """One stage with one engine."""

    name: str
    stage: str
    engine: tuple[str, ...]
    words: tuple[str, ...]


CASES = [
    Case("sculpt", "generate", ("--engine", "sculpt"), (PHOTO, *QUICK, "--set", "fit.resolutions=[24,44]")),
    Case("zero123plus", "generate", ("--engine", "zero123plus"), (PHOTO, "--device", "cpu", *TINY)),
    Case("fit", "reconstruct", ("--engine", "fit"), (*QUICK, "--set", "fit.resolutions=[24,44]")),
    Case("lrm", "reconstruct", ("--engine", "instant-mesh-large"), ("--device", "cpu", *QUICK, *SMALL)),
    Case("render", "render", (), (*QUICK[:2], "--size", "160")),
]


@dataclass(frozen=True)
class Attempt:
    """The outcome of one call."""

    code: int  # negative: a signal
    said: str
    status: str  # of the record, empty without one
    smaller: dict[str, object]

    @property
    def error(self) -> str:
        """The first error line."""
        return next(iter(error_lines(self.said)), "")

    @property
    def last(self) -> bool:
        """Whether it succeeded or no smaller setting is left to try."""
        return self.code == 0 or "no smaller setting left" in self.error

    def faults(self) -> list[str]:
        """Violations of what a call under a memory limit promises."""
        if self.code == 0:
            return [] if self.status == "done" else [f"exit 0 and a record that is {self.status or 'missing'}"]
        found = [] if self.code == 75 else [f"exit {self.code}"]
        found += [] if self.status == "failed" else [f"a record that is {self.status or 'missing'}"]
        found += [] if len(error_lines(self.said)) == 1 and "Traceback" not in self.said else ["not one line"]
        promised = "the same command will now take" in self.error
        return found + ([] if promised or self.last else ["no smaller setting, and no end"])


def prepare(folder: Path) -> Path:
    """Make a finished project and weights of tiny networks in a folder, and return it."""
    from helpers import tiny_lrm, tiny_zero123plus

    tiny_lrm.write_weights(folder / "ckpts")
    tiny_zero123plus.write(folder / "ckpts" / "zero123plus-v1.2")
    for words in (
        ["generate", *CASES[0].engine, *CASES[0].words],
        ["select", "--auto"],
        ["reconstruct", *CASES[2].words],
    ):
        line = [sys.executable, "-m", "meshcli", words[0], str(folder / "whole"), *words[1:]]
        subprocess.run(line, check=True, capture_output=True)
    return folder


def start(folder: Path, case: Case, name: str) -> Path:
    """A copy of the project in which the case's stage comes next."""
    project = folder / name
    shutil.rmtree(project, ignore_errors=True)
    if case.stage != "generate":
        shutil.copytree(folder / "whole", project)
        manifest = json.loads((project / "manifest.json").read_text())
        record = manifest["stages"].pop(case.stage, {})
        manifest["unlisted"] += [output["file"] for output in record.get("outputs", [])]  # they stay the project's own
        (project / "manifest.json").write_text(json.dumps(manifest))
    return project


def attempt(folder: Path, project: Path, case: Case, megabytes: int) -> Attempt:
    """Call the stage once under a limit."""
    line = [sys.executable, str(LIMITED_MESHCLI), str(megabytes), case.stage, str(project), *case.engine, *case.words]
    environment = {**os.environ, "MESHCLI_CKPTS": str(folder / "ckpts"), "OMP_NUM_THREADS": "1"}
    try:
        run = subprocess.run(
            line,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
        code, said = run.returncode, run.stderr
    except subprocess.TimeoutExpired:
        code, said = 999, "error: it did not end"
    try:
        record = json.loads((project / "manifest.json").read_text())["stages"].get(case.stage, {})
    except FileNotFoundError:
        record = {}
    return Attempt(code, said, record.get("status", ""), record.get("smaller", {}))


def attempts(folder: Path, project: Path, case: Case, megabytes: int) -> list[Attempt]:
    """Repeat the command under a limit until it succeeds or gives up, as a shell loop does."""
    found = [attempt(folder, project, case, megabytes)]
    while not found[-1].last and found[-1].code == 75 and len(found) < MAX_CALLS:
        found.append(attempt(folder, project, case, megabytes))
    return found

"""Run `meshcli run` on many objects and look for leftovers: python tests/bench/many.py [--count N] [--real N].

The first objects use the real engines at their smallest settings, the others those of tests/helpers/fake_engines.py.
After each call nothing may be left behind: no process, no temporary file, none in the project that a finished one does
not have. What is kept between calls (machine code beside the package or in the home directory, the caches of libraries)
may not grow after the first call of each kind. Prints how much is kept; exits with 1 if anything was left or grew. No
other process may use this copy of the package meanwhile.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from kills import PHOTO, SETTINGS

REPOSITORY = Path(__file__).resolve().parents[2]
FAKES = REPOSITORY / "tests" / "helpers" / "fake_engines.py"
TOKEN = "MESHCLI_MANY"  # noqa: S105  # marks the processes of one loop
FAREWELL = 60.0  # seconds, on a busy machine too
HOMES = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NUMBA_CACHE_DIR", "U2NET_HOME", "HF_HOME")


@dataclass
class Loop:
    """What there was after each call."""

    folder: Path
    package: bool = False  # whether to look at what is kept beside the package too, where others may write
    faults: list[str] = field(default_factory=list)
    kept: dict[str, int] | None = None  # file -> bytes; None before the first call of a kind
    files: dict[bool, set[str]] = field(default_factory=dict)  # of a finished project, by whether its engines are real

    def call(self, number: int, real: bool) -> None:
        """One object."""
        place = self.folder / "objects" / f"{number:02}"
        place.mkdir(parents=True)
        shutil.copy(PHOTO, place / "photo.png")
        start = [sys.executable, *(["-m", "meshcli"] if real else [str(FAKES)])]
        words = ["run", "desk", "photo.png", "--config", "quick", *(f"--set={setting}" for setting in SETTINGS)]
        code = subprocess.run([*start, *words], cwd=place, env=self.environment, capture_output=True, check=False)
        if code.returncode:
            self.faults.append(f"{number}: exit {code.returncode}: {code.stderr.decode()[-300:]}")
        if left := self.processes():
            self.faults.append(f"{number}: processes {left} are left")
        self.compare(number, real, place)

    def compare(self, number: int, real: bool, place: Path) -> None:
        """What is there now with what was there before."""
        if left := sizes(self.folder / "tmp"):
            self.faults.append(f"{number}: temporary files are left: {sorted(left)}")
        files = set(sizes(place))
        if odd := files ^ self.files.setdefault(real, files):
            self.faults.append(f"{number}: {sorted(odd)} are not in every project")
        self.faults += [
            f"{number}: {file} is left" for file in files if "/.tmp-" in file or file.endswith("unfinished")
        ]
        kept = {f"{folder.name}/{file}": size for folder in self.watched for file, size in sizes(folder).items()}
        before = kept if self.kept is None else self.kept
        if more := {file for file in kept if kept[file] != before.get(file)}:
            self.faults.append(f"{number}: caches grew: {sorted(more)}")
        self.kept = kept

    @property
    def watched(self) -> list[Path]:
        """Where something may be kept."""
        return [self.folder / "home", *([REPOSITORY / "meshcli"] if self.package else [])]

    @property
    def environment(self) -> dict[str, str]:
        """A home and a directory for temporary files of its own."""
        plain = {name: value for name, value in os.environ.items() if name not in HOMES}
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), TOKEN: self.folder.name}
        return plain | own | {"PYTHONPATH": str(REPOSITORY)}

    def processes(self) -> list[int]:
        """Those of this loop that do not go away."""
        end = time.monotonic() + FAREWELL
        while (found := marked(self.folder.name)) and time.monotonic() < end:
            time.sleep(0.1)
        return found


def main() -> None:
    """The loop, and what it left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--real", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = loop(Path(folder, secrets.token_hex(8)), arguments.count, arguments.real, package=True)
        home = sum(sizes(done.folder / "home").values())
    print(
        f"{arguments.count} objects, {arguments.real} of them with the real engines; {home} bytes in the home directory"
    )
    print(f"{len(done.faults)} faults", *done.faults, sep="\n")
    sys.exit(bool(done.faults))


def loop(folder: Path, count: int, real: int, package: bool = False) -> Loop:
    """Call `run` for all objects; the first of each kind may fill caches."""
    done = Loop(folder, package)
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        if number in (0, real):
            done.kept = None
        done.call(number, number < real)
    return done


def sizes(folder: Path) -> dict[str, int]:
    """The files below a directory and their bytes."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def marked(token: str) -> list[int]:
    """Processes whose environment has the token."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{TOKEN}={token}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()

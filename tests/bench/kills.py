"""Kill `meshcli run` at random moments, repeat it and compare the files: python tests/bench/kills.py [--kills N].

Real engines, `--config quick` with the still smaller SETTINGS below, each time in a new project. The moment is drawn
uniformly over the time of an undisturbed run; the signal is SIGKILL, SIGTERM or SIGINT in turn, sent to `run` alone and
to its process group in turn. Afterwards the children must be gone, the manifest must be readable, and the same command
must end with exit code 0 and leave the files of an undisturbed run, byte for byte, and nothing else: no temporary file,
no process, no held lock. The video is left out: its bytes are not guaranteed. Exits with 1 on any difference, and keeps
the project that shows it.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from meshcli.errors import MeshcliError
from meshcli.project.manifest import STAGES
from meshcli.project.project import Project
from meshcli.stages.status import read_status
from meshcli.system.digests import file_digest

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "desk" / "1.png"
SETTINGS = (
    "sculpt.view_size=64", "sculpt.relief=48", "sculpt.resolution=24", "fit.resolutions=[16,24]", "fit.steps=[8,8]",
    "fit.rays=1000", "texture.faces=300", "texture.size=64", "render.size=64", "render.frames=3",
)  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FAREWELL = 60.0  # seconds that children get to notice that their parent is gone, on a busy machine too
WITHIN = 600.0  # seconds that a run may take
POLL = 0.05  # seconds
NOT_RESULTS = ("manifest.json", ".lock", "log.txt", "log.1.txt")  # with times, or of no content


@dataclass(frozen=True)
class Blow:
    """One interruption."""

    number: signal.Signals
    group: bool  # the whole process group, as Ctrl-C in a terminal, instead of `run` alone
    after: float  # seconds


@dataclass
class Result:
    """What came of one."""

    blow: Blow
    stage: str = ""  # at work when it fell
    code: int = 0  # of the run that was hit
    farewell: float = 0.0  # seconds until all children were gone
    mesh: bool = False  # identical
    rest: bool = False
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """Print the tables; 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1, help="projects at the same time")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    start = time.monotonic()
    command = command_of(SETTINGS)
    seconds, reference = undisturbed(folder, command)
    blows = draw(arguments.kills, arguments.seed, seconds)
    results = []
    for result in strike_all(folder, command, blows, reference, arguments.jobs):
        results.append(result)
        told = "; ".join(result.faults) or "identical"
        print(f"{len(results)} {result.blow} {result.stage} {result.code}: {told}", file=sys.stderr, flush=True)
    print(f"{arguments.kills} kills, seed {arguments.seed}, an undisturbed run took {seconds:.1f} s")
    print(f"settings: --config quick --set {' --set '.join(SETTINGS)}\n")
    report(results)
    print(f"\n{time.monotonic() - start:.0f} seconds in all")
    broken = any(result.faults for result in results)
    if not broken:
        shutil.rmtree(folder)
    return int(broken)


def command_of(settings: Sequence[str]) -> list[str]:
    """The command line, for a project named desk in the working directory."""
    words = ["run", "desk", str(PHOTO), "--config=quick", "--generator=sculpt", "--reconstructor=fit", "--quiet"]
    return [sys.executable, "-m", "meshcli", *words, *(f"--set={setting}" for setting in settings)]


def undisturbed(folder: Path, command: Sequence[str]) -> tuple[float, dict[str, str]]:
    """The seconds that a run takes, with everything compiled, and the files that it leaves."""
    taken, files = 0.0, []
    for name in ("first", "second"):
        home = folder / name
        home.mkdir()
        start = time.monotonic()
        subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=WITHIN)
        taken = time.monotonic() - start
        files.append(files_of(home / "desk"))
    if files[0] != files[1]:
        raise SystemExit(f"two undisturbed runs differ: {differences(*files)}")
    return taken, files[1]


def draw(count: int, seed: int, seconds: float) -> list[Blow]:
    """Interruptions at random moments of a run of so many seconds, of each kind in turn."""
    moments = random.Random(seed)  # noqa: S311
    kinds = [(number, group) for group in (False, True) for number in SIGNALS]
    return [Blow(*kinds[index % len(kinds)], moments.uniform(0.0, seconds)) for index in range(count)]


def strike_all(
    folder: Path, command: Sequence[str], blows: Sequence[Blow], reference: dict[str, str], jobs: int = 1
) -> Iterator[Result]:
    """Every interruption in a project of its own, which is deleted when nothing is wrong with it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a job in the background would hand on that it is ignored
        signal.signal(number, signal.default_int_handler)

    def one(index: int) -> Result:
        home = folder / str(index)
        (home / "tmp").mkdir(parents=True)
        result = strike(home, command, blows[index], reference)
        if not result.faults:
            shutil.rmtree(home)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, range(len(blows)))


def strike(home: Path, command: Sequence[str], blow: Blow, reference: dict[str, str]) -> Result:
    """Interrupt the command once, let it end, and look at everything that is left."""
    result = Result(blow)
    project = Project(home / "desk")
    process = _start(home, command)
    time.sleep(blow.after)
    if process.poll() is None:
        (os.killpg if blow.group else os.kill)(process.pid, blow.number)
    result.farewell = _wait_for_all(process, home)
    if result.farewell >= FAREWELL:
        result.faults.append("children live on")
    said = _last_words(process, home)
    result.code = process.returncode
    if result.code not in (0, -blow.number, 128 + blow.number):
        result.faults.append(f"exit code {result.code}: {said}")
    # Python itself, which is still starting, answers Ctrl-C with this; later it is an exception of ours.
    if "Traceback" in said and ("KeyboardInterrupt" not in said or project.exists):
        result.faults.append(f"a traceback: {said}")
    try:
        result.stage = _stage(project)
    except MeshcliError as error:
        result.faults.append(f"damaged: {error}")
    again = _start(home, command)
    gone = _wait_for_all(again, home, WITHIN)
    said = _last_words(again, home)
    if again.returncode or gone >= WITHIN:
        result.faults.append(f"the same command ended with {again.returncode}: {said}")
        return result
    _compare(result, project, reference)
    return result


def files_of(root: Path) -> dict[str, str]:
    """Every file of a finished project but its manifest, lock, log and film, with its sha256."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".mp4"]
    names = {path: path.relative_to(root).as_posix() for path in paths}
    return {name: file_digest(path) for path, name in names.items() if name not in NOT_RESULTS}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Names of files that are not the same in both."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def report(results: Sequence[Result]) -> None:
    """Two tables: by the stage that was hit, and by the signal."""
    print("| at work when it fell | kills | mesh/ identical | all files identical | with any fault |")
    print("|---|---|---|---|---|")
    for stage in ("nothing yet", *STAGES, "between stages", "nothing any more"):
        print(_row(stage, [result for result in results if result.stage == stage]))
    print(_row("sum", results))
    print("\n| signal | to | kills | exit codes | longest farewell |\n|---|---|---|---|---|")
    for number in SIGNALS:
        for group in (False, True):
            hit = [result for result in results if (result.blow.number, result.blow.group) == (number, group)]
            codes = ", ".join(f"{code}: {sum(r.code == code for r in hit)}" for code in sorted({r.code for r in hit}))
            longest = max((result.farewell for result in hit), default=0.0)
            print(f"| {number.name} | {'group' if group else 'run'} | {len(hit)} | {codes} | {longest:.1f} s |")


def _row(name: str, results: Sequence[Result]) -> str:
    mesh, rest = sum(result.mesh for result in results), sum(result.mesh and result.rest for result in results)
    return f"| {name} | {len(results)} | {mesh} | {rest} | {sum(bool(result.faults) for result in results)} |"


def _start(home: Path, command: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, cwd=home, env={**os.environ, "TMPDIR": str(home / "tmp")}, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _wait_for_all(process: "subprocess.Popen[str]", home: Path, within: float = FAREWELL) -> float:
    """Seconds until neither a process nor anybody whom it started is left."""
    start = time.monotonic()
    while time.monotonic() - start < within:
        if process.poll() is not None and not _family(home):
            break
        time.sleep(POLL)
    return time.monotonic() - start


def _last_words(process: "subprocess.Popen[str]", home: Path) -> str:
    """What it said on stderr, which has an end when everybody who holds it has one."""
    for member in _family(home):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    return str(process.communicate()[1])


def _family(home: Path) -> list[int]:
    """The living processes that have inherited the place for temporary files, ffmpeg in a session of its own too."""
    members, mark = [], f"TMPDIR={home / 'tmp'}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):  # empty once it has ended
                members.append(int(path.parent.name))
        except OSError:  # gone in the meantime, or somebody else's
            continue
    return members


def _stage(project: Project) -> str:
    """Which stage was at work, by the manifest, which has to be readable."""
    if not project.exists:
        return "nothing yet"
    records = project.load().stages
    for stage in STAGES:
        if stage in records and records[stage].status == "running":
            return stage
    return "nothing any more" if "render" in records else "between stages"


def _compare(result: Result, project: Project, reference: dict[str, str]) -> None:
    found = differences(reference, files_of(project.root))
    result.mesh = not any(name.startswith("mesh/") for name in found)
    result.rest = not any(not name.startswith("mesh/") for name in found)
    if found:
        result.faults.append(f"not as after an undisturbed run: {', '.join(found)}")
    if unfinished := [status.stage for status in read_status(project).stages if status.state != "done"]:
        result.faults.append(f"not done: {', '.join(unfinished)}")
    if project.is_locked():
        result.faults.append("the lock is held")
    if left := [*project.root.rglob(".tmp*"), *(project.root.parent / "tmp").iterdir()]:
        result.faults.append(f"left behind: {', '.join(map(str, left))}")


if __name__ == "__main__":
    sys.exit(main())

"""Batches on this machine with fake engines: workers, queues, deaths, locks, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from meshcli.batch.local import LocalRunner
from meshcli.batch.machine import Machine
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.project.manifest import STAGES
from meshcli.project.project import Project

HELPERS = Path(__file__).parents[1] / "helpers"
WORKER = (sys.executable, str(HELPERS / "fake_worker.py"))
SMALL = ("--azimuth=0,40,-50", "--set=texture.size=64", "--set=render.size=64", "--set=render.frames=3")
ENGINES = ("--generator=sculpt", "--reconstructor=fit")


@dataclass
class Heard:
    """What a runner reports."""

    started: list[StageStarted] = field(default_factory=list)
    results: list[StageResult] = field(default_factory=list)

    def __call__(self, said: StageStarted | StageResult) -> None:
        (self.started if isinstance(said, StageStarted) else self.results).append(said)  # type: ignore[arg-type]

    def of(self, name: str) -> list[StageResult]:
        return [result for result in self.results if result.name == name]


def listed(folder: Path, photos: list[Path], *names: str) -> list[BatchObject]:
    return [BatchObject(name, folder / name, (*map(str, photos), *SMALL, *ENGINES)) for name in names]


def runner(cores: int = 2, **changes: Any) -> LocalRunner:
    return LocalRunner(Machine(cores, 8 * 2**30), command=WORKER, **changes)


def made(objects: list[BatchObject], **changes: Any) -> Heard:
    heard = Heard()
    runner(**changes).run(objects, heard)
    return heard


def done(item: BatchObject) -> bool:
    records = Project(item.project).load().stages
    return all(records[stage].status == "done" for stage in STAGES)


def timeless(item: BatchObject) -> Any:
    """A manifest without times, memory, and the tries, which count the runs that were cut off."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            left_out = {"started", "finished", "seconds", "peak_rss"}
            return {key: strip(each) for key, each in value.items() if key not in left_out}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return strip(json.loads((item.project / "manifest.json").read_text()))


def artefacts(item: BatchObject) -> dict[str, bytes]:
    own = ("manifest.json", "log.txt", ".lock")
    files = [path for path in sorted(item.project.rglob("*")) if path.is_file() and path.name not in own]
    return {str(path.relative_to(item.project)): path.read_bytes() for path in files}


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow  # the parts of it are in test_queues.py and test_stage_call.py
def test_equal_to_run_and_troubles_are_their_objects_own(tmp_path: Path, photos: list[Path]) -> None:
    """One batch: a bug, a killed worker that goes on smaller, one that never fits, and good ones beside them."""
    objects = listed(tmp_path, photos, "good", "fit bug", "fit killed", "fit exhausted", "last")
    heard = made(objects)
    good, _, killed, exhausted, last = objects
    assert all(done(item) for item in (good, last, killed))
    assert [result.exit_code for result in heard.of("fit bug")] == [0, 0, 1]
    assert [result.exit_code for result in heard.of("fit exhausted")] == [0, 0, 75]
    assert heard.of("fit exhausted")[-1].tries == 3
    assert Project(exhausted.project).load().stages["reconstruct"].tries == 3
    record = Project(killed.project).load().stages["reconstruct"]
    assert (record.tries, max(record.options["fit"]["resolutions"])) == (3, 46)
    assert [result.exit_code for result in heard.of("fit killed")] == [0, 0, 0, 0]
    assert sorted((result.name, result.stage) for result in heard.results if result.name == "good") == sorted(
        ("good", stage) for stage in STAGES
    )
    alone = listed(tmp_path / "alone", photos, "good")[0]
    line = [sys.executable, str(HELPERS / "fake_engines.py"), "run", str(alone.project), *alone.words]
    subprocess.run(line, check=True, capture_output=True)
    assert timeless(good) == timeless(alone)
    assert artefacts(good) == artefacts(alone)
    assert artefacts(last) == artefacts(alone)

    again = made(objects[:1])
    assert [result.skipped for result in again.results] == [True] * 4
    once_more = made([exhausted])  # handed in again: three more tries
    assert once_more.results[-1].tries == 6
    assert len([each for each in once_more.started if each.stage == "reconstruct"]) == 3


@pytest.mark.slow  # four workers of two drivers
def test_two_drivers_do_nothing_twice(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("MESHCLI_TEST_LOG", str(log))
    objects = listed(tmp_path, photos, *"abcde")
    heard = Heard(), Heard()
    with ThreadPoolExecutor(2) as drivers:
        list(drivers.map(lambda each: runner().run(objects, each), heard))
    assert sorted(log.read_text().splitlines()) == sorted(
        f"{stage} {item.name}" for stage in STAGES for item in objects
    )
    assert not [result for each in heard for result in each.results if result.failed]
    assert all(done(item) for item in objects)


@pytest.mark.slow  # four workers of two drivers
def test_in_storage_nothing_is_done_twice_and_a_killed_worker_goes_on(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are those of the same batch in a folder, tries and smaller settings too."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    names = ("a", "b", "fit killed")
    here = listed(tmp_path / "here", photos, *names)
    made(here)
    log = tmp_path / "log"
    monkeypatch.setenv("MESHCLI_TEST_LOG", str(log))
    heard = {driver: Heard() for driver in ("one", "two")}

    def drive(driver: str) -> None:
        objects = listed(tmp_path / driver, photos, *names)
        there = [replace(item, storage=f"file://{tmp_path}/there", driver=driver) for item in objects]
        runner().run(there, heard[driver])

    with ThreadPoolExecutor(2) as drivers:
        list(drivers.map(drive, heard))
    assert sorted(log.read_text().splitlines()) == sorted(f"{stage} {name}" for stage in STAGES for name in names)
    assert not [result for each in heard.values() for result in each.results if result.failed]
    for item in here:
        there = replace(item, project=tmp_path / "there" / item.name)
        assert timeless(there) == timeless(item)
        assert artefacts(there) == artefacts(item)
    assert not list((tmp_path / "there" / ".batch" / "claims").iterdir())


@pytest.mark.slow
def test_a_locked_project_is_passed_on_and_looked_at_again(tmp_path: Path, photos: list[Path]) -> None:
    objects = listed(tmp_path, photos, "held", "free")
    held, free = objects
    with Project(held.project).write_lock(new=True):
        heard = made(objects, cores=1, lock_patience=0.0)
    assert [(result.locked, result.exit_code) for result in heard.of("held")] == [(True, 5)]
    assert done(free)
    assert not any(result.failed for result in made(objects).results)
    assert done(held)


@pytest.mark.slow
def test_interrupted_leaves_no_process_and_goes_on_later(tmp_path: Path, photos: list[Path]) -> None:
    objects = listed(tmp_path, photos, "fit sleep", "good")

    def interrupt(said: StageStarted | StageResult) -> None:
        if isinstance(said, StageResult) and said.name == "good" and said.stage == "render":
            wait_for((tmp_path / "fit sleep.pid").exists)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner().run(objects, interrupt)
    pid = int((tmp_path / "fit sleep.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert done(objects[1])
    assert Project(objects[0].project).load().stages["reconstruct"].status != "done"


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from batch.test_local import listed, runner
from meshcli.system.processes import listen_to_signals
listen_to_signals()
folder = Path(sys.argv[2])
runner().run(listed(folder, [Path(each) for each in sys.argv[3:]], "fit sleep"), lambda said: None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_driver(
    tmp_path: Path, photos: list[Path], number: int, default_signal_handlers: None
) -> None:
    line = [sys.executable, "-c", DRIVER, str(HELPERS.parent), str(tmp_path), *map(str, photos)]
    driver = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    started = tmp_path / "fit sleep.pid"
    wait_for(lambda: started.exists() and bool(started.read_text()))
    driver.send_signal(number)
    driver.wait(30)
    pid = int(started.read_text())
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 15.0)


@pytest.mark.slow
def test_real_work_is_equal_to_run_with_any_number_of_threads(tmp_path: Path) -> None:
    desk = [str(path) for path in sorted((Path(__file__).parents[2] / "examples" / "desk").glob("*.png"))[:2]]
    made_by: dict[str, list[BatchObject]] = {}
    for folder in ("one", "two", "run"):
        made_by[folder] = [
            BatchObject(name, tmp_path / folder / name, ("--config=quick", *ENGINES, photo))
            for name, photo in zip("ab", desk, strict=True)
        ]
    heard = Heard()
    LocalRunner(Machine(2, 8 * 2**30)).run(made_by["one"][:1], heard)  # both cores for one object
    LocalRunner(Machine(1, 8 * 2**30)).run(made_by["one"][1:], heard)
    LocalRunner(Machine(2, 8 * 2**30)).run(made_by["two"], heard)
    assert not any(result.failed for result in heard.results)
    assert all(10**8 < result.peak_bytes < 2 * 2**30 for result in heard.results)
    for one, two, run in zip(*made_by.values(), strict=True):
        line = [sys.executable, "-m", "meshcli", "run", str(run.project), *run.words, "--quiet"]
        subprocess.run(line, check=True, capture_output=True)
        expected = artefacts(run)
        del expected["renders/turntable.mp4"]
        for other in (one, two):
            found = artefacts(other)
            assert found.pop("renders/turntable.mp4")
            assert found == expected
            assert timeless(other) == timeless(run)


def test_nothing_to_do(tmp_path: Path) -> None:
    assert made([]).results == []

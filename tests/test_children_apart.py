"""A stage that is called by itself: a copy of the process works, the process looks after how that ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshcli.children import apart
from meshcli.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.select import select_views

FAKES = [sys.executable, str(Path(__file__).parent / "fakes.py")]
LINE = ["reconstruct", "desk", "--set", "texture.size=64", "--set", "fit.resolutions=[60]"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


@pytest.fixture(autouse=True)
def _chosen(tmp_path: Path, engines: dict[str, int], photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project("desk")
    generate_views(project, photos[:1], seed=0)
    select_views(project, "0-5")


def meshcli(trouble: str = "", *more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "MESHCLI_TEST": trouble}
    return subprocess.run(
        [*FAKES, *LINE, *more], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def asleep(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A `reconstruct` that sleeps, and the process id of the copy that does."""
    note = tmp_path / "pid"
    process = subprocess.Popen(
        [*FAKES, *LINE], env={**os.environ, "MESHCLI_TEST": f"fit:sleep={note}"}, text=True, stderr=subprocess.PIPE,
        # A test run in the background hands an ignored Ctrl-C down; a terminal never does.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509
    )  # fmt: skip
    until(lambda: note.exists() and note.read_text() != "")
    yield process, int(note.read_text())
    process.kill()
    process.communicate()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def status() -> str:
    return Project("desk").load().stages["reconstruct"].status


def test_killed_by_the_system_it_takes_the_smaller_setting() -> None:
    killed = meshcli("fit:killed", "--json")
    assert killed.returncode == 75
    assert killed.stderr.count("error:") == 1
    assert (
        "SIGKILL), as happens when memory runs out; the same command will now take fit.resolutions=[40]"
        in killed.stderr
    )
    assert json.loads(killed.stdout)["exit_code"] == 75
    assert status() == "failed"
    again = meshcli("fit:killed")
    assert again.returncode == 0, again.stderr
    assert "memory ran out the last time, taking smaller settings: fit.resolutions=[40]" in again.stderr


def test_exit_codes_and_output_are_those_of_the_copy() -> None:
    disk = meshcli("fit:disk")
    assert disk.returncode == 75
    assert disk.stderr.count("error:") == 1
    bug = meshcli("fit:bug")
    assert bug.returncode == 1
    assert bug.stderr.count("Traceback") == 1
    assert status() == "failed"
    done = meshcli("", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["stage"] == "reconstruct"


def test_it_ends_with_the_process(asleep: tuple["subprocess.Popen[str]", int]) -> None:
    process, copy = asleep
    assert copy != process.pid
    process.kill()
    until(lambda: not alive(copy), 5)
    assert status() == "running"
    assert meshcli().returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_handed_on(asleep: tuple["subprocess.Popen[str]", int], number: signal.Signals) -> None:
    process, copy = asleep
    process.send_signal(number)
    assert process.wait(15) == 128 + number
    assert not alive(copy)
    assert process.stderr is not None
    assert process.stderr.read().count("interrupted") == 1


def test_inside_another_program_there_is_no_copy() -> None:
    assert apart() is None

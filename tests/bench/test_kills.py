"""A few of the bench's interruptions: whatever ends `run`, the same command goes on to the same files."""

import os
import signal
import sys
from pathlib import Path

import kills
import pytest

SEED = 20261122
proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are counted in /proc")


def test_moments_are_drawn_over_the_whole_run_and_again_from_the_seed() -> None:
    blows = kills.draw(60, SEED, 8.0)
    assert blows == kills.draw(60, SEED, 8.0) != kills.draw(60, SEED + 1, 8.0)
    moments = [blow.after for blow in blows]
    assert min(moments) < 1.0
    assert 7.0 < max(moments) < 8.0
    assert {(blow.number, blow.group) for blow in blows[:6]} == {(n, g) for n in kills.SIGNALS for g in (False, True)}


def test_files_that_differ_are_named(tmp_path: Path) -> None:
    for name in ("mesh/mesh.obj", "renders/film.mp4", "manifest.json", ".lock", "log.txt", "mesh/.tmp-1-mesh.obj"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = kills.files_of(tmp_path)
    assert sorted(files) == ["mesh/.tmp-1-mesh.obj", "mesh/mesh.obj"]
    assert kills.differences(files, {"mesh/mesh.obj": "", "a": ""}) == ["a", "mesh/.tmp-1-mesh.obj", "mesh/mesh.obj"]


@proc
def test_surviving_processes_are_found_in_any_session(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
    process = kills._start(tmp_path, [sys.executable, "-c", script, "import time; time.sleep(60)"])
    process.wait()
    (orphan,) = kills._family(tmp_path)
    assert kills._wait_for_all(process, tmp_path, 0.2) >= 0.2
    os.kill(orphan, signal.SIGKILL)
    assert kills._wait_for_all(process, tmp_path) < kills.FAREWELL
    process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@proc
@pytest.mark.usefixtures("default_signal_handlers")
def test_ten_kills_and_ten_identical_results(tmp_path: Path) -> None:
    command = kills.command_of(())
    seconds, reference = kills.undisturbed(tmp_path, command)
    assert {"mesh/mesh.glb", "mesh/mesh.obj", "renders/contact.png", "views/sheet.png"} <= reference.keys()
    blows = kills.draw(10, SEED, seconds)
    results = list(kills.strike_all(tmp_path, command, blows, reference, jobs=2))
    assert [result.faults for result in results] == [[]] * 10
    assert all(result.mesh and result.rest for result in results)

"""A few of the bench's interruptions: whatever ends `run`, the same command goes on to the same files."""

from pathlib import Path

import kills
import pytest

SEED = 20261122


def test_moments_are_drawn_over_the_whole_run_and_again_from_the_seed() -> None:
    blows = kills.draw(60, SEED, 8.0)
    assert blows == kills.draw(60, SEED, 8.0) != kills.draw(60, SEED + 1, 8.0)
    moments = [blow.after for blow in blows]
    assert min(moments) < 1.0
    assert 7.0 < max(moments) < 8.0
    assert {(blow.number, blow.group) for blow in blows[:6]} == {(n, g) for n in kills.SIGNALS for g in (False, True)}


def test_files_that_differ_are_named(tmp_path: Path) -> None:
    for name in ("mesh/mesh.obj", "renders/film.mp4", "manifest.json", ".lock", "mesh/.tmp-1-mesh.obj"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = kills.files_of(tmp_path)
    assert sorted(files) == ["mesh/.tmp-1-mesh.obj", "mesh/mesh.obj"]
    assert kills.differences(files, {"mesh/mesh.obj": "", "a": ""}) == ["a", "mesh/.tmp-1-mesh.obj", "mesh/mesh.obj"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
def test_ten_kills_and_ten_identical_results(tmp_path: Path) -> None:
    command = kills.command_of(())
    seconds, reference = kills.undisturbed(tmp_path, command)
    assert {"mesh/mesh.glb", "mesh/mesh.obj", "renders/contact.png", "views/sheet.png"} <= reference.keys()
    blows = kills.draw(10, SEED, seconds)
    results = list(kills.strike_all(tmp_path, command, blows, reference, jobs=2))
    assert [result.faults for result in results] == [[]] * 10
    assert all(result.mesh and result.rest for result in results)

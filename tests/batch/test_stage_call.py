"""Stages of objects, run again and again in one process: as `meshcli run` makes them, and nothing is left behind."""

import gc
import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.commands.stage_call import run_object_stage
from meshcli.project.manifest import STAGES, Stage
from meshcli.project.project import Project

SMALL = ("--set=texture.size=64", "--set=render.size=64", "--set=render.frames=3")


@pytest.fixture(autouse=True)
def quick_engines(engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)


def made(item: BatchObject) -> list[StageResult]:
    return [run_object_stage(item, stage) for stage in item.stages]


def listed(folder: Path, photos: list[Path], name: str = "desk", *words: str) -> BatchObject:
    azimuths = ("--azimuth=0,40,-50",) if len(photos) == 3 else ()
    return BatchObject(name, folder / name, (*map(str, photos), *azimuths, *SMALL, *words))


def test_every_stage_then_nothing(tmp_path: Path, photos: list[Path]) -> None:
    item = listed(tmp_path, photos)
    results = made(item)
    assert [(result.stage, result.exit_code, result.skipped, result.tries) for result in results] == [
        (stage, 0, False, 1) for stage in STAGES
    ]
    assert all(result.peak_bytes > 1e7 and result.seconds > 0.0 for result in results)
    assert all(record.status == "done" for record in Project(item.project).load().stages.values())
    again = made(item)
    assert [(result.skipped, result.peak_bytes, result.tries) for result in again] == [(True, 0, 0)] * 4


@pytest.mark.slow
def test_options_reach_their_stage_and_only_that(tmp_path: Path, photos: list[Path]) -> None:
    item = listed(tmp_path, photos, "desk", "--views=0,1,2,3,4,5", "--faces=500", "--frames=4", "--seed=7")
    assert not any(result.error for result in made(item))
    manifest = Project(item.project).load()
    assert manifest.selection
    assert manifest.selection.by == "flag"
    assert manifest.stages["reconstruct"].settings["texture.faces"] == 500
    assert manifest.stages["render"].settings["render.frames"] == 4
    assert manifest.stages["generate"].settings["seed"] == 7


@pytest.mark.slow
def test_a_failure_is_one_line_and_ends_nothing_else(tmp_path: Path, photos: list[Path]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photos[0].read_bytes()[:200])
    results = made(listed(tmp_path, [broken], "broken"))
    assert results[0].exit_code == 3
    assert "broken.png" in results[0].error
    assert "\n" not in results[0].error
    assert results[0].failed
    assert results[1].exit_code == 2  # its stage before is not done
    assert made(listed(tmp_path, photos))[0].exit_code == 0


def test_a_full_disk_is_told_apart(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    result = run_object_stage(listed(tmp_path, photos), "generate")
    assert (result.exit_code, result.disk_full, result.tries) == (75, True, 0)
    assert not (tmp_path / "desk").exists()


def test_a_mistake_in_the_words_is_a_result(tmp_path: Path, photos: list[Path]) -> None:
    result = run_object_stage(listed(tmp_path, photos, "desk", "--facs=3"), "generate")
    assert result.exit_code == 2
    assert "--facs" in result.error


@pytest.mark.slow
def test_a_locked_project_is_told_apart(tmp_path: Path, photos: list[Path]) -> None:
    item = listed(tmp_path, photos)
    made(item)
    with Project(item.project).write_lock():
        other = listed(tmp_path, photos, "desk", "--faces=500")
        result = run_object_stage(other, "reconstruct")
    assert (result.exit_code, result.locked, result.skipped) == (5, True, False)


def test_a_bug_is_a_result(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    item = listed(tmp_path, photos)
    monkeypatch.setenv("MESHCLI_TEST", "fit:bug")
    results = made(item)
    assert [result.exit_code for result in results] == [0, 0, 1, 2]
    assert results[2].error == "a bug: ZeroDivisionError('a bug'); its traceback is in the project's log"
    assert "ZeroDivisionError" in (item.project / "log.txt").read_text()


@pytest.mark.slow
def test_tries_are_counted_until_it_is_done(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = listed(tmp_path, photos)
    made(item)
    again = listed(tmp_path, photos, "desk", "--faces=500")
    with monkeypatch.context() as patch:
        patch.setenv("MESHCLI_TEST", "fit:exhausted")
        results = [run_object_stage(again, "reconstruct") for _ in range(2)]
    assert [(result.exit_code, result.tries) for result in results] == [(75, 1), (75, 2)]
    assert "memory ran out in reconstruct" in results[0].error
    assert run_object_stage(again, "reconstruct").tries == 3
    third = listed(tmp_path, photos, "desk", "--faces=400")
    assert run_object_stage(third, "reconstruct").tries == 1


@pytest.mark.parametrize(
    ("count", "stages"), [(3, STAGES[:1]), pytest.param(20, STAGES, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_nothing_is_left_behind(tmp_path: Path, photos: list[Path], count: int, stages: tuple[Stage, ...]) -> None:
    """No file stays open, no variable set, no project in memory, no handler, thread or module."""
    before = None
    for number in range(count + 2):
        item = listed(tmp_path, photos[:1], f"object {number}", "--offline")
        assert not any(result.error for result in made(replace(item, stages=stages)))
        shutil.rmtree(item.project)
        if number == 1:
            before = counts()
    assert counts() == before


def counts() -> dict[str, object]:
    """What there is that a stage could leave behind."""
    gc.collect()
    return {
        "open files": len(list(Path("/proc/self/fd").iterdir())),
        "projects": sum(isinstance(each, Project) for each in gc.get_objects()),
        "environment": dict(os.environ),
        "modules": frozenset(sys.modules),
        "threads": threading.active_count(),
        "handlers": [logging.getLogger(name).handlers[:] for name in ("", *sorted(logging.root.manager.loggerDict))],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "hooks": (sys.excepthook, sys.unraisablehook, sys.stdout, sys.stderr),
        "warnings": len(warnings.filters),
    }

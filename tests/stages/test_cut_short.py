"""Processes that ended before their record did."""

import signal
from pathlib import Path

import pytest

from meshcli.errors import ResourceError
from meshcli.manifest import Manifest, Record
from meshcli.project import Project
from meshcli.stages.cut_short import cut_short, standing

BEFORE = Record("done", "fit", started="2026-01-01T00:00:00+00:00")
AFTER = "1980-01-01T00:00:00+00:00"  # the clock was set back
SMALLER = {"texture.size": 512}


@pytest.fixture
def running(tmp_path: Path) -> Project:
    return left(Project(tmp_path), "running")


def left(project: Project, status: str, fallback: dict[str, int] | None = None) -> Project:
    record = Record(
        status, "fit", {}, started=AFTER, fallback=SMALLER if fallback is None else fallback, smaller={"a.b": 1}
    )  # type: ignore[arg-type]
    project.save(Manifest().with_record("reconstruct", record))
    return project


@pytest.mark.parametrize("code", [-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, 1])
def test_the_record_takes_the_smaller_setting(running: Project, code: int) -> None:
    error = cut_short(running, "reconstruct", code, BEFORE)
    assert isinstance(error, ResourceError)
    assert "the same command will now take texture.size=512" in str(error)
    assert ("one of its libraries" if code > 0 else signal.Signals(-code).name) in str(error)
    record = running.load().stages["reconstruct"]
    assert (record.status, record.smaller, record.fallback) == ("failed", {"a.b": 1, **SMALLER}, {})
    assert record.finished


@pytest.mark.parametrize("code", [0, 2, 3, 75, 130, -signal.SIGTERM])
def test_other_ends_are_not_touched(running: Project, code: int) -> None:
    assert cut_short(running, "reconstruct", code, BEFORE) is None
    assert running.load().stages["reconstruct"].status == "running"


def test_a_bug_has_said_what_it_had_to_say(tmp_path: Path) -> None:
    assert cut_short(left(Project(tmp_path), "failed"), "reconstruct", 1, BEFORE) is None


def test_nothing_smaller(tmp_path: Path) -> None:
    error = cut_short(left(Project(tmp_path), "running", {}), "reconstruct", -signal.SIGKILL, BEFORE)
    assert str(error).endswith("there is no smaller setting left to try")


def test_a_record_of_another_run_is_left_alone(running: Project, tmp_path: Path) -> None:
    there = running.load().stages["reconstruct"]
    assert "before it began" in str(cut_short(running, "reconstruct", -signal.SIGKILL, there))
    assert cut_short(running, "reconstruct", 1, there) is None
    assert running.load().stages["reconstruct"].status == "running"
    assert "before it began" in str(cut_short(Project(tmp_path / "none"), "render", -signal.SIGKILL, None))


def test_what_stands_before(running: Project, tmp_path: Path) -> None:
    assert standing(running, "reconstruct") == running.load().stages["reconstruct"]
    assert standing(running, "render") is None
    assert standing(Project(tmp_path / "none"), "render") is None
    running.path("manifest.json").write_text("{")
    assert standing(running, "reconstruct") is None

"""Processes that ended before their record did."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.config import override
from meshcli.errors import MeshcliError, ResourceError
from meshcli.project.manifest import Manifest, StageRecord
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages import networks, reconstruct, render, view_generation
from meshcli.stages.killed_child import killed_child_error, read_record

BEFORE = StageRecord("done", "fit", started="2026-01-01T00:00:00+00:00")
AFTER = "1980-01-01T00:00:00+00:00"  # the clock was set back
SMALLER = {"texture.size": 512}
PERHAPS = [-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, 1]
ONCE_MORE = "the same command will now take the same settings once more"


@pytest.fixture
def running(tmp_path: Path) -> Project:
    return left(Project(tmp_path), "running")


def left(project: Project, status: str, fallback: dict[str, int] | None = None, asked: str = "this") -> Project:
    record = StageRecord(
        status, "fit", {}, started=AFTER, next_reduction=SMALLER if fallback is None else fallback,
        reduced_settings={"a.b": 1},
        requested_digest=asked,
    )  # type: ignore[arg-type]  # fmt: skip
    project.save(Manifest().with_record("reconstruct", record))
    return project


def record(project: Project) -> StageRecord:
    return project.load().stages["reconstruct"]


def test_a_child_killed_by_the_system_takes_the_smaller_setting(running: Project) -> None:
    error = killed_child_error(running, "reconstruct", -signal.SIGKILL, BEFORE)
    assert isinstance(error, ResourceError)
    assert "SIGKILL), as happens when memory runs out; the same command will now take texture.size=512" in str(error)
    after = record(running)
    assert (after.status, after.reduced_settings, after.next_reduction) == ("failed", {"a.b": 1, **SMALLER}, {})
    assert (after.facts, after.finished != "") == ({"ended": "SIGKILL"}, True)


@pytest.mark.parametrize("code", PERHAPS)
def test_a_first_crash_keeps_the_settings(running: Project, code: int) -> None:
    error = killed_child_error(running, "reconstruct", code, BEFORE)
    assert isinstance(error, ResourceError)
    assert f"perhaps because memory ran out; {ONCE_MORE}" in str(error)
    after = record(running)
    assert (after.status, after.reduced_settings, after.next_reduction) == ("failed", {"a.b": 1}, {})
    name = signal.Signals(-code).name if code < 0 else "exit code 1"
    assert after.facts == {"ended": name}
    assert (name if code < 0 else "one of its libraries") in after.error


@pytest.mark.parametrize("first", PERHAPS)
@pytest.mark.parametrize("second", PERHAPS)
def test_a_repeated_crash_takes_the_smaller_setting(running: Project, first: int, second: int) -> None:
    killed_child_error(running, "reconstruct", first, BEFORE)
    before = record(running)
    error = killed_child_error(left(running, "running"), "reconstruct", second, before)
    assert "perhaps because memory ran out; the same command will now take texture.size=512" in str(error)
    assert record(running).reduced_settings == {"a.b": 1, **SMALLER}
    before = record(running)
    last = killed_child_error(left(running, "running", {}), "reconstruct", second, before)
    assert str(last).endswith("there is no smaller setting left to try")


@pytest.mark.parametrize(
    "between",
    [
        replace(BEFORE, facts={"ended": "SIGSEGV"}),  # it was done in the meantime
        StageRecord("failed", "fit", requested_digest="this", facts={"seconds": {}}),  # of the disk
        StageRecord("failed", "fit", requested_digest="other", facts={"ended": "SIGSEGV"}),  # another command
        None,
    ],
)
def test_only_the_same_command_counts_as_repeated(running: Project, between: StageRecord | None) -> None:
    assert ONCE_MORE in str(killed_child_error(running, "reconstruct", -signal.SIGSEGV, between))


def test_a_loop_that_counts_to_20_gets_to_the_smallest_settings() -> None:
    """That of docs/scripting.md; each stage of a `run` may end so at all of its settings, and twice at the first."""
    usual = Settings()
    chains = {
        "sculpt": lambda settings: view_generation.smaller_settings("sculpt", settings),
        "zero123plus": lambda settings: view_generation.smaller_settings("zero123plus", settings),
        "fit": reconstruct.smaller_settings,
        "lrm": networks.smaller_settings,
        "render": render.smaller_settings,
    }
    start = {"lrm": override(usual, {"lrm.grid": 128}, "")}
    calls = dict.fromkeys(chains, 1)
    for name, chain in chains.items():
        settings = start.get(name, usual)
        while taken := chain(settings):
            settings, calls[name] = override(settings, taken, ""), calls[name] + 1
    longest = max(calls["sculpt"], calls["zero123plus"]) + max(calls["fit"], calls["lrm"]) + calls["render"]
    assert 3 < longest + 3 <= 20


@pytest.mark.parametrize("code", [0, 2, 3, 75, 130, -signal.SIGTERM, -signal.SIGINT])
def test_other_ends_are_not_touched(running: Project, code: int) -> None:
    assert killed_child_error(running, "reconstruct", code, BEFORE) is None
    assert record(running).status == "running"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGILL, signal.SIGFPE, 40])
def test_signals_that_have_nothing_to_do_with_memory_are_named(running: Project, number: int) -> None:
    error = killed_child_error(running, "reconstruct", -number, BEFORE)
    assert isinstance(error, MeshcliError)
    assert error.exit_code == 128 + number
    assert f"reconstruct was ended by signal {int(number)} (" in str(error)
    assert "memory" not in str(error)
    assert record(running).status == "running"  # which reads as interrupted


def test_a_bug_in_a_child_is_not_reported_again(tmp_path: Path) -> None:
    assert killed_child_error(left(Project(tmp_path), "failed"), "reconstruct", 1, BEFORE) is None


def test_nothing_smaller(tmp_path: Path) -> None:
    error = killed_child_error(left(Project(tmp_path), "running", {}), "reconstruct", -signal.SIGKILL, BEFORE)
    assert str(error).endswith("there is no smaller setting left to try")


def test_a_record_of_another_run_is_left_alone(running: Project, tmp_path: Path) -> None:
    there = record(running)
    assert "before it began" in str(killed_child_error(running, "reconstruct", -signal.SIGKILL, there))
    assert killed_child_error(running, "reconstruct", 1, there) is None
    assert record(running).status == "running"
    assert "before it began" in str(killed_child_error(Project(tmp_path / "none"), "render", -signal.SIGKILL, None))


def test_stages_without_records_are_named(running: Project) -> None:
    error = killed_child_error(running, "reconstruct", -signal.SIGKILL, BEFORE, "align")
    assert isinstance(error, ResourceError)
    assert str(error).startswith("align was ended by signal 9 (SIGKILL)")
    assert killed_child_error(running, "reconstruct", 1, BEFORE, "align") is None
    assert record(running).status == "running"


def test_the_record_before_a_run(running: Project, tmp_path: Path) -> None:
    assert read_record(running, "reconstruct") == record(running)
    assert read_record(running, "render") is None
    assert read_record(Project(tmp_path / "none"), "render") is None
    running.path("manifest.json").write_text("{")
    assert read_record(running, "reconstruct") is None

"""A stage that is called by itself: a copy of the process works, the process looks after how that ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.cli_processes import alive, asleep_in_fit, error_lines, meshcli, until
from helpers.project_templates import ProjectTemplates
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.select import select_views
from meshcli.system.processes import fork_supervised

LINE = ["reconstruct", "desk", "--set", "texture.size=64", "--set", "fit.resolutions=[60]", "--set", "fit.steps=[9]"]

pytestmark = [
    pytest.mark.usefixtures("default_signal_handlers"),
    pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only"),
]


@pytest.fixture(autouse=True)
def _chosen(
    tmp_path: Path,
    engine_calls: dict[str, int],
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    templates: ProjectTemplates,
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project("desk")

    def make() -> None:
        generate_views(project, photos[:1], seed=0)
        select_views(project, "0-5")

    templates.make("chosen", project.root, make)


def called(trouble: str = "", *more: str) -> "subprocess.CompletedProcess[str]":
    return meshcli(*LINE, *more, trouble=trouble)


@pytest.fixture
def asleep(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A `reconstruct` that sleeps, and the process id of the copy that does."""
    with asleep_in_fit(LINE, tmp_path / "pid") as processes:
        yield processes


def status() -> str:
    return Project("desk").load().stages["reconstruct"].status


def test_killed_by_the_system_it_takes_the_smaller_setting() -> None:
    killed = called("fit:killed", "--json")
    assert killed.returncode == 75
    assert len(error_lines(killed.stderr)) == 1
    assert (
        "SIGKILL), as happens when memory runs out; the same command will now take fit.resolutions=[40]"
        in killed.stderr
    )
    assert json.loads(killed.stdout)["exit_code"] == 75
    assert status() == "failed"
    again = called("fit:killed")
    assert again.returncode == 0, again.stderr
    assert "memory ran out the last time, taking smaller settings: fit.resolutions=[40]" in again.stderr


@pytest.mark.slow
def test_after_a_crash_the_same_settings_are_tried_before_smaller_ones() -> None:
    first, second, third = (called("fit:crashed") for _ in range(3))
    assert (first.returncode, second.returncode, third.returncode) == (75, 75, 0), third.stderr
    assert "(SIGSEGV), perhaps because memory ran out; the same command will now take the same settings" in first.stderr
    assert "smaller" not in second.stderr.splitlines()[0]
    assert second.stderr.endswith("the same command will now take fit.resolutions=[40]\n")
    assert "perhaps memory ran out the last time, taking smaller settings: fit.resolutions=[40]" in third.stderr


@pytest.mark.parametrize(
    ("line", "trouble", "says"),
    [
        (["align"], "exhausted", "error: memory ran out; "),
        (["align"], "disk", "error: the disk of desk is full; "),
        (["align"], "killed", "error: align was ended by signal 9 (SIGKILL), as happens when memory runs out; "),
        pytest.param(
            ["run", "--generator=sculpt"],
            "crashed",
            "error: align was ended by signal 11 (SIGSEGV), perhaps because ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_the_machine_refuses_align(line: list[str], trouble: str, says: str, photos: list[Path]) -> None:
    generate_views(Project("desk"), photos[:2], seed=0)
    before = Path("desk/manifest.json").read_bytes()
    done = meshcli(*line, "desk", "--json", trouble=f"register:{trouble}")
    assert done.returncode == 75, done.stderr
    assert [text for text in done.stderr.splitlines() if "error" in text] == done.stderr.splitlines()[-1:]
    assert done.stderr.splitlines()[-1].startswith(says)
    assert json.loads(done.stdout)["exit_code"] == 75
    assert Path("desk/manifest.json").read_bytes() == before


def test_exit_codes_and_output_are_those_of_the_copy() -> None:
    disk = called("fit:disk")
    assert disk.returncode == 75
    assert len(error_lines(disk.stderr)) == 1
    bug = called("fit:bug")
    assert bug.returncode == 1
    assert bug.stderr.count("Traceback") == 1
    assert status() == "failed"
    done = called("", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["stage"] == "reconstruct"


def test_it_ends_with_the_process(asleep: tuple["subprocess.Popen[str]", int]) -> None:
    process, copy = asleep
    assert copy != process.pid
    process.kill()
    until(lambda: not alive(copy))
    assert status() == "running"
    assert called().returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_forwarded(asleep: tuple["subprocess.Popen[str]", int], number: signal.Signals) -> None:
    process, copy = asleep
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert not alive(copy)
    assert process.stderr is not None
    assert process.stderr.read().count("interrupted") == 1


def test_inside_another_program_there_is_no_copy() -> None:
    assert fork_supervised() is None

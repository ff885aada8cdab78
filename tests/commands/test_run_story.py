"""`run` on a terminal: its bar and estimate, what its children report, the summary at the end, Ctrl-C."""

import os
import pty
import re
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from helpers.cli_processes import FAKE_MESHCLI, meshcli
from meshcli.commands import child_reports
from meshcli.commands.console import print_summary
from meshcli.commands.prose import wrap_prose
from meshcli.commands.reporter import COMPILING, Reporter
from meshcli.commands.run_story import NO_ESTIMATE, SLOWER, RunStory, format_rough
from meshcli.project.manifest import STAGES
from meshcli.stages.pace import record_seconds, stage_work
from meshcli.system import compilation
from meshcli.system.processes import REPORT_VARIABLE

QUICK = ["--set", "render.size=64", "--set", "render.frames=3", "--set", "texture.size=64"]
RUN = ["run", "desk", "1.png", "2.png", "--azimuth=0,40", *QUICK]
WORKS = {stage: stage_work(stage, "", "auto", [], 2 if stage == "generate" else 1) for stage in STAGES}


class Clock:
    """Stands in for the module `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    clock = Clock()
    monkeypatch.setattr("meshcli.commands.run_progress.time", clock)
    monkeypatch.setenv("MESHCLI_STATE", str(tmp_path / "state"))
    return clock


@pytest.fixture
def at_home(default_signal_handlers: None, tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MESHCLI_STATE", str(tmp_path / "state"))


def story(width: int = 80, forced: bool = False, unposed: bool = False) -> RunStory:
    console = Console(file=StringIO(), force_terminal=True, width=width, color_system=None)
    told = RunStory(console, STAGES, captures=True, forced=forced, unposed=unposed)
    told.plan(WORKS, frozenset())
    return told


def drawn(told: RunStory) -> list[str]:
    with told.console.capture() as capture:
        told.console.print(told._render())
    return [line.rstrip() for line in capture.get().splitlines()]


def on_terminal(words: Sequence[str], trouble: str = "", interrupt_at: str = "") -> tuple[int, str]:
    """The exit code of a command on a terminal, and everything that this showed; Ctrl-C is typed at some words."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["MESHCLI_TEST"] = trouble
        os.execv(FAKE_MESHCLI[0], [*FAKE_MESHCLI, *words])  # noqa: S606 (our own interpreter)
    shown, typed = b"", not interrupt_at
    with suppress(OSError):  # EIO: the command is over
        while data := os.read(terminal, 4096):
            shown += data
            if not typed and interrupt_at.encode() in shown and Path("pid").exists():
                os.write(terminal, b"\x03")
                typed = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


@pytest.mark.slow
def test_a_run_on_a_terminal_is_told_with_one_summary(at_home: None) -> None:
    code, shown = on_terminal(RUN)
    assert code == 0, shown
    assert "next:" not in shown
    for line in ("1 of 4: making views", "2 of 4: choosing views", "3 of 4: building the mesh", "4 of 4: making pict"):
        assert line in shown
    assert NO_ESTIMATE in shown
    end = shown[shown.rindex("4 of 4") :]
    for words in ("mesh     desk/mesh/mesh.glb", "12 faces, ", "video    desk/renders/turntable.mp4",
                  "guessed  depth and back are guessed", "time     ", "look at  desk/renders/contact.png"):  # fmt: skip
        assert words in end
    assert "desk/views/sheet.png" not in shown  # the paths of the children are in the summary
    code, shown = on_terminal(RUN)
    assert (code, shown.count(", unchanged")) == (0, 4)


@pytest.mark.slow
def test_off_a_terminal_there_are_plain_lines_and_the_summary(at_home: None) -> None:
    result = meshcli(*RUN)
    assert "next:" not in result.stderr
    assert child_reports.MARK not in result.stderr
    assert "reconstruct: done in" in result.stderr
    assert result.stderr.count("mesh     desk/mesh/mesh.glb") == 1
    assert result.stdout.split()[-1] == "desk/renders/turntable.mp4"
    assert meshcli(*RUN, "-q").stderr == ""


@pytest.mark.slow
def test_an_error_of_a_child_is_shown_once_on_a_terminal(at_home: None) -> None:
    code, shown = on_terminal(["run", "desk", "9.png"])
    assert (code, shown.count("error:"), "no photo 9.png" in shown) == (3, 1, True)
    code, shown = on_terminal(RUN, trouble="fit:bug")
    assert (code, "ZeroDivisionError: a bug" in shown) == (1, True)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_is_answered_with_one_line(at_home: None) -> None:
    code, shown = on_terminal(RUN, f"fit:sleep={Path('pid').absolute()}", "3 of 4: building the mesh")
    assert (code, shown.count("interrupted")) == (130, 1)
    assert "Traceback" not in shown
    code, shown = on_terminal(RUN)
    assert (code, shown.count(", unchanged")) == (0, 2)


def test_no_time_is_claimed_before_all_that_is_left_was_timed(clock: Clock) -> None:
    told = story()
    told.started("generate", "generate")
    for stage in STAGES[:3]:
        record_seconds(WORKS[stage], 10.0 * WORKS[stage].units)
        assert told.remaining() is None
    assert NO_ESTIMATE in drawn(told)[-1]
    record_seconds(WORKS["render"], 30.0)
    assert told.remaining() == 70.0
    clock.now += 15
    assert told.remaining() == 55.0
    assert drawn(told)[-1].endswith("about 55 s left")
    clock.now += 20
    assert drawn(told)[-1].endswith(SLOWER)


def test_an_estimate_leaves_out_what_need_not_run_again(clock: Clock) -> None:
    for stage in STAGES:
        record_seconds(WORKS[stage], 10.0)
    told = story()
    told.plan(WORKS, frozenset(STAGES[:3]))
    told.started("generate", "generate")
    assert told.remaining() == 10.0
    told._read_line(f'{child_reports.MARK}{{"done": 0, "total": 3, "what": "cutting out"}}')
    assert told.remaining() == 40.0  # it does work, so all that follows has to


def test_alignment_counts_where_it_is_to_be_expected(clock: Clock) -> None:
    told = story(unposed=True)
    for stage in STAGES:
        record_seconds(WORKS[stage], 10.0)
    told.started("generate", "generate")
    assert told.remaining() is None
    record_seconds(WORKS["generate"].of("align"), 7.0)
    assert told.remaining() is None
    record_seconds(WORKS["generate"].of("generate each"), 2.0)
    assert told.remaining() == 49.0
    told.started("generate", "align")
    assert (told.remaining(), drawn(told)[0]) == (47.0, "1 of 4: finding the photos' sides")


def test_compiling_is_left_out_of_the_recorded_time(clock: Clock) -> None:
    told = story()
    told.started("render", "render")
    clock.now = 50.0
    told._read_line(f'{child_reports.MARK}{{"compiled": 20.0}}')
    told._read_line(f'{child_reports.MARK}{{"skipped": false}}')
    told.ended("render", "render", 0)
    told.started("render", "render")
    assert told.remaining() == 30.0


@pytest.mark.parametrize("width", [80, 40])
def test_the_bar_fits_the_terminal(width: int, clock: Clock) -> None:
    told = story(width)
    told.started("reconstruct", "reconstruct")
    told._read_line(f'{child_reports.MARK}{{"done": 8, "total": 340, "what": "fitting the surface"}}')
    lines = drawn(told)
    assert all(len(line) < width for line in lines)
    work = "fitting the surface 8/340"
    title = "3 of 4: building the mesh"
    assert lines[:-1] == ([f"{title} - {work}"] if width == 80 else [title, f"  {work}"])


def test_lines_that_are_no_records_are_shown(clock: Clock) -> None:
    told = story()
    for line in (
        "[red]plain[/red]",
        f"{child_reports.MARK}{{cut off",
        f"{child_reports.MARK}[1]",
        "error: a \x07 bell",
    ):
        told._read_line(line)
    shown = told.console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]plain[/red]\n" in shown
    assert "{cut off" in shown
    assert r"error: a \x07 bell" in shown


def test_a_child_sends_new_work_at_once_and_its_outcome(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(REPORT_VARIABLE, "records none 80")
    with Reporter() as reporter:
        for done in range(1000):
            reporter.progress(done, 1000, "fitting")
        compilation.begin()
        compilation.begin()
        compilation.end()
        compilation.end()
        reporter.progress(0, 1, "baking")
    records = [child_reports.parse_record(line) for line in capsys.readouterr().err.split("\n")]
    work = [record["what"] for record in records if record and "what" in record]
    assert work[:1] == ["fitting"]
    assert [each for before, each in pairwise(work) if each != before] == [
        COMPILING,
        "fitting",
        "baking",
    ]
    assert len(work) < 1000
    assert sum("compiled" in record for record in records if record) == 1


def test_off_a_terminal_compiling_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        reporter.progress(0, 1, "fitting")
        for _ in range(2):
            compilation.begin()
            compilation.end()
    assert capsys.readouterr().err == f"{COMPILING}\n"


def test_prose_is_wrapped_and_what_can_be_copied_is_not() -> None:
    command = "`meshcli models pull zero123plus`"
    assert wrap_prose(f"get the weights with {command} first", 24) == ["get the weights with", command, "first"]
    assert wrap_prose("", 24) == [""]
    console = Console(file=StringIO(), force_terminal=True, width=40, color_system=None)
    path = "projects/of/mine/" * 4 + "mesh.glb"
    print_summary(console, [("mesh", path), ("guessed", "no photo shows the far side of [it]")])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [f"mesh     {path}", "guessed  no photo shows the far side of", "         [it]"]


def test_estimates_are_rough() -> None:
    assert [format_rough(seconds) for seconds in (0, 12, 88, 90, 200)] == ["5 s", "10 s", "90 s", "2 min", "3 min"]

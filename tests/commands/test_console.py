import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from meshcli.commands import console, reporter
from meshcli.commands.reporter import Reporter
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.stages.status import ProjectStatus, StageStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds, as the reporter sees them."""
    now = [100.0]
    monkeypatch.setattr(reporter.time, "monotonic", lambda: now[0])
    return now


def test_lines_off_a_terminal_say_how_long_it_takes_yet(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    shown = Reporter()
    for done, after in ((5, 0.0), (6, 10.0), (8, 30.0), (8, 31.0), (70, 650.0)):
        clock[0] = 100.0 + after
        shown.progress(done, 75, "photo a: painting")
    assert capsys.readouterr().err.splitlines() == [
        "photo a: painting 6/75, 12 min left",
        "photo a: painting 8/75, 11 min left",
        "photo a: painting 70/75, 50 s left",
    ]
    shown.progress(0, 3, "fitting")  # another whole: nothing is known of its pace
    clock[0] += 6.0
    shown.progress(1, 3, "fitting")
    assert capsys.readouterr().err == "fitting 1/3, 12 s left\n"


def test_lines_of_work_that_cannot_be_counted_say_how_long_it_has_taken(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Reporter()
    for total, what, after in (
        (1, "carving", 0.0), (1, "carving", 6.0), (1, "carving", 12.0), (3, "fitting", 17.5), (3, "fitting", 23.0),
    ):  # fmt: skip
        clock[0] = 100.0 + after
        shown.progress(0, total, what)
    assert capsys.readouterr().err.splitlines() == [
        "carving, 6 s so far", "carving, 12 s so far", "fitting 0/3", "fitting 0/3, 6 s so far",
    ]  # fmt: skip


def test_unfinished_pictures_are_shown_on_a_terminal_with_colours(capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.full((120, 80, 3), (200, 30, 30), np.uint8)
    Reporter().show("a", picture)
    assert capsys.readouterr().err == ""
    shown = Reporter()
    output = io.StringIO()
    shown.console = Console(file=output, force_terminal=True, color_system="truecolor", width=80)
    shown._bar.disable = False
    shown.show("a", picture)
    assert output.getvalue().startswith("photo a:\n")
    assert "200;30;30" in output.getvalue()
    assert len(output.getvalue().splitlines()) == 31  # 40 columns of half blocks, twice as many rows of pixels


def test_reasons_of_status_are_whole_on_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "views/03.png (view a3) was changed by hand"
    status = ProjectStatus(Project(tmp_path), Manifest(), (StageStatus("select", "stale", reason),))
    for columns, wrapped in (("40", "select: views/03.png (view a3) was\nchanged by hand\n"), ("100", reason)):
        monkeypatch.setenv("COLUMNS", columns)
        console.print_status(status)
        assert wrapped in capsys.readouterr().out

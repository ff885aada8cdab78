"""Long work of a page: children, their records, cancelling; one at a time."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.cli_processes import FAKE_MESHCLI, alive, until
from meshcli.commands.reporter import Reporter
from meshcli.commands.run_progress import RunRecords
from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.stages.status import read_status
from meshcli.system import processes
from meshcli.system.child_records import MARK, NO_TERMINAL
from meshcli.system.processes import REPORT_VARIABLE
from meshcli.ui.board import Board
from meshcli.ui.job import MAX_ERRORS, MAX_LINES, Job, Jobs

QUICK = ["--set=render.size=64", "--set=render.frames=3", "--set=texture.size=64"]


@pytest.fixture
def fake_children(monkeypatch: pytest.MonkeyPatch, default_signal_handlers: None) -> None:
    monkeypatch.setattr(processes, "COMMAND", FAKE_MESHCLI)


@pytest.fixture
def board(project: Project, fake_children: None) -> Board:
    return Board(project)


def run(board: Board, *words: str) -> Job:
    job = board.jobs.start(words, "work")
    until(lambda: not job.at_work)
    return job


def views_made(board: Board, photos: list[Path]) -> Job:
    words = board.words(
        "run", "--to=generate", "--azimuth=0,40,-50", *QUICK, arguments=[str(photo) for photo in photos]
    )
    return run(board, *words)


def test_a_job_runs_a_command_line_and_follows_its_records(board: Board, photos: list[Path]) -> None:
    board.look()
    assert board.status is None
    job = views_made(board, photos)
    assert (job.state, job.code, job.error) == ("done", 0, "")
    assert job.stage == "generate"
    assert job.step == "making views"
    assert job.what.startswith("scoring the views")
    assert any(line.startswith("engine sculpt") for line in job.lines)
    assert not any(MARK in line for line in job.lines)
    assert job.describe().startswith("work: done after ")
    board.look()
    assert board.stage("generate").state == "done"
    assert len(board.manifest.active_views) == 18
    assert board.choice
    assert board.choice.chosen == board.choice.proposed


def test_a_failed_job_says_why(board: Board) -> None:
    job = run(board, *board.words("select", "--auto=6"))
    assert (job.state, job.code) == ("failed", 2)
    assert "is no project yet" in job.error
    assert job.describe() == f"work: {job.error}"


@pytest.mark.slow
def test_one_job_at_a_time_which_can_be_cancelled(
    board: Board, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "note"
    monkeypatch.setenv("MESHCLI_TEST", f"fit:sleep={note}")
    ended = []
    words = board.words("run", "--azimuth=0,40,-50", *QUICK, arguments=[str(photo) for photo in photos])
    job = board.jobs.start(words, "everything", lambda: ended.append(True))
    until(lambda: note.exists() and note.read_text())
    sleeper = int(note.read_text())
    assert job.at_work
    assert job.step == "3 of 4: building the mesh"
    with pytest.raises(UsageError, match="one thing at a time: everything is at work"):
        board.jobs.start(["status", str(board.project.root)], "more")
    board.look()
    assert board.stage("reconstruct").state == "running"
    assert board.elsewhere == ""  # it is our own
    board.jobs.cancel()
    until(lambda: not job.at_work)
    assert job.state == "cancelled"
    assert ended == [True]
    until(lambda: not alive(sleeper))
    assert [each.state for each in read_status(board.project).stages[:3]] == ["done", "done", "interrupted"]


def test_what_another_process_runs_is_seen(board: Board, photos: list[Path]) -> None:
    views_made(board, photos)
    manifest = board.project.load()
    with board.project.write_lock():
        record = manifest.stages["generate"]
        board.project.save(manifest.with_record("generate", type(record)("running", "sculpt")))
        board.look()
        assert board.elsewhere == "generate"
    before = board.version
    board.look()
    assert board.elsewhere == ""
    assert board.stage("generate").state == "interrupted"
    assert board.version > before


def test_records_of_any_kind_do_no_harm() -> None:
    job = Job(["run"], "work")
    for line in (
        f'{MARK}{{"what": "fitting", "done": 30, "total": 60}}',
        f'{MARK}{{"title": "3 of 4: building", "stage": "reconstruct", "share": 7, "left": 100.0}}',
        f'{MARK}{{"what": 3, "done": -1, "total": "x"}}',
        f'{MARK}{{"title": null, "left": "soon", "share": []}}',
        f"{MARK}[]",
        "error: it is broken",
    ):
        job.read_line(line)
    assert job.left is None
    assert job.share == 1.0
    assert (job.done, job.total) == (0, 1)
    assert job.error == "it is broken"
    for number in range(MAX_LINES + 10):
        job.read_line(str(number))
    assert len(job.lines) == MAX_LINES
    assert job.lines[-1] == str(MAX_LINES + 9)


def test_all_errors_are_told_without_the_folder_of_uploads() -> None:
    job = Job(["generate"], "cutting out", "/uploads/x1")
    for line in ("error: /uploads/x1/a.jpg is empty", "error: '/uploads/x1/b c.jpg' is no picture", "cut out by alpha"):
        job.read_line(line)
    job.state = "failed"
    assert job.describe() == "cutting out: a.jpg is empty; 'b c.jpg' is no picture"
    assert job.lines == ("error: a.jpg is empty", "error: 'b c.jpg' is no picture", "cut out by alpha")
    for number in range(30):
        job.read_line(f"error: {number}")
    assert job.error.count(";") == MAX_ERRORS


def test_guesses_are_no_failure_in_the_words_of_the_terminal() -> None:
    job = Job(["run"], "making views", state="failed", code=6, error="say them with `meshcli run desk --azimuth 0,40`")
    assert job.describe().startswith("making views: stopped, for the sides of some photos are guesses")


def test_unfinished_views_come_as_pictures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(REPORT_VARIABLE, NO_TERMINAL)
    reporter = Reporter()
    reporter.show("b", np.full((12, 8, 3), (200, 30, 40), np.uint8))
    line = capsys.readouterr().err.rstrip("\n")
    RunRecords(["generate"], False, False)._read_line(line)  # `run` passes on what its children send
    passed = capsys.readouterr().err.rstrip("\n")
    job = Job(["run"], "work")
    job.read_line(passed)
    assert job.picture
    assert job.picture[0] == "b"
    with Image.open(io.BytesIO(job.picture[1])) as picture:
        assert picture.size == (8, 12)
        assert np.abs(np.asarray(picture.convert("RGB"))[6, 4].astype(int) - (200, 30, 40)).max() < 8
    before = job.picture
    for bad in ('"x"', '"PHNjcmlwdD4="', "3", "null"):
        job.read_line(f'{MARK}{{"photo": "a", "picture": {bad}}}')
    assert job.picture == before
    assert job.lines == ()


def test_the_time_left_goes_down_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("meshcli.ui.job.time.monotonic", lambda: now[0])
    job = Job(["run"], "work", started=now[0])
    job.read_line(f'{MARK}{{"title": "building", "left": 60.0, "share": 0.0}}')
    now[0] = 120.0
    assert job.left == 40.0
    assert job.fraction == 20.0 / 60.0


def test_a_command_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "COMMAND", [os.devnull])
    job = Jobs(lambda: None).start(["status"], "work")
    until(lambda: not job.at_work)
    assert job.state == "failed"
    assert "cannot be started" in job.error

"""`meshcli batch` as a user meets it, with a runner that calls `run` with the fake engines."""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from meshcli.batch.tasks import BatchObject, Report, StageResult, StageStarted
from meshcli.errors import ResourceError
from meshcli.system.processes import Interrupted

Call = Callable[..., tuple[int, str, str]]


class FakeRunner:
    """Copies a finished project for each object; what happens to some is in `trouble`.

    That is an exit code, also of an interruption, or a negative number where no worker can be started any more.
    """

    def __init__(self, finished: Path) -> None:
        self.finished = finished
        self.trouble: dict[str, int] = {}
        self.tries = 1  # that the stage in trouble has had
        self.locked: set[str] = set()
        self.ran: list[str] = []

    def run(self, objects: Iterable[BatchObject], report: Report) -> None:
        for item in objects:
            self.ran.append(item.name)
            code = self.trouble.get(item.name, 0)
            if code < 0:
                raise ResourceError("no worker can be started")
            report(StageStarted(item.name, "generate"))
            if code > 128:
                raise Interrupted(code - 128)
            if item.name in self.locked:
                report(StageResult(item.name, "generate", 5, error="it is locked", locked=True))
            elif code:
                report(StageResult(item.name, "generate", code, 0.1, error=f"=bad {item.name}", tries=self.tries))
            else:
                shutil.copytree(self.finished, item.project, dirs_exist_ok=True)
                for stage in item.stages:
                    report(StageResult(item.name, stage, seconds=1.5, peak_bytes=100_000_000))


@pytest.fixture
def runner(called: Callable[[Any], Any], made: Path) -> FakeRunner:
    return called(FakeRunner(made))


def table() -> list[dict[str, str]]:
    with Path("out/batch.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_second_call_does_what_is_left_and_nothing_else(runner: FakeRunner, meshcli: Call) -> None:
    runner.trouble = {"two": 3}
    code, out, said = meshcli("batch", "list.csv", "--out", "out")
    assert (code, out) == (3, "out/batch.csv\nout/report.html\n")
    assert "two: generate failed (exit code 3): =bad two" in said
    assert "2 of 3 objects are done" in said
    rows = {row["object"]: row for row in table()}
    assert list(rows) == ["one", "two", "Drei ü"]
    assert {name: row["state"] for name, row in rows.items()} == {"one": "done", "two": "failed", "Drei ü": "done"}
    assert (rows["one"]["reconstruct seconds"], rows["one"]["reconstruct MB"], rows["one"]["match %"]) == (
        "1.5", "100", "90.0",
    )  # fmt: skip
    assert (rows["two"]["exit code"], rows["two"]["error"]) == ("3", "'=bad two")
    page = Path("out/report.html").read_text("utf-8")
    assert "2 of 3 finished" in page
    assert "generate: =bad two (exit code 3)" in page

    assert meshcli("batch", "list.csv", "--out", "out")[0] == 3
    assert runner.ran == ["one", "two", "Drei ü"]
    runner.trouble = {}
    code, _, said = meshcli("batch", "list.csv", "--out", "out", "--retry-failed")
    assert (code, runner.ran[3:]) == (0, ["two"])
    assert "2 done already, 0 failed before, 1 to run" in said


@pytest.mark.parametrize("change", ["photo", "flag", "file", "smaller file", "manifest", "force"])
def test_a_change_brings_an_object_back(runner: FakeRunner, meshcli: Call, change: str) -> None:
    runner.trouble = {"two": 3}
    meshcli("batch", "list.csv", "--out", "out")
    words, again = [], ["one", "two", "Drei ü"]
    if change == "photo":
        os.utime("2.png", ns=(1, 1))
        again = ["two"]
    elif change == "flag":
        words = ["--config", "quick"]
    elif change == "force":
        words = ["--force"]
    elif change == "file":
        Path("out/one/mesh/mesh.glb").unlink()
        again = ["one"]
    elif change == "smaller file":
        Path("out/one/mesh/mesh.glb").write_bytes(b"cut off")
        again = ["one"]
    else:
        os.utime("out/one/manifest.json", ns=(1, 1))
        again = ["one"]
    runner.ran.clear()
    meshcli("batch", "list.csv", "--out", "out", *words)
    assert runner.ran == again


def test_exit_codes(runner: FakeRunner, meshcli: Call) -> None:
    call = ("batch", "list.csv", "--out", "out", "--retry-failed")
    runner.trouble = {"one": 6, "two": 6}
    assert meshcli(*call)[0] == 6
    runner.trouble = {"one": 6, "two": 4}
    assert meshcli(*call)[0] == 3
    runner.trouble = {"one": 6, "two": 75}
    assert meshcli(*call)[0] == 75
    runner.tries = 3  # all of them: a farm must not put the task back for ever
    assert meshcli(*call)[0] == 3
    runner.trouble = {}
    assert meshcli(*call[:-1])[0] == 3
    runner.trouble = {}
    runner.locked = {"one"}
    code, _, said = meshcli(*call)
    assert code == 75
    assert "one: left to another meshcli, which is writing it" in said
    runner.locked = set()
    runner.trouble = {"one": 130}
    assert meshcli(*call)[0] == 130
    runner.trouble = {}
    runner.ran.clear()
    assert meshcli(*call)[0] == 0
    assert runner.ran == ["one"]


def test_bad_rows_stop_everything_unless_told_to_go_on(runner: FakeRunner, meshcli: Call) -> None:
    Path("list.csv").write_text("name,photos\none,1.png\n../two,2.png\nthree,9.png\n", encoding="utf-8")
    code, out, said = meshcli("batch", "list.csv", "--out", "out")
    assert (code, out, runner.ran, Path("out").exists()) == (3, "", [], False)
    assert said.splitlines() == [
        "error: list.csv: line 3: ../two: the name leads out of DIR; it is that of a folder in it, without / and \\",
        "error: list.csv: line 4: three: there is no photo 9.png",
        "error: 2 of 3 objects in list.csv cannot be run; --keep-going runs the others",
    ]
    assert meshcli("batch", "list.csv", "--out", "out", "--keep-going")[0] == 3
    assert runner.ran == ["one"]


def test_bad_settings_stop_everything(runner: FakeRunner, meshcli: Call) -> None:
    code, _, said = meshcli("batch", "list.csv", "--out", "out", "--set", "fit.rayz=3")
    assert (code, said) == (2, "error: --set fit.rayz=3: there is no setting fit.rayz; did you mean fit.rays?\n")
    assert meshcli("batch", "list.csv", "--out", "out", "--config", "nowhere.yaml", "--dry-run")[0] == 2
    assert (runner.ran, Path("out").exists()) == ([], False)


def test_only_shards_and_dry_runs(runner: FakeRunner, meshcli: Call) -> None:
    code, out, _ = meshcli("batch", "list.csv", "--out", "out", "--only", "t*", "--dry-run")
    assert (code, out) == (0, "run: two (generate, select, reconstruct, render)\n")
    assert not Path("out").exists()
    for index in range(3):
        assert meshcli("batch", "list.csv", "--out", "out", "--shard", f"{index}/3")[0] == 0
    assert sorted(runner.ran) == ["Drei ü", "one", "two"]
    assert [row["state"] for row in table()] == ["done"] * 3
    code, out, _ = meshcli("batch", "list.csv", "--out", "out", "--dry-run")
    assert (code, out) == (0, "skip, done: one\nskip, done: two\nskip, done: Drei ü\n")


def test_lines_of_json(runner: FakeRunner, meshcli: Call) -> None:
    runner.trouble = {"two": 3}
    code, out, said = meshcli("batch", "list.csv", "--out", "out", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [each["event"] for each in events]
    assert (code, said) == (3, "")
    assert kinds == ["batch", *["stage started", *["stage"] * 4, "object"], "stage started", "stage", "object",
                     "stage started", *["stage"] * 4, "object", "end"]  # fmt: skip
    failed = next(each for each in events if each.get("state") == "failed")
    assert (failed["name"], failed["exit_code"], failed["error"]) == ("two", 3, "=bad two")
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["exit_code"]) == (2, 1, 3)
    code, out, _ = meshcli("batch", "none.csv", "--out", "out", "--json")
    assert (code, json.loads(out)["error"]) == (3, "there is no list of objects none.csv")
    code, out, _ = meshcli("batch", "list.csv", "--out", "out", "--json", "--dry-run")
    assert [json.loads(line)["what"] for line in out.splitlines()] == ["leave, failed before", *["skip, done"] * 2]
    Path("list.csv").write_text("name,photos\none,1.png\ntwo,9.png\n", encoding="utf-8")
    code, out, _ = meshcli("batch", "list.csv", "--out", "out", "--json")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["problem", "error"]


def test_an_interrupted_batch_says_what_came_of_each(runner: FakeRunner, meshcli: Call) -> None:
    runner.trouble = {"two": 143}
    code, out, said = meshcli("batch", "list.csv", "--out", "out")
    assert (code, out) == (143, "")
    assert "1 of 3 objects are done" in said
    assert said.splitlines()[-2:] == [
        "out/batch.csv says what came of each so far",
        "error: interrupted; the same command goes on from what is finished",
    ]
    assert [row["state"] for row in table()] == ["done", "not started", "not started"]
    assert "1 of 3 finished" in Path("out/report.html").read_text("utf-8")
    events = [json.loads(line) for line in meshcli("batch", "list.csv", "--out", "out", "--json")[1].splitlines()]
    assert (events[-1]["event"], events[-1]["done"], events[-1]["exit_code"]) == ("end", 1, 143)


def test_a_batch_that_cannot_go_on_says_what_came_of_each(runner: FakeRunner, meshcli: Call) -> None:
    runner.trouble = {"one": -75}
    code, _, said = meshcli("batch", "list.csv", "--out", "out")
    assert (code, said.splitlines()[-1]) == (75, "error: no worker can be started")
    assert not Path("out/batch.csv").exists()  # nothing was begun
    runner.trouble = {"two": -75}
    code, out, _ = meshcli("batch", "list.csv", "--out", "out", "--json")
    assert (code, [json.loads(line)["event"] for line in out.splitlines()[-2:]]) == (75, ["end", "error"])
    assert [row["state"] for row in table()] == ["done", "not started", "not started"]


def test_status_of_a_batch(runner: FakeRunner, meshcli: Call) -> None:
    assert "is no batch yet" in meshcli("batch", "status", "out")[2]
    runner.trouble = {"two": 130}
    assert meshcli("batch", "list.csv", "--out", "out")[0] == 130
    shutil.copytree(runner.finished, "out/Drei ü")  # by another program
    code, out, _ = meshcli("batch", "status", "out")
    assert code == 0
    assert out.splitlines() == [f"3 objects of {Path('list.csv').absolute()}: 2 done, 1 not started"]
    rows = [json.loads(line) for line in meshcli("batch", "status", "out", "--json")[1].splitlines()]
    assert [(row["name"], row["state"], row["score"]) for row in rows] == [
        ("one", "done", 0.9), ("two", "not started", None), ("Drei ü", "done", 0.9),
    ]  # fmt: skip
    Path("status").mkdir()
    shutil.copy("1.png", "status/1.png")
    assert meshcli("batch", "./status", "--out", "out")[0] == 0
    assert runner.ran[-1] == "1"


def test_folders_that_cannot_be_written(runner: FakeRunner, meshcli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "say where the projects go" in meshcli("batch", "list.csv")[2]
    assert meshcli("batch", "list.csv", "--out", "1.png")[:2] == (2, "")
    assert "is a project itself" in meshcli("batch", "list.csv", "--out", "made")[2]
    Path("out").mkdir()
    Path("out/batch.csv").write_text("mine")
    assert "is no table of meshcli's" in meshcli("batch", "list.csv", "--out", "out")[2]
    Path("out/batch.csv").unlink()

    def full(files: object) -> None:
        raise OSError(28, "No space left on device")

    for what in ("write_files", "BatchFolder._refuse_read_only"):
        with monkeypatch.context() as patch:
            patch.setattr(f"meshcli.batch.batch_folder.{what}", full)
            code, _, said = meshcli("batch", "list.csv", "--out", "new/folder")
        assert (code, said.count("\n"), "the disk of new/folder is full" in said) == (75, 1, True)
        assert not Path("new").exists()
    assert runner.ran == []


def test_a_job_file_has_the_flags_of_the_batch(runner: FakeRunner, meshcli: Call) -> None:
    code, out, _ = meshcli(
        "batch", "list.csv", "--out", "out", "--template", "slurm", "--shards", "4", "--config", "quick"
    )
    assert (code, runner.ran, Path("out").exists()) == (0, [], False)
    assert "--config=quick" in out
    assert "list.csv" in out

"""`meshcli batch` with lists, photos and projects at URLs, with a runner that stages finished projects in."""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from meshcli.batch.batch_folder import BatchFolder
from meshcli.batch.object_list import BatchFlags, check_list
from meshcli.batch.staging import run_staged
from meshcli.batch.storage import Storage
from meshcli.batch.tasks import BatchObject, Report, StageResult
from meshcli.errors import InputError
from meshcli.project.manifest import Stage

pytest.importorskip("fsspec", reason="fsspec is not installed")
Call = Callable[..., tuple[int, str, str]]


class StagingRunner:
    """Copies a finished project for each object, in storage by staging; `trouble` has exit codes by object."""

    def __init__(self, finished: Path) -> None:
        self.finished = finished
        self.trouble: dict[str, int] = {}
        self.ran: list[str] = []

    def run(self, objects: Iterable[BatchObject], report: Report) -> None:
        for item in objects:
            self.ran.append(item.name)
            for stage in item.stages:
                result = run_staged(self._stage, item, stage)
                report(result)
                if result.failed:
                    break

    def _stage(self, item: BatchObject, stage: Stage) -> StageResult:
        if code := self.trouble.get(item.name, 0):
            return StageResult(item.name, stage, code, error=f"bad {item.project}", tries=1)
        shutil.copytree(self.finished, item.project, dirs_exist_ok=True)
        return StageResult(item.name, stage, seconds=1.5, tries=1)


@pytest.fixture
def runner(
    called: Callable[[Any], Any], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StagingRunner:  # fmt: skip
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    return called(StagingRunner(made))


@pytest.fixture
def out(tmp_path: Path) -> str:
    return f"file://{tmp_path}/there"


def test_calls_again_do_what_is_left(runner: StagingRunner, meshcli: Call, out: str, tmp_path: Path) -> None:
    runner.trouble = {"two": 3}
    code, printed, said = meshcli("batch", "list.csv", "--out", out)
    assert (code, printed) == (3, f"{out}/batch.csv\n{out}/report.html\n")
    assert f"two: generate failed (exit code 3): bad {out}/two" in said
    table = list(csv.DictReader(io.StringIO(Path("there/batch.csv").read_text("utf-8"))))
    assert [(row["object"], row["state"]) for row in table] == [("one", "done"), ("two", "failed"), ("Drei ü", "done")]
    page = Path("there/report.html").read_text("utf-8")
    assert "2 of 3 finished" in page
    assert page.count("data:image/") == 2, "a picture of each finished object"
    assert f"bad {out}/two" in page

    assert meshcli("batch", "list.csv", "--out", out)[0] == 3
    assert runner.ran == ["one", "two", "Drei ü"]
    runner.trouble = {}
    assert meshcli("batch", "list.csv", "--out", out, "--retry-failed", "--only", "t*")[0] == 0
    assert runner.ran[3:] == ["two"]
    code, printed, _ = meshcli("batch", "status", out)
    assert (code, printed) == (0, f"3 objects of {tmp_path}/list.csv: 3 done\n")
    shutil.rmtree("there/one")
    Path("there/.batch/objects/two.json").unlink()  # its manifest counts then
    rows = [json.loads(line) for line in meshcli("batch", "status", out, "--json")[1].splitlines()]
    assert [(row["name"], row["project"], row["state"]) for row in rows] == [
        ("one", f"{out}/one", "not started"), ("two", f"{out}/two", "done"), ("Drei ü", f"{out}/Drei ü", "done"),
    ]  # fmt: skip
    assert meshcli("batch", "list.csv", "--out", out)[0] == 0
    assert runner.ran[4:] == ["one", "two"]
    for name in ("one", "two", "Drei ü"):
        files = {path.relative_to(runner.finished) for path in runner.finished.rglob("*") if path.name != ".lock"}
        there = tmp_path / "there" / name
        assert {path.relative_to(there) for path in there.rglob("*")} == files
    assert not list(Path("scratch").iterdir())


def test_records_are_read_from_one_file(
    runner: StagingRunner, meshcli: Call, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.batch.storage_folder.MANY", 2)
    meshcli("batch", "list.csv", "--out", out)
    assert Path("there/.batch/records.jsonl").read_text("utf-8").count("\n") == 3
    read: list[str] = []
    read_all = Storage.read_all

    def noted(self: Storage, names: Iterable[str]) -> dict[str, bytes]:
        listed = list(names)
        read.extend(name for name in listed if name.startswith(".batch"))
        return read_all(self, listed)

    monkeypatch.setattr(Storage, "read_all", noted)
    assert meshcli("batch", "list.csv", "--out", out)[0] == 0
    assert (read, len(runner.ran)) == ([], 3)
    Path("there/.batch/records.jsonl").write_text("damaged\n[1]\n{}\n")
    assert meshcli("batch", "list.csv", "--out", out)[0] == 0
    assert (len(read), len(runner.ran)) == (3, 3)
    assert Path("there/.batch/records.jsonl").read_text("utf-8").count("\n") == 3, "it is made anew"


def test_a_list_and_its_photos_in_storage(runner: StagingRunner, meshcli: Call, out: str, tmp_path: Path) -> None:
    for name in ("one/1.png", "one/2.png", "two/10.png", "two/9.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("1.png", tmp_path / "in" / name)
    rows = f"name,photos\none,one/*.png\ntwo,two/10.png@45; {tmp_path.as_uri()}/in/two/9.png@90\n"
    (tmp_path / "in" / "list.csv").write_text(rows)
    url = f"file://{tmp_path}/in"
    code, printed, _ = meshcli("batch", f"{url}/list.csv", "--out", "here", "--dry-run", "--json")
    plans = [json.loads(line) for line in printed.splitlines()]
    assert (code, [plan["words"] for plan in plans]) == (
        0, [[f"{url}/one/1.png", f"{url}/one/2.png"], [f"{url}/two/10.png@45", f"{url}/two/9.png@90"]],
    )  # fmt: skip
    assert meshcli("batch", f"{url}/list.csv", "--out", out)[0] == 0
    assert meshcli("batch", f"{url}/list.csv", "--out", out)[0] == 0
    assert runner.ran == ["one", "two"]
    (tmp_path / "in" / "two" / "9.png").write_bytes(Path("2.png").read_bytes())
    assert meshcli("batch", f"{url}/list.csv", "--out", out)[0] == 0
    assert runner.ran == ["one", "two", "two"], "another photo of this name"
    assert meshcli("batch", "status", out)[1].startswith(f"2 objects of {url}/list.csv: 2 done")
    folder = check_list(url, Path("out"), BatchFlags())
    assert [(item.name, item.words) for item in folder.objects] == [
        ("one", (f"{url}/one/1.png", f"{url}/one/2.png")), ("two", (f"{url}/two/9.png", f"{url}/two/10.png")),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [2, 12])  # folders listed one by one, and all at once
def test_patterns_in_storage(tmp_path: Path, count: int) -> None:
    storage = Storage(f"memory://{tmp_path}/in")
    for number in range(count):
        for name in ("p1.jpg", "p2.jpg", "notes.txt", ".hidden.jpg"):
            storage.write(f"{number}/{name}", b"x")
    storage.write("0/empty.jpg", b"")
    rows = "".join(f"n{number},{storage.url}/{number}/p*.jpg\n" for number in range(count))
    more = (
        f"all,{storage.url}/*/p1.jpg\nfolder,{storage.url}/1\nnone,{storage.url}/1/q*.jpg\n"
        f"gone,{storage.url}/1/9.jpg\nempty,{storage.url}/0/empty.jpg\n"
    )
    (tmp_path / "list.csv").write_text(f"name,photos\n{rows}{more}")
    found = check_list(tmp_path / "list.csv", Path("out"), BatchFlags())
    words = {item.name: item.words for item in found.objects}
    assert words["n1"] == words["folder"] == (f"{storage.url}/1/p1.jpg", f"{storage.url}/1/p2.jpg")
    assert words["all"] == tuple(f"{storage.url}/{number}/p1.jpg" for number in range(count))
    assert len(words) == count + 2
    assert all(len(item.stamps) == len(item.words) for item in found.objects)
    assert [str(problem).partition(": ")[2] for problem in found.problems] == [
        f"none: no picture fits {storage.url}/1/q*.jpg", f"gone: there is no photo {storage.url}/1/9.jpg",
        f"empty: {storage.url}/0/empty.jpg is an empty file",
    ]  # fmt: skip


def test_what_is_wrong_is_said_before_work_starts(
    runner: StagingRunner, meshcli: Call, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str, code: int) -> str:
        ended, printed, told = meshcli("batch", *words)
        assert (ended, printed, told.count("\n"), runner.ran) == (code, "", 1, [])
        return told

    assert "ends with this process" in said("list.csv", "--out", "memory://out", code=2)
    assert "there is no kind of storage" in said("list.csv", "--out", "nope://out", code=2)
    assert "share folders" in said("list.csv", "--out", out, "--template", "slurm", code=2)
    assert "there is no list of objects" in said(f"{out}/list.csv", "--out", "here", code=3)
    assert "is no batch yet" in said("status", out, code=2)
    Path("there").mkdir()
    Path("there/batch.csv").write_text("mine")
    assert "is no table of meshcli's" in said("list.csv", "--out", out, code=2)
    Path("there/batch.csv").unlink()
    Path("there/report.html").write_text("mine")
    assert "is no page of meshcli's" in said("list.csv", "--out", out, code=2)
    assert "is a project itself" in said("list.csv", "--out", f"file://{runner.finished}", code=2)

    def refuse(self: Storage, folder: str = "") -> None:
        raise PermissionError("Unable to locate credentials")

    Path("there/report.html").unlink()
    monkeypatch.setattr(Storage, "names", refuse)
    with pytest.raises(InputError, match="credentials"):
        check_list(f"{out}/list.csv", Path("out"), BatchFlags())


def test_a_storage_that_keeps_nobody_apart_is_named(
    runner: StagingRunner, meshcli: Call, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrites(self: Storage, name: str, data: bytes) -> bool:
        self.write(name, data)
        return True

    monkeypatch.setattr(Storage, "create", overwrites)
    code, _, said = meshcli("batch", "list.csv", "--out", out)
    assert (code, f"{out} cannot keep two programs apart: make sure that nobody else works on it" in said) == (0, True)


def test_a_folder_asks_no_storage(tmp_path: Path) -> None:
    folder, item = BatchFolder(tmp_path), BatchObject("desk", tmp_path / "desk")
    assert (folder.placed(item), folder.warnings(), folder.place("a")) == (item, [], f"{tmp_path}/a")

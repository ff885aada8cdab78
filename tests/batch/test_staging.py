"""Stages of objects whose project or photos lie in storage."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.batch.claims import is_taken, take
from meshcli.batch.scratch import PREFIX, scratch_folder
from meshcli.batch.staging import run_staged
from meshcli.batch.storage import Storage
from meshcli.batch.stored_projects import opened, record_before, stage_record
from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.errors import ResourceError
from meshcli.project.manifest import Manifest, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.system.processes import Interrupted

pytest.importorskip("fsspec", reason="fsspec is not installed")
RunStage = Callable[[BatchObject, Stage], StageResult]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scratch folders are made; empty when a test ends."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(f"{request.param}://{tmp_path}/out")


def desk(storage: Storage, *words: str) -> BatchObject:
    return BatchObject("desk", Path("desk"), words, ("generate", "render"), storage=storage.url, driver="driver")


def writes(files: dict[str, str], code: int = 0, error: str = "") -> RunStage:
    """A stage that writes files, and then its record."""

    def run(item: BatchObject, stage: Stage) -> StageResult:
        project = Project(item.project)
        project.create()
        manifest = project.load() if project.exists else Manifest()
        outputs = tuple(project.write({name: text.encode() for name, text in files.items()}))
        project.save(manifest.with_record(stage, StageRecord("done", outputs=outputs)))
        return StageResult(item.name, stage, code, error=error.format(item.project), tries=1)

    return run


def test_a_project_goes_from_stage_to_stage(storage: Storage, scratch: Path) -> None:
    item = desk(storage)
    assert run_staged(writes({"views/00.png": "one"}), item, "generate").exit_code == 0
    seen: list[bool] = []

    def second(here: BatchObject, stage: Stage) -> StageResult:
        seen.append((here.project / "views/00.png").read_text() == "one")
        (here.project / "views/00.png").unlink()
        return writes({"renders/front.png": "two"})(here, stage)

    failed = StageResult("desk", "render", 3, error="{}")
    assert not run_staged(second, item, "render").failed
    assert seen == [True]
    assert sorted(storage.files("desk")) == ["manifest.json", "renders/front.png"]
    record = stage_record(item, "render")
    assert record
    assert record.status == "done"
    assert not is_taken(storage, "desk")
    said = run_staged(writes({}, failed.exit_code, "{}/views: no such"), item, "render")
    assert said.error == f"{storage.url}/desk/views: no such", "no path of the scratch folder is named"
    assert not list(scratch.iterdir())


def test_only_what_has_changed_is_sent_and_the_manifest_last(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    item, sent = desk(storage), []
    run_staged(writes({"views/a": "1", "views/b": "2"}), item, "generate")
    put, write = Storage.put, Storage.write

    def noted_put(self: Storage, files: dict[str, Path]) -> None:
        sent.extend(files)
        put(self, files)

    def noted_write(self: Storage, name: str, data: bytes) -> None:
        sent.extend([name] if name.startswith("desk/") else [])
        write(self, name, data)

    monkeypatch.setattr(Storage, "put", noted_put)
    monkeypatch.setattr(Storage, "write", noted_write)
    run_staged(writes({"views/b": "22", "views/c": "3"}), item, "render")
    assert (sorted(sent[:-1]), sent[-1]) == (["desk/views/b", "desk/views/c"], "desk/manifest.json")


def test_a_crash_in_between_leaves_no_manifest_that_names_what_is_not_there(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    """The storage fails while files are sent; the next try sends all of it."""
    item = desk(storage)
    run_staged(writes({"views/a": "1"}), item, "generate")
    with monkeypatch.context() as patched:

        def fail(self: Storage, files: dict[str, Path]) -> None:
            raise ResourceError(f"{self.url} cannot be reached: broken pipe")

        patched.setattr(Storage, "put", fail)
        result = run_staged(writes({"views/b": "2"}), item, "render")
    assert (result.exit_code, result.tries, "broken pipe" in result.error) == (75, 1, True)
    with opened(item) as project:
        named = project.load().listed_files
    assert set(named) == {"views/a"} <= set(storage.files("desk"))
    assert not is_taken(storage, "desk")
    assert not list(scratch.iterdir())
    assert run_staged(writes({"views/b": "2"}), item, "render").exit_code == 0
    assert storage.read("desk/views/b") == b"2"


def test_a_full_disk_here_is_told_and_nothing_is_lost(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    item = desk(storage)
    run_staged(writes({"views/a": "1"}), item, "generate")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Storage, "get", full)
    result = run_staged(writes({"views/b": "2"}), item, "render")
    assert (result.exit_code, "is full" in result.error) == (75, True)
    assert sorted(storage.files("desk")) == ["manifest.json", "views/a"]
    assert not is_taken(storage, "desk")


def test_an_object_that_another_works_on_is_left_alone(storage: Storage) -> None:
    assert take(storage, "desk", "other")
    result = run_staged(writes({"views/a": "1"}), desk(storage), "generate")
    assert (result.exit_code, result.locked) == (5, True)
    assert f"{storage.url}/desk is being written by another meshcli" in result.error
    assert not storage.files("desk")


def test_what_another_has_taken_meanwhile_is_not_written(storage: Storage) -> None:
    def slow(item: BatchObject, stage: Stage) -> StageResult:
        storage.remove([f".batch/claims/{name}" for name in storage.names(".batch/claims")])
        assert take(storage, "desk", "other")
        return writes({"views/a": "1"})(item, stage)

    result = run_staged(slow, desk(storage), "generate")
    assert (result.exit_code, result.locked) == (5, True)
    assert not storage.files("desk")
    assert is_taken(storage, "desk")


def test_records_are_sent_while_a_stage_runs_and_what_is_finished_when_it_is_interrupted(
    storage: Storage, scratch: Path
) -> None:
    item = desk(storage)

    def interrupted(here: BatchObject, stage: Stage) -> StageResult:
        project = Project(here.project)
        project.create()
        project.save(Manifest().with_record(stage, StageRecord("running", tries=2)))
        record = stage_record(replace(item, project=scratch.parent / "driver"), stage)
        assert record
        assert (record.status, record.tries) == ("running", 2)
        project.write({"views/a.unfinished": b"half"})
        raise Interrupted(15)

    with pytest.raises(Interrupted):
        run_staged(interrupted, item, "generate")
    assert storage.read("desk/views/a.unfinished") == b"half"
    assert not is_taken(storage, "desk")
    assert not list(scratch.iterdir())


def test_photos_are_there_for_the_stage_that_reads_them(storage: Storage, tmp_path: Path) -> None:
    for name in ("in/a/1.png", "in/b/1.png", "in/b/cameras.json", "rig/cameras.bin"):
        storage.write(name, name.encode())
    words = ("--azimuth=0,90", f"--rig={storage.url}/rig", f"{storage.url}/in/a/1.png@45", f"{storage.url}/in/b/1.png")
    seen: list[tuple[str, ...]] = []

    def look(item: BatchObject, stage: Stage) -> StageResult:
        seen.append(item.words)
        if stage == "generate":
            rig, first, second = item.words[1].partition("=")[2], item.words[2], Path(item.words[3])
            assert Path(rig, "cameras.bin").read_bytes() == b"rig/cameras.bin"
            assert first.endswith("in/a/1.png@45")
            assert Path(first.removesuffix("@45")).read_bytes() == b"in/a/1.png"
            assert second.read_bytes() == b"in/b/1.png"
            assert second.with_name("cameras.json").read_bytes() == b"in/b/cameras.json"
        return StageResult(item.name, stage)

    folder = BatchObject("desk", tmp_path / "desk", words)
    for item in (folder, desk(storage, *words)):
        assert not run_staged(look, item, "generate").failed
        assert not run_staged(look, item, "render").failed
    assert [len(each) for each in seen] == [4, 1, 4, 1]
    gone = replace(folder, words=(f"{storage.url}/in/9.png",))
    result = run_staged(look, gone, "generate")
    assert (result.exit_code, "9.png is not there" in result.error) == (3, True)


def test_the_folder_of_a_killed_process_goes_with_the_next(scratch: Path) -> None:
    code = (
        "import os, tempfile; from meshcli.batch.scratch import scratch_folder\n"
        f"tempfile.tempdir = {str(scratch)!r}\n"
        "with scratch_folder() as folder: (folder / 'big').write_bytes(b'x'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (left,) = scratch.glob(f"{PREFIX}*")
    with scratch_folder() as folder:
        assert not left.exists()
        with scratch_folder():
            assert folder.exists(), "one that is in use stays"
    assert not list(scratch.iterdir())


def test_the_driver_does_not_ask_for_records_of_new_projects(storage: Storage) -> None:
    item = replace(desk(storage), new=True)
    run_staged(writes({"views/a": "1"}), item, "generate")
    assert record_before(item, "generate", tried=False) is None
    assert record_before(item, "generate", tried=True)
    assert record_before(desk(storage), "generate", tried=False)

import errno
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.errors import ProjectError, UsageError
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.system.atomic_files import TEMPORARY_PREFIX, replacing, write_files

HOLD = """
import sys, time
from meshcli.project.project import Project
with Project(sys.argv[1]).write_lock(new=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(project: Project) -> "Iterator[subprocess.Popen[str]]":
    project.create()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_missing_project_says_how_to_start(project: Project) -> None:
    with pytest.raises(UsageError, match="meshcli generate"):
        project.load()
    assert not project.root.exists()


def test_a_file_in_place_of_the_directory_is_explained(photos: list[Path]) -> None:
    with pytest.raises(UsageError, match="project directory comes first"):
        Project(photos[0]).create()


def test_a_link_that_leads_outside_is_refused(project: Project, tmp_path: Path) -> None:
    project.create()
    outside = tmp_path / "outside"
    outside.mkdir()
    (project.root / "views").symlink_to(outside)
    with pytest.raises(ProjectError, match="leads out"):
        project.write({"views/00.png": b"x"})
    assert not list(outside.iterdir())
    (project.root / "views").unlink()
    (project.root / "mesh").mkdir()
    (project.root / "views").symlink_to("mesh")
    project.write({"views/00.png": b"x"})
    assert (project.root / "mesh" / "00.png").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["manifest.json", ".lock"])
def test_our_own_files_may_not_be_links_outside_either(project: Project, tmp_path: Path, name: str) -> None:
    project.create()
    victim = tmp_path / "victim"
    victim.write_text("{}")
    (project.root / name).symlink_to(victim)
    with pytest.raises(ProjectError, match="leads out"), project.write_lock(new=True):
        project.save(Manifest())
    assert victim.read_text() == "{}"


def test_a_second_writer_exits_or_waits(project: Project, holder: "subprocess.Popen[str]") -> None:
    assert project.is_locked()
    with pytest.raises(ProjectError, match="--wait"), project.write_lock(new=True):
        pass
    assert holder.stdin is not None
    holder.stdin.close()
    with project.write_lock(wait=True, new=True):
        pass
    assert not project.is_locked()


def test_the_lock_of_a_killed_process_is_free(project: Project, holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()
    assert not project.is_locked()
    with project.write_lock(new=True):
        pass


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(project: Project) -> None:
    project.create()
    (project.root / "views").mkdir()
    left, kept = project.root / "views" / f"{TEMPORARY_PREFIX}0123456789ab-00.png", project.root / "views" / "mine.png"
    left.touch()
    kept.touch()
    with project.write_lock(new=True):
        pass
    assert not left.exists()
    assert kept.exists()


def test_files_appear_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files({tmp_path / "a": b"old", tmp_path / "b": b"old"})
    calls = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_a_program_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def film() -> None:
        with replacing(path) as temporary:
            assert temporary.suffix == ".mp4"
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        film()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_the_manifest_is_plain_json(project: Project) -> None:
    project.create()
    with project.write_lock(new=True):
        project.save(Manifest())
    assert json.loads((project.root / "manifest.json").read_text())["meshcli"] == 1
    assert project.load() == Manifest()


def test_a_manifest_is_read_as_it_is_now(project: Project) -> None:
    """Also where neither size nor time of the file have changed since it was read last."""
    project.create()
    path = project.root / "manifest.json"
    with project.write_lock(new=True):
        project.save(replace(Manifest(), scored="first"))
    assert project.load().scored == "first"
    before = path.stat()
    path.write_text(path.read_text().replace("first", "other"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.load().scored == "other"


def test_a_directory_named_by_mistake_stays_clean(tmp_path: Path) -> None:
    with pytest.raises(UsageError), Project(tmp_path).write_lock():
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks"), NotImplementedError()])
def test_a_disk_without_locks_is_reported_and_used(
    project: Project, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    project.create()
    said: list[str] = []
    with project.write_lock(tell=said.append, new=True):
        project.save(Manifest())
    assert "without locks" in said[0]
    assert project.exists


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_lock_that_is_no_file_is_neither_opened_nor_emptied(kind: str, project: Project, tmp_path: Path) -> None:
    project.create()
    project.save(Manifest())
    project.write({"photos/a.png": b"precious"})
    lock = project.root / ".lock"
    if kind == "link":
        lock.symlink_to(project.root / "photos" / "a.png")
    else:
        lock.mkdir() if kind == "folder" else os.mkfifo(lock)
    with pytest.raises(ProjectError, match="is not a file; remove it"), project.write_lock():
        pass
    with pytest.raises(ProjectError, match="is not a file; remove it"):
        project.is_locked()
    assert (project.root / "photos" / "a.png").read_bytes() == b"precious"


def test_a_broken_manifest_is_copied_once_for_each_content(project: Project) -> None:
    project.create()
    for broken in ("{", "{", "[", "["):
        (project.root / "manifest.json").write_text(broken)
        with (
            pytest.raises(
                ProjectError, match=r"mend it, or start again in another DIR \(a copy is manifest.json.broken-"
            ),
            project.write_lock(),
        ):
            pass
        assert (project.root / "manifest.json").read_text() == broken
    copies = {path.name: path.read_text() for path in project.root.glob("*.broken-*")}
    assert copies == {"manifest.json.broken-1": "{", "manifest.json.broken-2": "["}


def test_a_broken_manifest_is_reported_where_nothing_can_be_copied(project: Project, tmp_path: Path) -> None:
    project.create()
    (tmp_path / "elsewhere").write_text("{")
    (project.root / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProjectError, match="leads out of the project"), project.write_lock():
        pass
    (project.root / "manifest.json").unlink()
    (project.root / "manifest.json").write_text(json.dumps({"meshcli": 2}))  # nothing is broken
    with pytest.raises(ProjectError, match="newer meshcli"), project.write_lock():
        pass
    assert sorted(path.name for path in project.root.iterdir()) == [".lock", "manifest.json"]


def test_a_command_can_be_typed_as_it_is_said(tmp_path: Path) -> None:
    project = Project(tmp_path / "two words")
    assert shlex.split(project.command("select")) == ["meshcli", "select", str(project.root)]
    assert shlex.split(project.command("generate"))[-1] == "PHOTO..."


def test_a_users_own_file_called_lock_is_refused_and_kept(project: Project) -> None:
    project.create()
    lock = project.root / ".lock"
    lock.write_text("my notes")
    for write in (lambda: project.write_lock(new=True).__enter__(), project.is_locked):
        with pytest.raises(UsageError, match=r"\.lock is not meshcli's"):
            write()
    assert lock.read_text() == "my notes"
    lock.write_text("")
    with project.write_lock(new=True):
        assert lock.read_bytes() == b""

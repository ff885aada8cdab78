"""What may happen to a project between two commands and in the middle of one; the same command always goes on.

`run` in one process, with engines that take no time. Whole processes that are killed are in bench/test_kills.py.
"""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers import fake_engines
from helpers.cli_processes import error_lines
from helpers.project_templates import ProjectTemplates
from meshcli.commands.cli import main
from meshcli.project.project import Project
from meshcli.stages.status import read_status
from meshcli.system import atomic_files
from meshcli.system.digests import file_digest

Run = Callable[..., int]
RUN = ["run", "desk", "1.png", "2.png", "--azimuth=0,40", "--generator=sculpt", "--reconstructor=fit"]
SMALL = ["--set=texture.size=16", "--set=sculpt.view_size=96"]
VERBS = [["generate", "desk"], ["select", "desk", "--auto"], ["reconstruct", "desk"], ["render", "desk"]]


@pytest.fixture
def run(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, the same each time unless more is said; its exit code."""

    def child(line: Sequence[str], capture: bool = False) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = main(line)
        return code, output.getvalue()

    def call(*words: str) -> int:
        return main([*(words or RUN), *(SMALL if words[:1] in ((), ("run",), ("generate",), ("reconstruct",)) else ())])

    for name, module in fake_engines.modules(exports=True).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    monkeypatch.setattr("meshcli.stages.generate.lacking", lambda *_: "weights")
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def whole(run: Run, templates: ProjectTemplates) -> dict[str, str]:
    """The files of a project to which nothing happened; it is called desk."""

    def make() -> None:
        assert run() == 0

    templates.make("whole", Path("desk"), make)
    return files()


def files() -> dict[str, str]:
    """Everything but the manifest, the log and the lock, with its sha256."""
    others = ("manifest.json", "log.txt", ".lock")
    paths = [path for path in Path("desk").rglob("*") if path.is_file() and path.name not in others]
    return {path.as_posix(): file_digest(path) for path in paths}


def states() -> set[str]:
    return {status.state for status in read_status(Project("desk")).stages}


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The error lines so far; nothing else may look like trouble."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return error_lines(said)


@pytest.mark.slow
def test_the_disk_is_full_at_every_file_that_is_written(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, room = os.fsync, [0]

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            return
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    Path("desk").rename("finished")
    files_written = 0
    while True:  # always one file further: what was finished is kept, or else this would not end
        room[0] = files_written
        code = run()
        if code == 0:
            break
        assert code == 75
        assert ["is full" in line for line in errors(capsys)] == [True]
        assert not list(Path("desk").rglob(".tmp*"))
        files_written += 1
        assert files_written < 200
    assert files_written > 15
    assert files() == whole


@pytest.mark.slow
def test_any_deleted_file_is_restored(run: Run, whole: dict[str, str]) -> None:
    for name in [*whole, "desk/.lock"]:
        Path(name).unlink()
        assert run() == 0, name
        assert files() == whole, name
        assert states() == {"done"}, name


def test_without_its_manifest_nothing_is_meshclis_and_nothing_is_overwritten(
    run: Run, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("desk/manifest.json").rename("manifest.json")
    assert run() == 2
    (line,) = errors(capsys)
    assert "mesh/mesh.glb" in line
    assert f"and {len(whole) - 2 - 5} more" in line  # the copies of the two photos would not be overwritten
    assert files() == whole
    Path("manifest.json").rename("desk/manifest.json")
    assert run() == 0
    assert states() == {"done"}


def test_any_deleted_folder_is_restored(run: Run, whole: dict[str, str]) -> None:
    for name in ("photos", "views", "mesh", "renders"):
        shutil.rmtree(Path("desk") / name)
        assert run() == 0, name
        assert files() == whole, name


@pytest.mark.slow
def test_any_file_that_is_overwritten_is_one_line_at_most_and_can_be_deleted(
    run: Run, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in whole:
        Path(name).write_bytes(b"no picture")
        code = run()
        assert len(errors(capsys)) == (code != 0), name
        assert code in (0, 3, 5), name
        Path(name).unlink()
        assert run() == 0, name
        assert files() == whole, name


def test_a_view_that_is_edited_while_its_mesh_is_made_makes_it_anew(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = Path("desk/views/03.png")
    original, other = view.read_bytes(), Path("desk/views/04.png").read_bytes()
    fit = sys.modules["meshcli.reconstructors.fit"].fit

    def slow_fit(*arguments: Any) -> Any:
        view.write_bytes(other)
        return fit(*arguments)

    monkeypatch.setattr(sys.modules["meshcli.reconstructors.fit"], "fit", slow_fit)
    assert run("reconstruct", "desk", "--force") == 0
    assert states() == {"done", "stale"}
    monkeypatch.setattr(sys.modules["meshcli.reconstructors.fit"], "fit", fit)
    assert run("run", "desk") == 0
    assert states() == {"done"}
    view.write_bytes(original)
    assert run() == 0
    assert files() == whole


def test_a_cut_out_that_is_edited_while_its_views_are_painted_paints_them_anew(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_out = Path("desk/photos/a.png")
    sculpt = sys.modules["meshcli.generators.sculpt.sculpt"].sculpt

    def slow_sculpt(*arguments: Any) -> Any:
        pixels = np.array(Image.open(cut_out))
        pixels[..., :3] = 90
        Image.fromarray(pixels).save(cut_out)
        return sculpt(*arguments)

    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", slow_sculpt)
    assert run("generate", "desk", "--force", "--engine=sculpt") == 0
    assert "stale" in states()
    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", sculpt)
    assert run() == 0
    assert states() == {"done"}
    assert files()["desk/views/00.png"] != whole["desk/views/00.png"]
    cut_out.unlink()
    assert run() == 0
    assert files() == whole


@pytest.mark.parametrize("vanishes", [False, True])
def test_a_photo_that_changes_while_it_is_copied_is_consistent(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], vanishes: bool
) -> None:
    Path("desk").rename("finished")
    photo, before, other = Path("2.png"), Path("2.png").read_bytes(), Path("3.png").read_bytes()
    write_files = atomic_files.write_files

    def changing(named: dict[Path, bytes]) -> None:
        write_files(named)
        if any("b.original" in path.name for path in named):
            photo.unlink()
            if not vanishes:
                photo.write_bytes(other)

    monkeypatch.setattr("meshcli.project.project.write_files", changing)
    assert run() == 3
    assert "2.png" in errors(capsys)[0]
    monkeypatch.setattr("meshcli.project.project.write_files", write_files)
    photo.write_bytes(before)
    assert run() == 0
    assert files() == whole


def test_the_project_vanishes_in_the_middle(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sculpt = sys.modules["meshcli.generators.sculpt.sculpt"].sculpt

    def gone(*arguments: Any) -> Any:
        shutil.rmtree("desk")
        return sculpt(*arguments)

    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", gone)
    code = run("generate", "desk", "--force", "--engine=sculpt")
    assert code in (0, 3, 5)
    assert len(errors(capsys)) == (code != 0)
    assert "done" not in states()
    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", sculpt)
    assert run() == 0
    assert files() == whole


def test_clocks_and_dates_of_files_do_not_matter(
    run: Run, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch, engine_calls: dict[str, int]
) -> None:
    monkeypatch.setattr("meshcli.stages.stage_runner.utc_timestamp", lambda: "1980-01-01T00:00:00+00:00")
    counts = dict(engine_calls)
    for seconds in (0, 4e9):  # 1970 and 2096
        for path in Path("desk").rglob("*"):
            os.utime(path, (seconds, seconds))
        assert run() == 0
        assert states() == {"done"}
    assert engine_calls == counts
    Path("desk/mesh/mesh.glb").unlink()
    assert run() == 0
    assert Project("desk").load().stages["reconstruct"].finished < Project("desk").load().stages["generate"].finished
    assert states() == {"done"}
    assert files() == whole


@contextmanager
def mounted(*words: str) -> Iterator[None]:
    """Something mounted at desk; a reason to skip where this is not allowed."""
    Path("desk").mkdir(exist_ok=True)
    try:
        done = subprocess.run(["mount", *words, "desk"], capture_output=True, text=True, check=False)  # noqa: S607
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "desk"], check=True)  # noqa: S607


@contextmanager
def read_only() -> Iterator[None]:
    """The project cannot be written to; for root, who may write everywhere, it is mounted so."""
    if os.geteuid() == 0:
        with mounted("--bind", "desk"):
            subprocess.run(["mount", "-o", "remount,bind,ro", "desk"], check=True)  # noqa: S607
            yield
        return
    paths = [Path("desk"), *Path("desk").rglob("*")]
    try:
        for path in paths:
            path.chmod(0o555)
        yield
    finally:
        for path in paths:
            path.chmod(0o755)


@pytest.mark.slow
def test_a_small_disk_fills_and_grows(
    run: Run, whole: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.stages.preflight.require_room", lambda *_: None)  # the fake mesh has twelve faces
    shutil.rmtree("desk")
    codes = []
    with mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        for size in range(16, 4096, 16):
            subprocess.run(["mount", "-o", f"remount,size={size}k", "desk"], check=True)  # noqa: S607
            codes.append(run())
            assert len(errors(capsys)) == (codes[-1] != 0)
            assert run("status", "desk") in (0, 2)
            if codes[-1] == 0:
                break
        assert files() == whole
        assert not list(Path("desk").rglob(".tmp*"))
    assert set(codes) == {0, 75}
    assert len(codes) > 5


def test_a_read_only_project_is_one_line_and_stays_as_it_is(
    run: Run, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = Path("desk/manifest.json").read_bytes()
    with read_only():
        for verb in [RUN, *VERBS]:
            assert run(*verb, *(["--force"] if verb is not RUN else [])) == 5, verb
            (line,) = errors(capsys)
            assert "cannot be used: " in line
        assert run("status", "desk") == 0
        assert run("select", "desk", "--list") == 0
        assert run("run", "desk", "--dry-run") == 0
        assert states() == {"done"}
        assert run("run", "desk/new", "1.png") == 5
    assert files() == whole
    assert Path("desk/manifest.json").read_bytes() == manifest


def test_a_lock_that_is_a_folder_is_one_line(
    run: Run, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("desk/.lock").unlink()
    Path("desk/.lock").mkdir()
    assert run() == 5
    assert ".lock" in errors(capsys)[0]
    assert run("status", "desk") == 0

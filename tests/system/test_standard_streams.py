"""Standard streams that are closed, full, or read by nobody: the work is done, and messages go nowhere else."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.cli_processes import FAKE_MESHCLI
from helpers.project_templates import ProjectTemplates
from meshcli import __main__
from meshcli.commands import cli
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.status import read_status
from meshcli.system import standard_streams
from meshcli.system.digests import file_digest

PREPARED = "import os, sys; from meshcli.system import standard_streams; standard_streams.prepare(); "
CLOSED = {"input": "<&-", "output": ">&-", "error": "2>&-", "all": "<&- >&- 2>&-"}
PRINTING = [["--help"], ["models", "list"], ["status", "desk", "--json"], ["select", "desk", "--list"], ["--version"]]


@pytest.fixture
def desk(
    tmp_path: Path,
    photos: list[Path],
    engine_calls: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    templates: ProjectTemplates,
) -> Project:
    monkeypatch.chdir(tmp_path)
    project = Project("desk")
    ways = CameraArguments([0, 40])
    templates.make("two photos", project.root, lambda: generate_views(project, photos[:2], ways))
    return project


def called(line: Sequence[str], **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*FAKE_MESHCLI, *line], text=True, timeout=60, check=False, **more)


def redirected(words: str, *line: str) -> "subprocess.CompletedProcess[str]":
    """A command with a shell's redirections."""
    script = ["sh", "-c", f'exec "$0" "$@" {words}', *line]
    return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("line", PRINTING, ids=" ".join)
def test_nobody_reads(desk: Project, unread: int, line: list[str]) -> None:
    done = called(line, stdout=unread, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_reads_the_messages_either(desk: Project, unread: int) -> None:
    assert called(["models", "list"], stdout=unread, stderr=unread).returncode == 0
    assert called(["status", "none"], stdout=unread, stderr=unread).returncode == 2


@pytest.mark.slow
def test_a_closed_pipe_does_not_end_the_command(desk: Project, unread: int) -> None:
    line = ["run", "desk", "--to=select", "--generator=sculpt", "--force"]
    assert called(line, stdout=unread, stderr=unread).returncode == 0
    assert [status.state for status in read_status(desk).stages][:2] == ["done", "done"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("line", PRINTING, ids=" ".join)
def test_the_disk_of_the_output_is_full(desk: Project, line: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = called(line, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 75
        assert done.stderr.startswith("error: the disk of the output is full; ")
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_the_disk_of_the_messages_is_full(desk: Project) -> None:
    with Path("/dev/full").open("w") as full:
        for line, code in ((["select", "desk", "--auto", "--json"], 0), (["status", "none", "--json"], 2)):
            done = called(line, stdout=subprocess.PIPE, stderr=full)
            assert done.returncode == code
            assert json.loads(done.stdout).get("exit_code", 0) == code
        done = called(["status", "none", "--json"], stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)  # what is wrong, not that it cannot be said twice
        assert called(["status", "desk"], stdout=full, stderr=full).returncode == 75


@pytest.mark.slow
@pytest.mark.parametrize("which", ["error", "all"])
def test_a_whole_run_without_streams(desk: Project, which: str) -> None:
    line = ["run", "desk", "--generator=sculpt", "--reconstructor=fit", "--set=texture.size=16"]
    done = redirected(CLOSED[which], *FAKE_MESHCLI, *line)
    assert (done.returncode, done.stderr) == (0, "")
    assert {status.state for status in read_status(desk).stages} == {"done"}
    for record in desk.load().stages.values():  # no message is in any file
        assert all(file_digest(desk.path(output.file)) == output.sha256 for output in record.outputs)
    printed = [f"desk/{file}" for file in ("views/sheet.png", "mesh/mesh.glb", "renders/turntable.mp4")]
    assert done.stdout.splitlines() == ([] if which == "all" else printed)


@pytest.mark.parametrize(
    "line",
    [
        ["generate", "desk", "--force"], ["select", "desk", "--auto"], ["status", "desk"], ["align", "desk"],
        ["models", "list"], ["select", "desk"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_any_command_without_streams(desk: Project, line: list[str]) -> None:
    done = redirected(CLOSED["all"], *FAKE_MESHCLI, *line)
    refused = line in (["align", "desk"], ["select", "desk"])  # nothing to do; nobody to ask
    assert done.returncode == (2 if refused else 0)
    assert desk.load().active_photos


def test_files_do_not_get_the_numbers_of_streams(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    code = f"mine = open({str(path)!r}, 'w'); os.write(2, b'1'); sys.stderr.write('2'); print('3'); mine.write('x')"
    for words in CLOSED.values():
        done = redirected(words, sys.executable, "-c", PREPARED + code)
        assert done.returncode == 0
        assert path.read_text() == "x"


def test_children_have_streams_too() -> None:
    code = "os.execv(sys.executable, [sys.executable, '-c', 'import os; [os.fstat(number) for number in range(3)]'])"
    assert redirected(CLOSED["all"], sys.executable, "-c", PREPARED + code).returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_descriptor_that_does_not_wait(unbuffered: str) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    code = PREPARED + "print('x' * 1_000_000)"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", code], stdout=writer, env=environment) as process:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            assert len(pipe.read()) == 1_000_001
        assert process.wait() == 0


def test_a_program_around_us_keeps_its_streams(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    standard_streams.prepare()
    assert (sys.stdin, sys.stdout, sys.stderr) == before


def test_a_program_around_us_has_none(desk: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    for line, code in ((["status", "desk"], 0), (["status", "none"], 2), (["select", "desk"], 2), (["--help"], 0)):
        assert cli.main(line) == code
        assert cli.main([*line, "--json"][: len(line) + 1]) in (code, 2)


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(each, marks=pytest.mark.slow) for each in ("latin-1", "utf-8"))]
)
def test_names_that_the_output_cannot_encode(desk: Project, encoding: str) -> None:
    name = os.fsdecode("düsk€".encode() + b"\xff")
    desk.root.rename(name)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    line = [*FAKE_MESHCLI, "select", name, "--auto"]
    done = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=True)
    shown = {"ascii": b"d\\u00fcsk\\u20ac\xff", "latin-1": b"d\xfcsk\\u20ac\xff", "utf-8": os.fsencode(name)}
    assert done.stdout == shown[encoding] + b"/selection.png\n"
    done = subprocess.run([*line, "--json"], env=environment, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout.decode(encoding))["project"] == name


def test_another_system_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert __main__.main() == 4
    assert capsys.readouterr().err == "error: meshcli runs on Linux and macOS; on Windows, use it in WSL\n"

"""DIR/log.txt: appended to by several processes at once, rotated, and never in the way of anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshcli.project.log_file import HEADER, MAX_BYTES, LogEntry, append, last_failure
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project

WRITER = """
import sys
from pathlib import Path
from meshcli.project.log_file import LogEntry, append
for number in range(400):
    assert append(Path(sys.argv[1]), [LogEntry.now(int(sys.argv[2]), "-", f"{number} " + "x" * 100)])
"""


@pytest.fixture
def root(project: Project) -> Path:
    project.create()
    project.save(Manifest())
    return project.root


def entry(kind: str = "-", text: str = "a message", process: int = 7) -> LogEntry:
    return LogEntry("2026-01-02T03:04:05+00:00", process, kind, text)  # type: ignore[arg-type]


def test_two_processes_append_at_once(root: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(number)]) for number in (1, 2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    entries = [LogEntry.read(line) for line in (root / "log.txt").read_text().splitlines()[1:]]
    for process in (1, 2):
        numbers = [int(each.text.split()[0]) for each in entries if each and each.process == process]
        assert numbers == list(range(400))
    assert not list(root.glob(".tmp-*"))


def test_a_full_log_is_renamed(root: Path) -> None:
    append(root, [entry(text="the first")])
    with (root / "log.txt").open("ab") as file:
        file.write(b"x" * MAX_BYTES)
    assert append(root, [entry(text="the next")])
    assert b"the first" in (root / "log.1.txt").read_bytes()
    assert (root / "log.txt").read_bytes() == HEADER + f"{entry(text='the next')}\n".encode()


@pytest.mark.parametrize("content", [b"", b"the user's own\n"])
def test_a_file_of_the_user_stays(root: Path, content: bytes) -> None:
    (root / "log.txt").write_bytes(content)
    assert not append(root, [entry()])
    assert (root / "log.txt").read_bytes() == content
    assert last_failure(root) is None
    (root / "log.txt").write_bytes(HEADER + b"x" * MAX_BYTES)
    (root / "log.1.txt").write_bytes(content)
    assert not append(root, [entry()])
    assert (root / "log.1.txt").read_bytes() == content


def test_nothing_is_written_where_no_project_is(tmp_path: Path) -> None:
    assert not append(tmp_path / "nowhere", [entry()])
    assert not (tmp_path / "nowhere").exists()
    for text in ("", '{"manifest_version": 3, "name": "an extension of a browser"}'):
        (tmp_path / "manifest.json").write_text(text)
        assert not append(tmp_path, [entry()])
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_place_that_cannot_be_written(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(HEADER)
    (root / "log.txt").symlink_to(outside)
    assert not append(root, [entry()])
    assert outside.read_bytes() == HEADER
    (root / "log.txt").unlink()
    os.mkfifo(root / "log.txt")
    assert not append(root, [entry()])
    (root / "log.txt").unlink()
    (root / "log.txt").mkdir()
    assert not append(root, [entry()])


def test_the_last_failure_stands_until_something_succeeds(root: Path) -> None:
    append(root, [entry("$", "meshcli reconstruct desk"), entry("!", "no weights"), entry("=", "exit 4 after 1 s")])
    failure = last_failure(root)
    assert failure is not None
    assert (failure.command, failure.error, failure.exit_code) == ("reconstruct", "no weights", 4)
    append(root, [entry("$", "meshcli render desk", 8), entry("!", "killed", 8)])
    failure = last_failure(root)
    assert failure is not None
    assert (failure.command, failure.error, failure.exit_code) == ("render", "killed", None)
    append(root, [entry("=", "exit 0 after 2.0 s", 9)])
    assert last_failure(root) is None
    append(root, [entry("$", "meshcli run desk", 10), entry("=", "exit 4 after 2.0 s", 10)])
    failure = last_failure(root)
    assert failure is not None
    assert (failure.command, failure.error, failure.exit_code) == ("run", "exit code 4", 4)


def test_a_message_is_one_line() -> None:
    assert LogEntry.now(1, "-", "a\nb\x1b[31m\udc80").text == r"a\nb\x1b[31m\udc80"
    assert LogEntry.read("x" * 50) is None
    assert LogEntry.read(str(entry("!", "two  words"))) == entry("!", "two  words")

"""What commands leave in the log of their project, and what `status` makes of it."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.cli_processes import meshcli
from meshcli.commands.command_log import mask_secrets
from meshcli.project.log_file import LogEntry, append

Call = Callable[..., tuple[int, str, str]]


def entries(root: str = "desk") -> list[LogEntry]:
    header, *lines = Path(root, "log.txt").read_text().splitlines()
    assert header.startswith("# Log of a meshcli project")
    return [entry for entry in map(LogEntry.read, lines) if entry]


def test_a_command_from_its_line_to_its_end(command_line: Call) -> None:
    assert command_line("generate", "desk", "1.png", "-q")[0] == 0
    assert command_line("select", "desk", "--auto", "4")[0] == 0
    first, *middle, last = entries()
    assert (first.kind, first.text) == ("$", "meshcli generate desk 1.png -q")
    assert re.fullmatch(r"exit 0 after \d+\.\d s", last.text)
    told = [entry.text for entry in middle if entry.kind == "-"]
    assert any(text.startswith("engine sculpt (auto: ") for text in told)
    assert "meshcli select desk --auto 4" in [entry.text for entry in middle]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry.time) for entry in entries())


@pytest.mark.slow
def test_the_line_of_a_run_comes_before_those_of_its_steps(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert meshcli("run", "desk", "1.png", "--to", "select").returncode == 0
    lines = [entry.text.split()[1] for entry in entries() if entry.kind == "$"]
    assert lines == ["run", "generate", "select"]
    first, *_, last = entries()
    assert (first.process, last.kind) == (last.process, "=")
    assert "MESHCLI_WAITING_LOG" not in os.environ


def test_commands_that_change_nothing_leave_no_trace(command_line: Call) -> None:
    command_line("generate", "desk", "1.png")
    before = Path("desk/log.txt").read_bytes()
    for line in ("status desk", "generate desk --dry-run", "select desk --list", "generate desk --help"):
        assert command_line(*line.split())[0] == 0
    assert Path("desk/log.txt").read_bytes() == before


def test_failures_before_a_stage_began(command_line: Call) -> None:
    assert command_line("generate", "desk", "nowhere.png")[0] == 3
    assert not Path("desk").exists()
    Path("mine").mkdir()
    assert command_line("generate", "mine", "nowhere.png")[0] == 3
    assert not list(Path("mine").iterdir())
    command_line("generate", "desk", "1.png")
    for words in (["--bogus"], ["--set", "nothing.at=all"], ["--engine", "instant-mesh-large", "--offline"]):
        code, _, said = command_line("reconstruct", "desk", *words)
        *_, failure, end = entries()
        assert f"error: {failure.text}" in said
        assert (failure.kind, end.text.split()[:2]) == ("!", ["exit", str(code)])


def test_status_says_the_last_cause_until_something_succeeds(command_line: Call) -> None:
    command_line("generate", "desk", "1.png")
    assert "last" not in command_line("status", "desk")[1]
    command_line("render", "desk", "--frames", "0")
    _, printed, _ = command_line("status", "desk")
    assert re.search(r"^last: render failed \d\d:\d\d: --frames 0: ", printed, re.MULTILINE)
    failure = json.loads(command_line("status", "desk", "--json")[1])["last_failure"]
    assert (failure["command"], failure["exit_code"]) == ("render", 2)
    command_line("select", "desk", "--auto")
    assert "last:" not in command_line("status", "desk")[1]
    assert json.loads(command_line("status", "desk", "--json")[1])["last_failure"] is None


def test_status_is_quiet_on_request(command_line: Call) -> None:
    command_line("generate", "desk", "1.png")
    assert command_line("status", "desk", "-q") == (0, "meshcli select desk\n", "")
    assert command_line("status", "nowhere", "-q")[0] == 2


def test_a_killed_child_leaves_its_cause(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert meshcli("generate", "desk", "1.png", trouble="sculpt:killed").returncode == 75
    (cause,) = [entry for entry in entries() if entry.kind == "!"]
    assert "generate was ended by signal 9 (SIGKILL)" in cause.text
    lines = [str(entry) for entry in entries()]
    assert len(lines) == len(set(lines))
    assert [entry.text for entry in entries() if entry.kind == "$"] == ["meshcli generate desk 1.png"]


def test_a_bug_leaves_its_traceback(command_line: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    command_line("generate", "desk", "1.png")
    monkeypatch.setenv("MESHCLI_TEST", "sculpt:bug")
    with pytest.raises(ZeroDivisionError):
        command_line("generate", "desk", "--force")
    texts = [entry.text for entry in entries()]
    assert "a bug: ZeroDivisionError('a bug')" in texts
    assert any("fake_engines.py" in text for text in texts)
    assert texts[-1].startswith("exit 1 after")


def test_a_full_disk_does_not_matter(command_line: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    command_line("generate", "desk", "1.png")
    before = Path("desk/log.txt").read_bytes()
    monkeypatch.setattr("meshcli.project.log_file.OPENING", 0)  # read only: writing fails
    assert command_line("select", "desk", "--auto")[0] == 0
    assert Path("desk/log.txt").read_bytes() == before


def test_no_secrets(command_line: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "correct-horse-battery")
    command_line("generate", "desk", "1.png")
    command_line("generate", "desk", "--token", "abc", "hf_ABCDEFGHIJ", "correct-horse-battery")
    assert "meshcli generate desk --token *** *** ***" in [entry.text for entry in entries()]
    assert mask_secrets("https://me:word@host/x --hf-token=abc a@b") == "https://***@host/x --hf-token=*** a@b"
    assert mask_secrets("photo.jpg@45 --set texture.size=64") == "photo.jpg@45 --set texture.size=64"


def test_an_interruption_is_no_failure(command_line: Call) -> None:
    command_line("generate", "desk", "1.png")
    lines = [("$", "meshcli run desk"), ("!", "interrupted; go on"), ("=", "exit 130 after 9.0 s")]
    append(Path("desk"), [LogEntry("2026-01-02T03:04:05+00:00", 7, kind, text) for kind, text in lines])  # type: ignore[arg-type]
    assert re.search(
        r"^last: run was interrupted 2026-01-0\d \d\d:\d\d: inter", command_line("status", "desk")[1], re.M
    )


@pytest.mark.slow
def test_a_killed_child_of_a_run_leaves_its_cause(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert meshcli("run", "desk", "1.png", trouble="fit:killed").returncode == 75
    (cause,) = [entry for entry in entries() if entry.kind == "!"]
    assert "reconstruct was ended by signal 9 (SIGKILL)" in cause.text
    ends = [entry.text.split()[1] for entry in entries() if entry.kind == "="]
    assert ends == ["0", "0", "75"]

"""Completion in a shell, by the protocol of Typer's scripts: a fresh process for every word."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


def offered(line: str, *options: str) -> list[str]:
    """What bash would offer for the last word of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_MESHCLI_COMPLETE": "complete_bash"}
    call = [sys.executable, *options, "-m", "meshcli"]
    done = subprocess.run(call, env={**os.environ, **words}, capture_output=True, text=True, check=False)
    assert "importtime" in options or done.stderr == ""
    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines()}
    assert not loaded & {"numpy", "scipy", "torch", "PIL"}
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("meshcli select desk --views a", ["a0", "a1"]),
        ("meshcli select desk --views a0,a", ["a0,a1", "a0,a2"]),
        ("meshcli select desk --views ph", ["photo:a", "photo:b"]),
        ("meshcli generate desk --remove ", ["a", "b"]),
    ],
)
def test_names_of_the_project(line: str, first: list[str], command_line: Call) -> None:
    assert command_line("generate", "desk", "1.png", "2.png", "--azimuth", "0,90")[0] == 0
    assert offered(line, "-X", "importtime")[:2] == first


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("meshcli run desk --set zero123plus.st", "zero123plus.steps="),
        ("meshcli models pull inst", "instant-mesh-base"),
        ("meshcli models pull u2", "u2netp"),
        ("meshcli reconstruct desk --engine f", "fit"),
        ("meshcli sel", "select"),
    ],
)
def test_words_that_are_known_without_a_project(line: str, word: str) -> None:
    assert word in offered(line)


def test_a_damaged_project_or_none_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("meshcli select desk --views ") == []
    Path("desk").mkdir()
    Path("desk/manifest.json").write_text("{")
    assert offered("meshcli select desk --views ") == []

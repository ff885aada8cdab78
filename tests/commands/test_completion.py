"""Completion in a shell, by the protocol of Typer's scripts: a fresh process for every word."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]
SHELLS = ("bash", "zsh", "fish")
WAIT_SECONDS = 60.0  # for a shell to answer; only a failing test waits as long


def offered(line: str, *options: str, program: str = "bash") -> list[str]:
    """What the shell of this name would offer for the last word of a line."""
    words = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[program]
    variables = {**os.environ, **words, "_MESHCLI_COMPLETE": f"complete_{program}"}
    call = [sys.executable, *options, "-m", "meshcli"]
    done = subprocess.run(call, env=variables, capture_output=True, text=True, check=False)
    assert "importtime" in options or done.stderr == ""
    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines()}
    assert not loaded & {"numpy", "scipy", "torch", "PIL"}
    if program != "zsh":  # a word a line; after a tab, fish's explanation
        return [text.partition("\t")[0] for text in done.stdout.split("\n") if text]
    # zsh runs it: `_arguments '*: :(("word":"explanation"\n"word"))'`, or `_files` where there is nothing to offer
    inner = re.fullmatch(r"_arguments '\*: :\(\((.*)\)\)'\n", done.stdout, re.DOTALL)
    assert inner or done.stdout == "_files\n"
    return [text.split('"')[1].replace("\\\\:", ":") for text in inner[1].split("\n")] if inner else []


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


def test_other_shells_are_offered_the_same(command_line: Call) -> None:
    assert command_line("generate", "desk", "1.png", "2.png", "--azimuth", "0,90")[0] == 0
    for shell in ("zsh", "fish"):
        assert offered("meshcli select desk --views ph", program=shell) == ["photo:a", "photo:b"]
    assert offered("meshcli select none --views ", program="zsh") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_for_a_shell_can_be_read_by_it(shell: str, tmp_path: Path) -> None:
    script = completion_script(shell)
    assert f"complete_{shell}" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_itself_offers_engines(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion_script("fish"))
    line = f"source {tmp_path}/script; complete -C 'meshcli reconstruct desk --engine f'"
    done = subprocess.run(["fish", "--no-config", "-c", line], env=with_meshcli(), capture_output=True, check=True)  # noqa: S607
    assert done.stdout == b"fit\n"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_itself_completes_an_engine(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion_script("zsh"))
    setup = f"autoload -U compinit && compinit -u -D; source {tmp_path}/script; print READ''Y\n"
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**with_meshcli(), "TERM": "dumb"})  # noqa: S606, S607
    try:
        os.write(terminal, setup.encode())
        read_until(terminal, b"READY")
        os.write(terminal, b"meshcli reconstruct desk --engine f\t")
        read_until(terminal, b"--engine fit ")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def completion_script(shell: str) -> str:
    """What `meshcli --install-completion` installs for a shell."""
    call = [sys.executable, "-m", "meshcli"]
    variables = {**os.environ, "_MESHCLI_COMPLETE": f"source_{shell}"}
    return subprocess.run(call, env=variables, capture_output=True, text=True, check=True).stdout


def with_meshcli() -> dict[str, str]:
    """The environment in which `meshcli` is the installed program."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def read_until(terminal: int, wanted: bytes) -> None:
    """Read what a terminal shows until it has shown this."""
    seen, end = b"", time.monotonic() + WAIT_SECONDS
    while wanted not in seen:
        assert select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0], seen
        seen += os.read(terminal, 4096)


def test_a_damaged_project_or_none_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("meshcli select desk --views ") == []
    Path("desk").mkdir()
    Path("desk/manifest.json").write_text("{")
    assert offered("meshcli select desk --views ") == []

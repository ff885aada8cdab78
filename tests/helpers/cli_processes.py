"""`meshcli` as a process with the engines of fake_engines.py, which are quick or fail on request."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FAKE_MESHCLI = [sys.executable, str(Path(__file__).parent / "fake_engines.py")]


def meshcli(*words: str, trouble: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    environment = {**os.environ, "MESHCLI_TEST": trouble}
    return subprocess.run([*FAKE_MESHCLI, *words], env=environment, capture_output=True, text=True, check=False)


def error_lines(said: str) -> list[str]:
    """The error lines of meshcli; libraries may print others."""
    return [line for line in said.splitlines() if line.startswith("error:")]


@contextmanager
def asleep_in_fit(words: Sequence[str], note: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A command whose `fit` sleeps, and the process id of the sleeper, which it writes into `note`."""
    process = subprocess.Popen(
        [*FAKE_MESHCLI, *words], env={**os.environ, "MESHCLI_TEST": f"fit:sleep={note}"}, text=True,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or (note.exists() and note.read_text() != ""))
        assert process.poll() is None, process.communicate()
        yield process, int(note.read_text())
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, however busy the machine is; pytest's timeout ends a hopeless wait."""
    while not condition():
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return "zombie" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False

"""`meshcli` as a process whose engines are quick or in trouble, see fakes.py; and what becomes of such processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FAKES = [sys.executable, str(Path(__file__).parent / "fakes.py")]


def meshcli(*words: str, trouble: str = "") -> "subprocess.CompletedProcess[str]":
    """A command to its end."""
    environment = {**os.environ, "MESHCLI_TEST": trouble}
    return subprocess.run([*FAKES, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def asleep_in_fit(words: Sequence[str], note: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A command whose `fit` sleeps, and the process id of the sleeper, which it writes into `note`."""
    process = subprocess.Popen(
        [*FAKES, *words], env={**os.environ, "MESHCLI_TEST": f"fit:sleep={note}"}, text=True, stderr=subprocess.PIPE,
        start_new_session=True,
        # A test run in the background hands an ignored Ctrl-C down; a terminal never does.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509
    )  # fmt: skip
    until(lambda: note.exists() and note.read_text() != "")
    yield process, int(note.read_text())
    process.kill()
    process.communicate()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for it; an AssertionError when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process is there and not just waiting to be counted."""
    try:
        return "zombie" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False

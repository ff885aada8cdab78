"""Child processes that end with their parent, and signals that end a process cleanly.

A SIGKILL of the parent cannot be forwarded; so the child holds the reading end of a pipe, and leaves when it closes.
Light: standard library only.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

PIPE = "MESHCLI_PARENT"  # environment variable: number of the pipe's reading end
COMMAND = [sys.executable, "-m", "meshcli"]
HEARD = 2.0  # seconds that a child gets after a Ctrl-C before it is told again
GRACE = 10.0  # seconds that a process gets to clean up before it is killed


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; no `except Exception` on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_code = 128 + number


def listen_to_signals() -> None:
    """Turn the first SIGINT or SIGTERM into `Interrupted`; later ones do not disturb the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job stays as it was told
            signal.signal(number, _interrupt)


def watch_parent() -> None:
    """When a parent left a pipe: end this process as soon as it closes."""
    text = os.environ.pop(PIPE, "")
    if text.isdecimal():
        with suppress(OSError):
            os.set_inheritable(int(text), False)
            threading.Thread(target=_leave_with_parent, args=(int(text),), daemon=True).start()


def run_child(arguments: Sequence[str], capture: bool = False) -> tuple[int, str]:
    """Run `meshcli ARGUMENTS` as a process of its own: its exit code (negative for a signal), its output if captured.

    Whatever interrupts this process ends the child first.
    """
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            pass_fds=[read],
            env={**os.environ, PIPE: str(read)},
            stdout=subprocess.PIPE if capture else None,
            text=True,
        )
        os.close(read)
        try:
            output, _ = process.communicate()
        except BaseException as error:
            _end(process, isinstance(error, Interrupted) and error.number == signal.SIGINT)
            raise
    finally:
        os.close(write)
    return process.returncode, output or ""


def _end(process: "subprocess.Popen[str]", heard: bool) -> None:
    """End a child; after a Ctrl-C in the terminal it has heard of it already, and a second signal would disturb it."""
    for seconds, end in ((HEARD if heard else 0.0, process.terminate), (GRACE, process.kill)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        end()
    process.wait()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)


def _leave_with_parent(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: this returns when the last writer is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)

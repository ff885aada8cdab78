"""Child processes that end with their parent, and signals that end a process cleanly.

A SIGKILL of the parent cannot be forwarded; so the child holds the reading end of a pipe, and leaves when it closes.
Light: standard library only.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from types import FrameType
from typing import Any, NoReturn

PIPE = "MESHCLI_PARENT"  # environment variable: number of the pipe's reading end
COMMAND = [sys.executable, "-m", "meshcli"]
HEARD = 2.0  # seconds that a child gets after a Ctrl-C before it is told again
GRACE = 10.0  # seconds that a process gets to clean up before it is killed
AGAIN = 0.02  # seconds after which an interruption that was swallowed is tried again
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = "interrupted; the same command goes on from what is finished"
ALONE = ContextVar("ALONE", default=False)  # this process is nobody's child that looks after how it ends
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; no `except Exception` on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_code = 128 + number


def listen_to_signals() -> None:
    """Turn the first SIGINT or SIGTERM into `Interrupted`; later ones do not disturb the cleaning up."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job stays as it was told
            signal.signal(number, _interrupt)
    if getattr(sys.unraisablehook, "func", None) is not _swallowed:
        sys.unraisablehook = partial(_swallowed, sys.unraisablehook)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a parent of ours held them back until now


def watch_parent() -> bool:
    """When a parent left a pipe: end this process as soon as it closes. Whether one did."""
    text = os.environ.pop(PIPE, "")
    if not text.isdecimal():
        return False
    with suppress(OSError):
        os.set_inheritable(int(text), False)
        threading.Thread(target=_leave_with_parent, args=(int(text),), daemon=True).start()
    return True


def fork_supervised() -> int | None:
    """Go on in a copy of this process: None there; here its exit code, when it has ended; negative for a signal.

    So somebody is left to say what happened when the system or a library ends the copy. Signals are handed on to it,
    and it ends with this process. None without a copy where that is not to be had: beside threads, or not on Linux.
    """
    if not ALONE.get() or sys.platform != "linux" or threading.active_count() > 1:
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    this, ending = os.getpid(), list[int]()
    with _held_back():
        try:
            copy = os.fork()
        except OSError:
            return None
        if not copy:
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != this:
                os._exit(128 + signal.SIGKILL)  # it ended before it was listened for
            return None
        _hand_on(copy, ending)
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    return 128 + ending[0] if code < 0 and ending else code


def run_child(arguments: Sequence[str], capture: bool = False) -> tuple[int, str]:
    """Run `meshcli ARGUMENTS` as a process of its own: its exit code (negative for a signal), its output if captured.

    Whatever interrupts this process ends the child first. Signals wait while the child is being born, and the child
    hands that on to itself until it listens: an interpreter that is still starting would answer with a traceback.
    """
    read, write = os.pipe()
    process = None
    try:
        with _held_back():
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                pass_fds=[read],
                env={**os.environ, PIPE: str(read)},
                stdout=subprocess.PIPE if capture else None,
                text=True,
                errors="surrogateescape",  # names of files are bytes
            )
        output, _ = process.communicate()
    except BaseException as error:
        if process:
            _end(process, isinstance(error, Interrupted) and error.number == signal.SIGINT)
        raise
    finally:
        os.close(read)
        os.close(write)
    return process.returncode, output or ""


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait for the end of this."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(process: "subprocess.Popen[str]", heard: bool) -> None:
    """End a child; after a Ctrl-C in the terminal it has heard of it already, and a second signal would disturb it."""
    for seconds, end in ((HEARD if heard else 0.0, process.terminate), (GRACE, process.kill)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        end()
    process.wait()


def _hand_on(copy: int, ending: list[int]) -> None:
    """Let a copy of this process have the signals that arrive here, and the end when it does not heed them."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGALRM:
            number = signal.SIGKILL
        else:
            ending.append(number)
            signal.setitimer(signal.ITIMER_REAL, GRACE)
        with suppress(ProcessLookupError):
            os.kill(copy, number)

    for number in (*SIGNALS, signal.SIGALRM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hand_on)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)


def _swallowed(otherwise: Callable[[Any], Any], lost: Any) -> None:
    """Try again when the interpreter had to drop it: in a callback from C (numba's compiler makes some), in __del__."""
    if not isinstance(lost.exc_value, Interrupted):
        otherwise(lost)
        return
    number = lost.exc_value.number
    signal.signal(number, _interrupt)
    threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()


def _leave_with_parent(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: this returns when the last writer is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)

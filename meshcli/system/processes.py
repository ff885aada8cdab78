"""Child processes that end with their parent, and signals that end a process cleanly. Light: standard library only.

SIGKILL of a parent cannot be forwarded, so a child started by `run_child` holds the reading end of a pipe and exits
when the pipe closes.
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

PARENT_PIPE_VARIABLE = "MESHCLI_PARENT"  # environment variable: file descriptor of the pipe's reading end
REPORT_VARIABLE = "MESHCLI_REPORT"  # environment variable of a child: how it reports to its parent
PLAIN_REPORT = "plain"  # its value for a child whose messages people read as they come
COMMAND = [sys.executable, "-m", "meshcli"]  # how children are started
# Seconds; chosen for a person at a terminal, not measured.
INTERRUPT_GRACE = 2.0  # that a child has to react to Ctrl-C, which reached it too, before it gets a SIGTERM
READ_GRACE = 2.0  # that the last lines of a child have to arrive after its end; its own children may hold its pipe
TERMINATE_GRACE = 10.0  # that a process has to clean up before it is killed
RETRY_DELAY = 0.02  # after which an interruption that Python had to drop is repeated
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED_MESSAGE = "interrupted; the same command goes on from what is finished"
UNSUPERVISED = ContextVar("UNSUPERVISED", default=False)  # True where no parent reports how this process ends
PR_SET_PDEATHSIG = 1  # of Linux's prctl(2): the signal that a process gets when its parent ends


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; no `except Exception` on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_code = 128 + number


def listen_to_signals() -> None:
    """Raise `Interrupted` on the first SIGINT or SIGTERM; later ones are ignored so that the clean-up completes."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # shells start background jobs with SIGINT ignored
            signal.signal(number, _interrupt)
    if getattr(sys.unraisablehook, "func", None) is not _retry_interrupt:
        sys.unraisablehook = partial(_retry_interrupt, sys.unraisablehook)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # `run_child` blocked them until now


def exit_with_parent() -> bool:
    """End this process as soon as its parent's pipe closes; False when no parent passed one."""
    text = os.environ.pop(PARENT_PIPE_VARIABLE, "")
    if not text.isdecimal():
        return False
    with suppress(OSError):
        os.set_inheritable(int(text), False)
        threading.Thread(target=_end_with_parent, args=(int(text),), daemon=True).start()
    return True


def fork_supervised() -> int | None:
    """Fork; None in the child, its exit status in the parent (negative for a signal). None too where nothing is forked.

    The parent remains to report when the kernel's OOM killer or a crash ends the child. It forwards signals, and the
    child ends with it. Nothing is forked beside other threads, in a supervised process, or on systems other than Linux.

    Why not `run_child`: the parent must read the stage's record before the child starts, so it has to parse the command
    line, and a new interpreter would import and parse it all again. Measured on two cores: 0.24 s of processor time,
    of 0.38 s for a finished stage; the fork takes 0.007 s. Memory is shared with the child, and a list of photos that
    was read from standard input is there.
    """
    if not UNSUPERVISED.get() or sys.platform != "linux" or threading.active_count() > 1:
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    parent, forwarded = os.getpid(), list[int]()
    with signals_blocked():
        try:
            child = os.fork()
        except OSError:
            return None
        if not child:
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(128 + signal.SIGKILL)  # the parent ended before the call above
            return None
        _forward_signals(child, forwarded)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    return 128 + forwarded[0] if code < 0 and forwarded else code


def run_child(
    arguments: Sequence[str],
    capture: bool = False,
    report: str = PLAIN_REPORT,
    read_line: Callable[[str], None] | None = None,
    started: "Callable[[subprocess.Popen[str]], None] | None" = None,
) -> tuple[int, str]:
    """Run `meshcli ARGUMENTS` as a child process: its exit code (negative for a signal), and its output if captured.

    `read_line` receives every line of its standard error, in a thread; `report` tells the child how it is listened to;
    `started` receives the process.

    An exception in this process ends the child first. Signals are blocked while the child starts; it inherits the mask
    until `listen_to_signals`, because an interpreter that is still starting would answer with a traceback.
    """
    read, write = os.pipe()
    process = None
    lines = _LineReader(read_line) if read_line else None
    try:
        with signals_blocked():
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                pass_fds=[read],
                env={**os.environ, PARENT_PIPE_VARIABLE: str(read), REPORT_VARIABLE: report},
                stdout=subprocess.PIPE if capture else None,
                stderr=lines.write if lines else None,
                text=True,
                errors="surrogateescape",  # file names may be any bytes
            )
        if started:
            started(process)
        if lines:
            lines.start()
        output, _ = process.communicate()
    except BaseException as error:
        if process:
            _terminate(process, isinstance(error, Interrupted) and error.number == signal.SIGINT)
        raise
    finally:
        os.close(read)
        os.close(write)
        if lines:
            lines.finish()
    return process.returncode, output or ""


class _LineReader:
    """Passes the lines that are written into a pipe to a function, in a thread."""

    def __init__(self, read_line: Callable[[str], None]) -> None:
        self._read_line = read_line
        self._read, self.write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to read, and close the writing end, which a child has by now."""
        os.close(self.write)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all lines are read."""
        if self._thread.ident is None:  # no child was started
            os.close(self.write)
            os.close(self._read)
        else:
            self._thread.join(READ_GRACE)

    def _run(self) -> None:
        with open(self._read, encoding="utf-8", errors="backslashreplace") as lines:  # noqa: PTH123 (a descriptor)
            for line in lines:
                self._read_line(line.rstrip("\n"))


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM; they arrive after the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _terminate(process: "subprocess.Popen[str]", interrupted: bool) -> None:
    """End a child. After Ctrl-C in a terminal it was interrupted too: a second signal would disturb its clean-up."""
    for seconds, end in ((INTERRUPT_GRACE if interrupted else 0.0, process.terminate), (TERMINATE_GRACE, process.kill)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        end()
    process.wait()


def _forward_signals(child: int, forwarded: list[int]) -> None:
    """Forward SIGINT and SIGTERM to a child and append them to `forwarded`; kill it when it does not react in time."""

    def forward(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGALRM:
            number = signal.SIGKILL
        else:
            forwarded.append(number)
            signal.setitimer(signal.ITIMER_REAL, TERMINATE_GRACE)
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (*SIGNALS, signal.SIGALRM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)


def _retry_interrupt(next_hook: Callable[[Any], Any], unraisable: Any) -> None:
    """An unraisablehook: repeat an interruption that Python dropped, as it does in C callbacks and in `__del__`.

    numba's compiler makes such callbacks.
    """
    if not isinstance(unraisable.exc_value, Interrupted):
        next_hook(unraisable)
        return
    number = unraisable.exc_value.number
    signal.signal(number, _interrupt)
    threading.Timer(RETRY_DELAY, os.kill, (os.getpid(), number)).start()


def _end_with_parent(pipe: int) -> None:
    """Body of a thread: end this process when the last writer of a pipe is gone."""
    os.read(pipe, 1)  # returns at the end of the file, for nothing is ever written
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(TERMINATE_GRACE)
    os._exit(128 + signal.SIGTERM)

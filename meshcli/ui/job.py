"""Long work: one command line at a time, as a child process, whatever pages are open. Light: no numpy.

A page only looks at it; closing all pages stops nothing. The child ends with the server.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from meshcli.errors import UncertainError, UsageError
from meshcli.stages.run_summary import format_seconds
from meshcli.system.child_records import NO_TERMINAL, parse_picture, parse_record
from meshcli.system.processes import TERMINATE_GRACE, run_child

State = Literal["running", "cancelling", "done", "failed", "cancelled"]
MAX_LINES = 500  # that are kept of what a child says
MAX_ERRORS = 5  # that are shown beside each other; all are among the lines
CANCEL_GRACE = 15.0  # seconds that a child has to react before it gets a SIGTERM: `run` has children itself
INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass
class Job:
    """A command line at work, or over."""

    words: Sequence[str]  # after `meshcli`
    title: str  # what it does, for people
    folder: str = ""  # of uploads, whose name tells people nothing: it is left out of what is shown
    state: State = "running"
    code: int | None = None  # the exit code, negative for a signal
    lines: tuple[str, ...] = ()  # the last that it said; replaced, never changed, for another thread reads them
    error: str = ""  # all that it said about what went wrong, in one line
    stage: str = ""  # as the child says, below too
    step: str = ""  # `1 of 4: making views`
    what: str = ""
    done: int = 0
    total: int = 1
    share: float = 0.0  # of the whole, 0 to 1
    picture: tuple[str, bytes] | None = None  # photo, and its unfinished views as a WebP file
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    _left: tuple[float, float] | None = None  # seconds left, and when that was said
    _process: "subprocess.Popen[str] | None" = None

    @property
    def at_work(self) -> bool:
        """Whether the child is not over yet."""
        return self.state in ("running", "cancelling")

    @property
    def seconds(self) -> float:
        """How long it has taken so far, or in all."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def left(self) -> float | None:
        """The seconds left as far as is known, None otherwise."""
        if self._left is None or not self.at_work:
            return None
        seconds, said = self._left
        return max(seconds - (time.monotonic() - said), 1.0)

    @property
    def fraction(self) -> float:
        """How much is done, from 0 to 1: by time where that is known, else by the work that the child counts."""
        if (left := self.left) is not None:
            return self.seconds / (self.seconds + left)
        return max(self.share, self.done / self.total if self.total > 1 else 0.0)

    def describe(self) -> str:
        """What it does now, or how it ended, in one line."""
        if self.at_work:
            now = ", ".join(filter(None, (self.step or self.title, self.what)))
            return f"{now} - being cancelled" if self.state == "cancelling" else now
        took = f" after {format_seconds(self.seconds)}"
        if self.code == UncertainError.exit_code:
            return f"{self.title}: stopped, for the sides of some photos are guesses; the Photos tab shows them"
        if self.state == "failed":
            return f"{self.title}: {self.error or f'exit code {self.code}'}"
        return f"{self.title}: {self.state}{took}"

    def without_folder(self, text: str) -> str:
        """A text with the names of uploaded files alone."""
        return text.replace(f"{self.folder}{os.sep}", "") if self.folder else text

    def read_line(self, line: str) -> None:
        """Take a line of the child's standard error: a record, or text."""
        record = parse_record(line)
        if record is None:
            line = self.without_folder(line)
            self.lines = (*self.lines, line)[-MAX_LINES:]
            if line.startswith("error:") and self.error.count("; ") < MAX_ERRORS:
                self.error = "; ".join(filter(None, (self.error, line.removeprefix("error:").strip())))
        else:
            self._read_record(record)

    def _read_record(self, record: dict[str, Any]) -> None:
        self.picture = parse_picture(record) or self.picture
        if "what" in record:
            self.what = str(record["what"])
            self.done, self.total = _whole(record.get("done"), 0), max(_whole(record.get("total"), 1), 1)
        if "title" in record:
            self.stage, self.step = str(record.get("stage", "")), str(record["title"])
            share, left = record.get("share"), record.get("left")
            self.share = min(max(float(share), 0.0), 1.0) if isinstance(share, int | float) else self.share
            self._left = (float(left), time.monotonic()) if isinstance(left, int | float) else None


class Jobs:
    """The current or last job of a project; `changed` is called, in any thread, when one begins or ends."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.current: Job | None = None
        self._changed = changed
        self._lock = threading.Lock()

    @property
    def at_work(self) -> bool:
        """Whether a job is at work."""
        return self.current is not None and self.current.at_work

    def start(
        self, words: Sequence[str], title: str, ended: Callable[[], object] | None = None, folder: str = ""
    ) -> Job:
        """Start `meshcli WORDS` in the background; UsageError while another one is at work.

        `ended` is called when it is over, in whatever way; `folder` is that of uploads, which is not shown.
        """
        with self._lock:
            if self.current and self.current.at_work:
                raise UsageError(f"one thing at a time: {self.current.title} is at work")
            self.current = job = Job(tuple(words), title, folder)
        threading.Thread(target=self._run, args=(job, ended), daemon=True).start()
        self._changed()
        return job

    def cancel(self) -> None:
        """Interrupt the current job, as Ctrl-C does; what is finished stays."""
        job = self.current
        with self._lock:
            if job is None or job.state != "running":
                return
            job.state = "cancelling"
            if job._process:  # else it is interrupted as soon as it is there
                _interrupt(job._process)
        self._changed()

    def _run(self, job: Job, ended: Callable[[], object] | None) -> None:
        def started(process: "subprocess.Popen[str]") -> None:
            with self._lock:
                job._process = process
                if job.state == "cancelling":
                    _interrupt(process)

        try:
            code, output = run_child(job.words, True, NO_TERMINAL, job.read_line, started)
            job.lines = (*job.lines, *output.splitlines())[-MAX_LINES:]
        except OSError as error:
            code, job.error = 1, f"the command cannot be started: {error.strerror}"
        job.code, job.ended = code, time.monotonic()
        cancelled = job.state == "cancelling" or code in INTERRUPTED
        job.state = "done" if code == 0 else "cancelled" if cancelled else "failed"
        if job.state == "failed" and not job.error and code < 0:
            job.error = f"it was ended by {signal.Signals(-code).name}"
        if ended:
            ended()
        self._changed()


def _interrupt(process: "subprocess.Popen[str]") -> None:
    """Interrupt a child, and end it should it not react."""
    # A server that was started in the background of a shell ignores Ctrl-C, and so would its child.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
    threading.Thread(target=_insist, args=(process,), daemon=True).start()


def _insist(process: "subprocess.Popen[str]") -> None:
    """End a child that does not react."""
    for seconds, end in ((CANCEL_GRACE, process.terminate), (TERMINATE_GRACE, process.kill)):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            end()


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise

"""What the running command writes into its project's log: its line, its messages, its failure and its end. Light.

`status` and dry runs change nothing and leave no trace. Before there is a project, entries wait until one exists; no
directory is made for them.
"""

import os
import re
import shlex
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from meshcli.project.log_file import Kind, LogEntry, append, holds

WAITING_VARIABLE = "MESHCLI_WAITING_LOG"  # hands entries that wait to child processes: the first to log writes them
MAX_WAITING = 100_000  # bytes of that; Linux allows 131,072 in a variable
MASK = "***"
SECRETS = (  # what comes before a secret, and the secret
    re.compile(r"()\bhf_\w{6,}"),
    re.compile(r"(?i)(--?[\w-]*(?:token|password|passwd|secret|api-?key)[\w-]*[= ])\S+"),
    re.compile(r"(\w://)[^/\s@]+(?=@)"),
)
SECRET_VARIABLES = re.compile("TOKEN|SECRET|PASSWORD|API_?KEY", re.IGNORECASE)
SHORTEST_SECRET = 8  # characters of a variable's value; a shorter one may be part of any word

_CURRENT: ContextVar["CommandLog | None"] = ContextVar("_CURRENT", default=None)


@dataclass
class CommandLog:
    """The log of one command."""

    root: Path  # of the project
    process: int = field(default_factory=os.getpid)  # that was started; a fork goes on under its number
    started: float = field(default_factory=time.monotonic)
    waiting: list[LogEntry] = field(default_factory=list)  # until there is a project

    def add(self, kind: Kind, text: str) -> None:
        """Append an entry, and those that wait."""
        before, entry = self.waiting, LogEntry.now(self.process, kind, mask_secrets(text))
        fresh = [each for each in before if not holds(self.root, each)]  # a fork may have been first
        self.waiting = [] if append(self.root, [*fresh, entry]) else [*before, entry]
        lines = "\n".join(map(str, self.waiting))
        if lines and len(lines.encode()) <= MAX_WAITING:
            os.environ[WAITING_VARIABLE] = lines
        else:
            os.environ.pop(WAITING_VARIABLE, None)

    def end(self, code: int) -> None:
        """Append how the command ended."""
        self.add("=", f"exit {code} after {time.monotonic() - self.started:.1f} s")

    def crashed(self, error: Exception) -> None:
        """Append a bug with its traceback."""
        self.add("!", f"a bug: {error!r}")
        for text in traceback.format_exception(error):
            for line in text.splitlines():
                self.add("-", line)
        self.end(1)


@contextmanager
def logging_command(words: Sequence[str], root: Path) -> Iterator[CommandLog]:
    """Log a command on a project while the block runs: the words that were typed, and a bug where it ends with one."""
    waiting = map(LogEntry.read, os.environ.get(WAITING_VARIABLE, "").split("\n"))
    log = CommandLog(root, waiting=[entry for entry in waiting if entry])
    log.add("$", shlex.join(["meshcli", *words]))
    token = _CURRENT.set(log)
    try:
        yield log
    except Exception as error:
        log.crashed(error)
        raise
    finally:
        _CURRENT.reset(token)
        os.environ.pop(WAITING_VARIABLE, None)


def log_message(sentence: str) -> None:
    """Log a message of the running command, if it has a log."""
    if log := _CURRENT.get():
        log.add("-", sentence)


def log_failure(sentence: str) -> None:
    """Log why the running command fails, if it has a log."""
    if log := _CURRENT.get():
        log.add("!", sentence)


def mask_secrets(text: str) -> str:
    """The text without tokens and passwords."""
    for name, value in os.environ.items():
        if SECRET_VARIABLES.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, MASK)
    for pattern in SECRETS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text

"""What a stage that `run` started reports to it: records among the lines of its standard error.

With a bar on the terminal, the standard error of a child is a pipe that `run` reads. A line that begins with MARK is a
record, a JSON object; every other line, also one of a library or of a traceback, is text to be shown. So nothing that a
child prints is lost, and a child that is killed in the middle of a line does no harm.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console

from meshcli.system.processes import REPORT_VARIABLE

MARK = "\x1e"  # ASCII's record separator, as in RFC 7464
RECORDS = "records"  # the value of REPORT_VARIABLE that asks for records, then colour system and width of the terminal


def is_child() -> bool:
    """Whether `run` started this process."""
    return REPORT_VARIABLE in os.environ


def sends_records() -> bool:
    """Whether `run` reads the records of this process."""
    return os.environ.get(REPORT_VARIABLE, "").startswith(RECORDS)


def report_value(console: Console) -> str:
    """The value of REPORT_VARIABLE for children whose records are shown on a console."""
    return f"{RECORDS} {console.color_system or 'none'} {console.width}"


def parents_console() -> Console | None:
    """A console that colours like the one of `run`; None where that shows no colours."""
    words = os.environ.get(REPORT_VARIABLE, "").split()
    if len(words) != 3 or words[1] == "none" or not words[2].isdecimal():
        return None
    system: Any = words[1]
    return Console(stderr=True, force_terminal=True, color_system=system, width=int(words[2]), highlight=False)


def send(**record: Any) -> None:
    """Send a record, in one write."""
    print(MARK + json.dumps(record), file=sys.stderr, flush=True)


def parse_record(line: str) -> dict[str, Any] | None:
    """The record of a line; None if it is text."""
    if line.startswith(MARK):
        with suppress(ValueError):
            record = json.loads(line[len(MARK) :])
            return record if isinstance(record, dict) else None
    return None

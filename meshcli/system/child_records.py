"""What a child process reports to the one that started it: records among the lines of its standard error. Light.

With a bar on the terminal, or a page in a browser, the standard error of a child is a pipe that its parent reads. A
line that begins with MARK is a record, a JSON object; every other line, also one of a library or of a traceback, is
text to be shown. So nothing that a child prints is lost, and a child that is killed in the middle of a line does no
harm.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any

from meshcli.system.processes import REPORT_VARIABLE

MARK = "\x1e"  # ASCII's record separator, as in RFC 7464
RECORDS = "records"  # the value of REPORT_VARIABLE that asks for records, then colour system and width of the terminal
NO_TERMINAL = f"{RECORDS} none 0"  # records are read, and no terminal shows pictures


def is_child() -> bool:
    """Whether another meshcli started this process."""
    return REPORT_VARIABLE in os.environ


def sends_records() -> bool:
    """Whether the parent reads the records of this process."""
    return os.environ.get(REPORT_VARIABLE, "").startswith(RECORDS)


def send(**record: Any) -> None:
    """Send a record, in one write."""
    print(MARK + json.dumps(record), file=sys.stderr, flush=True)


def parse_record(line: str) -> dict[str, Any] | None:
    """The record of a line; None if it is text."""
    if line.startswith(MARK):
        with suppress(ValueError, RecursionError):
            record = json.loads(line[len(MARK) :])
            return record if isinstance(record, dict) else None
    return None

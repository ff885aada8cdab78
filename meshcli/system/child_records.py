"""What a child process reports to the one that started it: records among the lines of its standard error. Light.

With a bar on the terminal, or a page in a browser, the standard error of a child is a pipe that its parent reads. A
line that begins with MARK is a record, a JSON object; every other line, also one of a library or of a traceback, is
text to be shown. So nothing that a child prints is lost, and a child that is killed in the middle of a line does no
harm.
"""

import base64
import binascii
import json
import os
import sys
from contextlib import suppress
from typing import Any

from meshcli.system.processes import REPORT_VARIABLE

MARK = "\x1e"  # ASCII's record separator, as in RFC 7464
RECORDS = "records"  # the value of REPORT_VARIABLE that asks for records, then colour system and width of the terminal
MAX_PICTURE = 1 << 18  # characters of a picture in a record; a preview of 80 x 120 pixels takes about 5,000
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


def takes_pictures() -> bool:
    """Whether the parent shows pictures that come as records: a page in a browser does."""
    return os.environ.get(REPORT_VARIABLE, "") == NO_TERMINAL


def send_picture(photo: str, webp: bytes) -> None:
    """Send an unfinished picture of a photo's views, a WebP file of a few kilobytes."""
    send(photo=photo, picture=base64.b64encode(webp).decode())


def parse_picture(record: dict[str, Any]) -> tuple[str, bytes] | None:
    """The photo and the WebP file of a record with a picture; None for any other, and what is none or too large."""
    photo, text = record.get("photo"), record.get("picture")
    if not isinstance(photo, str) or not isinstance(text, str) or len(text) > MAX_PICTURE:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return (photo, data) if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def parse_record(line: str) -> dict[str, Any] | None:
    """The record of a line; None if it is text."""
    if line.startswith(MARK):
        with suppress(ValueError, RecursionError):
            record = json.loads(line[len(MARK) :])
            return record if isinstance(record, dict) else None
    return None

"""The console that a stage started by `run` has for its records (system/child_records.py) and its pictures."""

import os
from typing import Any

from rich.console import Console

from meshcli.system.child_records import MARK, RECORDS, is_child, parse_record, send, sends_records
from meshcli.system.processes import REPORT_VARIABLE

__all__ = ["MARK", "is_child", "parents_console", "parse_record", "report_value", "send", "sends_records"]


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

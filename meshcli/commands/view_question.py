"""Asking for views on a terminal: whether the picker fits, and the question on one line where it does not."""

import sys
from collections.abc import Sequence

from rich.console import Console

from meshcli.errors import UsageError
from meshcli.project.project import Project


def has_terminal() -> bool:
    """Whether there is a terminal to ask on."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def fits_picker() -> bool:
    """Whether the terminal can place its cursor and is large enough for the picker."""
    console = Console(stderr=True)
    return not console.is_dumb_terminal and console.width >= 40 and console.height >= 16


def ask_views(project: Project, proposed: Sequence[str]) -> str:
    """Ask for views on one line; an empty answer is the proposed ones. Raises UsageError at the end of input."""
    console = Console(stderr=True, highlight=False)
    console.print(f"all views on one page: {project.root / 'views' / 'sheet.png'}", markup=False, soft_wrap=True)
    console.print(f"which views? (like 0,3,5 or a0,b2 or 0-5; enter takes {','.join(proposed)})", markup=False)
    print("> ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("no answer; nothing is changed")
    return answer.strip() or ",".join(proposed)

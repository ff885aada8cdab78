"""What `run` tells about its children while they work. Light: no numpy."""

from collections.abc import Callable, Mapping, Set

from meshcli.project.manifest import Stage
from meshcli.stages.pace import Work
from meshcli.system.processes import PLAIN_REPORT


class RunWatcher:
    """Follows the children of `run`; this one lets them print what they have to say themselves."""

    report: str = PLAIN_REPORT  # how the children report; see system/processes.py
    read_line: Callable[[str], None] | None = None  # receives the lines of their standard error, in a thread
    captures: bool = False  # whether their standard output is kept from the terminal

    def plan(self, works: Mapping[Stage, Work], finished: Set[Stage]) -> None:
        """Before the first child: what the stages have to do, and which are done if nothing changed."""

    def started(self, stage: Stage, command: str) -> None:
        """A child begins: that of a stage, or `align`."""

    def ended(self, stage: Stage, command: str, code: int) -> None:
        """A child is over, with its exit code."""

"""Callbacks by which long-running code reports progress and messages."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called with the units of work done, their total, and a short description of the work.

    A total of 1 stands for work whose units are not counted.
    """

    def __call__(self, done: int, total: int, what: str) -> None:
        """Report that `done` of `total` are done of `what`."""


def silent(done: int, total: int, what: str) -> None:
    """Ignore progress."""


Tell = Callable[[str], None]  # called with a message for the user, one sentence


def unheard(sentence: str) -> None:
    """Ignore a message."""

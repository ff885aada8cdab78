"""How long-running code says how far it is, without knowing who listens."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called with the work done, the whole of it, and what is being done, in a few words."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Report; `done` of `total`, `what` is happening now."""


def silent(done: int, total: int, what: str) -> None:
    """Nobody listens."""


Tell = Callable[[str], None]  # hears one sentence for the user


def unheard(sentence: str) -> None:
    """Nobody listens."""

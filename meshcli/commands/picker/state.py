"""What the picker knows and what each key does to it: no terminal, no pictures. Light: no numpy.

Letters are commands until something is being typed. A typed answer begins with a digit or any letter that is no
command; `:` begins one that would look like a command. `a` proposes a choice, unless `0` or `l` follows at once: then
it was the beginning of `a0` or `all`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from meshcli.errors import UsageError

Read = Callable[[str], list[str]]  # a typed answer -> names of views; UsageError when it names none
MOVES = {"up": -1, "k": -1, "down": 1, "j": 1}
NOTHING_CHOSEN = "nothing is chosen: space takes the view at the bar, a proposes some"


@dataclass(frozen=True)
class Picking:
    """A choice in the making."""

    names: tuple[str, ...]  # of all views, as listed
    proposed: tuple[str, ...]  # what `a` takes
    chosen: tuple[str, ...] = ()  # in order
    row: int = 0  # of the bar
    page: int = 1  # rows that are in sight, by which page-up and page-down move
    typed: str = ""  # the answer as far as it is typed; a leading ":" is no part of it
    message: str = ""
    before: tuple[str, ...] | None = None  # the choice that the key just pressed, `a`, replaced
    end: Literal["", "accepted", "left"] = ""

    def pressed(self, key: str, read: Read) -> "Picking":
        """After a key: a character, or up, down, pageup, pagedown, home, end, enter, escape, backspace."""
        now = replace(self, message="", before=None)
        if self.before is not None and (key.isdecimal() or key == "l"):
            return replace(now, chosen=self.before, typed=f"a{key}")
        return now._typed(key, read) if self.typed else now._commanded(key)

    def _commanded(self, key: str) -> "Picking":
        if key == " ":
            return replace(self, chosen=_toggled(self.chosen, self.names[self.row]))
        if key == "a":
            return replace(self, chosen=self.proposed, before=self.chosen)
        if key == "enter":
            return replace(self, end="accepted") if self.chosen else replace(self, message=NOTHING_CHOSEN)
        if key in ("q", "escape"):
            return replace(self, end="left")
        if len(key) == 1 and (key.isalnum() or key == ":") and key not in MOVES:
            return replace(self, typed=key)
        last = len(self.names) - 1
        steps = {**MOVES, "pageup": -self.page, "pagedown": self.page, "home": -last, "end": last}
        return replace(self, row=min(max(self.row + steps.get(key, 0), 0), last))

    def _typed(self, key: str, read: Read) -> "Picking":
        match key:
            case "escape":
                return replace(self, typed="")
            case "backspace":
                return replace(self, typed=self.typed[:-1])
            case "enter":
                try:
                    return replace(self, chosen=tuple(read(self.typed.removeprefix(":"))), typed="", end="accepted")
                except UsageError as error:
                    return replace(self, message=str(error))
            case _ if len(key) == 1 and key.isprintable():
                return replace(self, typed=self.typed + key)
        return self


def _toggled(chosen: Sequence[str], name: str) -> tuple[str, ...]:
    if name in chosen:
        return tuple(other for other in chosen if other != name)
    return (*chosen, name)

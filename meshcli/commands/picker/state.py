"""The state of the picker and how each key changes it; no terminal, no pictures. Light: no numpy.

Letters are commands unless an answer is being typed. An answer begins with a digit or a letter that is no command, or
with `:`, which is not part of it. `a` selects the proposed views, unless `0` or `l` follows at once: then it was the
beginning of `a0` or `all`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from meshcli.errors import UsageError

ReadAnswer = Callable[[str], list[str]]  # typed answer -> names of views; raises UsageError
ROW_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}
NOTHING_CHOSEN = "nothing is chosen: space takes the current view, a the proposed ones"


@dataclass(frozen=True)
class PickerState:
    """A selection being made."""

    names: tuple[str, ...]  # of all views, in the order of the table
    proposed: tuple[str, ...]  # what `a` selects
    chosen: tuple[str, ...] = ()  # in the order of selection
    row: int = 0  # the current one
    page: int = 1  # visible rows, which page-up and page-down move by
    typed: str = ""  # the answer so far, with its leading ":"
    message: str = ""
    replaced: tuple[str, ...] | None = None  # what was selected before, if the last key was `a`
    end: Literal["", "accepted", "cancelled"] = ""

    def press(self, key: str, read: ReadAnswer) -> "PickerState":
        """The state after a key: a character, or up, down, pageup, pagedown, home, end, enter, escape, backspace."""
        now = replace(self, message="", replaced=None)
        if self.replaced is not None and (key.isdecimal() or key == "l"):
            return replace(now, chosen=self.replaced, typed=f"a{key}")
        return now._edit_answer(key, read) if self.typed else now._run_command(key)

    def _run_command(self, key: str) -> "PickerState":
        if key == " ":
            return replace(self, chosen=_toggle(self.chosen, self.names[self.row]))
        if key == "a":
            return replace(self, chosen=self.proposed, replaced=self.chosen)
        if key == "enter":
            return replace(self, end="accepted") if self.chosen else replace(self, message=NOTHING_CHOSEN)
        if key in ("q", "escape"):
            return replace(self, end="cancelled")
        if len(key) == 1 and (key.isalnum() or key == ":") and key not in ROW_STEPS:
            return replace(self, typed=key)
        last = len(self.names) - 1
        steps = {**ROW_STEPS, "pageup": -self.page, "pagedown": self.page, "home": -last, "end": last}
        return replace(self, row=min(max(self.row + steps.get(key, 0), 0), last))

    def _edit_answer(self, key: str, read: ReadAnswer) -> "PickerState":
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


def _toggle(chosen: Sequence[str], name: str) -> tuple[str, ...]:
    if name in chosen:
        return tuple(other for other in chosen if other != name)
    return (*chosen, name)

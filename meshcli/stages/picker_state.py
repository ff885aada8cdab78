"""A choice of views being made, and how each key changes it: no terminal, no pictures, no browser. Light: no numpy.

The picker of `select` and the page of `ui` share it. Letters are commands; typing views begins with a digit or with
`:`, which is not part of the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT, suggest_views

ReadAnswer = Callable[[str], list[str]]  # typed answer -> names of views; raises UsageError
KEYS = (  # as the list of keys and docs/choosing-views.md have them; the keys beside what they do
    ("up, down, k, j", "move by a view"),
    ("page up/down, h, l", "move by a screen"),
    ("home, end", "first or last view"),
    ("space", "take or drop it"),
    ("click, wheel", "take or drop, move"),
    ("s", "take the suggested"),
    ("a, n", "take all, or none"),
    ("u", "undo a change"),
    ("0,3,5 and enter", "take what is typed"),
    (":b2 and enter", "the same by name"),
    ("enter", "accept"),
    ("q, escape", "leave as it was"),
    ("?", "show or hide this"),
)
STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}
PAGES = {"pageup": -1, "h": -1, "pagedown": 1, "l": 1}
NOTHING_CHOSEN = "nothing is chosen: space takes the current view, s the suggested ones"
NOTHING_TO_UNDO = "there is nothing to undo"
MAX_UNDO = 100  # changes that are kept; by choice, more than anybody makes


@dataclass(frozen=True)
class PickerState:
    """A selection being made."""

    names: tuple[str, ...]  # of all views, in the order of the table
    proposed: tuple[str, ...]  # what `s` selects
    chosen: tuple[str, ...] = ()  # in the order of selection
    row: int = 0  # the current one
    first: int = 0  # the first visible row
    page: int = 1  # visible rows, which page-up and page-down move by
    typed: str = ""  # the answer so far, with its leading ":"
    message: str = ""
    past: tuple[tuple[str, ...], ...] = ()  # earlier selections, the latest last
    help: bool = False  # the list of keys is shown
    end: Literal["", "accepted", "cancelled"] = ""

    def press(self, key: str, read: ReadAnswer) -> "PickerState":
        """The state after a key: a character, or up, down, pageup, pagedown, home, end, enter, escape, backspace."""
        now = replace(self, message="")
        if self.help:
            return replace(now, help=False)
        return now._edit_answer(key, read) if self.typed else now._run_command(key).with_page(self.page)

    def click(self, row: int | None) -> "PickerState":
        """The state after a click on a row, which is taken or dropped, or beside the rows. Typing goes on."""
        if self.help or self.typed or row is None:
            return replace(self, help=False)
        return replace(self, message="", row=row)._with_chosen(_toggle(self.chosen, self.names[row]))

    def scroll(self, rows: int) -> "PickerState":
        """The state after a turn of the wheel: the current row moves and, as far as there is more, the list with it."""
        if self.help or self.typed:
            return replace(self, help=False)
        row = min(max(self.row + rows, 0), len(self.names) - 1)
        return replace(self, message="", row=row, first=self.first + rows).with_page(self.page)

    def with_page(self, page: int) -> "PickerState":
        """With this many visible rows; the list is moved as little as possible until the current one is among them."""
        first = min(max(self.first, self.row - page + 1), self.row)
        return replace(self, page=page, first=max(0, min(first, len(self.names) - page)))

    def _run_command(self, key: str) -> "PickerState":
        sets = {"s": self.proposed, "a": self.names, "n": ()}
        if key in sets:
            return self._with_chosen(sets[key])
        if key == " ":
            return self._with_chosen(_toggle(self.chosen, self.names[self.row]))
        if key == "u":
            return self._undone()
        if key == "enter":
            return replace(self, end="accepted") if self.chosen else replace(self, message=NOTHING_CHOSEN)
        if key in ("q", "escape"):
            return replace(self, end="cancelled")
        begins_answer = key == ":" or (len(key) == 1 and key.isdecimal())
        return replace(self, typed=key) if begins_answer else replace(self._moved(key), help=key == "?")

    def _moved(self, key: str) -> "PickerState":
        last = len(self.names) - 1
        step = {"home": -last, "end": last}.get(key, STEPS.get(key, 0) + self.page * PAGES.get(key, 0))
        return replace(self, row=min(max(self.row + step, 0), last))

    def _with_chosen(self, chosen: Sequence[str]) -> "PickerState":
        if tuple(chosen) == self.chosen:
            return self
        return replace(self, chosen=tuple(chosen), past=(*self.past, self.chosen)[-MAX_UNDO:])

    def _undone(self) -> "PickerState":
        if not self.past:
            return replace(self, message=NOTHING_TO_UNDO)
        return replace(self, chosen=self.past[-1], past=self.past[:-1])

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


def opening_state(manifest: Manifest) -> PickerState:
    """What a choice among views begins with: the recorded selection, or else the suggestion, which `s` takes."""
    names = tuple(view.name for view in manifest.active_views.values())
    proposed = suggest_views(manifest, min(DEFAULT_VIEW_COUNT, len(names)))
    current = manifest.selection.names if manifest.selection else proposed
    return PickerState(names, tuple(proposed), tuple(name for name in current if name in names))


def _toggle(chosen: Sequence[str], name: str) -> tuple[str, ...]:
    if name in chosen:
        return tuple(other for other in chosen if other != name)
    return (*chosen, name)

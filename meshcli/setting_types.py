"""What a setting accepts: numbers in a range, lists of so many entries, names. Light: the standard library alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """The numbers that a setting accepts; for a list, the numbers that each entry may be."""

    low: float
    high: float
    or_zero: bool = False  # 0 is accepted too, and has a meaning of its own
    multiple_of: int = 1

    def __contains__(self, number: float) -> bool:
        is_multiple = self.multiple_of == 1 or number % self.multiple_of == 0
        return (self.low <= number <= self.high and is_multiple) or (self.or_zero and number == 0)

    def __str__(self) -> str:
        multiple = f"a multiple of {self.multiple_of} " if self.multiple_of > 1 else ""
        return f"{'0 or ' if self.or_zero else ''}{multiple}between {self.low:.15g} and {self.high:.15g}"


@dataclass(frozen=True)
class Entries:
    """How many entries a list accepts."""

    low: int
    high: int


def range_of(section: type, key: str) -> Range | None:
    """The range of a number in a section; None for a setting of another type."""
    return next((each for each in get_args(types_of(section)[key])[1:] if isinstance(each, Range)), None)


def types_of(table: type) -> dict[str, Any]:
    """The types of a dataclass's fields, with what is annotated to them: key -> type."""
    return _types_of(table)


@cache
def _types_of(table: type) -> dict[str, Any]:
    return get_type_hints(table, include_extras=True)


def unknown_name(what: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a name that is not among the `known` ones, with the nearest of them."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.5)
    return f"{name} is no {what}{f' (did you mean {near[0]}?)' if near else ''}; known: {', '.join(known)}"

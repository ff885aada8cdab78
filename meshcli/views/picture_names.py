"""Match names of pictures that another program wrote, on whatever system. Light: standard library only.

The file names must match, and where several do, the longest common end of the paths decides. Either slash separates;
capitals, accents (NFC, NFD) and percent codes are ignored unless nothing else tells two names apart. The ending may
differ or be missing: a cut-out of `a.jpg` is `a.png`, or `a.jpg.png`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

# How well two file names match, best first.
IDENTICAL = 4
EQUIVALENT = 3  # but for capitals, accents and percent codes
EXTENDED = 2  # but for an ending that one of them has in addition: a.jpg and a.jpg.png
SAME_STEM = 1  # but for their endings: a.jpg and a.png
ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


@dataclass(frozen=True)
class NameMatch:
    """How well two paths match, counted from their ends."""

    name: int  # IDENTICAL to SAME_STEM, or 0 for no match
    folders: int = 0  # that match
    exact_folders: int = 0  # of these, the identical ones

    def dominates(self, other: "NameMatch") -> bool:
        """Whether this match is better in some respect and worse in none."""
        mine, its = (self.name, self.folders), (other.name, other.folders)
        if mine == its:
            return self.exact_folders > other.exact_folders
        return self.name >= other.name and self.folders >= other.folders


class PictureNameIndex:
    """Names of pictures, to be looked up by other names of the same pictures."""

    def __init__(self, names: Iterable[str]) -> None:
        self._steps = {name: path_parts(name) for name in names}
        self._by_key: dict[str, list[str]] = {}
        for name, steps in self._steps.items():
            for key in _keys(steps):
                self._by_key.setdefault(key, []).append(name)

    def best_matches(self, name: str) -> dict[str, NameMatch]:
        """The names that match best: one, several where none dominates the others, or none."""
        steps = path_parts(name)
        near = dict.fromkeys(name for key in _keys(steps) for name in self._by_key.get(key, ()))
        found = {other: compare_paths(steps, self._steps[other]) for other in near}
        return {
            other: its for other, its in found.items() if not any(another.dominates(its) for another in found.values())
        }


def path_parts(name: str) -> tuple[str, ...]:
    """Folders and file name, with `.` and `..` resolved."""
    steps: list[str] = []
    for step in unicodedata.normalize("NFC", name).replace("\\", "/").split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return tuple(steps)


def compare_paths(one: Sequence[str], other: Sequence[str]) -> NameMatch:
    """How well two paths match, given by their parts."""
    if not one or not other:
        return NameMatch(0)
    folders = exact_folders = 0
    for mine, its in zip(one[-2::-1], other[-2::-1], strict=False):
        if _normalise(mine) != _normalise(its):
            break
        folders, exact_folders = folders + 1, exact_folders + (mine == its)
    return NameMatch(_compare_names(one[-1], other[-1]), folders, exact_folders)


def short_names(names: Sequence[str]) -> list[str]:
    """The shortest ends of some paths that tell them apart, for messages."""
    steps = [tuple(filter(None, name.split("/"))) if "/" in name else path_parts(name) for name in names]
    short = ["/".join(each[-1:]) for each in steps]
    for length in range(2, max(map(len, steps), default=0) + 1):
        counts = Counter(short)
        short = ["/".join(each[-length:]) if counts[now] > 1 else now for each, now in zip(steps, short, strict=True)]
    return [now or name for now, name in zip(short, names, strict=True)]


def _compare_names(one: str, other: str) -> int:
    """IDENTICAL to SAME_STEM, or 0."""
    if one == other:
        return IDENTICAL
    one, other = _normalise(one), _normalise(other)
    if one == other:
        return EQUIVALENT
    if _without_ending(one) == other or one == _without_ending(other):
        return EXTENDED
    return SAME_STEM if _without_ending(one) == _without_ending(other) else 0


def _keys(steps: Sequence[str]) -> list[str]:
    name = _normalise(steps[-1]) if steps else ""
    return [key for key in dict.fromkeys((name, _without_ending(name))) if key]


def _without_ending(name: str) -> str:
    return ENDING.sub("", name) or name


def _normalise(step: str) -> str:
    """Without differences between operating systems: percent codes, Unicode normal forms, capitals."""
    text = unquote(step) if "%" in step else step
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())

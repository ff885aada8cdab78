"""Which of some pictures a name means, as another program wrote it on whatever system. Light: standard library only.

The file names must agree, and where several do, the longest common end of the paths decides. Either slash separates;
capitals, accents (NFC, NFD) and percent codes do not count unless nothing else tells two apart. The ending may be
another one, or be missing: a cut-out of `a.jpg` is `a.png`, or `a.jpg.png`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

SAME, ALIKE, ADDED, OTHER = (
    4,
    3,
    2,
    1,
)  # how two file names agree: to the letter, nearly, but for an ending, in the stem
ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


@dataclass(frozen=True)
class Likeness:
    """How well two paths agree from their ends on."""

    name: int  # SAME to OTHER, 0 is not at all
    folders: int = 0
    exactly: int = 0  # of these folders, those that agree to the letter

    def surpasses(self, other: "Likeness") -> bool:
        """Whether nothing about the other is better, and something is worse."""
        mine, its = (self.name, self.folders), (other.name, other.folders)
        if mine == its:
            return self.exactly > other.exactly
        return self.name >= other.name and self.folders >= other.folders


class Names:
    """Names of pictures, to be looked up by other names of the same pictures."""

    def __init__(self, names: Iterable[str]) -> None:
        self._steps = {name: parts(name) for name in names}
        self._by_key: dict[str, list[str]] = {}
        for name, steps in self._steps.items():
            for key in _keys(steps):
                self._by_key.setdefault(key, []).append(name)

    def like(self, name: str) -> dict[str, Likeness]:
        """The names that may mean the same picture, the best ones: one, several that are equally good, or none."""
        steps = parts(name)
        near = dict.fromkeys(name for key in _keys(steps) for name in self._by_key.get(key, ()))
        found = {other: likeness(steps, self._steps[other]) for other in near}
        return {
            other: its for other, its in found.items() if not any(another.surpasses(its) for another in found.values())
        }


def parts(name: str) -> tuple[str, ...]:
    """Folders and file name, without `.`, with `..` worked out."""
    steps: list[str] = []
    for step in unicodedata.normalize("NFC", name).replace("\\", "/").split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return tuple(steps)


def likeness(one: Sequence[str], other: Sequence[str]) -> Likeness:
    """Of two paths by their parts."""
    if not one or not other:
        return Likeness(0)
    folders = exactly = 0
    for mine, its in zip(one[-2::-1], other[-2::-1], strict=False):
        if _plain(mine) != _plain(its):
            break
        folders, exactly = folders + 1, exactly + (mine == its)
    return Likeness(_names_alike(one[-1], other[-1]), folders, exactly)


def shortened(names: Sequence[str]) -> list[str]:
    """The shortest ends of some paths that tell them apart, to be shown."""
    steps = [tuple(filter(None, name.split("/"))) if "/" in name else parts(name) for name in names]
    short = ["/".join(each[-1:]) for each in steps]
    for length in range(2, max(map(len, steps), default=0) + 1):
        counts = Counter(short)
        short = ["/".join(each[-length:]) if counts[now] > 1 else now for each, now in zip(steps, short, strict=True)]
    return [now or name for now, name in zip(short, names, strict=True)]


def _names_alike(one: str, other: str) -> int:
    """Of two file names."""
    if one == other:
        return SAME
    one, other = _plain(one), _plain(other)
    if one == other:
        return ALIKE
    if _stem(one) == other or one == _stem(other):
        return ADDED
    return OTHER if _stem(one) == _stem(other) else 0


def _keys(steps: Sequence[str]) -> list[str]:
    name = _plain(steps[-1]) if steps else ""
    return [key for key in dict.fromkeys((name, _stem(name))) if key]


def _stem(name: str) -> str:
    return ENDING.sub("", name) or name


def _plain(step: str) -> str:
    """Without what systems write differently."""
    text = unquote(step) if "%" in step else step
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())

"""Which views: reading what a user typed, and choosing a well-spread set. Light: no numpy."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, ViewEntry
from meshcli.views.camera import Camera

Vector = tuple[float, float, float]

# Energies of a view itself, beside that of a pair, which is 1 for views 60 degrees apart and 2 for 30 degrees.
SCORE_WEIGHT = 4.0  # times what is missing to a perfect score
PHOTO_BONUS = 0.5
STARTS = 24
DIRECTIONS = 600  # over which coverage is counted
WITHIN = 60.0  # degrees: a surface that is turned away from the camera by more is hardly seen


def read_choice(text: str, manifest: Manifest) -> list[str]:
    """`0,3,5`, `a0,b2`, `0-5`, `all`, `photo:a`, in any mixture: view names in the order typed; no view twice."""
    views = manifest.live_views
    names: list[str] = []
    for word in filter(None, re.split(r"[,\s]+", text.strip())):
        for name in _read_word(word, views):
            if name in names:
                raise UsageError(f"view {name} is named twice")
            names.append(name)
    if not names:
        raise UsageError(f"no views are named; {_allowed(views)}")
    return names


def suggest(manifest: Manifest, count: int = 6) -> list[str]:
    """A set of good views spread as evenly as possible around the object, with equal use of the photos; deterministic.

    A photo with fewer views than its share gives all it has, and the others make up for it.

    Views are points on a sphere that repel each other like equal charges (Thomson 1904), and a bad score raises a
    view's energy: start from many views, add the one of least energy, then exchange single views as long as that
    lowers the energy, and keep the best set. Real photos among the views have an advantage.
    """
    views = manifest.live_views
    if not 1 <= count <= len(views):
        raise UsageError(f"--auto {count}: there are {len(views)} views to choose from")
    entries = list(views.values())
    if len({view.photo for view in entries}) == 1 and count == len(entries):
        return [view.name for view in entries]
    energy = [[_repulsion(_direction(a.camera), _direction(b.camera)) for b in entries] for a in entries]
    for index, view in enumerate(entries):
        energy[index][index] = SCORE_WEIGHT * (1.0 - _score(view))
        energy[index][index] -= PHOTO_BONUS if view.name == view.photo else 0.0
    photos = [view.photo for view in entries]
    share = _equal_share(count, photos)
    first = range(0, len(entries), max(1, len(entries) // STARTS))
    starts = (_improved(_grown(start, count, energy, photos, share), energy, photos, share) for start in first)
    best = min((sorted(chosen) for chosen in starts), key=lambda chosen: (round(_total(chosen, energy), 9), chosen))
    return [entries[index].name for index in best]


def coverage(cameras: Sequence[Camera]) -> float:
    """The share of all directions that some camera looks at from within 60 degrees: 1 is all round, above and below."""
    seen = [_direction(camera) for camera in cameras]
    limit = math.cos(math.radians(WITHIN))
    golden = math.pi * (3.0 - math.sqrt(5.0))
    count = 0
    for index in range(DIRECTIONS):  # evenly on a sphere (Fibonacci lattice)
        z = 1.0 - (2.0 * index + 1.0) / DIRECTIONS
        radius, angle = math.sqrt(1.0 - z * z), golden * index
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        count += any(x * a + y * b + z * c >= limit for a, b, c in seen)
    return count / DIRECTIONS


def _read_word(word: str, views: Mapping[int, ViewEntry]) -> list[str]:
    by_name = {view.name: number for number, view in views.items()}
    if word == "all":
        return [view.name for view in views.values()]
    if word.startswith("photo:"):
        found = [view.name for view in views.values() if view.photo == word.removeprefix("photo:")]
        if not found:
            raise UsageError(f"there is no {word}; photos are {', '.join(sorted({v.photo for v in views.values()}))}")
        return found
    first, dash, last = word.partition("-")
    numbers = [
        by_name.get(end, int(end) if end.isdecimal() and len(end) < 7 else None) for end in (first, last or first)
    ]
    start, stop = numbers
    if start is None or stop is None or (dash and not last):
        raise UsageError(f"there is no view {word!r}; {_allowed(views)}")
    wanted = range(start, stop + 1) if start <= stop else range(start, stop - 1, -1)
    if missing := [number for number in (start, stop, *wanted[:1000]) if number not in views]:
        raise UsageError(f"there is no view {missing[0]}; {_allowed(views)}")
    return [views[number].name for number in wanted]


def _allowed(views: Mapping[int, ViewEntry]) -> str:
    """Numbers and names in ranges: "views are 0-5, 12-17 (a0-a5, c0-c5)"."""
    runs: list[list[int]] = []
    for number in views:
        if runs and number == runs[-1][-1] + 1 and views[number].photo == views[runs[-1][-1]].photo:
            runs[-1].append(number)
        else:
            runs.append([number])
    ends = [(run[0], run[-1]) if len(run) > 1 else (run[0],) for run in runs]
    numbers = ", ".join("-".join(map(str, pair)) for pair in ends)
    names = ", ".join("-".join(views[number].name for number in pair) for pair in ends)
    return f"views are {numbers} ({names})"


def _score(view: ViewEntry) -> float:
    """From 0 to 1; what is no score, in a file that somebody else wrote, counts as the worst."""
    total = view.scores.get("total", 1.0)
    return min(1.0, max(0.0, float(total))) if isinstance(total, int | float) else 0.0


def _equal_share(count: int, photos: Sequence[str]) -> tuple[int, int]:
    """How often each photo may be used when `count` views are chosen, and how many photos once more than that."""
    there = Counter(photos)
    share = 0
    while sum(min(views, share + 1) for views in there.values()) <= count and share < max(there.values()):
        share += 1
    return share, count - sum(min(views, share) for views in there.values())


def _grown(
    start: int, count: int, energy: list[list[float]], photos: Sequence[str], share: tuple[int, int]
) -> list[int]:
    """One view, then always the one that is repelled least."""
    chosen = [start]
    while len(chosen) < count:
        allowed = [i for i in range(len(photos)) if i not in chosen and _fair([*chosen, i], photos, share)]
        chosen.append(min(allowed, key=lambda i: (energy[i][i] + sum(energy[i][j] for j in chosen), i)))
    return chosen


def _improved(chosen: list[int], energy: list[list[float]], photos: Sequence[str], share: tuple[int, int]) -> list[int]:
    """Exchange one view for another while that lowers the energy."""
    for _ in range(100):
        load = [sum(row[index] for index in chosen) for row in energy]
        best, gain = chosen, 1e-9
        for place, old in enumerate(chosen):
            saved = load[old]  # its own energy and that of its pairs
            for new in range(len(photos)):
                less = saved - (energy[new][new] + load[new] - energy[new][old])
                if less > gain and new not in chosen:
                    trial = [*chosen[:place], new, *chosen[place + 1 :]]
                    if _fair(trial, photos, share):
                        best, gain = trial, less
        if best is chosen:
            break
        chosen = best
    return chosen


def _fair(chosen: Sequence[int], photos: Sequence[str], share: tuple[int, int]) -> bool:
    """No photo is used more often than its share, but for as many as may be used once more."""
    times, rest = share
    used = Counter(photos[index] for index in chosen).values()
    return max(used) <= times + (rest > 0) and sum(each > times for each in used) <= rest


def _total(chosen: Sequence[int], energy: list[list[float]]) -> float:
    return sum(energy[a][b] for place, a in enumerate(chosen) for b in chosen[: place + 1])


def _direction(camera: Camera) -> Vector:
    x, y, z = camera.position
    length = math.hypot(x, y, z) or 1.0
    return x / length, y / length, z / length


def _repulsion(a: Vector, b: Vector) -> float:
    return 1.0 / max(math.dist(a, b), 1e-3)

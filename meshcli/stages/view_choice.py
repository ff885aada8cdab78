"""Choosing views: parsing what a user typed, and suggesting a well-spread set. Light: no numpy."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, ViewEntry
from meshcli.views.camera import Camera

Vector = tuple[float, float, float]

DEFAULT_VIEW_COUNT = 6  # InstantMesh was trained with six views and reconstructs from six (Xu et al. 2024)
# Energy of a view, beside that of a pair: 1 for views 60 degrees apart, 2 for 30 degrees. Both are choices by eye: more
# weight avoids bad views at the price of a less even spread.
SCORE_WEIGHT = 4.0  # times what a view lacks to a perfect score
PHOTO_BONUS = 0.5  # subtracted for a real photo: it shows the object itself
MAX_STARTS = 24  # views that the search starts from; more take longer, in proportion
MAX_EXCHANGES = 100  # per start; a bound that ends the loop, for each exchange lowers the energy
COVERAGE_DIRECTIONS = 600  # sampled on the sphere, about 8 degrees apart
COVERAGE_ANGLE = 60.0  # degrees: a surface turned away from the camera by more is hardly seen


def parse_view_choice(text: str, manifest: Manifest) -> list[str]:
    """Parse `0,3,5`, `a0,b2`, `0-5`, `all`, `photo:a`, in any mixture, to view names in the order typed.

    Raises UsageError for a view that does not exist or is named twice.
    """
    views = manifest.active_views
    names: list[str] = []
    for word in filter(None, re.split(r"[,\s]+", text.strip())):
        for name in _parse_term(word, views):
            if name in names:
                raise UsageError(f"view {name} is named twice")
            names.append(name)
    if not names:
        raise UsageError(f"no views are named; {_describe_views(views)}")
    return names


def suggest_views(manifest: Manifest, count: int = DEFAULT_VIEW_COUNT) -> list[str]:
    """Good views spread evenly around the object, the same number from each photo where possible; deterministic.

    A photo with fewer views than its share gives all it has, and the others give more.

    Views are points on a sphere that repel each other like equal charges (Thomson 1904), and a low score raises a
    view's energy. From each of many first views, the view of least energy is added until there are enough; then single
    views are exchanged as long as that lowers the energy. The set of least energy is returned.
    """
    views = manifest.active_views
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
    sets = [
        sorted(_exchange_views(_grow_set(first, count, energy, photos, share), energy, photos, share))
        for first in range(0, len(entries), max(1, len(entries) // MAX_STARTS))
    ]
    best = min(sets, key=lambda chosen: (round(_total_energy(chosen, energy), 9), chosen))
    return [entries[index].name for index in best]


def shown_scores(view: ViewEntry) -> Mapping[str, Any]:
    """The scores that say something: none for a view of a sculpted body, which agrees with the others by its making."""
    return {} if view.engine == "sculpt" else view.scores


def shown_coverage(chosen: Sequence[ViewEntry]) -> float | None:
    """The share of all sides that the views see; None for views of a sculpted body, most of which is guessed."""
    if not chosen or all(view.engine == "sculpt" for view in chosen):
        return None
    return coverage([view.camera for view in chosen])


def coverage(cameras: Sequence[Camera]) -> float:
    """The fraction of all directions within 60 degrees of some camera's: 1 is all round, above and below."""
    seen = [_direction(camera) for camera in cameras]
    limit = math.cos(math.radians(COVERAGE_ANGLE))
    golden = math.pi * (3.0 - math.sqrt(5.0))
    count = 0
    for index in range(COVERAGE_DIRECTIONS):  # a Fibonacci lattice is even on a sphere
        z = 1.0 - (2.0 * index + 1.0) / COVERAGE_DIRECTIONS
        radius, angle = math.sqrt(1.0 - z * z), golden * index
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        count += any(x * a + y * b + z * c >= limit for a, b, c in seen)
    return count / COVERAGE_DIRECTIONS


def _parse_term(word: str, views: Mapping[int, ViewEntry]) -> list[str]:
    """One term of a choice: a number, a name, a range of either, `all` or `photo:NAME`."""
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
        raise UsageError(f"there is no view {word!r}; {_describe_views(views)}")
    wanted = range(start, stop + 1) if start <= stop else range(start, stop - 1, -1)
    if missing := [number for number in (start, stop, *wanted[:1000]) if number not in views]:
        raise UsageError(f"there is no view {missing[0]}; {_describe_views(views)}")
    return [views[number].name for number in wanted]


def _describe_views(views: Mapping[int, ViewEntry]) -> str:
    """The numbers and names that exist, in ranges: "views are 0-5, 12-17 (a0-a5, c0-c5)"."""
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
    """The total score in [0, 1]; in a foreign manifest, anything but a number counts as 0."""
    total = view.scores.get("total", 1.0)
    return min(1.0, max(0.0, float(total))) if isinstance(total, int | float) else 0.0


def _equal_share(count: int, photos: Sequence[str]) -> tuple[int, int]:
    """How many of `count` views each photo may give, and how many photos may give one more."""
    available = Counter(photos)
    share = 0
    while sum(min(views, share + 1) for views in available.values()) <= count and share < max(available.values()):
        share += 1
    return share, count - sum(min(views, share) for views in available.values())


def _grow_set(
    first: int, count: int, energy: list[list[float]], photos: Sequence[str], share: tuple[int, int]
) -> list[int]:
    """A set grown from one view by always adding the one of least energy."""
    chosen = [first]
    while len(chosen) < count:
        allowed = [i for i in range(len(photos)) if i not in chosen and _within_share([*chosen, i], photos, share)]
        chosen.append(min(allowed, key=lambda i: (energy[i][i] + sum(energy[i][j] for j in chosen), i)))
    return chosen


def _exchange_views(
    chosen: list[int], energy: list[list[float]], photos: Sequence[str], share: tuple[int, int]
) -> list[int]:
    """The set after exchanging one view at a time, always by the best exchange, while that lowers the energy."""
    for _ in range(MAX_EXCHANGES):
        load = [sum(row[index] for index in chosen) for row in energy]
        best, gain = chosen, 1e-9
        for place, old in enumerate(chosen):
            removed = load[old]  # its own energy and that of its pairs
            for new in range(len(photos)):
                decrease = removed - (energy[new][new] + load[new] - energy[new][old])
                if decrease > gain and new not in chosen:
                    trial = [*chosen[:place], new, *chosen[place + 1 :]]
                    if _within_share(trial, photos, share):
                        best, gain = trial, decrease
        if best is chosen:
            break
        chosen = best
    return chosen


def _within_share(chosen: Sequence[int], photos: Sequence[str], share: tuple[int, int]) -> bool:
    """Whether no photo gives more views than its share, except for as many as may give one more."""
    limit, extra = share
    used = Counter(photos[index] for index in chosen).values()
    return max(used) <= limit + (extra > 0) and sum(each > limit for each in used) <= extra


def _total_energy(chosen: Sequence[int], energy: list[list[float]]) -> float:
    """Energy of a set: of its views, on the diagonal, and of its pairs."""
    return sum(energy[a][b] for place, a in enumerate(chosen) for b in chosen[: place + 1])


def _direction(camera: Camera) -> Vector:
    """Unit vector from the origin to a camera."""
    x, y, z = camera.position
    length = math.hypot(x, y, z) or 1.0
    return x / length, y / length, z / length


def _repulsion(a: Vector, b: Vector) -> float:
    """Energy of two unit charges: 1 / distance, bounded for views from the same direction."""
    return 1.0 / max(math.dist(a, b), 1e-3)

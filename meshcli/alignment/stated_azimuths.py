"""Whether the azimuths that a user stated fit the photos in another order, or reversed, clearly better."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from meshcli.alignment.azimuths import COARSE_FIT, SetModel, ViewSet, pair_energy
from meshcli.progress import Progress
from meshcli.views.camera import angular_distance

# Two photos hardly tell: 9 % of mistakes are found with two, 37 % with three, 62 % with four, whose comparisons take
# the most time that one would wait.
MIN_PHOTOS, MAX_PHOTOS = 3, 4
# Difference of log probabilities from which another arrangement is clearly better. Measured by
# tests/bench/azimuths.py arrangements: of 230 right ones none was doubted, of 1,064 wrong ones 45 %.
CLEAR_GAIN = 3.0
MIN_TURN = 20.0  # degrees by which some photo must move, for an arrangement to be another one


def better_arrangement(sets: Sequence[ViewSet], seed: int, progress: Progress) -> tuple[str, list[float]] | None:
    """What to do with the stated azimuths, in words, and the azimuths then; None if they fit well as they are.

    The sets have their azimuths. Raises InputError where a set's silhouettes have no body.
    """
    models = []
    for index, view_set in enumerate(sets):
        progress(index, len(sets), f"checking the stated azimuth of photo {view_set.name}")
        models.append(SetModel.of(view_set, COARSE_FIT, seed))
    stated = [view_set.azimuth or 0.0 for view_set in sets]
    names = [view_set.name for view_set in sets]
    arrangements = dict(other_arrangements(names, stated))
    if not arrangements:
        return None
    energies = {words: _energy(models, azimuths) for words, azimuths in arrangements.items()}
    best = min(energies, key=lambda words: energies[words])
    if _energy(models, stated) - energies[best] < CLEAR_GAIN:
        return None
    return best, arrangements[best]


def other_arrangements(names: Sequence[str], stated: Sequence[float]) -> Iterator[tuple[str, list[float]]]:
    """Two azimuths exchanged, or all reversed about the first photo's: in words, and the azimuths (degrees)."""
    for i, j in combinations(range(len(stated)), 2):
        exchanged = list(stated)
        exchanged[i], exchanged[j] = exchanged[j], exchanged[i]
        if _differ(stated, exchanged):
            yield f"{names[i]} and {names[j]} exchanged", exchanged
    reversed_ones = [(2.0 * stated[0] - azimuth) % 360.0 for azimuth in stated]
    if len(stated) > 2 and _differ(stated, reversed_ones):  # reversing two photos is the same as exchanging them
        yield "the direction reversed", reversed_ones


def _differ(first: Sequence[float], second: Sequence[float]) -> bool:
    return max(map(angular_distance, first, second)) >= MIN_TURN


def _energy(models: Sequence[SetModel], azimuths: Sequence[float]) -> float:
    return float(
        sum(
            pair_energy(models[i], models[j], np.array([azimuths[i]]), np.array([azimuths[j]]))[0, 0]
            for i, j in combinations(range(len(models)), 2)
        )
    )

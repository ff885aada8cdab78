"""How probable each azimuth of each photo is, from what pairs of photos say about the angle between them.

Every pair of photos gives an energy for each angle between the two. The azimuths of all photos together are as
probable as exp(-sum of the energies) (a Gibbs distribution); a photo's own probabilities are the sums over the azimuths
of the others. Where there are too many combinations to sum, the best one for each azimuth stands for the sum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meshcli.arrays import Float64Array

MAX_COMBINATIONS = 400_000  # of azimuths of all photos that are summed: 73 choices of each of three free photos
MAX_SWEEPS = 10  # of a descent, each once through all photos; it ends when nothing changes
PairEnergies = Mapping[tuple[int, int], Float64Array]  # photos i < j -> (choices of i, choices of j)


def marginals(energies: PairEnergies, choices: Sequence[int]) -> tuple[list[int], list[Float64Array]]:
    """The most probable combination, and the probabilities of each photo's choices, (choices of the photo,) each.

    `choices` has the number of azimuths to choose from, by photo.
    """
    if np.prod([float(count) for count in choices]) <= MAX_COMBINATIONS:
        return _summed(energies, choices)
    return _profiled(energies, choices)


def _summed(energies: PairEnergies, choices: Sequence[int]) -> tuple[list[int], list[Float64Array]]:
    total = np.zeros(tuple(choices))
    for (i, j), energy in energies.items():
        shape = [1] * len(choices)
        shape[i], shape[j] = energy.shape
        total += energy.reshape(shape)
    best = np.unravel_index(int(total.argmin()), total.shape)
    weights = np.exp(total.min() - total)
    weights /= weights.sum()
    axes = range(len(choices))
    return [int(each) for each in best], [weights.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes]


def _profiled(energies: PairEnergies, choices: Sequence[int]) -> tuple[list[int], list[Float64Array]]:
    landscape = _Landscape.of(energies, choices)
    starts = [landscape.descend(landscape.greedy(first)) for first in range(len(choices))]
    best = min(starts, key=landscape.energy)
    found = []
    for photo, count in enumerate(choices):
        profile = np.empty(count)
        for choice in range(count):
            held = [choice if index == photo else other for index, other in enumerate(best)]
            profile[choice] = landscape.energy(landscape.descend(held, held=photo))
        weights = np.exp(profile.min() - profile)
        found.append(weights / weights.sum())
    return best, found


@dataclass(frozen=True)
class _Landscape:
    """The energies of combinations, for descents that change one photo's azimuth at a time."""

    pairs: PairEnergies  # in both orders
    choices: Sequence[int]

    @classmethod
    def of(cls, energies: PairEnergies, choices: Sequence[int]) -> "_Landscape":
        """With every pair in both orders."""
        return cls({**energies, **{(j, i): energy.T for (i, j), energy in energies.items()}}, choices)

    def energy(self, chosen: Sequence[int]) -> float:
        """The energy of a combination."""
        return float(sum(pair[chosen[i], chosen[j]] for (i, j), pair in self.pairs.items() if i < j))

    def descend(self, chosen: Sequence[int], held: int = -1) -> list[int]:
        """The combination when every photo in turn has taken its best azimuth, except the one that is held."""
        result = list(chosen)
        for _ in range(MAX_SWEEPS):
            before = list(result)
            for photo in range(len(result)):
                if photo != held:
                    result[photo] = self._best(photo, dict(enumerate(result)))
            if result == before:
                break
        return result

    def greedy(self, first: int) -> list[int]:
        """A combination built photo by photo, beginning with the best pair of `first`."""
        beside = [j for i, j in self.pairs if i == first]
        if not beside:
            return [0] * len(self.choices)
        second = min(beside, key=lambda j: float(self.pairs[first, j].min()))
        pair = self.pairs[first, second]
        place = np.unravel_index(int(pair.argmin()), pair.shape)
        chosen = {first: int(place[0]), second: int(place[1])}
        for photo in range(len(self.choices)):
            if photo not in chosen:
                chosen[photo] = self._best(photo, chosen)
        return [chosen[photo] for photo in range(len(self.choices))]

    def _best(self, photo: int, chosen: Mapping[int, int]) -> int:
        """The best azimuth of a photo beside those chosen for others; the first if it is compared with none."""
        columns = [self.pairs[photo, j][:, choice] for j, choice in chosen.items() if (photo, j) in self.pairs]
        return int(np.sum(columns, axis=0).argmin()) if columns else 0


def share_near(probabilities: Float64Array, angles: Float64Array, centre: float, within: float) -> float:
    """The probability that the azimuth is within some degrees of a centre."""
    off = np.abs((angles - centre + 180.0) % 360.0 - 180.0)
    return float(probabilities[off <= within].sum())

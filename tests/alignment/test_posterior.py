"""Probabilities of azimuths from energies of pairs."""

import numpy as np
import pytest

from meshcli.alignment import posterior
from meshcli.alignment.posterior import marginals, share_near

COUNT = 12


def energies(photos: int, strength: float) -> dict[tuple[int, int], np.ndarray]:
    """Pairs that agree on photo i being at choice 2 i, the first photo having no choice."""
    places = np.arange(COUNT)
    table = {}
    for i in range(photos):
        for j in range(i + 1, photos):
            rows = places[:, None] if i else np.zeros((1, 1), int)
            off = np.abs((places[None, :] - rows - 2 * (j - i) + COUNT // 2) % COUNT - COUNT // 2)
            table[i, j] = strength * off.astype(float)
    return table


@pytest.mark.parametrize("limit", [posterior.MAX_COMBINATIONS, 0], ids=["summed", "profiled"])
def test_agreeing_pairs_are_certain(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posterior, "MAX_COMBINATIONS", limit)
    best, found = marginals(energies(4, 5.0), [1, COUNT, COUNT, COUNT])
    assert best == [0, 2, 4, 6]
    assert [int(each.argmax()) for each in found] == best
    assert min(each.max() for each in found) > 0.97
    assert [each.sum() for each in found] == pytest.approx([1.0] * 4)


def test_two_photos_are_as_probable_as_their_energy_says() -> None:
    energy = np.array([[0.0, np.log(3.0), np.log(6.0)]])
    _, found = marginals({(0, 1): energy}, [1, 3])
    assert found[1] == pytest.approx([6 / 9, 2 / 9, 1 / 9])


@pytest.mark.parametrize("limit", [posterior.MAX_COMBINATIONS, 0], ids=["summed", "profiled"])
def test_the_same_from_all_sides_is_known_from_none(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posterior, "MAX_COMBINATIONS", limit)
    _, found = marginals(energies(3, 0.0), [1, COUNT, COUNT])
    angles = np.arange(COUNT) * 360.0 / COUNT
    assert share_near(found[1], angles, 90.0, 20.0) == pytest.approx(1 / COUNT)
    assert share_near(found[2], angles, 350.0, 20.0) == pytest.approx(2 / COUNT)  # 330 and 0


def test_a_third_photo_decides_between_two_sides() -> None:
    two_sides = np.full((1, COUNT), 5.0)
    two_sides[0, [3, 9]] = 0.0
    _, alone = marginals({(0, 1): two_sides}, [1, COUNT])
    assert alone[1].max() < 0.51
    third = np.full((1, COUNT), 8.0)
    third[0, 5] = 0.0
    between = np.full((COUNT, COUNT), 8.0)
    between[3, 5] = 0.0
    best, found = marginals({(0, 1): two_sides, (0, 2): third, (1, 2): between}, [1, COUNT, COUNT])
    assert best == [0, 3, 5]
    assert found[1][3] > 0.9

"""Stated azimuths beside their exchanged and reversed order."""

import numpy as np
import pytest

from meshcli.alignment import stated_azimuths
from meshcli.alignment.azimuths import ViewSet
from meshcli.alignment.stated_azimuths import better_arrangement, other_arrangements
from meshcli.progress import silent

NAMES = ["a", "b", "c"]


def test_all_other_orders_are_tried() -> None:
    assert dict(other_arrangements(NAMES, [0.0, 90.0, 200.0])) == {
        "a and b exchanged": [90.0, 0.0, 200.0],
        "a and c exchanged": [200.0, 90.0, 0.0],
        "b and c exchanged": [0.0, 200.0, 90.0],
        "the direction reversed": [0.0, 270.0, 160.0],
    }
    assert dict(other_arrangements(NAMES[:2], [0.0, 180.0])) == {"a and b exchanged": [180.0, 0.0]}
    assert not dict(other_arrangements(NAMES[:2], [30.0, 30.0]))


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ([0.0, 40.0, 130.0], None),
        ([0.0, 130.0, 40.0], ("b and c exchanged", [0.0, 130.0, 40.0])),
        ([0.0, 320.0, 230.0], ("the direction reversed", [0.0, 320.0, 230.0])),
    ],
)
def test_the_arrangement_is_found_that_the_pairs_prefer(
    truth: list[float], expected: tuple[str, list[float]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stated are 0, 40, 130; a pair's energy grows with the distance of its angle from the true one."""

    class Model:
        def __init__(self, name: str) -> None:
            self.azimuth = truth[NAMES.index(name)]

        @classmethod
        def of(cls, view_set: ViewSet, *_: object) -> "Model":
            return cls(view_set.name)

    def energy(a: Model, b: Model, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        off = (second - first) - (b.azimuth - a.azimuth)
        return np.abs((off + 180.0) % 360.0 - 180.0).reshape(1, 1) / 10.0

    monkeypatch.setattr(stated_azimuths, "SetModel", Model)
    monkeypatch.setattr(stated_azimuths, "pair_energy", energy)
    sets = [ViewSet(name, [], azimuth) for name, azimuth in zip(NAMES, (0.0, 40.0, 130.0), strict=True)]
    assert better_arrangement(sets, 0, silent) == expected

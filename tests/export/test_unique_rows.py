import numpy as np
import pytest

from meshcli.export.unique_rows import unique_rows


@pytest.mark.parametrize("largest", [3, 10**6, 2**40])
def test_the_same_as_numpy(largest: int) -> None:
    generator = np.random.default_rng(0)
    table = generator.integers(-largest, largest, (40, 5))[generator.integers(0, 40, 300)]
    rows, first, kinds = np.unique(table, axis=0, return_index=True, return_inverse=True)
    found, own = unique_rows(table)
    assert (found == first).all()
    assert (own == kinds.ravel()).all()
    assert (table[found] == rows).all()


def test_one_row() -> None:
    first, kinds = unique_rows(np.array([[5, -7]]))
    assert first.tolist() == kinds.tolist() == [0]

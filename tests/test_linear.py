import mmap
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_array

from meshcli import linear

MATRIX = csc_array(np.array([[4.0, 1.0], [1.0, 3.0]]))


def test_systems_are_solved() -> None:
    assert np.allclose(MATRIX @ linear.solve(MATRIX, np.array([1.0, 2.0])), [1.0, 2.0])
    assert np.allclose(MATRIX @ linear.factorise(MATRIX).solve(np.array([1.0, 2.0])), [1.0, 2.0])


def test_without_room_it_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    linear.ensure_buffer.cache_clear()
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError):
        linear.solve(MATRIX, np.ones(2))

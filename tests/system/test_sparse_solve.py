import mmap
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_array

from meshcli.system import sparse_solve

MATRIX = csc_array(np.array([[4.0, 1.0], [1.0, 3.0]]))


def test_systems_are_solved() -> None:
    assert np.allclose(MATRIX @ sparse_solve.solve(MATRIX, np.array([1.0, 2.0])), [1.0, 2.0])
    assert np.allclose(MATRIX @ sparse_solve.factorise(MATRIX).solve(np.array([1.0, 2.0])), [1.0, 2.0])


def test_without_room_it_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    sparse_solve.ensure_openblas_buffer.cache_clear()
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError):
        sparse_solve.solve(MATRIX, np.ones(2))

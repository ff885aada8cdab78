from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from meshcli.lrm.memory import SMALLER, map_blocks_from, memory_errors, retry_in_smaller_chunks
from meshcli.lrm.triplane import POINTS


def test_torchs_out_of_memory_errors_become_memory_errors() -> None:
    with pytest.raises(MemoryError), memory_errors():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(MemoryError), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_are_unchanged() -> None:
    with pytest.raises(RuntimeError, match="mat1"), memory_errors():
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_one_more_try_with_fewer_points() -> None:
    tried: list[int] = []

    def compute(points: int) -> str:
        tried.append(points)
        if len(tried) == 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return "done"

    assert retry_in_smaller_chunks(compute) == "done"
    assert tried == [POINTS, POINTS // SMALLER]
    with pytest.raises(MemoryError):
        retry_in_smaller_chunks(lambda points: torch.empty(1 << 60, dtype=torch.uint8))


def test_the_allocator_is_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """M_MMAP_THRESHOLD is -3 in glibc's malloc.h."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *words: told.append(words))
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)
    map_blocks_from(1 << 18)
    map_blocks_from(1 << 25)
    assert told == [(-3, 1 << 18), (-3, 1 << 25)]


@pytest.mark.parametrize("library", [object(), OSError("there is no such library"), TypeError("not None")])
def test_other_allocators_are_left_alone(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Mock(side_effect=library if isinstance(library, Exception) else [library])
    monkeypatch.setattr("ctypes.CDLL", opened)
    map_blocks_from(1 << 18)
    assert opened.call_count == 1

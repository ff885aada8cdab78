import pytest
import torch

from meshcli.lrm.memory import SMALLER, map_blocks_from, memory_errors, sparing
from meshcli.lrm.triplane import POINTS


def test_what_torch_says_of_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError), memory_errors():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(MemoryError), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1"), memory_errors():
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_one_more_try_with_fewer_points() -> None:
    tried: list[int] = []

    def compute(points: int) -> str:
        tried.append(points)
        if len(tried) == 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return "done"

    assert sparing(compute) == "done"
    assert tried == [POINTS, POINTS // SMALLER]
    with pytest.raises(MemoryError):
        sparing(lambda points: torch.empty(1 << 60, dtype=torch.uint8))


def test_the_allocator_may_be_told_twice() -> None:
    map_blocks_from(16 << 20)
    map_blocks_from(32 << 20)
    assert torch.ones(1 << 20).sum() == 1 << 20

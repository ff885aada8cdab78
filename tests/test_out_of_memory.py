"""Failed allocations: how libraries report them, and what happens then."""

import errno

import pytest
import torch

from meshcli.lrm.triplane import POINTS_PER_CHUNK
from meshcli.out_of_memory import (
    CHUNK_DIVISOR,
    as_memory_error,
    clear_failed_frames,
    is_out_of_memory,
    reserved,
    retry_in_smaller_chunks,
)


def test_what_torch_says_of_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError), as_memory_error():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(MemoryError), as_memory_error():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1"), as_memory_error():
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_one_more_try_with_fewer_points() -> None:
    tried: list[int] = []

    def compute(points: int) -> str:
        tried.append(points)
        if len(tried) == 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return "done"

    assert retry_in_smaller_chunks(compute, POINTS_PER_CHUNK) == "done"
    assert tried == [POINTS_PER_CHUNK, POINTS_PER_CHUNK // CHUNK_DIVISOR]
    with pytest.raises(MemoryError):
        retry_in_smaller_chunks(lambda points: torch.empty(1 << 60, dtype=torch.uint8), POINTS_PER_CHUNK)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not create a memory object"),
        SystemError("error return without exception set"),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_errors_that_mean_it(error: Exception) -> None:
    assert is_out_of_memory(error)
    following = ValueError("and so it could not go on")
    following.__cause__ = error
    assert is_out_of_memory(following)


@pytest.mark.parametrize(
    "error",
    [
        None,
        OSError(errno.ENOSPC, "out of memory"),
        ValueError("out of memory"),
        RuntimeError("mat1 and mat2"),
        RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
    ],
)
def test_errors_that_do_not(error: Exception | None) -> None:
    assert not is_out_of_memory(error)


def test_the_locals_of_a_failed_call_are_released() -> None:
    class Large:
        freed = False

        def __del__(self) -> None:
            Large.freed = True

    def fail() -> None:
        kept = Large()
        raise MemoryError(kept.freed)

    with pytest.raises(MemoryError) as caught:
        fail()
    assert not Large.freed
    clear_failed_frames(caught.value)
    assert Large.freed


def test_more_than_there_is_cannot_be_reserved() -> None:
    with reserved(1 << 20):
        pass
    with pytest.raises(MemoryError), reserved(1 << 60):
        pass

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from meshcli.system.glibc_heap import set_mmap_threshold


def test_the_allocator_is_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """M_MMAP_THRESHOLD is -3 in glibc's malloc.h."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *words: told.append(words))
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)
    set_mmap_threshold(1 << 18)
    set_mmap_threshold(1 << 25)
    assert told == [(-3, 1 << 18), (-3, 1 << 25)]


@pytest.mark.parametrize("library", [object(), OSError("there is no such library"), TypeError("not None")])
def test_other_allocators_are_left_alone(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Mock(side_effect=library if isinstance(library, Exception) else [library])
    monkeypatch.setattr("ctypes.CDLL", opened)
    set_mmap_threshold(1 << 18)
    assert opened.call_count == 1

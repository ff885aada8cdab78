"""Each stage where memory is too short: exit 75, a record, and calls that come to an end."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from helpers.memory_limited import CASES, Attempt, attempt, attempts, prepare, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="needs limits as Linux has them"),
]
CASE = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("limits"))


@pytest.mark.parametrize("name", CASE)
def test_without_room_for_the_libraries_every_setting_is_tried(folder: Path, name: str) -> None:
    found = attempts(folder, start(folder, CASE[name], name), CASE[name], 150)
    assert_sound(found)
    assert [each.code for each in found] == [75] * len(found)
    assert len(found) > 1
    assert all("memory ran out the last time, taking smaller settings" in each.said for each in found[1:])
    assert "no smaller setting left" in found[-1].error
    assert all(first.smaller != second.smaller for first, second in pairwise(found[:-1]))


@pytest.mark.parametrize(
    ("name", "megabytes"),
    [("sculpt", 260), ("sculpt", 330), ("zero123plus", 480), ("fit", 300), ("fit", 400), ("lrm", 400), ("render", 300)],
)
def test_failures_inside_libraries_are_one_line(folder: Path, name: str, megabytes: int) -> None:
    """Numpy raises, OpenBLAS leaves or asks for ever, numba and xatlas crash: which of them is a matter of machines."""
    assert_sound([attempt(folder, start(folder, CASE[name], name), CASE[name], megabytes)])


def assert_sound(found: list[Attempt]) -> None:
    for each in found:
        assert not each.faults(), (each.code, each.status, each.said)

"""Parts of a batch: the same on every machine, and all of them together are the whole."""

from pathlib import Path

import pytest

from meshcli.batch.shards import in_shard, only_named, shard_of
from meshcli.batch.tasks import BatchObject
from meshcli.errors import UsageError

OBJECTS = [BatchObject(name, Path("out", name)) for name in (*map(str, range(200)), "Stuhl", "Stuhl 2", "Tür")]


def test_shards_are_stable_and_make_up_the_whole() -> None:
    assert [shard_of(name, 8) for name in ("Stuhl", "Stuhl 2", "Tür", "Tu\u0308r")] == [6, 3, 2, 2]
    parts = [in_shard(OBJECTS, f"{index}/7") for index in range(7)]
    assert sorted(item.name for part in parts for item in part) == sorted(item.name for item in OBJECTS)
    assert all(12 < len(part) < 50 for part in parts)
    assert in_shard(OBJECTS[50:], "3/7") == [item for item in parts[3] if item in OBJECTS[50:]]


@pytest.mark.parametrize("text", ["3", "8/8", "0/0", "-1/3", "a/b", "1/", "1.5/3", "0/1000000"])
def test_shards_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--shard {text}"):
        in_shard(OBJECTS, text)


def test_names_and_patterns() -> None:
    assert [item.name for item in only_named(OBJECTS, ["Tür", "Stuhl*"])] == ["Stuhl", "Stuhl 2", "Tür"]
    with pytest.raises(UsageError, match="--only Stuhl3: no object has this name; did you mean Stuhl"):
        only_named(OBJECTS, ["Stuhl3"])

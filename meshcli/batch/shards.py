"""Parts of a batch: by name, for a script, or by a stable share, for the machines of a farm. Light: no numpy."""

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from meshcli.batch.tasks import BatchObject
from meshcli.errors import UsageError
from meshcli.system.digests import bytes_digest

MAX_SHARDS = 100_000  # by choice: more than a farm has machines


def parse_shard(text: str) -> tuple[int, int]:
    """Which share of how many `2/8` is; shares are numbered from 0 as tasks of farms are. UsageError."""
    which, slash, of = (part.strip() for part in text.partition("/"))
    if not (slash and which.isascii() and which.isdecimal() and of.isascii() and of.isdecimal()):
        raise UsageError(f"--shard {text}: write which of how many, from 0 on: --shard 0/8")
    index, count = int(which[:9]), int(of[:9])
    if not 1 <= count <= MAX_SHARDS:
        raise UsageError(f"--shard {text}: there are from 1 to {MAX_SHARDS:,} shards")
    if index >= count:
        raise UsageError(f"--shard {text}: the last of {count} is {count - 1}/{count}, as they begin with 0")
    return index, count


def shard_of(name: str, count: int) -> int:
    """Which of `count` shares an object belongs to: by its name alone, on every machine and whatever else is listed."""
    return int(bytes_digest(unicodedata.normalize("NFC", name).encode())[:16], 16) % count


def in_shard(objects: Sequence[BatchObject], text: str) -> list[BatchObject]:
    """The objects of one share, as `--shard` names it."""
    index, count = parse_shard(text)
    return [each for each in objects if shard_of(each.name, count) == index]


def only_named(objects: Sequence[BatchObject], patterns: Sequence[str]) -> list[BatchObject]:
    """The objects with one of these names; * and ? stand for any letters. UsageError for a pattern that fits none."""
    chosen: set[str] = set()
    for pattern in patterns:
        found = {each.name for each in objects if each.name == pattern or fnmatchcase(each.name, pattern)}
        if not found:
            near = get_close_matches(pattern, [each.name for each in objects], 1)
            raise UsageError(f"--only {pattern}: no object has this name{f'; did you mean {near[0]}?' if near else ''}")
        chosen |= found
    return [each for each in objects if each.name in chosen]

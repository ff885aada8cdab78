"""Digests of files and settings, fingerprints and seeds derived from them. Light: standard library only."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_digest(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """The sha256 of a JSON value, whatever the order of its keys."""
    return bytes_digest(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first difference of two fingerprints, as a message; empty when they are equal."""
    for key in [*before, *(key for key in now if key not in before)]:
        if key not in now:
            return f"{key} is gone"
        if key not in before:
            return f"{key} is new"
        if before[key] != now[key]:
            return f"{key} changed"
    return ""


def photo_seed(seed: int, photo_digest: str) -> int:
    """The random seed of a photo: from the user's seed and the photo's sha256, whatever other photos there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{photo_digest}".encode()).digest()[:8], "big")

"""Digests of files and settings, fingerprints and seeds derived from them. Light: standard library only."""

import hashlib
import json
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


def photo_seed(seed: int, photo_digest: str) -> int:
    """The random seed of a photo: from the user's seed and the photo's sha256, whatever other photos there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{photo_digest}".encode()).digest()[:8], "big")

"""A stand-in for the video encoder."""

from types import ModuleType

import numpy as np
import pytest


def record_frames(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[np.ndarray]:
    """The list that gets all frames which this module would have encoded, to the bit."""
    frames: list[np.ndarray] = []

    class Writer:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> "Writer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add(self, frame: np.ndarray) -> None:
            frames.append(frame)

    monkeypatch.setattr(module, "Mp4Writer", Writer)
    return frames

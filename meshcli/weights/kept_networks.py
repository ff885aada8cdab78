"""Networks that stay in memory between the stages of one process, for the next object. Light: standard library only.

A command loads what it needs and ends. A worker that runs the same stage for one object after the other lets it find
what the last one loaded: `with kept.in_use(): ...`. Results are the same to the byte: only the loading is left out.
"""

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

LARGE = ("zero123plus", "lrm")  # kinds that take gigabytes: one of them at a time


@dataclass
class KeptNetworks:
    """What is loaded, by kind, and of each kind the last."""

    loads: int = 0  # how often something was loaded
    _loaded: dict[str, tuple[Hashable, Any]] = field(default_factory=dict)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the stages that run in the block find these networks."""
        token = _KEPT.set(self)
        _count_peak_anew()
        try:
            yield
        finally:
            _KEPT.reset(token)

    def get(self, kind: str, key: Hashable, load: Callable[[], T]) -> T:
        """What was loaded for this key; another key of its kind, or another large kind, is dropped before it loads.

        `key` holds all that the loaded thing depends on: file, device, precision, settings.
        """
        if (found := self._loaded.get(kind)) and found[0] == key:
            return found[1]  # type: ignore[no-any-return]  # what a key stands for is the caller's
        for other in LARGE if kind in LARGE else (kind,):
            self._loaded.pop(other, None)
        found = None
        _release_memory()
        loaded = load()
        self.loads += 1
        self._loaded[kind] = key, loaded
        return loaded

    def drop(self) -> None:
        """Forget all, as after memory ran out."""
        self._loaded.clear()
        _release_memory()


_KEPT: ContextVar[KeptNetworks | None] = ContextVar("_KEPT", default=None)


def kept_networks() -> KeptNetworks | None:
    """The networks that this process keeps; None in a command that ends after its stage."""
    return _KEPT.get()


def file_key(path: Path) -> Hashable:
    """What a file's contents are known by: its digest, and path, size and time of change in ns."""
    from meshcli.weights.locations import weights_digest

    status = path.stat()
    return weights_digest(path), str(path.resolve()), status.st_size, status.st_mtime_ns


def _release_memory() -> None:
    """Return what nobody refers to any more to the system; nothing before a network was ever loaded."""
    if "torch" in sys.modules:
        from meshcli.out_of_memory import release_memory

        release_memory()


def _count_peak_anew() -> None:
    """Let the largest memory of GPUs, which records state, be that of the stage, and not of those before it."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)

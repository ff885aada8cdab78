"""Which engines there are, and which one `auto` takes. Light: names and numbers only."""

from collections.abc import Callable
from typing import Literal, get_args

Generator = Literal["auto", "sculpt", "zero123plus", "photos"]
Reconstructor = Literal[
    "auto", "fit", "instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base"
]  # fmt: skip
NETWORKS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")
PREFERRED = NETWORKS[:2]  # what `auto` takes when it can; radiance fields only by name

# An engine's own version is part of the fingerprint: raise it when the same input gives another result.
VERSIONS = {
    "cut_out": 4, "sculpt": 2, "zero123plus": 1, "photos": 1, "fit": 6, "select": 1, "embree": 1, "scores": 1,
    **dict.fromkeys(NETWORKS, 1),
}  # fmt: skip


def pick_generator(name: Generator, before: str = "", missing: str = "") -> tuple[str, str]:
    """The engine that paints the views, and why.

    `before` is the engine of a finished stage: work that exists is replaced by a named engine only. `missing` says what
    the network lacks on this machine, and how to get it.
    """
    if name != "auto":
        return name, "named"
    if before == "sculpt" and not missing:
        return before, "auto: as before; --engine zero123plus paints with the network"
    if before in get_args(Generator)[1:]:  # not auto itself
        return before, "auto: as before"
    if missing:
        return "sculpt", f"auto: it needs no weights; zero123plus lacks {missing}"
    return "zero123plus", "auto: its weights are on this machine; --engine sculpt needs none and takes seconds"


def pick_reconstructor(name: Reconstructor, before: str = "", lacks: Callable[[str], str] = str) -> tuple[str, str]:
    """The engine that builds the mesh, and why.

    `before` is the engine of a finished stage: work that exists is replaced by a named engine only. `lacks` says what a
    network lacks on this machine, and how to get it; empty when it can run.
    """
    if name != "auto":
        return name, "named"
    if before in ("fit", *NETWORKS):
        return before, "auto: as before"
    for engine in PREFERRED:
        if not lacks(engine):
            return engine, "auto: its weights are on this machine; --engine fit needs none"
    return "fit", f"auto: it needs no weights; {PREFERRED[0]} lacks {lacks(PREFERRED[0])}"

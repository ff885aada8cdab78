"""Which engines there are, and which one `auto` takes. Light: names and numbers only."""

from typing import Literal

Generator = Literal["auto", "sculpt"]
Reconstructor = Literal["auto", "fit"]

# An engine's own version is part of the fingerprint: raise it when the same input gives another result.
VERSIONS = {"sculpt": 1, "fit": 1, "select": 1, "embree": 1, "scores": 1}


def pick_generator(name: Generator) -> tuple[str, str]:
    """The engine that paints the views, and why."""
    match name:
        case "auto":
            return "sculpt", "auto: it needs no weights, and is the only generator of this version"
        case "sculpt":
            return "sculpt", "named"


def pick_reconstructor(name: Reconstructor) -> tuple[str, str]:
    """The engine that builds the mesh, and why."""
    match name:
        case "auto":
            return "fit", "auto: it needs no weights, and is the only reconstructor of this version"
        case "fit":
            return "fit", "named"

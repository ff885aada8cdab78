"""Which engines there are, and which one `auto` takes. Light: names and numbers only."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from meshcli.errors import UsageError

Generator = Literal["auto", "sculpt", "zero123plus", "photos"]
Reconstructor = Literal[
    "auto", "fit", "instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base"
]  # fmt: skip
NETWORKS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")
PREFERRED = NETWORKS[:2]  # what `auto` takes when it can; radiance fields only by name

# Flags that only some engines can honour; any other engine refuses them.
NETWORK_FLAGS = ("--device", "--dtype", "--weights")  # of whatever network there is
FLAGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("--steps", "--guidance", "--unet", "--vram", "--attention", "--batch", "--checkpoint-every", "--preview"),
        ("zero123plus",),
    ),
    **dict.fromkeys(NETWORK_FLAGS, ("zero123plus", *NETWORKS)),
    "--grid": NETWORKS,
}

# An engine's own version is part of the fingerprint: raise it when the same input gives another result.
VERSIONS = {
    "cut_out": 4, "sculpt": 3, "zero123plus": 2, "photos": 1, "fit": 7, "select": 1, "embree": 2, "scores": 1,
    **dict.fromkeys(NETWORKS[:2], 1), **dict.fromkeys(NETWORKS[2:], 2),
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


def honours(engine: str, flag: str) -> bool:
    """Whether an engine has a use for a flag; `flag` may have its value behind it."""
    return engine in FLAGS.get(flag.partition("=")[0], (engine,))


def refuse_idle(flags: Sequence[str], engine: str, why: str) -> None:
    """Raise a UsageError for a typed flag that the engine would ignore; `why` says how it came to be the engine."""
    if idle := [flag for flag in flags if not honours(engine, flag)]:
        raise UsageError(f"{idle[0]} is for {_named(FLAGS[idle[0].partition('=')[0]])}; the engine is {engine} ({why})")


def refuse_idle_everywhere(flags: Sequence[str], picked: Mapping[Any, tuple[str, str]]) -> None:
    """The same for flags that several stages share, of which one at least must honour them: stage -> engine, why."""
    taken = " and ".join(f"{stage} takes {engine} ({why})" for stage, (engine, why) in picked.items())
    for flag in flags:
        if not any(honours(engine, flag) for engine, _ in picked.values()):
            known = _named(FLAGS[flag.partition("=")[0]])
            raise UsageError(f"{flag} is for {known}; {taken or 'neither generate nor reconstruct is to run'}")


def _named(engines: Sequence[str]) -> str:
    """A list of engines, the networks in one word."""
    names = [name for name in engines if name not in NETWORKS]
    return " and ".join([*names, "the networks"] if len(names) < len(engines) else names)

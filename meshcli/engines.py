"""The engines, the flags that each supports, and how `auto` chooses one. Light: no imports of the engines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from meshcli.errors import UsageError

Generator = Literal["auto", "sculpt", "zero123plus", "photos"]
Reconstructor = Literal[
    "auto", "fit", "import", "instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base"
]  # fmt: skip
IMPORT = "import"  # a mesh file of another program, placed among the views; taken only where one is handed in
NETWORKS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")
AUTO_NETWORKS = NETWORKS[:2]  # in the order in which `auto` tries them; radiance fields are taken only by name

# The flags that only some engines support, with these engines; every engine supports the others.
NETWORK_FLAGS = ("--device", "--dtype", "--weights")
ENGINE_FLAGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("--steps", "--guidance", "--unet", "--vram", "--attention", "--batch", "--checkpoint-every", "--preview"),
        ("zero123plus",),
    ),
    **dict.fromkeys(NETWORK_FLAGS, ("zero123plus", *NETWORKS)),
    "--grid": NETWORKS,
    "--parts": ("fit", *NETWORKS),
    **dict.fromkeys(("--mesh-up", "--mesh-front", "--mesh-mirror"), (IMPORT,)),
}

# The version of each engine is part of the fingerprint: raise it when the same input gives a different result.
VERSIONS = {
    "cut_out": 5, "sculpt": 10, "zero123plus": 2, "photos": 1, "fit": 12, "refine": 3, "select": 1, "embree": 2,
    "scores": 1, "export": 1, IMPORT: 2, **dict.fromkeys(NETWORKS[:2], 3), **dict.fromkeys(NETWORKS[2:], 4),
}  # fmt: skip


def pick_generator(name: Generator, before: str = "", missing: str = "") -> tuple[str, str]:
    """The view generator to use, and the reason.

    `before` is the engine of the finished stage, whose result `auto` does not replace. `missing` says what the network
    lacks on this machine and how to get it; empty if it can run.
    """
    if name != "auto":
        return name, "named"
    if before == "sculpt" and not missing:
        return before, "auto: as before; --engine zero123plus paints with the network"
    if before in get_args(Generator)[1:]:  # without auto
        return before, "auto: as before"
    if missing:
        return "sculpt", f"auto: it needs no weights; zero123plus needs {missing}"
    return "zero123plus", "auto: its weights are on this machine; --engine sculpt needs none and takes seconds"


def pick_reconstructor(name: Reconstructor, before: str = "", lacks: Callable[[str], str] = str) -> tuple[str, str]:
    """The reconstructor to use, and the reason.

    `before` is the engine of the finished stage, whose result `auto` does not replace. `lacks` says what a network
    lacks on this machine and how to get it; empty if it can run.
    """
    if name != "auto":
        return name, "named"
    if before in ("fit", IMPORT, *NETWORKS):
        return before, "auto: as before"
    for engine in AUTO_NETWORKS:
        if not lacks(engine):
            return engine, "auto: its weights are on this machine; --engine fit needs none"
    return "fit", f"auto: it needs no weights; {AUTO_NETWORKS[0]} needs {lacks(AUTO_NETWORKS[0])}"


def supports_flag(engine: str, flag: str) -> bool:
    """Whether an engine supports a flag, given as `--flag` or `--flag=value`."""
    return engine in ENGINE_FLAGS.get(flag.partition("=")[0], (engine,))


def refuse_unsupported_flags(flags: Sequence[str], engine: str, why: str) -> None:
    """UsageError for a flag that the engine would ignore; `why` is the reason for the choice of the engine."""
    if unsupported := [flag for flag in flags if not supports_flag(engine, flag)]:
        raise UsageError(f"{unsupported[0]} is for {_engines_of(unsupported[0])}; the engine is {engine} ({why})")


def refuse_flags_unsupported_everywhere(flags: Sequence[str], picked: Mapping[Any, tuple[str, str]]) -> None:
    """UsageError for a flag that no stage's engine supports; `picked` is stage -> engine and reason."""
    taken = " and ".join(f"{stage} takes {engine} ({why})" for stage, (engine, why) in picked.items())
    for flag in flags:
        if not any(supports_flag(engine, flag) for engine, _ in picked.values()):
            raise UsageError(
                f"{flag} is for {_engines_of(flag)}; {taken or 'neither generate nor reconstruct is to run'}"
            )


def _engines_of(flag: str) -> str:
    """The engines that support a flag, for messages; the reconstruction networks as one."""
    engines = ENGINE_FLAGS[flag.partition("=")[0]]
    names = [name for name in engines if name not in NETWORKS]
    return " and ".join([*names, "the networks"] if len(names) < len(engines) else names)


def refines(engine: str, when: str) -> bool:
    """Whether an engine's surface is moved to where the views show it, given the setting refine.when."""
    return when == "always" or (when == "auto" and engine == IMPORT)

"""Which files an export makes: formats and presets by name, and what each needs. Light: no numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import get_args

from meshcli.errors import MissingError, UsageError
from meshcli.settings import ExportFormat, ExportPreset, ExportSettings

PRINT_FORMATS = ("stl", "3mf")
FREE_UP = ("obj", "ply", "stl", "3mf", "usd", "usdz")  # formats that leave it to their files which axis is up
PRESETS: dict[ExportPreset, tuple[str, ...]] = {
    "print": PRINT_FORMATS, "web": ("web",), "unreal": ("unreal",),
}  # fmt: skip
EXTRAS = {  # target -> module and the extra that brings it
    "usd": ("pxr", "usd"), "usdz": ("pxr", "usd"), "web": ("DracoPy", "web"),
}  # fmt: skip


@dataclass(frozen=True)
class Targets:
    """What is made: formats, and presets that are made as one piece."""

    names: tuple[str, ...]  # formats, web, unreal
    optional: frozenset[str] = frozenset()  # of these, what only `all` asks for
    left_out: tuple[str, ...] = ()  # of all formats, those whose packages are not installed

    @property
    def have_cameras(self) -> bool:
        """Whether anything but files for printers is made."""
        return not set(self.names) <= set(PRINT_FORMATS)


def resolve_targets(settings: ExportSettings) -> Targets:
    """What is asked for; MissingError when something that is named needs a package that is not installed.

    UsageError for an up axis that no format of them can have.
    """
    words = settings.targets
    presets = [word for word in words if word in get_args(ExportPreset)]
    from_presets = [name for word in presets for name in PRESETS[word]]  # type: ignore[index]
    named = [word for word in words if word in get_args(ExportFormat)] + from_presets
    for name in named:
        if lacking := missing_extra(name):
            raise MissingError(f"{name} needs a package that is not installed: {install_line(lacking)}")
    everything = list(get_args(ExportFormat)) if "all" in words else []
    left_out = tuple(name for name in everything if name not in named and missing_extra(name))
    names = tuple(dict.fromkeys([*(name for name in everything if name not in left_out), *named]))
    if settings.up == "z" and not set(names).intersection(FREE_UP):
        raise UsageError(f"--up z: y is always up in GLB files; it is for {', '.join(FREE_UP)}")
    return Targets(names, frozenset(names).difference(named), left_out)


def missing_extra(name: str) -> str:
    """The extra whose package a target needs and this machine lacks; empty if there is none."""
    module, extra = EXTRAS.get(name, ("", ""))
    return extra if module and find_spec(module) is None else ""


def install_line(extra: str) -> str:
    """What to type for an extra."""
    return f"`pip install 'meshcli[{extra}]'`"


def file_names(name: str, targets: Sequence[str]) -> list[str]:
    """The files that are known beforehand, in the folder of the export."""
    endings = {"unreal": (), "usd": ("usdc",), "web": ("web.glb",), "obj": ("obj", "mtl", "png")}
    return [f"{name}.{ending}" for target in targets for ending in endings.get(target, (target,))]

"""Which files an export makes: formats and presets by name, and what each needs. Light: no numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import get_args

from meshcli.errors import MissingError, UsageError
from meshcli.settings import ExportFormat, ExportPreset, ExportSettings

PRINT_FORMATS = ("stl", "3mf")
WITH_PICTURES = ("unreal", "blender")  # folders that have copies of the cameras' pictures
FREE_UP = ("obj", "ply", "stl", "3mf", "usd", "usdz")  # formats that leave it to their files which axis is up
PRESETS: dict[ExportPreset, tuple[str, ...]] = {
    "print": PRINT_FORMATS, "web": ("web",), "unreal": ("unreal",), "blender": ("blender",),
}  # fmt: skip
EXTRAS = {
    "web": ("DracoPy", "web"),
    "usd": ("pxr", "usd"),
    "usdz": ("pxr", "usd"),
}  # target -> module and the extra that brings it


@dataclass(frozen=True)
class Targets:
    """What is made: formats, and presets that are made as one piece."""

    names: tuple[str, ...]  # formats, web, unreal and blender
    optional: frozenset[str] = frozenset()  # of these, what only `all` asks for
    lacking: tuple[str, ...] = ()  # formats that `all` would have, without the package that they need

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
    without = tuple(name for name in everything if missing_extra(name))
    everything = [name for name in everything if name not in without]
    names = tuple(dict.fromkeys([*everything, *named]))
    if settings.up == "z" and not set(names).intersection(FREE_UP):
        raise UsageError(f"--up z: y is always up in GLB files; it is for {', '.join(FREE_UP)}")
    return Targets(names, frozenset(names).difference(named), without)


def missing_extra(name: str) -> str:
    """The extra whose package a target needs and this machine lacks; empty if there is none."""
    module, extra = EXTRAS.get(name, ("", ""))
    return extra if module and find_spec(module) is None else ""


def install_line(extra: str) -> str:
    """What to type for an extra."""
    return f"`pip install 'meshcli[{extra}]'`"


def file_names(name: str, targets: Sequence[str]) -> list[str]:
    """The files that are known beforehand, in the folder of the export."""
    files = {
        "web": (f"{name}.web.glb",),
        "obj": (f"{name}.obj", f"{name}.mtl", f"{name}.png"),
        "usd": (f"{name}.usdc",),
        "unreal": ("unreal/import_into_unreal.py", "unreal/cameras.json", f"unreal/{name}.glb"),
        "blender": ("blender/open_in_blender.py", "blender/cameras.json", f"blender/{name}.glb"),
    }
    return [file for target in targets for file in files.get(target, (f"{name}.{target}",))]

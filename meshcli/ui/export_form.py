"""What the page asks an export for, as typed, and the options that say so on a command line. Light: no numpy."""

from dataclasses import dataclass, fields
from typing import get_args

from meshcli.config import TypedSettings
from meshcli.errors import UsageError
from meshcli.export.placement import parse_length, parse_scale
from meshcli.project.manifest import StageRecord
from meshcli.settings import ExportFormat, ExportPreset, ExportSettings
from meshcli.stages.settings_in_force import settings_in_force

FORMATS, PRESETS = get_args(ExportFormat), get_args(ExportPreset)
LENGTHS = ("height", "width", "longest")  # ways to give a size that take a length with its unit


@dataclass(frozen=True)
class ExportForm:
    """The fields of the form; texts are as somebody types them, empty for all that there is."""

    targets: tuple[str, ...] = ("glb",)  # formats and programs
    size_by: str = "none"
    size: str = ""  # `45cm`, and of scale a number
    pivot: str = "auto"
    up: str = "auto"
    faces: str = ""
    texture_size: str = ""

    @classmethod
    def recorded(cls, record: StageRecord | None) -> "ExportForm":
        """The settings in force: the defaults, and what was asked for before, by whom ever."""
        settings = settings_in_force("export", record, TypedSettings()).settings.export
        return cls(
            _targets(settings), settings.size_by, _size_text(settings), settings.pivot, settings.up,
            str(settings.faces or ""), str(settings.texture_size or ""),
        )  # fmt: skip

    def options(self, recorded: "ExportForm") -> list[str]:
        """The options that state what differs from the settings in force. UsageError for what is no size or number."""
        if not self.targets:
            raise UsageError("choose a format or a program")
        changed = {each.name for each in fields(self) if getattr(self, each.name) != getattr(recorded, each.name)}
        formats = [name for name in self.targets if name not in PRESETS]
        words = []
        if "targets" in changed:
            words += [f"--to={','.join(formats)}"] if formats else []
            words += [f"--for={name}" for name in self.targets if name in PRESETS]
        if changed & {"size_by", "size"} and self._metres() != recorded._metres():
            words += self._size_options()
        words += [f"--{name}={getattr(self, name)}" for name in ("pivot", "up") if name in changed]
        for name in ("faces", "texture_size"):
            if name in changed:
                words.append(f"--{name.replace('_', '-')}={_whole(name, getattr(self, name))}")
        return words

    def _metres(self) -> tuple[str, float]:
        """The size that is typed, in metres, 0 where none is needed. UsageError for what is no size."""
        text = self.size.strip()
        if self.size_by not in (*LENGTHS, "scale"):
            return self.size_by, 0.0
        if not text:
            example = "0.45m, 45cm or 18in" if self.size_by in LENGTHS else "a number: metres per unit of the project"
            raise UsageError(f"type the {self.size_by}: {example}")
        size = (parse_scale if self.size_by == "scale" else parse_length)(self.size_by, text)
        return self.size_by, float(f"{size:.9g}")

    def _size_options(self) -> list[str]:
        if self.size_by == "like-rig":
            return ["--like-rig"]
        if self.size_by == "none":
            return ["--set=export.size_by=none"]
        return [f"--{self.size_by}={self.size.strip()}"]


def _targets(settings: ExportSettings) -> tuple[str, ...]:
    """Formats and programs in the order of the form; `all` is every format."""
    wanted = settings.targets
    return tuple(name for name in (*FORMATS, *PRESETS) if name in wanted or ("all" in wanted and name in FORMATS))


def _size_text(settings: ExportSettings) -> str:
    """A recorded size as one types it."""
    if settings.size_by in LENGTHS:
        return f"{settings.size:.9g}m"
    return f"{settings.size:.9g}" if settings.size_by == "scale" else ""


def _whole(name: str, text: str) -> int:
    """A number of the form, 0 where nothing is typed."""
    if not text.strip():
        return 0
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{name.replace('_', ' ')} {text}: type a whole number, or nothing to keep all") from error

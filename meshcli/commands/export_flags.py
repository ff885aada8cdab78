"""The flags of an export, as groups; see `flag_groups`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from meshcli.commands.completion import complete_formats
from meshcli.commands.flag_groups import FlagGroup, Overrides, refuse_unknown
from meshcli.errors import UsageError
from meshcli.export.placement import parse_length, parse_scale
from meshcli.settings import EXPORT_TARGETS, ExportFormat, ExportPreset, ExportSettings, Pivot, UpAxis


@dataclass(frozen=True)
class SizeFlags(FlagGroup, title="Size and place"):
    """How large the exported object is, and where it stands."""

    height: Annotated[
        str, typer.Option(metavar="LENGTH", help="Height of the object, as 0.45m, 45cm, 18in.", show_default=False)
    ] = ""
    width: Annotated[
        str, typer.Option(metavar="LENGTH", help="Width of the object seen from its front.", show_default=False)
    ] = ""
    longest: Annotated[
        str, typer.Option(metavar="LENGTH", help="Longest side of the object's bounding box.", show_default=False)
    ] = ""
    scale: Annotated[str, typer.Option(metavar="S", help="Metres per unit of the project.", show_default=False)] = ""
    like_rig: Annotated[
        bool, typer.Option("--like-rig", help="Coordinates and scale of the calibrated rig of the photos.")
    ] = False
    pivot: Annotated[
        Pivot | None,
        Overrides("export.pivot"),
        typer.Option(
            "--pivot", metavar="PIVOT", help="What lies at the origin: base, centre, origin.", show_default=False
        ),
    ] = None

    def overrides(self) -> dict[str, Any]:
        """As of any group, and the one size that was typed; UsageError for several."""
        typed = {"height": self.height, "width": self.width, "longest": self.longest, "scale": self.scale}
        given = [f"--{name} {text}" for name, text in typed.items() if text] + ["--like-rig"] * self.like_rig
        if len(given) > 1:
            raise UsageError(f"{given[0]} and {given[1]} both say how large the object is; take one of them")
        if self.like_rig:
            return {**super().overrides(), "export.size_by": "like-rig", "export.size": 1.0}
        for name, text in typed.items():
            if text:
                size = (parse_scale if name == "scale" else parse_length)(f"--{name}", text)
                return {**super().overrides(), "export.size_by": name, "export.size": size}
        return super().overrides()


@dataclass(frozen=True)
class ExportFlags(FlagGroup, title="Export"):
    """Which files an export makes."""

    to: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help=f"Formats, with commas: {', '.join(get_args(ExportFormat))}, or all; glb at first.",
            show_default=False,
            autocompletion=complete_formats,
        ),
    ] = ""
    preset: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="PROGRAM",
            help=f"What a program takes: {', '.join(get_args(ExportPreset))}; repeatable.",
            show_default=False,
        ),
    ] = None
    up: Annotated[
        UpAxis | None,
        Overrides("export.up"),
        typer.Option(
            "--up", metavar="y|z", help="Up axis where the format leaves it free; of the rig with --like-rig.",
            show_default=False,
        ),
    ] = None  # fmt: skip
    faces: Annotated[
        int | None,
        Overrides("export.faces"),
        typer.Option(help="Simplify to N triangles, and bake the texture anew.", show_default=False),
    ] = None
    texture_size: Annotated[
        int | None,
        Overrides("export.texture_size"),
        typer.Option(help="Reduce the texture to N texels a side.", show_default=False),
    ] = None
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Copy the files into this folder too.", show_default=False
        ),
    ] = None

    def overrides(self) -> dict[str, Any]:
        """As of any group, and formats and presets as one list, and the folder as an absolute path."""
        words = [word for text in (self.to, *(self.preset or ())) for word in text.split(",") if word.strip()]
        programs = [word for text in self.preset or () for word in text.split(",")]
        refuse_unknown("--for", "program", programs, get_args(ExportPreset))
        refuse_unknown_formats("--to", self.to)
        chosen = {"export.to": ",".join(words)} if words else {}
        folder = {"export.folder": str(self.folder.absolute())} if self.folder else {}
        return {**super().overrides(), **chosen, **folder}


def refuse_unknown_formats(flag: str, text: str) -> None:
    """UsageError, naming the flag, where a list of formats and presets has a word that is none of them."""
    refuse_unknown(flag, "format", ExportSettings(to=text).targets, EXPORT_TARGETS)

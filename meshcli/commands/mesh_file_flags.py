"""The flags of `reconstruct` about a mesh file of another program."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from meshcli.commands.flag_groups import FlagGroup, Overrides
from meshcli.errors import UsageError
from meshcli.settings import FileAxis, Mirror


@dataclass(frozen=True)
class MeshFileFlags(FlagGroup, title="Mesh of another program, refining"):
    """The file, what is known about its axes, and whether a surface is moved to where the views show it."""

    from_mesh: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the shape from a GLB, glTF, OBJ, PLY or STL file of any program, and colour it anew.",
            show_default=False,
        ),
    ] = None
    mesh_up: Annotated[
        FileAxis | None,
        Overrides("placement.up"),
        typer.Option("--mesh-up", metavar="AXIS", help="Up axis of that file: x, -x ... -z.", show_default=False),
    ] = None
    mesh_front: Annotated[
        FileAxis | None,
        Overrides("placement.front"),
        typer.Option("--mesh-front", metavar="AXIS", help="Its axis towards azimuth 0.", show_default=False),
    ] = None
    mesh_mirror: Annotated[
        Mirror | None,
        Overrides("placement.mirror"),
        typer.Option("--mesh-mirror", help="Whether that file shows a mirror image.", show_default=False),
    ] = None
    refine: Annotated[
        bool,
        Overrides("refine.when", value="always"),
        typer.Option("--refine", help="Move the surface, of any engine, to where the views show it."),
    ] = False
    no_refine: Annotated[
        bool,
        Overrides("refine.when", value="never"),
        typer.Option("--no-refine", help="Keep the shape of a mesh file; else it is refined."),
    ] = False

    def refuse_contradictions(self) -> None:
        """Raise UsageError for flags that exclude each other."""
        if self.refine and self.no_refine:
            raise UsageError("--refine and --no-refine exclude each other")

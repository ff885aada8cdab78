"""The flags that shape the renders, as a group; see `flag_groups`."""

from dataclasses import dataclass
from typing import Annotated, Any, get_args

import typer

from meshcli.commands.completion import complete_pictures
from meshcli.commands.flag_groups import FlagGroup, Overrides, refuse_unknown
from meshcli.errors import UsageError
from meshcli.settings import RenderPass, Source


@dataclass(frozen=True)
class RenderFlags(FlagGroup, title="Rendering"):
    """Turntable videos and stills."""

    frames: Annotated[
        int | None,
        Overrides("render.frames"),
        typer.Option(help="Frames of the turntable.", show_default=False),
    ] = None
    size: Annotated[
        int | None,
        Overrides("render.size"),
        typer.Option(help="Frame width and height in pixels.", show_default=False),
    ] = None
    elevation: Annotated[
        float | None,
        Overrides("render.elevation"),
        typer.Option(help="Elevation of the turntable's camera in degrees.", show_default=False),
    ] = None
    azimuths: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Stills at these azimuths and --elevation, in degrees; sides: the five named ones, as at first.",
            show_default=False,
        ),
    ] = ""
    distance: Annotated[
        float | None,
        Overrides("render.distance"),
        typer.Option(help="Distance of the camera in world units; 0: as the object needs.", show_default=False),
    ] = None
    fps: Annotated[int | None, Overrides("render.fps"), typer.Option(help="Frames per second.", show_default=False)] = (
        None
    )
    passes: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help=f"What to show, each in files of its own: {', '.join(get_args(RenderPass))}.",
            show_default=False,
        ),
    ] = ""
    background: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Behind the object: a CSS colour name, #rrggbb, transparent, or a picture file.",
            show_default=False,
        ),
    ] = ""
    gif: Annotated[
        bool, Overrides("render.gif", value=True), typer.Option("--gif", help="Write the turntable as a GIF too.")
    ] = False
    webp: Annotated[
        bool, Overrides("render.webp", value=True), typer.Option("--webp", help="Write the turntable as a WebP too.")
    ] = False
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Stills from the camera of a photo (a) or view (a3), to lay over it; repeatable; none: no more.",
            show_default=False,
            autocompletion=complete_pictures,
        ),
    ] = None
    source: Annotated[
        Source | None,
        Overrides("render.source"),
        typer.Option(
            "--source", "--from", help="Render the mesh, or the radiance field of instant-nerf.", show_default=False
        ),
    ] = None

    def overrides(self) -> dict[str, Any]:
        """As of any group, and the lists."""
        lists: dict[str, Any] = {}
        if self.azimuths:
            lists["render.azimuths"] = () if self.azimuths == "sides" else _azimuths(self.azimuths)
        if self.passes:
            lists["render.passes"] = tuple(dict.fromkeys(_words(self.passes)))
            refuse_unknown("--passes", "pass", lists["render.passes"], get_args(RenderPass))
        if self.background:
            lists["render.background"] = self.background
        if self.camera:
            names = [name for text in self.camera for name in _words(text)]
            lists["render.cameras"] = tuple(dict.fromkeys(name for name in names if name != "none"))
        return {**lists, **super().overrides()}


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


def _azimuths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--azimuths {text}: write degrees with commas between them, like --azimuths 0,45,90, or sides"
        ) from error

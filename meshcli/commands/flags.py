"""The flags that commands share, each with its help, once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from meshcli.config import override
from meshcli.project.manifest import Stage
from meshcli.settings import Attention, Parts, Precision, Settings, Source, Vram, WhichUNet, range_of


def number(flag: str, setting: str) -> dict[str, Any]:
    """How an option is told that a flag is a number, and may be what its setting may be."""
    section, key = setting.split(".")
    part = getattr(Settings(), section)
    kind = type(getattr(part, key))

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text
        override(Settings(), {setting: value}, f"{flag} {text}")
        return value

    allowed = range_of(type(part), key)
    return {"parser": read, "metavar": f"N ({allowed})"}


Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The project directory.", show_default=False)]
Photos = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PHOTO...",
        help="Pictures of one object: photo.jpg, photo.jpg@45 for its azimuth, a directory of them, or - for a list of "
        "names on standard input.",
        show_default=False,
    ),
]
Azimuth = Annotated[
    str, typer.Option(metavar="A,B,...", help="From which side, in degrees, one per photo.", show_default=False)
]
Elevation = Annotated[
    str, typer.Option(metavar="A,...", help="Degrees above the horizon, one for all or one each.", show_default=False)
]
Fov = Annotated[str, typer.Option(metavar="A,...", help="Vertical field of view of the originals.", show_default=False)]
Rig = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Calibrated cameras: cameras.json, nerfstudio's transforms.json, COLMAP's text.",
                 show_default=False),
]  # fmt: skip
Up = Annotated[str, typer.Option(metavar="AXIS", help="Of a foreign rig's world: x, -x ... -z.", show_default=False)]
Focal = Annotated[str, typer.Option(metavar="MM,...", help="Focal lengths, with --sensor.", show_default=False)]
Sensor = Annotated[
    str, typer.Option(metavar="WxH", help="In mm, or full, aps-c, mft, 1, 2/3, 1/2, 1/3.", show_default=False)
]
FromSheet = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Six ready views on a sheet; one for each photo.", show_default=False),
]
RigVersion = Annotated[Literal["1.2", "1.1"], typer.Option(help="Of the Zero123++ that painted the sheets.")]
FromViews = Annotated[
    Path | None, typer.Option(metavar="DIR2", help="Ready views, with their cameras in --rig.", show_default=False)
]
Rembg = Annotated[bool, typer.Option("--no-rembg", help="Cut out by alpha or a plain background only.")]
Add = Annotated[bool, typer.Option("--add", help="Append the photos instead of replacing the set.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Leave out photos that cannot be used, do the rest, and exit 3 at the end.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Touch no network.")]
MaxPixels = Annotated[
    int | None,
    typer.Option(**number("--max-pixels", "photo.max_pixels"), help="Allow larger pictures.", show_default=False),
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Settings, or a packaged name: quick.", show_default=False)
]
Assign = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="One setting; may be repeated.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Run although nothing changed.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another meshcli to finish with DIR.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Say what would run and why; change nothing.")]
First = Annotated[Stage, typer.Option("--from", help="The first stage to run; those before it must be done.")]
Last = Annotated[Stage, typer.Option("--to", help="The last stage to run.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Seconds and memory; -vv: tracebacks.")]
Faces = Annotated[
    int | None, typer.Option(**number("--faces", "texture.faces"), help="Triangles of the mesh.", show_default=False)
]
TextureSize = Annotated[
    int | None,
    typer.Option(**number("--texture-size", "texture.size"), help="Texels along a side.", show_default=False),
]
Grid = Annotated[
    int | None,
    typer.Option(
        **number("--grid", "lrm.grid"),
        help="Networks: fineness of the grid the surface comes from.",
        show_default=False,
    ),
]
NoTexture = Annotated[bool, typer.Option("--no-texture", help="Colours at the vertices only.")]
KeepParts = Annotated[Parts | None, typer.Option("--parts", help="Which pieces to keep.", show_default=False)]
From = Annotated[
    Source | None, typer.Option("--from", help="What the turntable shows: field is instant-nerf's.", show_default=False)
]
Frames = Annotated[
    int | None, typer.Option(**number("--frames", "render.frames"), help="Of the turntable.", show_default=False)
]
Size = Annotated[
    int | None, typer.Option(**number("--size", "render.size"), help="Pixels along a side.", show_default=False)
]
Fps = Annotated[
    int | None, typer.Option(**number("--fps", "render.fps"), help="Frames per second.", show_default=False)
]
Steps = Annotated[
    int | None,
    typer.Option(**number("--steps", "zero123plus.steps"), help="Of denoising, in zero123plus.", show_default=False),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        **number("--guidance", "zero123plus.guidance"),
        help="How closely zero123plus keeps to the photo.",
        show_default=False,
    ),
]
UNet = Annotated[
    WhichUNet | None,
    typer.Option(help="Zero123++'s network: white backgrounds by InstantMesh, or its own.", show_default=False),
]
VRAM = Annotated[Vram | None, typer.Option("--vram", help="How much memory networks may take.", show_default=False)]
AttentionKind = Annotated[Attention | None, typer.Option("--attention", help="Whose kernels.", show_default=False)]
Batch = Annotated[
    int | None, typer.Option(**number("--batch", "zero123plus.batch"), help="Photos at a time.", show_default=False)
]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(
        **number("--checkpoint-every", "zero123plus.checkpoint_every"),
        help="Steps; 0 is about once a minute.",
        show_default=False,
    ),
]
Preview = Annotated[
    int | None,
    typer.Option(
        **number("--preview", "zero123plus.preview"),
        help="Show the unfinished views every N steps.",
        show_default=False,
    ),
]
Views = Annotated[str, typer.Option(metavar="LIST", help="0,3,5 | a0,b2 | 0-5 | all | photo:a", show_default=False)]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:1|mps", help="Where the networks compute.")]
Dtype = Annotated[Precision, typer.Option(help="How precisely the networks compute; auto is the engine's own choice.")]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Weights: a file, or a folder of files as published.", show_default=False),
]
IncludePhotos = Annotated[
    bool, typer.Option("--include-photos", help="Photos with known cameras are views too, named a, b ...")
]

"""Every flag of the commands, in groups; see `flag_groups`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import typer

from meshcli.commands.completion import complete_formats, complete_photos, complete_settings, complete_views
from meshcli.commands.flag_groups import FlagGroup, Overrides
from meshcli.engines import Generator, Reconstructor
from meshcli.errors import UsageError
from meshcli.project.manifest import RunStage
from meshcli.settings import Attention, Cutout, Parts, Precision, TextureSource, Vram, WhichUNet

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The project directory.", show_default=False)]


@dataclass(frozen=True)
class InputFlags(FlagGroup, title="Photos and cameras"):
    """The pictures that are handed in, and what is known about their cameras."""

    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO...",
            help="Photos of one object: photo.jpg, photo.jpg@45 for its azimuth, a directory of them, or - for a list "
            "of names on standard input.",
            show_default=False,
        ),
    ] = None
    azimuth: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Azimuths of the photos in degrees, one each: 0 is the object's front, and they grow "
            "counter-clockwise seen from above.",
            show_default=False,
        ),
    ] = ""
    elevation: Annotated[
        str,
        typer.Option(
            metavar="A,...",
            help="Degrees above the horizon, one for all or one each; else outlines tell them.",
            show_default=False,
        ),
    ] = ""
    fov: Annotated[
        str,
        typer.Option(
            metavar="A,...",
            help="Vertical fields of view of the uncropped photos in degrees, one for all or one each.",
            show_default=False,
        ),
    ] = ""
    adjust: Annotated[
        bool,
        Overrides("sculpt.adjust"),
        typer.Option("--adjust", help="Let silhouettes correct typed azimuths; else they are kept exactly."),
    ] = False
    rig: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Calibrated cameras: cameras.json, nerfstudio's transforms.json, COLMAP's model.",
            show_default=False,
        ),
    ] = None
    up: Annotated[
        str, typer.Option(metavar="AXIS", help="Up axis of the rig's world: x, -x ... -z.", show_default=False)
    ] = ""
    focal: Annotated[
        str, typer.Option(metavar="MM,...", help="Focal lengths in mm, with --sensor.", show_default=False)
    ] = ""
    sensor: Annotated[
        str,
        typer.Option(
            metavar="WxH", help="Sensor size in mm, or full, aps-c, mft, 1, 2/3, 1/2, 1/3.", show_default=False
        ),
    ] = ""
    from_sheet: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A sheet of six ready-made views; once for each photo.", show_default=False),
    ] = None
    rig_version: Annotated[
        Literal["1.2", "1.1"], typer.Option(help="Zero123++ version whose camera rig the sheets follow.")
    ] = "1.2"
    from_views: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR2", help="Directory of ready-made views; their cameras are in --rig.", show_default=False
        ),
    ] = None

    @property
    def handed_in(self) -> list[str | Path]:
        """The photos, sheets, and the directory of views, as they were typed."""
        return [*(self.photos or ()), *(self.from_sheet or ()), *([self.from_views] if self.from_views else [])]


@dataclass(frozen=True)
class GeneratorFlags(FlagGroup, title="View generation"):
    """The engine that generates views, and the settings of its diffusion network."""

    engine: Annotated[
        Generator, typer.Option(metavar="ENGINE", help=f"View generator: {', '.join(get_args(Generator))}.")
    ] = "auto"
    steps: Annotated[
        int | None,
        Overrides("zero123plus.steps"),
        typer.Option(help="Denoising steps of zero123plus.", show_default=False),
    ] = None
    guidance: Annotated[
        float | None,
        Overrides("zero123plus.guidance"),
        typer.Option(help="Classifier-free guidance scale of zero123plus.", show_default=False),
    ] = None
    unet: Annotated[
        WhichUNet | None,
        Overrides("zero123plus.unet"),
        typer.Option(
            help="UNet of zero123plus: InstantMesh's, fine-tuned for white backgrounds, or the original.",
            show_default=False,
        ),
    ] = None
    vram: Annotated[
        Vram | None,
        Overrides("zero123plus.vram"),
        typer.Option("--vram", help="Memory budget of the networks.", show_default=False),
    ] = None
    attention: Annotated[
        Attention | None,
        Overrides("zero123plus.attention"),
        typer.Option("--attention", help="Attention backend.", show_default=False),
    ] = None
    batch: Annotated[
        int | None, Overrides("zero123plus.batch"), typer.Option(help="Photos per batch.", show_default=False)
    ] = None
    checkpoint_every: Annotated[
        int | None,
        Overrides("zero123plus.checkpoint_every"),
        typer.Option(help="Steps between checkpoints; 0: about once a minute.", show_default=False),
    ] = None
    preview: Annotated[
        int | None,
        Overrides("zero123plus.preview"),
        typer.Option(help="Show the unfinished views every N steps.", show_default=False),
    ] = None


@dataclass(frozen=True)
class NetworkFlags(FlagGroup, title="Network"):
    """Where and how networks compute, and with which weights."""

    ANY_ENGINE: ClassVar = ("--device=cpu", "--dtype=auto")

    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:1|mps", help="Compute device of the networks.")] = (
        "auto"
    )
    dtype: Annotated[
        Precision | None,
        typer.Option(help="Floating-point precision of the networks; auto: the engine's default.", show_default=False),
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Weights: a file, or a folder of files as published.", show_default=False),
    ] = None

    def network_words(self) -> list[str]:
        """The typed flags that need an engine with a network."""
        return [word for word in self.words() if word not in self.ANY_ENGINE]

    def words_for_any_engine(self) -> list[str]:
        """The other typed flags: all engines run on the CPU, and at the precision that suits them."""
        return [word for word in self.words() if word in self.ANY_ENGINE]

    def dtype_override(self, section: str) -> dict[str, Any]:
        """The precision as a setting of an engine's section."""
        return {f"{section}.dtype": self.dtype}


@dataclass(frozen=True)
class PhotoFlags(FlagGroup, title="Photo preparation"):
    """How photos are read and cut out."""

    cutout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[B=]HOW",
            help="Cut out by alpha, plain (background), rembg, or auto; b=rembg is for photo b only; repeatable.",
            show_default=False,
        ),
    ] = None
    no_rembg: Annotated[
        bool,
        Overrides("photo.rembg", value=False),
        typer.Option("--no-rembg", help="Cut out by alpha or a plain background only."),
    ] = False
    add: Annotated[bool, typer.Option("--add", help="Append the photos instead of replacing the set.")] = False
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LETTER,...",
            help="Take photos out of the set, by their letters; repeatable.",
            show_default=False,
            autocompletion=complete_photos,
        ),
    ] = None
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip unusable photos, process the others, and exit 3 at the end.")
    ] = False
    certain: Annotated[
        bool, typer.Option("--certain", help="Stop with exit code 6 where azimuths are guesses.", hidden=True)
    ] = False
    max_pixels: Annotated[
        int | None,
        Overrides("photo.max_pixels"),
        typer.Option(help="Largest accepted photo, in pixels.", show_default=False),
    ] = None

    def overrides(self) -> dict[str, Any]:
        """As of any group, and how the photos are cut out: one way for all of them takes back those for single ones."""
        words = [word for text in self.cutout or () for word in text.split(",")]
        single, for_all = [word for word in words if "=" in word], [word for word in words if "=" not in word]
        if len(for_all) > 1:
            raise UsageError(f"--cutout {for_all[0]} and --cutout {for_all[1]} are both for all photos; take one")
        if for_all and for_all[0] not in get_args(Cutout):
            known = ", ".join(get_args(Cutout))
            raise UsageError(f"--cutout {for_all[0]}: it is one of {known}; for one photo with its letter, as b=rembg")
        ways = {"photo.cutout": for_all[0]} if for_all else {}
        allowed = {"photo.rembg": True} if for_all == ["rembg"] else {}
        return {**ways, **({"photo.cutouts": ",".join(single)} if words else {}), **allowed, **super().overrides()}


@dataclass(frozen=True)
class SelectionFlags(FlagGroup, title="View selection"):
    """Which views build the mesh."""

    views: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Views to use: 0,3,5 | a0,b2 | 0-5 | all | photo:a",
            show_default=False,
            autocompletion=complete_views,
        ),
    ] = ""
    auto: Annotated[
        int | None,
        typer.Option(min=1, metavar="[N]", help="Select the N (6) best well-spread views.", show_default=False),
    ] = None
    include_photos: Annotated[
        bool, typer.Option("--include-photos", help="Offer photos with known cameras as views too, named a, b ...")
    ] = False
    suggested: Annotated[
        bool, typer.Option("--suggested", hidden=True, help="With --auto: `run` may replace the selection later.")
    ] = False
    list_views: Annotated[bool, typer.Option("--list", help="Print the views and exit.")] = False


@dataclass(frozen=True)
class ReconstructorFlags(FlagGroup, title="Reconstruction"):
    """The engine that builds the mesh, and the mesh's size."""

    engine: Annotated[
        Reconstructor, typer.Option(metavar="ENGINE", help=f"Mesh reconstructor: {', '.join(get_args(Reconstructor))}.")
    ] = "auto"
    grid: Annotated[
        int | None,
        Overrides("lrm.grid"),
        typer.Option(help="Grid resolution of the networks' surface extraction.", show_default=False),
    ] = None
    faces: Annotated[
        int | None,
        Overrides("texture.faces", "lrm.simplify"),
        typer.Option(help="Target number of triangles.", show_default=False),
    ] = None
    texture_size: Annotated[
        int | None,
        Overrides("texture.size"),
        typer.Option(help="Texture width and height in pixels.", show_default=False),
    ] = None
    texture_from: Annotated[
        TextureSource | None,
        Overrides("texture.source"),
        typer.Option(
            metavar="SOURCE",
            help="What colours the mesh: auto, photos, views, both, field.",
            show_default=False,
        ),
    ] = None
    no_texture: Annotated[
        bool,
        Overrides("fit.texture", "lrm.texture", "placement.texture", value=False),
        typer.Option("--no-texture", help="Vertex colours instead of a texture."),
    ] = False
    parts: Annotated[
        Parts | None,
        Overrides("fit.parts", "lrm.parts"),
        typer.Option("--parts", help="Connected components to keep.", show_default=False),
    ] = None


@dataclass(frozen=True)
class StageFlags(FlagGroup, title="Stages"):
    """Which stages `run` runs, and with which engines."""

    first: Annotated[
        RunStage, typer.Option("--from", metavar="STAGE", help=f"First stage to run: {', '.join(get_args(RunStage))}.")
    ] = "generate"
    last: Annotated[RunStage, typer.Option("--to", metavar="STAGE", help="Last stage to run.")] = "render"
    export: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Export at the end too: formats and presets of `meshcli export`, as glb,print.",
            show_default=False,
            autocompletion=complete_formats,
        ),
    ] = ""
    guess: Annotated[
        bool, typer.Option("--guess", help="Go on with azimuths that are guesses; without it, stop with exit code 6.")
    ] = False
    generator: Annotated[
        Generator, typer.Option(metavar="ENGINE", help=f"View generator: {', '.join(get_args(Generator))}.")
    ] = "auto"
    reconstructor: Annotated[
        Reconstructor, typer.Option(metavar="ENGINE", help=f"Mesh reconstructor: {', '.join(get_args(Reconstructor))}.")
    ] = "auto"


@dataclass(frozen=True)
class SettingsFlags(FlagGroup, title="Settings"):
    """The random seed, and settings from files or one by one."""

    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Random seed; 0 at first.", show_default=False)
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings file, or the name of a packaged one: quick.", show_default=False),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="A.B=C",
            help="Override one setting; repeatable.",
            show_default=False,
            autocompletion=complete_settings,
        ),
    ] = None
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Take the default of every setting not typed, not the one on record.")
    ] = False


@dataclass(frozen=True)
class ExecutionFlags(FlagGroup, title="Run"):
    """How a command is carried out."""

    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False
    force: Annotated[bool, typer.Option("--force", help="Run even if nothing changed.")] = False
    wait: Annotated[bool, typer.Option("--wait", help="Wait until DIR is no longer locked by another meshcli.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and why; change nothing.")] = False


@dataclass(frozen=True)
class OutputFlags(FlagGroup, title="Output"):
    """What a command prints."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Print times and memory; -vv: tracebacks too.")
    ] = 0

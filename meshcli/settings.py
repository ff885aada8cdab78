"""Every setting of every step, with its default: the one place where defaults stand.

Beside every number stands what it may be; the lowest value works on small pictures, above the highest nothing is
gained and memory is lost. `config.py` fills these from files, `--set` and flags and checks them.

Light: no imports beyond the standard library.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """Which numbers a setting may be; where it is a list, each of its numbers."""

    low: float
    high: float
    zero: bool = False  # 0 too, which then has a meaning of its own
    step: int = 1  # whole numbers are multiples of it

    def __contains__(self, number: float) -> bool:
        stepped = self.step == 1 or number % self.step == 0
        return (self.low <= number <= self.high and stepped) or (self.zero and number == 0)

    def __str__(self) -> str:
        multiple = f"a multiple of {self.step} " if self.step > 1 else ""
        return f"{'0 or ' if self.zero else ''}{multiple}between {self.low:.15g} and {self.high:.15g}"


VOXELS = Range(16, 384)  # along a side of a grid
MOST_LEVELS = 8  # of a fit from coarse to fine


@dataclass(frozen=True)
class PhotoSettings:
    """Cutting the object out of a photo and framing it."""

    # longer side of the object's box over the side of the framed picture
    foreground_ratio: Annotated[float, Range(0.2, 1.0)] = 0.85
    rembg: bool = True  # let a network find the object where neither alpha nor a plain background tells
    rembg_model: str = "u2netp"
    # pixels of the longer side; larger photos are shrunk: cutting out 16 megapixels takes a minute
    side: Annotated[int, Range(32, 16384)] = 2048
    max_pixels: Annotated[int, Range(1, 10**9)] = 100_000_000  # larger pictures are refused


@dataclass(frozen=True)
class SculptSettings:
    """The weight-free view generator; see generators/sculpt.py."""

    view_size: Annotated[int, Range(32, 2048)] = 320  # pixels
    relief: Annotated[int, Range(24, 1024)] = (
        160  # samples along the longer side of a silhouette, more where it is thin
    )
    # Voxels and steps as in FitSettings, for several photos; never finer than it.
    fit_resolutions: Annotated[tuple[int, ...], VOXELS] = (32, 64, 104)
    fit_steps: Annotated[tuple[int, ...], Range(1, 10_000)] = (100, 100, 60)
    hull_resolution: Annotated[int, VOXELS] = 128  # voxels along the longest side of a body from several aligned photos
    resolution: Annotated[int, VOXELS] = (
        96  # voxels along the longest side of a body from one photo; more where it is thin
    )
    inflation: Annotated[float, Range(0.1, 2.0)] = 0.8  # half the thickness of an inflated disc over its radius
    # half the thickness at most, over the radius of the largest disc in the silhouette
    cap: Annotated[float, Range(0.1, 10.0)] = 1.15
    # half the thickness of a box over the shorter side of its silhouette
    box_depth: Annotated[float, Range(0.1, 2.0)] = 0.27
    # left in photos whose silhouettes do not quite match: their textures do not match either
    contrast: Annotated[float, Range(0.0, 1.0)] = 0.35
    # half the thickness of things made of bars over half the shorter side of the silhouette
    bar_depth: Annotated[float, Range(0.0, 2.0)] = 0.3

    def conflict(self) -> str:
        """Settings that contradict each other, in words; empty when none do."""
        return _levels("sculpt.fit_resolutions", self.fit_resolutions, "sculpt.fit_steps", self.fit_steps)


WhichUNet = Literal[
    "white",  # InstantMesh's, for white backgrounds
    "original",  # Zero123++'s own, for grey ones
]
Vram = Literal[
    "low",  # one network at a time, and the sheet is decoded in tiles, which shows a little at their seams
    "normal",  # one network at a time
    "high",  # every network stays for the next photo
]
Precision = Literal[
    "auto",  # what the engine holds for right on this device
    "fp32",
    "bf16",  # the range of fp32 with 8 bits of precision
    "fp16",  # 11 bits of precision, but nothing above 65,504; on GPUs only
]
Attention = Literal[
    "auto",  # what is fastest for this processor or GPU
    "sdpa",  # torch's own
    "xformers",  # on CUDA, where it is installed
]


@dataclass(frozen=True)
class Zero123PlusSettings:
    """The diffusion network that paints views; see generators/zero123plus.py."""

    steps: Annotated[int, Range(1, 1000)] = 75  # as InstantMesh; Zero123++ itself advises 28
    guidance: Annotated[float, Range(1.0, 50.0)] = 4.0
    unet: WhichUNet = "white"
    view_size: Annotated[int, Range(64, 1024, step=32)] = 320  # pixels; the network was trained for this one
    dtype: Precision = "auto"  # auto is the fast one: fp16 on GPUs, bf16 where the processor has it
    vram: Vram = "normal"
    attention: Attention = "auto"
    compile: bool = False  # by torch.compile: minutes before the first step, equal to the precision of the numbers
    # photos at a time; more than one is equal to the precision of the numbers only
    batch: Annotated[int, Range(1, 16)] = 1
    checkpoint_every: Annotated[int, Range(0, 1000)] = 0  # steps; 0 is about once a minute
    preview: Annotated[int, Range(0, 1000)] = 0  # steps between looks at the unfinished sheet; 0 is never


Parts = Literal[
    "all",  # as they are found
    "large",  # those with at least 1 % of the faces
    "largest",
]


@dataclass(frozen=True)
class FitSettings:
    """Fitting a surface to posed pictures; see reconstructors/fit.py. One entry per level where there are several."""

    resolutions: Annotated[tuple[int, ...], VOXELS] = (32, 64, 104)  # voxels along the longest side of the box
    steps: Annotated[tuple[int, ...], Range(1, 10_000)] = (120, 140, 80)
    rays: Annotated[int, Range(1, 1_000_000)] = 12000  # per step
    parts: Parts = "all"  # which pieces of the surface to keep, of those that the silhouettes show
    texture: bool = True  # besides the colours of the vertices

    def conflict(self) -> str:
        """Settings that contradict each other, in words; empty when none do."""
        return _levels("fit.resolutions", self.resolutions, "fit.steps", self.steps)


@dataclass(frozen=True)
class LrmSettings:
    """The reconstruction networks; see reconstructors/instantmesh.py. 0 is what the network's own file says."""

    file: str = ""  # in InstantMesh's format, or the name of a packaged one; empty is the engine's own
    grid: Annotated[int, Range(16, 512, zero=True)] = 0  # cells along a side; instant-nerf: points along a side
    threshold: Annotated[float, Range(0.0, 1_000_000.0)] = 0.0  # of the density, instant-nerf only
    dtype: Precision = "auto"  # auto is fp32: the published numbers
    parts: Parts = "all"  # which pieces of the surface to keep
    simplify: Annotated[int, Range(4, 10_000_000, zero=True)] = 0  # triangles to simplify to; 0 keeps all
    texture: bool = True  # besides the colours of the vertices


@dataclass(frozen=True)
class TextureSettings:
    """Simplifying, unwrapping and baking; see texture.py."""

    faces: Annotated[int, Range(4, 10_000_000)] = 20000
    size: Annotated[int, Range(16, 16384)] = 1024  # texels along a side


Source = Literal[
    "mesh",
    "field",  # instant-nerf's radiance field itself: minutes on a processor
]


@dataclass(frozen=True)
class RenderSettings:
    """Turntable and stills; see stages/render.py."""

    size: Annotated[int, Range(16, 8192)] = 512  # pixels
    frames: Annotated[int, Range(1, 10_000)] = 120
    fps: Annotated[int, Range(1, 240)] = 30
    elevation: Annotated[float, Range(-90.0, 90.0)] = 15.0  # degrees
    samples: Annotated[int, Range(1, 16)] = 3  # squared: rays per pixel
    source: Source = "mesh"  # of the turntable


@dataclass(frozen=True)
class Settings:
    """All of them; the field names are the keys of a configuration file."""

    photo: PhotoSettings = field(default_factory=PhotoSettings)
    sculpt: SculptSettings = field(default_factory=SculptSettings)
    zero123plus: Zero123PlusSettings = field(default_factory=Zero123PlusSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    lrm: LrmSettings = field(default_factory=LrmSettings)
    texture: TextureSettings = field(default_factory=TextureSettings)
    render: RenderSettings = field(default_factory=RenderSettings)

    def conflict(self) -> str:
        """The first settings that contradict each other, in words; empty when none do."""
        return self.fit.conflict() or self.sculpt.conflict()


def range_of(section: type, key: str) -> Range | None:
    """What a number of a section may be; None for what is no number."""
    kind: Any = get_type_hints(section, include_extras=True)[key]
    return next((each for each in get_args(kind)[1:] if isinstance(each, Range)), None)


def _levels(sizes_key: str, sizes: Sequence[int], steps_key: str, steps: Sequence[int]) -> str:
    """What is wrong with the levels of a fit."""
    if len(sizes) != len(steps):
        return f"{sizes_key} has {len(sizes)} entries and {steps_key} {len(steps)}; each level needs one of both"
    if list(sizes) != sorted(sizes):
        return f"{sizes_key} must not get coarser from level to level: {list(sizes)}"
    return ""

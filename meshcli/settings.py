"""Every setting of every step, with its default: the one place where defaults stand.

Light: no imports beyond the standard library. `config.py` fills these from files and `--set`.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class PhotoSettings:
    """Cutting the object out of a photo and framing it."""

    foreground_ratio: float = 0.85  # longer side of the object's box over the side of the framed picture
    rembg: bool = True  # let a network find the object where neither alpha nor a plain background tells
    rembg_model: str = "u2netp"
    side: int = 2048  # pixels of the longer side; larger photos are shrunk: cutting out 16 megapixels takes a minute
    max_pixels: int = 100_000_000  # larger pictures are refused


@dataclass(frozen=True)
class SculptSettings:
    """The weight-free view generator; see generators/sculpt.py."""

    view_size: int = 320  # pixels
    relief: int = 160  # samples along the longer side of a silhouette that is inflated
    fit_resolutions: tuple[int, ...] = (
        32,
        64,
        104,
    )  # voxels, as in FitSettings, for several photos; never finer than it
    fit_steps: tuple[int, ...] = (100, 100, 60)
    hull_resolution: int = 128  # voxels along the longest side of a body from several aligned photos
    resolution: int = 96  # voxels along the longest side of a body from one photo
    inflation: float = 0.8  # half the thickness of an inflated disc over its radius
    cap: float = 1.15  # half the thickness at most, over the radius of the largest disc in the silhouette
    box_depth: float = 0.27  # half the thickness of a box over the shorter side of its silhouette
    contrast: float = 0.35  # left in photos whose silhouettes do not quite match: their textures do not match either
    bar_depth: float = 0.3  # half the thickness of things made of bars over half the shorter side of the silhouette


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

    steps: int = 75  # as InstantMesh; Zero123++ itself advises 28
    guidance: float = 4.0
    unet: WhichUNet = "white"
    view_size: int = 320  # pixels; the network was trained for this one
    dtype: Precision = "auto"  # auto is the fast one: fp16 on GPUs, bf16 where the processor has it
    vram: Vram = "normal"
    attention: Attention = "auto"
    compile: bool = False  # by torch.compile: minutes before the first step, equal to the precision of the numbers
    batch: int = 1  # photos at a time; more than one is equal to the precision of the numbers only
    checkpoint_every: int = 0  # steps; 0 is about once a minute
    preview: int = 0  # steps between looks at the unfinished sheet; 0 is never


Parts = Literal[
    "all",  # as they are found
    "large",  # those with at least 1 % of the faces
    "largest",
]


@dataclass(frozen=True)
class FitSettings:
    """Fitting a surface to posed pictures; see reconstructors/fit.py. One entry per level where there are several."""

    resolutions: tuple[int, ...] = (32, 64, 104)  # voxels along the longest side of the box
    steps: tuple[int, ...] = (120, 140, 80)
    rays: int = 12000  # per step
    parts: Parts = "large"  # which pieces of the surface to keep
    texture: bool = True  # besides the colours of the vertices


@dataclass(frozen=True)
class LrmSettings:
    """The reconstruction networks; see reconstructors/instantmesh.py. 0 is what the network's own file says."""

    file: str = ""  # in InstantMesh's format, or the name of a packaged one; empty is the engine's own
    grid: int = 0  # cells along a side; instant-nerf: points along a side
    threshold: float = 0.0  # of the density, instant-nerf only
    dtype: Precision = "auto"  # auto is fp32: the published numbers
    parts: Parts = "all"  # which pieces of the surface to keep
    simplify: int = 0  # triangles to simplify to; 0 keeps all
    texture: bool = True  # besides the colours of the vertices


@dataclass(frozen=True)
class TextureSettings:
    """Simplifying, unwrapping and baking; see texture.py."""

    faces: int = 20000
    size: int = 1024  # texels along a side


Source = Literal[
    "mesh",
    "field",  # instant-nerf's radiance field itself: minutes on a processor
]


@dataclass(frozen=True)
class RenderSettings:
    """Turntable and stills; see stages/render.py."""

    size: int = 512  # pixels
    frames: int = 120
    fps: int = 30
    elevation: float = 15.0  # degrees
    samples: int = 3  # squared: rays per pixel
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

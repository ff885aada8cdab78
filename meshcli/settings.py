"""Every setting of every step, with its default: the one place where defaults stand.

Light: no imports beyond the standard library. `config.py` fills these from files and `--set`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PhotoSettings:
    """Cutting the object out of a photo and framing it."""

    foreground_ratio: float = 0.85  # longer side of the object's box over the side of the framed picture
    rembg: bool = True  # let a network find the object where neither alpha nor a plain background tells
    rembg_model: str = "u2netp"
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


@dataclass(frozen=True)
class FitSettings:
    """Fitting a surface to posed pictures; see reconstructors/fit.py. One entry per level where there are several."""

    resolutions: tuple[int, ...] = (64, 104)  # voxels along the longest side of the box
    steps: tuple[int, ...] = (140, 80)
    rays: int = 12000  # per step


@dataclass(frozen=True)
class TextureSettings:
    """Simplifying, unwrapping and baking; see texture.py."""

    faces: int = 20000
    size: int = 1024  # texels along a side


@dataclass(frozen=True)
class RenderSettings:
    """Turntable and stills; see stages/render.py."""

    size: int = 512  # pixels
    frames: int = 120
    fps: int = 30
    elevation: float = 15.0  # degrees
    samples: int = 3  # squared: rays per pixel


@dataclass(frozen=True)
class Settings:
    """All of them; the field names are the keys of a configuration file."""

    photo: PhotoSettings = field(default_factory=PhotoSettings)
    sculpt: SculptSettings = field(default_factory=SculptSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    texture: TextureSettings = field(default_factory=TextureSettings)
    render: RenderSettings = field(default_factory=RenderSettings)

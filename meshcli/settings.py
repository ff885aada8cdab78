"""All settings with their defaults and ranges; every default stands here and nowhere else.

`--set section.key=value` and the files of `--config` replace them, flags do so for the most used ones; `config.py`
reads and checks them. Each number has a range: its lowest value still works on small pictures, its highest bounds
memory and time. 0 has a meaning of its own where the comment says so.

Light: no imports beyond the standard library and `setting_types`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, cast, get_args

from meshcli.setting_types import Entries, Range, unknown_name

PHOTO_LETTERS = re.compile("[a-z]{1,4}")
GRID_RESOLUTION = Range(16, 384)  # voxels along the longest side of a grid; 384^3 float32 values take 226 MB
MEMORY = Range(0.05, 4096)  # GB of a stage of a batch
CORES = Range(1, 1024)
MAX_LEVELS = 8  # of a coarse-to-fine fit; by choice, the defaults have 3


Cutout = Literal[
    "auto",  # by alpha, else by a plain background, else with rembg, which also mends doubtful plain ones
    "alpha",  # the file's own transparency
    "plain",  # a smooth background of one colour all round
    "rembg",  # a salient-object network
]


@dataclass(frozen=True)
class PhotoSettings:
    """Cutting the object out of a photo and framing it."""

    # longer side of the object's bounding box / side of the square frame
    foreground_ratio: Annotated[float, Range(0.2, 1.0)] = 0.85
    cutout: Cutout = "auto"  # how the object is cut out
    cutouts: str = ""  # the same for single photos, by their letters: b=rembg,d=plain
    # whether `auto` may take a segmentation network (rembg), where neither transparency nor a plain background will do
    rembg: bool = True
    rembg_model: str = "u2netp"  # by its name in rembg; u2netp is the smallest, 5 MB
    # pixels of the longer side; larger photos are reduced first: cutting out 16 megapixels takes a minute
    side: Annotated[int, Range(32, 16384)] = 2048
    max_pixels: Annotated[int, Range(1, 10**9)] = 100_000_000  # width x height; larger pictures are refused

    def cutout_of(self, photo: str) -> Cutout:
        """How the object is cut out of the photo of this letter."""
        return cast("Cutout", cutout_table(self.cutouts).get(photo, self.cutout))

    def conflict(self) -> str:
        """What is wrong with the ways to cut out; empty if nothing is."""
        for photo, method in cutout_table(self.cutouts).items():
            if not PHOTO_LETTERS.fullmatch(photo) or method not in get_args(Cutout):
                return (
                    f"{photo}={method} is no way to cut a photo out: write one of {', '.join(get_args(Cutout))}, after "
                    "a photo's letter and = if it is for that photo only, like b=rembg"
                )
        if self.cutout == "rembg" and not self.rembg:
            return "rembg is to cut the photos out (photo.cutout) and is switched off (photo.rembg)"
        return ""


@dataclass(frozen=True)
class SculptSettings:
    """View generator without weights; see generators/sculpt.

    It inflates the silhouette of a single photo, and fits one body to several photos whose azimuths are known.
    """

    view_size: Annotated[int, Range(32, 2048)] = 320  # width and height of a view in pixels
    # samples along the longer side of the silhouette that is inflated; more where it is thin
    relief: Annotated[int, Range(24, 1024)] = 160
    check: bool = True  # whether stated azimuths are compared with their exchanged and reversed order
    adjust: bool = False  # whether azimuths that were stated may be corrected by the silhouettes
    ground: bool = True  # whether a body from several photos ends in a flat base where no photo shows its underside
    boxes: bool = True  # whether flat faces and straight edges are preferred where outlines and edges say box
    bars: bool = True  # whether long thin parts are made smooth along their length where the outlines agree
    plates: bool = True  # whether a top that the outlines tell to be a horizontal plate is made one
    # whether a body whose outlines are those of one of revolution, but for handles and spouts, is made exactly that
    revolution: bool = True
    warp: bool = True  # whether photos whose outlines contradict each other by more than a few pixels are warped
    symmetry: bool = True  # whether sides that no photo shows follow a mirror plane that the outlines agree on
    # The fit to several photos, as in FitSettings: voxels and steps of each level. Never finer than fit.resolutions.
    fit_resolutions: Annotated[tuple[int, ...], GRID_RESOLUTION] = (32, 64, 104)
    fit_steps: Annotated[tuple[int, ...], Range(1, 10_000)] = (100, 100, 60)
    # voxels along the longest side of the visual hull of several photos with aligned azimuths
    hull_resolution: Annotated[int, GRID_RESOLUTION] = 128
    # voxels along the longest side of the body from one photo; more where it is thin
    resolution: Annotated[int, GRID_RESOLUTION] = 96
    # half the thickness of an inflated disc / its radius; 1 makes a sphere of it
    inflation: Annotated[float, Range(0.1, 2.0)] = 0.8
    # largest half thickness / radius of the largest disc in the silhouette
    cap: Annotated[float, Range(0.1, 10.0)] = 1.15
    # half the thickness of a box / shorter side of its silhouette; 0.5 makes it as deep as wide
    box_depth: Annotated[float, Range(0.1, 2.0)] = 0.27
    # contrast that the fit leaves in photos whose silhouettes do not match exactly, since their textures do not match
    # either: 1 is unchanged, 0 leaves the mean colour
    contrast: Annotated[float, Range(0.0, 1.0)] = 0.35
    # half the thickness of objects made of bars / half the shorter side of the silhouette
    bar_depth: Annotated[float, Range(0.0, 2.0)] = 0.3

    def conflict(self) -> str:
        """A description of settings that contradict each other; empty if none do."""
        return _level_conflict("sculpt.fit_resolutions", self.fit_resolutions, "sculpt.fit_steps", self.fit_steps)


WhichUNet = Literal[
    "white",  # InstantMesh's, trained for white backgrounds
    "original",  # Zero123++'s, which generates grey backgrounds
]
Vram = Literal[
    "low",  # one network in memory at a time, and the sheet is decoded in tiles, whose seams are slightly visible
    "normal",  # one network in memory at a time
    "high",  # all networks stay in memory from photo to photo
]
Precision = Literal[
    "auto",  # chosen by the engine for the device
    "fp32",
    "bf16",  # the range of fp32 with 8 bits of precision
    "fp16",  # 11 bits of precision, values up to 65,504; on GPUs only
]
Attention = Literal[
    "auto",  # the fastest backend for the device
    "sdpa",  # torch's scaled_dot_product_attention
    "xformers",  # on CUDA only; must be installed
]


@dataclass(frozen=True)
class Zero123PlusSettings:
    """The diffusion model that generates views; see generators/zero123plus."""

    steps: Annotated[int, Range(1, 1000)] = 75  # denoising steps, as in InstantMesh; Zero123++ itself recommends 28
    guidance: Annotated[float, Range(1.0, 50.0)] = 4.0  # scale of the classifier-free guidance, as in Zero123++
    unet: WhichUNet = "white"
    # width and height of a view in pixels; the model was trained at 320
    view_size: Annotated[int, Range(64, 1024, multiple_of=32)] = 320
    dtype: Precision = "auto"  # auto is the faster one: fp16 on GPUs, bf16 on processors that support it
    vram: Vram = "normal"
    attention: Attention = "auto"
    # torch.compile: the first step takes minutes more; results differ by rounding only
    compile: bool = False
    # photos that are denoised together; results differ from those of 1 by rounding only
    batch: Annotated[int, Range(1, 16)] = 1
    # denoising steps between saved states, from which an interrupted run continues; 0 is about one a minute
    checkpoint_every: Annotated[int, Range(0, 1000)] = 0
    preview: Annotated[int, Range(0, 1000)] = 0  # denoising steps between previews of the sheet; 0 is none


Parts = Literal[
    "all",
    "large",  # those with at least 1 % of the faces
    "largest",
]


@dataclass(frozen=True)
class FitSettings:
    """Fitting a surface to views by differentiable rendering, coarse to fine; see reconstructors/fit.py.

    `resolutions` and `steps` have one entry per level.
    """

    # voxels along the longest side of the object's bounding box
    resolutions: Annotated[tuple[int, ...], GRID_RESOLUTION] = (32, 64, 104)
    steps: Annotated[tuple[int, ...], Range(1, 10_000)] = (120, 140, 80)  # optimisation steps
    rays: Annotated[int, Range(1, 1_000_000)] = 12000  # per step, over all views
    parts: Parts = "all"  # which connected parts of the surface to keep, among those that the silhouettes show
    # whether views of a sculpted body, where they are chosen automatically, give that body and not one fitted to them
    body: bool = True
    boxes: bool = True  # whether flat faces and straight edges are preferred where straight edges say furniture
    bars: bool = True  # whether long thin parts are made smooth along their length where the outlines agree
    # whether colours tell hollows that no silhouette shows: for true views of a matt body with a strong texture
    hollows: bool = False
    photos: bool = True  # see photos with calibrated cameras too, up to 640 pixels large, beside sculpt's views
    texture: bool = True  # bake a texture; without it only the vertices have colours

    def conflict(self) -> str:
        """A description of settings that contradict each other; empty if none do."""
        return _level_conflict("fit.resolutions", self.resolutions, "fit.steps", self.steps)


RefineWhen = Literal[
    "auto",  # a mesh from a file
    "always",
    "never",
]


@dataclass(frozen=True)
class RefineSettings:
    """Moving the surface of a given mesh to where the views show it; see reconstructors/refine.py."""

    when: RefineWhen = "auto"
    # how far any point of the surface may move, in units of the world, in which objects reach to 0.95
    reach: Annotated[float, Range(0.0, 1.0)] = 0.08
    rounds: Annotated[int, Range(1, 1000)] = 2  # of finding and following targets, per level


@dataclass(frozen=True)
class LrmSettings:
    """The reconstruction networks; see reconstructors/instantmesh.py."""

    # a network's description in InstantMesh's YAML format, or the name of a packaged one; empty is the engine's own
    file: str = ""
    # cells along a side of the grid that the surface comes from (instant-nerf: points); 0 is what the description says
    grid: Annotated[int, Range(16, 512, or_zero=True)] = 0
    # density at the surface, instant-nerf only; 0 is what the description says
    threshold: Annotated[float, Range(0.0, 1_000_000.0)] = 0.0
    dtype: Precision = "auto"  # auto is fp32, as in the published results
    parts: Parts = "all"  # which connected parts of the surface to keep
    simplify: Annotated[int, Range(4, 10_000_000, or_zero=True)] = 0  # triangles to reduce the mesh to; 0 keeps all
    texture: bool = True  # bake a texture; without it only the vertices have colours


FileAxis = Literal["auto", "x", "-x", "y", "-y", "z", "-z"]  # of a mesh file; auto is found out
Mirror = Literal[
    "auto",  # found out
    "no",  # the file shows the object as it is
    "yes",  # it shows its mirror image, like the OBJ files that InstantMesh writes
]


@dataclass(frozen=True)
class PlacementSettings:
    """The place of a mesh from a file in the world of the views; see alignment/mesh_placement.py."""

    up: FileAxis = "auto"  # axis of the file that points up
    front: FileAxis = "auto"  # axis of the file that points to azimuth 0, within 45 degrees
    mirror: Mirror = "auto"  # whether the file shows the object mirrored
    # least overlap (intersection over union) of the silhouettes of mesh and views, below which the mesh is refused
    overlap: Annotated[float, Range(0.0, 1.0)] = 0.7
    texture: bool = True  # bake a texture; without it only the vertices have colours

    def conflict(self) -> str:
        """A description of settings that contradict each other; empty if none do."""
        if self.up != "auto" and self.up[-1] == self.front[-1]:
            return f"placement.up={self.up} and placement.front={self.front} are one axis of the file; they must be two"
        return ""


TextureFormat = Literal[
    "jpeg",  # smaller by a factor of four to eight
    "png",  # lossless
]
TextureSource = Literal[
    "auto",  # photos whose camera is known, beside the chosen views; without any, views or a network's field
    "photos",  # the cut-out photos at their own size
    "views",  # the chosen views
    "both",
    "field",  # the colours that a network predicts
]


@dataclass(frozen=True)
class TextureSettings:
    """Simplifying the mesh, unwrapping it and baking its texture; see meshes/simplify.py and texturing/."""

    faces: Annotated[int, Range(4, 10_000_000)] = 20000  # triangles to reduce the mesh to
    source: TextureSource = "auto"  # the pictures that colour the mesh
    size: Annotated[int, Range(16, 8192)] = 2048  # width and height of the texture in texels
    format: TextureFormat = "jpeg"  # of the texture inside the GLB; the one beside the OBJ is a PNG, to be edited
    quality: Annotated[int, Range(1, 100)] = 92  # of a JPEG


Source = Literal[
    "mesh",
    "field",  # the radiance field of instant-nerf: takes minutes on a processor
]


RenderPass = Literal[
    "shaded",  # the mesh's own colours
    "clay",  # one grey under fixed lamps
    "normals",
    "depth",
    "wireframe",  # the triangles' edges over clay
    "mask",
]
NormalSpace = Literal[
    "camera",  # x right, y up, z to the viewer
    "world",
]


@dataclass(frozen=True)
class RenderSettings:
    """Turntable video and still pictures; see stages/render.py."""

    size: Annotated[int, Range(16, 8192)] = 512  # width and height in pixels
    frames: Annotated[int, Range(1, 10_000)] = 120  # of one turn
    fps: Annotated[int, Range(1, 240)] = 30  # frames per second
    elevation: Annotated[float, Range(-90.0, 90.0)] = 15.0  # of the camera, degrees above the horizon
    samples: Annotated[int, Range(1, 16)] = 3  # along each side of a pixel: 3 casts up to 9 rays per pixel
    source: Source = "mesh"  # what the turntable shows
    # from the cameras to the centre in world units; 0 is the views' distance, or more where the object needs it
    distance: Annotated[float, Range(0.05, 1000.0, or_zero=True)] = 0.0
    # of stills at the turntable's elevation, in place of those from the five named sides
    azimuths: Annotated[tuple[float, ...], Range(-360.0, 360.0), Entries(0, 360)] = ()
    # behind the object: a colour, transparent, or the path of a picture; empty is white in animations, else transparent
    background: str = ""
    passes: Annotated[tuple[RenderPass, ...], Entries(1, 6)] = ("shaded",)  # each with its turntable and stills
    normals: NormalSpace = "camera"  # the axes that normals are written in
    gif: bool = False  # write the turntable as a GIF too
    webp: bool = False  # and as a WebP
    # names of photos and views from whose cameras stills are made, to lie over these pictures
    cameras: Annotated[tuple[str, ...], Entries(0, 100)] = ()

    @property
    def named_azimuths(self) -> dict[str, float]:
        """The azimuths by the names of their stills: azimuth-045, azimuth-022.5."""
        names = {}
        for azimuth in self.azimuths:
            whole, _, fraction = f"{round(azimuth % 360.0, 3) % 360.0:.3f}".rstrip("0").partition(".")
            names[f"azimuth-{whole.zfill(3)}{'.' if fraction else ''}{fraction}"] = azimuth
        return names

    def conflict(self) -> str:
        """What is wrong with the settings together; empty if nothing is."""
        if self.source == "field":
            for key, default in (("passes", ("shaded",)), ("background", ""), ("gif", False), ("webp", False)):
                if getattr(self, key) != default:
                    return f"render.source=field films the field's own colours over white as mp4, without render.{key}"
        return ""


ExportFormat = Literal["glb", "obj", "ply", "stl", "3mf", "usd", "usdz"]
ExportPreset = Literal[
    "unreal",  # a folder with GLB, USD, textures, cameras and a script for Unreal's editor
    "blender",  # a folder with GLB, pictures and a script that sets the cameras up
    "web",  # a small GLB: WebP and Draco
    "print",  # STL and 3MF
]
EXPORT_TARGETS: tuple[str, ...] = (*get_args(ExportFormat), *get_args(ExportPreset), "all")
SizeBy = Literal[
    "none",  # one unit of the world is one metre
    "height",  # of the bounding box, along z
    "width",  # of the bounding box as seen from the front, along y
    "longest",  # side of the bounding box
    "scale",  # metres per unit of the world
    "like-rig",  # the coordinates of the calibrated rig that the photos came with
]
Pivot = Literal[
    "auto",  # base, or the rig's origin with like-rig
    "base",  # the middle of the bounding box in x and y, at its lowest point
    "centre",  # of the bounding box
    "origin",  # of the project's world
]
UpAxis = Literal[
    "auto",  # the usual one of each format; with like-rig the rig's own
    "y",
    "z",
]


@dataclass(frozen=True)
class ExportSettings:
    """Handing the mesh and its cameras over to other programs; see stages/export.py and docs/scene.md."""

    to: str = "glb"  # formats and presets, with commas between them, or all
    size_by: SizeBy = "none"  # what `size` is the length of
    size: Annotated[float, Range(1e-6, 1e6)] = 1.0  # metres; of scale, metres per unit
    pivot: Pivot = "auto"  # the point of the object that lies at the scene's origin
    up: UpAxis = "auto"  # axis that points up in the formats that leave it free
    faces: Annotated[int, Range(4, 10_000_000, or_zero=True)] = 0  # triangles to reduce the mesh to; 0 keeps all
    # width and height in texels that the texture is reduced to; 0 keeps it
    texture_size: Annotated[int, Range(16, 8192, or_zero=True)] = 0
    folder: str = ""  # that receives copies of the files; empty is none

    @property
    def targets(self) -> tuple[str, ...]:
        """The formats and presets by name; `all` is one of them."""
        return tuple(dict.fromkeys(word for part in self.to.lower().split(",") if (word := part.strip().lstrip("."))))

    def conflict(self) -> str:
        """A description of settings that contradict each other, or name no format; empty if none do."""
        for name in self.targets:
            if name not in EXPORT_TARGETS:
                return unknown_name("format", name, EXPORT_TARGETS)
        if not self.targets:
            return f"export.to names no format; known: {', '.join(EXPORT_TARGETS)}"
        if self.size_by == "like-rig" and self.pivot != "auto":
            return f"--like-rig keeps the rig's own origin, and --pivot {self.pivot} would move it; take one of them"
        return ""


@dataclass(frozen=True)
class NeedsSettings:
    """What a batch sets aside for a stage, by its engine, or by the stage where it has but one; docs/batch.md.

    Memory is in units of 2^30 bytes: peaks of whole processes on two cores, rounded up, with the weights of a network
    that stays loaded; docs/measurements.md. No result depends on these settings, so no record holds them.
    """

    sculpt_memory: Annotated[float, MEMORY] = 1.0
    sculpt_cores: Annotated[int, CORES] = 1
    photos_memory: Annotated[float, MEMORY] = 1.0
    photos_cores: Annotated[int, CORES] = 1
    zero123plus_memory: Annotated[float, MEMORY] = 5.5
    zero123plus_cores: Annotated[int, CORES] = 2
    zero123plus_gpus: Annotated[int, Range(0, 1)] = 1
    select_memory: Annotated[float, MEMORY] = 1.0
    select_cores: Annotated[int, CORES] = 1
    fit_memory: Annotated[float, MEMORY] = 1.0
    fit_cores: Annotated[int, CORES] = 1
    import_memory: Annotated[float, MEMORY] = 1.0
    import_cores: Annotated[int, CORES] = 1
    network_memory: Annotated[float, MEMORY] = 2.5
    network_cores: Annotated[int, CORES] = 2
    network_gpus: Annotated[int, Range(0, 1)] = 1
    render_memory: Annotated[float, MEMORY] = 1.0
    render_cores: Annotated[int, CORES] = 1
    export_memory: Annotated[float, MEMORY] = 1.0
    export_cores: Annotated[int, CORES] = 1


@dataclass(frozen=True)
class Settings:
    """All settings; the field names are the sections of a configuration file."""

    photo: PhotoSettings = field(default_factory=PhotoSettings)
    sculpt: SculptSettings = field(default_factory=SculptSettings)
    zero123plus: Zero123PlusSettings = field(default_factory=Zero123PlusSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    lrm: LrmSettings = field(default_factory=LrmSettings)
    placement: PlacementSettings = field(default_factory=PlacementSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    texture: TextureSettings = field(default_factory=TextureSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    needs: NeedsSettings = field(default_factory=NeedsSettings)

    def conflict(self) -> str:
        """A description of the first settings that contradict each other; empty if none do."""
        sections = (self.photo, self.fit, self.sculpt, self.placement, self.render, self.export)
        return next(filter(None, (section.conflict() for section in sections)), "")


def cutout_table(text: str) -> dict[str, str]:
    """`b=rembg,d=plain` as a table; what is written otherwise comes out as no valid letter or method."""
    return {photo: method for photo, _, method in (part.partition("=") for part in text.split(",") if part)}


def _level_conflict(sizes_key: str, sizes: Sequence[int], steps_key: str, steps: Sequence[int]) -> str:
    """What is wrong with the levels of a coarse-to-fine fit; empty if nothing is."""
    if len(sizes) != len(steps):
        return f"{sizes_key} has {len(sizes)} entries and {steps_key} {len(steps)}; each level needs one of both"
    if list(sizes) != sorted(sizes):
        return f"{sizes_key} must not get coarser from level to level: {list(sizes)}"
    return ""

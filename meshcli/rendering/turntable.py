"""Pictures of a finished mesh: turntables, stills from named or given sides, a contact sheet with its views."""

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import encode_png
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress, silent
from meshcli.rendering.animation import gif_step, write_gif, write_webp
from meshcli.rendering.backdrop import EMPTY, Backdrop, composite
from meshcli.rendering.contact_sheet import contact_sheet
from meshcli.rendering.renderer import Renderer, Visibility
from meshcli.rendering.surface import Look
from meshcli.rendering.video import Mp4Writer
from meshcli.rendering.z_buffer import ZBuffer
from meshcli.settings import RenderPass, RenderSettings
from meshcli.views.camera import Camera
from meshcli.views.projection import project
from meshcli.views.view import View
from meshcli.views.viewpoints import Points, cameras_around

STILLS = {  # azimuth and elevation in degrees
    "front": (0.0, 0.0),
    "right": (90.0, 0.0),
    "back": (180.0, 0.0),
    "left": (270.0, 0.0),
    "top": (35.0, 45.0),
}
LARGEST_LEVEL = 65535  # of a 16-bit picture
PALETTE_EXAMPLES, EXAMPLE_SIDE = 8, 128  # frames that a GIF's colours are chosen for, and their size in pixels


class MeshPictures:
    """All pictures of one mesh, by one renderer."""

    def __init__(
        self,
        mesh: Mesh,
        settings: RenderSettings,
        progress: Progress = silent,
        rasteriser: Visibility | None = None,
        backdrop: Backdrop | None = None,
    ) -> None:
        self.settings = settings
        self.progress = progress
        self._backdrop = backdrop or Backdrop()
        self._renderer = Renderer(mesh, rasteriser or ZBuffer(mesh.vertices, mesh.faces))

    def turntable(self, path: Path, kind: RenderPass = "shaded") -> None:
        """Write an mp4 of one turn of the camera; frames are encoded as they are rendered."""
        side, frames = self.settings.size, self.settings.frames
        behind = self._backdrop.behind(kind, side, side)
        with Mp4Writer(path, side, side, self.settings.fps) as video:
            for done, picture in enumerate(self._frames(self._path, kind, lambda frame: composite(frame, behind))):
                self.progress(done, frames, _work("turntable", kind))
                video.add(picture)

    def gif(self, path: Path, kind: RenderPass = "shaded") -> None:
        """Write the turntable as a GIF; every other frame or fewer where they come too fast for one."""
        step = gif_step(self.settings.fps)
        cameras = self._path[::step]
        examples = self._path[:: max(1, len(self._path) // PALETTE_EXAMPLES)]
        look, side = self.look(kind), EXAMPLE_SIDE
        small = [self._renderer.render(camera, side, side, 2, look=look) for camera in examples]
        shown = [self._animated(picture, kind) for picture in small]
        write_gif(path, self._animation(cameras, kind, "GIF"), len(cameras), self.settings.fps / step, shown)

    def webp(self, path: Path, kind: RenderPass = "shaded") -> None:
        """Write the turntable as an animated WebP."""
        write_webp(path, self._animation(self._path, kind, "WebP"), len(self._path), self.settings.fps)

    def stills(self, kind: RenderPass = "shaded") -> dict[str, Pixels]:
        """RGBA pictures by the name of the side, with a transparent background unless another one is set."""
        return {name: self.still(name, kind) for name in self.still_cameras}

    def still(self, name: str, kind: RenderPass = "shaded") -> Pixels:
        """One of them."""
        self.progress(list(self.still_cameras).index(name), len(self.still_cameras), _work("stills", kind))
        return self._on_backdrop(self.render(self.still_cameras[name], *self.square, kind), kind)

    def contact_sheet(self, views: Sequence[View]) -> Pixels:
        """Contact sheet, RGB: each view above a render from its camera."""
        renders = []
        for done, view in enumerate(views):
            self.progress(done, len(views), "contact sheet")
            renders.append(self.render(view.camera, view.width, view.height))
        return contact_sheet(views, renders)

    def render(self, camera: Camera, width: int, height: int, kind: RenderPass = "shaded") -> Pixels:
        """RGBA with straight alpha and nothing behind the object."""
        return self._renderer.render(camera, width, height, self.settings.samples, look=self.look(kind))

    def depth(self, camera: Camera, width: int, height: int) -> NDArray[np.float32]:
        """Depth (height, width) along the viewing direction in world units, infinite beside the object."""
        return self._renderer.depth(camera, width, height)

    def look(self, kind: RenderPass) -> Look:
        """The pass, whose depth is seen in the turntable's range."""
        return Look(kind, self.settings.normals, *(self._depth_range if kind == "depth" else (0.0, 1.0)))

    def depth_range(self, cameras: Sequence[Camera]) -> tuple[float, float]:
        """The least and largest depth of a vertex before cameras; 0 and 1 where none is in front of one."""
        return depth_range(self._renderer.mesh.vertices, cameras)

    @cached_property
    def still_cameras(self) -> Mapping[str, Camera]:
        """The cameras of the stills, by name."""
        given = self.settings.named_azimuths.items()
        sides = {name: (azimuth, self.settings.elevation) for name, azimuth in given} or STILLS
        return dict(zip(sides, self._around(list(sides.values())), strict=True))

    @cached_property
    def _path(self) -> list[Camera]:
        return turntable_cameras(self._renderer.mesh.vertices, self.settings)

    @cached_property
    def _depth_range(self) -> tuple[float, float]:
        """The least and largest depth of a vertex in the turntable."""
        return self.depth_range(self._path)

    @property
    def square(self) -> tuple[int, int]:
        """Width and height of stills and frames."""
        return self.settings.size, self.settings.size

    def _around(self, sides: Sequence[tuple[float, float]]) -> list[Camera]:
        return cameras_around(self._renderer.mesh.vertices, sides, self.settings.distance)

    def _frames(
        self, cameras: Sequence[Camera], kind: RenderPass, finish: Callable[[Pixels], Pixels]
    ) -> Iterator[Pixels]:
        return self._renderer.frames(cameras, *self.square, self.settings.samples, look=self.look(kind), finish=finish)

    def _animation(self, cameras: Sequence[Camera], kind: RenderPass, name: str) -> Iterator[Pixels]:
        """The frames of a GIF or WebP."""
        for done, picture in enumerate(self._frames(cameras, kind, lambda frame: self._animated(frame, kind))):
            self.progress(done, len(cameras), _work(name, kind))
            yield picture

    def _animated(self, picture: Pixels, kind: RenderPass) -> Pixels:
        """A frame as GIF and WebP show it: RGBA only where a transparent background is set."""
        if self._backdrop.transparent and kind not in EMPTY:
            return picture
        return composite(picture, self._backdrop.behind(kind, picture.shape[1], picture.shape[0]))

    def _on_backdrop(self, picture: Pixels, kind: RenderPass) -> Pixels:
        """A still over the background, if one is set and the pass is no data."""
        if not self._backdrop.typed or kind in EMPTY:
            return picture
        covered = composite(picture, self._backdrop.behind(kind, picture.shape[1], picture.shape[0]))
        return np.dstack([covered, np.full(covered.shape[:2], 255, np.uint8)])


def _work(what: str, kind: RenderPass) -> str:
    """What is at work, for progress."""
    return what if kind == "shaded" else f"{what}, {kind}"


def turntable_cameras(points: Points, settings: RenderSettings) -> list[Camera]:
    """The cameras of a turntable's frames, one turn around all points (N, 3)."""
    sides = [(360.0 * frame / settings.frames, settings.elevation) for frame in range(settings.frames)]
    return cameras_around(points, sides, settings.distance)


def depth_range(points: Points, cameras: Sequence[Camera]) -> tuple[float, float]:
    """The least and largest depth of points (N, 3) before cameras; 0 and 1 where none is in front of one."""
    depths = [project(camera, points.astype(np.float64), 1, 1)[1] for camera in cameras if len(points)]
    front = [depth[depth > 0.0] for depth in depths]
    found = [(float(depth.min()), float(depth.max())) for depth in front if len(depth)]
    if not found:
        return 0.0, 1.0
    nearest, farthest = min(low for low, _ in found), max(high for _, high in found)
    return nearest, max(farthest, nearest + 1e-6)


def depth_levels(farthest: float) -> float:
    """Levels of a 16-bit picture for each world unit of depth: the largest power of two with which all depths fit."""
    return 2.0 ** math.floor(math.log2(LARGEST_LEVEL / max(farthest, 1e-6)))


def encode_depth(depth: NDArray[np.float32], levels: float) -> bytes:
    """A 16-bit grey PNG of depths (H, W): depth x levels, 0 where nothing is; the scale is also a text in the file."""
    seen = np.isfinite(depth)
    values = np.where(seen, np.rint(np.where(seen, depth, 0.0).astype(np.float64) * levels).clip(1, LARGEST_LEVEL), 0)
    scale = PngImagePlugin.PngInfo()
    scale.add_text("levels_per_unit", f"{levels:g}")
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(buffer, format="PNG", compress_level=4, pnginfo=scale)
    return buffer.getvalue()


def encode_still(picture: Pixels, kind: RenderPass) -> bytes:
    """A still (H, W, 4) as PNG: a mask as 8-bit grey."""
    return encode_png(np.ascontiguousarray(picture[..., 3]) if kind == "mask" else picture)

"""Pictures of a finished mesh: a turntable video, stills from named sides, a contact sheet with its views."""

from collections.abc import Sequence
from pathlib import Path

from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress, silent
from meshcli.rendering.contact_sheet import contact_sheet
from meshcli.rendering.rasteriser import Rasteriser
from meshcli.rendering.renderer import Renderer
from meshcli.rendering.video import Mp4Writer
from meshcli.settings import RenderSettings
from meshcli.views.camera import Camera
from meshcli.views.view import View
from meshcli.views.viewpoints import cameras_around

STILLS = {  # azimuth and elevation in degrees
    "front": (0.0, 0.0),
    "right": (90.0, 0.0),
    "back": (180.0, 0.0),
    "left": (270.0, 0.0),
    "top": (35.0, 45.0),
}


class MeshPictures:
    """All pictures of one mesh, by one renderer."""

    def __init__(
        self, mesh: Mesh, settings: RenderSettings, progress: Progress = silent, rasteriser: Rasteriser | None = None
    ) -> None:
        self.settings = settings
        self.progress = progress
        self._renderer = Renderer(mesh, rasteriser=rasteriser)

    def turntable(self, path: Path) -> None:
        """Write an mp4 of one turn of the camera; frames are encoded as they are rendered."""
        side, frames = self.settings.size, self.settings.frames
        sides = [(360.0 * frame / frames, self.settings.elevation) for frame in range(frames)]
        cameras = cameras_around(self._renderer.mesh.vertices, sides)
        with Mp4Writer(path, side, side, self.settings.fps) as video:
            for done, picture in enumerate(self._renderer.frames(cameras, side, side, self.settings.samples)):
                self.progress(done, frames, "turntable")
                video.add(over(picture))

    def stills(self) -> dict[str, Pixels]:
        """RGBA pictures with a transparent background, by the name of the side."""
        pictures = {}
        cameras = cameras_around(self._renderer.mesh.vertices, list(STILLS.values()))
        for done, (name, camera) in enumerate(zip(STILLS, cameras, strict=True)):
            self.progress(done, len(STILLS), "stills")
            pictures[name] = self._render(camera, self.settings.size, self.settings.size)
        return pictures

    def contact_sheet(self, views: Sequence[View]) -> Pixels:
        """Contact sheet, RGB: each view above a render from its camera."""
        renders = []
        for done, view in enumerate(views):
            self.progress(done, len(views), "contact sheet")
            renders.append(self._render(view.camera, view.width, view.height))
        return contact_sheet(views, renders)

    def _render(self, camera: Camera, width: int, height: int) -> Pixels:
        return self._renderer.render(camera, width, height, self.settings.samples)

"""Pictures of a finished mesh: a turntable, stills from named sides, a sheet beside the views it was made from."""

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


class Showcase:
    """A mesh made ready once for all its pictures."""

    def __init__(
        self, mesh: Mesh, settings: RenderSettings, progress: Progress = silent, rasteriser: Rasteriser | None = None
    ) -> None:
        self.settings = settings
        self.progress = progress
        self._renderer = Renderer(mesh, rasteriser=rasteriser)

    def turntable(self, path: Path) -> None:
        """Write an mp4 of the camera walking around once; frames are encoded as they are made, none is kept."""
        side, frames = self.settings.size, self.settings.frames
        sides = [(360.0 * frame / frames, self.settings.elevation) for frame in range(frames)]
        cameras = cameras_around(self._renderer.mesh.vertices, sides)
        with Mp4Writer(path, side, side, self.settings.fps) as video:
            for done, picture in enumerate(self._renderer.frames(cameras, side, side, self.settings.samples)):
                self.progress(done, frames, "turntable")
                video.add(over(picture))

    def stills(self) -> dict[str, Pixels]:
        """Name of the side -> RGBA picture with a transparent background."""
        pictures = {}
        cameras = cameras_around(self._renderer.mesh.vertices, list(STILLS.values()))
        for done, (name, camera) in enumerate(zip(STILLS, cameras, strict=True)):
            self.progress(done, len(STILLS), "stills")
            pictures[name] = self._picture(camera, self.settings.size, self.settings.size)
        return pictures

    def beside(self, views: Sequence[View]) -> Pixels:
        """The views, and under each the mesh seen by the same camera, named: RGB."""
        renders = []
        for done, view in enumerate(views):
            self.progress(done, len(views), "contact sheet")
            renders.append(self._picture(view.camera, view.width, view.height))
        return contact_sheet(views, renders)

    def _picture(self, camera: Camera, width: int, height: int) -> Pixels:
        return self._renderer.render(camera, width, height, self.settings.samples)

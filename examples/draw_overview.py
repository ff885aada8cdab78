"""Draw overview.png, photos to views to mesh, from a finished project: python examples/draw_overview.py demo."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from clay_rendering import render_clay
from PIL import Image, ImageDraw, ImageFont

from meshcli.arrays import Array
from meshcli.export.gltf import read_glb
from meshcli.pictures.image import over
from meshcli.project.project import Project
from meshcli.rendering.renderer import Renderer
from meshcli.stages.inputs import chosen_views
from meshcli.stages.view_loading import load_views
from meshcli.views.camera import orbit

OUTPUT = Path(__file__).resolve().parent / "overview.png"
SIDE = 250  # pixels of a photo
WIDTH, HEIGHT = 1640, 3 * SIDE + 70
INK = (96, 96, 96)


def main() -> None:
    """Three photos, six views, the mesh from the front, and from behind in colour and in clay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    arguments = parser.parse_args()
    project = Project(arguments.project)
    manifest = project.load()
    photos = [view.pixels for view in load_views(project, manifest.active_photos)]
    views = [view.pixels for view in load_views(project, chosen_views(project, manifest))]
    mesh = read_glb(project.path("mesh/mesh.glb"))
    near, far = (orbit(azimuth, 18.0, 3.3) for azimuth in (35.0, 215.0))
    renderer = Renderer(mesh)
    front, back = renderer.render(near, 560, 440), renderer.render(far, 280, 220)
    clay = render_clay(mesh, far, 280, 220)
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    column(sheet, "three photos", 0, photos[:3], columns=1, side=SIDE)
    column(sheet, "six of the eighteen views", 340, views[:: max(1, len(views) // 6)][:6], columns=2, side=SIDE)
    column(sheet, "the mesh", 940, [], columns=1, side=680)
    for picture, place in ((front, (940, 50)), (back, (1040, 500)), (clay, (1330, 500))):
        paste(sheet, picture, place)
    for x in (285, 875):
        arrow(sheet, x, HEIGHT // 2 + 20)
    sheet.save(OUTPUT, optimize=True)


def column(sheet: Image.Image, title: str, left: int, pictures: Sequence[Array], columns: int, side: int) -> None:
    """Pictures in a grid below their title."""
    font = ImageFont.load_default(26)
    ImageDraw.Draw(sheet).text((left + columns * side // 2, 8), title, INK, font, anchor="ma")
    for number, picture in enumerate(pictures):
        small = Image.fromarray(over(picture)).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (left + number % columns * side, 60 + number // columns * side))


def paste(sheet: Image.Image, picture: Array, place: tuple[int, int]) -> None:
    """A picture with its transparency."""
    sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), place, Image.fromarray(picture[..., 3]))


def arrow(sheet: Image.Image, x: int, y: int) -> None:
    """To the next step."""
    draw = ImageDraw.Draw(sheet)
    draw.line([(x, y), (x + 22, y)], INK, 4)
    draw.polygon([(x + 36, y), (x + 20, y - 10), (x + 20, y + 10)], INK)


if __name__ == "__main__":
    main()

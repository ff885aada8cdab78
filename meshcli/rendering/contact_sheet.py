"""Views beside renders of the mesh from the same cameras, on one sheet to look at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import Pixels
from meshcli.views.view import View

TILE = 256  # pixels: side of a picture's square
GAP = 12  # pixels between tiles
MARGIN = 28  # pixels around the sheet
CAPTION = 34  # pixels under a pair
COLUMNS = 6
INK, SOFT, LINE = (34, 34, 34), (120, 120, 120), (226, 226, 226)


def contact_sheet(views: Sequence[View], renders: Sequence[Pixels]) -> Pixels:
    """RGB: each view above the render from its camera, with name, azimuth and elevation underneath.

    At most six pairs side by side, further ones below.
    """
    columns = max(1, min(COLUMNS, len(views)))
    bands = -(-len(views) // columns)
    band = 2 * TILE + GAP + CAPTION + GAP
    size = 2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + bands * band - GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for i, (view, render) in enumerate(zip(views, renders, strict=True)):
        left, top = MARGIN + i % columns * (TILE + GAP), MARGIN + i // columns * band
        for picture, title, y in ((view.pixels, "view", top), (render, "mesh", top + TILE + GAP)):
            _place(sheet, picture, left, y)
            draw.rectangle((left, y, left + TILE - 1, y + TILE - 1), outline=LINE)
            if i % columns == 0:
                draw.text((left + 8, y + 6), title, fill=SOFT, font=_font(13))
        baseline = top + 2 * TILE + GAP + 8
        draw.text((left + 1, baseline), view.name, fill=INK, font=_font(16))
        camera = view.camera
        draw.text(
            (left + TILE - 1, baseline + 2),
            f"azimuth {camera.azimuth:.0f}°  elevation {camera.elevation:.0f}°",
            fill=SOFT, font=_font(13), anchor="ra",
        )  # fmt: skip
    return np.asarray(sheet).copy()


def _place(sheet: Image.Image, picture: Pixels, left: int, top: int) -> None:
    """Fit a picture into its square, in the middle."""
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    rgb = over(small) if small.shape[2] == 4 else small
    sheet.paste(Image.fromarray(rgb), (left + (TILE - rgb.shape[1]) // 2, top + (TILE - rgb.shape[0]) // 2))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

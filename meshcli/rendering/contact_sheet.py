"""A contact sheet: views above renders of the mesh from the same cameras."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import Pixels
from meshcli.views.view import View

TILE = 256  # pixels: side of a picture's cell
GAP = 12  # pixels between tiles
MARGIN = 28  # pixels around the sheet
CAPTION = 34  # pixels under a pair for its name and angles
TEXT, SMALL_TEXT = 16, 13  # pixels
COLUMNS = 6  # one photo's views
TEXT_COLOUR, MUTED_COLOUR, BORDER_COLOUR = (34, 34, 34), (120, 120, 120), (226, 226, 226)


def contact_sheet(views: Sequence[View], renders: Sequence[Pixels]) -> Pixels:
    """RGB sheet: each view above the render from its camera, with name, azimuth and elevation underneath.

    COLUMNS pairs per row.
    """
    columns = max(1, min(COLUMNS, len(views)))
    rows = -(-len(views) // columns)
    row_height = 2 * TILE + GAP + CAPTION + GAP
    size = 2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + rows * row_height - GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for i, (view, render) in enumerate(zip(views, renders, strict=True)):
        left, top = MARGIN + i % columns * (TILE + GAP), MARGIN + i // columns * row_height
        for picture, title, y in ((view.pixels, "view", top), (render, "mesh", top + TILE + GAP)):
            _paste(sheet, picture, left, y)
            draw.rectangle((left, y, left + TILE - 1, y + TILE - 1), outline=BORDER_COLOUR)
            if i % columns == 0:
                draw.text((left + 8, y + 6), title, fill=MUTED_COLOUR, font=_font(SMALL_TEXT))
        baseline = top + 2 * TILE + GAP + 8
        draw.text((left + 1, baseline), view.name, fill=TEXT_COLOUR, font=_font(TEXT))
        camera = view.camera
        draw.text(
            (left + TILE - 1, baseline + 2),
            f"azimuth {camera.azimuth:.0f}°  elevation {camera.elevation:.0f}°",
            fill=MUTED_COLOUR, font=_font(SMALL_TEXT), anchor="ra",
        )  # fmt: skip
    return np.asarray(sheet).copy()


def _paste(sheet: Image.Image, picture: Pixels, left: int, top: int) -> None:
    """Paste a picture into its cell, scaled to fit and centred."""
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    rgb = over(small) if small.shape[2] == 4 else small
    sheet.paste(Image.fromarray(rgb), (left + (TILE - rgb.shape[1]) // 2, top + (TILE - rgb.shape[0]) // 2))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

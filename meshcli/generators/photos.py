"""Views that are there already: posed photos, single views and six-view sheets that another program painted.

A ready view keeps its frame. Its silhouette comes from its alpha, else from its plain background; near-white
backgrounds stay in the colours as they are, others become white, for engines that look at colours alone expect white.
"""

import numpy as np

from meshcli.arrays import Float32Array
from meshcli.errors import InputError
from meshcli.pictures.foreground import cut_from_page, cut_out
from meshcli.pictures.image import Crop, resize, split_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.pictures.plain_background import background_of, matte, outside_of
from meshcli.pictures.transparency import coverage, cuts_out
from meshcli.settings import PhotoSettings
from meshcli.views.camera import VIEW_SIZE

LAYOUTS = {(2, 3): (3, 2), (3, 2): (2, 3), (6, 1): (1, 6)}  # width and height in views -> rows, columns
NEAR_WHITE = 225.0  # of 255: a background brighter than this is meant to be white


def cut_sheet(sheet: Pixels) -> list[Pixels]:
    """The six views of a sheet (H, W, 4), row by row, each (320, 320, 4).

    Two columns of three, three of two, or one row. Raises InputError for another shape.
    """
    height, width = sheet.shape[:2]
    for (across, down), (rows, columns) in LAYOUTS.items():
        if width * down == height * across and width % columns == 0:
            return [resize(tile, VIEW_SIZE, VIEW_SIZE) for tile in split_sheet(sheet, rows, columns)]
    raise InputError(
        f"a sheet of {width} x {height} pixels is not six square views: 640 x 960, 960 x 640 or 1920 x 320, "
        "or a multiple of these"
    )


def ready_view(pixels: Pixels, settings: PhotoSettings, offline: bool) -> Pixels:
    """The same view with its silhouette as alpha, (H, W, 4); InputError when there is no object in it."""
    alpha = pixels[..., 3]
    if alpha.min() < 255 and cuts_out(alpha):
        on_page = cut_from_page(pixels)
        return _with_object(np.dstack([pixels[..., :3], coverage(alpha)])) if on_page is None else on_page
    opaque = np.dstack([pixels[..., :3], np.full_like(alpha, 255)])
    found = _from_plain(pixels[..., :3].astype(np.float32))
    return cut_out(opaque, settings, settings.rembg, offline).pixels if found is None else found


def _from_plain(colours: Float32Array) -> Pixels | None:
    """A view in front of its plain background (H, W, 3) with its silhouette; None when there is no object in it."""
    background = background_of(colours)
    if background is None:
        return None
    white = float(background.mean()) >= NEAR_WHITE
    covered, own = matte(colours, background, outside_of(colours, background, shadows=not white))
    if not (covered >= 0.5).any():
        return None
    covered = covered[..., None]
    shown = colours if white else own * covered + 255.0 * (1.0 - covered)
    return np.concatenate([shown, 255.0 * covered], axis=-1).round().clip(0, 255).astype(np.uint8)


def squared(pixels: Pixels) -> tuple[Pixels, Crop]:
    """A picture in the middle of a square, the rest transparent white, and where the square lies in the picture."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 4), (255, 255, 255, 0), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square, Crop(-left / width, -top / height, side / width, side / height)


def _with_object(pixels: Pixels) -> Pixels:
    if not (pixels[..., 3] >= 128).any():
        raise InputError("a view shows no object: nothing in it differs from its background")
    return pixels

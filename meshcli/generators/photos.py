"""Views made elsewhere: posed photos, and single views and six-view sheets from other programs.

Such a view is not reframed. Its silhouette comes from its alpha, else from its plain background. Near-white backgrounds
keep their colour; others are replaced by white, which engines that read RGB only expect.
"""

import numpy as np

from meshcli.arrays import Float32Array
from meshcli.errors import InputError
from meshcli.pictures.foreground import cut_from_page, cut_out
from meshcli.pictures.image import Crop, resize, split_sheet
from meshcli.pictures.pixels import VIEW_SIZE, Pixels
from meshcli.pictures.plain_background import background_mask, estimate_background, estimate_matte
from meshcli.pictures.transparency import has_cut_out, opacity_to_coverage
from meshcli.settings import PhotoSettings

LAYOUTS = {(2, 3): (3, 2), (3, 2): (2, 3), (6, 1): (1, 6)}  # aspect ratio of a sheet -> rows, columns of views
NEAR_WHITE = 225.0  # of 255: brighter backgrounds count as white; Zero123++ paints 244 to 250, grey versions 161 to 178


def split_view_sheet(sheet: Pixels) -> list[Pixels]:
    """The six views of a sheet (H, W, 4), row by row, each (VIEW_SIZE, VIEW_SIZE, 4).

    Layouts: 3 x 2, 2 x 3 or one row. Raises InputError for another aspect ratio.
    """
    height, width = sheet.shape[:2]
    for (across, down), (rows, columns) in LAYOUTS.items():
        if width * down == height * across and width % columns == 0:
            return [resize(tile, VIEW_SIZE, VIEW_SIZE) for tile in split_sheet(sheet, rows, columns)]
    raise InputError(
        f"a sheet of {width} x {height} pixels is not six square views: 640 x 960, 960 x 640 or 1920 x 320, "
        "or a multiple of these"
    )


def with_silhouette(pixels: Pixels, settings: PhotoSettings, offline: bool) -> Pixels:
    """The view (H, W, 4) with its silhouette as alpha; InputError where it shows no object."""
    alpha = pixels[..., 3]
    if alpha.min() < 255 and has_cut_out(alpha):
        on_page = cut_from_page(pixels)
        return _checked(np.dstack([pixels[..., :3], opacity_to_coverage(alpha)])) if on_page is None else on_page
    opaque = np.dstack([pixels[..., :3], np.full_like(alpha, 255)])
    found = _cut_from_plain_background(pixels[..., :3].astype(np.float32))
    return cut_out(opaque, settings, settings.rembg, offline).pixels if found is None else found


def _cut_from_plain_background(colours: Float32Array) -> Pixels | None:
    """The view (H, W, 4) with alpha from its plain background; None where there is none, or no object."""
    background = estimate_background(colours)
    if background is None:
        return None
    white = float(background.mean()) >= NEAR_WHITE
    alpha, foreground = estimate_matte(colours, background, background_mask(colours, background, shadows=not white))
    if not (alpha >= 0.5).any():
        return None
    alpha = alpha[..., None]
    rgb = colours if white else foreground * alpha + 255.0 * (1.0 - alpha)
    return np.concatenate([rgb, 255.0 * alpha], axis=-1).round().clip(0, 255).astype(np.uint8)


def pad_to_square(pixels: Pixels) -> tuple[Pixels, Crop]:
    """The picture centred in a square of transparent white, and the square as a crop of the picture."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 4), (255, 255, 255, 0), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square, Crop(-left / width, -top / height, side / width, side / height)


def _checked(pixels: Pixels) -> Pixels:
    """The view as it is; InputError where its alpha shows no object."""
    if not (pixels[..., 3] >= 128).any():
        raise InputError("a view shows no object: nothing in it differs from its background")
    return pixels

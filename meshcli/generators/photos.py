"""Views made elsewhere: posed photos, and single views and six-view sheets from other programs.

Such a view is not reframed. Its silhouette comes from its alpha, else from its plain background. Near-white backgrounds
keep their colour; others are replaced by white, which engines that read RGB only expect.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from meshcli.arrays import Float32Array, Mask
from meshcli.errors import InputError
from meshcli.pictures.foreground import cut_from_page, cut_out
from meshcli.pictures.image import Crop, over, resize, split_sheet
from meshcli.pictures.pixels import VIEW_SIZE, Pixels
from meshcli.pictures.plain_background import background_mask, estimate_background, estimate_matte
from meshcli.pictures.transparency import has_cut_out, opacity_to_coverage
from meshcli.settings import PhotoSettings

LAYOUTS = {(2, 3): (3, 2), (3, 2): (2, 3), (6, 1): (1, 6)}  # aspect ratio of a sheet -> rows, columns of views
PROBE_SIZE = 160  # pixels of a view in which an object is looked for
SEAM_WIDTH = 2  # pixels of such a view beside a seam that shrinking may have mixed with the next view
MAX_CHANGE = 40  # of 255 across a seam where an object goes on
MAX_CROSSING_SHARE = 0.3  # of what reaches a seam
MIN_VIEW_SHARE = 0.01  # of a view that its object covers
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


def is_view_sheet(pixels: Pixels, size: tuple[int, int]) -> bool:
    """Whether a picture (H, W, 4), in its file of this width and height, looks like a sheet of six views.

    A sheet has an object on a plain background in every sixth, and what reaches the end of one view does not go on in
    the next. A photo of one thing has not.
    """
    width, height = size
    for (across, down), (rows, columns) in LAYOUTS.items():
        if width * down == height * across and width % columns == 0:
            sheet = over(resize(pixels, columns * PROBE_SIZE, rows * PROBE_SIZE))
            objects = [_object_mask(tile) for tile in split_sheet(sheet, rows, columns)]
            found = [mask for mask in objects if mask is not None and mask.mean() >= MIN_VIEW_SHARE]
            return len(found) == len(objects) and _ends_at_seams(sheet, _joined(found, columns))
    return False


def _joined(tiles: list[Mask], columns: int) -> Mask:
    """Masks of the tiles as one of the sheet."""
    return np.vstack([np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)])


def _object_mask(tile: Pixels) -> Mask | None:
    """What differs from a plain background (H, W); None without such a background."""
    colours = tile.astype(np.float32)
    background = estimate_background(colours)
    return None if background is None else ~background_mask(colours, background)


def _ends_at_seams(sheet: Pixels, objects: Mask) -> bool:
    """Whether objects that reach a seam of the tiles end there, as those of a photo do not."""
    reaching = crossing = 0
    for colours, solid in ((sheet, objects), (sheet.swapaxes(0, 1), objects.T)):
        seams = np.arange(PROBE_SIZE, len(solid), PROBE_SIZE)
        before, after = seams - SEAM_WIDTH, seams + SEAM_WIDTH - 1
        change = np.abs(colours[before].astype(int) - colours[after]).max(axis=-1)
        reaching += int((solid[before] | solid[after]).sum())
        crossing += int((solid[before] & solid[after] & (change < MAX_CHANGE)).sum())
    return crossing <= MAX_CROSSING_SHARE * reaching


def with_silhouette(pixels: Pixels, settings: PhotoSettings, offline: bool, weights: Path | None = None) -> Pixels:
    """The view (H, W, 4) with its silhouette as alpha; InputError where it shows no object.

    `weights`, from --weights, is the first place where rembg's model is searched.
    """
    alpha = pixels[..., 3]
    if alpha.min() < 255 and has_cut_out(alpha):
        on_page = cut_from_page(pixels)
        return _checked(np.dstack([pixels[..., :3], opacity_to_coverage(alpha)])) if on_page is None else on_page
    opaque = np.dstack([pixels[..., :3], np.full_like(alpha, 255)])
    found = _cut_from_plain_background(pixels[..., :3].astype(np.float32))
    if found is not None:
        return found
    return cut_out(opaque, replace(settings, cutout="auto"), settings.rembg, offline, weights).pixels


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

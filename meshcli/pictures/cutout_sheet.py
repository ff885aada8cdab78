"""A sheet of cut-outs on a checkerboard, where holes, specks and pieces of shadow catch the eye."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from meshcli.pictures.image import labelled_sheet, resize
from meshcli.pictures.pixels import Pixels

TILE = 320  # pixels of a cut-out's longer side
SQUARE = 16  # pixels of a square of the checkerboard
# Two colours that hardly any object has both of, and whose greys differ: white and grey parts show on either.
CHECKERS = np.array([(255, 120, 255), (90, 200, 220)], np.uint8)
MIN_COLUMNS = 6  # if there are as many cut-outs


def cutout_sheet(pictures: Iterable[Pixels], labels: Sequence[str]) -> Pixels:
    """An RGB sheet of cut-outs (H, W, 4) with their labels."""
    columns = min(len(labels), max(MIN_COLUMNS, math.ceil(math.sqrt(len(labels)))))
    return labelled_sheet([_on_checkerboard(picture) for picture in pictures], labels, columns, TILE)


def _on_checkerboard(picture: Pixels) -> Pixels:
    """A cut-out, shrunk to a tile, over the checkerboard: (H, W, 3)."""
    scale = TILE / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    small = resize(picture, width, height)
    row, column = np.indices((height, width)) // SQUARE
    share = small[..., 3:] / np.float32(255.0)
    mixed = share * small[..., :3] + (1.0 - share) * CHECKERS[(row + column) % 2]
    return np.asarray(mixed.round().astype(np.uint8))

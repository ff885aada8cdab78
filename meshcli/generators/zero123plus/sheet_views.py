"""A painted sheet cut into views with transparency: what selecting and fitting need masks for."""

from dataclasses import dataclass

import numpy as np

from meshcli.errors import InputError, MissingError
from meshcli.pictures.foreground import cut_out, plain_background_alpha
from meshcli.pictures.image import split_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.settings import PhotoSettings


@dataclass(frozen=True)
class Tiles:
    """Six views in the rig's order."""

    pictures: list[Pixels]  # (V, V, 4), with the generator's own colours where alpha is 0 too
    whole: list[int]  # those of which the background could not be told: they have no transparency


def cut_out_sheet_views(sheet: Pixels, settings: PhotoSettings) -> Tiles:
    """The views of a sheet (3 V, 2 V, 3) whose backgrounds are near-white or an uneven grey."""
    pictures, whole = [], []
    for tile, colours in enumerate(split_sheet(sheet)):
        alpha = _alpha(colours, settings)
        if alpha is None:
            whole.append(tile)
            alpha = np.full(colours.shape[:2], 255, np.uint8)
        pictures.append(np.concatenate([colours, alpha[..., None]], axis=-1))
    return Tiles(pictures, whole)


def _alpha(colours: Pixels, settings: PhotoSettings) -> Pixels | None:
    """(V, V): by the plain background, else by rembg where its model is at hand; None when nothing can tell."""
    alpha = plain_background_alpha(colours)
    if alpha is not None and (alpha >= 128).any():
        return alpha
    opaque = np.concatenate([colours, np.full((*colours.shape[:2], 1), 255, np.uint8)], axis=-1)
    try:
        found: Pixels = cut_out(opaque, settings, settings.rembg, offline=True).pixels[..., 3]
    except (InputError, MissingError):
        return None
    return found

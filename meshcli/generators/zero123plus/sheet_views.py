"""A generated sheet cut into views with alpha masks, which selection and fitting need."""

from dataclasses import dataclass, replace

import numpy as np

from meshcli.errors import InputError, MissingError
from meshcli.pictures.foreground import cut_out, plain_background_alpha
from meshcli.pictures.image import split_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.settings import PhotoSettings


@dataclass(frozen=True)
class SheetViews:
    """Six views in the rig's order."""

    pictures: list[Pixels]  # (V, V, 4), with the generator's own colours where alpha is 0 too
    unmasked: list[int]  # tiles whose background was not recognised: they are fully opaque


def extract_views(sheet: Pixels, settings: PhotoSettings) -> SheetViews:
    """Cut a sheet (3 V, 2 V, 3) on near-white or uneven grey into views and mask the object in each."""
    pictures, unmasked = [], []
    for tile, colours in enumerate(split_sheet(sheet)):
        alpha = _foreground_alpha(colours, settings)
        if alpha is None:
            unmasked.append(tile)
            alpha = np.full(colours.shape[:2], 255, np.uint8)
        pictures.append(np.concatenate([colours, alpha[..., None]], axis=-1))
    return SheetViews(pictures, unmasked)


def _foreground_alpha(colours: Pixels, settings: PhotoSettings) -> Pixels | None:
    """Alpha (V, V) from the plain background, else by rembg if its model is on this machine; None when both fail."""
    alpha = plain_background_alpha(colours)
    if alpha is not None and (alpha >= 128).any():
        return alpha
    opaque = np.concatenate([colours, np.full((*colours.shape[:2], 1), 255, np.uint8)], axis=-1)
    try:
        found: Pixels = cut_out(opaque, replace(settings, cutout="auto"), settings.rembg, offline=True).pixels[..., 3]
    except (InputError, MissingError):
        return None
    return found

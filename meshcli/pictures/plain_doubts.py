"""Doubts about a cut-out by the plain background: what it alone shows, and whether a network's mask is better.

Areas are in pixels of a picture whose longer side is VIEW_SIZE. Thresholds were chosen on 26 real photos with a plain
background, whose cut-outs by both methods were compared by eye.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy import ndimage

from meshcli.arrays import Float32Array, Mask
from meshcli.pictures.pixels import VIEW_SIZE, Pixels
from meshcli.pictures.plain_background import (
    MIN_OBJECT_AREA,
    colour_distance,
    estimate_background,
    has_background_hue,
    is_background,
)

MIN_SIDE = 2 * VIEW_SIZE  # pixels of the longer side that are enough to look at
SOLID, CLEAR = 128, 26  # of 255: what counts as the object, and what a network is sure not to be one
SURE = 200  # of 255: what a network is sure to be the object
EDGE = 1.5  # pixels: what is thinner than twice this is a difference between two edges
SHADOW_CONTRAST = 80.0  # of 255: a shadow differs less from the background, by choice
MIN_SHADOW = 30.0  # kept beside what was removed as a shadow; bad cut-outs have 41 to 496, good ones 0
SHADOW_REACH = 3.0  # pixels between a shadow that was removed and a part of it that was kept
PALE = 0.5  # of the object's median contrast: what has less is as likely background as object
MIN_GAIN = 100.0  # of the picture's 102,400 pixels that the network's mask mends; good cut-outs have up to 48
GAIN_OVER_LOSS = 1.5  # bad cut-outs have 1.8 and more; where the network fills true gaps it is up to 0.7


@dataclass(frozen=True)
class PlainDoubts:
    """What may be wrong with a cut-out of a picture with a plain background."""

    rgb: Pixels  # (H, W, 3) the picture, every `step`th pixel of it
    found: Pixels  # (H, W, 4) the cut-out, the same pixels
    step: int

    @classmethod
    def about(cls, rgb: Pixels, found: Pixels) -> Self:
        """The doubts about the cut-out `found` (H, W, 4) of a picture (H, W, 3); a coarse look at them is enough."""
        step = max(1, max(rgb.shape[:2]) // MIN_SIDE)
        return cls(rgb[::step, ::step], found[::step, ::step], step)

    @property
    def suspicious(self) -> bool:
        """Whether a network's mask is worth its second: specks, kept shades of the background, or removed shadows."""
        return max(self._specks, self._area(self._shades), self._area(self._removed)) >= MIN_OBJECT_AREA

    @property
    def visible(self) -> bool:
        """Whether the cut-out has specks, or pieces of a shadow that was removed only in part."""
        if self._specks >= MIN_OBJECT_AREA:
            return True
        reach = round(SHADOW_REACH * self._scale)
        near_removed = ndimage.binary_dilation(self._removed, iterations=max(1, reach))
        return self._area(self._shades & near_removed) >= MIN_SHADOW

    def prefers(self, mask: Pixels) -> bool:
        """Whether a network's mask (H, W) mends more than it spoils.

        It mends pale parts that only the plain cut-out keeps, and coloured parts that only the mask keeps. It spoils
        gaps of the background's own colour that it fills, and parts of strong contrast that it leaves out.
        """
        mask = mask[:: self.step, :: self.step]
        both = self._solid & (mask >= SURE)
        if not both.any():
            return False
        pale = self._distance < PALE * float(np.median(self._distance[both]))
        kept, lost = self._coarse(self._solid & (mask < CLEAR)), self._coarse(~self._solid & (mask >= SURE))
        gain = self._area(kept & pale) + self._area(lost & ~self._near)
        loss = self._area(kept & ~pale) + self._area(lost & self._near)
        return gain >= MIN_GAIN and gain >= GAIN_OVER_LOSS * loss

    @cached_property
    def _background(self) -> Float32Array:
        background = estimate_background(self._colours)
        return self._colours if background is None else background

    @cached_property
    def _colours(self) -> Float32Array:
        return self.rgb.astype(np.float32)

    @cached_property
    def _distance(self) -> Float32Array:
        return colour_distance(self._colours, self._background)

    @cached_property
    def _near(self) -> Mask:
        return is_background(self._colours, self._background)

    @property
    def _solid(self) -> Mask:
        return self.found[..., 3] >= SOLID

    @cached_property
    def _removed(self) -> Mask:
        """What was taken for a shadow."""
        return self._coarse(~self._solid & ~self._near)

    @cached_property
    def _shades(self) -> Mask:
        """What was kept although it has the background's hue."""
        pale = has_background_hue(self._colours, self._background) & (self._distance < SHADOW_CONTRAST)
        return self._coarse(self._solid & pale)

    @cached_property
    def _specks(self) -> float:
        """The area of all parts but the largest."""
        labels, _ = ndimage.label(self._solid, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        return float(sizes.sum() - sizes.max(initial=0)) / self._scale**2

    @property
    def _scale(self) -> float:
        return float(max(self.rgb.shape[:2])) / VIEW_SIZE

    def _area(self, mask: Mask) -> float:
        return float(mask.sum()) / self._scale**2

    def _coarse(self, mask: Mask) -> Mask:
        """The connected parts that are thicker than an edge somewhere."""
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        coarse: Mask = ndimage.binary_propagation(depth > EDGE * self._scale, mask=mask)
        return coarse

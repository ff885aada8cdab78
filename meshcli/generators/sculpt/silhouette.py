"""Measurements on a silhouette: its connected parts, their widths along the medial axis, and its extent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import skeletonize

from meshcli.arrays import Float64Array, Mask
from meshcli.pictures.image import resize_floats
from meshcli.pictures.pixels import EIGHT_CONNECTED
from meshcli.views.view import View

# Chosen by eye on the shapes of tests/generators/sculpt/test_thin.py.
MAX_SIDE = 1024  # pixels along a side of the picture in which the medial axis is computed: skeletons cost time
MIN_COVERAGE = 0.2  # alpha of a pixel that counts in a shrunk picture: 0.5 would lose parts thinner than such a pixel
MAX_PINHOLE = 16  # pixels in that picture: smaller holes are filled, each would bend the skeleton around it
MIN_PART = 0.002  # of the area of the largest part: smaller ones are dropped as dirt
WIDTH_PERCENTILE = 25.0  # of the widths along the medial axis: tips, corners and hair are thinner than "the thin parts"
MIN_THIN_LENGTH = 1.25  # widths: shorter thin branches are the ends of the skeleton in corners


@dataclass(frozen=True)
class MedialAxis:
    """The skeleton of a silhouette and the silhouette's width along it."""

    widths: Float64Array  # (rows, columns) pixels on the skeleton, 0 elsewhere
    parts: int  # connected components of the silhouette

    @property
    def width(self) -> float:
        """Width of the thin parts, as a fraction of the picture's height."""
        return float(np.percentile(self.widths[self.widths > 0.0], WIDTH_PERCENTILE)) / len(self.widths)

    def thinner_than(self, width: float) -> Float64Array:
        """Points (N, 2) of the skeleton where the silhouette is thinner than this fraction of the picture's height.

        In fractions of the picture from its top left. Short branches into corners do not count; necks that connect
        wider regions do, however short.
        """
        thin = (self.widths > 0.0) & (self.widths < width * len(self.widths))
        labels, count = label_parts(thin)
        long = np.bincount(labels.ravel(), minlength=count + 1) >= MIN_THIN_LENGTH * width * len(self.widths)
        necks = _necks(labels, label_parts((self.widths > 0.0) & ~thin)[0])
        rows, columns = np.nonzero(thin & (long | np.isin(np.arange(count + 1), necks))[labels])
        return np.asarray((np.stack([columns, rows], axis=-1) + 0.5) / np.array(self.widths.shape[::-1]))


def medial_axis(view: View) -> MedialAxis:
    """The skeleton of a view's silhouette (thinning of Zhang and Suen 1984), with twice the distance to the outline."""
    alpha = view.pixels[..., 3:].astype(np.float32) / 255.0
    scale = min(1.0, MAX_SIDE / max(view.width, view.height))
    if scale < 1.0:
        alpha = resize_floats(alpha, round(view.width * scale), round(view.height * scale))
    mask = np.pad(without_specks(alpha[..., 0] >= (MIN_COVERAGE if scale < 1.0 else 0.5)), 1)
    holes, _ = ndimage.label(~mask)
    mask |= (np.bincount(holes.ravel()) <= MAX_PINHOLE)[holes]
    widths = 2.0 * ndimage.distance_transform_edt(mask) - 0.5  # between the values for even and odd widths
    skeleton: Mask = skeletonize(mask)  # type: ignore[no-untyped-call]
    return MedialAxis(np.where(skeleton, widths, 0.0)[1:-1, 1:-1], label_parts(mask)[1])


def label_parts(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Connected components of a mask (8-connected), numbered from 1 on, and their number."""
    labels, count = ndimage.label(mask, EIGHT_CONNECTED)
    return np.asarray(labels, np.int32), int(count)


def without_specks(mask: Mask) -> Mask:
    """The mask without components smaller than MIN_PART of the largest."""
    labels, _ = label_parts(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = ((sizes >= MIN_PART * sizes.max()) & (sizes > 0))[labels]
    return kept


def extent(mask: Mask) -> tuple[float, float]:
    """Breadth and length in pixels: the smallest distance of parallel lines around a mask, and its size along them."""
    outline = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    corners = np.concatenate([outline + np.array(shift) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(float)
    hull = corners[ConvexHull(corners).vertices]
    sides = np.roll(hull, -1, axis=0) - hull
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    along = np.ptp(hull @ sides.T, axis=0)
    across = np.ptp(hull @ np.stack([-sides[:, 1], sides[:, 0]]), axis=0)
    narrowest = int(across.argmin())
    return float(across[narrowest]), float(along[narrowest])


def _necks(thin: NDArray[np.int32], wide: NDArray[np.int32]) -> NDArray[np.int64]:
    """The labels of thin branches that touch more than one wide branch."""
    pairs = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            beside = np.roll(wide, (down, right), axis=(0, 1))
            touching = (thin > 0) & (beside > 0)
            pairs.append(np.stack([thin[touching], beside[touching]], axis=-1))
    labels, counts = np.unique(np.unique(np.concatenate(pairs), axis=0)[:, 0], return_counts=True)
    return np.asarray(labels[counts > 1], np.int64)

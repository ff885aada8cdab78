"""What a silhouette says of the object before anything is guessed: its parts, how thin they are, how slender it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import skeletonize

from meshcli.arrays import Float64Array, Mask
from meshcli.pictures.image import resize_floats
from meshcli.views.view import View

SIDE = 1024  # pixels at most along a side of the picture in which middle lines are looked for
FAINT = 0.2  # coverage of a pixel that counts there: half of it would lose what is thinner than such a pixel
PINHOLE = 16  # pixels there: smaller holes are dirt
SPECK = 0.002  # of the area of the largest piece: less is dirt
USUAL = 25.0  # percent of the middle lines that may be thinner than the object is said to be: tips, corners, hair
POINTED = 1.25  # widths: a line that is thin for less leads into a corner
AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True)
class MiddleLines:
    """The skeleton of a silhouette, one line along the middle of each part."""

    widths: Float64Array  # (rows, columns) pixels from edge to edge where a line runs, 0 elsewhere
    pieces: int  # of the silhouette

    @property
    def width(self) -> float:
        """How wide the thin parts are, as a fraction of the picture's height."""
        return float(np.percentile(self.widths[self.widths > 0.0], USUAL)) / len(self.widths)

    def thinner_than(self, width: float) -> Float64Array:
        """Where the silhouette is less wide than this fraction of the picture's height: places (N, 2) along the lines.

        Fractions of the picture from its left and top. The last bit before a corner is no thin part, but however short
        a neck is, it holds together what it joins.
        """
        thin = (self.widths > 0.0) & (self.widths < width * len(self.widths))
        labels, count = parts(thin)
        long = np.bincount(labels.ravel(), minlength=count + 1) >= POINTED * width * len(self.widths)
        joined = _joined(labels, parts((self.widths > 0.0) & ~thin)[0])
        rows, columns = np.nonzero(thin & (long | np.isin(np.arange(count + 1), joined))[labels])
        return np.asarray((np.stack([columns, rows], axis=-1) + 0.5) / np.array(self.widths.shape[::-1]))


def middle_lines(view: View) -> MiddleLines:
    """The lines along which the discs lie that fit into the silhouette (thinned as by Zhang and Suen 1984)."""
    alpha = view.pixels[..., 3:].astype(np.float32) / 255.0
    scale = min(1.0, SIDE / max(view.width, view.height))
    if scale < 1.0:
        alpha = resize_floats(alpha, round(view.width * scale), round(view.height * scale))
    mask = np.pad(without_specks(alpha[..., 0] >= (FAINT if scale < 1.0 else 0.5)), 1)
    holes, _ = ndimage.label(~mask)
    mask |= (np.bincount(holes.ravel()) <= PINHOLE)[holes]
    across = 2.0 * ndimage.distance_transform_edt(mask) - 0.5  # of even and odd widths
    lines: Mask = skeletonize(mask)  # type: ignore[no-untyped-call]
    return MiddleLines(np.where(lines, across, 0.0)[1:-1, 1:-1], parts(mask)[1])


def parts(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Which piece of a silhouette each pixel belongs to, from 1 on, and how many there are; corners touch."""
    labels, count = ndimage.label(mask, AROUND)
    return np.asarray(labels, np.int32), int(count)


def without_specks(mask: Mask) -> Mask:
    """The silhouette without pieces that are too small to be parts of the object."""
    labels, _ = parts(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = ((sizes >= SPECK * sizes.max()) & (sizes > 0))[labels]
    return kept


def extent(mask: Mask) -> tuple[float, float]:
    """Breadth and length in pixels: the narrowest gap between parallel lines that the mask fits through; across it."""
    outline = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    corners = np.concatenate([outline + np.array(shift) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(float)
    hull = corners[ConvexHull(corners).vertices]
    sides = np.roll(hull, -1, axis=0) - hull
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    along = np.ptp(hull @ sides.T, axis=0)
    across = np.ptp(hull @ np.stack([-sides[:, 1], sides[:, 0]]), axis=0)
    narrowest = int(across.argmin())
    return float(across[narrowest]), float(along[narrowest])


def _joined(thin: NDArray[np.int32], wide: NDArray[np.int32]) -> NDArray[np.int64]:
    """The labels of thin lines that touch more than one of the wide ones."""
    pairs = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            beside = np.roll(wide, (down, right), axis=(0, 1))
            touching = (thin > 0) & (beside > 0)
            pairs.append(np.stack([thin[touching], beside[touching]], axis=-1))
    labels, counts = np.unique(np.unique(np.concatenate(pairs), axis=0)[:, 0], return_counts=True)
    return np.asarray(labels[counts > 1], np.int64)

"""What a picture's alpha channel says about the object in it: how much of each pixel it covers.

Alpha is opacity, and the rest of meshcli wants coverage. For an opaque thing they are the same: alpha falls from 255 to
0 where the object ends. A glass, a lampshade, a layer at half its strength are less opaque than that all over and cover
their pixels nevertheless. What tells them from soft edges, hair and shadows is how they end: an object ends in a step,
an edge that is out of focus and a shadow fade.

And there may be no object in it at all: the rounded corners of a page, the clear corners of a picture that was turned.

Lengths are in proportion to the picture's longer side.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from meshcli.arrays import Mask
from meshcli.pictures.image import HAZE
from meshcli.pictures.pixels import Pixels
from meshcli.pictures.plain_background import REFERENCE_SIZE

STEP = 28  # of 255: the faintest edge, and the faintest body
OPAQUE = 250  # of 255: what programs leave of the opaque part when they scale or compress alpha
SHARP = 0.7  # of the opacity behind it that an edge reaches within `_reach`; one that fades reaches less
LEVEL = 0.85  # of the opacity within twice that: there it has ended rising
COARSE = 0.75  # of a body that is no texture
PART = 60.0  # square pixels, of a picture of `REFERENCE_SIZE`: smaller spots that let something through are texture
CONVEX = 0.985  # of its convex hull that a page fills: its outline is one of pixels
FULL = 0.95  # of the picture's width and height that a page spans
INNER = 0.7  # of a page that is opaque: its border may fade
AROUND = np.ones((3, 3), np.bool_)  # neighbours across corners are neighbours
SUDDEN, FADING = 1, 2


def coverage(alpha: Pixels) -> Pixels:
    """Opacity (H, W) to coverage (H, W), both 0 to 255; that of opaque things comes back to the bit.

    Where nothing is quite clear the faintest value counts as 0, and where nothing is quite opaque the strongest counts
    as 255: a haze over the whole picture, a layer at half its strength.
    """
    levels = _stretched(alpha)
    reach = _reach(levels)
    if not _translucent(levels, reach).any():
        return levels
    box = ndimage.find_objects((levels >= HAZE).astype(np.uint8))[0]
    seen = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    least = PART * (max(levels.shape) / REFERENCE_SIZE) ** 2
    result = levels.copy()
    result[seen] = _solid(_filled(levels[seen], least), reach, least)
    return result


def cuts_out(alpha: Pixels) -> bool:
    """Whether some of the picture (H, W) is clear and some is not, so that something may have been cut out."""
    levels = _stretched(alpha)
    return bool((levels < HAZE).any() and (levels >= STEP).any())


def page(alpha: Pixels) -> Mask | None:
    """The opaque part (H, W) when it may be a page, convex and as large as the picture, without the pixels at its rim.

    They are mixed. A box, a plate, a ball whose cut-out leaves no room round it look the same: what is on it decides.
    """
    levels = _stretched(alpha)
    solid = levels >= 128
    rows, columns = np.nonzero(solid.any(axis=1))[0], np.nonzero(solid.any(axis=0))[0]
    if not len(rows):
        return None
    spans = len(rows) / alpha.shape[0], len(columns) / alpha.shape[1]
    if min(spans) < FULL or not _convex(solid, rows):
        return None
    inside: Mask = ndimage.binary_erosion(opaque(levels), AROUND, _reach(levels) - 1, border_value=1)
    return inside if inside.sum() >= INNER * solid.sum() else None


def _stretched(alpha: Pixels) -> Pixels:
    """From 0 to 255, when there is room between the faintest and the strongest; else as it is."""
    low, visible = int(alpha.min()), alpha[alpha >= HAZE]
    high = int(np.percentile(visible, 99.5)) if len(visible) else 0
    low = low if low >= HAZE else 0
    if high - low < STEP or (low == 0 and high >= OPAQUE):
        return alpha
    return ((alpha.astype(np.float32) - low) * (255.0 / (high - low))).round().clip(0, 255).astype(np.uint8)


def _translucent(levels: Pixels, reach: int) -> Mask:
    """Pixels that let something through and are no mixture of an opaque object and what is clear beside it."""
    size = 2 * reach + 1
    mixed = (ndimage.minimum_filter(levels, size) < HAZE) & (ndimage.maximum_filter(levels, size) >= OPAQUE)
    return (levels >= STEP) & (levels < OPAQUE) & ~mixed


def _filled(levels: Pixels, least: float) -> Pixels:
    """Without the basins that are less opaque than all that is round them: a body in its rim.

    What is clear in the middle of a basin is a hole, which stays open and keeps its edge.
    """
    from skimage.morphology import reconstruction

    seed = np.where(levels < STEP, levels, np.uint8(255))
    filled = reconstruction(seed, levels, "erosion", AROUND)  # type: ignore[no-untyped-call]
    return np.where(_large(filled >= levels + float(HAZE), least), filled, levels).astype(np.uint8)


def _solid(levels: Pixels, reach: int, least: float) -> Pixels:
    """The coverage of what ends in steps; what fades, and what is mostly finer than an edge is wide, hair, stays."""
    from skimage.segmentation import watershed

    some = levels >= HAZE
    flat, through = np.zeros(levels.shape, np.uint8), some & ~opaque(levels)
    ends = watershed(flat, _ends(levels, reach), AROUND, mask=through)  # type: ignore[no-untyped-call]
    body = (ends == SUDDEN) & (levels >= STEP)
    inner = body & _translucent(levels, reach)
    coarse = inner & (ndimage.grey_opening(levels, (reach, reach)) >= SHARP * levels)
    labels, count = ndimage.label(body, AROUND)
    sizes, solid = (np.bincount(labels.ravel(), part.ravel(), count + 1) for part in (inner, coarse))
    keep = (sizes >= least) & (solid >= COARSE * sizes)
    keep[0] = False
    full = np.where(_mixed(levels, some, reach), ndimage.maximum_filter(levels, 4 * reach + 1), levels)
    share = levels * np.float32(255.0) / np.maximum(full, np.uint8(1))
    return np.where(keep[labels], share.round(), levels).astype(np.uint8)


def _mixed(levels: Pixels, some: Mask, reach: int) -> Mask:
    """What may be clear in part: near the end, and more opaque than all beside it that is nearer to the end."""
    depth = ndimage.distance_transform_cdt(some)  # 1 at the end; the picture's border is none
    mixed: Mask = depth == 1
    for away in range(2, reach + 1):
        nearer = ndimage.maximum_filter(np.where(depth < away, levels, np.uint8(0)), 3)
        mixed |= (depth == away) & (levels > nearer)
    return mixed


def _large(mask: Mask, least: float) -> Mask:
    """The connected parts of at least so many pixels."""
    labels, count = ndimage.label(mask, AROUND)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
    keep[0] = False
    result: Mask = keep[labels]
    return result


def _ends(levels: Pixels, reach: int) -> NDArray[np.int32]:
    """Where what lets something through ends, (H, W): SUDDEN, FADING, or 0, which is no end.

    The edge of an opaque part is none, for a shadow may begin there; and the picture's border is none.
    """
    some = levels >= HAZE
    rim = some & ndimage.binary_dilation(~some, AROUND)
    near = ndimage.maximum_filter(levels, 2 * reach + 1)
    blur = 4.0 * reach
    weight = ndimage.gaussian_filter(some.astype(np.float32), blur) + 1e-6
    behind = ndimage.gaussian_filter(np.where(some, levels, 0).astype(np.float32), blur) / weight
    sudden = rim & (near >= STEP) & (near >= SHARP * behind)
    # Beside an opaque part all edges look faint; what most of those round about are decides.
    share = ndimage.gaussian_filter(sudden.astype(np.float32), 3.0 * blur)
    sudden = (near >= STEP) & (share >= 0.5 * ndimage.gaussian_filter(rim.astype(np.float32), 3.0 * blur))
    beyond = ndimage.maximum_filter(levels, 4 * reach + 1)
    level = (near >= LEVEL * beyond) & ~opaque(beyond)
    kinds = np.where(sudden, np.where(level, SUDDEN, 0), FADING)
    return np.where(rim, kinds, 0).astype(np.int32)


def opaque(levels: Pixels) -> Mask:
    """What lets nothing through."""
    return levels >= OPAQUE


def _convex(solid: Mask, rows: NDArray[np.intp]) -> bool:
    """Whether a mask fills its convex hull."""
    left, right = solid[rows].argmax(axis=1), solid.shape[1] - solid[rows, ::-1].argmax(axis=1)
    corners = [np.column_stack([side, row]) for side in (left, right) for row in (rows, rows + 1)]
    try:
        hull = ConvexHull(np.concatenate(corners)).volume  # in two dimensions this is the area
    except QhullError:  # a line
        return False
    return bool(solid.sum() >= CONVEX * hull)


def _reach(levels: Pixels) -> int:
    """Pixels that the edge of an opaque thing may be wide."""
    return max(3, round(float(max(levels.shape)) / 400.0))

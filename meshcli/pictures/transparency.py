"""Alpha as opacity to alpha as coverage: how much of each pixel the object covers.

The alpha of a file is opacity, and the rest of meshcli needs coverage. For an opaque object they are the same: alpha
falls from 255 to 0 where the object ends. A glass, a lampshade, a layer at half its strength are less opaque all over
and cover their pixels nevertheless. They differ from soft edges, hair and shadows in how they end: an object ends in a
step, while an edge that is out of focus and a shadow fade.

The alpha may also cut out no object at all: the rounded corners of a page, the clear corners of a rotated picture.

Lengths are in proportion to the picture's longer side. Levels are alpha values, 0 to 255. Thresholds are choices by
eye; what they must achieve stands in tests/pictures/test_transparency.py: glasses, shades and layers become solid;
mattes, hair and shadows stay as they are.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from meshcli.arrays import Mask
from meshcli.pictures.image import HAZE_ALPHA
from meshcli.pictures.pixels import VIEW_SIZE, Pixels

MIN_STEP = 28  # of 255: the faintest level of an object, and of a step at its edge
OPAQUE = 250  # of 255, by choice: scaling and lossy compression of alpha leave opaque parts slightly below 255
STEP_SHARPNESS = (
    0.7  # of the mean level behind it that a step reaches within an edge's width; a fading edge stays below
)
STEP_LEVEL = 0.85  # of the highest level within two edge widths that a step reaches within one: beyond it is flat
MIN_SOLID_SHARE = 0.75  # of a translucent part that is coarser than an edge; with less it is a texture, such as hair
MIN_TRANSLUCENT_AREA = 60.0  # pixels of a picture of VIEW_SIZE; a smaller translucent spot belongs to a texture
PAGE_CONVEXITY = 0.985  # area of a page relative to its convex hull; the rest is its pixelated outline
PAGE_SPAN = 0.95  # of the picture's width and height that a page spans
PAGE_OPAQUE_SHARE = 0.7  # of a page that is opaque; its border may fade
EIGHT_NEIGHBOURS = np.ones((3, 3), np.bool_)  # pixels that touch at a corner are connected
STEP_END, FADING_END = 1, 2  # how a translucent part ends, as labels


def opacity_to_coverage(alpha: Pixels) -> Pixels:
    """Opacity (H, W) to coverage (H, W), both 0 to 255; the alpha of opaque objects is returned to the bit.

    If nothing is fully clear the lowest level counts as 0 (a haze over the whole picture), and if nothing is fully
    opaque the highest counts as 255 (a layer at half its strength).
    """
    levels = _stretch_levels(alpha)
    edge_width = _edge_width(levels)
    if not _translucent_mask(levels, edge_width).any():
        return levels
    box = ndimage.find_objects((levels >= HAZE_ALPHA).astype(np.uint8))[0]
    seen = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    least = MIN_TRANSLUCENT_AREA * (max(levels.shape) / VIEW_SIZE) ** 2
    result = levels.copy()
    result[seen] = _solidify(_fill_basins(levels[seen], least), edge_width, least)
    return result


def has_cut_out(alpha: Pixels) -> bool:
    """Whether part of the picture (H, W) is clear and part is not, so that something may have been cut out."""
    levels = _stretch_levels(alpha)
    return bool((levels < HAZE_ALPHA).any() and (levels >= MIN_STEP).any())


def page_mask(alpha: Pixels) -> Mask | None:
    """The opaque part (H, W) if it may be a page: convex and as large as the picture; None otherwise.

    It comes without the pixels at its rim, which are mixed. A box, a plate or a ball that fills the frame looks the
    same; what is on it has to decide.
    """
    levels = _stretch_levels(alpha)
    solid = levels >= 128
    rows, columns = np.nonzero(solid.any(axis=1))[0], np.nonzero(solid.any(axis=0))[0]
    if not len(rows):
        return None
    spans = len(rows) / alpha.shape[0], len(columns) / alpha.shape[1]
    if min(spans) < PAGE_SPAN or not _is_convex(solid, rows):
        return None
    inside: Mask = ndimage.binary_erosion(
        opaque_mask(levels), EIGHT_NEIGHBOURS, _edge_width(levels) - 1, border_value=1
    )
    return inside if inside.sum() >= PAGE_OPAQUE_SHARE * solid.sum() else None


def _stretch_levels(alpha: Pixels) -> Pixels:
    """Stretch the levels to 0 to 255, unless the lowest and the highest are too close."""
    low, visible = int(alpha.min()), alpha[alpha >= HAZE_ALPHA]
    high = int(np.percentile(visible, 99.5)) if len(visible) else 0
    low = low if low >= HAZE_ALPHA else 0
    if high - low < MIN_STEP or (low == 0 and high >= OPAQUE):
        return alpha
    return ((alpha.astype(np.float32) - low) * (255.0 / (high - low))).round().clip(0, 255).astype(np.uint8)


def _translucent_mask(levels: Pixels, edge_width: int) -> Mask:
    """Pixels that are partly opaque, except those at the edge between an opaque part and a clear one."""
    size = 2 * edge_width + 1
    mixed = (ndimage.minimum_filter(levels, size) < HAZE_ALPHA) & (ndimage.maximum_filter(levels, size) >= OPAQUE)
    return (levels >= MIN_STEP) & (levels < OPAQUE) & ~mixed


def _fill_basins(levels: Pixels, least: float) -> Pixels:
    """Fill basins, parts that are less opaque than all around them: the inside of a glass within its rim.

    A clear area in the middle of a basin is a hole, which stays open and keeps its edge.
    """
    from skimage.morphology import reconstruction

    seed = np.where(levels < MIN_STEP, levels, np.uint8(255))
    filled = reconstruction(seed, levels, "erosion", EIGHT_NEIGHBOURS)  # type: ignore[no-untyped-call]
    return np.where(_large_parts(filled >= levels + float(HAZE_ALPHA), least), filled, levels).astype(np.uint8)


def _solidify(levels: Pixels, edge_width: int, least: float) -> Pixels:
    """The coverage of translucent parts that end in steps; parts that fade or are finer than an edge (hair) stay."""
    from skimage.segmentation import watershed

    some = levels >= HAZE_ALPHA
    flat, through = np.zeros(levels.shape, np.uint8), some & ~opaque_mask(levels)
    ends = watershed(flat, _classify_ends(levels, edge_width), EIGHT_NEIGHBOURS, mask=through)  # type: ignore[no-untyped-call]
    body = (ends == STEP_END) & (levels >= MIN_STEP)
    inner = body & _translucent_mask(levels, edge_width)
    coarse = inner & (ndimage.grey_opening(levels, (edge_width, edge_width)) >= STEP_SHARPNESS * levels)
    labels, count = ndimage.label(body, EIGHT_NEIGHBOURS)
    sizes, solid = (np.bincount(labels.ravel(), part.ravel(), count + 1) for part in (inner, coarse))
    keep = (sizes >= least) & (solid >= MIN_SOLID_SHARE * sizes)
    keep[0] = False
    full = np.where(_mixed_pixels(levels, some, edge_width), ndimage.maximum_filter(levels, 4 * edge_width + 1), levels)
    share = levels * np.float32(255.0) / np.maximum(full, np.uint8(1))
    return np.where(keep[labels], share.round(), levels).astype(np.uint8)


def _mixed_pixels(levels: Pixels, some: Mask, edge_width: int) -> Mask:
    """Pixels that the object may cover in part: near its end, and more opaque than neighbours nearer to the end."""
    depth = ndimage.distance_transform_cdt(some)  # 1 at the end; the picture's border is no end
    mixed: Mask = depth == 1
    for away in range(2, edge_width + 1):
        nearer = ndimage.maximum_filter(np.where(depth < away, levels, np.uint8(0)), 3)
        mixed |= (depth == away) & (levels > nearer)
    return mixed


def _large_parts(mask: Mask, least: float) -> Mask:
    """The connected parts of at least `least` pixels."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
    keep[0] = False
    result: Mask = keep[labels]
    return result


def _classify_ends(levels: Pixels, edge_width: int) -> NDArray[np.int32]:
    """How translucent parts end, (H, W): STEP_END, FADING_END, or 0 where there is no end.

    The edge of an opaque part is no end, for a shadow may begin there; nor is the picture's border.
    """
    some = levels >= HAZE_ALPHA
    rim = some & ndimage.binary_dilation(~some, EIGHT_NEIGHBOURS)
    near = ndimage.maximum_filter(levels, 2 * edge_width + 1)
    blur = 4.0 * edge_width
    weight = ndimage.gaussian_filter(some.astype(np.float32), blur) + 1e-6
    behind = ndimage.gaussian_filter(np.where(some, levels, 0).astype(np.float32), blur) / weight
    sudden = rim & (near >= MIN_STEP) & (near >= STEP_SHARPNESS * behind)
    # Beside an opaque part all edges look faint; the majority of the edges around decides.
    share = ndimage.gaussian_filter(sudden.astype(np.float32), 3.0 * blur)
    sudden = (near >= MIN_STEP) & (share >= 0.5 * ndimage.gaussian_filter(rim.astype(np.float32), 3.0 * blur))
    beyond = ndimage.maximum_filter(levels, 4 * edge_width + 1)
    level = (near >= STEP_LEVEL * beyond) & ~opaque_mask(beyond)
    kinds = np.where(sudden, np.where(level, STEP_END, 0), FADING_END)
    return np.where(rim, kinds, 0).astype(np.int32)


def opaque_mask(levels: Pixels) -> Mask:
    """The opaque pixels."""
    return levels >= OPAQUE


def _is_convex(solid: Mask, rows: NDArray[np.intp]) -> bool:
    """Whether a mask fills its convex hull."""
    left, right = solid[rows].argmax(axis=1), solid.shape[1] - solid[rows, ::-1].argmax(axis=1)
    corners = [np.column_stack([side, row]) for side in (left, right) for row in (rows, rows + 1)]
    try:
        hull = ConvexHull(np.concatenate(corners)).volume  # in two dimensions this is the area
    except QhullError:  # a line
        return False
    return bool(solid.sum() >= PAGE_CONVEXITY * hull)


def _edge_width(levels: Pixels) -> int:
    """The width in pixels that the edge of an opaque object may have: at least 3, and 0.25 % of the longer side."""
    return max(3, round(float(max(levels.shape)) / 400.0))

"""The arithmetic of a plain background: its colour everywhere, what is not it, and how much of each edge pixel.

Colours are float32 (H, W, 3) in 0 to 255. Lengths and areas in pixels are those of a picture whose longer side is
`REFERENCE_SIZE`; larger pictures have them in proportion.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meshcli.arrays import Float32Array, Mask
from meshcli.pictures.image import resize_floats

Indices = tuple[NDArray[np.intp], NDArray[np.intp]]

REFERENCE_SIZE = 320
TOLERANCE = 12.0  # of 255, largest channel: a background pixel is nearer to the background's colour than this
SPECK_AREA = 60.0  # objects under this are noise
DRIFT = 16.0  # pixels: backgrounds change over no less than this
GENTLE = 5.0  # of 255 per pixel: slopes of shadows


def background_of(colours: Float32Array, inside: Mask | None = None) -> Float32Array | None:
    """The empty picture (H, W, 3): a quadratic fitted to the border, then local means where background was found.

    None when the border is not of one smooth colour. It is smooth, so a coarse picture is enough to find it. `inside`
    is the part that is to be looked at; its rim is the border then.
    """
    height, width = colours.shape[:2]
    step = max(1, round(max(height, width) / REFERENCE_SIZE))
    few = colours[::step, ::step]
    part = np.ones(few.shape[:2], bool) if inside is None else inside[::step, ::step]
    if not part.any():
        return None
    background, inliers, residual = _border_fit(few, part)
    if inliers < 0.7 or residual > TOLERANCE / 3.0:
        return None
    few = np.where(part[..., None], few, background)
    # Real backgrounds of generated views drift by more than the tolerance across a picture, but slowly.
    for _ in range(2):
        found = _touching_border(_distance(few, background) < TOLERANCE)
        rest = np.where(found[..., None], few - background, np.float32(0))
        weight = ndimage.gaussian_filter(found.astype(np.float32), DRIFT) + 1e-4
        background = background + ndimage.gaussian_filter(rest, (DRIFT, DRIFT, 0)) / weight[..., None]
    return background if step == 1 else resize_floats(background, width, height)


def is_background(colours: Float32Array, background: Float32Array) -> Mask:
    """Pixels (H, W) of the background's colour."""
    return _distance(colours, background) < TOLERANCE


def _border_fit(colours: Float32Array, part: Mask) -> tuple[Float32Array, float, float]:
    """A quadratic through the colours at a part's border, the share of it that it explains, its median error there."""
    height, width = colours.shape[:2]
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = row / height - 0.5, column / width - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    thickness = max(2, max(height, width) // 100)
    border = part & ~ndimage.binary_erosion(part, np.ones((3, 3), np.bool_), thickness)
    inputs, wanted = terms[border], colours[border]
    trusted = np.ones(len(inputs), bool)
    for _ in range(8):  # trimmed least squares: an object may touch the border
        solution = np.linalg.lstsq(inputs[trusted], wanted[trusted], rcond=None)[0]
        error = np.abs(wanted - inputs @ solution).max(-1)
        trusted = error < max(8.0, 2.5 * float(np.median(error)))
    return terms @ solution, float((error < TOLERANCE).mean()), float(np.median(error))


def outside_of(colours: Float32Array, background: Float32Array, shadows: bool = False) -> Mask:
    """Everything that is not the object: background that reaches the border, gaps in the object, specks.

    `shadows`: what fades into the background is no object either.
    """
    distance = _distance(colours, background)
    near = distance < TOLERANCE
    outside = _touching_border(near)
    outside |= _gaps(near & ~outside, distance)
    if shadows:
        outside = _with_shadows(colours, background, outside)
    return outside | _specks(~outside)


def softness(colours: Float32Array, background: Float32Array, outside: Mask) -> float:
    """The share of the object's rim that hardly differs from the background: shadows and doubtful edges."""
    depth = _depth(outside) / _scale(outside)
    rim = _distance(colours, background)[(depth > 3.0) & (depth <= 4.0)]
    return float((rim < 2.5 * TOLERANCE).mean()) if rim.size else 1.0


def _specks(mask: Mask) -> Mask:
    """The parts that are too small to be the object, or a neighbour's trace along the picture's border."""
    scale = _scale(mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    drop = np.bincount(labels.ravel(), minlength=count + 1) < SPECK_AREA * scale**2
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        for side, length in zip(box, mask.shape, strict=True):
            at_border = side.start == 0 or side.stop == length
            drop[index] |= at_border and side.stop - side.start <= 4 * scale
    drop[0] = False
    return drop[labels]


def _with_shadows(colours: Float32Array, background: Float32Array, outside: Mask) -> Mask:
    """What can be reached from outside over gentle slopes only, in the background's own hue: shadows and glows.

    An object ends in a step, a shadow fades.
    """
    scale = _scale(outside)
    slope = np.zeros(outside.shape, np.float32)
    for channel in range(3):
        slope = np.maximum(slope, scale * ndimage.gaussian_gradient_magnitude(colours[..., channel], scale))
    ratio = (colours + 8.0) / (background + 8.0)
    level = np.maximum(colours.mean(-1), background.mean(-1))
    same_hue = (ratio.max(-1) - ratio.min(-1)) * level < TOLERANCE
    lit = (ratio.mean(-1) > 0.35) & (ratio.mean(-1) < 1.3)
    gentle = (slope < GENTLE) & same_hue & lit
    # Black cloth has folds; they are nowhere near as bright as an object that was put in front of it to be seen.
    gentle |= (background.max(-1) < 40.0) & (_distance(colours, background) < 45.0) & (slope < 3.0 * GENTLE)
    labels, count = ndimage.label(outside | gentle)
    reached = np.zeros(count + 1, bool)
    reached[labels[outside]] = True
    return reached[labels]


def _gaps(enclosed: Mask, distance: Float32Array) -> Mask:
    """The parts of the enclosed background colour that are holes and not highlights.

    All round a hole the object begins sharply, while the brightest spot of a white thing is surrounded by nearly
    white. Small spots need the harder contrast, since eyes have highlights and a hole drilled through a head is worse
    than a gap that stays closed. The numbers separate the two on the sheets of a real view generator.
    """
    scale = _scale(enclosed)
    labels, count = ndimage.label(enclosed)
    contrast = ndimage.maximum_filter(distance, 2 * round(3 * scale) + 1)
    strong = distance[distance >= TOLERANCE]
    share = min(1.0, float(np.median(strong)) / 160.0) if strong.size else 1.0  # a pale object has pale edges
    gaps = np.zeros(count + 1, bool)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = (slice(max(0, side.start - 1), side.stop + 1) for side in box)
        inside = labels[rows, columns] == index
        area = inside.sum() / scale**2
        if area < 60 or np.median(distance[rows, columns][inside]) > 10.0:
            continue
        rim = contrast[rows, columns][ndimage.binary_dilation(inside) & ~inside]
        wanted = (150.0, 150.0) if area < 150 else (120.0, 150.0) if area < 300 else (40.0, 90.0)
        gaps[index] = bool((np.percentile(rim, (10, 25)) > np.multiply(share, wanted)).all())
    return gaps[labels]


def matte(colours: Float32Array, background: Float32Array, outside: Mask) -> tuple[Float32Array, Float32Array]:
    """Coverage (H, W) in [0, 1] and the object's own colours (H, W, 3), the background's share taken out.

    A pixel at the edge shows coverage * object + (1 - coverage) * background; the object's colour there is taken from
    the neighbour that differs most from the background.
    """
    alpha = np.where(outside, np.float32(0), np.float32(1))
    own = colours.copy()
    away = _distance(colours, background)
    reach = 2 if _scale(outside) < 3 else 3
    depth = _depth(outside)
    for ring in range(reach):
        thin = ndimage.minimum_filter(alpha, 3) < (0.5 if ring else 1.0)
        rows, columns = np.nonzero((depth > ring) & (depth <= ring + 1.5) & (alpha == 1.0) & thin)
        source = _strongest(away, rows, columns, reach)
        span = colours[source] - background[rows, columns]
        offset = colours[rows, columns] - background[rows, columns]
        length = (span * span).sum(-1)
        share = np.clip((offset * span).sum(-1) / np.maximum(length, 1.0), 0.0, 1.0)
        # Where the object has nearly the background's colour nothing can be estimated.
        share[length < (2.0 * TOLERANCE) ** 2] = 1.0
        alpha[rows, columns] = share
        own[rows, columns] = colours[source]
    return alpha, own


def _strongest(away: Float32Array, rows: NDArray[np.intp], columns: NDArray[np.intp], reach: int) -> Indices:
    """For each pixel the one within `reach` that is farthest from the background's colour."""
    height, width = away.shape
    best = (rows, columns)
    for down, right in product(range(-reach, reach + 1), repeat=2):
        row, column = np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)
        better = away[row, column] > away[best]
        best = np.where(better, row, best[0]), np.where(better, column, best[1])
    return best


def _touching_border(mask: Mask) -> Mask:
    """The connected parts of a mask that reach the picture's border."""
    labels, count = ndimage.label(mask)
    keep = np.zeros(count + 1, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[line] = True
    keep[0] = False
    return keep[labels]


def _distance(colours: Float32Array, background: Float32Array) -> Float32Array:
    distance: Float32Array = np.abs(colours - background).max(axis=-1)
    return distance


def _scale(picture: Mask) -> float:
    height, width = picture.shape
    return float(max(height, width)) / REFERENCE_SIZE


def _depth(outside: Mask) -> Float32Array:
    """How far inside the object, in pixels; the picture's border is no edge of the object."""
    depth: Float32Array = ndimage.distance_transform_edt(np.pad(~outside, 1, mode="edge"))[1:-1, 1:-1].astype(
        np.float32
    )
    return depth

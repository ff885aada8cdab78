"""Plain backgrounds: estimate the background's colour, segment it, and matte the pixels at the object's edge.

Colours are float32 (H, W, 3) in 0 to 255. Lengths and areas in pixels are those of a picture whose longer side is
VIEW_SIZE; other pictures have them in proportion. Thresholds are choices by eye; what they must achieve, on sheets
of a real view generator among others, stands in tests/pictures/test_foreground.py.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meshcli.arrays import Float32Array, Mask
from meshcli.pictures.image import resize_floats
from meshcli.pictures.pixels import VIEW_SIZE

PixelIndices = tuple[NDArray[np.intp], NDArray[np.intp]]

BACKGROUND_TOLERANCE = 12.0  # of 255, largest channel difference of a background pixel from the background's colour
MIN_OBJECT_AREA = 60.0  # pixels, about 8 x 8; smaller parts are noise
DRIFT_SCALE = 16.0  # pixels, standard deviation: the background's colour changes over no shorter distances
MAX_SHADOW_SLOPE = 5.0  # of 255 per pixel; an object's edge is steeper
# A quadratic must explain this share of the border's pixels, with a median error this far below the tolerance.
MIN_PLAIN_BORDER, MAX_BORDER_ERROR = 0.7, BACKGROUND_TOLERANCE / 3.0
SHADOW_BRIGHTNESS = (0.35, 1.3)  # of the background's: darker is an object, brighter is no glow of the background
BLACK_CLOTH, CLOTH_CONTRAST = 40.0, 45.0  # of 255: brightest channel of black cloth, and how much its folds differ


def estimate_background(colours: Float32Array, inside: Mask | None = None) -> Float32Array | None:
    """The background's colour everywhere (H, W, 3): a quadratic fitted to the border, then local means of background.

    None if the border is not of one smooth colour. As the background is smooth, a coarse picture is enough. `inside` is
    the part of the picture to look at; its rim is the border then.
    """
    height, width = colours.shape[:2]
    step = max(1, round(max(height, width) / VIEW_SIZE))
    few = colours[::step, ::step]
    part = np.ones(few.shape[:2], bool) if inside is None else inside[::step, ::step]
    if not part.any():
        return None
    background, inliers, residual = _border_fit(few, part)
    if inliers < MIN_PLAIN_BORDER or residual > MAX_BORDER_ERROR:
        return None
    few = np.where(part[..., None], few, background)
    # Real backgrounds of generated views drift by more than the tolerance across a picture, but slowly.
    for _ in range(2):
        found = _parts_at_border(colour_distance(few, background) < BACKGROUND_TOLERANCE)
        rest = np.where(found[..., None], few - background, np.float32(0))
        weight = ndimage.gaussian_filter(found.astype(np.float32), DRIFT_SCALE) + 1e-4
        background = background + ndimage.gaussian_filter(rest, (DRIFT_SCALE, DRIFT_SCALE, 0)) / weight[..., None]
    return background if step == 1 else resize_floats(background, width, height)


def is_background(colours: Float32Array, background: Float32Array) -> Mask:
    """Pixels (H, W) of the background's colour."""
    return colour_distance(colours, background) < BACKGROUND_TOLERANCE


def colour_distance(colours: Float32Array, background: Float32Array) -> Float32Array:
    """The largest channel difference (H, W)."""
    distance: Float32Array = np.abs(colours - background).max(axis=-1)
    return distance


def has_background_hue(colours: Float32Array, background: Float32Array) -> Mask:
    """Pixels (H, W) that may be the background in more or less light."""
    ratio = (colours + 8.0) / (background + 8.0)
    level = np.maximum(colours.mean(-1), background.mean(-1))
    same: Mask = (ratio.max(-1) - ratio.min(-1)) * level < BACKGROUND_TOLERANCE
    return same


def _border_fit(colours: Float32Array, part: Mask) -> tuple[Float32Array, float, float]:
    """Fit a quadratic to the colours at a part's border: its values (H, W, 3), share of inliers, median error."""
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
    return terms @ solution, float((error < BACKGROUND_TOLERANCE).mean()), float(np.median(error))


def background_mask(colours: Float32Array, background: Float32Array, shadows: bool = False) -> Mask:
    """Everything but the object (H, W): background that reaches the border, holes in the object, specks.

    With `shadows`, parts that fade into the background belong to it too.
    """
    distance = colour_distance(colours, background)
    near = distance < BACKGROUND_TOLERANCE
    outside = _parts_at_border(near)
    outside |= _hole_mask(near & ~outside, distance)
    if shadows:
        outside = _with_shadows(colours, background, outside)
    return outside | _small_parts(~outside)


def rim_softness(colours: Float32Array, background: Float32Array, outside: Mask) -> float:
    """The share of the object's rim, 3 to 4 pixels inside, that hardly differs from the background: soft shadows."""
    depth = _depth_inside(outside) / _size_ratio(outside)
    rim = colour_distance(colours, background)[(depth > 3.0) & (depth <= 4.0)]
    return float((rim < 2.5 * BACKGROUND_TOLERANCE).mean()) if rim.size else 1.0


def _small_parts(mask: Mask) -> Mask:
    """The parts that are too small to be the object, or a strip of a neighbour along the picture's border."""
    scale = _size_ratio(mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    drop = np.bincount(labels.ravel(), minlength=count + 1) < MIN_OBJECT_AREA * scale**2
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        for side, length in zip(box, mask.shape, strict=True):
            at_border = side.start == 0 or side.stop == length
            drop[index] |= at_border and side.stop - side.start <= 4 * scale
    drop[0] = False
    return drop[labels]


def _with_shadows(colours: Float32Array, background: Float32Array, outside: Mask) -> Mask:
    """The background with its shadows and glows: parts of its hue that it reaches over gentle slopes alone.

    An object ends in a step, a shadow fades.
    """
    scale = _size_ratio(outside)
    slope = np.zeros(outside.shape, np.float32)
    for channel in range(3):
        slope = np.maximum(slope, scale * ndimage.gaussian_gradient_magnitude(colours[..., channel], scale))
    ratio = (colours + 8.0) / (background + 8.0)
    lit = (ratio.mean(-1) > SHADOW_BRIGHTNESS[0]) & (ratio.mean(-1) < SHADOW_BRIGHTNESS[1])
    gentle = (slope < MAX_SHADOW_SLOPE) & has_background_hue(colours, background) & lit
    # Folds of black cloth are steeper than shadows, but darker than any object that somebody photographs before it.
    gentle |= (
        (background.max(-1) < BLACK_CLOTH)
        & (colour_distance(colours, background) < CLOTH_CONTRAST)
        & (slope < 3.0 * MAX_SHADOW_SLOPE)
    )
    labels, count = ndimage.label(outside | gentle)
    reached = np.zeros(count + 1, bool)
    reached[labels[outside]] = True
    return reached[labels]


def _hole_mask(enclosed: Mask, distance: Float32Array) -> Mask:
    """The enclosed parts of the background's colour that are holes in the object and not highlights on it.

    The object begins sharply all around a hole, while the highlight of a white object is surrounded by nearly white.
    Small spots need more contrast, since eyes have highlights, and a hole through a head is worse than a hole that
    stays closed. The numbers separate the two on the sheets of a real view generator.
    """
    scale = _size_ratio(enclosed)
    labels, count = ndimage.label(enclosed)
    contrast = ndimage.maximum_filter(distance, 2 * round(3 * scale) + 1)
    strong = distance[distance >= BACKGROUND_TOLERANCE]
    share = min(1.0, float(np.median(strong)) / 160.0) if strong.size else 1.0  # pale objects have pale edges
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


def estimate_matte(colours: Float32Array, background: Float32Array, outside: Mask) -> tuple[Float32Array, Float32Array]:
    """Coverage (H, W) in [0, 1] and the object's own colours (H, W, 3) without the background's share.

    A pixel at the edge shows coverage * object + (1 - coverage) * background; the object's colour there is assumed to
    be that of the neighbour that differs most from the background.
    """
    alpha = np.where(outside, np.float32(0), np.float32(1))
    own = colours.copy()
    away = colour_distance(colours, background)
    reach = 2 if _size_ratio(outside) < 3 else 3
    depth = _depth_inside(outside)
    for ring in range(reach):
        thin = ndimage.minimum_filter(alpha, 3) < (0.5 if ring else 1.0)
        rows, columns = np.nonzero((depth > ring) & (depth <= ring + 1.5) & (alpha == 1.0) & thin)
        source = _most_different(away, rows, columns, reach)
        span = colours[source] - background[rows, columns]
        offset = colours[rows, columns] - background[rows, columns]
        length = (span * span).sum(-1)
        share = np.clip((offset * span).sum(-1) / np.maximum(length, 1.0), 0.0, 1.0)
        # Where the object has nearly the background's colour, the coverage cannot be estimated.
        share[length < (2.0 * BACKGROUND_TOLERANCE) ** 2] = 1.0
        alpha[rows, columns] = share
        own[rows, columns] = colours[source]
    return alpha, own


def _most_different(away: Float32Array, rows: NDArray[np.intp], columns: NDArray[np.intp], reach: int) -> PixelIndices:
    """For each pixel the one within `reach` whose colour differs most from the background's."""
    height, width = away.shape
    best = (rows, columns)
    for down, right in product(range(-reach, reach + 1), repeat=2):
        row, column = np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)
        better = away[row, column] > away[best]
        best = np.where(better, row, best[0]), np.where(better, column, best[1])
    return best


def _parts_at_border(mask: Mask) -> Mask:
    """The connected parts of a mask that reach the picture's border."""
    labels, count = ndimage.label(mask)
    keep = np.zeros(count + 1, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[line] = True
    keep[0] = False
    return keep[labels]


def _size_ratio(picture: Mask) -> float:
    height, width = picture.shape
    return float(max(height, width)) / VIEW_SIZE


def _depth_inside(outside: Mask) -> Float32Array:
    """Distance in pixels from the background, 0 in it; the picture's border is no edge of the object."""
    depth: Float32Array = ndimage.distance_transform_edt(np.pad(~outside, 1, mode="edge"))[1:-1, 1:-1].astype(
        np.float32
    )
    return depth

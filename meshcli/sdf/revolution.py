"""Bodies of revolution about an upright axis: bottles, vases and barrels, of which a few outlines leave prisms.

The visual hull of a cylinder from three sides is a hexagonal prism with wedges at its ends. But where one profile,
turned about one axis, has the outlines of all photos, it explains them better than any other body that does. The axis
lies where the left and the right edges of all silhouettes are equally far from it. The profile starts as the largest
circles inside all silhouettes; each ray through an outline touches the body at one height, and there the radius is
moved until it does (least squares by fixed-point iteration). Ends are flat as far as the outlines stay filled. It is a
body of revolution where hardly a ray misses it, and where no prism whose sides the cameras see edge-on fits better.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import map_coordinates

from meshcli.arrays import Float64Array, Mask
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import silhouette_distance
from meshcli.sdf.profile import OutlineRays, Revolution, edge_on, matched, reference_pixel, right_and_front
from meshcli.views.projection import project, rays
from meshcli.views.view import View
from meshcli.views.viewpoints import count_directions

MIN_DIRECTIONS = 3  # of photos: two of them do not tell a disc from a square
AXIS_HEIGHTS, HEIGHTS = 32, 128  # at which circles are compared with silhouettes: for the axis, for the profile
HALF_CIRCLE = (np.arange(20) + 0.5) * np.pi / 20  # angles at which half a circle is compared
REACH = 1.1  # world units: of radii, and of heights above and below the origin
RADII, FINER = 36, 8  # steps of the search for a radius: first from 0 to REACH, then between two of these
GROWN = 0.5  # reference pixels (see VIEW_SIZE) by which silhouettes are larger in that search: rims are seen edge-on
MIN_RADIUS = 0.004  # world units: where circles are smaller there is no body
AXIS_ROUNDS = 3
ROBUST_ROUNDS = 6  # of reweighted least squares
EDGE_SIGMA = 0.007  # world units: edges farther from those of a body of revolution count less for the axis
MAX_LEAN = 0.1  # of the axis: of more, level circles are no good sections
# Reference pixels between the least and the greatest distance of an edge from the axis, at the quarter of the heights
# where they differ least: up to .5 of a barrel and 1.1 of a bottle, 2.3 and more of most other objects.
MAX_SPREAD, SPREAD_QUANTILE = 2.0, 0.25
# Reference pixels by which a ray misses the body: these shares of them at most so much.
MAX_ERRORS = ((0.9, 1.25), (0.99, 2.5))
# Times the body's own: what a prism misses the rays by, at least, where the body misses all but a hundredth of them by
# less than CLOSE reference pixels, and elsewhere. Three photos 120 degrees apart, 10 degrees above the horizon: prisms
# of six sides that the photos see edge-on have .2 to .5; those whose edges they see at the ends of the outlines .8 to
# 1.4, but are not close where they are wide; a barrel, vases, bottles and cylinders 1.0 to 3.1.
MIN_PRISM_ERRORS, CLOSE = (0.9, 1.5), 0.9


def find_revolution(photos: Sequence[View], flat_base: bool = True) -> Revolution | None:
    """The body of revolution that has the silhouettes of all photos; None where there is none, or a doubt.

    flat_base: whether its lower end is flat as far as the silhouettes allow, as the upper one is.
    """
    if not enough_is_shown(photos):
        return None
    start = _start(photos)
    if start is None:
        return None
    outlines = OutlineRays.of(photos, start)
    body = matched(start, outlines, np.hypot, flat_base)
    if body is None:
        return None
    misses = np.abs(outlines.touching(body).misses)
    if any(np.quantile(misses, share) > most for share, most in MAX_ERRORS):
        return None
    sides = edge_on([right_and_front(photo)[0] for photo in photos])
    prism = matched(body, outlines, sides, flat_base)
    least = MIN_PRISM_ERRORS[0 if np.quantile(misses, 0.99) < CLOSE else 1]
    return body if prism is None or outlines.error(prism, sides) >= least * misses.mean() else None


def enough_is_shown(photos: Sequence[View]) -> bool:
    """Whether there are enough directions, and whole silhouettes, to tell a body of revolution."""
    return count_directions([photo.camera for photo in photos]) >= MIN_DIRECTIONS and not any(map(_is_cut_off, photos))


def grown_silhouettes(photos: Sequence[View]) -> list[Float64Array]:
    """Distances (H, W) to slightly larger outlines, in pixels, positive inside."""
    distances = [silhouette_distance(photo.pixels[..., 3], 1) for photo in photos]
    return [(distance + GROWN * len(distance) / VIEW_SIZE).astype(np.float64) for distance in distances]


def find_axis(
    photos: Sequence[View],
    silhouettes: Sequence[Float64Array],
    rounds: int = AXIS_ROUNDS,
    most_lean: float = MAX_LEAN,
) -> tuple[Revolution, Mask] | None:
    """The axis that the edges of silhouettes tell, and at which of its heights there is a body; None if they tell none.

    The body has no radii yet. `most_lean` is that of the axis in any of the rounds.
    """
    heights = np.linspace(-REACH, REACH, AXIS_HEIGHTS)
    body = Revolution(tuple(_middle(photos).tolist()), (0.0, 0.0), heights, np.zeros(AXIS_HEIGHTS))
    rights = np.array([right_and_front(photo)[0] for photo in photos])
    for _ in range(rounds):
        edges = edges_of(body, photos, silhouettes)
        known = edges.min(axis=1) > MIN_RADIUS
        if not known.any():
            return None
        which, level = np.nonzero(known)
        off = (edges[:, 1] - edges[:, 0])[which, level] / 2.0
        change = _robust(np.hstack([rights[which], rights[which] * heights[level, None]]), off)
        centre, lean = np.array(body.centre) + change[:2], np.array(body.lean) + change[2:]
        if np.hypot(*lean) > most_lean:
            return None
        body = replace(body, centre=tuple(centre.tolist()), lean=tuple(lean.tolist()))
    edges = edges_of(body, photos, silhouettes)
    known_by_all = np.asarray((edges > MIN_RADIUS).all(axis=(0, 1)))
    spread = np.ptp(edges.reshape(-1, AXIS_HEIGHTS), axis=0)[known_by_all]
    if not len(spread) or np.quantile(spread, SPREAD_QUANTILE) > MAX_SPREAD * max(map(reference_pixel, photos)):
        return None
    return body, known_by_all


def between_heights(body: Revolution, inside: Mask) -> Revolution:
    """The body, without radii, at HEIGHTS that reach a little beyond the first and the last of some of its own."""
    first, last = np.flatnonzero(inside)[[0, -1]]
    low, high = body.heights[max(first - 1, 0)], body.heights[min(last + 1, AXIS_HEIGHTS - 1)]
    return replace(body, heights=np.linspace(low, high, HEIGHTS), radii=np.zeros(HEIGHTS))


def _start(photos: Sequence[View]) -> Revolution | None:
    """The largest circles inside all silhouettes about the axis; None where there is none."""
    silhouettes = grown_silhouettes(photos)
    found = find_axis(photos, silhouettes)
    if found is None:
        return None
    body = between_heights(*found)
    radii = edges_of(body, photos, silhouettes).mean(axis=1).min(axis=0)
    return replace(body, radii=np.maximum(radii - GROWN * max(map(reference_pixel, photos)), 0.0))


def edges_of(body: Revolution, photos: Sequence[View], silhouettes: Sequence[Float64Array]) -> Float64Array:
    """Radii (P, 2, N) of the largest level half circles, left and right of the axis, inside each silhouette."""
    return np.array(
        [
            [_half_circles(body, photo, silhouette, sign) for sign in (-1.0, 1.0)]
            for photo, silhouette in zip(photos, silhouettes, strict=True)
        ]
    )


def _half_circles(body: Revolution, photo: View, silhouette: Float64Array, sign: float) -> Float64Array:
    """Radii (N,) of the largest half circles on one side of the axis inside a silhouette."""
    right, front = right_and_front(photo)
    ring = sign * np.sin(HALF_CIRCLE)[:, None] * right + np.cos(HALF_CIRCLE)[:, None] * front
    z = body.heights
    axis = np.array(body.centre) + z[:, None] * np.array(body.lean)
    height, width = silhouette.shape
    every = np.arange(len(z))

    def depths(radii: Float64Array) -> Float64Array:
        """How deep inside the silhouette circles (N, R) are, where they are least so."""
        level = axis[:, None, None] + radii[..., None, None] * ring
        points = np.concatenate([level, np.broadcast_to(z[:, None, None, None], (*level.shape[:-1], 1))], axis=-1)
        positions, _ = project(photo.camera, points.reshape(-1, 3), width, height)
        values = map_coordinates(silhouette, positions.T[::-1] - 0.5, order=1, mode="nearest")
        least: Float64Array = values.reshape(level.shape[:-1]).min(axis=-1)
        return least

    low, step, count = np.zeros(len(z)), REACH / RADII, RADII
    none = depths(low[:, None])[:, 0] < 0.0
    for finer in (FINER, 1):
        radii = low[:, None] + step * np.arange(count + 1)
        deep = depths(radii)
        outside = deep < 0.0
        first = np.where(outside.any(axis=1), outside.argmax(axis=1), count)
        before = np.maximum(first - 1, 0)
        low = radii[every, before]
        inner, outer = deep[every, before], deep[every, np.maximum(first, 1)]
        share = np.clip(inner / np.maximum(inner - outer, 1e-9), 0.0, 1.0)
        step, count, last = step / finer, finer, step
    return np.where(none, 0.0, low + share * last)


def _middle(photos: Sequence[View]) -> Float64Array:
    """Where the rays through the middles of the silhouettes meet, seen from above, (2,)."""
    normals, offsets = [], []
    for photo in photos:
        rows, columns = np.nonzero(photo.pixels[..., 3] >= 128)
        middle = np.array([[np.ptp(columns) / 2.0 + columns.min(), np.ptp(rows) / 2.0 + rows.min()]]) + 0.5
        origins, directions = rays(photo.camera, middle, photo.width, photo.height)
        normal = np.array([-directions[0, 1], directions[0, 0]])  # the shorter, the steeper
        normals.append(normal)
        offsets.append(normal @ origins[0, :2])
    middle_point: Float64Array = np.linalg.lstsq(np.array(normals), np.array(offsets), rcond=None)[0]
    return middle_point


def _robust(matrix: Float64Array, values: Float64Array) -> Float64Array:
    """A solution by least squares that follows the majority: reweighted as for the Cauchy loss."""
    weights: Float64Array = np.ones(len(values))
    solution: Float64Array = np.zeros(matrix.shape[1])
    for _ in range(ROBUST_ROUNDS):
        solution = np.asarray(np.linalg.lstsq(matrix * weights[:, None], values * weights, rcond=None)[0])
        weights = 1.0 / np.sqrt(1.0 + ((matrix @ solution - values) / EDGE_SIGMA) ** 2)
    return solution


def _is_cut_off(photo: View) -> bool:
    """Whether a silhouette touches the picture's border, or is empty."""
    mask: Mask = photo.pixels[..., 3] >= 128
    return not mask.any() or bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())

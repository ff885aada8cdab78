"""Bodies of revolution about an upright axis: bottles, vases and barrels, of which a few outlines leave prisms.

The visual hull of a cylinder from three sides is a hexagonal prism with wedges at its ends. But where one profile,
turned about one axis, has the outlines of all photos, it explains them better than any other body that does. The axis
lies where the left and the right edges of all silhouettes are equally far from it. The profile starts as the largest
circles inside all silhouettes; each ray through an outline touches the body at one height, and there the radius is
moved until it does (least squares by fixed-point iteration). Ends are flat as far as the outlines stay filled. It is a
body of revolution where hardly a ray misses it, and where no prism whose sides the cameras see edge-on fits better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import Field, Grid, silhouette_distance
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
MAX_RAYS = 1200  # through all outlines
RAY_SAMPLES = 72  # on each
FINER_SAMPLES = np.linspace(-1.0, 1.0, 33)  # steps around the nearest one
MIN_LEVEL = 0.1  # of a ray's direction, squared: steeper ones pass the body well before they are beside it
END_ROUNDS, FIT_ROUNDS = 2, 2
MIN_WEIGHT = 0.5  # rays: of fewer that touch the body near a knot, steps are smaller
MAX_STEP = 2.0  # reference pixels a round
FILLED = 0.3  # reference pixels that a ray may miss the body by when ends are cut flat
END_QUANTILE = 0.01  # of the rays, that the ends need not reach
# Reference pixels by which a ray misses the body: these shares of them at most so much.
MAX_ERRORS = ((0.9, 1.25), (0.99, 2.5))
# Times the body's own: what a prism misses the rays by, at least, where the body misses all but a hundredth of them by
# less than CLOSE reference pixels, and elsewhere. Three photos 120 degrees apart, 10 degrees above the horizon: prisms
# of six sides that the photos see edge-on have .2 to .5; those whose edges they see at the ends of the outlines .8 to
# 1.4, but are not close where they are wide; a barrel, vases, bottles and cylinders 1.0 to 3.1.
MIN_PRISM_ERRORS, CLOSE = (0.9, 1.5), 0.9
TABLE = 140  # rows of a profile's table of distances
MARGIN = 0.15  # world units that the table reaches beyond the profile
DENSITY = 6  # points of the profile per row of the table

Gauge = Callable[[Array, Array], Array]  # distances from the axis of points, from x and y: circles or polygons


@dataclass(frozen=True)
class Revolution:
    """A body of revolution: level discs with their centres on a line that is upright or nearly so."""

    centre: tuple[float, float]  # x and y of the axis at height 0
    lean: tuple[float, float]  # their changes per unit of height
    heights: Float64Array  # (N,) ascending, equally far apart
    radii: Float64Array  # (N,) of the discs there

    def solid(self, grid: Grid) -> Field:
        """Its signed distances (X, Y, Z) in voxels, negative inside."""
        x, y, z = (grid.origin[axis] + grid.voxel * np.arange(count) for axis, count in enumerate(grid.shape))
        radius = np.hypot(*self.beside(x[:, None, None], y[None, :, None], z))
        distance = _Table.of(self).at(radius, np.broadcast_to(z, radius.shape)) / grid.voxel
        return distance.astype(np.float32)

    def beside(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        """Points' coordinates from the axis."""
        return x - self.centre[0] - self.lean[0] * z, y - self.centre[1] - self.lean[1] * z

    def between(self, low: float, high: float) -> "Revolution":
        """The part between two heights."""
        heights = np.linspace(low, high, len(self.heights))
        return replace(self, heights=heights, radii=np.interp(heights, self.heights, self.radii))


@dataclass(frozen=True)
class _Table:
    """Signed distances to a profile, by height and distance from the axis."""

    values: Float64Array  # (Z, R) world units
    low: float  # height of the first row
    spacing: float

    @classmethod
    def of(cls, body: Revolution) -> "_Table":
        low, high = body.heights[0] - MARGIN, body.heights[-1] + MARGIN
        spacing = float(high - low) / (TABLE - 1)
        z = low + spacing * np.arange(TABLE)
        r = spacing * np.arange(np.ceil((body.radii.max() + MARGIN) / spacing) + 1)
        corners = np.column_stack([body.radii, body.heights])
        corners = np.concatenate([[[0.0, body.heights[0]]], corners, [[0.0, body.heights[-1]]]])
        along = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))
        dense = np.linspace(0.0, along[-1], int(DENSITY * along[-1] / spacing) + 2)
        line = np.column_stack([np.interp(dense, along, corners[:, axis]) for axis in (0, 1)])
        nodes = np.stack(np.meshgrid(r, z), axis=-1)
        distance, _ = cKDTree(line).query(nodes)
        level = (z >= body.heights[0]) & (z <= body.heights[-1])
        inside = (r < np.interp(z, body.heights, body.radii)[:, None]) & level[:, None]
        return cls(np.where(inside, -distance, distance), float(low), spacing)

    def at(self, radius: Array, height: Array) -> Float64Array:
        """World units (...); beside the table, hardly less than the distance."""
        position = np.stack([(height - self.low) / self.spacing, radius / self.spacing])
        last = np.array(self.values.shape).reshape(2, *[1] * radius.ndim) - 1.0
        within = np.clip(position, 0.0, last)
        beyond = self.spacing * np.sqrt(((position - within) ** 2).sum(axis=0))
        distance: Float64Array = map_coordinates(self.values, within, order=1) + beyond
        return distance

    def outwards(self, radius: Array, height: Array) -> Float64Array:
        """How far the directions of increasing distance (N,) point away from the axis: -1 to 1."""
        step = self.spacing
        away = self.at(radius + step, height) - self.at(np.abs(radius - step), height)
        up = self.at(radius, height + step) - self.at(radius, height - step)
        direction: Float64Array = away / np.maximum(np.hypot(away, up), 1e-9)
        return direction


@dataclass(frozen=True)
class _Contacts:
    """Where rays touch a body, (N,) each."""

    heights: Float64Array
    misses: Float64Array  # reference pixels between ray and body, negative inside
    outwards: Float64Array  # how far the surface there faces away from the axis, not up or down


@dataclass(frozen=True)
class _OutlineRays:
    """Samples on the rays through the outlines of all photos."""

    points: Float64Array  # (N, S, 3)
    pixels: Float64Array  # (N,) sizes of a reference pixel, world units

    @classmethod
    def of(cls, photos: Sequence[View], body: Revolution) -> "_OutlineRays":
        """As far as they may touch a body."""
        outlines = [_outline(photo) for photo in photos]
        stride = 1 + sum(map(len, outlines)) // MAX_RAYS
        reach = body.radii.max() + np.abs(body.heights).max() * np.hypot(*body.lean) + MARGIN
        points, pixels = [], []
        for photo, outline in zip(photos, outlines, strict=True):
            origins, directions = rays(photo.camera, outline[::stride], photo.width, photo.height)
            level = np.maximum((directions[:, :2] ** 2).sum(axis=1), MIN_LEVEL)
            nearest = ((np.array(body.centre) - origins[:, :2]) * directions[:, :2]).sum(axis=1) / level
            depth = nearest[:, None] + np.linspace(-reach, reach, RAY_SAMPLES) / np.sqrt(level)[:, None]
            points.append(origins[:, None] + depth[..., None] * directions[:, None])
            pixels.append(np.full(len(origins), _reference_pixel(photo)))
        return cls(np.concatenate(points), np.concatenate(pixels))

    def distances(self, body: Revolution, gauge: Gauge) -> Float64Array:
        """Of the samples (N, S) to a body, world units."""
        x, y, z = np.moveaxis(self.points, -1, 0)
        return _Table.of(body).at(gauge(*body.beside(x, y, z)), z)

    def touching(self, body: Revolution, gauge: Gauge = np.hypot) -> "_Contacts":
        """Where they come nearest to a body, or are deepest inside."""
        table = _Table.of(body)
        points, every = self.points, np.arange(len(self.points))
        for last in (False, True):
            x, y, z = np.moveaxis(points, -1, 0)
            radius = gauge(*body.beside(x, y, z))
            distances = table.at(radius, z)
            nearest = distances.argmin(axis=1)
            if not last:
                step = points[:, 1] - points[:, 0]
                points = points[every, nearest][:, None] + FINER_SAMPLES[:, None] * step[:, None]
        radius, height = radius[every, nearest], z[every, nearest]
        return _Contacts(height, distances[every, nearest] / self.pixels, table.outwards(radius, height))

    def error(self, body: Revolution, gauge: Gauge) -> float:
        """The mean of what they miss the body by."""
        return float(np.abs(self.touching(body, gauge).misses).mean())


def find_revolution(photos: Sequence[View], flat_base: bool = True) -> Revolution | None:
    """The body of revolution that has the silhouettes of all photos; None where there is none, or a doubt.

    flat_base: whether its lower end is flat as far as the silhouettes allow, as the upper one is.
    """
    if count_directions([photo.camera for photo in photos]) < MIN_DIRECTIONS or any(
        _is_cut_off(photo) for photo in photos
    ):
        return None
    silhouettes = [
        (distance + GROWN * len(distance) / VIEW_SIZE).astype(np.float64)
        for distance in (silhouette_distance(photo.pixels[..., 3], 1) for photo in photos)
    ]
    start = _with_axis(photos, silhouettes)
    if start is None:
        return None
    outlines = _OutlineRays.of(photos, start)
    body = _matched(start, outlines, np.hypot, flat_base)
    if body is None:
        return None
    misses = np.abs(outlines.touching(body).misses)
    if any(np.quantile(misses, share) > most for share, most in MAX_ERRORS):
        return None
    sides = _edge_on(photos)
    prism = _matched(body, outlines, sides, flat_base)
    least = MIN_PRISM_ERRORS[0 if np.quantile(misses, 0.99) < CLOSE else 1]
    return body if prism is None or outlines.error(prism, sides) >= least * misses.mean() else None


def _with_axis(photos: Sequence[View], silhouettes: Sequence[Float64Array]) -> Revolution | None:
    """The largest circles inside all silhouettes about the axis that their edges tell; None where they tell none."""
    heights = np.linspace(-REACH, REACH, AXIS_HEIGHTS)
    body = Revolution(tuple(_middle(photos).tolist()), (0.0, 0.0), heights, np.zeros(AXIS_HEIGHTS))
    rights = np.array([_right_and_front(photo)[0] for photo in photos])
    for _ in range(AXIS_ROUNDS):
        edges = _edges(body, photos, silhouettes)
        known = edges.min(axis=1) > MIN_RADIUS
        if not known.any():
            return None
        which, level = np.nonzero(known)
        off = (edges[:, 1] - edges[:, 0])[which, level] / 2.0
        change = _robust(np.hstack([rights[which], rights[which] * heights[level, None]]), off)
        centre, lean = np.array(body.centre) + change[:2], np.array(body.lean) + change[2:]
        if np.hypot(*lean) > MAX_LEAN:
            return None
        body = replace(body, centre=tuple(centre.tolist()), lean=tuple(lean.tolist()))
    edges = _edges(body, photos, silhouettes)
    known_by_all = (edges > MIN_RADIUS).all(axis=(0, 1))
    spread = np.ptp(edges.reshape(-1, AXIS_HEIGHTS), axis=0)[known_by_all]
    if not len(spread) or np.quantile(spread, SPREAD_QUANTILE) > MAX_SPREAD * max(map(_reference_pixel, photos)):
        return None
    inside = np.flatnonzero(known_by_all)
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, AXIS_HEIGHTS - 1)
    body = replace(body, heights=np.linspace(heights[first], heights[last], HEIGHTS))
    radii = _edges(body, photos, silhouettes).mean(axis=1).min(axis=0)
    return replace(body, radii=np.maximum(radii - GROWN * max(map(_reference_pixel, photos)), 0.0))


def _edges(body: Revolution, photos: Sequence[View], silhouettes: Sequence[Float64Array]) -> Float64Array:
    """Radii (P, 2, N) of the largest level half circles, left and right of the axis, inside each silhouette."""
    return np.array(
        [
            [_half_circles(body, photo, silhouette, sign) for sign in (-1.0, 1.0)]
            for photo, silhouette in zip(photos, silhouettes, strict=True)
        ]
    )


def _half_circles(body: Revolution, photo: View, silhouette: Float64Array, sign: float) -> Float64Array:
    """Radii (N,) of the largest half circles on one side of the axis inside a silhouette."""
    right, front = _right_and_front(photo)
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


def _matched(body: Revolution, outlines: _OutlineRays, gauge: Gauge, flat_base: bool) -> Revolution | None:
    """The body with ends and radii at which the rays touch it; None if that leaves nothing."""
    for _ in range(END_ROUNDS):  # radii at a rim get larger in the fit, and its end may lie nearer
        low, high = _ends(body, outlines, gauge)
        if low >= high:
            return None
        body = _fitted(body.between(low if flat_base else body.heights[0], high), outlines, gauge)
    return body


def _fitted(body: Revolution, outlines: _OutlineRays, gauge: Gauge) -> Revolution:
    """The body with radii at which the rays touch it."""
    last = len(body.heights) - 1
    for _ in range(FIT_ROUNDS):
        found = outlines.touching(body, gauge)
        low, high = body.heights[0], body.heights[-1]
        position = np.clip((found.heights - low) / (high - low) * last, 0.0, last - 1e-6)
        knot = position.astype(int)
        share = position - knot
        moves = np.clip(found.misses, -MAX_STEP, MAX_STEP) * outlines.pixels
        both, nearby = np.concatenate([knot, knot + 1]), np.concatenate([1.0 - share, share])
        normal, moves = np.tile(found.outwards, 2), np.tile(moves, 2)
        total = np.bincount(both, nearby * normal * moves, last + 1)
        weight = np.bincount(both, nearby * normal**2, last + 1)
        body = replace(body, radii=np.maximum(body.radii + total / np.maximum(weight, MIN_WEIGHT), 0.0))
    return body


def _ends(body: Revolution, outlines: _OutlineRays, gauge: Gauge) -> tuple[float, float]:
    """The heights between which the body has to reach so that no more rays miss it."""
    distances = outlines.distances(body, gauge)
    least = np.maximum(distances.min(axis=1), 0.0) + FILLED * outlines.pixels
    near, heights = distances <= least[:, None], outlines.points[..., 2]
    low = np.quantile(np.where(near, heights, -np.inf).max(axis=1), END_QUANTILE)
    high = np.quantile(np.where(near, heights, np.inf).min(axis=1), 1.0 - END_QUANTILE)
    return max(float(low), body.heights[0]), min(float(high), body.heights[-1])


def _edge_on(photos: Sequence[View]) -> Gauge:
    """Distances from the axis in polygons whose sides the cameras see edge-on."""
    normals = [_right_and_front(photo)[0] for photo in photos]

    def gauge(x: Array, y: Array) -> Array:
        distance = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        for normal in normals:
            distance = np.maximum(distance, np.abs(normal[0] * x + normal[1] * y))
        return distance

    return gauge


def _outline(photo: View) -> Float64Array:
    """Positions (N, 2) on a silhouette's outline, in pixels."""
    lines = find_contours(photo.pixels[..., 3].astype(np.float64), 127.5)  # type: ignore[no-untyped-call]
    outline: Float64Array = np.concatenate(lines)[:, ::-1] + 0.5
    return outline


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


def _right_and_front(photo: View) -> tuple[Float64Array, Float64Array]:
    """Level unit vectors (2,): to the right in the picture and towards the camera."""
    azimuth = np.radians(photo.camera.azimuth)
    return np.array([-np.sin(azimuth), np.cos(azimuth)]), np.array([np.cos(azimuth), np.sin(azimuth)])


def _is_cut_off(photo: View) -> bool:
    """Whether a silhouette touches the picture's border, or is empty."""
    mask: Mask = photo.pixels[..., 3] >= 128
    return not mask.any() or bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def _reference_pixel(photo: View) -> float:
    return photo.pixel_size * photo.height / VIEW_SIZE

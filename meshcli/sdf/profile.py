"""Profiles that turn about an axis, and their fit to the outlines of photos; see revolution.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import Field, Grid
from meshcli.views.projection import rays
from meshcli.views.view import View

MAX_RAYS = 1200  # through all outlines
RAY_SAMPLES = 72  # on each
FINER_SAMPLES = np.linspace(-1.0, 1.0, 33)  # steps around the nearest one
MIN_LEVEL = 0.1  # of a ray's direction, squared: steeper ones pass the body well before they are beside it
END_ROUNDS, FIT_ROUNDS = 2, 2
MIN_WEIGHT = 0.5  # rays: of fewer that touch the body near a knot, steps are smaller
MAX_STEP = 2.0  # reference pixels a round
FILLED = 0.3  # reference pixels that a ray may miss the body by when ends are cut flat
END_QUANTILE = 0.01  # of the rays, that the ends need not reach
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
class Contacts:
    """Where rays touch a body, (N,) each."""

    heights: Float64Array
    misses: Float64Array  # reference pixels between ray and body, negative inside
    outwards: Float64Array  # how far the surface there faces away from the axis, not up or down


@dataclass(frozen=True)
class OutlineRays:
    """Samples on the rays through the outlines of all photos."""

    points: Float64Array  # (N, S, 3)
    pixels: Float64Array  # (N,) sizes of a reference pixel, world units
    photos: NDArray[np.int64]  # (N,) whose outlines they go through
    positions: Float64Array  # (N, 2) there, in pixels

    @classmethod
    def of(cls, photos: Sequence[View], body: Revolution) -> "OutlineRays":
        """As far as they may touch a body."""
        outlines = [_outline(photo) for photo in photos]
        stride = 1 + sum(map(len, outlines)) // MAX_RAYS
        reach = body.radii.max() + np.abs(body.heights).max() * np.hypot(*body.lean) + MARGIN
        outlines = [outline[::stride] for outline in outlines]
        points, pixels = [], []
        for photo, outline in zip(photos, outlines, strict=True):
            origins, directions = rays(photo.camera, outline, photo.width, photo.height)
            level = np.maximum((directions[:, :2] ** 2).sum(axis=1), MIN_LEVEL)
            nearest = ((np.array(body.centre) - origins[:, :2]) * directions[:, :2]).sum(axis=1) / level
            depth = nearest[:, None] + np.linspace(-reach, reach, RAY_SAMPLES) / np.sqrt(level)[:, None]
            points.append(origins[:, None] + depth[..., None] * directions[:, None])
            pixels.append(np.full(len(origins), reference_pixel(photo)))
        numbers = np.repeat(np.arange(len(photos)), [len(outline) for outline in outlines])
        return cls(np.concatenate(points), np.concatenate(pixels), numbers, np.concatenate(outlines))

    def some(self, chosen: Mask) -> "OutlineRays":
        """Those that are chosen, (N,)."""
        return OutlineRays(self.points[chosen], self.pixels[chosen], self.photos[chosen], self.positions[chosen])

    def distances(self, body: Revolution, gauge: Gauge) -> Float64Array:
        """Of the samples (N, S) to a body, world units."""
        x, y, z = np.moveaxis(self.points, -1, 0)
        return _Table.of(body).at(gauge(*body.beside(x, y, z)), z)

    def touching(self, body: Revolution, gauge: Gauge = np.hypot) -> "Contacts":
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
        return Contacts(height, distances[every, nearest] / self.pixels, table.outwards(radius, height))

    def error(self, body: Revolution, gauge: Gauge) -> float:
        """The mean of what they miss the body by."""
        return float(np.abs(self.touching(body, gauge).misses).mean())


def matched(body: Revolution, outlines: OutlineRays, gauge: Gauge, flat_base: bool) -> Revolution | None:
    """The body with ends and radii at which the rays touch it; None if that leaves nothing."""
    for _ in range(END_ROUNDS):  # radii at a rim get larger in the fit, and its end may lie nearer
        low, high = _ends(body, outlines, gauge)
        if low >= high:
            return None
        body = _fitted(body.between(low if flat_base else body.heights[0], high), outlines, gauge)
    return body


def _fitted(body: Revolution, outlines: OutlineRays, gauge: Gauge) -> Revolution:
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


def _ends(body: Revolution, outlines: OutlineRays, gauge: Gauge) -> tuple[float, float]:
    """The heights between which the body has to reach so that no more rays miss it."""
    distances = outlines.distances(body, gauge)
    least = np.maximum(distances.min(axis=1), 0.0) + FILLED * outlines.pixels
    near, heights = distances <= least[:, None], outlines.points[..., 2]
    low = np.quantile(np.where(near, heights, -np.inf).max(axis=1), END_QUANTILE)
    high = np.quantile(np.where(near, heights, np.inf).min(axis=1), 1.0 - END_QUANTILE)
    return max(float(low), body.heights[0]), min(float(high), body.heights[-1])


def edge_on(normals: Sequence[Float64Array]) -> Gauge:
    """Distances from the axis in polygons whose sides have these level normals (2,), and the opposite ones."""

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


def right_and_front(photo: View) -> tuple[Float64Array, Float64Array]:
    """Level unit vectors (2,): to the right in the picture and towards the camera."""
    azimuth = np.radians(photo.camera.azimuth)
    return np.array([-np.sin(azimuth), np.cos(azimuth)]), np.array([np.cos(azimuth), np.sin(azimuth)])


def reference_pixel(photo: View) -> float:
    """World size of a reference pixel (see VIEW_SIZE) of a photo."""
    return photo.pixel_size * photo.height / VIEW_SIZE

"""Handles and spouts: what silhouettes show of an object beside its body of revolution.

Such parts nearly always lie in half planes that end at the body's axis. The half plane that explains the most pixels
which the body leaves is found first, then those that explain the rest. In it a part is seen whole, but for what hides
behind the body in every photo, and its depth is known. There it gets the thickness that it has in the plane: it is the
union of the largest balls around points of the plane that no photo sees beside the object. Where the body hides how it
goes on, it is continued along a curve that leaves it straight and ends upright on the body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening, distance_transform_edt, label, map_coordinates

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.pictures.pixels import EIGHT_CONNECTED, VIEW_SIZE
from meshcli.sdf.grid import UNKNOWN, Field, Grid, silhouette_distance
from meshcli.sdf.profile import Revolution
from meshcli.views.projection import project
from meshcli.views.view import View

AZIMUTHS = np.radians(np.arange(0.0, 360.0, 4.0))  # of the half planes that are tried
APART = np.radians(15.0)  # between two of them that hold parts
ABOUT_AS_GOOD = 0.93  # times the best one's pixels: the half plane is the mean of its neighbours that explain as many
REACH = 1.1  # world units from the axis, and above and below the origin
COARSE, FINE = 0.016, 0.004  # world units between points of a half plane: for the search, for a part
BLOCK = 3  # pixels along a side of the blocks in which the search counts them
MIN_PIXELS, MIN_SHARE = 60.0, 0.04  # reference pixels, and share of them all, that a half plane has to explain
MAX_PARTS = 5
BEYOND = 1.5  # reference pixels around a part that it explains too
MIN_AREA = 0.001  # world units squared: smaller patches are left alone
MIN_RADIUS = 0.008  # world units
SPACING, POKING = 0.3, FINE  # of balls, in radii; world units by which a ball has to stick out of one that is kept
SIDEWAYS = 4.5  # radii: where a part is next to what the body hides for longer, it is its side, not its end
NEARBY, ELONGATED = 4.0, 2.0  # radii in which a part tells its direction, if its variance there is so many times larger
THICKER = 1.1  # times half the width of a part's end: balls there are no larger


@dataclass(frozen=True)
class Balls:
    """A union of balls."""

    centres: Float64Array  # (N, 3)
    radii: Float64Array  # (N,)

    def solid(self, grid: Grid) -> Field:
        """Its distances (X, Y, Z) in voxels, negative inside, right up to four voxels outside."""
        field = np.full(grid.shape, UNKNOWN, np.float32)
        axes = [grid.origin[axis] + grid.voxel * np.arange(count) for axis, count in enumerate(grid.shape)]
        for centre, radius in zip(self.centres, self.radii, strict=True):
            low = np.maximum((centre - radius - grid.origin) / grid.voxel - 4.0, 0.0).astype(int)
            high = np.maximum((centre + radius - grid.origin) / grid.voxel + 5.0, 0.0).astype(int)
            box = tuple(map(slice, low, high))
            x, y, z = (side[part] - middle for side, part, middle in zip(axes, box, centre, strict=True))
            distance = np.sqrt(x[:, None, None] ** 2 + y[None, :, None] ** 2 + z**2) - radius
            field[box] = np.minimum(field[box], (distance / grid.voxel).astype(np.float32))
        return field


@dataclass(frozen=True)
class AttachedParts:
    """All parts that were found."""

    balls: Balls
    azimuths: tuple[float, ...]  # radians, of the half planes that hold them
    unexplained: float  # share of the pixels beside the body that they do not explain


@dataclass(frozen=True)
class _Picture:
    """A photo, and where it shows more than the body."""

    view: View
    outline: Float64Array  # (H, W) distances to it in pixels, positive inside
    beside: Mask  # (H, W)

    @property
    def scale(self) -> float:
        """Pixels per reference pixel."""
        return self.view.height / VIEW_SIZE

    def look(self, points: Array) -> tuple[Mask, tuple[NDArray[np.int64], ...]]:
        """Whether points (N, 3) are inside the silhouette, and their rows and columns."""
        height, width = self.beside.shape
        positions, _ = project(self.view.camera, points, width, height)
        inside = map_coordinates(self.outline, positions.T[::-1] - 0.5, order=1, mode="nearest") > 0.0
        rows, columns = np.floor(positions.T[::-1]).astype(np.int64)
        return inside, (rows.clip(0, height - 1), columns.clip(0, width - 1))

    def without(self, balls: Balls) -> Mask:
        """The pixels beside the body that balls do not explain."""
        rest = self.beside.copy()
        height, width = rest.shape
        positions, depth = project(self.view.camera, balls.centres, width, height)
        reach = balls.radii * self.view.camera.fy * height / depth + BEYOND * self.scale
        for (x, y), radius in zip(positions, reach, strict=True):
            rows = slice(max(int(y - radius), 0), max(int(y + radius) + 1, 0))
            columns = slice(max(int(x - radius), 0), max(int(x + radius) + 1, 0))
            down, across = np.ogrid[rows, columns]
            part = rest[rows, columns]
            part &= (across[:, : part.shape[1]] + 0.5 - x) ** 2 + (down[: part.shape[0]] + 0.5 - y) ** 2 > radius**2
        return rest


@dataclass(frozen=True)
class _Sheet:
    """Points of a half plane at the azimuth, by distance from the axis and height; masks (S, Z) of them."""

    azimuth: float
    body: Revolution
    distances: Float64Array  # (S,)
    heights: Float64Array  # (Z,)
    in_body: Mask
    in_hull: Mask  # inside all silhouettes, and not in the body
    visible: Mask  # beside the body in a photo

    @classmethod
    def of(cls, azimuth: float, body: Revolution, pictures: Sequence[_Picture], step: float) -> "_Sheet":
        distances, heights = np.arange(step / 2.0, REACH, step), np.arange(-REACH, REACH, step)
        radii = np.interp(heights, body.heights, body.radii, left=0.0, right=0.0)
        in_body = distances[:, None] < radii
        in_hull, visible = ~in_body, np.zeros(in_body.shape, bool)
        sheet = cls(azimuth, body, distances, heights, in_body, in_hull, visible)
        points = sheet.to_world(*np.meshgrid(distances, heights, indexing="ij")).reshape(-1, 3)
        for picture in pictures:
            inside, cells = picture.look(points)
            in_hull &= inside.reshape(in_hull.shape)
            visible |= picture.beside[cells].reshape(visible.shape)
        visible &= in_hull
        return sheet

    def to_world(self, distance: Array, height: Array) -> Float64Array:
        """Points (..., 3)."""
        (x, y), (dx, dy) = self.body.centre, self.body.lean
        return np.stack(
            [
                x + dx * height + distance * np.cos(self.azimuth),
                y + dy * height + distance * np.sin(self.azimuth),
                height,
            ],
            axis=-1,
        )

    def explains(self, pictures: Sequence[_Picture]) -> float:
        """Reference pixels beside the body that its visible points fall on."""
        points = self.to_world(*np.meshgrid(self.distances, self.heights, indexing="ij"))[self.visible]
        total = 0.0
        for picture in pictures:
            _, (rows, columns) = picture.look(points)
            seen = picture.beside[rows, columns]
            blocks = np.unique((rows[seen] // BLOCK) * picture.view.width + columns[seen] // BLOCK)
            total += len(blocks) * (BLOCK / picture.scale) ** 2
        return total


def find_parts(photos: Sequence[View], body: Revolution, beside: Sequence[Mask]) -> AttachedParts:
    """The parts of an object that is a body of revolution but for them.

    `beside` are the pixels (H, W) of each silhouette that the body does not cover.
    """
    outlines = [silhouette_distance(photo.pixels[..., 3], 1).astype(np.float64) for photo in photos]
    pictures = [_Picture(*each) for each in zip(photos, outlines, beside, strict=True)]
    total = _reference_pixels(pictures)
    found: list[Balls] = []
    azimuths: list[float] = []
    while len(found) < MAX_PARTS:
        azimuth = _best_azimuth(body, pictures, azimuths, max(MIN_PIXELS, MIN_SHARE * total))
        if azimuth is None:
            break
        part = _balls_in(_Sheet.of(azimuth, body, pictures, FINE))
        azimuths.append(azimuth)
        if len(part.radii):
            found.append(part)
            pictures = [_Picture(each.view, each.outline, each.without(part)) for each in pictures]
    balls = Balls(
        np.concatenate([np.zeros((0, 3)), *(part.centres for part in found)]),
        np.concatenate([np.zeros(0), *(part.radii for part in found)]),
    )
    return AttachedParts(balls, tuple(azimuths), _reference_pixels(pictures) / max(total, 1.0))


def _reference_pixels(pictures: Sequence[_Picture]) -> float:
    """How many are beside the body in all pictures."""
    return float(sum(np.count_nonzero(each.beside) / each.scale**2 for each in pictures))


def _best_azimuth(body: Revolution, pictures: Sequence[_Picture], taken: Sequence[float], least: float) -> float | None:
    """Of the half plane that explains the most pixels; None where that is less than `least`."""
    if _reference_pixels(pictures) < least:
        return None
    explained = np.array([_Sheet.of(azimuth, body, pictures, COARSE).explains(pictures) for azimuth in AZIMUTHS])
    for other in taken:
        explained[np.cos(AZIMUTHS - other) > np.cos(APART)] = 0.0
    best = int(explained.argmax())
    if explained[best] < least:
        return None
    excess = np.roll(explained, len(explained) // 2 - best) - ABOUT_AS_GOOD * explained[best]
    middle = len(excess) // 2
    run, _ = label(excess > 0.0)
    weights = np.where(run == run[middle], excess, 0.0)
    offset = float((weights * (np.arange(len(excess)) - middle)).sum() / weights.sum())
    return float(AZIMUTHS[best] + offset * (AZIMUTHS[1] - AZIMUTHS[0]))


def _balls_in(sheet: _Sheet) -> Balls:
    """The part that a half plane shows, and how it is joined to the body."""
    hidden = sheet.in_hull & ~sheet.visible
    patches, _ = label(hidden, EIGHT_CONNECTED)
    at_body = np.unique(patches[hidden & binary_dilation(sheet.in_body, iterations=2)])
    behind = sheet.in_body | np.isin(patches, at_body[at_body > 0])
    visible = _large_patches(binary_opening(sheet.visible, EIGHT_CONNECTED))
    whole = sheet.in_hull | sheet.in_body
    mirrored = np.concatenate([whole[::-1], whole])
    depth = FINE * np.asarray(distance_transform_edt(mirrored))[len(whole) :]
    patches, _ = label(visible, EIGHT_CONNECTED)
    edge = visible & binary_dilation(behind, EIGHT_CONNECTED, 2)
    ends, count = label(binary_dilation(edge, EIGHT_CONNECTED), EIGHT_CONNECTED)
    points, radii = _points(sheet, visible), depth[visible]
    joints = []
    for number in range(1, count + 1):
        end = edge & (ends == number)
        patch = visible & (patches == patches[end].max())
        joint = _Joint.of(_points(sheet, end), depth[end], _points(sheet, patch))
        if joint.is_side:
            joints += joint.at_both_tips(sheet.body)
        else:
            near = np.linalg.norm(points - joint.start, axis=1) < 2.0 * joint.radius
            radii = np.where(near, np.minimum(radii, joint.radius), radii)
            joints.append((joint.curve(sheet.body), joint.radius))
    chosen = radii > MIN_RADIUS
    points = np.concatenate([points[chosen], *(joint for joint, _ in joints)])
    radii = np.concatenate([radii[chosen], *(np.full(len(joint), radius) for joint, radius in joints)])
    kept = _thinned(points, radii)
    return Balls(sheet.to_world(*points[kept].T), radii[kept])


@dataclass(frozen=True)
class _Joint:
    """Where a part goes on behind or before the body, in the coordinates of its half plane."""

    points: Float64Array  # (N, 2) where it does
    depths: Float64Array  # (N,) of these inside the part
    start: Float64Array  # (2,) their middle
    direction: Float64Array | None  # (2,) in which the part arrives there; None where it has none
    radius: float
    is_side: bool  # whether the body hides the part's side, not its end

    @classmethod
    def of(cls, points: Float64Array, depths: Float64Array, part: Float64Array) -> "_Joint":
        """From the points of a part (M, 2) and those at its end."""
        start, radius = points.mean(axis=0), float(depths.max())
        near = part[np.linalg.norm(part - start, axis=1) < NEARBY * radius]
        length = float(np.ptp((points - start) @ _axes(points)[1][:, 1]))
        variances, axes = _axes(near)
        if variances[1] < ELONGATED * variances[0]:
            return cls(points, depths, start, None, radius, length > SIDEWAYS * radius)
        direction = axes[:, 1] * np.sign(axes[:, 1] @ (start - near.mean(axis=0)))
        half = (float(np.ptp(points @ axes[:, 0])) + FINE) / 2.0
        return cls(points, depths, start, direction, min(radius, THICKER * half), length > SIDEWAYS * radius)

    def curve(self, body: Revolution) -> Float64Array:
        """Points (N, 2) from the part's end to the body: a quadratic Bezier curve that ends where the body is near."""
        profile = _profile(body)
        middle = (self.start + _nearest(profile, self.start)) / 2.0
        if self.direction is not None:
            line = self.start + np.arange(0.0, REACH, FINE)[:, None] * self.direction
            radii = np.interp(line[:, 1], body.heights, body.radii, left=0.0, right=0.0)
            meets = np.flatnonzero(line[:, 0] < radii)
            if len(meets):
                middle = (self.start + line[meets[0]]) / 2.0
        return self._bent(middle, _nearest(profile, middle))

    def at_both_tips(self, body: Revolution) -> list[tuple[Float64Array, float]]:
        """Straight ways to the body from both tips of a side, and their radii."""
        profile, along = _profile(body), (self.points - self.start) @ _axes(self.points)[1][:, 1]
        ways = []
        for tip in (along.argmin(), along.argmax()):
            inwards = np.abs(along - along[tip]) <= self.radius
            start, radius = self.points[inwards].mean(axis=0), float(self.depths[inwards].max())
            end = _nearest(profile, start)
            steps = np.linspace(0.0, 1.0, 2 + int(np.linalg.norm(end - start) / (SPACING * radius)))
            ways.append((start + steps[:, None] * (end - start), radius))
        return ways

    def _bent(self, middle: Float64Array, end: Float64Array) -> Float64Array:
        length = np.linalg.norm(middle - self.start) + np.linalg.norm(end - middle)
        t = np.linspace(0.0, 1.0, 2 + int(length / (SPACING * self.radius)))[:, None]
        points: Float64Array = (1.0 - t) ** 2 * self.start + 2.0 * t * (1.0 - t) * middle + t**2 * end
        return points


def _axes(points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Variances (2,) of points (N, 2), ascending, and their directions in columns."""
    if len(points) < 2:
        return np.ones(2), np.eye(2)
    variances, axes = np.linalg.eigh(np.cov(points.T))
    return variances, axes


def _profile(body: Revolution) -> Float64Array:
    """Points (N, 2) on a body's profile and on its ends."""
    share = np.linspace(0.0, 1.0, len(body.radii))
    low = np.column_stack([share * body.radii[0], np.full(len(share), body.heights[0])])
    high = np.column_stack([share * body.radii[-1], np.full(len(share), body.heights[-1])])
    return np.concatenate([low, np.column_stack([body.radii, body.heights]), high])


def _nearest(points: Float64Array, to: Float64Array) -> Float64Array:
    nearest: Float64Array = points[((points - to) ** 2).sum(axis=1).argmin()]
    return nearest


def _points(sheet: _Sheet, mask: Mask) -> Float64Array:
    """Distances and heights (N, 2) of a mask's points."""
    first, second = np.nonzero(mask)
    return np.column_stack([sheet.distances[first], sheet.heights[second]])


def _large_patches(mask: Mask) -> Mask:
    patches, count = label(mask, EIGHT_CONNECTED)
    sizes = np.bincount(patches.ravel(), minlength=count + 1) * FINE**2
    sizes[0] = 0.0
    large: Mask = sizes[patches] >= MIN_AREA
    return large


def _thinned(points: Float64Array, radii: Float64Array) -> NDArray[np.int64]:
    """Which of the discs (N, 2), (N,) are enough: the large ones, and those that stick out of them."""
    kept: list[int] = []
    for index in np.argsort(-radii, kind="stable"):
        apart = np.linalg.norm(points[kept] - points[index], axis=1)
        if not ((apart + radii[index] < radii[kept] + POKING) | (apart < SPACING * radii[index])).any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)

"""Plates: the level top of a table or a stool, of which photos from just above the horizon show hardly more than a rim.

From there the hull has a pillow on the plate and a wedge under it, and a body that touches each ray to the rim
somewhere fills the silhouettes as well as the plate does. But the rim tells the plate's heights: the ray through the
uppermost pixel of a column meets the object no lower than where it is lowest inside the hull, and the ray through the
lowest pixel no higher than where it is highest. Where nearly all columns of all photos name one height, the top is
level; where the columns at both ends of all silhouettes show nothing far below it, it sticks out. It is a plate where a
disc or a rectangle has the same rims in all photos, and no other one has: level with the top, photos from two sides
tell little more than two widths.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import least_squares

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box
from meshcli.sdf.ground import MAX_ELEVATION, PADDING, RESOLUTION, heights_inside
from meshcli.views.projection import project
from meshcli.views.view import View
from meshcli.views.viewpoints import count_directions

LEVEL = 1.5  # voxels from the median of all heights within which a height counts as the same
MIN_LEVEL_SHARE = 0.7  # of the columns of each silhouette: .96 to 1.0 of a table and a stool, at most .7 of an armchair
HIGH_QUANTILE = 0.9  # of the heights of the columns: each is a lower bound
MAX_THICKNESS = 0.15  # of a plate, in widths of the silhouette
MIN_OVERHANG = 0.02  # share of a silhouette's columns, at each end, that show nothing under the plate; others have to
MIN_PHOTOS = 2
MIN_FREE_PHOTOS = 3  # that tell the yaw of a rectangle which no mirror plane tells
MIN_DIRECTIONS = 3  # of photos that tell a disc from a rectangle
FREE_YAWS = np.radians(np.arange(0.0, 90.0, 15.0))  # from which it is sought
DISC_CORNERS = 32
ALIKE = 0.05  # world units that outlines may be off from each other and still be called the same
COMPARED = 40  # columns of each silhouette
END_WEIGHT = 6.0  # of either end of a silhouette, as against a column
COMPARED_RANGE = (0.04, 0.96)  # of a silhouette's columns: rounded corners make the outermost ones shorter
MAX_ERROR = 1.0  # reference pixels (see VIEW_SIZE): of all ends, and of these shares of the columns
TOP_SHARE, UNDERSIDE_SHARE = 0.9, 0.75  # rails and legs far behind are seen under a plate
MAX_EVALUATIONS = 60

Kind = Literal["disc", "rectangle"]


@dataclass(frozen=True)
class Plate:
    """A horizontal plate on top of a body, in the world."""

    low: float  # heights of its underside and of its top
    high: float
    kind: Kind  # of its outline
    centre: tuple[float, float] = (0.0, 0.0)
    half: tuple[float, float] = (0.0, 0.0)  # half of a rectangle's sides; of a disc its radius, two times
    yaw: float = 0.0  # radians about z, of the first side

    def cut(self, field: Field, grid: Grid) -> Field:
        """A body's distances (X, Y, Z) in voxels, cut off above the plate and beside it."""
        low, high = self._faces(grid)
        result: Field = np.maximum(field, np.maximum(high, np.minimum(self._outline(grid), -low)))
        return result

    def solid(self, grid: Grid) -> Field:
        """The plate itself, distances (X, Y, Z) in voxels."""
        result: Field = np.maximum(self._outline(grid), np.maximum(*self._faces(grid)))
        return result

    def impose(self, field: Field, grid: Grid) -> Field:
        """A body's distances (X, Y, Z) in voxels, with the plate and nothing else at its height and above."""
        result: Field = np.minimum(self.cut(field, grid), self.solid(grid))
        return result

    def corners(self) -> Float64Array:
        """Of the outline, in order around it, (N, 2); many of a disc."""
        count = 4 if self.kind == "rectangle" else DISC_CORNERS
        angles = (2.0 * np.arange(count) + 1.0) * np.pi / count
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        local = (np.sign(ring) if self.kind == "rectangle" else ring) * np.array(self.half)
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        corners: Float64Array = local @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(self.centre)
        return corners

    def outside(self, x: Array, y: Array) -> Array:
        """Signed distances of points to the outline, negative inside; of a rectangle, the greater one to its sides."""
        x, y = x - self.centre[0], y - self.centre[1]
        if self.kind == "disc":
            from_rim: Array = np.hypot(x, y) - self.half[0]
            return from_rim
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        along, across = np.abs(cosine * x + sine * y), np.abs(cosine * y - sine * x)
        distance: Array = np.maximum(along - self.half[0], across - self.half[1])
        return distance

    def _faces(self, grid: Grid) -> tuple[Field, Field]:
        """Signed distances (Z,) in voxels to the planes of the underside and of the top, negative between them."""
        heights = np.float32(grid.origin[2] / grid.voxel) + np.arange(grid.shape[2], dtype=np.float32)
        return np.float32(self.low / grid.voxel) - heights, heights - np.float32(self.high / grid.voxel)

    def _outline(self, grid: Grid) -> Field:
        """Signed distances (X, Y, 1) in voxels to the outline, negative inside."""
        x, y = (grid.origin[axis] + grid.voxel * np.arange(grid.shape[axis]) for axis in (0, 1))
        result: Field = (self.outside(x[:, None, None], y[None, :, None]) / grid.voxel).astype(np.float32)
        return result


@dataclass(frozen=True)
class _Rim:
    """The edges of a silhouette column by column, in pixels."""

    photo: View
    columns: Float64Array  # (N,) positions across
    top: Float64Array  # (N,) positions down, of the uppermost edge
    bottom: Float64Array  # (N,) of the edge under it
    ends: Float64Array  # (2,) positions across, of the outermost edges

    @classmethod
    def of(cls, photo: View) -> "_Rim | None":
        """None where the photo shows nothing, or ends before the object does."""
        alpha = np.pad(photo.pixels[..., 3].astype(np.float64), ((0, 1), (0, 0)))
        mask = alpha >= 128
        columns = np.flatnonzero(mask.any(axis=0))
        if not len(columns) or mask[0].any() or mask[:, [0, -1]].any():
            return None
        top = mask[:, columns].argmax(axis=0)
        under = ~mask[:, columns] & (np.arange(len(mask))[:, None] > top)
        bottom = under.argmax(axis=0) - 1
        return cls(
            photo,
            columns.astype(np.float64) + 0.5,
            top + 0.5 - _to_edge(alpha[top, columns], alpha[top - 1, columns]),
            bottom + 0.5 + _to_edge(alpha[bottom, columns], alpha[bottom + 1, columns]),
            np.array([_end(alpha, columns[0], -1), _end(alpha, columns[-1], 1)]),
        )

    @property
    def width(self) -> float:
        """Of the silhouette, in the world."""
        return len(self.columns) * self.photo.pixel_size

    def heights(self, hull: Field, grid: Grid) -> tuple[Float64Array, Float64Array]:
        """Of the object in each column (N,): the least that its top can have, the greatest that its underside can."""
        uppermost = np.stack([self.columns, self.top + 0.5], axis=1)
        lowest = np.stack([self.columns, self.bottom - 0.5], axis=1)
        return (
            heights_inside(hull, grid, self.photo, uppermost)[0],
            heights_inside(hull, grid, self.photo, lowest)[1],
        )


def find_plate(photos: Sequence[View], hull: DistanceFunction, yaws: Sequence[float] = ()) -> Plate | None:
    """The plate on top of a body that has the visual hull `hull`; None where its top is none.

    `yaws`, in radians: of the normals of mirror planes, if they are known.
    """
    rims = [_Rim.of(photo) for photo in photos if photo.camera.elevation <= MAX_ELEVATION]
    seen = [rim for rim in rims if rim]
    box = bounding_box(hull, 1.0)
    if len(seen) < max(len(rims), MIN_PHOTOS) or box is None:
        return None
    grid = Grid.around(*box, RESOLUTION, PADDING)
    field = hull(grid)
    tops, undersides = zip(*(rim.heights(field, grid) for rim in seen), strict=True)
    middle = np.median([np.median(top) for top in tops])
    if not np.isfinite(middle):  # rays miss the hull
        return None
    level = [np.abs(top - middle) < LEVEL * grid.voxel for top in tops]
    if min(each.mean() for each in level) < MIN_LEVEL_SHARE:
        return None
    high = float(np.quantile(np.concatenate([top[each] for top, each in zip(tops, level, strict=True)]), HIGH_QUANTILE))
    near = [under > high - MAX_THICKNESS * rim.width for under, rim in zip(undersides, seen, strict=True)]
    free = [_from_ends(each) for each in near]
    if not all(_sticks_out(each) for each in free):
        return None
    low = float(np.median(np.concatenate([under[each] for under, each in zip(undersides, free, strict=True)])))
    if low >= high:
        return None
    plate = _outlined(low, high, seen, free, yaws)
    # Photos from steeply above may show a hole.
    return None if plate is None or (field[plate.solid(grid) < 0] > LEVEL).any() else plate


def _outlined(
    low: float, high: float, rims: Sequence[_Rim], free: Sequence[Mask], yaws: Sequence[float]
) -> Plate | None:
    """The plate about between two heights that matches the rims; None where plates of other outlines do so as well.

    free: of each rim, the columns (N,) that show the plate's underside.
    """

    def matching(plates: Sequence[Plate], turns: bool = False) -> list[Plate]:
        fitted = [_fitted(plate, rims, free, turns) for plate in plates]
        return [plate for plate, error in sorted(fitted, key=lambda each: each[1]) if error < MAX_ERROR]

    discs = matching([Plate(low, high, "disc")])
    several = count_directions([rim.photo.camera for rim in rims]) >= MIN_DIRECTIONS
    if discs and several:  # no rectangle is equally wide from so many sides, but by chance
        return discs[0]
    # A plane of symmetry is normal to a side or, of a square, lies on a diagonal.
    known = matching([Plate(low, high, "rectangle", yaw=yaw) for yaw in yaws])
    diagonal = matching([Plate(low, high, "rectangle", yaw=yaw + np.pi / 4.0) for yaw in yaws])
    rectangles = known + [plate for plate in diagonal if abs(plate.half[0] - plate.half[1]) < ALIKE]
    if not rectangles and (discs or len(rims) >= MIN_FREE_PHOTOS):
        rectangles = matching([Plate(low, high, "rectangle", yaw=yaw) for yaw in FREE_YAWS], turns=True)
    found = [*rectangles, *discs]
    return found[0] if found and all(_alike(found[0], each) for each in found[1:]) else None


def _alike(one: Plate, other: Plate) -> bool:
    """Whether two outlines lie within ALIKE of each other."""
    return all(a.outside(*b.corners().T).max() < ALIKE for a, b in ((one, other), (other, one)))


def _fitted(plate: Plate, rims: Sequence[_Rim], free: Sequence[Mask], turns: bool) -> tuple[Plate, float]:
    """The plate of this kind that matches the rims best, and what these are off, in reference pixels."""

    def made(values: Float64Array) -> Plate:
        low, high, x, y, *sides = values.tolist()
        yaw = sides.pop() if turns else plate.yaw
        return replace(plate, low=low, high=high, centre=(x, y), half=(sides[0], sides[-1]), yaw=yaw)

    def differences(values: Float64Array) -> Float64Array:
        each = (_differences(made(values), *pair) for pair in zip(rims, free, strict=True))
        return np.concatenate([np.concatenate([END_WEIGHT * ends, top, underside]) for ends, top, underside in each])

    size = min(rim.width for rim in rims) / 2.0
    sides = [size] if plate.kind == "disc" else [size, size]
    start = np.array([plate.low, plate.high, 0.0, 0.0, *sides, *([plate.yaw] if turns else [])])
    best = made(least_squares(differences, start, loss="soft_l1", x_scale=0.01, max_nfev=MAX_EVALUATIONS).x)
    found = [_differences(best, *pair) for pair in zip(rims, free, strict=True)]
    ends, tops, undersides = (np.abs(np.concatenate(part)) for part in zip(*found, strict=True))
    shares = float(np.quantile(tops, TOP_SHARE)), float(np.quantile(undersides, UNDERSIDE_SHARE))
    return best, max(float(ends.max()), *shares)


def _differences(plate: Plate, rim: _Rim, free: Mask) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Of a plate's picture and a rim, in reference pixels: at the ends (2,), at the top (N,), at the underside (M,)."""
    outline, height = plate.corners(), rim.photo.height
    rings = [
        project(rim.photo.camera, np.column_stack([outline, np.full(len(outline), z)]), rim.photo.width, height)[0]
        for z in (plate.high, plate.low)
    ]
    across = np.concatenate(rings)[:, 0]
    first, last = (share * (len(free) - 1) for share in COMPARED_RANGE)
    some = np.unique(np.linspace(first, last, COMPARED).astype(int))
    under = np.flatnonzero(free)
    under = under[np.unique(np.linspace(0, len(under) - 1, COMPARED).astype(int))]
    top = -_lowest(rings[0] * (1.0, -1.0), rim.columns[some]) - rim.top[some]
    bottom = _lowest(rings[1], rim.columns[under]) - rim.bottom[under]
    scale = height / VIEW_SIZE
    return (np.array([across.min(), across.max()]) - rim.ends) / scale, top / scale, bottom / scale


def _lowest(ring: Float64Array, columns: Float64Array) -> Float64Array:
    """The greatest position down, in each column (M,), of a closed line (N, 2); beside it, that at its nearest end."""
    ahead = np.roll(ring, -1, axis=0)
    within = np.clip(columns, ring[:, 0].min() + 1e-6, ring[:, 0].max() - 1e-6)[:, None]
    run = ahead[:, 0] - ring[:, 0]
    share = (within - ring[:, 0]) / np.where(np.abs(run) < 1e-9, 1e-9, run)
    down = ring[:, 1] + share * (ahead[:, 1] - ring[:, 1])
    lowest: Float64Array = np.where((share >= 0.0) & (share <= 1.0), down, -np.inf).max(axis=1)
    return lowest


def _to_edge(inside: Float64Array, outside: Float64Array) -> Float64Array:
    """Pixels from the centre of one inside a silhouette to the edge, from the alpha of that pixel and of the next."""
    return np.clip((inside - 127.5) / (inside - outside), 0.0, 1.0)


def _end(alpha: Float64Array, column: int, step: int) -> float:
    """The outermost position across of an edge, from the last column that has pixels of the silhouette."""
    rows = alpha[:, column] >= 128
    return column + 0.5 + step * float(_to_edge(alpha[rows, column], alpha[rows, column + step]).max())


def _from_ends(mask: Mask) -> Mask:
    """Of a mask (N,), what is true from one of its ends on."""
    return np.logical_and.accumulate(mask) | np.logical_and.accumulate(mask[::-1])[::-1]


def _sticks_out(free: Mask) -> bool:
    """Whether the columns (N,) at both ends show a plate's underside, and others what it lies on."""
    least = max(1, round(MIN_OVERHANG * len(free)))
    return bool(free[:least].all() and free[-least:].all() and np.count_nonzero(~free) >= least)

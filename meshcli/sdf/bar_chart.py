"""A bar's surface as a function: its radius by the way along the axis and the angle around it, and that made smooth.

Smoothed along the axis alone: a tensor product of linear splines along and cubic ones around, with penalties on second
differences (Eilers and Marx 1996) and weights that leave outliers aside. With a strong penalty the radius is linear
along the axis: a prism, a cylinder, a cone, of whatever section.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.sparse import coo_array, csgraph, csr_array, diags_array, eye_array, kron
from scipy.spatial import cKDTree

from meshcli.arrays import Array, Float64Array
from meshcli.sdf.bars import OFF_AXIS, Bar, Surface, across
from meshcli.system.numba_kernel import kernel

ANGLES = 32  # knots around a bar
KNOTS_PER_WIDTH = 4.0  # along it
AROUND_STIFFNESS = 0.15  # knots: shorter waves around a bar are noise; more rounds off the edges of legs
ROUNDS = 3  # of the weights of outliers
OUTLIER = 3.0  # median deviations
TINY = 1e-6  # penalty on everything, so that knots without vertices are determined; smallest deviation, world units
MAX_STEP = 1.2  # widths between neighbouring middles of a curved bar
SAME_SIDE = 0.15  # widths from the smooth bar: what is farther away, in joints, is something else
MAX_BESIDE = 4.0  # of these, beyond which nothing moves
FADE = 0.5  # widths before a joint over which moves set in
CLOSED = 0.8  # widths: an end whose cap is nearer is free
NEAR_AXIS, BESIDE_AXIS = 0.9, 0.5  # cosines of a normal and the axis: no move from the first on, all below the other


@dataclass(frozen=True)
class Chart:
    """The vertices of a mesh that are on a bar or beside its joints, in the bar's coordinates."""

    rows: Array  # (N,) of the mesh's vertices
    on_bar: Array  # (N,) whether each is on the bar itself
    knots: int  # along the axis
    length: float  # world units
    width: float
    radius: Float64Array  # (N,) from the axis, of a section made as wide as it is high
    outward: Float64Array  # (N, 3) where each moves as its radius grows
    normals: Float64Array  # (N, 3)
    share: Float64Array  # (N,) of a move that a vertex makes, by its normal and how near a joint is
    basis: csr_array  # (N, knots * ANGLES) radii at the vertices from those at the knots

    @classmethod
    def of(cls, bar: Bar, surface: Surface) -> Self | None:
        """None where the middles of a bar are no curve, or its vertices far from it."""
        axis = _Axis.of(bar)
        if axis is None:
            return None
        own = surface.points[bar.vertices]
        along = axis.locate(own).along
        start, length = float(along.min()), float(np.ptp(along))
        ends, directions = axis.ends(start, start + length)
        free = surface.scene.cast(ends, directions).depths < CLOSED * bar.width
        low, high = own.min(axis=0) - bar.width, own.max(axis=0) + bar.width
        rows = np.flatnonzero(((surface.points > low) & (surface.points < high)).all(axis=1))
        place = axis.locate(surface.points[rows])
        along = place.along - start
        beyond = CLOSED * bar.width * free
        inside = (along >= -beyond[0]) & (along <= length + beyond[1]) & (place.radius < 2 * bar.width)
        rows, along, place = rows[inside], along[inside], place.at(inside)
        on_bar = np.isin(rows, bar.vertices)
        if not on_bar.any():
            return None
        place = place.as_round(on_bar)
        knots = max(4, round(length / bar.width * KNOTS_PER_WIDTH) + 1)
        basis = _basis(along / length * (knots - 1), place.angle, knots)
        normals = surface.normals[rows]
        lean = np.abs(np.einsum("nk,nk->n", normals, place.tangent))
        share = np.clip((NEAR_AXIS - lean) / (NEAR_AXIS - BESIDE_AXIS), 0.0, 1.0)
        share *= np.clip(2.0 * np.einsum("nk,nk->n", normals, place.outward), 0.0, 1.0)
        for way, is_free in zip((along, length - along), free, strict=True):
            near = np.ones(len(way)) if is_free else np.clip(way / (FADE * bar.width), 0.0, 1.0)
            share *= near * near * (3.0 - 2.0 * near)
        return cls(rows, on_bar, knots, length, bar.width, place.radius, place.outward, normals, share, basis)

    def smooth(self, wave: float, offset: Float64Array, weight: Float64Array) -> Float64Array:
        """Radii (N,) without waves much shorter than 2 pi times `wave`, in world units.

        Vertices on the bar want to stay where they are, and those with a `weight` (N,) also to be `offset` (N,) farther
        out along their normals, with that weight.
        """
        basis, radius = self.basis[self.on_bar], self.radius[self.on_bar]
        slope = np.einsum("nk,nk->n", self.normals, self.outward)[self.on_bar]
        wanted = radius + offset[self.on_bar] / np.maximum(slope, 0.5)
        weight = weight[self.on_bar]
        penalty = self._penalty(wave * (self.knots - 1) / self.length)
        kept, asked = np.ones(len(radius)), weight
        for _ in range(ROUNDS):
            matrix = basis.T @ diags_array(kept + asked) @ basis + penalty
            radii = _solve_banded(matrix, basis.T @ (kept * radius + asked * wanted))
            found = basis @ radii
            scale = OUTLIER * float(np.median(np.abs(found - radius))) + TINY
            kept = 1.0 / (1.0 + ((found - radius) / scale) ** 2)
            asked = weight / (1.0 + ((found - wanted) / scale) ** 2)
        return self.basis @ radii

    def moves(self, smooth: Float64Array) -> Float64Array:
        """Moves (N, 3) to smooth radii (N,), of those vertices that are about there."""
        away = np.abs(smooth - self.radius) / (SAME_SIDE * self.width)
        share = np.where(away < MAX_BESIDE, self.share / (1.0 + away**4), 0.0)
        return (share * (smooth - self.radius))[:, None] * self.outward

    def _penalty(self, wave: float) -> csr_array:
        """Of second differences along, of waves in knots, and around."""
        around = np.eye(ANGLES) * -2.0 + np.roll(np.eye(ANGLES), 1, axis=0) + np.roll(np.eye(ANGLES), -1, axis=0)
        bend = diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(self.knots - 2, self.knots))
        size = self.knots * ANGLES
        along = kron(wave**4 * (bend.T @ bend), eye_array(ANGLES))
        round_about = kron(eye_array(self.knots), csr_array(AROUND_STIFFNESS**2 * (around.T @ around)))
        density = np.count_nonzero(self.on_bar) / size
        return csr_array(density * (along + round_about + TINY * eye_array(size)))


@dataclass(frozen=True)
class _Places:
    """Points in the coordinates of an axis."""

    along: Float64Array  # (N,) world units
    first: Float64Array  # (N,) across the axis, in its frame
    second: Float64Array  # (N,)
    outward: Float64Array  # (N, 3) unit vectors
    tangent: Float64Array  # (N, 3)
    across: Float64Array  # (2, N, 3) the frame

    @property
    def radius(self) -> Float64Array:
        """Distances (N,) from the axis."""
        return np.hypot(self.first, self.second)

    def at(self, chosen: Array) -> "_Places":
        """Some of them."""
        flat = (self.along[chosen], self.first[chosen], self.second[chosen])
        return _Places(*flat, self.outward[chosen], self.tangent[chosen], self.across[:, chosen])

    @property
    def angle(self) -> Float64Array:
        """Angles (N,) around the axis."""
        return np.arctan2(self.second, self.first)

    def as_round(self, typical: Array) -> "_Places":
        """Stretched across the axis so that the section of `typical` points is as wide as it is high.

        `outward` is then where a point moves, in world units, as its radius grows by one.
        """
        x, y = self.first[typical], self.second[typical]
        values, vectors = np.linalg.eigh([[np.mean(x * x), np.mean(x * y)], [np.mean(x * y), np.mean(y * y)]])
        stretch = np.maximum(values, TINY**2) ** -0.5 * float(values.prod()) ** 0.25
        matrix = (vectors * stretch) @ vectors.T
        first, second = matrix @ [self.first, self.second]
        radius = np.maximum(np.hypot(first, second), TINY)
        back = np.linalg.inv(matrix) @ [first / radius, second / radius]
        outward = back[0][:, None] * self.across[0] + back[1][:, None] * self.across[1]
        return _Places(self.along, first, second, outward, self.tangent, self.across)


@dataclass(frozen=True)
class _Axis:
    """A polyline; its ends go on straight."""

    points: Float64Array  # (K, 3)

    @classmethod
    def of(cls, bar: Bar) -> Self | None:
        """A straight one through the middles or else a smooth curve; None where they are neither."""
        if bar.is_straight():
            origin, axis = bar.line()
            along = (bar.middles - origin) @ axis
            return cls(origin + np.outer([along.min(), along.max()], axis))
        pairs = cKDTree(bar.middles).query_pairs(MAX_STEP * bar.width, output_type="ndarray")
        steps = np.linalg.norm(bar.middles[pairs[:, 0]] - bar.middles[pairs[:, 1]], axis=1)
        graph = csr_array(coo_array((steps + TINY, tuple(pairs.T)), shape=(len(bar.middles),) * 2))
        way = _ways(graph, 0)
        if not np.isfinite(way).all():
            return None
        way = _ways(graph, int(way.argmax()))
        for _ in range(2):
            count = max(4, round(float(way.max()) / bar.width * KNOTS_PER_WIDTH) + 1)
            curve = cls(_local_lines(way, bar.middles, np.linspace(0.0, way.max(), count), bar.width))
            places = curve.locate(bar.middles)
            way = places.along - places.along.min()
        return curve if np.quantile(places.radius, 0.8) < 2.0 * OFF_AXIS * bar.width else None

    @cached_property
    def _lengths(self) -> Float64Array:
        """Of the pieces (K - 1,)."""
        return np.asarray(np.linalg.norm(np.diff(self.points, axis=0), axis=1))

    @cached_property
    def _frames(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Unit vectors (K - 1, 3) along each piece and across it, which turn as little as they can."""
        tangents = np.diff(self.points, axis=0) / self._lengths[:, None]
        first = np.empty_like(tangents)
        first[0] = across(tangents[:1])[0][0]
        for row in range(1, len(tangents)):
            turned = first[row - 1] - (first[row - 1] @ tangents[row]) * tangents[row]
            first[row] = turned / np.linalg.norm(turned)
        return tangents, first, np.cross(tangents, first)

    def locate(self, points: Float64Array) -> _Places:
        """Points (N, 3) in the coordinates of the axis."""
        tangents, first, second = self._frames
        ways = np.concatenate([[0.0], np.cumsum(self._lengths)[:-1]])
        count = min(3, len(tangents))
        near = cKDTree((self.points[1:] + self.points[:-1]) / 2).query(points, k=count)[1].reshape(len(points), count)
        step = np.einsum("nck,nck->nc", points[:, None] - self.points[near], tangents[near])
        low, high = np.where(near == 0, -np.inf, 0.0), np.where(near == len(tangents) - 1, np.inf, self._lengths[near])
        step = np.clip(step, low, high)
        offsets = points[:, None] - self.points[near] - step[..., None] * tangents[near]
        best = (np.arange(len(points)), np.linalg.norm(offsets, axis=2).argmin(axis=1))
        piece, offset = near[best], offsets[best]
        x, y = (np.einsum("nk,nk->n", offset, side[piece]) for side in (first, second))
        outward = x[:, None] * first[piece] + y[:, None] * second[piece]
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), TINY)
        return _Places(
            (ways[near] + step)[best], x, y, outward, tangents[piece], np.stack([first[piece], second[piece]])
        )

    def ends(self, start: float, end: float) -> tuple[Float64Array, Float64Array]:
        """The points (2, 3) that far along the first and the last piece, and the directions (2, 3) out of them."""
        tangents, total = self._frames[0], self._lengths.sum()
        points = np.stack([self.points[0] + start * tangents[0], self.points[-1] + (end - total) * tangents[-1]])
        return points, np.stack([-tangents[0], tangents[-1]])


def _ways(graph: csr_array, start: int) -> Float64Array:
    """Lengths (N,) of the shortest ways from a node."""
    return np.asarray(csgraph.dijkstra(graph, directed=False, indices=start))  # type: ignore[call-overload]


def _basis(along: Float64Array, angle: Float64Array, knots: int) -> csr_array:
    """Values (N, knots * ANGLES) of the splines at places `along` in knots and angles in radians, each (N,)."""
    place = np.clip(along, 0.0, knots - 1)
    left = np.minimum(place.astype(int), knots - 2)
    turn = angle / (2 * np.pi) % 1.0 * ANGLES
    low, u, v = np.floor(turn).astype(int), place - left, turn - np.floor(turn)
    cubic = [(1 - v) ** 3, 3 * v**3 - 6 * v**2 + 4, -3 * v**3 + 3 * v**2 + 3 * v + 1, v**3]
    columns = [(left + side) * ANGLES + (low + k - 1) % ANGLES for side in (0, 1) for k in range(4)]
    values = [share * weight / 6 for share in (1 - u, u) for weight in cubic]
    rows = np.tile(np.arange(len(along)), 8)
    return coo_array(
        (np.concatenate(values), (rows, np.concatenate(columns))), shape=(len(along), knots * ANGLES)
    ).tocsr()


def _solve_banded(matrix: csr_array, right_side: Float64Array) -> Float64Array:
    """The solution (N,) of a symmetric, positive definite system (N, N) whose entries are near the diagonal."""
    entries = matrix.tocoo()
    lower = entries.row >= entries.col
    row, column = entries.row[lower], entries.col[lower]
    banded = np.zeros((len(right_side), int((row - column).max()) + 1))
    banded[column, row - column] = entries.data[lower]
    solution = right_side.copy()
    _eliminate(banded, solution)
    return solution


@kernel()
def _eliminate(banded: Array, solution: Array) -> None:
    """Solve by Cholesky factorisation, in place: banded[j, d] is the entry in row j + d and column j.

    Unlike LAPACK's, it never waits for other threads.
    """
    size, width = banded.shape
    for j in range(size):
        reach = min(width, size - j)
        banded[j, 0] = np.sqrt(banded[j, 0])
        solution[j] /= banded[j, 0]
        for d in range(1, reach):
            banded[j, d] /= banded[j, 0]
            solution[j + d] -= banded[j, d] * solution[j]
        for d in range(1, reach):
            factor = banded[j, d]
            if factor != 0.0:
                for e in range(d, reach):
                    banded[j + d, e - d] -= factor * banded[j, e]
    for j in range(size - 1, -1, -1):
        for d in range(1, min(width, size - j)):
            solution[j] -= banded[j, d] * solution[j + d]
        solution[j] /= banded[j, 0]


def _local_lines(way: Float64Array, values: Float64Array, places: Float64Array, reach: float) -> Float64Array:
    """Local linear regression (K, 3) of values (N, 3) on `way` (N,) at places (K,), with Gaussian weights."""
    offset = way - places[:, None]
    weight = np.exp(-0.5 * (offset / reach) ** 2)
    sums = [(weight * offset**power).sum(axis=1)[:, None] for power in range(3)]
    first, second = weight @ values, (weight * offset) @ values
    return np.asarray((sums[2] * first - sums[1] * second) / np.maximum(sums[0] * sums[2] - sums[1] ** 2, 1e-30))

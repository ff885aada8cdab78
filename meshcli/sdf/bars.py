"""Bars: the long thin parts of a surface, such as legs, rungs and slats, each with its section along its length.

A point is in a bar where flights from the middle of the body are long along one axis and short across it. The middle is
half way to the opposite side (the shape diameter of Shapira, Shamir and Cohen-Or 2008), the axis the principal one of
the squared flights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csgraph, csr_array
from scipy.spatial import cKDTree

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.meshes.mesh import adjacency, smooth_normals
from meshcli.meshes.raycasting import Scene, even_directions

MAX_WIDTH = 0.2  # world units; objects reach to 0.95
MIN_SLENDERNESS = 2.5  # lengths in widths
MIN_STUB = 0.6  # widths: of a part that continues another one beyond a joint
MAX_GAP = 1.5  # widths: of such a joint
ALIKE = 0.25  # relative difference of the widths of two parts of one bar
OFF_AXIS = 0.15  # widths that nearly all of the middles of a straight bar may be off its axis
MAX_SPREAD = 3.0  # of the radii of a section, largest over median
CELL = 3.0  # edges of the mesh: middles in the same cell are one, and bars are wider
FLIGHTS, FAR = 160, 4.0  # directions; widths at which flights are cut off
MIN_ELONGATION = 2.0  # first over second eigenvalue of the squared flights
MAX_LEAN = 0.6  # cosine between a normal and the axis: beyond it the surface closes the bar, or flares into a joint
SECTION_RAYS = 16
SHARE_ROUNDS, MIN_SHARE = 4, 0.6  # of averaging over neighbours, and the share of a bar's vertices among them
MIN_MIDDLES = 4  # of a bar, and of a line through some of them
PARALLEL, MIN_LINE = 0.8, 6.0  # cosine of axes of one bar, and first over second variance of middles on a line
NORMAL_EDGES = 2.0  # edges over which normals are averaged
OFFSET = 1e-4  # world units that rays start inside
FAR_AWAY = 10.0  # world units


@dataclass(frozen=True)
class Bar:
    """One long thin part."""

    vertices: Array  # (N,) rows of the mesh's vertices on its sides
    middles: Float64Array  # (M, 3) centroids of its sections
    width: float  # diameter of a circle of the section's area, world units

    def line(self) -> tuple[Float64Array, Float64Array]:
        """A point (3,) on the axis that fits most of the middles best, and its direction (3,)."""
        return fit_line(self.middles, OFF_AXIS * self.width)

    def is_straight(self) -> bool:
        """Whether nearly all of its middles are close to one line."""
        return _on_line(self.middles, self.line(), OFF_AXIS * self.width)


@dataclass(frozen=True)
class _Middles:
    """Points in the middle of a body's thin parts, and the sections there."""

    places: Float64Array  # (K, 3) centroids of the sections
    axes: Float64Array  # (K, 3)
    widths: Float64Array  # (K,)
    in_bars: Mask  # (K,) those that are long one way and short the others


@dataclass(frozen=True)
class Surface:
    """A closed triangle mesh and what is asked of it again and again."""

    points: Float64Array  # (V, 3)
    faces: Array  # (F, 3) counter-clockwise seen from outside
    normals: Float64Array  # (V, 3), averaged over a few edges
    neighbours: csr_array  # (V, V) 1 where two vertices share an edge
    scene: Scene
    edge: float  # mean length, world units

    @classmethod
    def of(cls, vertices: Array, faces: Array) -> Self:
        """Of vertices (V, 3) and faces (F, 3)."""
        points = np.asarray(vertices, np.float64)
        edge = float(np.linalg.norm(points[faces[:, 0]] - points[faces[:, 1]], axis=1).mean())
        normals = smooth_normals(points.astype(np.float32), faces, NORMAL_EDGES * edge).astype(np.float64)
        return cls(points, faces, normals, adjacency(faces, len(points)), Scene(points, faces), edge)

    def mean_around(self, values: Array) -> Array:
        """Means (V, ...) over the neighbours of each vertex."""
        return ((self.neighbours @ values).T / np.maximum(self.neighbours.sum(axis=1), 1)).T


def find_bars(surface: Surface) -> list[Bar]:
    """The bars of a surface, longest first."""
    points, normals, edge = surface.points, surface.normals, surface.edge
    depths = surface.scene.cast(points - OFFSET * normals, -normals).depths
    thickness = OFFSET + depths.astype(np.float64)
    thin = np.flatnonzero(thickness < MAX_WIDTH)
    if not len(thin):
        return []
    inner = points[thin] - 0.5 * thickness[thin, None] * normals[thin]
    cells = np.unique(np.floor(inner / (CELL * edge)).astype(np.int64), axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(cells)
    means = [np.bincount(cells, values) / count for values in (*inner.T, thickness[thin])]
    middles = _refined(surface.scene, np.stack(means[:3], axis=1), means[3], CELL * edge)
    cell = np.full(len(points), -1)
    cell[thin] = np.where(middles.in_bars[cells], cells, -1)
    lean = np.abs(np.einsum("nk,nk->n", normals, middles.axes[cell]))
    cell[lean > MAX_LEAN] = -1
    share = (cell >= 0).astype(np.float64)
    for _ in range(SHARE_ROUNDS):
        share = 0.5 * (share + surface.mean_around(share))
    cell[share < MIN_SHARE] = -1
    chosen = np.flatnonzero(cell >= 0)
    if not len(chosen):
        return []
    _, part = csgraph.connected_components(surface.neighbours[chosen][:, chosen], directed=False)
    order = np.argsort(part, kind="stable")
    pieces = [_bar(chosen[rows], cell, middles) for rows in np.split(order, np.cumsum(np.bincount(part))[:-1])]
    return list(_joined([piece for piece in pieces if len(piece.middles) >= MIN_MIDDLES]))


def _bar(rows: Array, cell: Array, middles: _Middles) -> Bar:
    """The bar of some vertices, given for each of all vertices the row of its middle."""
    own = np.unique(cell[rows])
    return Bar(rows, middles.places[own], float(np.median(middles.widths[own])))


def _joined(pieces: list[Bar]) -> Iterator[Bar]:
    """The pieces that are long, each with those that continue it on the same line beyond a joint."""
    pieces = sorted(pieces, key=lambda piece: -_length(piece))
    taken = [False] * len(pieces)
    for index, piece in enumerate(pieces):
        if taken[index]:
            continue
        whole = piece
        if piece.is_straight():
            for other in range(index + 1, len(pieces)):
                if not taken[other] and _continues(pieces[other], whole):
                    taken[other] = True
                    whole = _sum(whole, pieces[other])
        if _length(whole) >= MIN_SLENDERNESS * whole.width:
            yield whole


def _sum(one: Bar, other: Bar) -> Bar:
    """Two parts of one bar; as wide as the first."""
    vertices = np.concatenate([one.vertices, other.vertices])
    return Bar(vertices, np.concatenate([one.middles, other.middles]), one.width)


def _continues(stub: Bar, bar: Bar) -> bool:
    """Whether a part is as wide as a straight bar, on its axis, and no farther from it than a joint is long."""
    origin, axis = bar.line()
    along, beside = (bar.middles - origin) @ axis, (stub.middles - origin) @ axis
    gap = max(beside.min() - along.max(), along.min() - beside.max())
    return bool(
        abs(stub.width - bar.width) < ALIKE * bar.width
        and np.ptp(beside) > MIN_STUB * bar.width
        and 0 < gap < MAX_GAP * bar.width
        and _on_line(stub.middles, (origin, axis), OFF_AXIS * bar.width)
    )


def _length(bar: Bar) -> float:
    """The longest extent of a bar's middles, in world units."""
    return float(np.ptp((bar.middles - bar.middles.mean(axis=0)) @ bar.line()[1]))


def fit_line(points: Float64Array, scale: float) -> tuple[Float64Array, Float64Array]:
    """A point and the direction of the line nearest to points (N, 3); those farther than `scale` count less."""
    weights = np.ones(len(points))
    for _ in range(5):
        origin = weights @ points / weights.sum()
        offsets = points - origin
        axis = np.linalg.eigh((offsets * weights[:, None]).T @ offsets)[1][:, 2]
        distances = np.linalg.norm(offsets - (offsets @ axis)[:, None] * axis, axis=1)
        weights = 1.0 / (1.0 + (distances / scale) ** 2) ** 2
    return origin, axis


def _on_line(points: Float64Array, line: tuple[Float64Array, Float64Array], distance: float) -> bool:
    """Whether four fifths of the points (N, 3) are within a distance from a line."""
    offsets = points - line[0]
    off = np.linalg.norm(offsets - (offsets @ line[1])[:, None] * line[1], axis=1)
    return bool(np.quantile(off, 0.8) <= distance)


def _refined(scene: Scene, places: Float64Array, thickness: Float64Array, cell: float) -> _Middles:
    """Middles (K, 3) with their axes and sections."""
    squares = np.zeros((len(places), 3, 3))
    for direction in even_directions(FLIGHTS):
        depths = scene.cast(places, np.broadcast_to(direction, places.shape)).depths
        flights = np.minimum(depths.astype(np.float64), FAR * thickness)
        squares += (flights**2)[:, None, None] * np.outer(direction, direction)
    values, vectors = np.linalg.eigh(squares)
    axes, in_bars = vectors[:, :, 2], values[:, 2] > MIN_ELONGATION * values[:, 1]
    places, widths, compact = _sections(scene, places, axes)
    in_bars &= compact
    axes = _along_middles(places, axes, widths, in_bars, cell)
    places, widths, compact = _sections(scene, places, axes)
    ends = scene.cast(np.concatenate([places, places]), np.concatenate([axes, -axes])).depths.reshape(2, -1)
    length = np.minimum(ends, FAR_AWAY).sum(axis=0)
    in_bars &= compact & (widths > cell) & (widths < MAX_WIDTH) & (length > MIN_SLENDERNESS * widths)
    return _Middles(places, axes, widths, in_bars)


def _along_middles(places: Array, axes: Array, widths: Array, in_bars: Mask, cell: float) -> Float64Array:
    """Axes (K, 3) along the middles around each, where these are on a line."""
    rows = np.flatnonzero(in_bars)
    result = axes.copy()
    if not len(rows):
        return result
    tree = cKDTree(places[rows])
    for row, near in zip(rows, tree.query_ball_point(places[rows], 1.5 * widths[rows] + 2 * cell), strict=True):
        around = rows[near]
        around = around[np.abs(axes[around] @ axes[row]) > PARALLEL]
        if len(around) >= MIN_MIDDLES:
            offsets = places[around] - places[around].mean(axis=0)
            values, vectors = np.linalg.eigh(offsets.T @ offsets)
            if values[2] > MIN_LINE * values[1]:
                result[row] = vectors[:, 2]
    return result


def _sections(scene: Scene, places: Float64Array, axes: Float64Array) -> tuple[Float64Array, Float64Array, Mask]:
    """Centroids (K, 3), widths (K,) of the sections across axes, and whether each is compact."""
    first, second = across(axes)
    angles = np.arange(SECTION_RAYS) * (2 * np.pi / SECTION_RAYS)
    directions = np.cos(angles)[:, None] * first[:, None] + np.sin(angles)[:, None] * second[:, None]
    depths = scene.cast(np.repeat(places, SECTION_RAYS, axis=0), directions.reshape(-1, 3)).depths
    radii = np.minimum(depths.reshape(-1, SECTION_RAYS), FAR_AWAY).astype(np.float64)
    x, y = radii * np.cos(angles), radii * np.sin(angles)
    after_x, after_y = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    doubled = x * after_y - after_x * y  # areas of the triangles between two rays
    area = np.maximum(doubled.sum(axis=1), 1e-12) / 2
    shift_x, shift_y = ((a + b) * doubled for a, b in ((x, after_x), (y, after_y)))
    shift = [shifts.sum(axis=1, keepdims=True) / (6 * area[:, None]) for shifts in (shift_x, shift_y)]
    compact = radii.max(axis=1) < MAX_SPREAD * np.median(radii, axis=1)
    return places + shift[0] * first + shift[1] * second, 2 * np.sqrt(area / np.pi), compact


def across(axes: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Two unit vectors (N, 3) each, perpendicular to unit vectors (N, 3) and to each other."""
    other = np.eye(3)[np.abs(axes).argmin(axis=1)]
    first = np.cross(axes, other)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    return first, np.cross(axes, first)

"""What silhouettes show and a fitted body has lost: thin and small parts, and joints that tore.

A coarse grid blurs away what is thinner than about three of its voxels, smoothing wears off what is thin, and colours
that disagree tear it. Silhouettes tell all three: pixels of an object that no ray finds any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    distance_transform_edt,
    label,
    maximum_filter,
)
from skimage.graph import MCP_Geometric

from meshcli.arrays import Mask
from meshcli.sdf.grid import Field, Grid, depth, redistance_interior
from meshcli.sdf.pixel_rays import in_lattice
from meshcli.sdf.volume_rendering import meets
from meshcli.views.projection import pixel_centres, project, rays
from meshcli.views.view import View

Labels = NDArray[np.int32]

LOST = 2.5  # pixels of a picture of 320 rows: what lies farther from everything that the body covers is lost
LEAST = 2.0  # pixels of any picture: where a rim lies is known no better
THICKNESS = 0.8  # voxels: how deep a part that comes back is at least, so that a grid can hold it
NARROW, WIDE = 1.5, 4.0  # voxels: radius of a joint that is put back
CORE = 1.2  # voxels: radius of a joint where the hull has no room for more
OUTSIDE = 1.5  # voxels outside the hull that a joint may run through
CRUMB = 20  # pixels of a picture of 320 rows: a piece that alone shows fewer in all views but one is no part
SEPARATE = 0.005  # of a silhouette's pixels: a smaller island in it is a speck
TOUCHING = np.ones((3, 3), bool)  # pixels that share a corner are connected, as the nodes' faces project


@dataclass(frozen=True)
class Silhouette:
    """One view's mask, its islands, and a ray through each of its pixels."""

    view: View
    mask: Mask  # (H, W)
    islands: Labels  # (H, W) 0 where there is nothing, or no more than a speck
    origins: NDArray[np.float32]  # (N, 3) of the mask's pixels, row by row
    directions: NDArray[np.float32]  # (N, 3)

    @classmethod
    def of(cls, view: View) -> "Silhouette":
        """The pixels that are at least half covered."""
        mask = view.pixels[..., 3] >= 128
        origins, directions = rays(view.camera, pixel_centres(view.width, view.height)[mask], view.width, view.height)
        islands, count = label(mask, TOUCHING)
        sizes = np.bincount(islands.ravel(), minlength=count + 1)
        islands[sizes[islands] < SEPARATE * mask.sum()] = 0
        return cls(view, mask, islands.astype(np.int32), origins.astype(np.float32), directions.astype(np.float32))

    @property
    def scale(self) -> float:
        """Pixels per pixel of a picture of 320 rows."""
        return float(self.mask.shape[0]) / 320

    def pixels_of(self, voxel: float) -> float:
        """How many pixels a length in the world covers at the distance of the origin."""
        camera = self.view.camera
        return float(camera.fy * self.mask.shape[0] * voxel / max(camera.distance, 1e-6))

    def covered(self, distance: Field, grid: Grid) -> Mask:
        """The pixels (H, W) of the mask whose rays meet the body."""
        lattice = in_lattice(self.origins, self.directions, grid)
        result = np.zeros(self.mask.shape, bool)
        result[self.mask] = meets(distance, lattice.origins, lattice.directions, lattice.spans, 0.0)
        return result

    def lost(self, distance: Field, grid: Grid, tolerance: float) -> Mask:
        """The pixels (H, W) of what the body lacks; rims that are worn off by a pixel or two do not count.

        Where silhouettes disagree by `tolerance` pixels a wider rim may be missing, but no more than half of what is
        thin there.
        """
        covered = self.covered(distance, grid)
        missing = self.mask & ~covered
        if not missing.any():
            return missing
        half = maximum_filter(distance_transform_edt(np.pad(self.mask, 1))[1:-1, 1:-1], 2 * int(self.scale * 6) + 1)
        least = max(LOST * self.scale, LEAST)
        reach = np.clip(half + 1, least, max(least, (tolerance + 1.5) * self.scale))
        away = distance_transform_edt(~covered) if covered.any() else np.full(covered.shape, np.inf)
        far = missing & (away >= reach)
        if not far.any():
            return far
        return missing & (np.asarray(distance_transform_edt(~far)) <= reach)

    def pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row and column (N, 2) of world points (N, 3), cut off at the picture's border, and whether they lie in it."""
        height, width = self.mask.shape
        places, ahead = project(self.view.camera, points, width, height)
        cells = np.floor(places[:, ::-1]).astype(np.int64)
        inside = (ahead > 1e-6) & (cells >= 0).all(axis=1) & (cells < (height, width)).all(axis=1)
        return np.clip(cells, 0, (height - 1, width - 1)), inside

    def footprint(self, points: NDArray[np.float64], voxel: float) -> Mask:
        """The pixels (H, W) that nodes of a grid, (N, 3) in the world, cover."""
        result = np.zeros(self.mask.shape, bool)
        cells, inside = self.pixels(points)
        result[tuple(cells[inside].T)] = True
        return binary_dilation(result, TOUCHING, max(1, round(self.pixels_of(voxel) / 2)))


def bring_back(
    distance: Field, hull: Field, grid: Grid, silhouettes: Sequence[Silhouette], tolerance: float
) -> tuple[Field, Field]:
    """The body with the lost parts as the hull has them, and the hull, as thick there as a grid can hold.

    A node of the hull belongs to a lost part if, of all the nodes on the ray of a lost pixel, it is lost in the
    largest number of views (votes as in space carving, Kutulakos and Seitz 2000).
    """
    lost = [each.lost(distance, grid, tolerance) for each in silhouettes]
    if not any(each.any() for each in lost):
        return distance, hull
    nodes = np.argwhere((hull < OUTSIDE) & (distance > -0.5))
    points = grid.to_world(nodes.astype(np.float64))
    seen = [each.pixels(points) for each in silhouettes]
    votes = np.zeros(len(nodes), np.float32)
    for picture, (cells, inside) in zip(lost, seen, strict=True):
        votes += picture[tuple(cells.T)] & inside
    enough = votes >= min(2, len(silhouettes) - 1)  # one view alone may be wrong about it
    votes -= np.maximum(hull[tuple(nodes.T)], 0)  # where no node is inside the hull, the nearest ones have to do
    chosen = np.zeros(len(nodes), bool)
    for each, picture, (cells, inside) in zip(silhouettes, lost, seen, strict=True):
        here = np.flatnonzero(picture[tuple(cells.T)] & inside)
        best = np.full(picture.shape, -np.inf, np.float32)
        np.maximum.at(best, tuple(cells[here].T), votes[here])
        best = maximum_filter(best, 2 * int(np.ceil(each.pixels_of(grid.voxel) / 2)) + 1)
        chosen[here[votes[here] >= best[tuple(cells[here].T)] - 0.3]] = True
    part = np.zeros(grid.shape, bool)
    part[tuple(nodes[chosen & enough].T)] = True
    part = binary_dilation(part)
    thick = _thickened(hull)
    hull = np.where(part, np.minimum(hull, thick), hull)
    return _repaired(np.where(part, np.minimum(distance, thick), distance)), hull


def join(
    distance: Field, hull: Field, grid: Grid, silhouettes: Sequence[Silhouette], tolerance: float
) -> tuple[Field, Field]:
    """One body where no silhouette shows several; pieces that no silhouette shows are gone, and so are caves.

    Joints run through the hull along the shortest way. Two pieces that lie in different islands of any silhouette
    stay apart.
    """
    distance = np.where(binary_fill_holes(distance < 0) & (distance >= 0), np.float32(-0.5), distance)
    pieces, count = label(distance < 0)
    if count < 2:
        return distance, hull
    places = [grid.to_world(np.argwhere(pieces == number).astype(np.float64)) for number in range(1, count + 1)]
    needed = _needed(places, grid, silhouettes, CRUMB * (1 + tolerance) ** 2)
    for number in range(1, count + 1):
        if not needed[number - 1]:
            distance = np.where(pieces == number, np.float32(0.5), distance)
    islands = np.array([[_island(each, points) for each in silhouettes] for points in places])  # (pieces, views)
    group = np.arange(count)  # pieces that are one by now have the same number
    order = sorted(np.flatnonzero(needed), key=lambda piece: len(places[piece]))
    ways = _costs(hull)
    for piece in order[:-1]:
        mine = np.flatnonzero(group == group[piece])
        others = [
            other
            for other in order
            if group[other] != group[piece] and not any(_apart(islands[other], islands[one]) for one in mine)
        ]
        path = _path(ways, np.isin(pieces, mine + 1), np.isin(pieces, np.array(others, int) + 1)) if others else None
        if path is None:
            continue
        distance, hull = _with_joint(distance, hull, path)
        group[group == group[piece]] = group[pieces[tuple(path[-1])] - 1]
    return _repaired(distance), hull


def _needed(
    places: Sequence[NDArray[np.float64]], grid: Grid, silhouettes: Sequence[Silhouette], crumb: float
) -> NDArray[np.bool_]:
    """Whether each piece, given by its nodes, shows in two silhouettes what no other does; the largest in any case."""
    shown = np.zeros((len(silhouettes), len(places)))
    for row, each in zip(shown, silhouettes, strict=True):
        prints = [each.footprint(points, grid.voxel) for points in places]
        total = np.sum(prints, axis=0)
        row[:] = [np.count_nonzero(one & each.mask & (total == 1)) / each.scale**2 for one in prints]
    needed: NDArray[np.bool_] = np.sort(shown, axis=0)[-min(2, len(silhouettes))] >= crumb
    needed[np.argmax([len(points) for points in places])] = True
    return needed


def _island(silhouette: Silhouette, points: NDArray[np.float64]) -> int:
    """The island of a silhouette that most of a piece's nodes lie in, 0 where they lie in none."""
    cells, inside = silhouette.pixels(points)
    counts = np.bincount(silhouette.islands[tuple(cells[inside].T)], minlength=2)
    return int(np.argmax(counts[1:])) + 1 if counts[1:].any() else 0


def _apart(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two pieces lie in different islands of a silhouette."""
    return bool(((one > 0) & (other > 0) & (one != other)).any())


def _costs(hull: Field) -> NDArray[np.float64]:
    """Of a joint through each node: its length, more outside the hull, and no way far outside."""
    costs = 1.0 + 5.0 * np.maximum(hull, 0).astype(np.float64)
    costs[hull > OUTSIDE] = -1.0  # what MCP takes for a wall
    return costs


def _path(costs: NDArray[np.float64], start: Mask, end: Mask) -> NDArray[np.int64] | None:
    """The cheapest way through nodes from one piece to another, (N, 3), both ends included."""
    seeking = MCP_Geometric(np.where(start | end, 0.01, costs))
    total, _ = seeking.find_costs(np.argwhere(start))
    reached = np.where(end, total, np.inf)
    last = np.unravel_index(int(np.argmin(reached)), reached.shape)
    return np.array(seeking.traceback(last)) if np.isfinite(reached[last]) else None


def _with_joint(distance: Field, hull: Field, path: NDArray[np.int64]) -> tuple[Field, Field]:
    """The body and the hull with a round joint along a path, as thick as the thinner of its ends."""
    deep = depth(distance)
    radius = float(np.clip(0.8 * min(deep[tuple(path[0])], deep[tuple(path[-1])]), NARROW, WIDE))
    line = np.ones(distance.shape, bool)
    line[tuple(path.T)] = False
    away = np.asarray(distance_transform_edt(line), np.float32)
    joint = np.maximum(away - radius, np.minimum(hull, away - np.float32(CORE)))
    return np.minimum(distance, joint), np.minimum(hull, joint)


def _thickened(hull: Field) -> Field:
    """The hull, deeper by what it lacks of THICKNESS."""
    lacking = np.clip(THICKNESS - maximum_filter(-hull, 3), 0, THICKNESS + OUTSIDE)
    return np.where(hull < OUTSIDE, hull - lacking, hull).astype(np.float32)


def _repaired(distance: Field) -> Field:
    """Distances again, after values were put together."""
    return redistance_interior(distance.astype(np.float32), 2)

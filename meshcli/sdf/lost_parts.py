"""Restores what silhouettes show and a fitted body has lost: thin and small parts, and torn joints.

A coarse grid blurs away parts thinner than about three of its voxels, smoothing erodes thin parts, and contradictory
colours tear them. Silhouettes reveal all three: object pixels whose rays miss the body.
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
from meshcli.pictures.pixels import EIGHT_CONNECTED, VIEW_SIZE
from meshcli.sdf.grid import Field, Grid, local_depth, redistance_interior
from meshcli.sdf.pixel_rays import to_lattice_rays
from meshcli.sdf.volume_rendering import rays_hit
from meshcli.views.projection import pixel_centres, project, rays
from meshcli.views.view import View

Labels = NDArray[np.int32]

# Chosen by eye on painted sheets and on the bodies of tests/sdf/test_lost_parts.py. Lower thresholds restore more and
# follow errors of the silhouettes; higher ones leave thin parts away.
LOST_DISTANCE = 2.5  # reference pixels (see VIEW_SIZE): pixels farther from all that the body covers are lost
MIN_LOST_DISTANCE = 2.0  # pixels of any picture: a rim is located no better
MIN_DEPTH = 0.8  # voxels: of a restored part, so that the grid can hold it
MIN_JOINT_RADIUS, MAX_JOINT_RADIUS = 1.5, 4.0  # voxels
JOINT_CORE_RADIUS = 1.2  # voxels: of a joint where the hull has no room for more
MAX_OUTSIDE = 1.5  # voxels outside the hull where parts and joints may run: the radius of the thinnest joint
OUTSIDE_COST = 5.0  # length of a joint's path that a voxel of distance from the hull is worth
MIN_PIECE_PIXELS = 20  # reference pixels: a piece must show as many of its own in two views
MIN_ISLAND_SHARE = 0.005  # of a silhouette's pixels: smaller islands are specks
VOTE_TOLERANCE = 0.3  # votes: nodes that are about as good as the best one on a ray are restored with it


@dataclass(frozen=True)
class Silhouette:
    """A view's mask, its connected components, and a ray through each of its pixels."""

    view: View
    mask: Mask  # (H, W)
    islands: Labels  # (H, W) component numbers from 1 on, 0 for background and specks
    origins: NDArray[np.float32]  # (N, 3) of the mask's pixels, row by row
    directions: NDArray[np.float32]  # (N, 3)

    @classmethod
    def of(cls, view: View) -> "Silhouette":
        """The pixels that are at least half covered."""
        mask = view.pixels[..., 3] >= 128
        origins, directions = rays(view.camera, pixel_centres(view.width, view.height)[mask], view.width, view.height)
        islands, count = label(mask, EIGHT_CONNECTED)
        sizes = np.bincount(islands.ravel(), minlength=count + 1)
        islands[sizes[islands] < MIN_ISLAND_SHARE * mask.sum()] = 0
        return cls(view, mask, islands.astype(np.int32), origins.astype(np.float32), directions.astype(np.float32))

    @property
    def scale(self) -> float:
        """Pixels per reference pixel."""
        return float(self.mask.shape[0]) / VIEW_SIZE

    def pixels_of(self, voxel: float) -> float:
        """Pixels that a world length covers at the distance of the origin."""
        camera = self.view.camera
        return float(camera.fy * self.mask.shape[0] * voxel / max(camera.distance, 1e-6))

    def covered(self, distance: Field, grid: Grid) -> Mask:
        """The pixels (H, W) of the mask whose rays hit the body."""
        lattice = to_lattice_rays(self.origins, self.directions, grid)
        result = np.zeros(self.mask.shape, bool)
        result[self.mask] = rays_hit(distance, lattice.origins, lattice.directions, lattice.spans, 0.0)
        return result

    def lost(self, distance: Field, grid: Grid, tolerance: float) -> Mask:
        """The pixels (H, W) of parts that the body lacks; rims eroded by a pixel or two do not count.

        Where silhouettes disagree by `tolerance` reference pixels a wider rim may be missing, but no more than half the
        width of a thin part.
        """
        covered = self.covered(distance, grid)
        missing = self.mask & ~covered
        if not missing.any():
            return missing
        half = maximum_filter(distance_transform_edt(np.pad(self.mask, 1))[1:-1, 1:-1], 2 * int(self.scale * 6) + 1)
        least = max(LOST_DISTANCE * self.scale, MIN_LOST_DISTANCE)
        rim = np.clip(half + 1, least, max(least, (tolerance + 1.5) * self.scale))
        distance_to_body = distance_transform_edt(~covered) if covered.any() else np.full(covered.shape, np.inf)
        lost = missing & (distance_to_body >= rim)
        if not lost.any():
            return lost
        return missing & (np.asarray(distance_transform_edt(~lost)) <= rim)

    def pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row and column (N, 2) of world points (N, 3), clamped to the picture, and whether they were inside it."""
        height, width = self.mask.shape
        positions, depth = project(self.view.camera, points, width, height)
        cells = np.floor(positions[:, ::-1]).astype(np.int64)
        inside = (depth > 1e-6) & (cells >= 0).all(axis=1) & (cells < (height, width)).all(axis=1)
        return np.clip(cells, 0, (height - 1, width - 1)), inside

    def footprint(self, points: NDArray[np.float64], voxel: float) -> Mask:
        """The pixels (H, W) covered by nodes of a grid, (N, 3) in the world."""
        result = np.zeros(self.mask.shape, bool)
        cells, inside = self.pixels(points)
        result[tuple(cells[inside].T)] = True
        return binary_dilation(result, EIGHT_CONNECTED, max(1, round(self.pixels_of(voxel) / 2)))


def restore_lost_parts(
    distance: Field, hull: Field, grid: Grid, silhouettes: Sequence[Silhouette], tolerance: float
) -> tuple[Field, Field]:
    """The body with its lost parts copied from the hull, and the hull, there made thick enough for the grid.

    A node of the hull belongs to a lost part if, among the nodes on the ray of a lost pixel, it is lost in the most
    views (voting as in space carving, Kutulakos and Seitz 2000).
    """
    lost = [each.lost(distance, grid, tolerance) for each in silhouettes]
    if not any(each.any() for each in lost):
        return distance, hull
    part = _vote(distance, hull, grid, silhouettes, lost)
    thick = _thickened(hull)
    hull = np.where(part, np.minimum(hull, thick), hull)
    return _redistanced(np.where(part, np.minimum(distance, thick), distance)), hull


@dataclass(frozen=True)
class JoinedPieces:
    """A body whose pieces are joined, and what became of those that floated."""

    distance: Field
    hull: Field  # with the joints
    joined: int = 0
    dropped: int = 0

    @property
    def sentence(self) -> str:
        """What became of the floating pieces, for the user; empty where there were none."""
        fates = [(self.joined, "joined to the body"), (self.dropped, "that no picture shows dropped")]
        return ", ".join(f"{count} floating piece{'s' * (count > 1)} {fate}" for count, fate in fates if count)


def join_pieces(
    distance: Field, hull: Field, grid: Grid, silhouettes: Sequence[Silhouette], tolerance: float
) -> JoinedPieces:
    """Join pieces that no silhouette shows apart, drop pieces that no silhouette shows, and fill enclosed cavities.

    Joints run through the hull along the shortest path. Two pieces in different islands of any silhouette stay
    separate.
    """
    distance = np.where(binary_fill_holes(distance < 0) & (distance >= 0), np.float32(-0.5), distance)
    pieces, count = label(distance < 0)
    if count < 2:
        return JoinedPieces(distance, hull)
    points = [grid.to_world(np.argwhere(pieces == number).astype(np.float64)) for number in range(1, count + 1)]
    kept = _supported(points, grid, silhouettes, MIN_PIECE_PIXELS * (1 + tolerance) ** 2)
    for number in range(1, count + 1):
        if not kept[number - 1]:
            distance = np.where(pieces == number, np.float32(0.5), distance)
    islands = np.array([[_main_island(each, piece) for each in silhouettes] for piece in points])  # (pieces, views)
    group = np.arange(count)  # pieces that are joined have the same number
    by_size = sorted(np.flatnonzero(kept), key=lambda piece: len(points[piece]))
    costs = _path_costs(hull)
    joined = 0
    for piece in by_size[:-1]:
        members = np.flatnonzero(group == group[piece])
        others = [
            other
            for other in by_size
            if group[other] != group[piece] and not any(_separated(islands[other], islands[one]) for one in members)
        ]
        if not others:
            continue
        path = _cheapest_path(costs, np.isin(pieces, members + 1), np.isin(pieces, np.array(others, int) + 1))
        if path is None:
            continue
        distance, hull = _with_joint(distance, hull, path)
        group[group == group[piece]] = group[pieces[tuple(path[-1])] - 1]
        joined += 1
    return JoinedPieces(_redistanced(distance), hull, joined, int((~kept).sum()))


def _vote(distance: Field, hull: Field, grid: Grid, silhouettes: Sequence[Silhouette], lost: Sequence[Mask]) -> Mask:
    """The nodes (X, Y, Z) of lost parts, dilated by one; `lost` are the lost pixels of each silhouette."""
    nodes = np.argwhere((hull < MAX_OUTSIDE) & (distance > -0.5))
    points = grid.to_world(nodes.astype(np.float64))
    seen = [each.pixels(points) for each in silhouettes]
    votes = np.zeros(len(nodes), np.float32)
    for picture, (cells, inside) in zip(lost, seen, strict=True):
        votes += picture[tuple(cells.T)] & inside
    enough = votes >= min(2, len(silhouettes) - 1)  # a single view may be wrong
    votes -= np.maximum(hull[tuple(nodes.T)], 0)  # nodes outside the hull count only where a ray has none inside
    chosen = np.zeros(len(nodes), bool)
    for each, picture, (cells, inside) in zip(silhouettes, lost, seen, strict=True):
        here = np.flatnonzero(picture[tuple(cells.T)] & inside)
        best = np.full(picture.shape, -np.inf, np.float32)
        np.maximum.at(best, tuple(cells[here].T), votes[here])
        best = maximum_filter(best, 2 * int(np.ceil(each.pixels_of(grid.voxel) / 2)) + 1)
        chosen[here[votes[here] >= best[tuple(cells[here].T)] - VOTE_TOLERANCE]] = True
    part = np.zeros(grid.shape, bool)
    part[tuple(nodes[chosen & enough].T)] = True
    return np.asarray(binary_dilation(part))


def _supported(
    pieces: Sequence[NDArray[np.float64]], grid: Grid, silhouettes: Sequence[Silhouette], least: float
) -> NDArray[np.bool_]:
    """Whether each piece alone covers `least` reference pixels in two silhouettes; the largest piece in any case.

    Pieces are given by their nodes, (N, 3) each in the world.
    """
    own = np.zeros((len(silhouettes), len(pieces)))
    for row, each in zip(own, silhouettes, strict=True):
        footprints = [each.footprint(points, grid.voxel) for points in pieces]
        total = np.sum(footprints, axis=0)
        row[:] = [np.count_nonzero(one & each.mask & (total == 1)) / each.scale**2 for one in footprints]
    supported: NDArray[np.bool_] = np.sort(own, axis=0)[-min(2, len(silhouettes))] >= least
    supported[np.argmax([len(points) for points in pieces])] = True
    return supported


def _main_island(silhouette: Silhouette, points: NDArray[np.float64]) -> int:
    """The island of a silhouette that holds most of a piece's nodes; 0 where none holds any."""
    cells, inside = silhouette.pixels(points)
    counts = np.bincount(silhouette.islands[tuple(cells[inside].T)], minlength=2)
    return int(np.argmax(counts[1:])) + 1 if counts[1:].any() else 0


def _separated(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two pieces, given by their islands in each view, lie in different islands of any silhouette."""
    return bool(((one > 0) & (other > 0) & (one != other)).any())


def _path_costs(hull: Field) -> NDArray[np.float64]:
    """Cost of a joint per node: 1 inside the hull, growing outside, blocked beyond MAX_OUTSIDE."""
    costs = 1.0 + OUTSIDE_COST * np.maximum(hull, 0).astype(np.float64)
    costs[hull > MAX_OUTSIDE] = -1.0  # MCP takes negative costs for walls
    return costs


def _cheapest_path(costs: NDArray[np.float64], start: Mask, end: Mask) -> NDArray[np.int64] | None:
    """The nodes (N, 3) of the cheapest path from one piece to another, both ends included; None where there is none."""
    search = MCP_Geometric(np.where(start | end, 0.01, costs))  # free inside the pieces
    total, _ = search.find_costs(np.argwhere(start))
    reached = np.where(end, total, np.inf)
    last = np.unravel_index(int(np.argmin(reached)), reached.shape)
    return np.array(search.traceback(last)) if np.isfinite(reached[last]) else None


def _with_joint(distance: Field, hull: Field, path: NDArray[np.int64]) -> tuple[Field, Field]:
    """The body and the hull with a round joint along a path, nearly as thick as the thinner of its ends."""
    deep = local_depth(distance)
    radius = float(np.clip(0.8 * min(deep[tuple(path[0])], deep[tuple(path[-1])]), MIN_JOINT_RADIUS, MAX_JOINT_RADIUS))
    line = np.ones(distance.shape, bool)
    line[tuple(path.T)] = False
    to_path = np.asarray(distance_transform_edt(line), np.float32)
    joint = np.maximum(to_path - radius, np.minimum(hull, to_path - np.float32(JOINT_CORE_RADIUS)))
    return np.minimum(distance, joint), np.minimum(hull, joint)


def _thickened(hull: Field) -> Field:
    """The hull, dilated where it is less than MIN_DEPTH deep."""
    lacking = np.clip(MIN_DEPTH - maximum_filter(-hull, 3), 0, MIN_DEPTH + MAX_OUTSIDE)
    return np.where(hull < MAX_OUTSIDE, hull - lacking, hull).astype(np.float32)


def _redistanced(distance: Field) -> Field:
    """Valid distances again, after fields were combined."""
    return redistance_interior(distance.astype(np.float32), 2)

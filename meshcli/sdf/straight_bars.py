"""Legs, rungs and slats made as smooth along their length as the outlines in the views allow.

Where a bar is seen, its outlines tell it to half a pixel; between them, and where another part is in front, a fitted
surface waves. Each bar is smoothed along its axis (see bar_chart.py), and drawn to the outlines; the stronger of two
strengths is taken with which the silhouettes agree as well as without.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, map_coordinates, zoom

from meshcli.arrays import Array, Float64Array, Mask
from meshcli.meshes.depth_maps import depth_map
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.bar_chart import Chart
from meshcli.sdf.bars import Surface, find_bars
from meshcli.sdf.extract import Faces, Vertices
from meshcli.sdf.profile import reference_pixel
from meshcli.views.projection import camera_to_world, project
from meshcli.views.view import View

STRENGTHS = (8.0, 1.0)  # widths: waves longer than 2 pi times as much stay; the first leaves none on any bar
OUTLINE_ROUNDS = 2  # in which bars are drawn to the outlines
OUTLINE_WEIGHT = 3.0  # of a vertex on an outline, for each view; staying where it is has one
MOST, MAX_MOVE_PIXELS, MAX_MOVE_WIDTHS = 0.95, 1.5, 0.15  # of a bar's vertices: how far they may go, the larger one
MAX_WORSE = 0.3  # reference pixels (see VIEW_SIZE) by which a bar's outline may get worse in a view, on the mean
MIN_RIM = 10.0  # reference pixels: shorter outlines count as if so long
SAMPLES = 2 * VIEW_SIZE  # along the height of a silhouette that is compared, about
RIM = 0.3  # cosine between a normal and the ray to a vertex that may be on an outline
MAX_OFF, MAX_INSIDE = 1.25, 0.5  # reference pixels: of outlines from each other, and of a vertex from ours
SPREAD_ROUNDS = 20  # of means over neighbours, by which the ends of bars follow


@dataclass(frozen=True)
class StraightBars:
    """Vertices, and how many bars were made smooth."""

    vertices: Vertices  # (V, 3)
    count: int

    @property
    def sentence(self) -> str:
        """For the user; empty where there is nothing to say."""
        parts = "1 long thin part was" if self.count == 1 else f"{self.count} long thin parts were"
        return f"{parts} made straight or smooth along their length" if self.count else ""


def straighten_bars(vertices: Vertices, faces: Faces, views: Sequence[View]) -> StraightBars:
    """Vertices (V, 3) of the same mesh with smooth bars, in world units; the very same where there are none."""
    surface = Surface.of(vertices, faces)
    charts = [chart for bar in find_bars(surface) if (chart := Chart.of(bar, surface)) is not None]
    if not charts:
        return StraightBars(vertices, 0)
    pictures = [_Picture.of(view) for view in views]
    pixel = min(map(reference_pixel, views))
    before = [picture.misses(picture.covered(surface.points, faces)) for picture in pictures]
    moves, count = np.zeros_like(surface.points), 0
    for strength in STRENGTHS:
        if not charts:
            break
        radii = _smoothed(charts, strength, surface, moves, pictures)
        tried = [chart.moves(smooth) for chart, smooth in zip(charts, radii, strict=True)]
        moved = surface.points + _sum(charts, tried, moves)
        after = [picture.misses(picture.covered(moved, faces)) for picture in pictures]
        left = []
        for chart, smooth, move in zip(charts, radii, tried, strict=True):
            far = float(np.quantile(np.abs(smooth - chart.radius)[chart.on_bar], MOST))
            near = [surface.points[chart.rows[chart.on_bar]], moved[chart.rows[chart.on_bar]]]
            worse = [picture.worse(near, *pair) for picture, *pair in zip(pictures, before, after, strict=True)]
            if far <= max(MAX_MOVE_PIXELS * pixel, MAX_MOVE_WIDTHS * chart.width) and max(worse) <= MAX_WORSE:
                moves[chart.rows] += move
                count += 1
            else:
                left.append(chart)
        charts = left
    return StraightBars((surface.points + _spread(moves, surface)).astype(vertices.dtype) if count else vertices, count)


def _smoothed(
    charts: Sequence[Chart], strength: float, surface: Surface, moves: Float64Array, pictures: Sequence["_Picture"]
) -> list[Float64Array]:
    """Radii (N,) of each chart's vertices, drawn to the outlines; `moves` (V, 3) are settled."""
    offset, weight = np.zeros(len(moves)), np.zeros(len(moves))
    for _ in range(OUTLINE_ROUNDS):
        smooth = [chart.smooth(strength * chart.width, offset[chart.rows], weight[chart.rows]) for chart in charts]
        total = _sum(charts, [chart.moves(radii) for chart, radii in zip(charts, smooth, strict=True)], moves)
        offset, weight = np.zeros(len(moves)), np.zeros(len(moves))
        for picture in pictures:
            rows, off = picture.offsets(surface.points + total, surface)
            offset[rows] += off
            weight[rows] += 1.0
        offset = offset / np.maximum(weight, 1.0) + np.einsum("nk,nk->n", total, surface.normals)
        weight *= OUTLINE_WEIGHT
    return [chart.smooth(strength * chart.width, offset[chart.rows], weight[chart.rows]) for chart in charts]


def _sum(charts: Sequence[Chart], found: Sequence[Float64Array], moves: Float64Array) -> Float64Array:
    """The moves (V, 3) with those of some charts."""
    total = moves.copy()
    for chart, move in zip(charts, found, strict=True):
        total[chart.rows] += move
    return total


def _spread(moves: Float64Array, surface: Surface) -> Float64Array:
    """Moves (V, 3), and for vertices that have none the mean of their neighbours', again and again."""
    still = np.asarray(moves == 0.0).all(axis=1, keepdims=True)
    result = moves
    for _ in range(SPREAD_ROUNDS):
        result = np.where(still, surface.mean_around(result), moves)
    return result


@dataclass(frozen=True)
class _Picture:
    """A silhouette to compare with, in samples of which one or more make a pixel."""

    view: View
    mask: Mask  # (H, W)
    inside: Float64Array  # (H, W) samples from the outline, negative outside

    @classmethod
    def of(cls, view: View) -> "_Picture":
        alpha = view.pixels[..., 3].astype(np.float32)
        # Cubic: where few levels of coverage occur, linear interpolation meets a half at samples, and outlines grow.
        fine = zoom(alpha, max(1, round(SAMPLES / view.height)), order=3, grid_mode=True, mode="nearest")
        return cls(view, fine >= 127.5, _signed_distance(fine >= 127.5))

    @property
    def scale(self) -> float:
        """Samples of a reference pixel."""
        return float(self.mask.shape[0]) / VIEW_SIZE

    def covered(self, points: Float64Array, faces: Faces) -> Mask:
        """The samples (H, W) that a surface covers."""
        height, width = self.mask.shape
        return np.isfinite(depth_map(points, faces, self.view.camera, width, height))

    def misses(self, covered: Mask) -> Mask:
        """The samples (H, W) in which it differs from the silhouette."""
        return np.asarray(covered != self.mask)

    def offsets(self, points: Float64Array, surface: Surface) -> tuple[Array, Float64Array]:
        """The vertices on a surface's outline, and how far the silhouette's is outwards from there.

        Rows (N,) of the points (V, 3), and world units (N,).
        """
        camera, (height, width) = self.view.camera, self.mask.shape
        ours = _signed_distance(self.covered(points, surface.faces))
        rays = points - camera_to_world(camera)[:3, 3]
        lean = np.einsum("nk,nk->n", surface.normals, rays) / np.linalg.norm(rays, axis=1)
        rows = np.flatnonzero(np.abs(lean) < RIM)
        positions, depth = project(camera, points[rows], width, height)
        own, wanted = (
            map_coordinates(field, positions[:, ::-1].T - 0.5, order=1, mode="nearest") for field in (ours, self.inside)
        )
        off = wanted - own
        good = (np.abs(own) < 2 * MAX_INSIDE * self.scale) & (np.abs(off) < 2 * MAX_OFF * self.scale)
        return rows[good], off[good] * depth[good] / (camera.fy * height)

    def worse(self, near: Sequence[Float64Array], before: Mask, after: Mask) -> float:
        """Reference pixels by which the outline got worse around some points (N, 3), on the mean."""
        height, width = self.mask.shape
        around = np.zeros(self.mask.shape, bool)
        for points in near:
            cells = np.floor(project(self.view.camera, points, width, height)[0]).astype(int)
            cells = cells[((cells >= 0) & (cells < (width, height))).all(axis=1)]
            around[cells[:, 1], cells[:, 0]] = True
        around = binary_dilation(around, iterations=3)
        rim = np.count_nonzero(around & (binary_dilation(self.mask) != self.mask))
        change = float(np.count_nonzero(after & around)) - float(np.count_nonzero(before & around))
        return change / max(float(rim), MIN_RIM * self.scale) / self.scale if rim else 0.0


def _signed_distance(mask: Mask) -> Float64Array:
    """Samples (H, W) from the outline, negative outside."""
    return np.asarray(distance_transform_edt(mask) - distance_transform_edt(~mask), np.float64)

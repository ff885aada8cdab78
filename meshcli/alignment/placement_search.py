"""The places in our world from which a mesh gives the silhouettes of the views: a search from coarse to fine.

Scale and shift of each start come from the extents of the silhouettes; then damped least squares on blurred
silhouettes, first over turn about the vertical, scale and shift, for the best of these over tilt too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from meshcli.alignment.mesh_silhouettes import ViewMasks, blurred
from meshcli.alignment.similarity import Similarity, angle_between
from meshcli.arrays import Array, Float32Array, Float64Array, Mask
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.simplify import simplify
from meshcli.views.view import View

COARSE_SIZE, FINE_SIZE = 64, 128  # pixels of a picture's side
COARSE_FACES, FINE_FACES = 4000, 10000
COARSE_ROUNDS, FINE_ROUNDS = ((2.5, 6), (1.5, 6)), ((2.5, 6), (1.2, 8))  # blurs in pixels, and steps with each
MAX_COARSE, MAX_FINE = 24, 6  # places that are refined coarsely and finely
HOPELESS = 0.15  # of overlap below the best after the coarse rounds: refining gains a tenth of that
START_SCALE = 0.8  # of a mesh of radius 1: about the size that objects have in our world
STEP = 0.02  # radians, world units or log of scale: a pixel at COARSE_SIZE, for numerical derivatives
MAX_MOVE = 0.3  # of one step of least squares, in the same units
ENOUGH = 5e-4  # a step that ends a round: a thirtieth of a pixel at FINE_SIZE
START_DAMPING = 1e-3
# Radians. An object stands upright in most files; pictures tilt it where they are clear.
TILT_SIGMA, TILT_WEIGHT = np.radians(3.0), 1e-4
SAME_TURN, SAME_SHIFT = 8.0, 0.05  # degrees and world units: places closer than that are one


@dataclass(frozen=True)
class Candidate:
    """A place of the mesh, and how well its silhouettes are those of the views."""

    similarity: Similarity
    overlap: float  # intersection over union, the mean of the views


class PlacementSearch:
    """Looks for a mesh, whose box is centred at the origin and whose radius is 1, in views."""

    def __init__(self, mesh: Mesh, views: Sequence[View]) -> None:
        self.fine = simplify(mesh, FINE_FACES)
        self.coarse = simplify(self.fine, COARSE_FACES)
        self.small, self.large = ViewMasks(views, COARSE_SIZE), ViewMasks(views, FINE_SIZE)
        self._hull = _outermost(self.coarse.vertices)
        self._extents = _extents(self.small)

    def run(self, starts: Sequence[Float64Array], progress: Callable[[float], None]) -> list[Candidate]:
        """The best places, best first, no two alike; `starts` are axes (3, 3), `progress` hears of shares done."""
        found = []
        for number, axes in enumerate(starts):
            progress(0.2 * number / len(starts))
            found.append(measured(self.fitted(axes), self.coarse, self.small))
        upright = []
        first = _distinct(_best_first(found))[:MAX_COARSE]
        for number, each in enumerate(first):
            progress(0.2 + 0.4 * number / len(first))
            upright.append(_refine(each, self.coarse, self.small, COARSE_ROUNDS, upright=True))
        final = []
        second = _distinct(_best_first(upright))[:MAX_FINE]
        for number, each in enumerate(second):
            progress(0.6 + 0.4 * number / len(second))
            if each.overlap > second[0].overlap - HOPELESS:
                start = measured(each.similarity, self.fine, self.large)
                final.append(_refine(start, self.fine, self.large, FINE_ROUNDS, upright=False))
        return _distinct(_best_first(final))

    def fitted(self, axes: Float64Array) -> Similarity:
        """The place with these axes, its scale and shift fitted to the extents of the silhouettes."""
        return _fit_extents(Similarity(axes, START_SCALE, np.zeros(3)), self._hull, self.small, self._extents)


def measured(similarity: Similarity, mesh: Mesh, masks: ViewMasks) -> Candidate:
    """A place with its overlap."""
    return Candidate(similarity, float(masks.overlaps(similarity.apply(mesh.vertices), mesh.faces).mean()))


def _fit_extents(
    start: Similarity, hull: Float64Array, masks: ViewMasks, extents: tuple[Float64Array, Mask]
) -> Similarity:
    """Scale and shift with which the pictures of points reach as far left, right, up and down as the silhouettes.

    Gauss-Newton on the four sides of each silhouette's box, but for those that the picture's border cuts.
    """
    wanted, usable = extents
    rows, axis = np.arange(len(wanted))[:, None], np.array([0, 0, 1, 1])
    similarity = start
    for _ in range(4):
        turned = similarity.scale * (hull @ similarity.axes.T)
        places = (turned + similarity.shift) @ masks.cameras[:, :, :3].transpose(0, 2, 1) + masks.cameras[:, None, :, 3]
        depth = np.maximum(places[..., 2], 0.1)
        column, row = (places[..., k] / depth for k in (0, 1))
        outermost = np.stack([column.argmin(1), column.argmax(1), row.argmin(1), row.argmax(1)], axis=1)  # (V, 4)
        value = np.stack([column, row])[axis, rows, outermost]
        # d(x / depth) = (dx - value d depth) / depth
        slope = masks.cameras[:, axis, :3] - value[..., None] * masks.cameras[:, [2], :3]
        slope = slope / depth[rows, outermost][..., None]
        along = np.einsum("vkc,vkc->vk", slope, turned[outermost])
        matrix = np.concatenate([along[..., None], slope], axis=2)[usable]
        if len(matrix) < 4:
            break
        step = np.linalg.lstsq(matrix, (wanted - value)[usable], rcond=None)[0].clip(-1.0, 1.0)
        similarity = similarity.moved([*step, 0.0, 0.0, 0.0])
    return similarity


def _refine(
    start: Candidate, mesh: Mesh, masks: ViewMasks, rounds: Sequence[tuple[float, int]], upright: bool
) -> Candidate:
    """Levenberg-Marquardt in each round; the result overlaps at least as well as the start."""
    best, current = start, start.similarity
    for sigma, steps in rounds:
        current = _Fit(mesh, masks, sigma, start.similarity, upright).run(current, steps)
        best = max(best, measured(current, mesh, masks), key=lambda each: each.overlap)
    return best


class _Fit:
    """Least squares on the difference of silhouettes blurred by `sigma` pixels."""

    def __init__(self, mesh: Mesh, masks: ViewMasks, sigma: float, start: Similarity, upright: bool) -> None:
        self.mesh, self.masks, self.sigma, self.start = mesh, masks, sigma, start
        self.free = [0, 1, 2, 3, 6] if upright else [0, 1, 2, 3, 4, 5, 6]
        self.target = blurred(masks.masks, sigma)
        self.area = float(max(masks.masks.sum(), 1))
        self.step = STEP * COARSE_SIZE / masks.size

    def run(self, current: Similarity, steps: int) -> Similarity:
        """At most so many steps from a place."""
        damping = START_DAMPING
        residual = self._residual(current)
        for _ in range(steps):
            slopes = [(self._residual(current.moved(each)) - residual) / self.step for each in self._directions()]
            normal = np.array([[np.vdot(a, b) for b in slopes] for a in slopes]) / self.area
            gradient = np.array([np.vdot(slope, residual) for slope in slopes]) / self.area
            self._hold_upright(current, normal, gradient)
            move, after, damping = self._improving_move(current, residual, normal, gradient, damping)
            if move is None:
                break
            current, residual = current.moved(move), after
            if np.abs(move).max() < ENOUGH:
                break
        return current

    def _improving_move(
        self, current: Similarity, residual: Array, normal: Array, gradient: Array, damping: float
    ) -> tuple[Array | None, Array, float]:
        """A move (7,) that lowers the squares, None if there is none; the residual after it; the next damping."""
        for _ in range(3):
            damped = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(normal))
            move = np.zeros(7)
            move[self.free] = np.linalg.solve(damped, -gradient).clip(-MAX_MOVE, MAX_MOVE)
            after = self._residual(current.moved(move))
            if np.vdot(after, after) < np.vdot(residual, residual):
                return move, after, damping / 4.0
            damping = max(damping, 1e-2) * 8.0
        return None, residual, damping

    def _hold_upright(self, current: Similarity, normal: Array, gradient: Array) -> None:
        """Add the squares of the tilt since the start, in units of TILT_SIGMA."""
        if 4 in self.free:
            up, before = current.axes[2], self.start.axes[2]
            tilt = self.start.axes @ np.cross(up, before)  # about x, y and z of the world
            for row, axis in ((4, 0), (5, 1)):
                normal[row, row] += TILT_WEIGHT / TILT_SIGMA**2
                gradient[row] += TILT_WEIGHT / TILT_SIGMA**2 * tilt[axis]

    def _directions(self) -> Float64Array:
        """A small move along each free number, (F, 7)."""
        directions: Float64Array = np.eye(7)[self.free] * self.step
        return directions

    def _residual(self, similarity: Similarity) -> Float32Array:
        covered = self.masks.of_mesh(similarity.apply(self.mesh.vertices), self.mesh.faces)
        return (blurred(covered, self.sigma) - self.target).ravel()


def _outermost(points: Array) -> Float64Array:
    """The points that can be the outermost ones in a picture."""
    values = points.astype(np.float64)
    try:
        return values[ConvexHull(values).vertices]
    except QhullError:  # a flat mesh
        return values


def _extents(masks: ViewMasks) -> tuple[Float64Array, Mask]:
    """First and last column and row of each silhouette (V, 4), and which of them the border does not cut (V, 4)."""
    wanted, usable = np.zeros((len(masks.masks), 4)), np.zeros((len(masks.masks), 4), np.bool_)
    for number, mask in enumerate(masks.masks):
        for axis in (0, 1):
            filled = np.flatnonzero(mask.any(axis=axis))
            if len(filled):
                wanted[number, 2 * axis : 2 * axis + 2] = filled[0], filled[-1] + 1
                usable[number, 2 * axis : 2 * axis + 2] = filled[0] > 0, filled[-1] < masks.size - 1
    return wanted, usable


def _best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda each: -each.overlap)


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that differ in turn, handedness or place from all before them."""
    kept: list[Candidate] = []
    for each in candidates:
        if not any(_alike(each.similarity, other.similarity) for other in kept):
            kept.append(each)
    return kept


def _alike(one: Similarity, other: Similarity) -> bool:
    return (
        one.mirrored == other.mirrored
        and angle_between(one.axes, other.axes) < SAME_TURN
        and float(np.linalg.norm(one.shift - other.shift)) < SAME_SHIFT
    )

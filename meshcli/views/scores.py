"""The quality of each view: four scores from 0 to 1 and their total, defined here.

shape      A grid of points is hull by the views' silhouettes, which are grown by a tolerance. The score is the share
           of a view's pixels that the hull of the other views fills, times 1 minus the sum of the shares of the other
           views' pixels that this view alone removes: a wrong view removes from all others, a right one from the wrong
           ones. The difference to 1 counts four times, for the hull of a few views is generous.
colour     On the hull's surface: how close a view's colours are to the mean of the other views that see the same spot.
           1 is equal, 0 is a quarter of the whole range apart. Pictures are blurred first: the hull is not the object.
sharpness  Fine detail over coarse detail inside the silhouette, relative to a picture that is sharp to the pixel.
whole      1 unless the picture's border cuts the object off; minus twice the length of the cut over the square root of
           the silhouette's area.
total      The mean of the known ones, weighted by SCORE_WEIGHTS; a score that a view cannot have (a single view has no
           others to agree with) is left out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from meshcli.arrays import Float32Array, Mask
from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import VIEW_SIZE, Pixels
from meshcli.views.camera import Camera
from meshcli.views.projection import project
from meshcli.views.view import View

PixelPositions = NDArray[np.int64]
CellIndices = NDArray[np.int16]

# By choice, after what a reconstruction suffers from: a wrong silhouette or a cut-off object spoils its shape, wrong
# colours spoil its texture, and blur spoils little.
SCORE_WEIGHTS = {"shape": 0.4, "colour": 0.2, "sharpness": 0.1, "whole": 0.3}

COVERAGE_CELLS = 64  # along a side of the coarse pictures in which coverage and depth are counted; divides VIEW_SIZE
GRID_POINTS = 80  # along a side of the hull grid, by choice: a voxel is about 4 pixels of a view
GRID_HALF_SIDE = 1.15  # world units; an aligned object reaches 0.95, one that is not aligned well somewhat further
SILHOUETTE_TOLERANCE = 3.0  # pixels: half the diagonal of a voxel's face, and what generators get wrong
DISAGREEMENT_WEIGHT = 4.0  # of what shape agreement lacks to 1; by choice, for the hull of a few views is generous
BLUR_SIGMA = 5.0  # pixels, by choice: colours are compared on the hull, whose surface is near the object's only
ZERO_AGREEMENT_DIFFERENCE = 0.25  # of the range, mean difference of colours that do not agree at all; by choice
MIN_FACING_COSINE = 0.35  # of the angle between surface normal and view, 70 degrees: beyond, colours are foreshortened
MIN_SHARED_SPOTS = 30  # seen by a view and by another: fewer give no meaningful mean difference
SHARP_DETAIL_RATIO = 0.45  # fine over coarse detail of a picture that is sharp to the pixel; by choice


def score_views(views: Sequence[View]) -> list[dict[str, float]]:
    """The scores of each view, rounded to three digits."""
    pictures = [_resized(view.pixels) for view in views]
    scores: list[dict[str, float]] = [
        {"sharpness": _sharpness(picture), "whole": _wholeness(picture[..., 3])} for picture in pictures
    ]
    if len(views) > 1:
        hull = _CarvedHull([view.camera for view in views], pictures)
        agreements = zip(hull.shape_agreement(), hull.colour_agreement(pictures), strict=True)
        for score, (shape, colour) in zip(scores, agreements, strict=True):
            score.update({"shape": shape} | ({} if colour is None else {"colour": colour}))
    return [_with_total(score) for score in scores]


def _with_total(score: dict[str, float]) -> dict[str, float]:
    known = {key: score[key] for key in SCORE_WEIGHTS if key in score}
    total = sum(SCORE_WEIGHTS[key] * value for key, value in known.items()) / sum(SCORE_WEIGHTS[key] for key in known)
    return {key: round(value, 3) for key, value in {**known, "total": total}.items()}


def _resized(pixels: Pixels) -> Pixels:
    """Resized to the size in which views are compared."""
    return resize(pixels, VIEW_SIZE, VIEW_SIZE)


def _sharpness(picture: Pixels) -> float:
    colours = over(picture).astype(np.float32).mean(axis=-1)
    inside = binary_erosion(picture[..., 3] >= 128, iterations=4)
    if not inside.any():
        return 0.0
    fine = gaussian_filter(colours, 1.0)
    coarse = gaussian_filter(colours, 4.0)
    detail = float(np.sqrt(((colours - fine)[inside] ** 2).mean()))
    rest = float(np.sqrt(((fine - coarse)[inside] ** 2).mean()))
    return min(1.0, detail / (rest + 0.5) / SHARP_DETAIL_RATIO)


def _wholeness(alpha: Pixels) -> float:
    inside = alpha >= 128
    cut = int(inside[0].sum() + inside[-1].sum() + inside[1:-1, 0].sum() + inside[1:-1, -1].sum())
    return max(0.0, 1.0 - 2.0 * cut / float(np.sqrt(max(1, inside.sum()))))


class _CarvedHull:
    """A grid of points, and which views exclude which of them: the visual hull, and that of any views but one."""

    def __init__(self, cameras: Sequence[Camera], pictures: Sequence[Pixels]) -> None:
        self.cameras = cameras
        axis = np.linspace(-GRID_HALF_SIDE, GRID_HALF_SIDE, GRID_POINTS)
        self.voxel = float(axis[1] - axis[0])
        self.points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        self.cells: list[CellIndices] = []  # of every point in each view's coarse picture; -1 outside
        self.excluded: list[Mask] = []
        self.inside: list[Mask] = []  # cells that the object fills
        for camera, picture in zip(cameras, pictures, strict=True):
            place, depth = project(camera, self.points, VIEW_SIZE, VIEW_SIZE)
            column, row = (np.floor(place[:, axis]).astype(np.int64) for axis in (0, 1))
            seen = (depth > 0) & (column >= 0) & (column < VIEW_SIZE) & (row >= 0) & (row < VIEW_SIZE)
            distance = _outside_distance(picture[..., 3])
            away = np.zeros(len(self.points), np.float32)  # a view excludes nothing outside its picture
            away[seen] = distance[row[seen], column[seen]]
            step = VIEW_SIZE // COVERAGE_CELLS
            self.cells.append(np.where(seen, row // step * COVERAGE_CELLS + column // step, -1).astype(np.int16))
            self.excluded.append(away > SILHOUETTE_TOLERANCE)
            full = (picture[..., 3] >= 128).reshape(COVERAGE_CELLS, step, COVERAGE_CELLS, step).all(axis=(1, 3))
            self.inside.append(full.ravel())
        self.count = np.sum(self.excluded, axis=0, dtype=np.int16)  # of views that exclude a point
        self.sum = np.zeros(
            len(self.points), np.int32
        )  # of these views' indices: the index itself where the count is 1
        for index, excluded in enumerate(self.excluded):
            self.sum += np.int32(index) * excluded

    def shape_agreement(self) -> list[float]:
        """The shape score of each view."""
        views = len(self.cells)
        own, blame = np.zeros(views), np.zeros(views)
        for index, (cells, excluded, inside) in enumerate(zip(self.cells, self.excluded, self.inside, strict=True)):
            if not inside.any():
                own[index] = 1.0
                continue
            others = np.where(
                cells < 0, 99, self.count - excluded
            )  # that exclude a point; 99 where this view does not see it
            missing = inside & ~_cells_marked(cells[others == 0])
            single = (others == 1) & missing[cells]
            blamed = self.sum[single].astype(np.int64) - index * excluded[single]
            pairs = np.unique(blamed * COVERAGE_CELLS**2 + cells[single])
            own[index] = missing.sum() / inside.sum()
            blame += np.bincount(pairs // COVERAGE_CELLS**2, minlength=views) / inside.sum()
        agreement = (1.0 - own) * (1.0 - np.minimum(blame, 1.0))
        return [float(value) for value in np.maximum(1.0 - DISAGREEMENT_WEIGHT * (1.0 - agreement), 0.0)]

    def colour_agreement(self, pictures: Sequence[Pixels]) -> list[float | None]:
        """The colour score of each view; None if other views see too few of its spots."""
        spots, normals = self._surface()
        seen = np.zeros((len(pictures), len(spots)), np.float32)
        colours = np.zeros((len(pictures), len(spots), 3), np.float32)
        for index, (camera, picture) in enumerate(zip(self.cameras, pictures, strict=True)):
            visible, place = self._visible(camera, spots, normals)
            blurred, weight = _blur_object(picture)
            row, column = place[visible, 1], place[visible, 0]
            seen[index, visible] = weight[row, column] > 0.5
            colours[index, visible] = blurred[row, column]
        colours *= seen[..., None]
        total, views = colours.sum(axis=0), seen.sum(axis=0)
        agreement: list[float | None] = []
        for own, mine in zip(colours, seen, strict=True):
            shared = (mine > 0) & (views > 1)
            if shared.sum() < MIN_SHARED_SPOTS:
                agreement.append(None)
                continue
            mean = (total[shared] - own[shared]) / (views[shared] - 1.0)[:, None]
            difference = float(np.abs(own[shared] - mean).mean()) / 255.0
            agreement.append(max(0.0, 1.0 - difference / ZERO_AGREEMENT_DIFFERENCE))
        return agreement

    def _surface(self) -> tuple[Float32Array, Float32Array]:
        """Spots (N, 3) on the surface of the hull of all views, and outward normals (N, 3)."""
        hull = (self.count == 0).reshape(GRID_POINTS, GRID_POINTS, GRID_POINTS)
        surface = hull & ~binary_erosion(hull)
        filled = gaussian_filter(hull.astype(np.float32), 1.5)
        gradient = np.stack([np.gradient(filled, axis=axis)[surface] for axis in range(3)], axis=-1)
        normals = -gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)
        return self.points[surface.ravel()].astype(np.float32), normals.astype(np.float32)

    def _visible(self, camera: Camera, spots: Float32Array, normals: Float32Array) -> tuple[Mask, PixelPositions]:
        """Which spots (N) a camera sees well, by a coarse depth picture, and their pixels (N, 2)."""
        place, depth = project(camera, spots.astype(np.float64), VIEW_SIZE, VIEW_SIZE)
        pixel = np.floor(place).astype(np.int64)
        within = ((pixel >= 0) & (pixel < VIEW_SIZE)).all(axis=-1) & (depth > 0)
        pixel = pixel.clip(0, VIEW_SIZE - 1)
        cell = pixel[:, 1] * COVERAGE_CELLS // VIEW_SIZE * COVERAGE_CELLS + pixel[:, 0] * COVERAGE_CELLS // VIEW_SIZE
        nearest = np.full(COVERAGE_CELLS**2, np.inf)
        np.minimum.at(nearest, cell[within], depth[within])
        towards = np.array(camera.position) - spots
        facing = (normals * towards).sum(axis=-1) / np.linalg.norm(towards, axis=-1)
        return within & (depth < nearest[cell] + 2.0 * self.voxel) & (facing > MIN_FACING_COSINE), pixel


def _outside_distance(alpha: Pixels) -> Float32Array:
    """Distance (H, W) in pixels from the silhouette; 0 inside, and everywhere if there is none."""
    inside = alpha >= 128
    if not inside.any():
        return np.zeros(alpha.shape, np.float32)
    return np.asarray(distance_transform_edt(~inside), dtype=np.float32)


def _cells_marked(cells: CellIndices) -> Mask:
    marked = np.zeros(COVERAGE_CELLS**2, bool)
    marked[cells[cells >= 0]] = True
    return marked


def _blur_object(picture: Pixels) -> tuple[Float32Array, Float32Array]:
    """The object's colours (H, W, 3), blurred without the background's, and the blurred alpha (H, W)."""
    alpha = picture[..., 3:].astype(np.float32) / 255.0
    weight = gaussian_filter(alpha, (BLUR_SIGMA, BLUR_SIGMA, 0))
    colours = gaussian_filter(picture[..., :3] * alpha, (BLUR_SIGMA, BLUR_SIGMA, 0)) / np.maximum(weight, 1e-3)
    return colours.astype(np.float32), weight[..., 0]

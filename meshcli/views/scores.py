"""How good is each view? Four scores from 0 to 1 and their total; this is the place where they are defined.

shape      The views' silhouettes, grown by a tolerance, are carved out of a lattice. The share of a view's pixels that
           the hull of the other views fills, times 1 minus the sum of the shares of the other views' pixels that this
           view alone cuts away: a view that is wrong takes from all others, one that is right from the wrong ones.
           What is missing to 1 is counted four times, for the hull of a few views is generous.
colour     On the hull's surface: how near a view's colours are to the mean of the other views that see the same spot.
           1 is equal, 0 is a quarter of the whole range apart. Pictures are blurred first: the hull is not the object.
sharpness  Fine detail over coarse detail inside the silhouette, against a picture that is sharp to the pixel.
whole      1 unless the object is cut off by the picture's border; minus twice the length of the cut over the square
           root of the silhouette's area.
total      The mean of those that are known, by WEIGHTS; what cannot be said of a view (a single one has no others to
           agree with) is left out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from meshcli.arrays import Float32Array, Mask
from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import Pixels
from meshcli.views.camera import Camera
from meshcli.views.projection import project
from meshcli.views.view import View

Indices = NDArray[np.int64]
Cells = NDArray[np.int16]

WEIGHTS = {"shape": 0.4, "colour": 0.2, "sharpness": 0.1, "whole": 0.3}

SIDE = 320  # pixels: pictures are looked at in this size
CELLS = 64  # along a side of the coarse pictures in which coverage and depth are counted
NODES = 80  # along a side of the lattice
REACH = 1.15  # half its side, in world units
TOLERANCE = 3.0  # pixels by which silhouettes grow: half the diagonal of a voxel and what generators get wrong
SEVERITY = 4.0  # of disagreeing silhouettes
BLUR = 5.0  # pixels, before colours are compared
APART = 0.25  # of the range: colours that differ by as much do not agree at all
FACING = 0.35  # cosine under which a surface is seen too much from the side to compare its colour
CRISP = 0.45  # fine over coarse detail of a sharp picture


def score_views(views: Sequence[View]) -> list[dict[str, float]]:
    """The scores of each view, rounded to three digits."""
    pictures = [_normalised(view.pixels) for view in views]
    scores: list[dict[str, float]] = [
        {"sharpness": _sharpness(picture), "whole": _whole(picture[..., 3])} for picture in pictures
    ]
    if len(views) > 1:
        carved = _Carved([view.camera for view in views], pictures)
        agreements = zip(carved.shapes(), carved.colours(pictures), strict=True)
        for score, (shape, colour) in zip(scores, agreements, strict=True):
            score.update({"shape": shape} | ({} if colour is None else {"colour": colour}))
    return [_with_total(score) for score in scores]


def _with_total(score: dict[str, float]) -> dict[str, float]:
    known = {key: score[key] for key in WEIGHTS if key in score}
    total = sum(WEIGHTS[key] * value for key, value in known.items()) / sum(WEIGHTS[key] for key in known)
    return {key: round(value, 3) for key, value in {**known, "total": total}.items()}


def _normalised(pixels: Pixels) -> Pixels:
    """In the one size in which views are compared."""
    return resize(pixels, SIDE, SIDE)


def _sharpness(picture: Pixels) -> float:
    colours = over(picture).astype(np.float32).mean(axis=-1)
    inside = binary_erosion(picture[..., 3] >= 128, iterations=4)
    if not inside.any():
        return 0.0
    fine = gaussian_filter(colours, 1.0)
    coarse = gaussian_filter(colours, 4.0)
    detail = float(np.sqrt(((colours - fine)[inside] ** 2).mean()))
    rest = float(np.sqrt(((fine - coarse)[inside] ** 2).mean()))
    return min(1.0, detail / (rest + 0.5) / CRISP)


def _whole(alpha: Pixels) -> float:
    inside = alpha >= 128
    cut = int(inside[0].sum() + inside[-1].sum() + inside[1:-1, 0].sum() + inside[1:-1, -1].sum())
    return max(0.0, 1.0 - 2.0 * cut / float(np.sqrt(max(1, inside.sum()))))


class _Carved:
    """The lattice, and which views exclude which of its nodes."""

    def __init__(self, cameras: Sequence[Camera], pictures: Sequence[Pixels]) -> None:
        self.cameras = cameras
        axis = np.linspace(-REACH, REACH, NODES)
        self.voxel = float(axis[1] - axis[0])
        self.nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        self.cells: list[Cells] = []  # of every node in each view's coarse picture; -1 outside
        self.excluded: list[Mask] = []
        self.inside: list[Mask] = []  # cells that are full of object
        for camera, picture in zip(cameras, pictures, strict=True):
            place, depth = project(camera, self.nodes, SIDE, SIDE)
            column, row = (np.floor(place[:, axis]).astype(np.int64) for axis in (0, 1))
            seen = (depth > 0) & (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
            distance = _outside_distance(picture[..., 3])
            away = np.zeros(len(self.nodes), np.float32)  # nothing is known of what the picture does not show
            away[seen] = distance[row[seen], column[seen]]
            step = SIDE // CELLS
            self.cells.append(np.where(seen, row // step * CELLS + column // step, -1).astype(np.int16))
            self.excluded.append(away > TOLERANCE)
            full = (picture[..., 3] >= 128).reshape(CELLS, step, CELLS, step).all(axis=(1, 3))
            self.inside.append(full.ravel())
        self.count = np.sum(self.excluded, axis=0, dtype=np.int16)  # views that exclude a node
        self.sum = np.zeros(len(self.nodes), np.int32)  # of their numbers: with a count of one, its number
        for index, excluded in enumerate(self.excluded):
            self.sum += np.int32(index) * excluded

    def shapes(self) -> list[float]:
        """Agreement of silhouettes."""
        views = len(self.cells)
        own, blame = np.zeros(views), np.zeros(views)
        for index, (cells, excluded, inside) in enumerate(zip(self.cells, self.excluded, self.inside, strict=True)):
            if not inside.any():
                own[index] = 1.0
                continue
            others = np.where(cells < 0, 99, self.count - excluded)  # other views that exclude a node
            missing = inside & ~_marked(cells[others == 0])
            single = (others == 1) & missing[cells]
            blamed = self.sum[single].astype(np.int64) - index * excluded[single]
            pairs = np.unique(blamed * CELLS**2 + cells[single])
            own[index] = missing.sum() / inside.sum()
            blame += np.bincount(pairs // CELLS**2, minlength=views) / inside.sum()
        agreement = (1.0 - own) * (1.0 - np.minimum(blame, 1.0))
        return [float(value) for value in np.maximum(1.0 - SEVERITY * (1.0 - agreement), 0.0)]

    def colours(self, pictures: Sequence[Pixels]) -> list[float | None]:
        """Agreement of colours; None where no spot is seen by another view too."""
        spots, normals = self._surface()
        seen = np.zeros((len(pictures), len(spots)), np.float32)
        colours = np.zeros((len(pictures), len(spots), 3), np.float32)
        for index, (camera, picture) in enumerate(zip(self.cameras, pictures, strict=True)):
            visible, place = self._visible(camera, spots, normals)
            blurred, weight = _blurred(picture)
            row, column = place[visible, 1], place[visible, 0]
            seen[index, visible] = weight[row, column] > 0.5
            colours[index, visible] = blurred[row, column]
        colours *= seen[..., None]
        total, views = colours.sum(axis=0), seen.sum(axis=0)
        agreement: list[float | None] = []
        for own, mine in zip(colours, seen, strict=True):
            shared = (mine > 0) & (views > 1)
            if shared.sum() < 30:
                agreement.append(None)
                continue
            mean = (total[shared] - own[shared]) / (views[shared] - 1.0)[:, None]
            apart = float(np.abs(own[shared] - mean).mean()) / 255.0
            agreement.append(max(0.0, 1.0 - apart / APART))
        return agreement

    def _surface(self) -> tuple[Float32Array, Float32Array]:
        """Spots (N, 3) on the hull of all views, and outward normals."""
        hull = (self.count == 0).reshape(NODES, NODES, NODES)
        surface = hull & ~binary_erosion(hull)
        filled = gaussian_filter(hull.astype(np.float32), 1.5)
        gradient = np.stack([np.gradient(filled, axis=axis)[surface] for axis in range(3)], axis=-1)
        normals = -gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)
        return self.nodes[surface.ravel()].astype(np.float32), normals.astype(np.float32)

    def _visible(self, camera: Camera, spots: Float32Array, normals: Float32Array) -> tuple[Mask, Indices]:
        """Which spots a camera sees well, by a coarse depth picture, and the pixels (N, 2) where."""
        place, depth = project(camera, spots.astype(np.float64), SIDE, SIDE)
        pixel = np.floor(place).astype(np.int64)
        within = ((pixel >= 0) & (pixel < SIDE)).all(axis=-1) & (depth > 0)
        pixel = pixel.clip(0, SIDE - 1)
        cell = pixel[:, 1] * CELLS // SIDE * CELLS + pixel[:, 0] * CELLS // SIDE
        nearest = np.full(CELLS**2, np.inf)
        np.minimum.at(nearest, cell[within], depth[within])
        towards = np.array(camera.position) - spots
        facing = (normals * towards).sum(axis=-1) / np.linalg.norm(towards, axis=-1)
        return within & (depth < nearest[cell] + 2.0 * self.voxel) & (facing > FACING), pixel


def _outside_distance(alpha: Pixels) -> Float32Array:
    """Pixels from the silhouette; 0 inside, and everywhere where there is none."""
    inside = alpha >= 128
    if not inside.any():
        return np.zeros(alpha.shape, np.float32)
    return np.asarray(distance_transform_edt(~inside), dtype=np.float32)


def _marked(cells: Cells) -> Mask:
    marked = np.zeros(CELLS**2, bool)
    marked[cells[cells >= 0]] = True
    return marked


def _blurred(picture: Pixels) -> tuple[Float32Array, Float32Array]:
    """The object's colours, blurred without its surroundings, and how much object is near."""
    alpha = picture[..., 3:].astype(np.float32) / 255.0
    weight = gaussian_filter(alpha, (BLUR, BLUR, 0))
    colours = gaussian_filter(picture[..., :3] * alpha, (BLUR, BLUR, 0)) / np.maximum(weight, 1e-3)
    return colours.astype(np.float32), weight[..., 0]

"""The yaw of an object's straight edges: one vertical and two horizontal directions, a Manhattan frame.

Every edge pixel of a picture spans a plane with the camera, in which the edge lies; a direction in space that lies in
many such planes is that of many straight edges (Coughlan and Yuille 1999, "Manhattan World"). Edges are weighted by
how straight the picture is around them (coherence of the structure tensor, Bigun and Granlund 1987): scratches and
foliage say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from meshcli.arrays import Float64Array
from meshcli.views.projection import view_directions
from meshcli.views.view import View

EDGE_SIGMA, TENSOR_SIGMA = 1.0, 2.5  # pixels: of the gradients, and of the mean of their products
EDGE_SHARE = 0.3  # of the ridges of the gradient: the strongest are edges
COHERENCE_POWER = 4.0
ANGLE = np.radians(1.0)  # within which an edge's plane holds a direction
YAWS = 180  # over a quarter turn
# Of the meshes with truth and the desk: straight ones stand out by 1.27 (a painted cabinet) to 10, and .08 to .21 of
# their edges are vertical; a cow and a barrel have .02 to .04.
MIN_STANDING_OUT, MIN_UPRIGHT = 1.2, 0.06


@dataclass(frozen=True)
class ManhattanFrame:
    """How the straight edges of an object lie."""

    yaw: float  # radians about z, 0 to a quarter turn, of the first horizontal axis
    stands_out: float  # edges along the horizontal axes, over the median of all yaws
    upright: float  # share of the edges that are vertical

    @property
    def clear(self) -> bool:
        """Whether the edges are those of something straight, and say how it is turned."""
        return self.stands_out >= MIN_STANDING_OUT and self.upright >= MIN_UPRIGHT


def manhattan_frame(pictures: Sequence[View]) -> ManhattanFrame:
    """The frame that most edges of the pictures agree on; pictures of some hundred pixels will do."""
    found = [_edge_planes(picture) for picture in pictures]
    normals = np.concatenate([planes for planes, _ in found])
    weights = np.concatenate([each for _, each in found])
    total = max(float(weights.sum()), 1e-9)
    near = np.sin(ANGLE)
    vertical = np.abs(normals[:, 2]) < near
    yaws = np.arange(YAWS) * (np.pi / 2.0 / YAWS)
    first = np.stack([np.cos(yaws), np.sin(yaws), np.zeros(YAWS)])
    second = np.stack([-np.sin(yaws), np.cos(yaws), np.zeros(YAWS)])
    others = normals[~vertical]
    holds = (np.abs(others @ first) < near) | (np.abs(others @ second) < near)
    shares = weights[~vertical] @ holds / total
    shares = (shares + np.roll(shares, 1) + np.roll(shares, -1)) / 3.0
    best = int(shares.argmax())
    stands_out = float(shares[best] / max(float(np.median(shares)), 1e-9))
    return ManhattanFrame(float(yaws[best]), stands_out, float(weights[vertical].sum()) / total)


def _edge_planes(picture: View) -> tuple[Float64Array, Float64Array]:
    """Unit normals (N, 3) of the planes through the camera and the picture's edges, and their weights (N,)."""
    alpha = picture.pixels[..., 3:] / 255.0
    grey = (picture.pixels[..., :3] / 255.0 * alpha + 1.0 - alpha).mean(axis=-1)
    down, right = (gaussian_filter(grey, EDGE_SIGMA, order=order) for order in ((1, 0), (0, 1)))
    strength = np.hypot(down, right)
    dd, dr, rr = (gaussian_filter(product, TENSOR_SIGMA) for product in (down * down, down * right, right * right))
    coherence = np.hypot(dd - rr, 2.0 * dr) / np.maximum(dd + rr, 1e-12)
    angle = 0.5 * np.arctan2(2.0 * dr, rr - dd)
    across = np.stack([np.sin(angle), np.cos(angle)])  # rows, columns: the direction of the gradients
    place = np.mgrid[: grey.shape[0], : grey.shape[1]]
    beside = [map_coordinates(strength, place + sign * across, order=1) for sign in (1.0, -1.0)]
    ridge = (picture.pixels[..., 3] >= 128) & (strength > 1e-4) & (strength >= np.maximum(*beside))
    if not ridge.any():
        return np.zeros((0, 3)), np.zeros(0)
    rows, columns = np.nonzero(ridge & (strength >= np.quantile(strength[ridge], 1.0 - EDGE_SHARE)))
    centres = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    along = np.asarray(np.stack([-across[0], across[1]], axis=-1)[rows, columns], np.float64)
    first, second = (
        view_directions(picture.camera, at, picture.width, picture.height) for at in (centres, centres + along)
    )
    normals = np.cross(first, second)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True), coherence[rows, columns] ** COHERENCE_POWER

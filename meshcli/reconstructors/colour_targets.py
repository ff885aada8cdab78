"""Where a surface should move so that the pictures that see a point agree on its colour.

One Gauss-Newton step of multi-view stereo per vertex, along its normal, on pictures of a middle band of frequencies:
views that a network painted differ in brightness, and in the finest detail.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from meshcli.arrays import Array, Float64Array
from meshcli.pictures.interpolation import bilinear
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.system.numba_kernel import kernel
from meshcli.views.projection import project
from meshcli.views.view import View

COARSE = 6.0  # times the sigma of the fine end: the other end of the band
MIN_COSINE = 0.3  # of the angle between normal and view
MAX_DEPTH_STEP = 0.06  # world units of depth within two pixels: more is an edge, beside which colours mislead
CLOSE = 0.02  # world units: a vertex this close behind the depth map is seen
DISAGREEMENT = 0.15  # colour difference, 0 to 1, from the mean at which a view's weight falls to 1/e
AGREEING_SHARE = 0.1  # of the points, those where pictures agree best, by which `colour_disagreement` goes
MAX_STEP = 1.0  # reference pixels per Gauss-Newton step


@dataclass(frozen=True)
class BandPicture:
    """A view's colours in a range of frequencies."""

    view: View
    colours: NDArray[np.float32]  # (3, H, W)

    @classmethod
    def of(cls, view: View, sigma: float) -> "BandPicture":
        """Colours between two frequencies; `sigma`, of the Gaussian at the fine end, in reference pixels."""
        return cls(view, cls.smooth(view, sigma).colours - cls.smooth(view, COARSE * sigma).colours)

    @classmethod
    def smooth(cls, view: View, sigma: float) -> "BandPicture":
        """Colours, 0 to 1, blurred inside the object by `sigma` reference pixels (see VIEW_SIZE)."""
        scale = sigma * min(view.width, view.height) / VIEW_SIZE
        solid = view.pixels[..., 3] >= 128
        channels = [_blurred(view.pixels[..., k].astype(np.float32) / 255.0, solid, scale) for k in range(3)]
        return cls(view, np.stack(channels))


def reference_pixel(view: View) -> float:
    """Size at the world's origin of a pixel of the view, scaled to VIEW_SIZE, in world units."""
    return view.pixel_size * min(view.width, view.height) / VIEW_SIZE


def colour_targets(
    vertices: Float64Array,
    normals: Float64Array,
    pictures: Sequence[BandPicture],
    depths: Sequence[NDArray[np.float32]],
) -> tuple[Float64Array, Float64Array]:
    """Weights (V,), colour^2 per square reference pixel, and offsets (V,), world units; `depths`: the depth maps."""
    shape = (len(pictures), len(vertices))
    weights, values, slopes = np.zeros(shape), np.zeros((*shape, 3)), np.zeros((*shape, 3))
    pixel = min(reference_pixel(picture.view) for picture in pictures)
    for i, (picture, depth) in enumerate(zip(pictures, depths, strict=True)):
        _sample(vertices, normals, picture, depth, pixel, (weights[i], values[i], slopes[i]))
    share = weights / np.maximum(weights.sum(axis=0), 1e-12)
    for _ in range(2):
        mean = np.einsum("iv,ivk->vk", share, values)
        off = np.square(values - mean).sum(axis=-1)
        robust = weights * np.exp(-off / DISAGREEMENT**2)
        share = robust / np.maximum(robust.sum(axis=0), 1e-12)
    value = values - np.einsum("iv,ivk->vk", share, values)
    slope = slopes - np.einsum("iv,ivk->vk", share, slopes)
    curvature = np.einsum("iv,ivk,ivk->v", robust, slope, slope)
    step = -np.einsum("iv,ivk,ivk->v", robust, slope, value) / np.maximum(curvature, 1e-9)
    return curvature, np.clip(step, -MAX_STEP, MAX_STEP) * pixel


def colour_disagreement(
    vertices: Float64Array,
    normals: Float64Array,
    pictures: Sequence[BandPicture],
    depths: Sequence[NDArray[np.float32]],
) -> float:
    """How different pictures show the same points (V, 3), even where they agree best: a low quantile over the points.

    Of each point that two or more pictures see, the standard deviation of its colours, 0 to 1, all channels together.
    Where the surface is still wrong, so are most points; AGREEING_SHARE of them tell true pictures from painted ones.
    0 where no two pictures see a point. `depths`: the depth maps.
    """
    shape = (len(pictures), len(vertices))
    weights, values = np.zeros(shape), np.zeros((*shape, 3))
    pixel = min(reference_pixel(picture.view) for picture in pictures)
    for i, (picture, depth) in enumerate(zip(pictures, depths, strict=True)):
        _sample(vertices, normals, picture, depth, pixel, (weights[i], values[i], np.zeros((len(vertices), 3))))
    seen = weights > 0
    count = seen.sum(axis=0)
    mean = np.einsum("iv,ivk->vk", seen, values) / np.maximum(count, 1)[:, None]
    squared = np.einsum("iv,ivk->v", seen, np.square(values - mean))
    several = count >= 2
    if not several.any():
        return 0.0
    return float(np.sqrt(np.quantile(squared[several] / (count[several] - 1), AGREEING_SHARE)))


def _sample(
    vertices: Float64Array, normals: Float64Array, picture: BandPicture, depth: Array, pixel: float,
    results: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    """Fill in one view's weights (V,), colours (V, 3) and their slopes (V, 3) per `pixel` along the normals."""
    weights, values, slopes = results
    view = picture.view
    towards = np.array(view.camera.position) - vertices
    cosine = np.einsum("vk,vk->v", towards, normals) / np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    places = [project(view.camera, vertices + side * pixel * normals, view.width, view.height) for side in (-1, 0, 1)]
    row, column = (np.clip(places[1][0][:, k].astype(int), 0, depth.shape[1 - k] - 1) for k in (1, 0))
    finite = np.where(np.isfinite(depth), depth, 1e6)
    smooth = maximum_filter(finite, 5) - minimum_filter(finite, 5) < MAX_DEPTH_STEP
    seen = (cosine > MIN_COSINE) & smooth[row, column] & (places[1][1] < finite[row, column] + CLOSE)
    weights[seen] = cosine[seen] ** 2
    rows = np.flatnonzero(seen)
    before, values[rows], after = (_look_up(picture.colours, place[rows]) for place, _ in places)
    slopes[rows] = (after - before) / 2


@kernel(parallel=True)
def _look_up(colours: Array, positions: Array) -> Array:
    """Colours (N, 3) of a picture (3, H, W) at positions (N, 2)."""
    result = np.empty((len(positions), 3))
    for p in prange(len(positions)):
        for k in range(3):
            result[p, k] = bilinear(colours[k], positions[p, 0], positions[p, 1])
    return result


def _blurred(channel: NDArray[np.float32], solid: Array, sigma: float) -> NDArray[np.float32]:
    """A channel (H, W) blurred inside the object only."""
    total = np.asarray(gaussian_filter(np.where(solid, channel, np.float32(0.0)), sigma), np.float32)
    share = np.asarray(gaussian_filter(solid.astype(np.float32), sigma), np.float32)
    return (total / np.maximum(share, 1e-3)).astype(np.float32)

"""Photos warped until one body can have all their outlines.

Drawings of a character from several sides, and things that moved between two photos, contradict each other: a body that
explains every outline gets torn. Instead, a coarse body is fitted, which is a compromise; each photo is warped smoothly
until its outline is that of the body; and a body is fitted to these, until the outlines agree. So what one photo shows
stays in place relative to the rest of it. (Fancy123, 2024, warps painted views until their colours agree.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from meshcli.arrays import Array, Float32Array
from meshcli.generators.sculpt.reduced_photos import shrunk
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.grid import silhouette_distance
from meshcli.texturing.flow import warp_picture, warped
from meshcli.views.view import View

MAX_ROUNDS = 5  # of fitting and warping; three sets of photos that are twisted the most take one to three
# Reference pixels (see VIEW_SIZE): how widely the motion of an outline is spread, one after the other.
SPREADS = (24.0, 12.0, 8.0)
STEPS = 3  # for each of them
REACH = 16.0  # reference pixels: farther than this an outline is another one
BAND = 3.0  # reference pixels around the wanted outline that count
SMOOTHING = 3.0  # reference pixels: of the whole motion, after each round
MIN_SLOPE = 0.5  # of signed distances, per pixel: less is between two outlines, and has no direction
SPARSE = 1e-3  # of the largest weight: where no outline is near, nothing moves


@dataclass(frozen=True)
class WarpedPhotos:
    """Photos that were warped, and whether that was enough."""

    photos: list[View]  # of their own sizes, with their own cameras
    fit: bool  # whether one body has all their outlines
    farthest: float  # how far any pixel of an object moved, as a share of its picture's height


def warp_until_one_body_fits(
    photos: Sequence[View], body_of: Callable[[Sequence[View]], Mesh], fits: Callable[[Sequence[View]], bool]
) -> WarpedPhotos:
    """Warp photos until `fits` says that one body has all their outlines, in at most MAX_ROUNDS.

    `body_of` fits a body to photos, in the world of their cameras.
    """
    flows = [np.zeros((*shrunk(photo, VIEW_SIZE).pixels.shape[:2], 2), np.float32) for photo in photos]
    result, fit, rounds = list(photos), False, 0
    while not fit and rounds < MAX_ROUNDS:
        renderer = Renderer(body_of(result))
        flows = [_bent_further(flow, photo, renderer) for flow, photo in zip(flows, result, strict=True)]
        result = [
            replace(photo, pixels=warp_picture(photo.pixels, flow)) for photo, flow in zip(photos, flows, strict=True)
        ]
        fit, rounds = fits(result), rounds + 1
    return WarpedPhotos(result, fit, max(map(_farthest, result, flows)))


def outline_flow(outline: Array, wanted: Array) -> Float32Array:
    """The flow (h, w, 2), right and down in pixels, with which an outline, looked up at x + flow, is the wanted one.

    Both are signed distances (h, w) to outlines, in pixels. Smooth: what an outline asks for is spread over SPREADS.
    """
    scale = min(outline.shape) / VIEW_SIZE
    band = np.exp(-((wanted / (BAND * scale)) ** 2))
    flow = np.zeros((*outline.shape, 2), np.float32)
    for spread in SPREADS:
        for _ in range(STEPS):
            moved = warped(outline[..., None].astype(np.float32), flow)[..., 0]
            down, right = np.gradient(moved)
            slope = np.hypot(down, right)
            missing = wanted - moved
            weight = band * (slope > MIN_SLOPE) * (np.abs(missing) < REACH * scale)
            step = np.stack([right, down], axis=-1) * (missing / np.maximum(slope, MIN_SLOPE) ** 2)[..., None]
            sums = gaussian_filter(np.concatenate([step, np.ones_like(step[..., :1])], axis=-1) * weight[..., None],
                                   (spread * scale, spread * scale, 0.0))  # fmt: skip
            flow += (sums[..., :2] / (sums[..., 2:] + SPARSE * max(weight.max(), SPARSE))).astype(np.float32)
    return flow


def _bent_further(flow: Float32Array, photo: View, renderer: Renderer) -> Float32Array:
    """The flow (h, w, 2) that warps the unwarped photo to the body's outline; `flow` warps it to `photo`."""
    height, width = flow.shape[:2]
    seen = renderer.render(photo.camera, width, height, samples=2)[..., 3]
    step = outline_flow(_distance(shrunk(photo, VIEW_SIZE).pixels[..., 3]), _distance(seen))
    whole = step + warped(flow, step)
    smoothing = SMOOTHING * min(height, width) / VIEW_SIZE
    result: Float32Array = gaussian_filter(whole, (smoothing, smoothing, 0.0))
    return result


def _distance(alpha: Array) -> Array:
    """Signed distance (h, w) to an outline, positive inside, without corners."""
    result: Array = gaussian_filter(silhouette_distance(alpha, 1), 1.0)
    return result


def _farthest(photo: View, flow: Float32Array) -> float:
    """How far the object's pixels moved at most, as a share of the picture's height."""
    lengths = np.linalg.norm(flow, axis=-1)[shrunk(photo, VIEW_SIZE).pixels[..., 3] >= 128]
    return float(lengths.max(initial=0.0) / flow.shape[0])

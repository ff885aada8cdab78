"""Where a surface should move so that its outlines in the pictures are those of the silhouettes.

A vertex at the outline of the rendered surface is followed along its normal in the picture, to the closest place where
that line leaves the silhouette. So the near side of a leg that is drawn elsewhere finds the near side of the drawn leg.
"""

from collections.abc import Sequence

import numpy as np
from numba import prange

from meshcli.arrays import Array, Float64Array
from meshcli.pictures.interpolation import bilinear
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.system.numba_kernel import kernel
from meshcli.views.projection import project, world_to_camera
from meshcli.views.view import View

OUTLINE = 0.3  # coverage at a silhouette's outline: cut-outs from a plain background are a little too narrow
FINE = 2  # samples per pixel and axis of the rendered coverage
STEP = 0.25  # pixels between samples of the search
MIN_REACH = 2.0  # pixels that an outline is looked for in small pictures
RENDERED_REACH = 1.0  # reference pixels, and at least pixels: vertices this near to the rendered outline belong to it
MAX_COSINE = 0.5  # of the angle between normal and view: the surface turns away from the camera at an outline
BORDER = 1.0  # pixels along the picture's border, where the object may be cut off: no outline is found there


def outline_targets(
    vertices: Float64Array, normals: Float64Array, views: Sequence[View], depths: Sequence[Array], reach: float
) -> tuple[Float64Array, Float64Array]:
    """Weights (V,) and offsets (V,), world units along the normals, that bring rendered outlines to the silhouettes'.

    normals (V, 3) outwards; depths: the views' depth maps of the surface, FINE samples per pixel and axis; silhouettes'
    outlines are found at most `reach` pixels of VIEW_SIZE away. The weight is 0 where no picture asks for anything.
    """
    weights, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for view, coverage in zip(views, depths, strict=True):
        scale = min(view.width, view.height) / VIEW_SIZE
        positions, depth = project(view.camera, vertices, view.width, view.height)
        rotation = world_to_camera(view.camera)[:3, :3]
        towards = np.array(view.camera.position) - vertices
        towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
        cosine = np.einsum("vk,vk->v", towards, normals)
        local = normals @ rotation.T
        facing = np.stack([local[:, 0], -local[:, 1]], axis=1)
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
        candidates = np.flatnonzero((np.abs(cosine) < MAX_COSINE) & (depth > 1e-6))
        solid = view.pixels[..., 3].astype(np.float32) * np.float32(0.5 / OUTLINE / 255.0)
        found = _search(
            positions[candidates], facing[candidates], np.isfinite(coverage).astype(np.float32), solid,
            max(reach * scale, MIN_REACH), max(RENDERED_REACH * scale, 1.0),
        )  # fmt: skip
        good = np.isfinite(found)
        rows = candidates[good]
        across = np.sqrt(1.0 - cosine[rows] ** 2)
        weight = across**2 * min(scale, 1.0) ** 2  # an outline is known to a share of a pixel
        weights[rows] += weight
        total[rows] += weight * found[good] * depth[rows] / (view.camera.fy * view.height) / across
    return weights, total / np.maximum(weights, 1e-12)


@kernel(parallel=True)
def _search(
    positions: Array, facing: Array, coverage: Array, alpha: Array, reach: float, rendered_reach: float
) -> Array:
    """How far (N,) in pixels the outline at each position should move along `facing`; NaN where nothing is found."""
    height, width = alpha.shape
    result = np.full(len(positions), np.nan)
    for p in prange(len(positions)):
        x, y, dx, dy = positions[p, 0], positions[p, 1], facing[p, 0], facing[p, 1]
        ours = _leaves(coverage, FINE, x, y, dx, dy, 0.0, rendered_reach)
        if np.isnan(ours):
            continue
        theirs = _leaves(alpha, 1, x, y, dx, dy, ours, reach)
        if np.isnan(theirs):
            continue
        column, row = x + theirs * dx, y + theirs * dy
        if BORDER < column < width - BORDER and BORDER < row < height - BORDER:
            result[p] = theirs - ours
    return result


@kernel()
def _leaves(mask: Array, fine: int, x: float, y: float, dx: float, dy: float, middle: float, reach: float) -> float:
    """Where the line x + s dx, y + s dy leaves a mask: the s closest to `middle` within `reach`, NaN if there is none.

    The mask (H, W), 0 to 1, has `fine` samples per unit; the line leaves it where its value falls through a half.
    """
    best = np.nan
    count = int(2.0 * reach / STEP)
    before = 0.0
    for n in range(count + 1):
        s = middle - reach + n * STEP
        value = bilinear(mask, (x + s * dx) * fine, (y + s * dy) * fine)
        if n > 0 and before >= 0.5 > value:
            place = s - STEP * (0.5 - value) / (before - value)
            if np.isnan(best) or abs(place - middle) < abs(best - middle):
                best = place
        before = value
    return best

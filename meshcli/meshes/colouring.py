"""Colours of surface points, blended from posed views.

Blend weight of a view at a point: cos^4(view angle) x pixel density^2 x edge feather; 0 if occluded. The feather falls
off near silhouettes and depth edges, where a small error of the surface would fetch the colour of another surface.
Views that contradict the consensus are weighted down. Coarse colour and fine detail are blended apart (two bands of
Burt and Adelson 1983): the coarse band softly, so that no seam shows where the lighting differs, the fine band almost
from the best view alone, since averages of slightly misaligned details are blurred or doubled. Unseen regions are
filled harmonically along the surface.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.sparse import diags_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.depth_maps import depth_edges
from meshcli.meshes.mesh import PLAIN_GREY, Mesh, adjacency, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.interpolation import bicubic, bilinear
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.system.numba_kernel import kernel
from meshcli.system.sparse_solve import solve
from meshcli.views.camera import DISTANCE
from meshcli.views.projection import camera_to_world, pixel_centres, rays, world_to_camera
from meshcli.views.view import View

# The feather's width and the disagreement's sigma were found on a prototype (spot, true views); the rest is by eye.
# Lengths in pixels are for views of VIEW_SIZE and scale with theirs.
SQUARED_REFERENCE_DISTANCE = DISTANCE**2  # a frontal view of the densest camera there has weight 1
FEATHER_WIDTH = 4.0  # pixels from an edge to full weight
DEPTH_EDGE = 6.0  # pixels' worth of depth between neighbours that make an edge
EDGE_WEIGHT = 0.02  # of the feather on the edge itself: a narrow groove consists of edges only
COARSE_SIGMA = 4.0  # pixels: of the Gaussian that separates the bands
DISAGREEMENT_SIGMA = 0.15  # RGB distance, 0 to 1, from the consensus at which a weight falls to 1/e
DETAIL_POWER = 4  # of the weights in the fine band and in the consensus
RAY_OFFSET = 0.006  # world units that occlusion rays start above the surface, so that bumps do not occlude themselves
NORMAL_RADIUS = 0.04  # world units over which normals are averaged, so that bumps do not switch between views
MIN_COSINE = 0.08  # of the view angle (85 degrees): flatter views contribute nothing
CONFIDENT_WEIGHT = 0.01  # below this weight the harmonic fill takes over gradually
POINTS_PER_CHUNK = 1 << 18  # 40 bytes each per view


@dataclass(frozen=True)
class BlendedColours:
    """Colours of points, and how well the views see them."""

    values: NDArray[np.float32]  # (N, 3) sRGB, 0 to 255; 0 where no view sees the point
    weight: NDArray[np.float32]  # (N,) the largest blend weight of any view; 0 where no view sees the point


@dataclass(frozen=True)
class _PreparedView:
    pose: Array  # world to camera (3, 4)
    position: Array  # (3,) of the camera
    intrinsics: Array  # fx, fy, cx, cy in pixels
    density: float  # pixels per unit of length at distance 1, relative to the densest view, squared
    feather: Array  # (H, W), 0 to 1
    full: Array  # (H, W, 4) premultiplied RGBA, 0 to 255
    coarse: Array  # (H, W, 4) the same, blurred


class ViewBlender:
    """Blends the colours that some views have at points of a surface."""

    def __init__(self, views: Sequence[View], scene: Scene) -> None:
        self.scene = scene
        densest = max(view.camera.fy * view.height for view in views)
        self._views = [_prepare(view, scene, densest) for view in views]

    def colours(self, points: Array, normals: Array) -> BlendedColours:
        """Colours of points (N, 3) on the scene's surface with unit normals (N, 3)."""
        values = np.empty((len(points), 3), np.float32)
        weight = np.empty(len(points), np.float32)
        for start in range(0, len(points), POINTS_PER_CHUNK):
            part = slice(start, start + POINTS_PER_CHUNK)
            where, facing = points[part].astype(np.float64), normals[part].astype(np.float64)
            weights = np.empty((len(self._views), len(where)), np.float32)
            full, coarse = np.empty((*weights.shape, 3), np.float32), np.empty((*weights.shape, 3), np.float32)
            for i, view in enumerate(self._views):
                self._sample_view(view, where, facing, weights[i], full[i], coarse[i])
            _blend(weights, full, coarse, values[part], weight[part])
        return BlendedColours(values, weight)

    def _sample_view(
        self, view: _PreparedView, points: Array, normals: Array, weights: Array, full: Array, coarse: Array
    ) -> None:
        """Fill in one view's weights (N,) and colours (N, 3) for all points."""
        _sample_points(
            points, normals, view.pose, view.position, view.intrinsics, view.feather,
            (view.full, view.coarse), (weights, full, coarse),
        )  # fmt: skip
        facing = np.flatnonzero(weights > 0.0)
        start = points[facing] + RAY_OFFSET * normals[facing]
        weights[facing[self.scene.occluded(start, view.position - start, 1.0)]] = 0.0
        weights *= view.density


def colour_vertices(mesh: Mesh, views: Sequence[View]) -> Mesh:
    """The mesh with vertex colours: blended from the views where they see it, filled in elsewhere."""
    blender = ViewBlender(views, Scene(mesh.vertices, mesh.faces))
    found = blender.colours(mesh.vertices, smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS))
    values = fill_unseen(mesh.vertices, mesh.faces, found)
    return Mesh(mesh.vertices, mesh.faces, np.rint(values.clip(0.0, 255.0)).astype(np.uint8))


def fill_unseen(vertices: Array, faces: Array, found: BlendedColours) -> NDArray[np.float32]:
    """Colours of all vertices (V, 3): confident ones kept, the others harmonic between them, attracted to weak samples.

    A direct sparse solve: conjugate gradients converge too slowly where a large region is unseen. Connected parts of
    the surface without a confident vertex take the colours of the closest confident ones.
    """
    count = len(found.weight)
    confident = found.weight >= CONFIDENT_WEIGHT
    values = found.values.astype(np.float64)
    if not confident.any():
        return np.full((count, 3), PLAIN_GREY, np.float32)
    edges = adjacency(faces, count)
    parts, part = connected_components(edges, directed=False)
    unseen = np.bincount(part, confident, parts)[part] == 0
    values[unseen] = values[confident][cKDTree(vertices[confident]).query(vertices[unseen])[1]]
    free = np.flatnonzero(~confident & ~unseen)
    if len(free):
        rows = edges[free]
        attraction = found.weight[free] / CONFIDENT_WEIGHT
        degree = np.asarray(rows.sum(axis=1)) + attraction
        matrix = diags_array(degree) - rows[:, free]
        known = np.where(confident[:, None], values, 0.0)
        values[free] = solve(matrix.tocsc(), rows @ known + attraction[:, None] * values[free])
    return values.astype(np.float32)


def _prepare(view: View, scene: Scene, densest: float) -> _PreparedView:
    """Bands, feather and intrinsics of a view; `densest` is the largest focal length in pixels of all views."""
    scale = min(view.width, view.height) / VIEW_SIZE
    alpha = view.pixels[..., 3:].astype(np.float32) / 255.0
    full = np.concatenate([view.pixels[..., :3] * alpha, 255.0 * alpha], axis=-1)
    camera = view.camera
    return _PreparedView(
        pose=world_to_camera(camera)[:3],
        position=camera_to_world(camera)[:3, 3],
        intrinsics=np.array(
            [camera.fx * view.width, camera.fy * view.height, camera.cx * view.width, camera.cy * view.height]
        ),
        density=(camera.fy * view.height / densest) ** 2,
        feather=_feather(view, scene, scale),
        full=full,
        coarse=gaussian_filter(full, (COARSE_SIGMA * scale, COARSE_SIGMA * scale, 0.0)),
    )


def _feather(view: View, scene: Scene, scale: float) -> Array:
    """Weight of every pixel (H, W), 0 to 1, by its distance from silhouettes and depth edges; 0 off the surface."""
    origins, directions = rays(view.camera, pixel_centres(view.width, view.height), view.width, view.height)
    depth = scene.cast(origins.reshape(-1, 3)[0], directions.reshape(-1, 3)).depths.reshape(view.height, view.width)
    limit = DEPTH_EDGE * np.where(np.isfinite(depth), depth, 0.0) / (view.camera.fy * view.height)
    edge = depth_edges(depth, limit)
    clear = np.isfinite(depth) & ~edge & binary_erosion(view.pixels[..., 3] >= 128, border_value=1)
    distance = distance_transform_edt(clear)
    feather = np.minimum(distance / (FEATHER_WIDTH * scale), 1.0).astype(np.float32) ** 2
    return np.maximum(feather, np.where(np.isfinite(depth), np.float32(EDGE_WEIGHT), np.float32(0.0)))


@kernel(parallel=True)
def _sample_points(
    points: Array,
    normals: Array,
    pose: Array,
    position: Array,
    intrinsics: Array,
    feather: Array,
    images: tuple[Array, Array],
    results: tuple[Array, Array, Array],
) -> None:
    """One view's blend weights (N,) but for density and occlusion, and its full and coarse colours (N, 3)."""
    image, blurred = images
    weights, full, coarse = results
    height, width = feather.shape
    for p in prange(len(points)):
        weights[p] = 0.0
        x, y, z = (
            pose[0, 0] * points[p, 0] + pose[0, 1] * points[p, 1] + pose[0, 2] * points[p, 2] + pose[0, 3],
            pose[1, 0] * points[p, 0] + pose[1, 1] * points[p, 1] + pose[1, 2] * points[p, 2] + pose[1, 3],
            -(pose[2, 0] * points[p, 0] + pose[2, 1] * points[p, 1] + pose[2, 2] * points[p, 2] + pose[2, 3]),
        )
        if z < 1e-6:
            continue
        column, row = intrinsics[2] + intrinsics[0] * x / z, intrinsics[3] - intrinsics[1] * y / z
        if column < 0.0 or row < 0.0 or column > width or row > height:
            continue
        squared_distance, cosine = 0.0, 0.0
        for k in range(3):
            towards = position[k] - points[p, k]
            squared_distance += towards * towards
            cosine += towards * normals[p, k]
        cosine /= np.sqrt(squared_distance)
        if cosine < MIN_COSINE:
            continue
        alpha, coarse_alpha = bicubic(image[:, :, 3], column, row), bilinear(blurred[:, :, 3], column, row)
        if alpha < 128.0 or coarse_alpha < 1.0:
            continue
        weights[p] = cosine**4 * bilinear(feather, column, row) / squared_distance * SQUARED_REFERENCE_DISTANCE
        for k in range(3):
            full[p, k] = min(bicubic(image[:, :, k], column, row) * 255.0 / alpha, 255.0)
            coarse[p, k] = min(bilinear(blurred[:, :, k], column, row) * 255.0 / coarse_alpha, 255.0)


@kernel()
def _consensus(weights: Array, colours: Array, top: float) -> Array:
    """Mean colour (3,) dominated by the largest weights: smooth, since switching between views would leave a seam."""
    total, weight_sum = np.zeros(3), 0.0
    for i in range(len(weights)):
        if weights[i] > 0.0:
            weight = (weights[i] / top) ** DETAIL_POWER
            weight_sum += weight
            for k in range(3):
                total[k] += weight * colours[i, k]
    return total / weight_sum


@kernel(parallel=True)
def _blend(weights: Array, full: Array, coarse: Array, values: Array, largest: Array) -> None:
    """Blend K views' weights (K, N) and colours (K, N, 3) into colours (N, 3); `largest` (N,) is the largest weight."""
    for p in prange(weights.shape[1]):
        top = 0.0
        for i in range(len(weights)):
            top = max(top, weights[i, p])
        largest[p] = top
        values[p] = 0.0
        if top <= 0.0:
            continue
        consensus = _consensus(weights[:, p], full[:, p], top)
        base, fine, soft, hard = np.zeros(3), np.zeros(3), 0.0, 0.0
        for i in range(len(weights)):
            if weights[i, p] <= 0.0:
                continue
            difference = 0.0
            for k in range(3):
                difference += ((full[i, p, k] - consensus[k]) / 255.0) ** 2
            weight = weights[i, p] / top * np.exp(-difference / DISAGREEMENT_SIGMA**2) + 1e-9
            soft += weight
            hard += weight**DETAIL_POWER
            for k in range(3):
                base[k] += weight * coarse[i, p, k]
                fine[k] += weight**DETAIL_POWER * (full[i, p, k] - coarse[i, p, k])
        for k in range(3):
            values[p, k] = min(max(base[k] / soft + fine[k] / hard, 0.0), 255.0)

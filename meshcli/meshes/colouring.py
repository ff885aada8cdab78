"""Colours of surface points, blended from posed pictures.

A picture's say at a point: the fourth power of the cosine it is seen under, times the pixels it spends on a unit of
length, squared, fading out within a few pixels of silhouettes and depth edges, where a small error of the surface
would fetch the colour of something else; nothing where the view is blocked. Pictures that contradict the one with the
most to say lose theirs. Coarse colour is blended softly, so that no seam shows where pictures are lit differently; fine
detail is taken almost from one picture alone, for the average of two that do not quite match is blurred or doubled
(two bands of Burt and Adelson 1983). What no picture sees is filled with the smoothest continuation along the surface.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.sparse import coo_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.system.numba_kernel import kernel
from meshcli.system.sparse_solve import solve
from meshcli.views.projection import camera_to_world, pixel_centres, rays, world_to_camera
from meshcli.views.view import View

STANDARD = 320.0  # pixels: lengths in pixels below are for pictures of this size and grow with it
FEATHER = 4.0  # pixels from an edge to a picture's full say
STEP = 6.0  # pixels' worth of depth between neighbours that make an edge
EDGE = 0.02  # say that is left on the edge itself: a narrow groove is nothing but edges
COARSE = 4.0  # pixels: sigma of the blur that parts coarse colour from detail
DISAGREEMENT = 0.15  # distance in RGB, 0 to 1, at which a contradicting picture has lost 63 % of its say
WINNER = 4  # power of the say for fine detail
OFF_SURFACE = 0.006  # world units that a ray starts above the surface, so that a bump does not block itself
SMOOTH = 0.04  # world units over which normals are averaged: bumps shall not make the pictures take turns
GRAZING = 0.08  # cosine under which a picture says nothing
SURE = 0.01  # the say below which the fill takes over gradually
UNKNOWN = 200.0  # grey of a mesh that no picture shows
CHUNK = 1 << 18  # points at a time: 40 bytes each per picture


@dataclass(frozen=True)
class Colours:
    """What the pictures say about points."""

    values: NDArray[np.float32]  # (N, 3) sRGB, 0 to 255; 0 where nothing is said
    say: NDArray[np.float32]  # (N,) of all pictures together; 0 where no picture sees the point


@dataclass(frozen=True)
class _Picture:
    pose: Array  # world to camera (3, 4)
    position: Array  # (3,) of the camera
    lens: Array  # fx, fy, cx, cy in pixels
    density: float  # relative number of pixels on a unit of length at distance 1, squared
    feather: Array  # (H, W), 0 to 1
    full: Array  # (H, W, 4) premultiplied, 0 to 255
    coarse: Array  # (H, W, 4) the same, blurred


class Painter:
    """Pictures made ready to be asked about points of a surface."""

    def __init__(self, views: Sequence[View], scene: Scene) -> None:
        self.scene = scene
        densest = max(view.camera.fy * view.height for view in views)
        self._pictures = [_prepare(view, scene, densest) for view in views]

    def colours(self, points: Array, normals: Array) -> Colours:
        """Colours of points (N, 3) on the scene's surface with unit normals (N, 3)."""
        values = np.empty((len(points), 3), np.float32)
        say = np.empty(len(points), np.float32)
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            where, facing = points[part].astype(np.float64), normals[part].astype(np.float64)
            weights = np.empty((len(self._pictures), len(where)), np.float32)
            full, coarse = np.empty((*weights.shape, 3), np.float32), np.empty((*weights.shape, 3), np.float32)
            for i, picture in enumerate(self._pictures):
                self._ask(picture, where, facing, weights[i], full[i], coarse[i])
            _blend(weights, full, coarse, values[part], say[part])
        return Colours(values, say)

    def _ask(
        self, picture: _Picture, points: Array, normals: Array, weights: Array, full: Array, coarse: Array
    ) -> None:
        """Fill in one picture's say and colours for all points."""
        _sample(
            points, normals, picture.pose, picture.position, picture.lens, picture.feather,
            (picture.full, picture.coarse), (weights, full, coarse),
        )  # fmt: skip
        asked = np.flatnonzero(weights > 0.0)
        start = points[asked] + OFF_SURFACE * normals[asked]
        weights[asked[self.scene.blocked(start, picture.position - start, 1.0)]] = 0.0
        weights *= picture.density


def colour_vertices(mesh: Mesh, views: Sequence[View]) -> Mesh:
    """The mesh with colours at its vertices, from the pictures where they see it and filled in where not."""
    painter = Painter(views, Scene(mesh.vertices, mesh.faces))
    found = painter.colours(mesh.vertices, smooth_normals(mesh.vertices, mesh.faces, SMOOTH))
    values = fill(mesh.vertices, mesh.faces, found)
    return Mesh(mesh.vertices, mesh.faces, np.rint(values.clip(0.0, 255.0)).astype(np.uint8))


def fill(vertices: Array, faces: Array, found: Colours) -> NDArray[np.float32]:
    """Colours at all vertices (V, 3): harmonic between those the pictures are sure of, drawn to hints elsewhere.

    A direct sparse solve, for conjugate gradients crawl where a large part has no picture. Parts of the surface without
    a single sure vertex take the colours of the closest sure ones.
    """
    count = len(found.say)
    sure = found.say >= SURE
    values = found.values.astype(np.float64)
    if not sure.any():
        return np.full((count, 3), UNKNOWN, np.float32)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([ends, ends[:, ::-1]])
    edges = coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    edges.data[:] = 1.0
    parts, part = connected_components(edges, directed=False)
    blind = np.bincount(part, sure, parts)[part] == 0
    values[blind] = values[sure][cKDTree(vertices[sure]).query(vertices[blind])[1]]
    open_ = np.flatnonzero(~sure & ~blind)
    if len(open_):
        rows = edges[open_]
        hint = found.say[open_] / SURE
        degree = np.asarray(rows.sum(axis=1)) + hint
        matrix = diags_array(degree) - rows[:, open_]
        known = np.where(sure[:, None], values, 0.0)
        values[open_] = solve(matrix.tocsc(), rows @ known + hint[:, None] * values[open_])
    return values.astype(np.float32)


def _prepare(view: View, scene: Scene, densest: float) -> _Picture:
    scale = min(view.width, view.height) / STANDARD
    alpha = view.pixels[..., 3:].astype(np.float32) / 255.0
    full = np.concatenate([view.pixels[..., :3] * alpha, 255.0 * alpha], axis=-1)
    camera = view.camera
    return _Picture(
        pose=world_to_camera(camera)[:3],
        position=camera_to_world(camera)[:3, 3],
        lens=np.array(
            [camera.fx * view.width, camera.fy * view.height, camera.cx * view.width, camera.cy * view.height]
        ),
        density=(camera.fy * view.height / densest) ** 2,
        feather=_feather(view, scene, scale),
        full=full,
        coarse=gaussian_filter(full, (COARSE * scale, COARSE * scale, 0.0)),
    )


def _feather(view: View, scene: Scene, scale: float) -> Array:
    """How far every pixel is from anything that might make its colour somebody else's (H, W), 0 to 1."""
    origins, directions = rays(view.camera, pixel_centres(view.width, view.height), view.width, view.height)
    depth = scene.cast(origins.reshape(-1, 3)[0], directions.reshape(-1, 3)).depths.reshape(view.height, view.width)
    # Infinite depth beside the surface makes the silhouette an edge as well.
    limit = STEP * np.where(np.isfinite(depth), depth, 0.0) / (view.camera.fy * view.height)
    padded = np.where(np.isfinite(depth), depth, 1e6)
    edge = np.zeros(depth.shape, np.bool_)
    for axis in (0, 1):
        jump = np.abs(np.diff(padded, axis=axis)) > np.delete(limit, -1, axis)
        near = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
        edge |= np.pad(jump, near) | np.pad(jump, [side[::-1] for side in near])
    clear = np.isfinite(depth) & ~edge & binary_erosion(view.pixels[..., 3] >= 128, border_value=1)
    distance = distance_transform_edt(clear)
    feather = np.minimum(distance / (FEATHER * scale), 1.0).astype(np.float32) ** 2
    return np.maximum(feather, np.where(np.isfinite(depth), np.float32(EDGE), np.float32(0.0)))


@kernel()
def _between(position: float, count: int) -> tuple[int, int, float]:
    """The two of `count` pixels in a line whose centres a position lies between, and how far it is to the second.

    The pixel at the border is repeated beyond it; a line may be a single pixel.
    """
    place = min(max(position - 0.5, 0.0), count - 1.0)
    first = int(place)
    return first, min(first + 1, count - 1), place - first


@kernel()
def _bilinear(image: Array, x: float, y: float) -> Any:
    """Of a plane (H, W) at pixel position x, y."""
    height, width = image.shape
    j, right, b = _between(x, width)
    i, below, a = _between(y, height)
    upper = (1.0 - b) * image[i, j] + b * image[i, right]
    lower = (1.0 - b) * image[below, j] + b * image[below, right]
    return (1.0 - a) * upper + a * lower


@kernel()
def _bicubic(image: Array, x: float, y: float) -> Any:
    """Of a plane (H, W) at pixel position x, y: Catmull-Rom, kept within the four nearest pixels' range."""
    height, width = image.shape
    j, right, b = _between(x, width)
    i, below, a = _between(y, height)
    total = 0.0
    for m in range(-1, 3):
        row = min(max(i + m, 0), height - 1)
        line = 0.0
        for n in range(-1, 3):
            line += _catmull(n - b) * image[row, min(max(j + n, 0), width - 1)]
        total += _catmull(m - a) * line
    low = min(image[i, j], image[i, right], image[below, j], image[below, right])
    high = max(image[i, j], image[i, right], image[below, j], image[below, right])
    return min(max(total, low), high)


@kernel()
def _catmull(distance: float) -> float:
    t = abs(distance)
    if t < 1.0:
        return 1.0 + t * t * (1.5 * t - 2.5)
    return 2.0 + t * (-4.0 + t * (2.5 - 0.5 * t)) if t < 2.0 else 0.0


@kernel(parallel=True)
def _sample(
    points: Array,
    normals: Array,
    pose: Array,
    position: Array,
    lens: Array,
    feather: Array,
    images: tuple[Array, Array],
    results: tuple[Array, Array, Array],
) -> None:
    """One picture's say (N,) and its full and coarse colours (N, 3), whether or not something is in the way."""
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
        column, row = lens[2] + lens[0] * x / z, lens[3] - lens[1] * y / z
        if column < 0.0 or row < 0.0 or column > width or row > height:
            continue
        length, cosine = 0.0, 0.0
        for k in range(3):
            towards = position[k] - points[p, k]
            length += towards * towards
            cosine += towards * normals[p, k]
        cosine /= np.sqrt(length)
        if cosine < GRAZING:
            continue
        alpha, thin = _bicubic(image[:, :, 3], column, row), _bilinear(blurred[:, :, 3], column, row)
        if alpha < 128.0 or thin < 1.0:
            continue
        weights[p] = cosine**4 * _bilinear(feather, column, row) / length * 16.0
        for k in range(3):
            full[p, k] = min(_bicubic(image[:, :, k], column, row) * 255.0 / alpha, 255.0)
            coarse[p, k] = min(_bilinear(blurred[:, :, k], column, row) * 255.0 / thin, 255.0)


@kernel()
def _majority(weights: Array, colours: Array, top: float) -> Array:
    """What most of the say says (3,): a smooth choice, for a switch from one picture to the next would leave a seam."""
    total, strong = np.zeros(3), 0.0
    for i in range(len(weights)):
        if weights[i] > 0.0:
            weight = (weights[i] / top) ** WINNER
            strong += weight
            for k in range(3):
                total[k] += weight * colours[i, k]
    return total / strong


@kernel(parallel=True)
def _blend(weights: Array, full: Array, coarse: Array, values: Array, say: Array) -> None:
    """Join the pictures' (K, N) says and colours (K, N, 3) into colours (N, 3) and a say (N,)."""
    for p in prange(weights.shape[1]):
        top = 0.0
        for i in range(len(weights)):
            top = max(top, weights[i, p])
        say[p] = top
        values[p] = 0.0
        if top <= 0.0:
            continue
        middle = _majority(weights[:, p], full[:, p], top)
        base, fine, soft, hard = np.zeros(3), np.zeros(3), 0.0, 0.0
        for i in range(len(weights)):
            if weights[i, p] <= 0.0:
                continue
            far = 0.0
            for k in range(3):
                far += ((full[i, p, k] - middle[k]) / 255.0) ** 2
            weight = weights[i, p] / top * np.exp(-far / DISAGREEMENT**2) + 1e-9
            soft += weight
            hard += weight**WINNER
            for k in range(3):
                base[k] += weight * coarse[i, p, k]
                fine[k] += weight**WINNER * (full[i, p, k] - coarse[i, p, k])
        for k in range(3):
            values[p, k] = min(max(base[k] / soft + fine[k] / hard, 0.0), 255.0)

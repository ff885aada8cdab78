"""Fewer faces, a flat map of the surface, and a texture coloured from the pictures."""

from collections.abc import Callable, Sequence

import fast_simplification
import numpy as np
import xatlas
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.colouring import SMOOTH, SURE, Colours, Painter, fill
from meshcli.meshes.mesh import Mesh, Texture, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.progress import Progress
from meshcli.settings import TextureSettings
from meshcli.system.numba_kernel import kernel
from meshcli.views.view import View

Look = Callable[[Array, Array], Array]  # faces (N,) and weights of their corners (N, 3) to colours (N, 3), 0 to 255

GUTTER = 3.0  # texels around the charts that continue the surface; beyond them its border's colour is repeated
BAND = 1 << 19  # texels coloured at a time
# The last atlas. xatlas ends its threads without a lock: one that is just going to sleep misses that, and the process
# waits for it for ever, without heeding signals. When the next atlas takes this place, they have long been asleep.
KEPT: list[xatlas.Atlas] = []


def simplify(mesh: Mesh, faces: int) -> Mesh:
    """At most about this many faces, by collapsing the edges that matter least (Garland and Heckbert 1997).

    Vertex colours are carried over from the old vertices around each new one; a texture is dropped.
    """
    if len(mesh.faces) <= faces:
        return Mesh(mesh.vertices, mesh.faces, mesh.colours)
    points, triangles = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=faces)
    triangles = _without_flaps(triangles)
    used, renumbered = np.unique(triangles, return_inverse=True)
    vertices = points[used].astype(np.float32)
    colours = None
    if mesh.colours is not None:
        distance, near = cKDTree(mesh.vertices).query(vertices, k=4)
        weight = 1.0 / (np.asarray(distance) + 1e-6)
        total = weight.sum(axis=1, keepdims=True)
        colours = np.rint((mesh.colours[near] * weight[..., None]).sum(axis=1) / total).astype(np.uint8)
    return Mesh(vertices, renumbered.reshape(-1, 3).astype(np.int32), colours)


def bake(mesh: Mesh, views: Sequence[View], settings: TextureSettings, progress: Progress) -> Mesh:
    """The mesh with a texture whose texels are coloured from the pictures, and vertex colours made in the same way."""
    progress(0, 3, "unwrapping the surface")
    coordinates, rows = unwrap(mesh, settings.size)
    progress(1, 3, "colouring the surface")
    painter = Painter(views, Scene(mesh.vertices, mesh.faces))
    normals = smooth_normals(mesh.vertices, mesh.faces, SMOOTH)
    found = painter.colours(mesh.vertices, normals)
    corners = fill(mesh.vertices, mesh.faces, found)
    progress(2, 3, "baking the texture")

    def look(faces: Array, weights: Array) -> Array:
        triangles = mesh.faces[faces]
        facing = (normals[triangles] * weights[..., None]).sum(axis=1)
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
        seen = painter.colours(_points(mesh, faces, weights), facing)
        return _blended(seen, (corners[triangles] * _within(weights)[..., None]).sum(axis=1))

    image = _paint(coordinates[rows], settings.size, look)
    progress(3, 3, "baking the texture")
    colours = np.rint(corners.clip(0.0, 255.0)).astype(np.uint8)
    return Mesh(mesh.vertices, mesh.faces, colours, Texture(image, coordinates, rows))


def bake_colours(
    mesh: Mesh, colours: Callable[[NDArray[np.float32]], NDArray[np.uint8]], settings: TextureSettings,
    progress: Progress,
) -> Mesh:  # fmt: skip
    """The mesh with a texture from something that knows the colour of every point, (N, 3) to sRGB (N, 3)."""
    progress(0, 2, "unwrapping the surface")
    coordinates, rows = unwrap(mesh, settings.size)
    progress(1, 2, "baking the texture")

    def look(faces: Array, weights: Array) -> Array:
        return colours(_points(mesh, faces, weights).astype(np.float32))

    image = _paint(coordinates[rows], settings.size, look)
    progress(2, 2, "baking the texture")
    return Mesh(mesh.vertices, mesh.faces, mesh.colours, Texture(image, coordinates, rows))


def unwrap(mesh: Mesh, size: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A flat map without overlaps: coordinates (T, 2) in [0, 1] and which of them each face's corners have (F, 3)."""
    atlas = xatlas.Atlas()
    KEPT[:] = [atlas]
    atlas.add_mesh(mesh.vertices, mesh.faces)
    packing = xatlas.PackOptions()
    packing.resolution = size
    packing.padding = max(2, size // 256)  # texels between charts: neither bilinear lookup nor a small copy mixes them
    packing.bilinear = True
    atlas.generate(xatlas.ChartOptions(), packing)
    _, rows, coordinates = atlas[0]
    return coordinates.astype(np.float32), rows.astype(np.int32)


def _without_flaps(faces: Array) -> Array:
    """Drop pairs of faces that lie back to back: what is left of a thin part whose volume has collapsed.

    An edge has two faces fewer afterwards, so a closed mesh stays closed.
    """
    while True:
        _, rows, counts = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        single = counts[rows.reshape(-1)] == 1
        if single.all():
            return faces
        faces = faces[single]


def _paint(corners: Array, size: int, look: Look) -> NDArray[np.uint8]:
    """The texture (size, size, 3), first row at the top; `corners` (F, 3, 2) are the faces' corners on the map."""
    owner = np.full((size, size), -1, np.int32)
    _cover(corners.astype(np.float64), owner)
    distance, nearest = distance_transform_edt(owner < 0, return_indices=True)
    owner = owner[tuple(nearest)]  # every texel knows the closest face
    wanted = np.flatnonzero(distance.reshape(-1) <= GUTTER)
    image = np.zeros((size * size, 3), np.float32)
    seen = np.zeros(size * size, np.bool_)
    for start in range(0, len(wanted), BAND):
        texels = wanted[start : start + BAND]
        faces = owner.reshape(-1)[texels]
        image[texels] = look(faces, _barycentric(corners[faces], texels, size))
        seen[texels] = True
    # The rest repeats its nearest texel, so that small copies of the texture (mipmaps) stay clean.
    nearest = distance_transform_edt(~seen.reshape(size, size), return_distances=False, return_indices=True)
    whole = np.rint(image.clip(0.0, 255.0)).astype(np.uint8).reshape(size, size, 3)
    result: NDArray[np.uint8] = whole[tuple(nearest)]
    return result


def _points(mesh: Mesh, faces: Array, weights: Array) -> Array:
    """Where these weights (N, 3) of these faces (N,) lie: (N, 3)."""
    points: Array = (mesh.vertices[mesh.faces[faces]] * weights[..., None]).sum(axis=1)
    return points


def _blended(found: Colours, backup: Array) -> Array:
    """What the pictures say, fading into the filled-in colours where they say little."""
    trust: Array = np.minimum(found.say / SURE, 1.0)[:, None]
    return trust * found.values + (1.0 - trust) * backup


def _barycentric(corners: Array, texels: Array, size: int) -> Array:
    """Weights (N, 3) of the corners (N, 3, 2) at the texels' centres, beyond [0, 1] outside the triangle."""
    at = np.stack([(texels % size + 0.5) / size, 1.0 - (texels // size + 0.5) / size], axis=-1)
    a, b, c = (corners[:, k].astype(np.float64) for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    second = ((at[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (at[:, 1] - a[:, 1])) / area
    third = ((b[:, 0] - a[:, 0]) * (at[:, 1] - a[:, 1]) - (at[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
    weights = np.stack([1.0 - second - third, second, third], axis=-1)
    # Beside a sliver a distance of two texels may lie far outside of it: stay on it there.
    wild = np.abs(weights - 0.5).max(axis=1, keepdims=True) > 1.5
    return np.where(wild, _within(weights), weights)


def _within(weights: Array) -> Array:
    """Weights (N, 3) whose point is moved into the triangle."""
    inside = weights.clip(0.0, 1.0)
    result: Array = inside / inside.sum(axis=1, keepdims=True)
    return result


@kernel()
def _cover(corners: Array, owner: Array) -> None:
    """Write each face's number into the texels (H, W) whose centres it covers."""
    height, width = owner.shape
    for face in range(len(corners)):
        ax, ay = corners[face, 0, 0] * width - 0.5, (1.0 - corners[face, 0, 1]) * height - 0.5
        bx, by = corners[face, 1, 0] * width - 0.5, (1.0 - corners[face, 1, 1]) * height - 0.5
        cx, cy = corners[face, 2, 0] * width - 0.5, (1.0 - corners[face, 2, 1]) * height - 0.5
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        for row in range(max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(max(ay, by, cy))) + 1):
            for column in range(max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(max(ax, bx, cx))) + 1):
                second = ((column - ax) * (cy - ay) - (cx - ax) * (row - ay)) / area
                third = ((bx - ax) * (row - ay) - (column - ax) * (by - ay)) / area
                if second >= 0.0 and third >= 0.0 and second + third <= 1.0:
                    owner[row, column] = face

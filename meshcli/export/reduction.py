"""A finished mesh with fewer faces or a smaller texture, and its colours at the vertices.

Collapsing edges moves the borders of a texture's charts, so that the old texture does not fit the new surface. The new
one gets a texture of its own, whose texels take the colour of the nearest point of the old surface that faces the same
way.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, Texture, face_normals
from meshcli.meshes.simplify import simplify
from meshcli.pictures.image import resize
from meshcli.progress import Progress
from meshcli.texturing.atlas import fill_texture, surface_points, unwrap

SAMPLES = 300_000  # points on the old surface among which the nearest is looked for, by choice
NEIGHBOURS = 4  # samples near a texel, of which the first that faces the same way counts


def reduce_faces(mesh: Mesh, faces: int, progress: Progress) -> Mesh:
    """At most about this many faces, with the texture baked anew; unchanged if it has no more."""
    if len(mesh.faces) <= faces:
        return mesh
    progress(0, 3, "simplifying the surface")
    smaller = simplify(replace(mesh, texture=None), faces)
    if mesh.texture is None:
        return smaller
    progress(1, 3, "unwrapping the surface")
    size = max(mesh.texture.image.shape[:2])
    coordinates, rows = unwrap(smaller, size)
    progress(2, 3, "baking the texture")
    old, normals = _OldSurface(mesh), face_normals(smaller.vertices, smaller.faces)

    def texel_colours(owners: Array, weights: Array) -> Array:
        return old.colours(surface_points(smaller, owners, weights), normals[owners])

    image = fill_texture(coordinates[rows], size, texel_colours)
    progress(3, 3, "baking the texture")
    return replace(smaller, texture=Texture(image, coordinates, rows))


def reduce_texture(mesh: Mesh, size: int) -> Mesh:
    """The texture with at most this many texels along its longer side; unchanged if it has no more."""
    if mesh.texture is None or max(mesh.texture.image.shape[:2]) <= size:
        return mesh
    height, width = mesh.texture.image.shape[:2]
    scale = size / max(height, width)
    image = resize(mesh.texture.image, max(1, round(width * scale)), max(1, round(height * scale)))
    return replace(mesh, texture=replace(mesh.texture, image=image))


def with_vertex_colours(mesh: Mesh) -> Mesh:
    """The mesh without its texture, whose colours at the corners of the faces become those of the vertices."""
    if mesh.texture is None:
        return mesh
    uv = mesh.texture.coordinates[mesh.texture.faces.reshape(-1)].astype(np.float64)
    corners = sample(mesh.texture.image, uv)
    count = np.maximum(np.bincount(mesh.faces.reshape(-1), minlength=len(mesh.vertices)), 1)
    sums = [np.bincount(mesh.faces.reshape(-1), corners[:, each], len(mesh.vertices)) for each in range(3)]
    colours = np.rint(np.stack(sums, axis=1) / count[:, None]).astype(np.uint8)
    return replace(mesh, colours=colours, texture=None)


def sample(image: NDArray[np.uint8], uv: Array) -> NDArray[np.float64]:
    """Bilinear colours (N, 3) of a texture (H, W, 3) at coordinates (N, 2), v up."""
    height, width = image.shape[:2]
    x = (uv[:, 0] * width - 0.5).clip(0.0, width - 1.0)
    y = ((1.0 - uv[:, 1]) * height - 0.5).clip(0.0, height - 1.0)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = (y - top)[:, None], (x - left)[:, None]
    upper = (1.0 - b) * image[top, left] + b * image[top, right]
    lower = (1.0 - b) * image[below, left] + b * image[below, right]
    return np.asarray((1.0 - a) * upper + a * lower)


class _OldSurface:
    """The textured surface that colours are taken from."""

    def __init__(self, mesh: Mesh) -> None:
        assert mesh.texture is not None  # noqa: S101  # the caller's
        self._image = mesh.texture.image
        self._uv = mesh.texture.coordinates[mesh.texture.faces].astype(np.float64)  # (F, 3, 2)
        self._corners = mesh.vertices[mesh.faces].astype(np.float64)  # (F, 3, 3)
        self._normals = face_normals(mesh.vertices, mesh.faces)
        self._owners, points = self._samples()
        self._tree = cKDTree(points)

    def colours(self, points: Array, normals: Array) -> NDArray[np.float64]:
        """The colours (N, 3) of the nearest points that face as the normals (N, 3) do, of any length."""
        _, near = self._tree.query(points, k=NEIGHBOURS, workers=-1)
        owners = self._owners[near]  # (N, K)
        alike = np.einsum("nkc,nc->nk", self._normals[owners], normals) > 0.0
        chosen = owners[np.arange(len(points)), np.argmax(alike, axis=1)]
        weights = _closest(self._corners[chosen], points)
        return sample(self._image, np.einsum("nk,nkc->nc", weights, self._uv[chosen]))

    def _samples(self) -> tuple[Array, Array]:
        """Faces (N,) and points (N, 3) on them: each face's middle, and more the larger it is."""
        areas = np.linalg.norm(self._normals, axis=1)
        more = np.floor(areas / max(float(areas.sum()), 1e-30) * SAMPLES).astype(int)
        owners = np.concatenate([np.arange(len(areas)), np.repeat(np.arange(len(areas)), more)])
        generator = np.random.default_rng(0)
        u, v = generator.random((2, len(owners)))
        u[: len(areas)] = v[: len(areas)] = 1.0 / 3.0
        folded = u + v > 1.0
        u[folded], v[folded] = 1.0 - u[folded], 1.0 - v[folded]
        weights = np.stack([1.0 - u - v, u, v], axis=1)
        return owners, np.einsum("nk,nkc->nc", weights, self._corners[owners])


def _closest(corners: Array, points: Array) -> NDArray[np.float64]:
    """Barycentric weights (N, 3) of the points of triangles (N, 3, 3) near points (N, 3): projected, then clamped."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = points - corners[:, 0]
    aa, ab, bb = (np.einsum("nc,nc->n", x, y) for x, y in ((first, first), (first, second), (second, second)))
    pa, pb = np.einsum("nc,nc->n", away, first), np.einsum("nc,nc->n", away, second)
    area = np.maximum(aa * bb - ab * ab, 1e-30)
    u, v = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
    weights = np.stack([1.0 - u - v, u, v], axis=1).clip(0.0, 1.0)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12))

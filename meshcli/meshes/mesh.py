"""A triangle mesh with vertex colours or a texture, in our world frame (z up)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from meshcli.arrays import Array
from meshcli.system.numba_kernel import kernel

PLAIN_GREY = 200  # of surfaces whose colour is unknown: light enough to read the shading
MAX_SMOOTHING_ROUNDS = 60  # of normals, so that very fine meshes do not take minutes
# Degrees between two faces above which their edge is shown sharp: below a box's 90 with room for softened edges, above
# what the facets of a coarse round part make. A choice by eye: lower shows facets, higher rounds real edges off.
CREASE = 50.0


@dataclass(frozen=True)
class Texture:
    """A texture image and its coordinates."""

    image: NDArray[np.uint8]  # (H, W, 3) sRGB, first row at the top
    coordinates: NDArray[np.float32]  # (T, 2) u to the right, v UP from the picture's bottom-left corner, in [0, 1]
    faces: NDArray[np.int32]  # (F, 3) rows of `coordinates`, corner by corner with the mesh's faces


@dataclass(frozen=True)
class Mesh:
    """Vertices, faces counter-clockwise seen from outside, and their colours."""

    vertices: NDArray[np.float32]  # (V, 3)
    faces: NDArray[np.int32]  # (F, 3)
    colours: NDArray[np.uint8] | None = None  # (V, 3) sRGB
    texture: Texture | None = None


def face_normals(vertices: Array, faces: Array) -> NDArray[np.float64]:
    """Normals (F, 3) of twice the faces' areas in length, towards the side where they are counter-clockwise."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.asarray(np.cross(b - a, c - a))


def vertex_normals(vertices: Array, faces: Array) -> NDArray[np.float32]:
    """Area-weighted unit normals (V, 3); (0, 0, 1) where a vertex has no face with an area."""
    flat = face_normals(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for axis in range(3):
        for corner in range(3):
            total[:, axis] += np.bincount(faces[:, corner], flat[:, axis], len(vertices))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (total / np.maximum(length, 1e-20)).astype(np.float32)
    unit[length[:, 0] < 1e-20] = (0.0, 0.0, 1.0)
    return unit


def smooth_normals(vertices: Array, faces: Array, reach: float) -> NDArray[np.float32]:
    """Unit normals (V, 3), averaged over the surface within about `reach` world units."""
    ends = half_edges(faces)
    edge = float(np.mean(np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1))) if len(ends) else reach
    both = np.concatenate([ends, ends[:, ::-1], np.repeat(np.arange(len(vertices))[:, None], 2, axis=1)])
    mean = csr_array((np.ones(len(both), np.float32), (both[:, 0], both[:, 1])), shape=(len(vertices),) * 2)
    normals = vertex_normals(vertices, faces)
    # A random walk of n steps of length `edge` ends about sqrt(n) edges away.
    for _ in range(min(round((reach / max(edge, 1e-9)) ** 2), MAX_SMOOTHING_ROUNDS)):
        normals = mean @ normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return normals


def corner_normals(vertices: Array, faces: Array) -> NDArray[np.float32]:
    """Unit normals of the faces' corners (F, 3, 3): smooth across edges bent by less than CREASE degrees."""
    flat = face_normals(vertices, faces)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-20)
    around, starts = faces_around(faces, len(vertices))
    limit = float(np.cos(np.radians(CREASE)))
    result: NDArray[np.float32] = _gather_normals(faces, flat, unit, around, starts, limit)
    return result


def half_edges(faces: Array) -> Array:
    """The directed edges (3 F, 2) of all faces: first to second corner of each, second to third, third to first."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def adjacency(faces: Array, count: int) -> csr_array:
    """Which of `count` vertices share an edge: symmetric (V, V), 1 where they do."""
    edges = half_edges(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    matrix = coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    matrix.data[:] = 1.0
    return matrix


def faces_around(faces: Array, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The faces at each of `count` vertices: those of vertex v are around[starts[v] : starts[v + 1]]."""
    order = np.argsort(faces.reshape(-1), kind="stable")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(faces.reshape(-1), minlength=count), out=starts[1:])
    return order // 3, starts


@kernel()
def _gather_normals(faces: Array, flat: Array, unit: Array, around: Array, starts: Array, limit: float) -> Array:
    """Corner normals (F, 3, 3): sums over the faces there whose cosine with the corner's face exceeds `limit`."""
    result = np.empty((len(faces), 3, 3), np.float32)
    for face in range(len(faces)):
        for corner in range(3):
            x, y, z = 0.0, 0.0, 0.0
            vertex = faces[face, corner]
            for other in around[starts[vertex] : starts[vertex + 1]]:
                cosine = (
                    unit[face, 0] * unit[other, 0] + unit[face, 1] * unit[other, 1] + unit[face, 2] * unit[other, 2]
                )
                if other == face or cosine > limit:
                    x, y, z = x + flat[other, 0], y + flat[other, 1], z + flat[other, 2]
            length = np.sqrt(x * x + y * y + z * z) + 1e-20
            result[face, corner, 0], result[face, corner, 1], result[face, corner, 2] = (
                x / length,
                y / length,
                z / length,
            )
    return result

"""Feature-preserving mesh denoising: face normals are filtered, then the vertices are fitted to them.

Joint bilateral filter of normals (Zheng, Fu, Au and Tai 2011), guided by normals averaged beforehand, in which ripples
cancel (compare Zhang et al. 2015); vertex update of Sun, Rosin, Martin and Langbein 2007.
"""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import face_normals, faces_around
from meshcli.sdf.extract import Faces, Vertices
from meshcli.sdf.grid import BLOCKS
from meshcli.system.numba_kernel import kernel

# By eye: more rounds or a larger sigma flatten panels further and round shallow edges. tests/sdf/test_fairing.py sets
# limits to both.
FILTER_ROUNDS = 5
GUIDE_ROUNDS = 2  # averages over the faces that share a corner
NORMAL_SIGMA = 0.12  # difference of two unit normals (7 degrees) that counts as a ripple; much more is an edge
VERTEX_UPDATES = 20


def fair(vertices: Vertices, faces: Faces, reach: NDArray[np.float64]) -> Vertices:
    """Denoised vertices (V, 3); each moves at most its `reach` (V,), in the vertices' units."""
    around, start = faces_around(faces, len(vertices))
    normals = face_normals(vertices, faces)
    lengths = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(lengths, 1e-300)[:, None]
    for _ in range(FILTER_ROUNDS):
        guide = normals
        for _ in range(GUIDE_ROUNDS):
            guide = _filter_normals(faces, start, around, guide, guide, lengths, 0.0)
        normals = _filter_normals(faces, start, around, normals, guide, lengths, 0.5 / NORMAL_SIGMA**2)
    moved = vertices
    for _ in range(VERTEX_UPDATES):
        moved = _update_vertices(moved, vertices, faces, start, around, normals, reach)
    return moved


@kernel(parallel=True)
def _filter_normals(
    faces: Array, start: Array, around: Array, normals: Array, guide: Array, weights: Array, steepness: float
) -> Array:
    """Unit normals (F, 3): means over the faces that share a corner, weighted by area and similarity in `guide`.

    The similarity of two faces is exp(-steepness * squared difference of their guide normals).
    """
    result = normals.copy()
    size = (faces.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for face in range(block * size, min((block + 1) * size, faces.shape[0])):
            gx, gy, gz = guide[face, 0], guide[face, 1], guide[face, 2]
            x = y = z = 0.0
            for corner in range(3):
                vertex = faces[face, corner]
                for place in range(start[vertex], start[vertex + 1]):
                    other = around[place]
                    difference = (gx - guide[other, 0]) ** 2 + (gy - guide[other, 1]) ** 2 + (gz - guide[other, 2]) ** 2
                    weight = weights[other] * np.exp(-steepness * difference)
                    x += weight * normals[other, 0]
                    y += weight * normals[other, 1]
                    z += weight * normals[other, 2]
            length = (x * x + y * y + z * z) ** 0.5
            if length > 0:
                result[face, 0], result[face, 1], result[face, 2] = x / length, y / length, z / length
    return result


@kernel(parallel=True)
def _update_vertices(
    vertices: Array, first: Array, faces: Array, start: Array, around: Array, normals: Array, reach: Array
) -> Array:
    """Move each vertex towards its faces' planes with the given normals, at most `reach` away from `first`."""
    result = vertices.copy()
    size = (vertices.shape[0] + BLOCKS - 1) // BLOCKS
    for block in prange(BLOCKS):
        for vertex in range(block * size, min((block + 1) * size, vertices.shape[0])):
            count = start[vertex + 1] - start[vertex]
            if count == 0:
                continue
            px, py, pz = vertices[vertex, 0], vertices[vertex, 1], vertices[vertex, 2]
            x, y, z = px - first[vertex, 0], py - first[vertex, 1], pz - first[vertex, 2]
            for place in range(start[vertex], start[vertex + 1]):
                face = around[place]
                a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                nx, ny, nz = normals[face, 0], normals[face, 1], normals[face, 2]
                above = (
                    nx * ((vertices[a, 0] + vertices[b, 0] + vertices[c, 0]) / 3 - px)
                    + ny * ((vertices[a, 1] + vertices[b, 1] + vertices[c, 1]) / 3 - py)
                    + nz * ((vertices[a, 2] + vertices[b, 2] + vertices[c, 2]) / 3 - pz)
                ) / count
                x += above * nx
                y += above * ny
                z += above * nz
            far = (x * x + y * y + z * z) ** 0.5
            share = min(1.0, reach[vertex] / far) if far > 0 else 1.0
            result[vertex, 0] = first[vertex, 0] + share * x
            result[vertex, 1] = first[vertex, 1] + share * y
            result[vertex, 2] = first[vertex, 2] + share * z
    return result

"""Ripples off a triangle mesh, edges and corners left: its normals are filtered, then its vertices follow them.

Bilateral filter of normals (Zheng, Fu, Au and Tai 2011), weighted by normals that are averaged beforehand, as a guide
that ripples do not lead astray (compare Zhang et al. 2015); vertices as in Sun, Rosin, Martin and Langbein 2007.
"""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import face_normals, faces_around
from meshcli.sdf.extract import Faces, Vertices
from meshcli.sdf.grid import BLOCKS
from meshcli.system.numba_kernel import kernel

ROUNDS = 5  # of the filter
AVERAGED = 2  # times over the faces that share a corner, for the guide
ALIKE = 0.12  # difference of two unit normals that counts as a ripple; much more is an edge
UPDATES = 20  # of the vertices


def fair(vertices: Vertices, faces: Faces, reach: NDArray[np.float64]) -> Vertices:
    """The vertices (V, 3) of a smoother mesh; none moves farther than its `reach` (V,), in the vertices' units."""
    around, start = faces_around(faces, len(vertices))
    normals = face_normals(vertices, faces)
    lengths = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(lengths, 1e-300)[:, None]
    for _ in range(ROUNDS):
        guide = normals
        for _ in range(AVERAGED):
            guide = _filter(faces, start, around, guide, guide, lengths, 0.0)
        normals = _filter(faces, start, around, normals, guide, lengths, 0.5 / ALIKE**2)
    moved = vertices
    for _ in range(UPDATES):
        moved = _follow(moved, vertices, faces, start, around, normals, reach)
    return moved


@kernel(parallel=True)
def _filter(
    faces: Array, start: Array, around: Array, normals: Array, guide: Array, weights: Array, steepness: float
) -> Array:
    """Unit normals (F, 3), each the mean over the faces that share a corner, alike ones by `guide` first."""
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
                    apart = (gx - guide[other, 0]) ** 2 + (gy - guide[other, 1]) ** 2 + (gz - guide[other, 2]) ** 2
                    weight = weights[other] * np.exp(-steepness * apart)
                    x += weight * normals[other, 0]
                    y += weight * normals[other, 1]
                    z += weight * normals[other, 2]
            length = (x * x + y * y + z * z) ** 0.5
            if length > 0:
                result[face, 0], result[face, 1], result[face, 2] = x / length, y / length, z / length
    return result


@kernel(parallel=True)
def _follow(
    vertices: Array, first: Array, faces: Array, start: Array, around: Array, normals: Array, reach: Array
) -> Array:
    """Each vertex towards the planes of its faces that have the given normals, within reach of where it was first."""
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
            part = min(1.0, reach[vertex] / far) if far > 0 else 1.0
            result[vertex, 0] = first[vertex, 0] + part * x
            result[vertex, 1] = first[vertex, 1] + part * y
            result[vertex, 2] = first[vertex, 2] + part * z
    return result

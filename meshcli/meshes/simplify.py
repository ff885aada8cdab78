"""Fewer triangles for the same surface."""

import fast_simplification
import numpy as np
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh


def simplify(mesh: Mesh, faces: int) -> Mesh:
    """At most about this many faces, by quadric edge collapse (Garland and Heckbert 1997).

    Vertex colours are interpolated from the nearest old vertices; a texture is dropped.
    """
    if len(mesh.faces) <= faces:
        return Mesh(mesh.vertices, mesh.faces, mesh.colours)
    points, triangles = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=faces)
    triangles = _without_duplicates(triangles)
    used, renumbered = np.unique(triangles, return_inverse=True)
    vertices = points[used].astype(np.float32)
    colours = None
    if mesh.colours is not None:
        distance, nearest = cKDTree(mesh.vertices).query(vertices, k=4)
        weight = 1.0 / (np.asarray(distance) + 1e-6)
        total = weight.sum(axis=1, keepdims=True)
        colours = np.rint((mesh.colours[nearest] * weight[..., None]).sum(axis=1) / total).astype(np.uint8)
    return Mesh(vertices, renumbered.reshape(-1, 3).astype(np.int32), colours)


def _without_duplicates(faces: Array) -> Array:
    """Without pairs of faces on the same three vertices, which thin parts leave when their volume collapses.

    Each edge of such a pair loses two faces, so a closed mesh stays closed.
    """
    while True:
        _, rows, counts = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        single = counts[rows.reshape(-1)] == 1
        if single.all():
            return faces
        faces = faces[single]

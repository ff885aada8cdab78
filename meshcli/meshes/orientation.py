"""Faces turned the right way round: their front to the outside, as one sees it."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, face_normals, half_edges
from meshcli.meshes.raycasting import Scene, even_directions

DIRECTIONS = 24  # from which the surface is looked at, spread evenly
RAYS = 96  # along each side of a picture


def face_outwards(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh with the faces reversed that show their back to the outside, and how many these are.

    Patches of faces that agree along their edges are judged as a whole; those that nobody sees stay as they are.
    """
    patches = _patches(mesh.faces)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    centre, radius = (low + high) / 2.0, float(np.linalg.norm(high - low)) / 2.0
    scene, normals = Scene(mesh.vertices, mesh.faces), face_normals(mesh.vertices, mesh.faces)
    votes = np.zeros(patches.max() + 1)
    for direction in even_directions(DIRECTIONS):
        origins = centre + _disc(direction) * radius - 2.0 * radius * direction
        hits = scene.cast(origins, np.broadcast_to(direction, origins.shape)).faces
        hits = hits[hits >= 0]
        votes += np.bincount(patches[hits], -np.sign(normals[hits] @ direction), len(votes))
    wrong = (votes < 0.0)[patches]
    faces = np.where(wrong[:, None], mesh.faces[:, ::-1], mesh.faces)
    return Mesh(mesh.vertices, np.ascontiguousarray(faces), mesh.colours), int(wrong.sum())


def _patches(faces: Array) -> Array:
    """Each face's patch (F,): faces are joined where just two share an edge and run through it opposite ways."""
    edges = half_edges(faces).astype(np.int64)
    owner = np.tile(np.arange(len(faces)), 3)
    count = int(faces.max()) + 1
    keys = edges.min(axis=1) * count + edges.max(axis=1)
    order = np.argsort(keys, kind="stable")
    _, starts, sizes = np.unique(keys[order], return_index=True, return_counts=True)
    one, other = order[starts[sizes == 2]], order[starts[sizes == 2] + 1]
    opposite = edges[one, 0] == edges[other, 1]
    pairs = owner[one[opposite]], owner[other[opposite]]
    joined = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(len(faces), len(faces)))
    labels: Array = connected_components(joined, directed=False)[1]
    return labels


def _disc(direction: Array) -> Array:
    """A grid of points (RAYS^2, 3) from -1 to 1 in the plane through the origin that a direction is normal to."""
    side = (np.arange(RAYS) + 0.5) / RAYS * 2.0 - 1.0
    right = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    right /= np.linalg.norm(right)
    points = side[:, None, None] * right + side[None, :, None] * np.cross(direction, right)
    grid: Array = points.reshape(-1, 3)
    return grid

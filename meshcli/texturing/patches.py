"""The surface in patches: triangles small enough to follow one picture each, with their place in the texture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.colouring import NORMAL_RADIUS
from meshcli.meshes.mesh import Mesh, face_normals, half_edges, smooth_normals

# World units: the longest edge of a patch. By choice: four pixels of a view of 320, so that seams can find their way
# around features; a mesh of 20,000 faces is hardly split.
PATCH_SIZE = 0.03
MAX_PATCHES = 150_000  # by choice: larger surfaces get coarser patches, never coarser than their own triangles
MAX_ROUNDS = 12  # of halving edges: to a 4,096th


@dataclass(frozen=True)
class Patches:
    """Triangles over a mesh, whose vertices come first."""

    vertices: NDArray[np.float64]  # (V, 3)
    faces: NDArray[np.int32]  # (F, 3)
    corners: NDArray[np.float64]  # (F, 3, 2) UV coordinates
    normals: NDArray[np.float64]  # (V, 3) unit, averaged over NORMAL_RADIUS
    flat_normals: NDArray[np.float64]  # (F, 3) unit
    areas: NDArray[np.float64]  # (F,) square world units
    neighbours: NDArray[np.int32]  # (E, 2) faces that share an edge
    shared_edges: NDArray[np.int32]  # (E, 2) the vertices of that edge

    def points(self, weights: Array) -> NDArray[np.float64]:
        """The point of every face (F, 3) with these barycentric weights (3,)."""
        result: NDArray[np.float64] = np.einsum("fkc,k->fc", self.vertices[self.faces], weights)
        return result


def cut_into_patches(mesh: Mesh, corners: Array) -> Patches:
    """The mesh's triangles with edges halved until none is longer than PATCH_SIZE; `corners` (F, 3, 2) in UV."""
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int32)
    corners = corners.astype(np.float64)
    area = 0.5 * np.linalg.norm(face_normals(vertices, faces), axis=1).sum()
    longest = max(PATCH_SIZE, 2.0 * float(np.sqrt(area / MAX_PATCHES)))
    for _ in range(MAX_ROUNDS):
        ends, rows = _unique_edges(faces)
        long = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1) > longest
        if not long.any() or len(faces) > MAX_PATCHES:
            break
        middle = np.where(long, np.cumsum(long) - 1 + len(vertices), -1)
        vertices = np.concatenate([vertices, vertices[ends[long]].mean(axis=1)])
        faces, corners = _split(faces, corners, middle[rows].astype(np.int32))
    normals = face_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1)
    neighbours, shared = _neighbours(faces)
    return Patches(
        vertices, faces, corners, smooth_normals(vertices, faces, NORMAL_RADIUS).astype(np.float64),
        normals / np.maximum(length, 1e-20)[:, None], 0.5 * length, neighbours, shared,
    )  # fmt: skip


def _unique_edges(faces: Array) -> tuple[Array, Array]:
    """Undirected edges (E, 2), and for every face the rows of its three edges (F, 3), each after its corner."""
    ends = np.sort(half_edges(faces).astype(np.int64), axis=1)
    count = int(faces.max()) + 1 if len(faces) else 1
    keys, rows = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), rows.reshape(3, -1).T


def _split(faces: Array, corners: Array, middle: Array) -> tuple[Array, Array]:
    """Faces and their UV corners cut at the new vertices `middle` (F, 3) of their edges; -1 where there is none."""
    marked = middle >= 0
    count = marked.sum(axis=1)
    # Turned so that one marked edge comes first, and two marked edges come first and second.
    turn = np.where(count == 1, marked.argmax(axis=1), np.where(count == 2, (np.argmin(marked, axis=1) + 1) % 3, 0))
    order = (turn[:, None] + np.arange(3)) % 3
    faces, middle = np.take_along_axis(faces, order, 1), np.take_along_axis(middle, order, 1)
    corners = np.take_along_axis(corners, order[..., None], 1)
    halves = 0.5 * (corners + np.roll(corners, -1, axis=1))
    a, b, c, ab, bc, ca = range(6)
    patterns = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    ids, places = np.concatenate([faces, middle], axis=1), np.concatenate([corners, halves], axis=1)
    parts = [(ids[count == n][:, each], places[count == n][:, each]) for n, all_ in patterns.items() for each in all_]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _neighbours(faces: Array) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs of faces with a common edge (E, 2) and its vertices (E, 2); three faces at one edge make two pairs."""
    ends = np.sort(half_edges(faces), axis=1).astype(np.int64)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((owner, ends[:, 1], ends[:, 0]))
    ends, owner = ends[order], owner[order]
    same = (ends[1:] == ends[:-1]).all(axis=1) & (owner[1:] != owner[:-1])
    pairs = np.stack([owner[:-1][same], owner[1:][same]], axis=1)
    return pairs.astype(np.int32), ends[1:][same].astype(np.int32)

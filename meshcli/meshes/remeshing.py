"""Triangles made fit for work on their vertices: welded, of a bounded size."""

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array, Float64Array
from meshcli.meshes.mesh import half_edges

Triangles = tuple[Float64Array, NDArray[np.int32]]  # vertices (V, 3), faces (F, 3)


def welded(vertices: Array, faces: Array) -> Triangles:
    """Equal vertices as one, without degenerate faces and unused vertices; the order of the faces is kept."""
    points = np.ascontiguousarray(vertices, dtype=np.float32) + np.float32(0.0)  # -0 and 0 are equal
    _, first, rows = np.unique(points.view("V12").reshape(-1), return_index=True, return_inverse=True)
    corners = rows.reshape(-1)[faces]
    proper = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    used, renumbered = np.unique(corners[proper], return_inverse=True)
    return vertices[first[used]].astype(np.float64), renumbered.reshape(-1, 3).astype(np.int32)


def split_long_edges(vertices: Float64Array, faces: NDArray[np.int32], limit: float, most_faces: int) -> Triangles:
    """The same surface with edges of at most `limit`; longer ones stay where there would be more than `most_faces`."""
    while True:
        ends = np.sort(half_edges(faces).astype(np.int64), axis=1)
        keys, rows = np.unique(ends[:, 0] * len(vertices) + ends[:, 1], return_inverse=True)
        first, second = keys // len(vertices), keys % len(vertices)
        long = np.linalg.norm(vertices[first] - vertices[second], axis=1) > limit
        marked = long[rows].reshape(3, -1).T  # (F, 3): the edges from corner 0 to 1, 1 to 2, 2 to 0
        if not long.any() or len(faces) + marked.sum() > most_faces:
            return vertices, faces
        middle = np.full(len(keys), -1)
        middle[long] = len(vertices) + np.arange(long.sum())
        vertices = np.concatenate([vertices, (vertices[first[long]] + vertices[second[long]]) / 2])
        faces = _split(faces, middle[rows].reshape(3, -1).T)


def _split(faces: Array, middle: Array) -> NDArray[np.int32]:
    """Faces (F, 3) with `middle` (F, 3), new vertices on the edges from corner 0 to 1, 1 to 2 and 2 to 0; -1: none."""
    counts = (middle >= 0).sum(axis=1)
    parts = [faces[counts == 0]]
    # Turned so that one new vertex is on the first edge, and two are on the first and the second.
    turn = np.where(
        counts == 1, np.argmax(middle >= 0, axis=1), np.where(counts == 2, np.argmin(middle, axis=1) + 1, 0)
    )
    order = (turn[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(faces, order, axis=1).T
    m, n, o = np.take_along_axis(middle, order, axis=1).T
    patterns = {1: ["amc", "mbc"], 2: ["mbn", "amn", "anc"], 3: ["amo", "mbn", "onc", "mno"]}
    names = {"a": a, "b": b, "c": c, "m": m, "n": n, "o": o}
    for count, triangles in patterns.items():
        chosen = counts == count
        parts += [np.stack([names[corner][chosen] for corner in corners], axis=1) for corners in triangles]
    return np.concatenate(parts).astype(np.int32)

"""Whether a mesh encloses a volume, as printers need it, and closing what only just does not.

A mesh is watertight here when every edge has as many faces that run along it in one direction as in the other: it has
no border, and inside and outside are told apart everywhere. Parts that only touch are allowed; slicers unite them.
"""

from dataclasses import dataclass

import numpy as np

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, half_edges

# Of the bounding box's longest side: what a hole may span to be closed by a fan of triangles around its middle. By
# choice: a larger one may be an opening that belongs to the object, or a missing side.
MAX_HOLE = 0.05


@dataclass(frozen=True)
class Closed:
    """A mesh made ready for a printer."""

    mesh: Mesh  # without a texture
    repairs: tuple[str, ...] = ()  # what was done to it, in words
    open_edges: int = 0  # that are left; 0 is watertight


def close_mesh(mesh: Mesh) -> Closed:
    """The mesh with equal vertices welded, useless faces dropped, small holes closed and its outside outwards."""
    _, first, rows = np.unique(mesh.vertices + np.float32(0.0), axis=0, return_index=True, return_inverse=True)
    vertices, faces = mesh.vertices[first].astype(np.float64), rows.reshape(-1)[mesh.faces]
    colours = None if mesh.colours is None else mesh.colours[first]
    repairs = []
    kept = _without_useless(faces)
    if len(kept) < len(faces):
        repairs.append(f"{_count(len(faces) - len(kept), 'face')} without an area or twice the same dropped")
    vertices, faces, colours, filled = _fill_holes(vertices, kept, colours)
    if filled:
        repairs.append(f"{_count(filled, 'small hole')} closed")
    if signed_volume(vertices, faces) < 0.0:
        faces = faces[:, ::-1]
        repairs.append("inside and outside exchanged")
    used, renumbered = np.unique(faces, return_inverse=True)
    painted = None if colours is None else colours[used]
    result = Mesh(vertices[used].astype(np.float32), renumbered.reshape(-1, 3).astype(np.int32), painted)
    return Closed(result, tuple(repairs), len(open_edges(result.faces)))


def open_edges(faces: Array) -> Array:
    """Directed edges (N, 2) that lack a face in the other direction; one row for each face that is lacking."""
    edges = half_edges(faces).astype(np.int64)
    low, high = edges.min(axis=1), edges.max(axis=1)
    keys, rows = np.unique(low * (int(faces.max(initial=0)) + 1) + high, return_inverse=True)
    balance = np.zeros(len(keys), np.int64)
    np.add.at(balance, rows.reshape(-1), np.where(edges[:, 0] < edges[:, 1], 1, -1))
    surplus = balance[rows.reshape(-1)] * np.where(edges[:, 0] < edges[:, 1], 1, -1)
    found: Array = edges[surplus > 0]
    return found


def signed_volume(vertices: Array, faces: Array) -> float:
    """The enclosed volume; negative where faces are clockwise seen from outside."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float(np.einsum("fk,fk->f", a, np.cross(b, c)).sum() / 6.0)


def _without_useless(faces: Array) -> Array:
    """Without faces that use a vertex twice, and pairs on the same vertices that face away from each other."""
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[distinct]
    turns = np.argmin(faces, axis=1)
    ordered = np.stack([faces[np.arange(len(faces)), (turns + corner) % 3] for corner in range(3)], axis=1)
    once: Array = np.unique(ordered, axis=0, return_index=True)[1]
    faces, ordered = faces[np.sort(once)], ordered[np.sort(once)]
    if not len(faces):
        return faces
    _, rows, counts = np.unique(np.sort(ordered, axis=1), axis=0, return_inverse=True, return_counts=True)
    kept: Array = faces[counts[rows.reshape(-1)] == 1]
    return kept


def _fill_holes(vertices: Array, faces: Array, colours: Array | None) -> tuple[Array, Array, Array | None, int]:
    """Close each small hole with a fan; vertices, faces, colours, and how many holes were closed."""
    limit = MAX_HOLE * float(np.ptp(vertices, axis=0).max(initial=0.0)) if len(vertices) else 0.0
    points, triangles, painted = [vertices], [faces], [colours]
    filled = 0
    for loop in _loops(open_edges(faces)):
        ring = vertices[loop]
        if float(np.ptp(ring, axis=0).max()) > limit:
            continue
        middle = len(vertices) + filled
        points.append(ring.mean(axis=0, keepdims=True))
        if colours is not None:
            painted.append(np.rint(colours[loop].mean(axis=0, keepdims=True)).astype(np.uint8))
        # The faces around the hole run along its edges; those of the fan run the other way.
        triangles.append(np.stack([np.roll(loop, -1), loop, np.full(len(loop), middle)], axis=1))
        filled += 1
    together = np.concatenate([each for each in painted if each is not None]) if colours is not None else None
    return np.concatenate(points), np.concatenate(triangles), together, filled


def _loops(edges: Array) -> list[Array]:
    """The closed loops of directed edges; edges at a vertex with several borders are in none."""
    starts, counts = np.unique(edges[:, 0], return_counts=True)
    single = set(starts[counts == 1].tolist())
    following = {int(a): int(b) for a, b in edges if int(a) in single}
    loops, seen = [], set()
    for start in following:
        loop, vertex = [], start
        while vertex in following and vertex not in seen:
            seen.add(vertex)
            loop.append(vertex)
            vertex = following[vertex]
        if len(loop) > 2 and vertex == start:
            loops.append(np.array(loop))
    return loops


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

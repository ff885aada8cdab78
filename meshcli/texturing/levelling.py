"""Levelled seams: offsets that take each picture's coarse colours to those that all pictures share.

The coarse colour of a picture at a vertex is its mean over the surface within COARSE_REACH, of what it sees only: the
same length of the world for every picture, and nothing bleeds across depth edges. All pictures are blended there by
their quality. Each patch then adds the offset of its own picture, linear between its corners. The offsets are the
solution of one sparse system per vertex and picture (Waechter et al. 2014, 4.1): close to what takes the picture to the
blended colour, equal colours on both sides of a seam, and otherwise smooth.
"""

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array

from meshcli.arrays import Array
from meshcli.meshes.colouring import COARSE_SIGMA, DETAIL_POWER, DISAGREEMENT_SIGMA
from meshcli.meshes.mesh import half_edges
from meshcli.system.numba_kernel import kernel
from meshcli.system.sparse_solve import solve
from meshcli.texturing.patches import Patches
from meshcli.texturing.picture_stack import SOFT_PIXEL, Looks

COARSE_REACH = COARSE_SIGMA * SOFT_PIXEL  # world units: of the mean that separates coarse from fine
MAX_ROUNDS = 30  # of averaging
CORNERS = 4  # pictures that are blended within one patch; the few with more leave the weakest out
# Relative weights of the offsets' three wishes, by eye: seams vanish within two patches, the rest hardly moves.
SHARED, SMOOTH, SEAM = 0.1, 0.2, 1.0


@dataclass(frozen=True)
class Coarse:
    """Coarse colours at the vertices."""

    values: NDArray[np.float32]  # (V, P, 3) of each picture; 0 where nothing near is seen
    known: NDArray[np.bool_]  # (V, P)
    shared: NDArray[np.float32]  # (V, 3) blended; 0 where no picture sees anything near


@dataclass(frozen=True)
class Mixture:
    """The pictures that each patch takes its colours from, with weights and offsets at its corners."""

    pictures: NDArray[np.int32]  # (F, CORNERS), -1 at the end of a shorter list
    weights: NDArray[np.float32]  # (F, CORNERS, 3) at the corners; they sum to 1 or to less beside unseen patches
    offsets: NDArray[np.float32]  # (F, CORNERS, 3, 3) at the corners, RGB


def doubt(quality: Array, colours: Array) -> NDArray[np.float32]:
    """The quality (N, P), lowered where a picture's colours (N, P, 3) contradict the consensus."""
    result = np.zeros(quality.shape, np.float32)
    _doubt(quality, colours, result)
    return result


def coarse_colours(patches: Patches, looks: Looks) -> Coarse:
    """Coarse colours from what all pictures show of the vertices."""
    count, pictures = looks.quality.shape
    weight = (looks.seen > 0.0).astype(np.float32)
    packed = np.concatenate([weight[..., None] * looks.colours, weight[..., None]], axis=-1).reshape(count, -1)
    quality = looks.quality
    ends = half_edges(patches.faces)
    edge = float(np.mean(np.linalg.norm(patches.vertices[ends[:, 0]] - patches.vertices[ends[:, 1]], axis=1)))
    both = np.concatenate([ends, ends[:, ::-1], np.repeat(np.arange(count)[:, None], 2, axis=1)])
    mean = csr_array((np.ones(len(both), np.float32), (both[:, 0], both[:, 1])), shape=(count, count))
    mean = csr_array(diags_array((1.0 / mean.sum(axis=1)).astype(np.float32)) @ mean)
    for _ in range(min(max(1, round((COARSE_REACH / max(edge, 1e-9)) ** 2)), MAX_ROUNDS)):
        packed = mean @ packed
    sums = packed.reshape(count, pictures, 4)
    known = sums[..., 3] > 1e-4
    values = np.where(known[..., None], sums[..., :3] / np.maximum(sums[..., 3:], 1e-4), 0.0).astype(np.float32)
    # What is seen close to a vertex has a say where nothing sees the vertex itself.
    quality = np.where(known, np.maximum(doubt(quality, values), 1e-6 * sums[..., 3]), 0.0)
    total = quality.sum(axis=1, keepdims=True)
    shared = (quality[..., None] * values).sum(axis=1) / np.maximum(total, 1e-12)
    return Coarse(values, known, shared.astype(np.float32))


def mix(patches: Patches, labels: Array, looks: Looks, coarse: Coarse) -> Mixture:
    """Feathered seams with levelled offsets; `labels` (F,), `looks` and `coarse` of the vertices."""
    count = len(coarse.known[0])
    corner = np.repeat(labels[:, None], 3, axis=1)
    nodes, share = _nodes(patches.faces, corner, len(patches.vertices), count)
    offsets = _offsets(patches, nodes, labels, looks, coarse)
    table = csr_array((np.arange(1, len(nodes) + 1), (nodes[:, 0], nodes[:, 1])), shape=(len(patches.vertices), count))
    pictures = np.full((len(labels), CORNERS), -1, np.int32)
    weights = np.zeros((len(labels), CORNERS, 3), np.float32)
    added = np.zeros((len(labels), CORNERS, 3, 3), np.float32)
    fallback = np.where(coarse.known[..., None], coarse.shared[:, None] - coarse.values, 0.0).astype(np.float32)
    _gather(
        patches.faces, labels, (table.indptr, table.indices, table.data - 1), share.astype(np.float32),
        offsets.astype(np.float32), fallback, (pictures, weights, added),
    )  # fmt: skip
    return Mixture(pictures, weights, added)


def _nodes(faces: Array, corner: Array, count: int, pictures: int) -> tuple[Array, Array]:
    """Pairs of vertex and picture (N, 2), sorted, and the share of the faces there that follow it (N,)."""
    used = corner.reshape(-1) >= 0
    vertices, labels = faces.reshape(-1)[used].astype(np.int64), corner.reshape(-1)[used]
    keys, number = np.unique(vertices * pictures + labels, return_counts=True)
    around = np.bincount(faces.reshape(-1), minlength=count)
    nodes = np.stack([keys // pictures, keys % pictures], axis=1)
    return nodes, number / around[nodes[:, 0]]


def _offsets(patches: Patches, nodes: Array, labels: Array, looks: Looks, coarse: Coarse) -> Array:
    """The offsets (N, 3) of all nodes, by one sparse solve."""
    vertex, picture = nodes.T
    pictures = coarse.known.shape[1]
    keys = vertex * pictures + picture
    known = coarse.known[vertex, picture]
    wanted = np.where(known[:, None], coarse.shared[vertex] - coarse.values[vertex, picture], 0.0).astype(np.float64)
    ends = half_edges(patches.faces)
    owner = np.tile(labels, 3)
    inside = owner >= 0
    pairs = np.searchsorted(keys, ends[inside].astype(np.int64) * pictures + owner[inside][:, None])
    seams = np.flatnonzero(vertex[1:] == vertex[:-1])
    seams = np.stack([seams, seams + 1], axis=1)
    both_seen = (looks.seen[vertex, picture] > 0.0)[seams].all(axis=1)
    seams = seams[both_seen]
    colours = looks.colours[vertex, picture].astype(np.float64)
    step = colours[seams[:, 1]] - colours[seams[:, 0]]
    rows = np.concatenate([pairs, seams])
    strength = np.concatenate([np.full(len(pairs), SMOOTH), np.full(len(seams), SEAM)])
    size = len(nodes)
    laplacian = coo_array((strength, (rows[:, 0], rows[:, 1])), shape=(size, size)).tocsr()
    laplacian = laplacian + laplacian.T
    pull = np.where(known, SHARED, 1e-4)
    matrix = diags_array(np.asarray(laplacian.sum(axis=1)).reshape(-1) + pull) - laplacian
    right = pull[:, None] * wanted
    np.add.at(right, seams[:, 0], SEAM * step)
    np.add.at(right, seams[:, 1], -SEAM * step)
    return solve(matrix.tocsc(), right).reshape(size, 3) if size else np.zeros((0, 3))


@kernel(parallel=True)
def _doubt(quality: Array, colours: Array, result: Array) -> None:
    """Each quality (N, P) x exp(-(distance from the consensus / DISAGREEMENT_SIGMA)^2)."""
    for p in prange(len(quality)):
        top = 0.0
        for i in range(quality.shape[1]):
            top = max(top, quality[p, i])
        if top <= 0.0:
            continue
        consensus, total = np.zeros(3), 0.0
        for i in range(quality.shape[1]):
            weight = (quality[p, i] / top) ** DETAIL_POWER
            total += weight
            for k in range(3):
                consensus[k] += weight * colours[p, i, k]
        for i in range(quality.shape[1]):
            squared = 0.0
            for k in range(3):
                squared += ((colours[p, i, k] - consensus[k] / total) / 255.0) ** 2
            if quality[p, i] > 0.0:
                result[p, i] = max(quality[p, i] * np.exp(-squared / DISAGREEMENT_SIGMA**2), 1e-9 * top)


@kernel()
def _gather(
    faces: Array, labels: Array, table: tuple[Array, Array, Array], share: Array, offsets: Array, fallback: Array,
    results: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    """Fill in the arrays of Mixture: a patch's own picture first, then those at its corners."""
    starts, columns, rows = table
    pictures, weights, added = results
    for face in range(len(faces)):
        if labels[face] >= 0:
            pictures[face, 0] = labels[face]
        for corner in range(3):
            vertex = faces[face, corner]
            for at in range(starts[vertex], starts[vertex + 1]):
                place = 0
                while place < CORNERS and pictures[face, place] != -1 and pictures[face, place] != columns[at]:
                    place += 1
                if place < CORNERS:
                    pictures[face, place] = columns[at]
                    weights[face, place, corner] = share[rows[at]]
        for place in range(CORNERS):
            if pictures[face, place] >= 0:
                _gather_offsets(faces, face, place, pictures[face, place], table, offsets, fallback, added)


@kernel()
def _gather_offsets(
    faces: Array, face: int, place: int, picture: int, table: tuple[Array, Array, Array], offsets: Array,
    fallback: Array, added: Array,
) -> None:  # fmt: skip
    """Write the offsets (3, 3) of the picture in one place at a patch's corners into `added` (F, CORNERS, 3, 3)."""
    starts, columns, rows = table
    for corner in range(3):
        vertex = faces[face, corner]
        row = -1
        for at in range(starts[vertex], starts[vertex + 1]):
            if columns[at] == picture:
                row = rows[at]
        for k in range(3):
            added[face, place, corner, k] = offsets[row, k] if row >= 0 else fallback[vertex, picture, k]

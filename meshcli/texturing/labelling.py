"""Which picture each patch of a surface follows: a Markov random field over the patches.

A picture costs a patch what it lacks in quality, and two adjacent patches that follow different pictures cost what
shows at their edge: its length, and how much the fine detail of the two pictures differs around it. So seams are short
and run where pictures agree, and a feature is taken from one picture or the other as a whole (Lempitsky and Ivanov
2007, "Seamless mosaicing of image-based texture maps"; Waechter et al. 2014, "Let there be color!").

Solved by sequential tree-reweighted message passing (Kolmogorov 2006, "Convergent tree-reweighted message passing for
energy minimization"), in a fixed order, so that the result does not depend on the number of threads.
"""

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.system.numba_kernel import kernel
from meshcli.texturing.patches import PATCH_SIZE, Patches

CANDIDATES = 6  # pictures that are considered for a patch, the best ones
SEAM_COST = 0.5  # of PATCH_SIZE of seam, in natural logarithms of quality over a patch of PATCH_SIZE^2 / 2
DETAIL_COST = 15.0  # the same per RGB distance, 0 to 1, of the pictures' fine detail
MAX_DIFFERENCE = 0.25  # RGB distance of a picture that does not see the place
MAX_COST = 8.0  # of a picture in a patch: a quality of 1/3,000
ROUNDS = 20  # of message passing; on the example desk 46 % below the greedy choice's energy, 100 rounds reach 52 %


@dataclass(frozen=True)
class Detail:
    """Fine detail of P pictures at S samples of each patch."""

    values: NDArray[np.float32]  # (F, P, S, 3) RGB, 0 to 255, less the picture's coarse colour
    seen: NDArray[np.bool_]  # (F, P, S)


def label(patches: Patches, quality: Array, detail: Detail) -> NDArray[np.int32]:
    """The picture that each patch follows (F,), -1 where none sees it; `quality` (F, P) is 0 where not."""
    count = min(CANDIDATES, quality.shape[1])
    order = np.argsort(-quality, axis=1, kind="stable")[:, :count].astype(np.int32)
    best = np.take_along_axis(quality, order, 1).astype(np.float64)
    candidates = np.where(best > 0.0, order, -1)
    labelled = candidates[:, 0] >= 0
    ratio = np.where(best > 0.0, best, 1.0) / np.maximum(best[:, :1], 1e-30)
    area = patches.areas[:, None] / (0.5 * PATCH_SIZE**2)
    costs = np.where(
        candidates >= 0, np.minimum(-np.log(ratio), MAX_COST) * area, np.where(labelled[:, None], 1e9, 0.0)
    )
    edges = labelled[patches.neighbours].all(axis=1)
    pairs, ends = patches.neighbours[edges], patches.vertices[patches.shared_edges[edges]]
    length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / PATCH_SIZE
    seams = np.zeros((len(pairs), count, count), np.float32)
    starts, around = _adjacent(patches.neighbours, len(patches.faces))
    _seam_costs(pairs, length, candidates, (starts, around), (detail.values, detail.seen), seams)
    starts, incident = _incident(pairs, len(patches.faces))
    chosen = _pass_messages(costs, seams, pairs, starts, incident, ROUNDS)
    result: NDArray[np.int32] = np.where(labelled, candidates[np.arange(len(candidates)), chosen], -1).astype(np.int32)
    return result


def _adjacent(pairs: Array, count: int) -> tuple[Array, Array]:
    """The faces beside each of `count` faces: around[starts[f] : starts[f + 1]]."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    return np.searchsorted(both[order, 0], np.arange(count + 1)), both[order, 1]


def _incident(pairs: Array, count: int) -> tuple[Array, Array]:
    """The edges at each of `count` faces: incident[starts[f] : starts[f + 1]]."""
    faces, edges = pairs.T.reshape(-1), np.tile(np.arange(len(pairs)), 2)
    order = np.argsort(faces, kind="stable")
    return np.searchsorted(faces[order], np.arange(count + 1)), edges[order]


@kernel(inline=True)
def _difference(face: int, one: int, other: int, values: Array, seen: Array) -> float:
    """Mean RGB distance, 0 to 1, of two pictures' detail on a face."""
    total = 0.0
    for s in range(values.shape[2]):
        squared = 0.0
        for k in range(3):
            squared += (values[face, one, s, k] - values[face, other, s, k]) ** 2
        distance = np.sqrt(squared) / 255.0 if seen[face, one, s] and seen[face, other, s] else MAX_DIFFERENCE
        total += min(distance, MAX_DIFFERENCE)
    mean: float = total / values.shape[2]
    return mean


@kernel(parallel=True)
def _seam_costs(
    pairs: Array, length: Array, candidates: Array, adjacency: tuple[Array, Array], detail: tuple[Array, Array],
    costs: Array,
) -> None:  # fmt: skip
    """Fill in the cost (E, K, K) of every pair of candidates at every edge: the largest difference close to it."""
    starts, around = adjacency
    values, seen = detail
    for e in prange(len(pairs)):
        for i in range(costs.shape[1]):
            for j in range(costs.shape[2]):
                one, other = candidates[pairs[e, 0], i], candidates[pairs[e, 1], j]
                if one == other or one < 0 or other < 0:
                    continue
                worst = 0.0
                for side in range(2):
                    face = pairs[e, side]
                    worst = max(worst, _difference(face, one, other, values, seen))
                    for k in range(starts[face], starts[face + 1]):
                        worst = max(worst, _difference(around[k], one, other, values, seen))
                costs[e, i, j] = length[e] * (SEAM_COST + DETAIL_COST * worst)


@kernel()
def _pass_messages(costs: Array, seams: Array, pairs: Array, starts: Array, incident: Array, rounds: int) -> Array:
    """The candidate of every node (N,) with the lowest energy found; costs (N, K), seams (E, K, K)."""
    nodes, count = costs.shape
    messages = np.zeros((len(pairs), 2, count))  # to the first and to the second node of the pair
    chosen, best = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    lowest = np.inf
    belief, fresh = np.empty(count), np.empty(count)
    for step in range(2 * rounds):
        forward = step % 2 == 0
        for turn in range(nodes):
            node = turn if forward else nodes - 1 - turn
            share = _believe(node, costs, messages, pairs, (starts, incident), belief)
            for place in range(starts[node], starts[node + 1]):
                edge = incident[place]
                side = 0 if pairs[edge, 0] == node else 1
                if (pairs[edge, 1 - side] < node) != forward:
                    _send(belief, share, seams, messages, edge, side, fresh)
            if forward:
                chosen[node] = _choice(node, costs, seams, messages, pairs, (starts, incident), chosen, fresh)
        if forward:
            energy = _energy(costs, seams, pairs, chosen)
            if energy < lowest:
                lowest = energy
                for node in range(nodes):
                    best[node] = chosen[node]
    return best


@kernel(inline=True)
def _believe(
    node: int, costs: Array, messages: Array, pairs: Array, edges: tuple[Array, Array], belief: Array
) -> float:  # fmt: skip
    """Write a node's costs and all that it was told into `belief` (K,); the share of it that goes to each edge.

    `edges`: where each node's edges start, and the edges.
    """
    starts, incident = edges
    for i in range(len(belief)):
        belief[i] = costs[node, i]
    before, after = 0, 0
    for place in range(starts[node], starts[node + 1]):
        edge = incident[place]
        side = 0 if pairs[edge, 0] == node else 1
        for i in range(len(belief)):
            belief[i] += messages[edge, side, i]
        if pairs[edge, 1 - side] < node:
            before += 1
        else:
            after += 1
    return 1.0 / max(before, after, 1)


@kernel(inline=True)
def _send(belief: Array, share: float, seams: Array, messages: Array, edge: int, side: int, fresh: Array) -> None:
    """Update a node's message across an edge, whose `side` the node is; `fresh` (K,) is room to work in."""
    count = len(belief)
    least = np.inf
    for j in range(count):
        fresh[j] = np.inf
        for i in range(count):
            cost = seams[edge, i, j] if side == 0 else seams[edge, j, i]
            fresh[j] = min(fresh[j], share * belief[i] - messages[edge, side, i] + cost)
        least = min(least, fresh[j])
    for j in range(count):
        messages[edge, 1 - side, j] = fresh[j] - least


@kernel(inline=True)
def _choice(
    node: int, costs: Array, seams: Array, messages: Array, pairs: Array, edges: tuple[Array, Array], chosen: Array,
    total: Array,
) -> int:  # fmt: skip
    """The node's best candidate, given the choices of those before it and the messages of those behind it.

    `edges`: where each node's edges start, and the edges; `total` (K,) is room to work in.
    """
    starts, incident = edges
    for i in range(len(total)):
        total[i] = costs[node, i]
    for place in range(starts[node], starts[node + 1]):
        edge = incident[place]
        side = 0 if pairs[edge, 0] == node else 1
        other = pairs[edge, 1 - side]
        for i in range(len(total)):
            if other < node:
                total[i] += seams[edge, i, chosen[other]] if side == 0 else seams[edge, chosen[other], i]
            else:
                total[i] += messages[edge, side, i]
    best = 0
    for i in range(1, len(total)):
        if total[i] < total[best]:
            best = i
    return best


@kernel()
def _energy(costs: Array, seams: Array, pairs: Array, chosen: Array) -> float:
    """The cost of a choice for all nodes (N,)."""
    total = 0.0
    for node in range(len(costs)):
        total += costs[node, chosen[node]]
    for edge in range(len(pairs)):
        total += seams[edge, chosen[pairs[edge, 0]], chosen[pairs[edge, 1]]]
    return total

"""FlexiCubes: a mesh from signed distances on a deformed grid (Shen et al. 2023, arXiv:2308.05371).

Dual marching cubes with vertices at weighted means of the surrounding edge crossings. Works only on the cells that the
surface crosses, and needs deformed positions only at their corners.

`flexicubes_tables.npz` holds the case tables of nv-tlabs/FlexiCubes, Copyright NVIDIA CORPORATION &
AFFILIATES, Apache License 2.0: `loops` (256, 4, 7) the edges around each dual vertex of a case, -1 for none;
`ambiguous` (256, 5) whether a case has an ambiguous side, the direction (x, y, z) of the neighbour that
shares it, and the case to use if that neighbour is ambiguous too; `corners`
(8, 3); `edges` (12, 2) as pairs of corners.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

WEIGHTS_PER_CELL = 21  # beta for 12 edges, alpha for 8 corners, gamma for the quad split
WEIGHT_SCALE = 0.5  # how far the weights may leave 1; in InstantMesh's FlexiCubesGeometry (flexicubes_geometry.py)
# Order of a quad's corners, counter-clockwise from outside, for edges whose first end is outside and inside.
QUAD_FROM_OUTSIDE, QUAD_FROM_INSIDE = [0, 1, 3, 2], [2, 3, 1, 0]


@dataclass(frozen=True)
class CaseTables:
    """The case tables on a device; see the module's docstring."""

    loops: Tensor
    ambiguous: Tensor
    corners: Tensor
    edges: Tensor


@dataclass(frozen=True)
class SurfaceCells:
    """The S cells of a grid that the surface crosses, and the U grid vertices at their corners."""

    resolution: int  # cells along a side of the grid
    indices: Tensor  # (S,) of the cells, rising: (i * R + j) * R + k
    cases: Tensor  # (S,) bit n is set when corner n is inside
    vertices: Tensor  # (U,) indices of the grid vertices, rising: (i * (R + 1) + j) * (R + 1) + k
    corners: Tensor  # (S, 8) rows of `vertices`


@dataclass(frozen=True)
class CellWeights:
    """Weights of edge crossings, corner distances and quad diagonals; about 1."""

    edges: Tensor  # (S, 12)
    corners: Tensor  # (S, 8)
    split: Tensor  # (S,)

    @classmethod
    def uniform(cls, count: int, like: Tensor) -> "CellWeights":
        """All weights 1: plain dual marching cubes."""
        return cls(like.new_ones(count, 12), like.new_ones(count, 8), like.new_ones(count))

    @classmethod
    def from_network(cls, raw: Tensor) -> "CellWeights":
        """Map the network's raw output (S, 21) into the weights' ranges, as published."""
        return cls(
            1.0 + WEIGHT_SCALE * torch.tanh(raw[:, :12]),
            1.0 + WEIGHT_SCALE * torch.tanh(raw[:, 12:20]),
            0.5 * WEIGHT_SCALE + WEIGHT_SCALE * torch.sigmoid(raw[:, 20]),
        )


@cache
def case_tables(device: torch.device) -> CaseTables:
    """Load the case tables, once per device."""
    with np.load(Path(__file__).parent / "flexicubes_tables.npz") as file:
        loops, ambiguous, corners, edges = (
            torch.from_numpy(file[name].astype(np.int64)).to(device)
            for name in ("loops", "ambiguous", "corners", "edges")
        )
    return CaseTables(loops, ambiguous, corners, edges)


def crossed_cells(distances: Tensor) -> SurfaceCells:
    """Find the cells that the surface crosses, from distances (R + 1, R + 1, R + 1): negative inside, 0 is outside."""
    resolution = distances.shape[0] - 1
    inside = distances < 0
    corners = case_tables(distances.device).corners
    cases = torch.zeros((resolution,) * 3, dtype=torch.uint8, device=distances.device)
    for bit, (x, y, z) in enumerate(corners.tolist()):
        part = inside[x : x + resolution, y : y + resolution, z : z + resolution]
        cases |= part.to(torch.uint8) << bit
    flat = cases.flatten()
    places = torch.nonzero((flat != 0) & (flat != 255))[:, 0]
    at = _cell_coordinates(places, resolution)[:, None] + corners  # (S, 8, 3)
    numbers = (at[..., 0] * (resolution + 1) + at[..., 1]) * (resolution + 1) + at[..., 2]
    vertices, rows = torch.unique(numbers, return_inverse=True)
    return SurfaceCells(resolution, places, flat[places].long(), vertices, rows)


def extract(cells: SurfaceCells, distances: Tensor, positions: Tensor, weights: CellWeights) -> tuple[Tensor, Tensor]:
    """Extract vertices (V, 3) and faces (F, 3), counter-clockwise seen from outside.

    `distances` (U,) and `positions` (U, 3) belong to `cells.vertices`. Vertices of cells with one dual vertex come
    first, then those of cells with two, and so on. The mesh may be open at the border of the grid.
    """
    table = case_tables(positions.device)
    loops = table.loops[_consistent_cases(cells)]  # (S, 4, 7)
    numbers = _dual_vertex_numbers(loops)
    cell, loop, slot = torch.nonzero(loops >= 0, as_tuple=True)
    edge = loops[cell, loop, slot]
    owner = numbers[cell, loop]  # the dual vertex that an edge crossing contributes to
    ends = cells.corners[:, table.edges]  # (S, 12, 2)
    crossing = _edge_crossings(
        ends[cell, edge], weights.corners[cell[:, None], table.edges[edge]], distances, positions
    )
    share = weights.edges[cell, edge][:, None]
    count = int((loops[..., 0] >= 0).sum())
    total = positions.new_zeros(count, 1).index_add_(0, owner, share)
    vertices = positions.new_zeros(count, 3).index_add_(0, owner, crossing * share) / total
    split = positions.new_empty(count)
    split[owner] = weights.split[cell]
    vertex_of_edge = torch.full(ends.shape[:2], -1, dtype=torch.long, device=positions.device)
    vertex_of_edge[cell, edge] = owner
    return vertices, _faces(ends, vertex_of_edge, distances, split)


def _cell_coordinates(places: Tensor, resolution: int) -> Tensor:
    """Grid coordinates (S, 3) of cells given by index."""
    return torch.stack([places // resolution**2, places // resolution % resolution, places % resolution], dim=-1)


def _consistent_cases(cells: SurfaceCells) -> Tensor:
    """Replace cases (S,) so that two cells that share an ambiguous side resolve it alike."""
    known = case_tables(cells.cases.device).ambiguous[cells.cases]  # (S, 5)
    resolution = cells.resolution
    flagged = torch.zeros(resolution**3, dtype=torch.bool, device=cells.cases.device)
    flagged[cells.indices] = known[:, 0] == 1
    beside = _cell_coordinates(cells.indices, resolution) + known[:, 1:4]
    within = ((beside >= 0) & (beside < resolution)).all(dim=-1)
    beside = beside.clamp(0, resolution - 1)
    neighbour = flagged[(beside[:, 0] * resolution + beside[:, 1]) * resolution + beside[:, 2]]
    return torch.where((known[:, 0] == 1) & within & neighbour, known[:, 4], cells.cases)


def _dual_vertex_numbers(loops: Tensor) -> Tensor:
    """Vertex numbers (S, 4) of the cells' dual vertices; entries past a cell's last one are meaningless."""
    counts = (loops[..., 0] >= 0).sum(dim=-1)
    order = torch.argsort(counts, stable=True)
    first = torch.empty_like(counts)
    first[order] = torch.cumsum(counts[order], dim=0) - counts[order]
    return first[:, None] + torch.arange(4, device=loops.device)


def _edge_crossings(ends: Tensor, scales: Tensor, distances: Tensor, positions: Tensor) -> Tensor:
    """Crossing points (K, 3) of edges with these ends (K, 2), by linear interpolation of the scaled distances."""
    scaled = distances[ends] * scales
    first, second = scaled[:, :1], scaled[:, 1:]
    return (positions[ends[:, 0]] * second - positions[ends[:, 1]] * first) / (second - first)


def _faces(ends: Tensor, vertex_of_edge: Tensor, distances: Tensor, split: Tensor) -> Tensor:
    """Two triangles for every edge that the surface crosses and four crossed cells share: (F, 3)."""
    crossed = torch.nonzero(vertex_of_edge.flatten() >= 0)[:, 0]
    pairs = ends.flatten(0, 1)[crossed]
    keys, rows, counts = torch.unique(
        pairs[:, 0] * len(distances) + pairs[:, 1], return_inverse=True, return_counts=True
    )
    shared = counts[rows] == 4
    order = torch.argsort(rows[shared], stable=True)  # by edge; the cells around it stay in their order
    quads = vertex_of_edge.flatten()[crossed[shared]][order].view(-1, 4)
    outside = distances[keys[counts == 4] // len(distances)] > 0
    quads = torch.cat([quads[outside][:, QUAD_FROM_OUTSIDE], quads[~outside][:, QUAD_FROM_INSIDE]])
    one, two, three, four = quads.unbind(dim=-1)
    straight = split[one] * split[three] > split[two] * split[four]
    first = torch.where(straight[:, None], quads[:, [0, 1, 2]], quads[:, [0, 1, 3]])
    second = torch.where(straight[:, None], quads[:, [0, 2, 3]], quads[:, [3, 1, 2]])
    return torch.stack([first, second], dim=1).view(-1, 3)

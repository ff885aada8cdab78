"""A mesh from a triplane: signed distances on a grid, then FlexiCubes with predicted deformations and weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meshcli.lrm.flexicubes import WEIGHTS_PER_CELL, CellWeights, SurfaceCells, crossed_cells, extract
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.triplane import (
    HIDDEN_CHANNELS,
    POINTS_PER_CHUNK,
    Mlp,
    TriplaneMlp,
    sample_lattice,
    sum_at_vertices,
    unravel_vertices,
)

CORNERS = 8  # of a cell
WEIGHT_MULTIPLIER = 0.1  # on the weight head's output, as in InstantMesh's synthesizer_mesh.py
DEFORMATION_DIVISOR = 4.0  # vertices move by up to 1 / (4 R) in world units; deformation_multiplier in lrm_mesh.py


class MeshDecoder(nn.Module):
    """The four decoder heads, under their names in the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        inputs = 3 * sizes.triplane_dim
        self.net_sdf = Mlp(inputs, 1)
        self.net_rgb = Mlp(inputs, 3)
        self.net_deformation = Mlp(inputs, 3)
        self.net_weight = Mlp(CORNERS * inputs, WEIGHTS_PER_CELL)


@dataclass(frozen=True)
class SurfaceMesh:
    """An extracted mesh without colours."""

    vertices: Tensor  # (V, 3)
    faces: Tensor  # (F, 3) counter-clockwise seen from outside
    empty: bool = False  # the distances have no surface: a mesh is the placeholder's, a radiance field's has no faces


class MeshField:
    """Signed distance field with colours, decoded from a triplane; always in float32."""

    def __init__(self, decoder: MeshDecoder, planes: Tensor, scale: float, chunk: int = POINTS_PER_CHUNK) -> None:
        """Planes (3, C, H, W); `scale` is the length of the grid's side in the world."""
        self._decoder = decoder
        self._planes = planes
        self._scale = scale
        self._chunk = chunk

    @torch.inference_mode()
    def extract_surface(self, resolution: int) -> SurfaceMesh:
        """Extract the mesh with a grid of this many cells along a side."""
        axis = grid_axis(resolution, self._scale).to(self._planes.device)
        lattice = sample_lattice(self._planes, axis)
        return self.extract_from_distances(self.distances(lattice), axis, lattice)

    @torch.inference_mode()
    def extract_from_distances(self, raw: Tensor, axis: Tensor, lattice: Tensor) -> SurfaceMesh:
        """Extract the mesh of distances (n, n, n) on the lattice of an axis (n,), with plane features (3, n, n, C)."""
        empty = has_no_surface(raw)
        distances = insert_placeholder(raw[None])[0] if empty else raw
        cells = crossed_cells(distances)
        coordinates = torch.stack(unravel_vertices(cells.vertices, len(axis)), dim=-1)
        positions = axis[coordinates] + self.deformations(cells, lattice)
        weights = CellWeights.from_network(self.weights(cells, lattice))
        vertices, faces = extract(cells, distances.flatten()[cells.vertices], positions, weights)
        return SurfaceMesh(vertices, faces, empty)

    def distances(self, lattice: Tensor) -> Tensor:
        """Signed distances (n, n, n), negative inside, from plane features on a lattice (3, n, n, C)."""
        return TriplaneMlp(self._decoder.net_sdf).evaluate_lattice(lattice, self._chunk)

    def deformations(self, cells: SurfaceCells, lattice: Tensor) -> Tensor:
        """Displacements (U, 3) of the crossed cells' vertices, in world units."""
        mlp = TriplaneMlp(self._decoder.net_deformation)
        tables = mlp.first_layer_tables(lattice)
        raw = [
            mlp.apply_later_layers(sum_at_vertices(tables, part)) for part in torch.split(cells.vertices, self._chunk)
        ]
        return torch.tanh(torch.cat(raw)) / (cells.resolution * DEFORMATION_DIVISOR)

    def weights(self, cells: SurfaceCells, lattice: Tensor) -> Tensor:
        """Raw FlexiCubes weights (S, 21) of the crossed cells."""
        hidden = lattice.new_zeros(len(cells.indices), HIDDEN_CHANNELS)
        for corner in range(CORNERS):
            mlp = TriplaneMlp(self._decoder.net_weight, corner)
            tables = mlp.first_layer_tables(lattice)
            for sums, rows in zip(
                torch.split(hidden, self._chunk), torch.split(cells.corners, self._chunk), strict=True
            ):
                sums.add_(sum_at_vertices(tables, cells.vertices[rows[:, corner]]))
        raw = [mlp.apply_later_layers(part) for part in torch.split(hidden, self._chunk)]
        return torch.cat(raw) * WEIGHT_MULTIPLIER

    @torch.inference_mode()
    def colours(self, points: Tensor) -> Tensor:
        """Colours (N, 3) at points (N, 3); they may leave [0, 1] by 0.001."""
        return activate_colour(TriplaneMlp(self._decoder.net_rgb).evaluate(self._planes, points, self._chunk))


def activate_colour(raw: Tensor) -> Tensor:
    """Turn raw output into sRGB: a sigmoid widened by 0.001, as in mip-NeRF (Barron et al. 2021, arXiv:2103.13415)."""
    return torch.sigmoid(raw) * (1.0 + 2 * 0.001) - 0.001


def grid_axis(resolution: int, scale: float) -> Tensor:
    """Coordinates (R + 1,) of a grid's vertices, rounded to 5 decimals before scaling as in the published code."""
    corners = torch.arange(resolution + 1, dtype=torch.float32) / resolution
    return (torch.round(corners, decimals=5) - 0.5) * scale


def has_no_surface(distances: Tensor) -> bool:
    """Whether all vertices of (n, n, n) except the outermost layer lie on one side of the surface."""
    inner = distances[1:-1, 1:-1, 1:-1]
    return not bool((inner > 0).any() and (inner < 0).any())


def insert_placeholder(distances: Tensor) -> Tensor:
    """Give shapes of (B, n, n, n) that have no surface a placeholder: a box, or a point in the middle.

    As in the published code, extremes are taken over the whole batch.
    """
    result = distances.clone()
    outside, inside = 1.0 - distances.min(), -1.0 - distances.max()
    middle = (distances.shape[-1] - 1) // 2 + 1
    for shape, repaired in zip(distances, result, strict=True):
        if has_no_surface(shape):
            kept = repaired[2:-2, 2:-2, 2:-2].clone()
            repaired[:] = inside
            repaired[2:-2, 2:-2, 2:-2] = kept
            repaired[middle, middle, middle] = outside
    return result

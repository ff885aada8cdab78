"""A mesh from feature planes: distances on a grid, then FlexiCubes with the network's deformation and weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meshcli.lrm.flexicubes import WEIGHTS, Cells, Weights, crossed_cells, extract
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.triplane import HIDDEN, POINTS, Head, Mlp, gather_lattice, sample_lattice, unravel

CORNERS = 8
WEIGHT_MULTIPLIER = 0.1
DEFORMATION_DIVISOR = 4.0  # a vertex moves by a quarter of 1 / cells at most, in world units


class MeshDecoder(nn.Module):
    """The four heads, under their names in the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        inputs = 3 * sizes.triplane_dim
        self.net_sdf = Mlp(inputs, 1)
        self.net_rgb = Mlp(inputs, 3)
        self.net_deformation = Mlp(inputs, 3)
        self.net_weight = Mlp(CORNERS * inputs, WEIGHTS)


@dataclass(frozen=True)
class Surface:
    """A mesh without colours."""

    vertices: Tensor  # (V, 3)
    faces: Tensor  # (F, 3) counter-clockwise seen from outside
    empty: bool = False  # the network sees no surface; a stand-in keeps the result a mesh


class MeshField:
    """What the planes say about the object, evaluated where it is asked for. Always in float32."""

    def __init__(self, decoder: MeshDecoder, planes: Tensor, scale: float, chunk: int = POINTS) -> None:
        """Planes (3, C, H, W); `scale` is the length of the grid's side in the world."""
        self._decoder = decoder
        self._planes = planes
        self._scale = scale
        self._chunk = chunk

    @torch.inference_mode()
    def surface(self, resolution: int) -> Surface:
        """The mesh, from a grid with this many cells along a side."""
        axis = grid_axis(resolution, self._scale).to(self._planes.device)
        lattice = sample_lattice(self._planes, axis)
        return self.surface_of(self.distances(lattice), axis, lattice)

    @torch.inference_mode()
    def surface_of(self, raw: Tensor, axis: Tensor, lattice: Tensor) -> Surface:
        """The mesh of distances (n, n, n) on the lattice of an axis (n,), whose planes' values are (3, n, n, C)."""
        empty = is_empty(raw)
        distances = repair_empty(raw[None])[0] if empty else raw
        cells = crossed_cells(distances)
        at = torch.stack(unravel(cells.vertices, len(axis)), dim=-1)
        positions = axis[at] + self.deformations(cells, lattice)
        weights = Weights.from_raw(self.weights(cells, lattice))
        vertices, faces = extract(cells, distances.flatten()[cells.vertices], positions, weights)
        return Surface(vertices, faces, empty)

    def distances(self, lattice: Tensor) -> Tensor:
        """Signed distances (n, n, n), negative inside, of planes' values on a lattice (3, n, n, C)."""
        return Head(self._decoder.net_sdf).volume(lattice, self._chunk)

    def deformations(self, cells: Cells, lattice: Tensor) -> Tensor:
        """How far the vertices of crossed cells are moved, (U, 3) in world units."""
        head = Head(self._decoder.net_deformation)
        lookup = head.tables(lattice)
        raw = [head.finish(gather_lattice(lookup, part)) for part in torch.split(cells.vertices, self._chunk)]
        return torch.tanh(torch.cat(raw)) / (cells.resolution * DEFORMATION_DIVISOR)

    def weights(self, cells: Cells, lattice: Tensor) -> Tensor:
        """FlexiCubes' weights of crossed cells as the network says them, (S, 21)."""
        hidden = lattice.new_zeros(len(cells.places), HIDDEN)
        for corner in range(CORNERS):
            head = Head(self._decoder.net_weight, corner)
            lookup = head.tables(lattice)
            for sums, rows in zip(
                torch.split(hidden, self._chunk), torch.split(cells.corners, self._chunk), strict=True
            ):
                sums.add_(gather_lattice(lookup, cells.vertices[rows[:, corner]]))
        raw = [head.finish(part) for part in torch.split(hidden, self._chunk)]
        return torch.cat(raw) * WEIGHT_MULTIPLIER

    @torch.inference_mode()
    def colours(self, points: Tensor) -> Tensor:
        """Colours (N, 3) at points (N, 3); they may leave [0, 1] by 0.001."""
        return to_colour(Head(self._decoder.net_rgb).at(self._planes, points, self._chunk))


def to_colour(raw: Tensor) -> Tensor:
    """A head's output as sRGB, as mip-NeRF widens it (Barron et al. 2021, arXiv:2103.13415)."""
    return torch.sigmoid(raw) * (1.0 + 2 * 0.001) - 0.001


def grid_axis(resolution: int, scale: float) -> Tensor:
    """Coordinates (R + 1,) of a grid's vertices; the published grid is rounded to 5 decimals before it is scaled."""
    corners = torch.arange(resolution + 1, dtype=torch.float32) / resolution
    return (torch.round(corners, decimals=5) - 0.5) * scale


def is_empty(distances: Tensor) -> bool:
    """Whether the vertices inside the outermost layer of (n, n, n) all lie on one side."""
    inner = distances[1:-1, 1:-1, 1:-1]
    return not bool((inner > 0).any() and (inner < 0).any())


def repair_empty(distances: Tensor) -> Tensor:
    """Distances (B, n, n, n) where shapes without a surface have got a stand-in: a box, or a speck in the middle.

    The published code's arithmetic: extremes are taken over the whole batch.
    """
    result = distances.clone()
    outside, inside = 1.0 - distances.min(), -1.0 - distances.max()
    middle = (distances.shape[-1] - 1) // 2 + 1
    for shape, repaired in zip(distances, result, strict=True):
        if is_empty(shape):
            kept = repaired[2:-2, 2:-2, 2:-2].clone()
            repaired[:] = inside
            repaired[2:-2, 2:-2, 2:-2] = kept
            repaired[middle, middle, middle] = outside
    return result

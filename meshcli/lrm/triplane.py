"""Three feature planes (Chan et al. 2022, arXiv:2112.07945) and MLPs on their features at a point.

A point (x, y, z) of [-1, 1]^3 is sampled at (x, y) in plane 0, (x, z) in plane 1 and (z, y) in plane 2, the first
coordinate along the columns: bilinear, zero outside the plane. An MLP takes the three features concatenated.

Sampling and the MLP's first layer are both linear and may be swapped: each plane is multiplied once by its third of the
layer's weights, and the layer's output at a point is the sum of three samples. On a lattice of n^3 points these come
from three tables of n^2 rows, and the n^3 x 3C features of the published code never exist.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.threads import run_in_threads

HIDDEN_CHANNELS = 64  # of every MLP in the published networks
SLABS_PER_PART = 8  # lattice slabs that a thread takes at a time
POINTS_PER_CHUNK = 1 << 12  # evaluated at a time: their hidden values take 1 MB and stay in the cache


class Mlp(nn.Sequential):
    """Three hidden layers with ReLU, as all decoder heads have."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, outputs),
        )  # fmt: skip

    @property
    def layers(self) -> list[nn.Linear]:
        """The linear layers, without the ReLUs."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]


def sample_planes(planes: Tensor, points: Tensor) -> Tensor:
    """Sample planes (3, C, H, W) at points (N, 3): (3, N, C)."""
    x, y, z = points.unbind(dim=-1)
    coordinates = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (z, y))])
    features = functional.grid_sample(planes, coordinates[:, None], "bilinear", "zeros", align_corners=False)
    return features[:, :, 0].transpose(1, 2)


def sample_lattice(planes: Tensor, axis: Tensor) -> Tensor:
    """Sample planes at all pairs of coordinates (n,) of an axis: (3, n, n, C), the plane's first coordinate first."""
    pairs = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    coordinates = pairs.expand(len(planes), -1, -1, -1)
    features = functional.grid_sample(planes, coordinates, "bilinear", "zeros", align_corners=False)
    return features.permute(0, 2, 3, 1).contiguous()


class TriplaneMlp:
    """An MLP on triplane features, its first layer applied to the planes before sampling."""

    def __init__(self, net: Mlp, corner: int = 0, outputs: int | None = None) -> None:
        """`corner` selects the inputs of one point, where the MLP takes several; `outputs` limits their number."""
        first, *self._inner, last = net.layers
        self._last_weight, self._last_bias = last.weight[:outputs], last.bias[:outputs]
        self._first, self._corner = first, corner

    def evaluate(self, planes: Tensor, points: Tensor, chunk: int = POINTS_PER_CHUNK) -> Tensor:
        """Evaluate at points (N, 3) of planes (3, C, H, W): (N, outputs)."""
        projected = (self._first_layer_weights(planes.shape[1]) @ planes.flatten(2)).view(3, -1, *planes.shape[2:])
        parts = [
            self.apply_later_layers(sample_planes(projected, part).sum(dim=0).add_(self._first.bias))
            for part in torch.split(points, chunk)
        ]
        return torch.cat(parts)

    def first_layer_tables(self, lattice: Tensor) -> Tensor:
        """First layer's contributions (3, n, n, HIDDEN_CHANNELS) of plane features on a lattice (3, n, n, C)."""
        result = lattice @ self._first_layer_weights(lattice.shape[-1]).transpose(1, 2)[:, None]
        if self._corner == 0:
            result[0] += self._first.bias
        return result

    def evaluate_lattice(self, lattice: Tensor, chunk: int = POINTS_PER_CHUNK) -> Tensor:
        """Evaluate the first output at all n^3 points of a lattice with plane features (3, n, n, C): (n, n, n).

        Each thread takes slabs of its own, about `chunk` points at a time, in reused buffers.
        """
        first, second, third = self.first_layer_tables(lattice)
        third = third.transpose(0, 1).contiguous()  # from [z, y] to [y, z]
        side = len(first)
        count = min(max(1, chunk // side), side)
        result: Tensor = first.new_empty(side, side, side)

        def evaluate_slabs(slabs: range) -> None:
            buffers = first.new_empty(2, count * side, HIDDEN_CHANNELS)
            for slab in slabs:
                for start in range(0, side, count):
                    rows = slice(start, min(start + count, side))
                    hidden, spare = buffers[:, : (rows.stop - start) * side]
                    cube = hidden.view(-1, side, HIDDEN_CHANNELS)
                    torch.add(third[rows], second[slab], out=cube).add_(first[slab, rows, None])
                    result[slab, rows] = self.apply_later_layers(hidden, spare)[:, 0].view(len(cube), side)

        run_in_threads(
            evaluate_slabs,
            (range(start, min(start + SLABS_PER_PART, side)) for start in range(0, side, SLABS_PER_PART)),
            lattice.device,
        )
        return result

    def apply_later_layers(self, hidden: Tensor, spare: Tensor | None = None) -> Tensor:
        """From the first layer's sums (N, HIDDEN_CHANNELS) to outputs (N, outputs); overwrites both buffers."""
        spare = torch.empty_like(hidden) if spare is None else spare
        hidden.relu_()
        for layer in self._inner:
            torch.addmm(layer.bias, hidden, layer.weight.t(), out=spare).relu_()
            hidden, spare = spare, hidden
        return functional.linear(hidden, self._last_weight, self._last_bias)

    def _first_layer_weights(self, channels: int) -> Tensor:
        """Each plane's part of the first layer's weights: (3, HIDDEN_CHANNELS, C)."""
        start = 3 * channels * self._corner
        return self._first.weight[:, start : start + 3 * channels].reshape(HIDDEN_CHANNELS, 3, channels).transpose(0, 1)


def unravel_vertices(vertices: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates x, y, z of vertices (x * side + y) * side + z; torch.unravel_index would import sympy, 0.5 s."""
    return vertices // side**2, vertices // side % side, vertices % side


def sum_at_vertices(tables: Tensor, vertices: Tensor) -> Tensor:
    """Sum of the three tables (3, n, n, C) at lattice vertices (N,), indexed (x * n + y) * n + z: (N, C)."""
    side = tables.shape[1]
    flat = tables.flatten(1, 2)
    x, y, z = unravel_vertices(vertices, side)
    return flat[0][x * side + y].add_(flat[1][x * side + z]).add_(flat[2][z * side + y])

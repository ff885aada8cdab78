"""Three feature planes, and MLPs on what they hold at a point.

A point (x, y, z) of [-1, 1]^3 is looked up at (x, y) in plane 0, (x, z) in plane 1 and (z, y) in plane 2, the first
coordinate along the columns: bilinear, zero outside the plane. An MLP takes the three looked-up features side by side.

Its first layer is linear and so is the lookup, so that the layer may go first: each plane is multiplied by its third of
the layer's weights once, and a lookup is then a sum of three. On a lattice the three lookups are tables of n^2 rows,
and the n^3 x 3C features of the published code never exist.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.threads import run_in_threads

HIDDEN_CHANNELS = 64
SLABS_PER_PART = 8  # slabs that a thread takes at a time
POINTS_PER_CHUNK = 1 << 12  # evaluated at a time: their hidden values take 1 MB and stay in the cache


class Mlp(nn.Sequential):
    """Three hidden layers, as every head of the network has them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS), nn.ReLU(),
            nn.Linear(HIDDEN_CHANNELS, outputs),
        )  # fmt: skip

    @property
    def layers(self) -> list[nn.Linear]:
        """Without the ReLUs between them."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]


def sample_planes(planes: Tensor, points: Tensor) -> Tensor:
    """What planes (3, C, H, W) hold at points (N, 3), plane by plane: (3, N, C)."""
    x, y, z = points.unbind(dim=-1)
    places = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (z, y))])
    found = functional.grid_sample(planes, places[:, None], "bilinear", "zeros", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def sample_lattice(planes: Tensor, axis: Tensor) -> Tensor:
    """The same for all pairs of values (n,) of an axis: (3, n, n, C), the plane's first coordinate first."""
    pairs = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    places = pairs.expand(len(planes), -1, -1, -1)
    found = functional.grid_sample(planes, places, "bilinear", "zeros", align_corners=False)
    return found.permute(0, 2, 3, 1).contiguous()


class TriplaneMlp:
    """An MLP whose first layer is worked into what it looks up."""

    def __init__(self, net: Mlp, corner: int = 0, outputs: int | None = None) -> None:
        """`corner` is the group of inputs, where the MLP takes those of several points; `outputs` drops later ones."""
        first, *self._inner, last = net.layers
        self._last_weight, self._last_bias = last.weight[:outputs], last.bias[:outputs]
        self._first, self._corner = first, corner

    def evaluate(self, planes: Tensor, points: Tensor, chunk: int = POINTS_PER_CHUNK) -> Tensor:
        """Of planes (3, C, H, W) at points (N, 3): (N, outputs)."""
        own = (self._first_layer_weights(planes.shape[1]) @ planes.flatten(2)).view(3, -1, *planes.shape[2:])
        parts = [
            self.apply_later_layers(sample_planes(own, part).sum(dim=0).add_(self._first.bias))
            for part in torch.split(points, chunk)
        ]
        return torch.cat(parts)

    def first_layer_tables(self, lattice: Tensor) -> Tensor:
        """The planes' shares of the first layer, of their values on a lattice (3, n, n, C): (3, n, n, HIDDEN)."""
        result = lattice @ self._first_layer_weights(lattice.shape[-1]).transpose(1, 2)[:, None]
        if self._corner == 0:
            result[0] += self._first.bias
        return result

    def evaluate_lattice(self, lattice: Tensor, chunk: int = POINTS_PER_CHUNK) -> Tensor:
        """The first output everywhere on a lattice (3, n, n, C): (n, n, n).

        Each thread takes slabs of its own, about `chunk` points at a time in buffers that are used again and again.
        """
        first, second, third = self.first_layer_tables(lattice)
        third = third.transpose(0, 1).contiguous()  # of (z, y), to stand at [y, z]
        side = len(first)
        count = min(max(1, chunk // side), side)
        result: Tensor = first.new_empty(side, side, side)

        def work(places: range) -> None:
            buffers = first.new_empty(2, count * side, HIDDEN_CHANNELS)
            for place in places:
                for start in range(0, side, count):
                    rows = slice(start, min(start + count, side))
                    hidden, spare = buffers[:, : (rows.stop - start) * side]
                    cube = hidden.view(-1, side, HIDDEN_CHANNELS)
                    torch.add(third[rows], second[place], out=cube).add_(first[place, rows, None])
                    result[place, rows] = self.apply_later_layers(hidden, spare)[:, 0].view(len(cube), side)

        run_in_threads(
            work,
            (range(start, min(start + SLABS_PER_PART, side)) for start in range(0, side, SLABS_PER_PART)),
            lattice.device,
        )
        return result

    def apply_later_layers(self, hidden: Tensor, spare: Tensor | None = None) -> Tensor:
        """From the first layer's sums (N, HIDDEN) to the outputs (N, outputs); both buffers are overwritten."""
        spare = torch.empty_like(hidden) if spare is None else spare
        hidden.relu_()
        for layer in self._inner:
            torch.addmm(layer.bias, hidden, layer.weight.t(), out=spare).relu_()
            hidden, spare = spare, hidden
        return functional.linear(hidden, self._last_weight, self._last_bias)

    def _first_layer_weights(self, channels: int) -> Tensor:
        """Each plane's part of the first layer's weights: (3, HIDDEN, C)."""
        start = 3 * channels * self._corner
        return self._first.weight[:, start : start + 3 * channels].reshape(HIDDEN_CHANNELS, 3, channels).transpose(0, 1)


def unravel_vertices(vertices: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places x, y, z of vertices (x * side + y) * side + z; torch.unravel_index loads sympy for it, half a second."""
    return vertices // side**2, vertices // side % side, vertices % side


def sum_at_vertices(tables: Tensor, vertices: Tensor) -> Tensor:
    """Sum of the tables (3, n, n, C) at vertices (N,) of the lattice, numbered (x * n + y) * n + z: (N, C)."""
    side = tables.shape[1]
    flat = tables.flatten(1, 2)
    x, y, z = unravel_vertices(vertices, side)
    return flat[0][x * side + y].add_(flat[1][x * side + z]).add_(flat[2][z * side + y])

"""Three feature planes, and MLPs on what they hold at a point.

A point (x, y, z) of [-1, 1]^3 is looked up at (x, y) in plane 0, (x, z) in plane 1 and (z, y) in plane 2, the first
coordinate along the columns: bilinear, zero outside the plane. An MLP takes the three looked-up features side by side.

Its first layer is linear and so is the lookup, so that the layer may go first: each plane is multiplied by its third of
the layer's weights once, and a lookup is then a sum of three. On a lattice the three lookups are tables of
(R + 1)^2 rows, and the (R + 1)^3 x 3C features of the published code never exist.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 64
POINTS = 1 << 16  # evaluated at a time: their hidden values take 17 MB


class Mlp(nn.Sequential):
    """Three hidden layers, as every head of the network has them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, outputs),
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


class Head:
    """An MLP whose first layer has been worked into the planes."""

    def __init__(self, net: Mlp, planes: Tensor, corner: int = 0, outputs: int | None = None) -> None:
        """Of planes (3, C, H, W); `corner` is the group of 3C inputs, where the MLP takes those of several points.

        `outputs` leaves out those after the first so many.
        """
        first, *self._inner, last = net.layers
        self._last_weight, self._last_bias = last.weight[:outputs], last.bias[:outputs]
        channels = planes.shape[1]
        weight = first.weight[:, 3 * channels * corner : 3 * channels * (corner + 1)]
        parts = weight.reshape(len(weight), 3, channels).transpose(0, 1)  # (3, HIDDEN, C)
        self._planes = (parts @ planes.flatten(2)).view(3, len(weight), *planes.shape[2:])
        self._bias = first.bias

    def at(self, points: Tensor, chunk: int = POINTS) -> Tensor:
        """At points (N, 3): (N, outputs)."""
        parts = [self.finish(sample_planes(self._planes, part).sum(dim=0)) for part in torch.split(points, chunk)]
        return torch.cat(parts) if parts else self.finish(points.new_zeros(0, len(self._bias)))

    def slabs(self, axis: Tensor, chunk: int = POINTS) -> Iterator[tuple[slice, Tensor]]:
        """On the lattice of an axis (n,), some of the first coordinate at a time: (k, n, n, outputs)."""
        first, second, third = self.tables(axis)
        third = third.transpose(0, 1).contiguous()  # of (z, y), to stand at [y, z]
        count = max(1, chunk // len(axis) ** 2)
        for start in range(0, len(axis), count):
            rows = slice(start, start + count)
            hidden = first[rows, :, None] + second[rows, None]
            yield rows, self.finish(hidden.add_(third))

    def tables(self, axis: Tensor) -> Tensor:
        """The planes' shares of the first layer on the lattice of an axis: (3, n, n, HIDDEN)."""
        return sample_lattice(self._planes, axis)

    def finish(self, hidden: Tensor) -> Tensor:
        """From the sum of the planes' shares (..., HIDDEN), which is overwritten, to the outputs."""
        values = hidden.add_(self._bias).relu_()
        for layer in self._inner:
            values = functional.linear(values, layer.weight, layer.bias).relu_()
        return functional.linear(values, self._last_weight, self._last_bias)


def gather_lattice(tables: Tensor, vertices: Tensor) -> Tensor:
    """Sum of the tables (3, n, n, C) at vertices (N,) of the lattice, numbered (x * n + y) * n + z: (N, C)."""
    side = tables.shape[1]
    flat = tables.flatten(1, 2)
    x, y, z = vertices // side**2, vertices // side % side, vertices % side
    return flat[0][x * side + y].add_(flat[1][x * side + z]).add_(flat[2][z * side + y])

"""Volume rendering of a radiance field with coarse and fine samples along each ray.

Follows EG3D (Chan et al. 2022, arXiv:2112.07945), with InstantMesh's changes: white background, empty outside the box.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

BOX_HALF_SIZE = 1.0  # the field is defined in [-1, 1]^3
EMPTY_DENSITY = -torch.finfo(torch.float32).max / 3  # before activation; a third, so that the mean of two is finite
RAYS_PER_CHUNK = 2048  # rendered at a time, to bound memory


class RadianceField(Protocol):
    """A field that can be rendered."""

    def evaluate_raw(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density before its activation (N,) and colour (N, 3) at points (N, 3)."""


@dataclass(frozen=True)
class SampleOffsets:
    """Random numbers in [0, 1) that place the samples of N rays; their expected values for repeatable pictures."""

    coarse: Tensor  # (N, S) offset of each coarse sample within its step
    fine: Tensor  # (N, S) quantiles of the fine samples

    @classmethod
    def deterministic(cls, rays: int, samples: int, device: torch.device) -> "SampleOffsets":
        """The middle of each step and evenly spaced quantiles."""
        quantiles = (torch.arange(samples, device=device) + 0.5) / samples
        return cls(torch.full((rays, samples), 0.5, device=device), quantiles.expand(rays, -1))


@dataclass(frozen=True)
class RenderedRays:
    """The result for N rays."""

    colour: Tensor  # (N, 3) over white
    depth: Tensor  # (N,) expected depth, not normalised by the opacity
    opacity: Tensor  # (N,)


def camera_rays(camera_to_world: Tensor, intrinsics: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Origin (3,) and unit directions (size * size, 3), row by row, for an OpenGL camera-to-world matrix (4, 4).

    `intrinsics` (4,) are fx, fy, cx, cy as fractions of width and height.
    """
    fx, fy, cx, cy = intrinsics
    centres = (torch.arange(size, device=camera_to_world.device) + 0.5) / size
    down, right = torch.meshgrid(centres, centres, indexing="ij")
    along = torch.stack([(right - cx) / fx, -(down - cy) / fy, -torch.ones_like(down)], dim=-1).flatten(0, 1)
    directions = along @ camera_to_world[:3, :3].T
    return camera_to_world[:3, 3], functional.normalize(directions, dim=-1)


@torch.inference_mode()
def render_rays(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    samples: int,
    offsets: SampleOffsets | None = None,
    rays: int = RAYS_PER_CHUNK,
) -> RenderedRays:
    """Render rays (N, 3) with `samples` coarse and as many fine samples each, `rays` at a time."""
    offsets = offsets or SampleOffsets.deterministic(len(directions), samples, directions.device)
    start, end = box_limits(origins, directions)
    rendered, low, high = [], torch.inf, -torch.inf
    for rows in _row_slices(len(directions), rays):
        chunk = _RayChunk(field, origins[rows], directions[rows])
        depths = _coarse_depths(start[rows], end[rows], offsets.coarse[rows])
        densities, colours = chunk.evaluate_raw(depths)
        weights = _interval_weights(depths, densities)
        fine = _fine_depths(depths, weights, offsets.fine[rows])
        fine_densities, fine_colours = chunk.evaluate_raw(fine)
        depths, order = torch.sort(torch.cat([depths, fine], dim=1), dim=1)
        densities = torch.cat([densities, fine_densities], dim=1).gather(1, order)
        colours = torch.cat([colours, fine_colours], dim=1).gather(1, order[..., None].expand(-1, -1, 3))
        low, high = min(low, float(depths.min())), max(high, float(depths.max()))
        rendered.append(_composite(depths, densities, colours))
    colour, depth, opacity = (torch.cat(values) for values in zip(*rendered, strict=True))
    return RenderedRays(colour, depth.clamp(low, high), opacity)


def box_limits(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Depths (N,) where rays enter and leave the box.

    Rays that miss it get the smallest entry depth of the others and their largest entry depth as exit, as published.
    """
    inverse = 1.0 / directions
    one, other = (-BOX_HALF_SIZE - origins) * inverse, (BOX_HALF_SIZE - origins) * inverse
    start, end = torch.minimum(one, other).amax(dim=-1), torch.maximum(one, other).amin(dim=-1)
    meets = start <= end
    if not meets.any():
        return torch.zeros_like(start), torch.zeros_like(end)
    smallest, largest = start[meets].min(), start[meets].max()
    return torch.where(meets, start, smallest), torch.where(meets, end, largest)


@dataclass(frozen=True)
class _RayChunk:
    field: RadianceField
    origins: Tensor
    directions: Tensor

    def evaluate_raw(self, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Raw densities (N, S) and colours (N, S, 3) at depths (N, S)."""
        points = self.origins[:, None] + depths[..., None] * self.directions[:, None]
        inside = (points.abs() <= BOX_HALF_SIZE).all(dim=-1)
        densities, colours = self.field.evaluate_raw(points.flatten(0, 1))
        densities = torch.where(inside, densities.view(depths.shape), EMPTY_DENSITY)
        return densities, colours.view(*depths.shape, 3) * inside[..., None]


def _row_slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)


def _coarse_depths(start: Tensor, end: Tensor, offsets: Tensor) -> Tensor:
    """Stratified depths (N, S): evenly spaced, each offset by up to one step."""
    count = offsets.shape[1]
    steps = torch.arange(count, dtype=torch.float32, device=start.device) / (count - 1)
    length = (end - start)[:, None]
    return start[:, None] + steps * length + offsets * (length / (count - 1))


def _interval_weights(depths: Tensor, densities: Tensor) -> Tensor:
    """Rendering weight of each interval between samples (N, S - 1): opacity times transmittance."""
    density = functional.softplus((densities[:, :-1] + densities[:, 1:]) / 2 - 1.0)
    alpha = 1.0 - torch.exp(-density * (depths[:, 1:] - depths[:, :-1]))
    transmittance = torch.cumprod(1.0 - alpha + 1e-10, dim=1)
    return alpha * torch.cat([torch.ones_like(alpha[:, :1]), transmittance[:, :-1]], dim=1)


def _composite(depths: Tensor, densities: Tensor, colours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour over white (N, 3), depth (N,) and opacity (N,)."""
    weights = _interval_weights(depths, densities)
    opacity = weights.sum(dim=1)
    colour = (weights[..., None] * (colours[:, :-1] + colours[:, 1:]) / 2).sum(dim=1)
    depth = (weights * (depths[:, :-1] + depths[:, 1:]) / 2).sum(dim=1)
    return colour + (1.0 - opacity)[:, None], torch.nan_to_num(depth, float("inf")), opacity


def _fine_depths(depths: Tensor, weights: Tensor, quantiles: Tensor) -> Tensor:
    """Depths (N, S) by inverse transform sampling of the weights (N, S - 1).

    The weights are smoothed to cover neighbouring intervals too; filters and constants are EG3D's.
    """
    smooth = functional.max_pool1d(weights[:, None], 2, 1, padding=1)
    smooth = functional.avg_pool1d(smooth, 2, 1)[:, 0] + 0.01
    density = smooth[:, 1:-1] + 1e-5
    cdf = torch.cumsum(density / density.sum(dim=1, keepdim=True), dim=1)
    cdf = torch.cat([torch.zeros_like(cdf[:, :1]), cdf], dim=1)
    middles = (depths[:, :-1] + depths[:, 1:]) / 2
    indices = torch.searchsorted(cdf, quantiles.contiguous(), right=True)
    below, above = (indices - 1).clamp(min=0), indices.clamp(max=density.shape[1])
    width = cdf.gather(1, above) - cdf.gather(1, below)
    width = torch.where(width < 1e-5, 1.0, width)
    near, far = middles.gather(1, below), middles.gather(1, above)
    return near + (quantiles - cdf.gather(1, below)) / width * (far - near)

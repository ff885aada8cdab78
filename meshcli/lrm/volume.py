"""Pictures of a radiance field by volume rendering, coarse samples first, then more where they found something.

Follows EG3D (Chan et al. 2022, arXiv:2112.07945), with InstantMesh's changes: white behind, nothing outside the box.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

BOX_HALF_SIZE = 1.0  # the field's box reaches from -HALF to HALF
EMPTY_DENSITY = (
    -torch.finfo(torch.float32).max / 3
)  # density outside, before its activation; the mean of two stays finite
RAYS_PER_CHUNK = 2048  # at a time


class RadianceField(Protocol):
    """What can be rendered."""

    def evaluate_raw(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density before its activation (N,) and colour (N, 3) at points (N, 3)."""


@dataclass(frozen=True)
class SampleOffsets:
    """The random numbers of a picture in [0, 1); their means make it repeatable."""

    coarse: Tensor  # (N, S) how far each sample moves along its step
    fine: Tensor  # (N, S) quantiles of the second samples

    @classmethod
    def middle(cls, rays: int, samples: int, device: torch.device) -> "SampleOffsets":
        """No chance: the middle of each step, evenly spaced quantiles."""
        quantiles = (torch.arange(samples, device=device) + 0.5) / samples
        return cls(torch.full((rays, samples), 0.5, device=device), quantiles.expand(rays, -1))


@dataclass(frozen=True)
class RenderedRays:
    """What N rays see."""

    colour: Tensor  # (N, 3) over white
    depth: Tensor  # (N,) weighted sum of the depths, not divided by the weight
    weight: Tensor  # (N,) how much of the ray is stopped


def camera_rays(camera_to_world: Tensor, intrinsics: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Origin (3,) and unit directions (size * size, 3), row by row, of an OpenGL camera (4, 4).

    `intrinsics` (4,) are fx, fy, cx, cy as fractions of the picture.
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
    draws: SampleOffsets | None = None,
    rays: int = RAYS_PER_CHUNK,
) -> RenderedRays:
    """Follow rays (N, 3) with `samples` coarse and as many fine samples each, `rays` at a time."""
    draws = draws or SampleOffsets.middle(len(directions), samples, directions.device)
    start, end = box_limits(origins, directions)
    parts, low, high = [], torch.inf, -torch.inf
    for rows in _row_slices(len(directions), rays):
        part = _RayChunk(field, origins[rows], directions[rows])
        depths = _coarse_depths(start[rows], end[rows], draws.coarse[rows])
        densities, colours = part.evaluate_raw(depths)
        weights = _interval_weights(depths, densities)
        more = _fine_depths(depths, weights, draws.fine[rows])
        extra_densities, extra_colours = part.evaluate_raw(more)
        depths, order = torch.sort(torch.cat([depths, more], dim=1), dim=1)
        densities = torch.cat([densities, extra_densities], dim=1).gather(1, order)
        colours = torch.cat([colours, extra_colours], dim=1).gather(1, order[..., None].expand(-1, -1, 3))
        low, high = min(low, float(depths.min())), max(high, float(depths.max()))
        parts.append(_composite(depths, densities, colours))
    colour, depth, weight = (torch.cat(values) for values in zip(*parts, strict=True))
    return RenderedRays(colour, depth.clamp(low, high), weight)


def box_limits(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Depths (N,) where rays enter and leave the box.

    Rays that miss it get the smallest start of the others, and their largest start as end: as it was published.
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


def _coarse_depths(start: Tensor, end: Tensor, draws: Tensor) -> Tensor:
    """Evenly spaced depths (N, S), each moved by up to one step."""
    count = draws.shape[1]
    steps = torch.arange(count, dtype=torch.float32, device=start.device) / (count - 1)
    length = (end - start)[:, None]
    return start[:, None] + steps * length + draws * (length / (count - 1))


def _interval_weights(depths: Tensor, densities: Tensor) -> Tensor:
    """How much each interval between samples stops, (N, S - 1)."""
    density = functional.softplus((densities[:, :-1] + densities[:, 1:]) / 2 - 1.0)
    alpha = 1.0 - torch.exp(-density * (depths[:, 1:] - depths[:, :-1]))
    passed = torch.cumprod(1.0 - alpha + 1e-10, dim=1)
    return alpha * torch.cat([torch.ones_like(alpha[:, :1]), passed[:, :-1]], dim=1)


def _composite(depths: Tensor, densities: Tensor, colours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour over white (N, 3), depth (N,) and weight (N,)."""
    weights = _interval_weights(depths, densities)
    total = weights.sum(dim=1)
    colour = (weights[..., None] * (colours[:, :-1] + colours[:, 1:]) / 2).sum(dim=1)
    depth = (weights * (depths[:, :-1] + depths[:, 1:]) / 2).sum(dim=1)
    return colour + (1.0 - total)[:, None], torch.nan_to_num(depth, float("inf")), total


def _fine_depths(depths: Tensor, weights: Tensor, quantiles: Tensor) -> Tensor:
    """Depths (N, S) drawn from the weights (N, S - 1), smoothed so that neighbours are looked at too."""
    smooth = functional.max_pool1d(weights[:, None], 2, 1, padding=1)
    smooth = functional.avg_pool1d(smooth, 2, 1)[:, 0] + 0.01
    share = smooth[:, 1:-1] + 1e-5
    steps = torch.cumsum(share / share.sum(dim=1, keepdim=True), dim=1)
    steps = torch.cat([torch.zeros_like(steps[:, :1]), steps], dim=1)
    middles = (depths[:, :-1] + depths[:, 1:]) / 2
    found = torch.searchsorted(steps, quantiles.contiguous(), right=True)
    below, above = (found - 1).clamp(min=0), found.clamp(max=share.shape[1])
    width = steps.gather(1, above) - steps.gather(1, below)
    width = torch.where(width < 1e-5, 1.0, width)
    near, far = middles.gather(1, below), middles.gather(1, above)
    return near + (quantiles - steps.gather(1, below)) / width * (far - near)

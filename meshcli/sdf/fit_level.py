"""Optimisation of a signed-distance grid and a colour grid against pictures, at one resolution."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from meshcli.sdf.crystalline import crystalline_curvature
from meshcli.sdf.grid import (
    Field,
    Grid,
    blur,
    curvatures,
    interior,
    laplacian,
    local_depth,
    redistance,
    redistance_interior,
    truncated,
)
from meshcli.sdf.pixel_rays import PixelRays, StratifiedChoice, to_lattice_rays
from meshcli.sdf.volume_rendering import BUFFERS, adam, image_loss_gradients, sum_buffers

REDISTANCE_EVERY = 12  # steps; distances drift while the surface moves
REDISTANCE_STEPS = 8  # good to 4 voxels, the width of the active band
RAY_STEP = 0.8  # voxels between samples of a ray
HUBER = 0.15  # colour error, 0 to 1, from which the loss grows linearly
MOMENTUM = 0.9
COLOUR_RATE = (0.06, 0.02)  # of Adam on the colour grid, from the first step to the last
BORDER = 3  # nodes along the grid's border that stay fixed: fourth derivatives need two neighbours, a cell one more
MAX_PROTRUSION = 0.3  # voxels that the surface may stick out of the hull
ACTIVE_HULL = 1.5  # voxels around the hull that are active
ACTIVE_BAND = (-6, 4)  # voxels: distances of the nodes that are optimised

# Regularisation per step. Each was tuned on true views of spot and on the fox and chair sheets, then left alone.
THIN_PLATE = 0.005  # times the bi-Laplacian; 0.0139 is the limit of stability
HIGH_PASS = 0.15  # every second step, times (I - G)^2 with G a Gaussian of HIGH_PASS_SIGMA voxels
HIGH_PASS_SIGMA = 2.5
EDGE_FLOW = 0.15  # twice a step, times the principal curvature of smaller magnitude
# More of them where the body is planar, or straight in one direction, when seen at a coarser scale.
PLANAR_CURVATURE = 0.02  # per voxel, of the level set blurred by PLANAR_BLUR voxels: flat is what has much less
PLANAR_BLUR = 3.0
PLANAR_THIN_PLATE = 0.006
PLANAR_HIGH_PASS = 0.3
STRAIGHT_EDGE_FLOW = 0.25
CRYSTALLINE_STEP = 0.3  # of the rounding: a step of the crystalline flow; stable below a third of the rounding
CRYSTALLINE_BAND = 3.0  # voxels around the surface in which it flows
PRIOR_WEIGHT = 0.3  # attraction to a prior, times the rate: it decides where no picture does
# Protection of thin parts, by eye: the values keep rods of 1.5 voxels in tests/sdf/test_lost_parts.py.
FULL_SMOOTHING_DEPTH = 3.0  # voxels: where the body is less deep, smoothing is reduced
FAST_RATE = 0.1  # voxels a step: a surface that moves faster could pierce thin parts
PROTECTED_DEPTH = 1.5  # voxels: less deep parts do not get thinner in fast steps; no silhouette asks for a hole there


@dataclass(frozen=True)
class Schedule:
    """Settings of the optimisation at one resolution; pairs run linearly from the first step to the last."""

    rate: tuple[float, float]  # voxels a step: root mean square of the surface's motion
    gradient_blur: tuple[float, float]  # voxels: sigma of the Gaussian that makes the motion smooth
    sharpness: tuple[float, float]  # per voxel: k of volume_rendering
    shrink: float  # per step, decaying to none, times the larger principal curvature of bulges: removes spurious edges
    fade: float = 0.4  # share of the level, at its end, in which `shrink` decays
    thin_plate: float = THIN_PLATE
    high_pass: float = HIGH_PASS
    edge_flow: float = EDGE_FLOW
    prior_weight: float = PRIOR_WEIGHT
    planar: bool = False  # whether nearly flat and nearly straight regions are smoothed more
    crystalline: float = 0.0  # per step, times the crystalline curvature: towards boxes
    rounding: float = 0.12  # of the kinks in the crystalline curvature
    # Per voxel: larger crystalline curvatures, those of thin parts, count as this much, and all less where the body is
    # thin. None: they count in full.
    crystalline_limit: float | None = None
    averaged: float = 0.0  # share of the level, at its end, whose distances are averaged: that cancels noise
    may_pierce: bool = False  # whether a fast surface may go through thin parts


@dataclass(frozen=True)
class LossWeights:
    """Weights of the image loss."""

    rgb: float  # of the Huber colour error
    mask: float  # of the squared coverage error
    missing: float  # factor on the coverage error where the body is missing, relative to where there is too much


@dataclass(frozen=True)
class Tuning:
    """Schedules and loss weights for one kind of pictures."""

    first: Schedule  # of all levels but the last
    last: Schedule
    weights: LossWeights
    rough: Schedule | None = None  # of the first of three levels or more, where plates are thinner than a voxel

    def schedule(self, level: int, levels: int) -> Schedule:
        """Of one of so many levels, counted from 0."""
        if level == 0 and levels > 2 and self.rough:
            return self.rough
        return self.last if 0 < level == levels - 1 else self.first


@dataclass
class ColouredSdf:
    """A signed-distance grid and a colour grid on the same nodes."""

    grid: Grid
    distance: Field  # (X, Y, Z) voxels, negative inside
    colour: NDArray[np.float32]  # (X, Y, Z, 3), 0 to 1


class LevelOptimiser:
    """Optimises a ColouredSdf in place at one resolution; what is inside `solid` stays so. About 84 bytes per node."""

    def __init__(
        self,
        shape: ColouredSdf,
        hull: Field,
        prior: Field | None,
        rays: PixelRays,
        schedule: Schedule,
        weights: LossWeights,
        yaw: float = 0.0,
        solid: Field | None = None,
    ) -> None:
        self._yaw, self._solid = yaw, solid
        self.shape, self._hull, self._prior = shape, hull, prior
        self._schedule, self._weights = schedule, weights
        self._targets = rays.targets
        self._rays = to_lattice_rays(rays.origins, rays.directions, shape.grid)
        size = hull.size
        self._momentum = np.zeros(size, np.float32)
        self._adam_first, self._adam_second = np.zeros((size, 3), np.float32), np.zeros((size, 3), np.float32)
        self._distance_buffers = np.zeros((BUFFERS, size, 1), np.float32)
        self._colour_buffers = np.zeros((BUFFERS, size, 3), np.float32)
        self._distance_gradient = np.zeros((size, 1), np.float32)
        self._colour_gradient = np.zeros((size, 3), np.float32)
        self._scratch, self._scratch2 = np.zeros_like(hull), np.zeros_like(hull)
        self._interior = interior(hull.shape, BORDER)
        self._choice: StratifiedChoice | None = None
        self._steps = 0
        self._sum, self._summed = np.zeros_like(hull), 0
        shape.distance = redistance_interior(shape.distance, BORDER, REDISTANCE_STEPS)

    def step(self, fraction: float, count: int, generator: np.random.Generator) -> float:
        """One step on `count` random rays, `fraction` of the way through the level; the mean loss before it."""
        if self._steps % REDISTANCE_EVERY == 0:
            if self._steps:
                self.shape.distance = redistance(self.shape.distance, self._nodes, REDISTANCE_STEPS)
            self._update_active_region()
        self._steps += 1
        loss = self._accumulate_gradients(fraction, count, generator)
        sum_buffers(self._distance_buffers, self._nodes, self._distance_gradient)
        sum_buffers(self._colour_buffers, self._nodes, self._colour_gradient)
        adam(
            self.shape.colour.reshape(-1, 3), self._colour_gradient, self._adam_first, self._adam_second, self._nodes,
            np.float32(_interpolate(COLOUR_RATE, fraction)), self._steps,
        )  # fmt: skip
        fast = _interpolate(self._schedule.rate, fraction) > FAST_RATE and not self._schedule.may_pierce
        thin = self._nodes[self._local_depth() < PROTECTED_DEPTH] if fast else self._nodes[:0]
        kept = self.shape.distance.ravel()[thin]
        self._move_surface(fraction)
        self._regularise(fraction)
        flat = self.shape.distance.ravel()
        flat[thin] = np.minimum(flat[thin], kept)
        np.maximum(self.shape.distance, self._hull - np.float32(MAX_PROTRUSION), out=self.shape.distance)
        if self._solid is not None:
            np.minimum(self.shape.distance, self._solid, out=self.shape.distance)
        if fraction > 1 - self._schedule.averaged:
            self._sum += self.shape.distance
            self._summed += 1
        return loss

    def finish(self) -> None:
        """Replace the distances by their mean over the last steps."""
        if self._summed:
            self.shape.distance = redistance_interior(self._sum / np.float32(self._summed), BORDER, REDISTANCE_STEPS)

    def _update_active_region(self) -> None:
        """Find the cells that are sampled and the nodes that are optimised, and how strongly each is smoothed."""
        distance = self.shape.distance
        lowest, highest = ACTIVE_BAND
        core = (self._hull < ACTIVE_HULL) & self._interior & (distance < highest)
        self._cells = np.zeros(distance.shape, np.uint8)
        self._cells[:-1, :-1, :-1] = core[:-1, :-1, :-1] | core[1:, 1:, 1:]
        self._nodes = np.flatnonzero(binary_dilation(core & (distance > lowest)) & self._interior)
        self._distance_gradient[:] = 0
        self._colour_gradient[:] = 0
        self._planar, self._straight = self._planarity()
        share = (self._local_depth() - 0.5) / (FULL_SMOOTHING_DEPTH - 0.5)
        self._smoothing = (np.clip(share, 0.05, 1) ** 2).astype(np.float32)

    def _planarity(self) -> tuple[Field, Field]:
        """How flat the body is near each active node, and how straight in one direction, 0 to 1."""
        if not self._schedule.planar:
            return np.zeros(1, np.float32), np.zeros(1, np.float32)
        coarse = blur(truncated(self.shape.distance), PLANAR_BLUR)
        curvatures(coarse, self._nodes, self._scratch, self._scratch2)
        return _flatness(self._scratch2.ravel()[self._nodes]), _flatness(self._scratch.ravel()[self._nodes])

    def _local_depth(self) -> Field:
        """How deep the body is near each active node, in voxels."""
        return local_depth(self.shape.distance).ravel()[self._nodes]

    def _accumulate_gradients(self, fraction: float, count: int, generator: np.random.Generator) -> float:
        """Render random rays and add the gradients of their loss to the buffers; the mean loss."""
        if self._choice is None:
            self._choice = StratifiedChoice(len(self._targets), count, generator)
        chosen = self._choice.next()
        jitter = generator.random(count, dtype=np.float32)
        loss: float = image_loss_gradients(
            self.shape.distance, self.shape.colour, self._cells,
            self._rays.origins[chosen], self._rays.directions[chosen], self._rays.spans[chosen], jitter,
            self._targets[chosen],
            np.float32(_interpolate(self._schedule.sharpness, fraction)), np.float32(RAY_STEP), np.float32(HUBER),
            (np.float32(self._weights.rgb), np.float32(self._weights.mask), np.float32(self._weights.missing)),
            self._distance_buffers, self._colour_buffers,
        )  # fmt: skip
        return loss

    def _move_surface(self, fraction: float) -> None:
        """Gradient descent with momentum on the blurred gradient, divided by one global root mean square.

        A rate per node, as Adam has it, makes wrinkles.
        """
        gradient = blur(
            self._distance_gradient.reshape(self._hull.shape), _interpolate(self._schedule.gradient_blur, fraction)
        )
        motion = self._momentum[self._nodes] * np.float32(MOMENTUM) + gradient.ravel()[self._nodes]
        self._momentum[self._nodes] = motion
        size = float(np.sqrt(np.mean(motion * motion, dtype=np.float64))) + 1e-12
        rate = _interpolate(self._schedule.rate, fraction)
        flat = self.shape.distance.ravel()
        flat[self._nodes] -= np.clip(motion * np.float32(rate / size), -1, 1)
        if self._prior is not None:
            offset = self._prior.ravel()[self._nodes] - flat[self._nodes]
            flat[self._nodes] += np.float32(self._schedule.prior_weight * rate) * np.clip(offset, -1, 1)

    def _regularise(self, fraction: float) -> None:
        """Smoothing that keeps panels flat, edges straight and rods whole; see the constants above."""
        distance, nodes = self.shape.distance, self._nodes
        flat = distance.ravel()
        laplacian(distance, nodes, self._scratch)
        laplacian(self._scratch, nodes, self._scratch2)
        thin_plate = np.float32(self._schedule.thin_plate) + np.float32(PLANAR_THIN_PLATE) * self._planar
        change = thin_plate * self._scratch2.ravel()[nodes]
        if self._steps % 2 == 0:
            band = truncated(distance)
            rough = band - blur(band, HIGH_PASS_SIGMA)
            rough -= blur(rough, HIGH_PASS_SIGMA)
            high_pass = np.float32(self._schedule.high_pass) + np.float32(PLANAR_HIGH_PASS) * self._planar
            change += high_pass * rough.ravel()[nodes]
        flat[nodes] -= change * self._smoothing
        more_flow = np.float32(STRAIGHT_EDGE_FLOW) * self._straight * self._smoothing
        edge_flow = np.float32(self._schedule.edge_flow) + more_flow
        for _ in range(2):
            curvatures(distance, nodes, self._scratch, self._scratch2)
            flat[nodes] += edge_flow * self._scratch.ravel()[nodes]
        self._flatten()
        bulge = np.maximum(self._scratch2.ravel()[nodes], 0)
        shrink = self._schedule.shrink * min(1.0, (1 - fraction) / self._schedule.fade)
        flat[nodes] += np.float32(shrink) * self._smoothing**2 * bulge

    def _flatten(self) -> None:
        """Crystalline curvature flow, in as many steps as are stable."""
        wanted, rounding = self._schedule.crystalline, self._schedule.rounding
        count = math.ceil(wanted / (CRYSTALLINE_STEP * rounding))
        if not count:
            return
        flat = self.shape.distance.ravel()
        close = np.abs(flat[self._nodes]) < CRYSTALLINE_BAND
        near, limit = self._nodes[close], self._schedule.crystalline_limit
        for _ in range(count):
            crystalline_curvature(self.shape.distance, near, self._yaw, rounding, self._scratch)
            curvature = self._scratch.ravel()[near]
            if limit is not None:
                curvature = self._smoothing[close] * np.clip(curvature, -limit, limit)
            flat[near] += np.float32(wanted / count) * curvature


def _flatness(curvature: Field) -> Field:
    """1 where the curvature is zero, towards 0 where it exceeds PLANAR_CURVATURE."""
    flatness: Field = np.exp(-np.square(curvature / np.float32(PLANAR_CURVATURE)))
    return flatness


def _interpolate(pair: tuple[float, float], fraction: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * fraction

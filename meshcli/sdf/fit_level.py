"""Fitting a distance grid and a colour grid to pictures at one resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from meshcli.sdf.grid import (
    Field,
    Grid,
    blur,
    curvatures,
    depth,
    interior,
    laplacian,
    redistance,
    redistance_interior,
    truncated,
)
from meshcli.sdf.pixel_rays import PixelRays, in_lattice
from meshcli.sdf.volume_rendering import BUFFERS, adam, collect, picture_gradients

REDISTANCE = 12  # steps between two repairs of the distances
STEP = 0.8  # voxels between samples of a ray
HUBER = 0.15  # error of a colour channel, 0 to 1, from which the loss grows linearly
MOMENTUM = 0.9
BORDER = 3  # nodes along the grid's border that are never changed: derivatives of fourth order need two, a cell one
OUTSIDE_HULL = 0.3  # voxels that the surface may stick out of the hull
REACH = 1.5  # voxels around the hull where anything can be

# Smoothing per step. Each was tuned on true views of spot and on the fox and chair sheets, then left alone.
THIN_PLATE = 0.005  # times the Laplacian of the Laplacian; 0.0139 is the limit of stability
BAND = 0.15  # every second step, times (I - G)^2 with G a Gaussian of BAND_SIGMA voxels
BAND_SIGMA = 2.5
ALONG = 0.15  # twice a step, times the principal curvature of smaller size
# More of them where the body is planar, or straight in one direction, when seen with less sharp eyes.
PLANAR = 0.02  # curvature per voxel, of the level set blurred by PLANAR_BLUR voxels: flat is what has much less
PLANAR_BLUR = 3.0
PLANAR_THIN_PLATE = 0.006
PLANAR_BAND = 0.3
STRAIGHT_ALONG = 0.25
PULL = 0.3  # towards a prior, times the rate: where no picture speaks, that is where the surface goes
THICK = 3.0  # voxels: what is less than half as thick is smoothed less
FAST = 0.1  # voxels a step: a surface that moves faster could pierce what is thin
THIN = 1.5  # voxels: what is less than twice as thick gets no thinner then; no outline asks for a hole in it


@dataclass(frozen=True)
class Schedule:
    """How a level goes about it; pairs run from the first value to the second."""

    rate: tuple[float, float]  # voxels a step: root mean square of the surface's motion
    gradient_blur: tuple[float, float]  # voxels: the motion is a smooth one
    sharpness: tuple[float, float]  # per voxel: opacity is a sigmoid of it times the distance
    shrink: float  # a step at first, none at last, times the larger curvature of bulges: needless edges retract
    fade: float = 0.4  # of a level, at its end, in which the shrinking fades
    thin_plate: float = THIN_PLATE
    band: float = BAND
    along: float = ALONG
    pull: float = PULL
    planar: bool = False  # whether what is nearly flat or straight is smoothed more
    pierce: bool = False  # whether a surface that moves fast may go through what is thin


@dataclass(frozen=True)
class Weights:
    """What counts how much."""

    rgb: float  # of the colour error against the squared coverage error times `mask`
    mask: float
    missing: float  # factor on the coverage error where the body is missing, against where it is too much


@dataclass(frozen=True)
class Tuning:
    """How a kind of pictures wants to be fitted."""

    first: Schedule  # of all levels but the last
    last: Schedule
    weights: Weights
    rough: Schedule | None = None  # of the first of three levels or more, where plates are thinner than a voxel

    def schedule(self, level: int, levels: int) -> Schedule:
        """Of one of so many levels, counted from 0."""
        if level == 0 and levels > 2 and self.rough:
            return self.rough
        return self.last if 0 < level == levels - 1 else self.first


@dataclass
class Shape:
    """What is being fitted."""

    grid: Grid
    distance: Field  # (X, Y, Z) voxels, negative inside
    colour: NDArray[np.float32]  # (X, Y, Z, 3), 0 to 1


class Level:
    """The working memory of one resolution: about 80 bytes per node."""

    def __init__(
        self, shape: Shape, hull: Field, prior: Field | None, rays: PixelRays, schedule: Schedule, weights: Weights
    ) -> None:
        self.shape, self._hull, self._prior = shape, hull, prior
        self._schedule, self._weights = schedule, weights
        self._targets = rays.targets
        self._rays = in_lattice(rays.origins, rays.directions, shape.grid)
        size = hull.size
        self._momentum = np.zeros(size, np.float32)
        self._first, self._second = np.zeros((size, 3), np.float32), np.zeros((size, 3), np.float32)
        self._distance_buffers = np.zeros((BUFFERS, size, 1), np.float32)
        self._colour_buffers = np.zeros((BUFFERS, size, 3), np.float32)
        self._distance_gradient = np.zeros((size, 1), np.float32)
        self._colour_gradient = np.zeros((size, 3), np.float32)
        self._scratch, self._other = np.zeros_like(hull), np.zeros_like(hull)
        self._inner = interior(hull.shape, BORDER)
        self._turn = 0
        shape.distance = redistance_interior(shape.distance, BORDER, 8)

    def step(self, fraction: float, count: int, generator: np.random.Generator) -> float:
        """One step on `count` random rays, `fraction` of the way through the level; the mean loss before it."""
        if self._turn % REDISTANCE == 0:
            if self._turn:
                self.shape.distance = redistance(self.shape.distance, self._nodes, 8)
            self._look_around()
        self._turn += 1
        loss = self._render(fraction, count, generator)
        collect(self._distance_buffers, self._nodes, self._distance_gradient)
        collect(self._colour_buffers, self._nodes, self._colour_gradient)
        adam(
            self.shape.colour.reshape(-1, 3), self._colour_gradient, self._first, self._second, self._nodes,
            np.float32(0.06 - 0.04 * fraction), self._turn,
        )  # fmt: skip
        fast = _between(self._schedule.rate, fraction) > FAST and not self._schedule.pierce
        thin = self._nodes[self._depth() < THIN] if fast else self._nodes[:0]
        kept = self.shape.distance.ravel()[thin]
        self._move(fraction)
        self._smooth(fraction)
        flat = self.shape.distance.ravel()
        flat[thin] = np.minimum(flat[thin], kept)
        np.maximum(self.shape.distance, self._hull - np.float32(OUTSIDE_HULL), out=self.shape.distance)
        return loss

    def _look_around(self) -> None:
        """Find the nodes that take part, and how thick the body is near each."""
        distance = self.shape.distance
        core = (self._hull < REACH) & self._inner & (distance < 4)
        self._cells = np.zeros(distance.shape, np.uint8)
        self._cells[:-1, :-1, :-1] = core[:-1, :-1, :-1] | core[1:, 1:, 1:]
        self._nodes = np.flatnonzero(binary_dilation(core & (distance > -6)) & self._inner)
        self._distance_gradient[:] = 0
        self._colour_gradient[:] = 0
        self._flat, self._straight = self._planarity()
        deep = self._depth()
        self._calm = (np.clip((deep - 0.5) / (THICK - 0.5), 0.05, 1) ** 2).astype(np.float32)

    def _planarity(self) -> tuple[Field, Field]:
        """How flat the body is near each node that takes part, and how straight in one direction, 0 to 1."""
        if not self._schedule.planar:
            return np.zeros(1, np.float32), np.zeros(1, np.float32)
        coarse = blur(truncated(self.shape.distance), PLANAR_BLUR)
        curvatures(coarse, self._nodes, self._scratch, self._other)
        return _below(self._other.ravel()[self._nodes]), _below(self._scratch.ravel()[self._nodes])

    def _depth(self) -> Field:
        """How deep the body is near each node that takes part, in voxels."""
        return depth(self.shape.distance).ravel()[self._nodes]

    def _render(self, fraction: float, count: int, generator: np.random.Generator) -> float:
        chosen = generator.integers(0, len(self._targets), count)
        jitter = generator.random(count, dtype=np.float32)
        loss: float = picture_gradients(
            self.shape.distance, self.shape.colour, self._cells,
            self._rays.origins[chosen], self._rays.directions[chosen], self._rays.spans[chosen], jitter,
            self._targets[chosen],
            np.float32(_between(self._schedule.sharpness, fraction)), np.float32(STEP), np.float32(HUBER),
            (np.float32(self._weights.rgb), np.float32(self._weights.mask), np.float32(self._weights.missing)),
            self._distance_buffers, self._colour_buffers,
        )  # fmt: skip
        return loss

    def _move(self, fraction: float) -> None:
        """Momentum on the blurred gradient, over one root mean square for all: a rate per node makes wrinkles."""
        gradient = blur(
            self._distance_gradient.reshape(self._hull.shape), _between(self._schedule.gradient_blur, fraction)
        )
        motion = self._momentum[self._nodes] * np.float32(MOMENTUM) + gradient.ravel()[self._nodes]
        self._momentum[self._nodes] = motion
        size = float(np.sqrt(np.mean(motion * motion, dtype=np.float64))) + 1e-12
        rate = _between(self._schedule.rate, fraction)
        flat = self.shape.distance.ravel()
        flat[self._nodes] -= np.clip(motion * np.float32(rate / size), -1, 1)
        if self._prior is not None:
            away = self._prior.ravel()[self._nodes] - flat[self._nodes]
            flat[self._nodes] += np.float32(self._schedule.pull * rate) * np.clip(away, -1, 1)

    def _smooth(self, fraction: float) -> None:
        """Flat panels flat, edges straight, rods whole: see the constants above."""
        distance, nodes = self.shape.distance, self._nodes
        flat = distance.ravel()
        laplacian(distance, nodes, self._scratch)
        laplacian(self._scratch, nodes, self._other)
        thin_plate = np.float32(self._schedule.thin_plate) + np.float32(PLANAR_THIN_PLATE) * self._flat
        change = thin_plate * self._other.ravel()[nodes]
        if self._turn % 2 == 0:
            cut = truncated(distance)
            rough = cut - blur(cut, BAND_SIGMA)
            rough -= blur(rough, BAND_SIGMA)
            band = np.float32(self._schedule.band) + np.float32(PLANAR_BAND) * self._flat
            change += band * rough.ravel()[nodes]
        flat[nodes] -= change * self._calm
        along = np.float32(self._schedule.along) + np.float32(STRAIGHT_ALONG) * self._straight * self._calm
        for _ in range(2):
            curvatures(distance, nodes, self._scratch, self._other)
            flat[nodes] += along * self._scratch.ravel()[nodes]
        bulge = np.maximum(self._other.ravel()[nodes], 0)
        shrink = self._schedule.shrink * min(1.0, (1 - fraction) / self._schedule.fade)
        flat[nodes] += np.float32(shrink) * self._calm**2 * bulge


def _below(curvature: Field) -> Field:
    """1 where it is nothing, 0 where it is much more than PLANAR."""
    share: Field = np.exp(-np.square(curvature / np.float32(PLANAR)))
    return share


def _between(pair: tuple[float, float], fraction: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * fraction

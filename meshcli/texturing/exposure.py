"""Exposure and white balance of pictures evened out: gains per picture and channel, from what several pictures see."""

from collections.abc import Sequence

import numpy as np

from meshcli.arrays import Array, Float32Array, Float64Array
from meshcli.texturing.sights import Sight, add_colours, share_a_side

POINTS = 1500  # per picture, at which its colours are compared with the others'
MIN_SHARED = 40  # points that two pictures must share to be compared
DARK, BRIGHT = 0.06, 0.97  # of the range: quotients of darker values are noise, brighter ones are clipped
GAIN_SIGMA = 0.1  # log: deviations of gains from 1 that are likely
LEADING_SIGMA = 0.05  # the same of the pictures that lead
RATIO_SIGMA = 0.05  # log: error of the quotient of two pictures, highlights and shading included
MAX_GAIN = 1.3


def find_gains(sights: Sequence[Sight], leading: Sequence[bool], fixed: Sequence[bool]) -> Float64Array:
    """Gains (K, 3) by which the sRGB values of K pictures are multiplied so that they agree where several see a point.

    The leading pictures' gains have the geometric mean 1 (all pictures', if none leads), the fixed ones' are 1. Least
    squares of the logarithms: medians of the quotients of two pictures, and gains close to 1.
    """
    count = len(sights)
    if not count:
        return np.ones((0, 3))
    sigma = np.where(fixed, 1e-6, np.where(leading, LEADING_SIGMA, GAIN_SIGMA))
    matrix = np.repeat(np.diag(1.0 / sigma**2)[None], 3, axis=0)
    right = np.zeros((3, count))
    for first, sight in enumerate(sights):
        points, colours = _samples(sight)
        for second, other in enumerate(sights):
            if first == second or not share_a_side(sight.camera, other.camera):
                continue
            ratios = _log_ratios(points, colours, other)
            if len(ratios) < MIN_SHARED:
                continue
            weight = min(1.0, len(ratios) / POINTS * 4.0) / RATIO_SIGMA**2
            pull = np.zeros(count)
            pull[first], pull[second] = 1.0, -1.0
            matrix += weight * np.outer(pull, pull)
            right -= weight * np.median(ratios, axis=0)[:, None] * pull
    logs = np.linalg.solve(matrix, right[..., None])[..., 0].T
    if not any(fixed):
        logs -= logs[np.array(leading) if any(leading) else slice(None)].mean(axis=0)
    gains: Float64Array = np.exp(np.clip(logs, -np.log(MAX_GAIN), np.log(MAX_GAIN)))
    return gains


def _samples(sight: Sight) -> tuple[Array, Float32Array]:
    """Points (N, 3) that a picture sees well, and its colours there (N, 3)."""
    seen = np.flatnonzero((sight.quality.reshape(-1)[sight.cells] > 0.1) & sight.opaque.reshape(-1)[sight.cells])
    seen = seen[:: max(1, len(seen) // POINTS)]
    values = sight.colours.reshape(-1, 4)[sight.cells[seen]]
    return sight.points[seen], values[:, :3] / values[:, 3:]


def _log_ratios(points: Array, colours: Float32Array, other: Sight) -> Float64Array:
    """Logarithms (M, 3) of a picture's colours over another one's, at the points that both see well."""
    total = np.zeros((len(points), 4), np.float32)
    add_colours(points, other, 1.0, total)
    seen = total[:, 3] > 0.01
    theirs = total[seen, :3] / total[seen, 3:]
    both = np.stack([colours[seen], theirs])
    usable = ((both > DARK) & (both < BRIGHT)).all(axis=(0, 2))
    ratios: Float64Array = np.log(both[0, usable].astype(np.float64) / both[1, usable])
    return ratios

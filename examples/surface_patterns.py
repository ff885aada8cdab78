"""Procedural surface patterns: value noise, and the growth rings and fibres of wooden boards."""

import math

import numpy as np
from numba import njit

from meshcli.arrays import Array


def wood_colours(points: Array, board: Array, grain: Array, base: Array, contrast: float) -> Array:
    """Colours (N, 3) of boards sawn from logs: growth rings around a wavy pith, fibres, pores."""
    draw = np.random.default_rng(7).random((256, 6))[board % 256]
    local = np.take_along_axis(points, (grain[:, None] + np.arange(3)) % 3, axis=1)  # along, across, across
    along = local[:, 0] + 7.0 * draw[:, 0]
    wave = np.stack([along * 0.9, 9.0 * draw[:, 1], 3.0 * draw[:, 2]], axis=1)
    slow = np.stack([fractal_noise(wave, 2) - 0.5, fractal_noise(wave + 31.0, 2) - 0.5], axis=1)
    centre = np.stack([draw[:, 3] * 0.16 - 0.08, 0.05 + 0.10 * draw[:, 4]], axis=1)
    across = local[:, 1:] - np.round(local[:, 1:] / 0.9) * 0.9
    radius = np.linalg.norm(across - centre + 0.16 * slow, axis=1)
    texture = np.concatenate([along[:, None] * 3.0, local[:, 1:] * 26.0 + 5.0 * draw[:, 5:]], axis=1)
    years = np.stack([radius * 9.0, 40.0 * draw[:, 1], 40.0 * draw[:, 5]], axis=1)
    rings = radius * 58.0 + 4.0 * fractal_noise(years, 2) + 1.3 * fractal_noise(texture * np.array([0.5, 0.5, 0.5]), 2)
    phase = rings % 1.0
    late = np.clip(phase, 0.0, 0.86) / 0.86 - np.clip((phase - 0.86) / 0.14, 0.0, 1.0)  # slow rise, quick fall
    fibre = fractal_noise(np.concatenate([along[:, None] * 5.0, local[:, 1:] * 170.0], axis=1), 2) - 0.5
    cloud = fractal_noise(texture * 0.25, 2) - 0.5
    darkness = 0.42 * late**2 + 0.55 * fibre + 0.5 * cloud + 0.35 * (draw[:, 2] - 0.5)
    shade = np.exp(-contrast * darkness)[:, None]
    return np.asarray(np.clip(base * shade ** np.array([0.85, 1.05, 1.3]), 0.0, 0.95))  # darker wood is redder


@njit(cache=True)
def fractal_noise(points: Array, octaves: int) -> Array:
    """Smooth value noise in about [0, 1], the sum of octaves."""
    result = np.zeros(len(points))
    for n in range(len(points)):
        size, total = 0.5, 0.0
        x, y, z = points[n]
        for _ in range(octaves):
            i, j, k = math.floor(x), math.floor(y), math.floor(z)
            a, b, c = x - i, y - j, z - k
            a, b, c = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
            for corner in range(8):
                p, q, r = corner & 1, corner >> 1 & 1, corner >> 2
                weight = (a if p else 1 - a) * (b if q else 1 - b) * (c if r else 1 - c)
                h = (int(i) + p) * 374761393 + (int(j) + q) * 668265263 + (int(k) + r) * 2147483647
                h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
                h = (h ^ (h >> 16)) & 0xFFFF
                total += size * weight * h / 65535.0
            size *= 0.5
            x, y, z = 2.03 * x + 11.7, 2.03 * y + 5.1, 2.03 * z + 3.3
        result[n] = total / (1.0 - 2.0 * size)
    return result

"""A region of least energy with a small surface: a minimum of the weighted total variation.

Of all fields x from 0 to 1 the one with the least sum of tension * |gradient x| - energy * x; above a half it is, for
whatever threshold, a region of least surface and energy (Chan, Esedoglu and Nikolova 2006), found by the primal-dual
method of Chambolle and Pock (2011). Unlike a cut of a graph it prefers no direction of the grid.
"""

import numpy as np
from numba import prange

from meshcli.arrays import Array, Mask
from meshcli.sdf.grid import Field
from meshcli.system.numba_kernel import kernel

RATE = 0.99 / np.sqrt(12.0)  # of both variables: the operator's norm is the square root of 12


class TotalVariation:
    """The minimum within a domain (X, Y, Z), whose border costs nothing; outside it x is 1. Keeps its state."""

    def __init__(self, domain: Mask) -> None:
        self._domain = domain
        self.minimum: Field = (~domain).astype(np.float32)
        self._ahead = self.minimum.copy()
        self._dual = np.zeros((3, *domain.shape), np.float32)

    def run(self, energy: Field, tension: Field, steps: int) -> Field:
        """The field (X, Y, Z) after so many more steps."""
        self._ahead[:] = self.minimum
        _run(energy, tension, self._domain, steps, self.minimum, self._ahead, self._dual)
        return self.minimum


@kernel(parallel=True)
def _run(energy: Array, tension: Array, domain: Array, steps: int, field: Array, ahead: Array, dual: Array) -> None:
    """Move field, its extrapolation and the dual variable by so many steps."""
    nx, ny, nz = field.shape
    rate = np.float32(RATE)
    for _ in range(steps):
        for i in prange(nx - 1):
            for j in range(ny - 1):
                for k in range(nz - 1):
                    if not domain[i, j, k]:
                        continue
                    here = ahead[i, j, k]
                    x = dual[0, i, j, k] + rate * (ahead[i + 1, j, k] - here) if domain[i + 1, j, k] else np.float32(0)
                    y = dual[1, i, j, k] + rate * (ahead[i, j + 1, k] - here) if domain[i, j + 1, k] else np.float32(0)
                    z = dual[2, i, j, k] + rate * (ahead[i, j, k + 1] - here) if domain[i, j, k + 1] else np.float32(0)
                    scale = max(np.sqrt(x * x + y * y + z * z) / tension[i, j, k], np.float32(1))
                    dual[0, i, j, k], dual[1, i, j, k], dual[2, i, j, k] = x / scale, y / scale, z / scale
        for i in prange(1, nx):
            for j in range(1, ny):
                for k in range(1, nz):
                    if not domain[i, j, k]:
                        continue
                    divergence = dual[0, i, j, k] - dual[0, i - 1, j, k] + dual[1, i, j, k] - dual[1, i, j - 1, k]
                    divergence += dual[2, i, j, k] - dual[2, i, j, k - 1]
                    now = field[i, j, k] + rate * (divergence + energy[i, j, k])
                    now = min(max(now, np.float32(0)), np.float32(1))
                    ahead[i, j, k] = 2 * now - field[i, j, k]
                    field[i, j, k] = now

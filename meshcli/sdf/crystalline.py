"""Crystalline curvature: smoothing whose calm shapes are boxes, in a frame of one vertical and two horizontal axes.

The first variation of the area that is measured with |n_x| + |n_y| + |n_z|, whose ideal shape is a box with faces
along the axes (Taylor 1978; Osher and Merriman 1997, "The Wulff shape as the asymptotic limit of a growing crystalline
interface"): flat faces and straight edges along the axes stay, slanted and curved ones retract where nothing holds
them. The kinks of the absolute values are rounded, or the flow would not be defined.
"""

from typing import Any

import numpy as np
from numba import prange

from meshcli.arrays import Array
from meshcli.sdf.grid import BLOCKS
from meshcli.sdf.volume_rendering import Scalar
from meshcli.system.numba_kernel import kernel


def crystalline_curvature(field: Array, nodes: Array, yaw: float, rounding: float, result: Array) -> None:
    """Divergence of the crystalline normal at some nodes (flat indices, none on the grid's border), per voxel.

    field: distances (X, Y, Z); result: (X, Y, Z), filled at the nodes. The frame's first axis is turned about z by
    `yaw`, in radians. `rounding` is the share of a gradient below which its parts count as none. Adding `rate` times
    the result to the field is stable for rates below a third of it.
    """
    axis = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    _curvature(field, nodes, *axis, np.float32(rounding * rounding), result)


@kernel()
def _flux(x: Scalar, y: Scalar, z: Scalar, axis: int, cosine: Scalar, sine: Scalar, rounding: Scalar) -> Any:
    """Along one of the grid's axes, the derivative of the crystalline length of a gradient (x, y, z)."""
    soft = rounding * (x * x + y * y + z * z) + np.float32(1e-6)
    if axis == 2:
        return z / np.sqrt(z * z + soft)
    along, across = cosine * x + sine * y, cosine * y - sine * x
    first, second = along / np.sqrt(along * along + soft), across / np.sqrt(across * across + soft)
    return cosine * first - sine * second if axis == 0 else sine * first + cosine * second


@kernel(parallel=True)
def _curvature(field: Array, nodes: Array, cosine: Scalar, sine: Scalar, rounding: Scalar, result: Array) -> None:
    sx, sy = field.shape[1] * field.shape[2], field.shape[2]
    f, out = field.ravel(), result.ravel()
    size = (nodes.shape[0] + BLOCKS - 1) // BLOCKS
    quarter = np.float32(0.25)
    for block in prange(BLOCKS):
        for n in range(block * size, min((block + 1) * size, nodes.shape[0])):
            total = np.float32(0)
            for axis in range(3):
                ahead = sx if axis == 0 else sy if axis == 1 else 1
                for side in range(2):
                    a = nodes[n] - (ahead if side == 0 else 0)  # between the nodes a and b
                    b = a + ahead
                    x = quarter * (f[a + sx] - f[a - sx] + f[b + sx] - f[b - sx])
                    y = quarter * (f[a + sy] - f[a - sy] + f[b + sy] - f[b - sy])
                    z = quarter * (f[a + 1] - f[a - 1] + f[b + 1] - f[b - 1])
                    if axis == 0:
                        x = f[b] - f[a]
                    elif axis == 1:
                        y = f[b] - f[a]
                    else:
                        z = f[b] - f[a]
                    flux = _flux(x, y, z, axis, cosine, sine, rounding)
                    total += flux if side == 1 else -flux
            out[nodes[n]] = total

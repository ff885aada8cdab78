"""Coordinate frames of file formats: the only place that converts between our world and theirs.

Our world: z up, azimuth 0 (the front) on +x, right-handed. glTF and OBJ: y up, the front on +z, right-handed, 1 unit =
1 metre. The axes are permuted cyclically, (x, y, z) -> s (y, z, x), a rotation: never a mirror image.
"""

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.views.camera import PoseMatrix

TO_GLTF = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def to_gltf(points: Array, scale: float = 1.0) -> NDArray[np.float32]:
    """Points (N, 3) from our world to glTF's; directions with scale 1."""
    turned: NDArray[np.float32] = (points.astype(np.float64) @ TO_GLTF.T * scale).astype(np.float32)
    return turned


def from_gltf(points: Array, scale: float = 1.0) -> NDArray[np.float32]:
    """The inverse of `to_gltf` with the same scale."""
    turned: NDArray[np.float32] = (points.astype(np.float64) @ TO_GLTF / scale).astype(np.float32)
    return turned


def pose_to_gltf(pose: PoseMatrix) -> list[float]:
    """A camera's pose (camera_to_world, 4 rows of 4) in glTF's world, as glTF lists a matrix: column by column.

    glTF's cameras look down -z with y up as ours do, so that only the world turns.
    """
    x, y, z, last = pose
    return [row[column] for column in range(4) for row in (y, z, x, last)]

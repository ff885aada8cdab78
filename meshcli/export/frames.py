"""Coordinate frames of file formats: the only place that converts between our world and theirs.

Our world: z up, azimuth 0 (the front) on +x, right-handed. glTF and OBJ: y up, the front on +z, right-handed, 1 unit =
1 metre. The axes are permuted cyclically, (x, y, z) -> s (y, z, x), a rotation: never a mirror image.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from meshcli.arrays import Array, Float64Array
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


def pose_to_gltf(camera_to_world: PoseMatrix) -> Float64Array:
    """A camera's pose (4, 4) in glTF's world; its cameras look down -z with y up, as ours do."""
    pose = np.array(camera_to_world, np.float64)
    pose[:3] = TO_GLTF @ pose[:3]
    return pose


def quaternion(rotation: Array) -> list[float]:
    """A rotation (3, 3) as x, y, z, w with w not negative; the nearest rotation where it is slightly off one."""
    found: list[float] = Rotation.from_matrix(rotation).as_quat(canonical=True).tolist()
    return found

"""Coordinate frames of file formats: the only place that converts between our world and theirs.

Our world: z up, azimuth 0 (the front) on +x, right-handed. glTF and OBJ: y up, the front on +z, right-handed, 1 unit =
1 metre. The axes are permuted cyclically, (x, y, z) -> s (y, z, x), a rotation: never a mirror image.

USD: z up and our own axes, or y up and glTF's. Blender: z up, the front on -y, as its importer turns glTF: (x, y, z) of
ours -> (y, -x, z). OpenTrackIO: our own axes; a camera that is not turned looks along +y.

Unreal: z up, LEFT-handed, in centimetres. Its importers of glTF and OpenTrackIO exchange two axes, (x, y, z) of glTF ->
100 (x, z, y) (GLTFCore, ConversionUtilities.h: ConvertVec3) and (x, y, z) of OpenTrackIO -> 100 (y, x, z)
(LiveLinkOpenTrackIOConversions.h). Both are 100 (y, x, z) of ours: one mirror for the mesh and its cameras, which is
not seen, since the engine's own axes are mirrored too. A camera looks along its +x, +y is to its right, +z up.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from meshcli.arrays import Array, Float64Array
from meshcli.views.camera import PoseMatrix

Up = Literal["y", "z"]

TO_GLTF = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
TO_USD: dict[Up, Float64Array] = {"z": np.eye(3), "y": TO_GLTF}
TO_BLENDER = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
TO_UNREAL = 100.0 * np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


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
    return _turned_pose(camera_to_world, TO_GLTF)


def quaternion(rotation: Array) -> list[float]:
    """A rotation (3, 3) as x, y, z, w with w not negative; the nearest rotation where it is slightly off one."""
    found: list[float] = Rotation.from_matrix(rotation).as_quat(canonical=True).tolist()
    return found


def to_usd(points: Array, up: Up) -> NDArray[np.float32]:
    """Points or directions (N, 3) of a scene in USD's axes with this one up."""
    turned: NDArray[np.float32] = (points.astype(np.float64) @ TO_USD[up].T).astype(np.float32)
    return turned


def pose_to_usd(camera_to_world: PoseMatrix, up: Up) -> Float64Array:
    """A camera's pose (4, 4) in USD's axes; its cameras look down -z with y up, as ours do (UsdGeomCamera)."""
    return _turned_pose(camera_to_world, TO_USD[up])


def pose_to_blender(camera_to_world: PoseMatrix) -> Float64Array:
    """A camera's pose (4, 4) in Blender's world; its cameras look down -z with y up, as ours do."""
    return _turned_pose(camera_to_world, TO_BLENDER)


def to_unreal(points: Array) -> Float64Array:
    """Points (N, 3) of a scene in Unreal's world, in centimetres."""
    turned: Float64Array = points.astype(np.float64) @ TO_UNREAL.T
    return turned


def pose_to_unreal(camera_to_world: PoseMatrix) -> tuple[list[float], dict[str, float]]:
    """A camera's location in centimetres, and its rotator in degrees, in Unreal's world.

    Yaw turns from +x to +y, pitch raises the view, roll lowers the right side: in this order about the turned axes
    (Core, RotationTranslationMatrix.h). Straight up and down, yaw is 0 and roll is what is left.
    """
    pose = np.array(camera_to_world, np.float64)
    right, up, back = (TO_UNREAL @ pose[:3, column] / 100.0 for column in range(3))
    forward = -back
    level = math.hypot(forward[0], forward[1])
    yaw = math.atan2(forward[1], forward[0]) if level > 1e-9 else 0.0
    level_right = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
    roll = math.atan2(up @ level_right, right @ level_right)
    angles = {"pitch": math.atan2(forward[2], level), "yaw": yaw, "roll": roll}
    location: list[float] = (TO_UNREAL @ pose[:3, 3]).tolist()
    return location, {name: math.degrees(value) for name, value in angles.items()}


def pan_tilt_roll(camera_to_world: PoseMatrix) -> dict[str, float]:
    """A camera's rotation in degrees as OpenTrackIO states it: about z, then the turned x, then the turned y.

    The camera looks along +y and has +x to its right where all are 0; turns are right-handed (SMPTE RIS OSVP, camdkit
    1.0.1: "intrinsic and measured around the axes ZXY"). They are Unreal's but for the mirror, which turns pan around.
    """
    _, rotation = pose_to_unreal(camera_to_world)
    return {"pan": -rotation["yaw"], "tilt": rotation["pitch"], "roll": rotation["roll"]}


def _turned_pose(camera_to_world: PoseMatrix, turn: Float64Array) -> Float64Array:
    pose = np.array(camera_to_world, np.float64)
    pose[:3] = turn @ pose[:3]
    return pose

"""Similarities between a mesh's own frame and our world: turn, scale, shift, and perhaps a mirror image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from meshcli.arrays import Array, Float64Array


@dataclass(frozen=True)
class Similarity:
    """Takes a point p of the mesh to scale * axes @ p + shift in our world."""

    axes: Float64Array  # (3, 3), orthogonal; its determinant is -1 where the mesh is mirrored
    scale: float
    shift: Float64Array  # (3,) where the mesh's origin comes to lie

    @property
    def mirrored(self) -> bool:
        """Whether the mesh becomes its mirror image, so that its faces must be reversed."""
        return bool(np.linalg.det(self.axes) < 0.0)

    def apply(self, points: Array) -> Float64Array:
        """Points (N, 3) of the mesh in our world."""
        moved: Float64Array = self.scale * (points.astype(np.float64) @ self.axes.T) + self.shift
        return moved

    def moved(self, change: Array | Sequence[float]) -> Self:
        """A copy changed by (log of scale, shift x, y, z, turn about x, y, z in radians), about the mesh's origin."""
        numbers = np.asarray(change, np.float64)
        turn = Rotation.from_rotvec(numbers[4:7]).as_matrix()
        return type(self)(turn @ self.axes, self.scale * float(np.exp(numbers[0])), self.shift + numbers[1:4])

    def before(self, scale: float, centre: Array | Sequence[float]) -> Self:
        """The similarity of points whose scale * (p - centre) this one takes to our world."""
        return type(self)(
            self.axes, self.scale * scale, self.shift - self.scale * scale * self.axes @ np.asarray(centre)
        )


def angle_between(one: Array, other: Array) -> float:
    """Degrees of the turn between two sets of axes (3, 3) of the same handedness."""
    cosine = (float(np.trace(one.T @ other)) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

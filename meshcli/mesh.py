"""A triangle mesh with colours at its corners or a texture, in our world frame (z up)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Texture:
    """A picture wrapped around a mesh."""

    image: NDArray[np.uint8]  # (H, W, 3) sRGB, first row at the top
    coordinates: NDArray[np.float32]  # (T, 2) u to the right, v UP from the picture's bottom-left corner, in [0, 1]
    faces: NDArray[np.int32]  # (F, 3) rows of `coordinates`, corner by corner with the mesh's faces


@dataclass(frozen=True)
class Mesh:
    """Vertices, faces counter-clockwise seen from outside, and how they are coloured."""

    vertices: NDArray[np.float32]  # (V, 3)
    faces: NDArray[np.int32]  # (F, 3)
    colours: NDArray[np.uint8] | None = None  # (V, 3) sRGB
    texture: Texture | None = None

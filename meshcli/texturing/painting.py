"""Colours of single texels: the fine detail of the picture that their patch follows, with its offset."""

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, MIN_COSINE, BlendedColours
from meshcli.pictures.interpolation import adjacent_pixels, six_point
from meshcli.system.numba_kernel import kernel
from meshcli.texturing.atlas import TexelMap, texel_weights
from meshcli.texturing.levelling import Mixture
from meshcli.texturing.patches import Patches
from meshcli.texturing.picture_stack import (
    MAP,
    SHARP,
    PictureStack,
    project_point,
    unoccluded,
    view_cosine,
)

SHARPNESS = 3  # power of the feather's weights: a seam's transition takes half a patch


Arrays = tuple[Array, Array, Array]
PictureArrays = tuple[Array, Array, Array, Array, Array]  # cameras, layout, depth, feather, sharp


@dataclass(frozen=True)
class Painter:
    """Paints points of patches from pictures."""

    patches: Patches
    stack: PictureStack
    mixture: Mixture

    def paint_vertices(self) -> BlendedColours:
        """Colours of all vertices, and how well the pictures there see them."""
        faces, count = self.patches.faces, len(self.patches.vertices)
        _, first = np.unique(faces, return_index=True)
        values, weight = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
        _paint_corners(first, self._surface(), self._pictures(), self._mixed(), (values, weight))
        return BlendedColours(values, weight)

    def paint_texture(self, texels: TexelMap, filled: Array) -> NDArray[np.uint8]:
        """The image (size, size, 3); `filled` (V, 3) are the colours of the vertices where no picture sees them."""
        image = np.zeros((*texels.owner.shape, 3), np.uint8)
        _paint_texels(
            texels.owner, self.patches.corners, self._surface(), self._pictures(), self._mixed(),
            np.ascontiguousarray(filled, np.float32), image,
        )  # fmt: skip
        return image

    def _surface(self) -> Arrays:
        return self.patches.vertices, self.patches.faces, self.patches.normals

    def _pictures(self) -> PictureArrays:
        return self.stack.cameras, self.stack.layout, self.stack.depth, self.stack.feather, self.stack.sharp

    def _mixed(self) -> Arrays:
        return self.mixture.pictures, self.mixture.weights, self.mixture.offsets


@kernel()
def _sample(camera: Array, place: Array, image: Array, point: Array, colour: Array) -> bool:
    """Write the colour (3,) at a point (3,); whether the picture is opaque there.

    Six-point interpolation of colours times alpha; `place` (3,) is the layout.
    """
    start, height, width = place
    column, row, _ = project_point(camera, point, height, width)
    if not (0.0 <= column <= width and 0.0 <= row <= height):
        return False
    j, _, b = adjacent_pixels(column, width)
    i, _, a = adjacent_pixels(row, height)
    total = np.zeros(4)
    across = np.empty(6)
    for n in range(6):
        across[n] = six_point(n - 2 - b)
    for m in range(-2, 4):
        line = start + min(max(i + m, 0), height - 1) * width
        vertical = six_point(m - a)
        for n in range(6):
            at = line + min(max(j + n - 2, 0), width - 1)
            alpha = vertical * across[n] * image[at, 3]
            total[3] += alpha
            for k in range(3):
                total[k] += alpha * image[at, k]
    if total[3] < 128.0:
        return False
    for k in range(3):
        colour[k] = min(max(total[k] / total[3], 0.0), 255.0)
    return True


@kernel()
def _find_point(face: int, inside: Array, surface: Arrays, point: Array, normal: Array) -> None:
    """Write the place (3,) and the unit normal (3,) of barycentric weights (3,) on a patch, which start at 0."""
    vertices, faces, normals = surface
    squared = 0.0
    for k in range(3):
        for corner in range(3):
            point[k] += inside[corner] * vertices[faces[face, corner], k]
            normal[k] += inside[corner] * normals[faces[face, corner], k]
        squared += normal[k] * normal[k]
    for k in range(3):
        normal[k] /= max(np.sqrt(squared), 1e-9)


@kernel()
def _paint_point(
    face: int,
    inside: Array,
    surface: Arrays,
    pictures: PictureArrays,
    mixed: Arrays,
    colour: Array,
) -> float:
    """Write the colour (3,) of a point with barycentric weights (3,) on a patch; how well it is seen, 0 to 1."""
    cameras, layout, depth, feather, sharp = pictures
    numbers, weights, offsets = mixed
    point, normal, sample = np.zeros(3), np.zeros(3), np.empty(3)
    _find_point(face, inside, surface, point, normal)
    for k in range(3):
        colour[k] = 0.0
    total, seen, everything = 0.0, 0.0, 0.0
    for place in range(numbers.shape[1]):
        picture = numbers[face, place]
        if picture < 0:
            break
        share = 0.0
        for corner in range(3):
            share += min(max(inside[corner], 0.0), 1.0) * weights[face, place, corner]
        everything += share
        share = share**SHARPNESS
        cosine = view_cosine(cameras[picture], point, normal)
        if share < 1e-4 or cosine < MIN_COSINE:
            continue
        clear = unoccluded(cameras[picture], layout[MAP, picture], depth, feather, point)
        if clear <= 0.0 or not _sample(cameras[picture], layout[SHARP, picture], sharp, point, sample):
            continue
        total += share
        seen += share * cosine**4 * clear
        for k in range(3):
            for corner in range(3):
                sample[k] += inside[corner] * offsets[face, place, corner, k]
            colour[k] += share * sample[k]
    total = max(total, 1e-30)  # of pictures that do not see it
    for k in range(3):
        colour[k] /= total
    return min(everything, 1.0) * seen / total


@kernel(parallel=True)
def _paint_corners(
    first: Array,
    surface: Arrays,
    pictures: PictureArrays,
    mixed: Arrays,
    results: tuple[Array, Array],
) -> None:
    """Fill in colours (V, 3) and weights (V,); `first` (V,) are corners, face * 3 + corner, one at each vertex."""
    # Unpacked: numba's parallel loops take no tuples.
    vertices, faces, normals = surface
    cameras, layout, depth, feather, sharp = pictures
    numbers, shares, offsets = mixed
    values, weight = results
    for n in prange(len(first)):
        face, corner = first[n] // 3, first[n] % 3
        vertex = faces[face, corner]
        inside, colour = np.zeros(3), np.zeros(3)
        inside[corner] = 1.0
        weight[vertex] = _paint_point(
            face, inside, (vertices, faces, normals), (cameras, layout, depth, feather, sharp),
            (numbers, shares, offsets), colour,
        )  # fmt: skip
        for k in range(3):
            values[vertex, k] = colour[k]


@kernel(parallel=True)
def _paint_texels(
    owner: Array,
    corners: Array,
    surface: Arrays,
    pictures: PictureArrays,
    mixed: Arrays,
    filled: Array,
    image: Array,
) -> None:
    """Paint the texels (H, W, 3) that have an owner, fading into filled colours below CONFIDENT_WEIGHT."""
    # Unpacked: numba's parallel loops take no tuples.
    vertices, faces, normals = surface
    cameras, layout, depth, feather, sharp = pictures
    numbers, shares, offsets = mixed
    height, width = owner.shape
    for row in prange(height):
        inside, colour = np.empty(3), np.empty(3)
        for column in range(width):
            face = owner[row, column]
            if face < 0:
                continue
            texel_weights(corners[face], (column + 0.5) / width, 1.0 - (row + 0.5) / height, inside)
            seen = _paint_point(
                face, inside, (vertices, faces, normals), (cameras, layout, depth, feather, sharp),
                (numbers, shares, offsets), colour,
            )  # fmt: skip
            share = min(seen / CONFIDENT_WEIGHT, 1.0)
            weight = 0.0
            for corner in range(3):
                weight += min(max(inside[corner], 0.0), 1.0)
            for k in range(3):
                value = share * colour[k]
                if share < 1.0:
                    for corner in range(3):
                        part = min(max(inside[corner], 0.0), 1.0) / weight
                        value += (1.0 - share) * part * filled[faces[face, corner], k]
                image[row, column, k] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)

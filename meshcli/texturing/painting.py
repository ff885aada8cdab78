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
    SHARP,
    PictureStack,
    Point,
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


@kernel(inline=True)
def _sample(
    cameras: Array, layout: Array, image: Array, picture: int, point: Point, across: Array
) -> tuple[float, float, float, float]:  # fmt: skip
    """Colour and alpha of a picture at a point; alpha is 0 where the picture is not opaque there.

    Six-point interpolation of colours times alpha; `across` (6,) is room to work in.
    """
    start, height, width = layout[SHARP, picture, 0], layout[SHARP, picture, 1], layout[SHARP, picture, 2]
    column, row, _ = project_point(cameras, picture, point, height, width)
    if not (0.0 <= column <= width and 0.0 <= row <= height):
        return 0.0, 0.0, 0.0, 0.0
    j, _, b = adjacent_pixels(column, width)
    i, _, a = adjacent_pixels(row, height)
    for n in range(6):
        across[n] = six_point(n - 2 - b)
    red, green, blue, total = 0.0, 0.0, 0.0, 0.0
    for m in range(-2, 4):
        line = start + min(max(i + m, 0), height - 1) * width
        vertical = six_point(m - a)
        for n in range(6):
            at = line + min(max(j + n - 2, 0), width - 1)
            alpha = vertical * across[n] * image[at, 3]
            total += alpha
            red += alpha * image[at, 0]
            green += alpha * image[at, 1]
            blue += alpha * image[at, 2]
    if total < 128.0:
        return 0.0, 0.0, 0.0, 0.0
    share = 1.0 / total
    return (
        min(max(red * share, 0.0), 255.0), min(max(green * share, 0.0), 255.0), min(max(blue * share, 0.0), 255.0),
        total,
    )  # fmt: skip


@kernel(inline=True)
def _interpolated(face: int, inside: Array, values: Array, faces: Array) -> Point:
    """The values (V, 3) at a patch's corners, mixed by barycentric weights (3,)."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    return (
        inside[0] * values[a, 0] + inside[1] * values[b, 0] + inside[2] * values[c, 0],
        inside[0] * values[a, 1] + inside[1] * values[b, 1] + inside[2] * values[c, 1],
        inside[0] * values[a, 2] + inside[1] * values[b, 2] + inside[2] * values[c, 2],
    )  # fmt: skip


@kernel(inline=True)
def _paint_point(
    face: int, surface: Arrays, pictures: PictureArrays, mixed: Arrays, room: Arrays
) -> float:  # fmt: skip
    """Paint one point of a patch; how well it is seen, 0 to 1.

    `room`: barycentric weights (3,), the colour (3,) that is written, and six numbers to work in.
    """
    cameras, layout, depth, feather, sharp = pictures
    numbers, weights, offsets = mixed
    inside, colour, across = room
    point = _interpolated(face, inside, surface[0], surface[1])
    x, y, z = _interpolated(face, inside, surface[2], surface[1])
    length = max(np.sqrt(x * x + y * y + z * z), 1e-9)
    normal = x / length, y / length, z / length
    colour[:] = 0.0
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
        cosine = view_cosine(cameras, picture, point, normal)
        if share < 1e-4 or cosine < MIN_COSINE:
            continue
        clear = unoccluded(cameras, layout, depth, feather, picture, point)
        if clear <= 0.0:
            continue
        red, green, blue, alpha = _sample(cameras, layout, sharp, picture, point, across)
        if alpha <= 0.0:
            continue
        total += share
        seen += share * cosine**4 * clear
        for corner in range(3):
            red += inside[corner] * offsets[face, place, corner, 0]
            green += inside[corner] * offsets[face, place, corner, 1]
            blue += inside[corner] * offsets[face, place, corner, 2]
        colour[0] += share * red
        colour[1] += share * green
        colour[2] += share * blue
    total = max(total, 1e-30)  # of pictures that do not see it
    for k in range(3):
        colour[k] /= total
    return min(everything, 1.0) * seen / total


@kernel()
def _paint_corners(
    first: Array,
    surface: Arrays,
    pictures: PictureArrays,
    mixed: Arrays,
    results: tuple[Array, Array],
) -> None:
    """Fill in colours (V, 3) and weights (V,); `first` (V,) are corners, face * 3 + corner, one at each vertex."""
    values, weight = results
    inside, colour, across = np.zeros(3), np.zeros(3), np.empty(6)
    for n in range(len(first)):
        face, corner = first[n] // 3, first[n] % 3
        vertex = surface[1][face, corner]
        inside[:] = 0.0
        inside[corner] = 1.0
        weight[vertex] = _paint_point(face, surface, pictures, mixed, (inside, colour, across))
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
        inside, colour, across = np.empty(3), np.empty(3), np.empty(6)
        for column in range(width):
            face = owner[row, column]
            if face < 0:
                continue
            texel_weights(corners[face], (column + 0.5) / width, 1.0 - (row + 0.5) / height, inside)
            seen = _paint_point(
                face, (vertices, faces, normals), (cameras, layout, depth, feather, sharp), (numbers, shares, offsets),
                (inside, colour, across),
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

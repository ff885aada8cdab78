"""The UV atlas of a mesh: unwrapping, the texels of each face, and filling a texture texel by texel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xatlas
from numba import prange
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh
from meshcli.system.numba_kernel import kernel

# Faces (N,) and barycentric weights (N, 3) to sRGB colours (N, 3), 0 to 255
TexelColours = Callable[[Array, Array], Array]

GUTTER_WIDTH = 3  # texels around the charts that are coloured too, for bilinear lookup and the first mipmaps
NEIGHBOUR_ROWS, NEIGHBOUR_COLUMNS = (0, 0, -1, 1, -1, -1, 1, 1), (-1, 1, 0, 0, -1, 1, -1, 1)  # sides before corners
BACKGROUND = 255  # in TexelMap.ring
PACKING_SIZE = 1024  # texels: charts are packed for textures up to this size, larger ones scale the same layout
TEXELS_PER_CHUNK = 1 << 19  # some 100 MB of points, weights and colours
# Keeps the last atlas alive. xatlas stops its worker threads without a lock: a worker that is about to sleep misses the
# wake-up, and the destructor waits for it forever, deaf to signals. By the time the next atlas replaces it, all sleep.
LAST_ATLAS: list[xatlas.Atlas] = []


def unwrap(mesh: Mesh, size: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """UV unwrap without overlaps: coordinates (T, 2) in [0, 1], and rows of them for the faces' corners (F, 3)."""
    atlas = xatlas.Atlas()
    LAST_ATLAS[:] = [atlas]
    atlas.add_mesh(mesh.vertices, mesh.faces)
    packing = xatlas.PackOptions()
    packing.resolution = min(size, PACKING_SIZE)
    packing.padding = max(
        2, packing.resolution // 256
    )  # texels between charts: bilinear lookup and small mipmaps do not mix them
    packing.bilinear = True
    atlas.generate(xatlas.ChartOptions(), packing)
    _, rows, coordinates = atlas[0]
    return coordinates.astype(np.float32), rows.astype(np.int32)


@dataclass(frozen=True)
class TexelMap:
    """Which triangle each texel shows."""

    owner: NDArray[np.int32]  # (size, size) number of the closest triangle, -1 in the background
    ring: NDArray[np.uint8]  # (size, size) 0 in a chart, 1 to GUTTER_WIDTH around it, BACKGROUND


def map_texels(corners: Array, size: int) -> TexelMap:
    """The texels of triangles with UV coordinates `corners` (F, 3, 2) and of the gutter around the charts."""
    owner = np.full((size, size), -1, np.int32)
    _rasterise_charts(corners.astype(np.float64), owner)
    ring = np.where(owner >= 0, np.uint8(0), np.uint8(BACKGROUND))
    for distance in range(1, GUTTER_WIDTH + 1):
        _grow(owner, ring, distance)
    return TexelMap(owner, ring)


def fill_background(image: NDArray[np.uint8], texels: TexelMap) -> None:
    """Continue the charts' colours smoothly in the rest of the image (H, W, 3), in place.

    Each level of the mipmap is filled from the next one (pull-push, Gortler et al. 1996), so that every mipmap of the
    image is clean, and the image compresses well.
    """
    levels = [(image, texels.ring != BACKGROUND)]
    while max(levels[-1][1].shape) > 1 and not levels[-1][1].all():
        levels.append(_halved(*levels[-1]))
    for (coarse, _), (fine, known) in zip(levels[:0:-1], levels[-2::-1], strict=True):
        _push(coarse, fine, known)


def fill_texture(corners: Array, size: int, texel_colours: TexelColours) -> NDArray[np.uint8]:
    """The texture (size, size, 3), first row at the top; `corners` (F, 3, 2) are the UV coordinates of the faces."""
    texels = map_texels(corners, size)
    image = np.zeros((size, size, 3), np.uint8)
    rows = max(1, TEXELS_PER_CHUNK // size)
    for start in range(0, size, rows):
        owner = texels.owner[start : start + rows]
        wanted = np.flatnonzero(owner.reshape(-1) >= 0)
        faces = owner.reshape(-1)[wanted]
        colours = texel_colours(faces, barycentric(corners[faces], wanted + start * size, size))
        image[start : start + rows].reshape(-1, 3)[wanted] = np.rint(np.clip(colours, 0.0, 255.0))
    fill_background(image, texels)
    return image


def surface_points(mesh: Mesh, faces: Array, weights: Array) -> Array:
    """World points (N, 3) with barycentric weights (N, 3) on faces (N,)."""
    points: Array = (mesh.vertices[mesh.faces[faces]] * weights[..., None]).sum(axis=1)
    return points


@kernel()
def texel_weights(corners: Array, u: float, v: float, weights: Array) -> None:
    """Write the barycentric weights (3,) of a UV position in a triangle (3, 2); outside [0, 1] outside of it.

    Two texels beside a sliver may be many of its widths: it is extrapolated by one triangle at most, else the weights
    are clamped to its edge.
    """
    ax, ay, bx, by, cx, cy = (
        corners[0, 0], corners[0, 1], corners[1, 0], corners[1, 1], corners[2, 0], corners[2, 1]
    )  # fmt: skip
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if abs(area) < 1e-14:
        area = 1e-14
    weights[1] = ((u - ax) * (cy - ay) - (cx - ax) * (v - ay)) / area
    weights[2] = ((bx - ax) * (v - ay) - (u - ax) * (by - ay)) / area
    weights[0] = 1.0 - weights[1] - weights[2]
    if weights.min() < -1.0 or weights.max() > 2.0:
        total = 0.0
        for k in range(3):
            weights[k] = min(max(weights[k], 0.0), 1.0)
            total += weights[k]
        weights /= total


@kernel(parallel=True)
def barycentric(corners: Array, texels: Array, size: int) -> Array:
    """Barycentric weights (N, 3) of the centres of texels (row * size + column) in triangles (N, 3, 2)."""
    weights = np.empty((len(texels), 3))
    for n in prange(len(texels)):
        texel_weights(corners[n], (texels[n] % size + 0.5) / size, 1.0 - (texels[n] // size + 0.5) / size, weights[n])
    return weights


@kernel()
def _rasterise_charts(corners: Array, owner: Array) -> None:
    """Write each face's number into the texels (H, W) whose centres its UV triangle covers."""
    height, width = owner.shape
    for face in range(len(corners)):
        ax, ay = corners[face, 0, 0] * width - 0.5, (1.0 - corners[face, 0, 1]) * height - 0.5
        bx, by = corners[face, 1, 0] * width - 0.5, (1.0 - corners[face, 1, 1]) * height - 0.5
        cx, cy = corners[face, 2, 0] * width - 0.5, (1.0 - corners[face, 2, 1]) * height - 0.5
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        for row in range(max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(max(ay, by, cy))) + 1):
            for column in range(max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(max(ax, bx, cx))) + 1):
                second = ((column - ax) * (cy - ay) - (cx - ax) * (row - ay)) / area
                third = ((bx - ax) * (row - ay) - (column - ax) * (by - ay)) / area
                if second >= 0.0 and third >= 0.0 and second + third <= 1.0:
                    owner[row, column] = face


@kernel(parallel=True)
def _grow(owner: Array, ring: Array, distance: int) -> None:
    """Give each background texel (H, W) the owner of a neighbour closer than `distance`, in place."""
    height, width = owner.shape
    for row in prange(height):
        for column in range(width):
            if ring[row, column] != BACKGROUND:
                continue
            for k in range(8):
                i, j = row + NEIGHBOUR_ROWS[k], column + NEIGHBOUR_COLUMNS[k]
                # Texels of this very distance do not count, so the order of the rows does not matter.
                if 0 <= i < height and 0 <= j < width and ring[i, j] < distance:
                    owner[row, column] = owner[i, j]
                    ring[row, column] = distance
                    break


@kernel(parallel=True)
def _halved(image: Array, known: Array) -> tuple[Array, Array]:
    """The next mipmap, and which of its texels have any known one: averages of 2 x 2 known texels."""
    height, width = known.shape
    size = (height + 1) // 2, (width + 1) // 2
    half, any_known = np.zeros((size[0], size[1], 3), np.uint8), np.zeros(size, np.bool_)
    for row in prange(size[0]):
        for column in range(size[1]):
            total, count = np.zeros(3), 0
            for i in range(2 * row, min(2 * row + 2, height)):
                for j in range(2 * column, min(2 * column + 2, width)):
                    if known[i, j]:
                        count += 1
                        for k in range(3):
                            total[k] += image[i, j, k]
            if count:
                any_known[row, column] = True
                for k in range(3):
                    half[row, column, k] = np.uint8(total[k] / count + 0.5)
    return half, any_known


@kernel(parallel=True)
def _push(coarse: Array, fine: Array, known: Array) -> None:
    """Give unknown texels of a mipmap the colour of the next one, in place."""
    for row in prange(fine.shape[0]):
        for column in range(fine.shape[1]):
            if not known[row, column]:
                for k in range(3):
                    fine[row, column, k] = coarse[row // 2, column // 2, k]

"""The UV atlas of a mesh: unwrapping, the texels of each face, and filling a texture texel by texel."""

from collections.abc import Callable

import numpy as np
import xatlas
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh
from meshcli.system.numba_kernel import kernel

# Faces (N,) and barycentric weights (N, 3) to sRGB colours (N, 3), 0 to 255
TexelColours = Callable[[Array, Array], Array]

GUTTER_WIDTH = 3.0  # texels around the charts that are coloured too, for bilinear lookup and the first mipmaps
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
    packing.resolution = size
    packing.padding = max(2, size // 256)  # texels between charts: bilinear lookup and small mipmaps do not mix them
    packing.bilinear = True
    atlas.generate(xatlas.ChartOptions(), packing)
    _, rows, coordinates = atlas[0]
    return coordinates.astype(np.float32), rows.astype(np.int32)


def fill_texture(corners: Array, size: int, texel_colours: TexelColours) -> NDArray[np.uint8]:
    """The texture (size, size, 3), first row at the top; `corners` (F, 3, 2) are the UV coordinates of the faces."""
    owner = np.full((size, size), -1, np.int32)
    _rasterise_charts(corners.astype(np.float64), owner)
    distance, nearest = distance_transform_edt(owner < 0, return_indices=True)
    owner = owner[tuple(nearest)]  # the closest face of every texel
    wanted = np.flatnonzero(distance.reshape(-1) <= GUTTER_WIDTH)
    image = np.zeros((size * size, 3), np.float32)
    seen = np.zeros(size * size, np.bool_)
    for start in range(0, len(wanted), TEXELS_PER_CHUNK):
        texels = wanted[start : start + TEXELS_PER_CHUNK]
        faces = owner.reshape(-1)[texels]
        image[texels] = texel_colours(faces, barycentric(corners[faces], texels, size))
        seen[texels] = True
    # The background repeats the nearest texel, so that mipmaps stay clean.
    nearest = distance_transform_edt(~seen.reshape(size, size), return_distances=False, return_indices=True)
    whole = np.rint(image.clip(0.0, 255.0)).astype(np.uint8).reshape(size, size, 3)
    result: NDArray[np.uint8] = whole[tuple(nearest)]
    return result


def surface_points(mesh: Mesh, faces: Array, weights: Array) -> Array:
    """World points (N, 3) with barycentric weights (N, 3) on faces (N,)."""
    points: Array = (mesh.vertices[mesh.faces[faces]] * weights[..., None]).sum(axis=1)
    return points


def barycentric(corners: Array, texels: Array, size: int) -> Array:
    """Barycentric weights (N, 3) of the texels' centres in triangles (N, 3, 2); outside [0, 1] outside a triangle."""
    at = np.stack([(texels % size + 0.5) / size, 1.0 - (texels // size + 0.5) / size], axis=-1)
    a, b, c = (corners[:, k].astype(np.float64) for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    second = ((at[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (at[:, 1] - a[:, 1])) / area
    third = ((b[:, 0] - a[:, 0]) * (at[:, 1] - a[:, 1]) - (at[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
    weights = np.stack([1.0 - second - third, second, third], axis=-1)
    # Two texels beside a sliver may be many of its widths: extrapolate by one triangle at most, else stay on its edge.
    far = np.abs(weights - 0.5).max(axis=1, keepdims=True) > 1.5
    return np.where(far, clamped(weights), weights)


def clamped(weights: Array) -> Array:
    """Weights (N, 3) clamped into the triangle."""
    inside = weights.clip(0.0, 1.0)
    result: Array = inside / inside.sum(axis=1, keepdims=True)
    return result


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

"""Pictures of different sizes, prepared for baking: what each shows at points of a surface, and how well it sees them.

Everything but the finest detail is compared at one scale of the world, so that a photo of 2,048 pixels and a view of
320 are treated alike: each picture has a soft copy with pixels of SOFT_PIXEL, a depth map and a feather map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from meshcli.arrays import Array
from meshcli.meshes.colouring import DEPTH_EDGE, EDGE_WEIGHT, FEATHER_WIDTH, MIN_COSINE
from meshcli.meshes.depth_maps import depth_edges, depth_map
from meshcli.pictures.image import resize, resize_floats
from meshcli.pictures.interpolation import adjacent_pixels
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import DISTANCE, FOV
from meshcli.views.projection import world_to_camera
from meshcli.views.view import View

# World units. A view of VIEW_SIZE has pixels of this size at the object: the finest scale that all pictures share.
SOFT_PIXEL = 2.0 * DISTANCE * float(np.tan(np.radians(FOV / 2.0))) / VIEW_SIZE
SOFT_SIGMA = 1.0  # soft pixels: of the Gaussian that keeps samples as far apart as patches are from aliasing
DEPTH_PIXEL = SOFT_PIXEL / 2.0
MAX_DEPTH_SIDE = 2048  # pixels of a depth map, so that cameras very close to the object do not fill the memory
# World units that a point may lie behind the depth map: it is that of the pixels around, and surfaces are uneven.
DEPTH_TOLERANCE = 0.008
OVERSAMPLING = 1.25  # pixels per texel that pictures are reduced to: more would alias, less would blur
SHARP, SOFT, MAP = 0, 1, 2
Point = tuple[float, float, float]  # x, y, z: compiled loops make no arrays of it
QUALITY_POWER = 2  # of the cosine in the quality: the resolution along the direction that the picture foreshortens


@dataclass(frozen=True)
class PictureStack:
    """Pictures with their cameras, as arrays for compiled loops."""

    cameras: NDArray[np.float64]  # (P, 19) world to camera row by row, position, fx, fy, cx, cy as fractions
    # Rasters of different sizes, each kind in one array: layout[kind, i] is the start, height and width of number i.
    layout: NDArray[np.int64]  # (3, P, 3) by kind: SHARP, SOFT, MAP
    sharp: NDArray[np.uint8]  # (N, 4) RGBA, straight alpha
    soft: NDArray[np.float32]  # (N, 4) RGBA, premultiplied, 0 to 255
    depth: NDArray[np.float32]  # (N,) a map, along the viewing direction; infinite off the surface
    feather: NDArray[np.uint8]  # (N,) a map, 255 away from silhouettes and depth edges, 0 off the surface
    density: NDArray[np.float64]  # (P,) pixels per unit at depth 1, no more than the texture's texels
    trust: NDArray[np.float64]  # (P,)


@dataclass(frozen=True)
class Looks:
    """What P pictures show of N points."""

    seen: NDArray[np.float32]  # (N, P) cos^4 of the view angle x feather; 0 where the picture does not see the point
    quality: NDArray[np.float32]  # (N, P) (pixels per unit)^2 of the foreshortened direction x feather x trust
    colours: NDArray[np.uint8]  # (N, P, 3) of the soft pictures


def stack_pictures(
    pictures: Sequence[View], vertices: Array, faces: Array, texel_density: float, trust: Sequence[float]
) -> PictureStack:
    """Prepare pictures of a mesh for a texture of `texel_density` texels per world unit."""
    cameras, sharp, soft, depths, feathers, densities = [], [], [], [], [], []
    for picture in pictures:
        camera = picture.camera
        pose = world_to_camera(camera)[:3]
        numbers = np.concatenate([pose.reshape(-1), camera.position, (camera.fx, camera.fy, camera.cx, camera.cy)])
        far = -(pose[2, :3] @ vertices.mean(axis=0) + pose[2, 3])
        pixels_per_unit = camera.fy * picture.height / max(far, 1e-3)
        size = _scaled(picture, 1.0 / DEPTH_PIXEL / pixels_per_unit, MAX_DEPTH_SIDE)
        depth = depth_map(vertices, faces, camera, size[1], size[0])
        pixels = picture.pixels
        if pixels_per_unit > OVERSAMPLING**2 * texel_density:
            height, width = _scaled(picture, OVERSAMPLING * texel_density / pixels_per_unit)
            pixels = resize(pixels, width, height)
        densities.append(min(camera.fy * picture.height, texel_density * max(far, 1e-3)))
        sharp.append(pixels)
        soft.append(_soft(picture, min(1.0, 1.0 / SOFT_PIXEL / pixels_per_unit)))
        feathers.append(_feather(depth, soft[-1][..., 3], far, camera.fy * size[0]))
        depths.append(depth)
        cameras.append(numbers)
    return PictureStack(
        np.array(cameras), np.stack([_layout(kind) for kind in (sharp, soft, depths)]), _joined(sharp), _joined(soft),
        _joined(depths), _joined(feathers), np.array(densities), np.asarray(trust, np.float64),
    )  # fmt: skip


def look(stack: PictureStack, points: Array, normals: Array, flat_normals: Array) -> Looks:
    """What all pictures show of points (N, 3) with smoothed and with true unit normals (N, 3)."""
    count = len(points), len(stack.cameras)
    seen, quality = np.zeros(count, np.float32), np.zeros(count, np.float32)
    colours = np.zeros((*count, 3), np.uint8)
    _look(
        (points, normals, flat_normals), (stack.cameras, stack.layout, stack.depth, stack.feather, stack.soft),
        stack.density * SOFT_PIXEL, stack.trust, (seen, quality, colours),
    )  # fmt: skip
    return Looks(seen, quality, colours)


def _layout(rasters: Sequence[Array]) -> NDArray[np.int64]:
    """Start, height and width (P, 3) of rasters (H, W, ...) one after the other."""
    sizes = np.array([raster.shape[:2] for raster in rasters], np.int64)
    ends = np.cumsum(sizes.prod(axis=1))
    return np.column_stack([ends - sizes.prod(axis=1), sizes])


def _joined(rasters: Sequence[Array]) -> Array:
    """Rasters (H, W, ...) as one array of pixels (N, ...)."""
    return np.concatenate([raster.reshape(-1, *raster.shape[2:]) for raster in rasters])


def _scaled(picture: View, scale: float, limit: int = 1 << 20) -> tuple[int, int]:
    """Height and width of the picture scaled, and its longer side limited."""
    scale = min(scale, limit / max(picture.height, picture.width))
    return max(1, round(picture.height * scale)), max(1, round(picture.width * scale))


def _soft(picture: View, scale: float) -> Array:
    """The picture at the common scale, premultiplied (H, W, 4)."""
    values = picture.pixels.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255.0
    height, width = _scaled(picture, scale)
    if (height, width) != picture.pixels.shape[:2]:
        values = resize_floats(values, width, height).clip(0.0, 255.0)
    return gaussian_filter(values, (SOFT_SIGMA, SOFT_SIGMA, 0.0))


def _feather(depth: Array, alpha: Array, far: float, focal: float) -> NDArray[np.uint8]:
    """Weight of every pixel of the depth map by its distance from silhouettes and depth edges."""
    surface = np.isfinite(depth)
    edge = ~surface | depth_edges(depth, np.full(depth.shape, DEPTH_EDGE * far / focal, np.float32))
    rows, columns = (
        np.minimum((np.arange(count) + 0.5) / count * size, size - 1).astype(np.int64)
        for count, size in zip(depth.shape, alpha.shape, strict=True)
    )
    edge |= alpha[rows][:, columns] < 128.0
    distance = distance_transform_edt(np.pad(~edge, 1))[1:-1, 1:-1]
    width = FEATHER_WIDTH * SOFT_PIXEL * focal / far
    feather = np.maximum(np.minimum(distance / width, 1.0) ** 2, np.where(surface, EDGE_WEIGHT, 0.0))
    result: NDArray[np.uint8] = np.ceil(feather * 255.0).astype(np.uint8)
    return result


@kernel(inline=True)
def project_point(cameras: Array, i: int, point: Point, height: int, width: int) -> tuple[float, float, float]:
    """Column, row and depth of a point in a raster of picture i; the depth is at least 1e-9."""
    x, y, z = point
    right = cameras[i, 0] * x + cameras[i, 1] * y + cameras[i, 2] * z + cameras[i, 3]
    up = cameras[i, 4] * x + cameras[i, 5] * y + cameras[i, 6] * z + cameras[i, 7]
    away = max(-(cameras[i, 8] * x + cameras[i, 9] * y + cameras[i, 10] * z + cameras[i, 11]), 1e-9)
    column = (cameras[i, 17] + cameras[i, 15] * right / away) * width
    return column, (cameras[i, 18] - cameras[i, 16] * up / away) * height, away


@kernel(inline=True)
def view_cosine(cameras: Array, i: int, point: Point, normal: Point) -> float:
    """Cosine between a normal and the direction to the camera of picture i."""
    x, y, z = cameras[i, 12] - point[0], cameras[i, 13] - point[1], cameras[i, 14] - point[2]
    result: float = (x * normal[0] + y * normal[1] + z * normal[2]) / np.sqrt(x * x + y * y + z * z)
    return result


@kernel(inline=True)
def unoccluded(cameras: Array, layout: Array, depth: Array, feather: Array, i: int, point: Point) -> float:
    """The feather, 0 to 1, at a point that picture i sees; 0 where it lies outside or behind something."""
    start, height, width = layout[MAP, i, 0], layout[MAP, i, 1], layout[MAP, i, 2]
    column, row, z = project_point(cameras, i, point, height, width)
    if z < 1e-3 or not (0.0 <= column <= width and 0.0 <= row <= height):
        return 0.0
    j, right, b = adjacent_pixels(column, width)
    k, below, a = adjacent_pixels(row, height)
    first, second = start + k * width, start + below * width
    if z > max(depth[first + j], depth[first + right], depth[second + j], depth[second + right]) + DEPTH_TOLERANCE:
        return 0.0
    upper = (1.0 - b) * feather[first + j] + b * feather[first + right]
    lower = (1.0 - b) * feather[second + j] + b * feather[second + right]
    clear: float = ((1.0 - a) * upper + a * lower) / 255.0
    return clear


@kernel(parallel=True)
def _look(
    surface: tuple[Array, Array, Array],
    views: tuple[Array, Array, Array, Array, Array],
    density: Array,
    trust: Array,
    results: tuple[Array, Array, Array],
) -> None:
    """Fill in the arrays of Looks."""
    points, normals, flat_normals = surface
    cameras, layout, depth, feather, image = views
    seen, quality, colours = results
    for p in prange(len(points)):
        point = points[p, 0], points[p, 1], points[p, 2]
        normal = normals[p, 0], normals[p, 1], normals[p, 2]
        flat_normal = flat_normals[p, 0], flat_normals[p, 1], flat_normals[p, 2]
        pixel = np.empty(4)
        for i in range(len(cameras)):
            cosine = view_cosine(cameras, i, point, normal)
            if cosine < MIN_COSINE or view_cosine(cameras, i, point, flat_normal) <= 0.0:
                continue
            weight = unoccluded(cameras, layout, depth, feather, i, point)
            if weight <= 0.0:
                continue
            start, height, width = layout[SOFT, i, 0], layout[SOFT, i, 1], layout[SOFT, i, 2]
            column, row, z = project_point(cameras, i, point, height, width)
            j, right, b = adjacent_pixels(column, width)
            k, below, a = adjacent_pixels(row, height)
            first, second = start + k * width, start + below * width
            for channel in range(4):
                upper = (1.0 - b) * image[first + j, channel] + b * image[first + right, channel]
                lower = (1.0 - b) * image[second + j, channel] + b * image[second + right, channel]
                pixel[channel] = (1.0 - a) * upper + a * lower
            if pixel[3] < 128.0:
                continue
            seen[p, i] = cosine**4 * weight
            quality[p, i] = cosine**QUALITY_POWER * weight * (density[i] / z) ** 2 * trust[i]
            for channel in range(3):
                colours[p, i, channel] = np.uint8(min(pixel[channel] * 255.0 / pixel[3], 255.0) + 0.5)

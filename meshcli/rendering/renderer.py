"""Pictures of meshes by ray casting, with colours interpolated in the triangles that are hit.

Colours are sRGB values and averaged as such, as everywhere in meshcli.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numba
import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import PLAIN_GREY, Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.interpolation import bilinear
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.rasteriser import Rasteriser
from meshcli.system.numba_kernel import kernel
from meshcli.views import projection
from meshcli.views.camera import Camera

SurfaceColours = tuple[Array, Array, Array]  # corner colours (F, 3, 3), corner UV coordinates (F, 3, 2), texture

RAYS_PER_CHUNK = 1 << 18  # about 15 MB
BLOCK_SIZE = 8  # pixels: side of the blocks that are rendered if a triangle's box reaches them, else skipped
MAX_CONTRAST = 20.0  # of 255, by eye: a pixel whose first samples differ by more gets all samples
MIN_DEPTH = 1e-6  # of a vertex in front of the camera, world units


class Renderer:
    """Renders one mesh from any number of cameras."""

    def __init__(self, mesh: Mesh, rasteriser: Rasteriser | None = None) -> None:
        self.mesh = mesh
        self._rasteriser = rasteriser
        self._scene = Scene(mesh.vertices, mesh.faces)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        self._colours, self._coordinates, self._texture = self._surface_colours()

    def render(
        self,
        camera: Camera,
        width: int,
        height: int,
        samples: int = 3,
        adaptive: bool = False,
        threads: int | None = None,
    ) -> Pixels:
        """RGBA with straight alpha (height, width, 4), white where nothing is hit.

        `samples` x `samples` rays per pixel; `adaptive`: 2 x 2, and all of them only where these four differ.
        """
        picture = np.full((height, width, 4), (255, 255, 255, 0), np.uint8)
        candidates = self._candidate_pixels(camera, width, height)
        first = min(samples, 2) if adaptive else samples
        unsettled = [
            part[self._render_pixels(picture, part, camera, first, threads)] for part in _in_chunks(candidates, first)
        ]
        if first < samples and unsettled:
            for part in _in_chunks(np.concatenate(unsettled), samples):
                self._render_pixels(picture, part, camera, samples, threads)
        return picture

    def frames(
        self, cameras: Iterable[Camera], width: int, height: int, samples: int = 3, adaptive: bool = True
    ) -> Iterator[Pixels]:
        """One picture per camera, in order, rendered in parallel; at most one finished picture per thread waits."""
        workers = numba.get_num_threads()
        source = iter(cameras)
        with ThreadPoolExecutor(workers) as pool:

            def submit(camera: Camera) -> Future[Pixels]:
                return pool.submit(self.render, camera, width, height, samples, adaptive, 1)

            pending = [submit(camera) for camera in islice(source, workers + 1)]
            while pending:
                yield pending.pop(0).result()
                pending.extend(submit(camera) for camera in islice(source, 1))

    def _surface_colours(self) -> SurfaceColours:
        """Corner colours (F, 3, 3), or UV coordinates (F, 3, 2) and a texture; the others are empty."""
        texture, colours = self.mesh.texture, self.mesh.colours
        count = len(self.mesh.faces)
        untextured = np.zeros((0, 3, 2), np.float32), np.zeros((0, 0, 3), np.uint8)
        if texture is not None:
            corners = texture.coordinates[texture.faces].astype(np.float32)
            return np.zeros((0, 3, 3), np.uint8), corners, np.ascontiguousarray(texture.image)
        if colours is not None:
            return np.ascontiguousarray(colours[self.mesh.faces]), *untextured
        return np.full((count, 3, 3), PLAIN_GREY, np.uint8), *untextured

    def _candidate_pixels(self, camera: Camera, width: int, height: int) -> Array:
        """The pixels (row * width + column) that the mesh may cover, in order."""
        if not len(self.mesh.faces):
            return np.zeros(0, np.int64)
        positions, depth = projection.project(camera, self.mesh.vertices.astype(np.float64), width, height)
        blocks = np.zeros((-(-height // BLOCK_SIZE), -(-width // BLOCK_SIZE)), np.bool_)
        if depth.min() <= MIN_DEPTH:
            blocks[:] = True  # vertices behind the camera have no position in the picture
        else:
            _mark_blocks(positions, self._faces, blocks)
        pixels = blocks.repeat(BLOCK_SIZE, axis=0).repeat(BLOCK_SIZE, axis=1)[:height, :width]
        return np.flatnonzero(pixels)

    def _render_pixels(
        self, picture: Pixels, pixels: Array, camera: Camera, samples: int, threads: int | None
    ) -> NDArray[np.bool_]:
        """Render pixels (row * width + column) into the picture; which of them need more samples."""
        height, width = picture.shape[:2]
        pose = projection.camera_to_world(camera)
        intrinsics = np.array([camera.fx * width, camera.fy * height, camera.cx * width, camera.cy * height])
        directions = _pixel_directions(pixels, width, samples, pose[:3, :3], intrinsics)
        if self._rasteriser and self._rasteriser.fits(width, height, samples):
            hits = self._rasteriser.rasterise(camera, width, height, pixels, samples)
        else:
            hits = self._scene.cast(pose[:3, 3], directions, threads)
        surface = self._colours, self._coordinates, self._texture
        contrasting: NDArray[np.bool_] = _average_samples(
            picture.reshape(-1, 4), pixels, samples**2, hits.faces, hits.barycentric, surface
        )
        return contrasting


def _in_chunks(pixels: Array, samples: int) -> Iterator[Array]:
    """Parts of `pixels` of at most RAYS_PER_CHUNK rays."""
    size = max(1, RAYS_PER_CHUNK // samples**2)
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


@kernel()
def _mark_blocks(positions: Array, faces: Array, blocks: Array) -> None:
    """Mark the blocks that the faces' bounding boxes reach, a pixel wider; `positions` (V, 2) in pixels."""
    rows, columns = blocks.shape
    for face in range(len(faces)):
        a, b, c = positions[faces[face, 0]], positions[faces[face, 1]], positions[faces[face, 2]]
        left, right = min(a[0], b[0], c[0]) - 1.0, max(a[0], b[0], c[0]) + 1.0
        top, bottom = min(a[1], b[1], c[1]) - 1.0, max(a[1], b[1], c[1]) + 1.0
        if right < 0.0 or bottom < 0.0 or left >= columns * BLOCK_SIZE or top >= rows * BLOCK_SIZE:
            continue
        for row in range(int(max(top, 0.0)) // BLOCK_SIZE, min(int(bottom) // BLOCK_SIZE, rows - 1) + 1):
            for column in range(int(max(left, 0.0)) // BLOCK_SIZE, min(int(right) // BLOCK_SIZE, columns - 1) + 1):
                blocks[row, column] = True


@kernel()
def _pixel_directions(pixels: Array, width: int, samples: int, rotation: Array, intrinsics: Array) -> Array:
    """Ray directions (P * samples^2, 3) on a regular grid in every pixel, depth 1 along the viewing direction."""
    result = np.empty((len(pixels) * samples * samples, 3), np.float32)
    n = 0
    for pixel in pixels:
        row, column = pixel // width, pixel % width
        for i in range(samples):
            y = -(row + (i + 0.5) / samples - intrinsics[3]) / intrinsics[1]
            for j in range(samples):
                x = (column + (j + 0.5) / samples - intrinsics[2]) / intrinsics[0]
                for k in range(3):
                    result[n, k] = rotation[k, 0] * x + rotation[k, 1] * y - rotation[k, 2]
                n += 1
    return result


@kernel()
def _interpolate_colour(colour: Array, weights: Array, face: int, surface: SurfaceColours) -> None:
    """Write the surface's colour at a point of a face into `colour` (3,)."""
    colours, coordinates, texture = surface
    a, b, c = weights
    if len(coordinates):
        uv = coordinates[face]
        u = a * uv[0, 0] + b * uv[1, 0] + c * uv[2, 0]
        v = a * uv[0, 1] + b * uv[1, 1] + c * uv[2, 1]
        height, width = texture.shape[:2]
        for k in range(3):
            colour[k] = bilinear(texture[:, :, k], u * width, (1.0 - v) * height)
    else:
        for k in range(3):
            colour[k] = a * colours[face, 0, k] + b * colours[face, 1, k] + c * colours[face, 2, k]


@kernel()
def _average_samples(
    picture: Array,
    pixels: Array,
    samples: int,
    faces: Array,
    weights: Array,
    surface: SurfaceColours,
) -> Array:
    """Average each pixel's samples into the picture; True where they differ or cover the pixel only in part."""
    contrasting = np.zeros(len(pixels), np.bool_)
    total, low, high = np.empty(3), np.empty(3), np.empty(3)
    colour = np.empty(3)
    for p in range(len(pixels)):
        total[:], low[:], high[:] = 0.0, 1e9, -1e9
        hit = 0
        for n in range(p * samples, (p + 1) * samples):
            face = faces[n]
            if face < 0:
                continue
            hit += 1
            _interpolate_colour(colour, weights[n], face, surface)
            for k in range(3):
                value = min(colour[k], 255.0)
                total[k] += value
                low[k], high[k] = min(low[k], value), max(high[k], value)
        if hit:
            for k in range(3):
                picture[pixels[p], k] = np.uint8(total[k] / hit + 0.5)
            picture[pixels[p], 3] = np.uint8(255.0 * hit / samples + 0.5)
            contrast = max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
            contrasting[p] = hit < samples or contrast > MAX_CONTRAST
    return contrasting

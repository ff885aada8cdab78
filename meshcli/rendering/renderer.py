"""Pictures of meshes: rays into every pixel, colours interpolated in the triangles they meet.

Colours are sRGB values throughout and are averaged as such, as everywhere in meshcli.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numba
import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.rasteriser import Rasteriser
from meshcli.system.numba_kernel import kernel
from meshcli.views import projection
from meshcli.views.camera import Camera

Paint = tuple[Array, Array, Array]  # corner colours (F, 3, 3), corner texture coordinates (F, 3, 2), texture

CHUNK = 1 << 18  # rays alive at once: about 15 MB
BLOCK = 8  # pixels: side of the squares that are searched for the mesh or skipped
CONTRAST = 20.0  # of 255: a pixel whose samples differ by more deserves more samples


class Renderer:
    """A mesh made ready for pictures: one for many frames."""

    def __init__(self, mesh: Mesh, rasteriser: Rasteriser | None = None) -> None:
        self.mesh = mesh
        self._rasteriser = rasteriser
        self._scene = Scene(mesh.vertices, mesh.faces)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        self._colours, self._coordinates, self._texture = self._paint()

    def render(
        self,
        camera: Camera,
        width: int,
        height: int,
        samples: int = 3,
        adaptive: bool = False,
        threads: int | None = None,
    ) -> Pixels:
        """RGBA with straight alpha (height, width, 4), white where nothing is seen.

        `samples` x `samples` rays in every pixel; `adaptive`: 2 x 2, and all of them only where these four differ.
        """
        picture = np.full((height, width, 4), (255, 255, 255, 0), np.uint8)
        touched = self._touched(camera, width, height)
        first = min(samples, 2) if adaptive else samples
        unsettled = [part[self._fill(picture, part, camera, first, threads)] for part in _parts(touched, first)]
        if first < samples and unsettled:
            for part in _parts(np.concatenate(unsettled), samples):
                self._fill(picture, part, camera, samples, threads)
        return picture

    def frames(
        self, cameras: Iterable[Camera], width: int, height: int, samples: int = 3, adaptive: bool = True
    ) -> Iterator[Pixels]:
        """One picture per camera, in order, several at work at a time but never many waiting."""
        workers = numba.get_num_threads()
        source = iter(cameras)
        with ThreadPoolExecutor(workers) as pool:

            def begin(camera: Camera) -> Future[Pixels]:
                return pool.submit(self.render, camera, width, height, samples, adaptive, 1)

            waiting = [begin(camera) for camera in islice(source, workers + 1)]
            while waiting:
                yield waiting.pop(0).result()
                waiting.extend(begin(camera) for camera in islice(source, 1))

    def _paint(self) -> Paint:
        """Corner colours (F, 3, 3), or texture coordinates (F, 3, 2) and their picture; the other is empty."""
        texture, colours = self.mesh.texture, self.mesh.colours
        count = len(self.mesh.faces)
        nothing = np.zeros((0, 3, 2), np.float32), np.zeros((0, 0, 3), np.uint8)
        if texture is not None:
            corners = texture.coordinates[texture.faces].astype(np.float32)
            return np.zeros((0, 3, 3), np.uint8), corners, np.ascontiguousarray(texture.image)
        if colours is not None:
            return np.ascontiguousarray(colours[self.mesh.faces]), *nothing
        return np.full((count, 3, 3), 200, np.uint8), *nothing

    def _touched(self, camera: Camera, width: int, height: int) -> Array:
        """The numbers (row * width + column) of the pixels that the mesh may touch, in order."""
        if not len(self.mesh.faces):
            return np.zeros(0, np.int64)
        spots, depth = projection.project(camera, self.mesh.vertices.astype(np.float64), width, height)
        blocks = np.zeros((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
        if depth.min() <= 1e-6:
            blocks[:] = True  # positions of what lies behind the camera mean nothing
        else:
            _mark(spots, self._faces, blocks)
        pixels = blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[:height, :width]
        return np.flatnonzero(pixels)

    def _fill(
        self, picture: Pixels, pixels: Array, camera: Camera, samples: int, threads: int | None
    ) -> NDArray[np.bool_]:
        """Render these pixels (numbers row * width + column) into the picture; which of them need more samples."""
        height, width = picture.shape[:2]
        pose = projection.camera_to_world(camera)
        lens = np.array([camera.fx * width, camera.fy * height, camera.cx * width, camera.cy * height])
        directions = _directions(pixels, width, samples, pose[:3, :3], lens)
        if self._rasteriser and self._rasteriser.takes(width, height, samples):
            hits = self._rasteriser.see(camera, width, height, pixels, samples)
        else:
            hits = self._scene.cast(pose[:3, 3], directions, threads)
        paint = self._colours, self._coordinates, self._texture
        differ: NDArray[np.bool_] = _shade(
            picture.reshape(-1, 4), pixels, samples**2, hits.faces, hits.barycentric, paint
        )
        return differ


def _parts(pixels: Array, samples: int) -> Iterator[Array]:
    """A few pixels at a time, so that never many rays are alive."""
    size = max(1, CHUNK // samples**2)
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


@kernel()
def _mark(spots: Array, faces: Array, blocks: Array) -> None:
    """Mark the squares of BLOCK pixels that the faces' boxes reach, with a pixel to spare; spots (V, 2) in pixels."""
    rows, columns = blocks.shape
    for face in range(len(faces)):
        a, b, c = spots[faces[face, 0]], spots[faces[face, 1]], spots[faces[face, 2]]
        left, right = min(a[0], b[0], c[0]) - 1.0, max(a[0], b[0], c[0]) + 1.0
        top, bottom = min(a[1], b[1], c[1]) - 1.0, max(a[1], b[1], c[1]) + 1.0
        if right < 0.0 or bottom < 0.0 or left >= columns * BLOCK or top >= rows * BLOCK:
            continue
        for row in range(int(max(top, 0.0)) // BLOCK, min(int(bottom) // BLOCK, rows - 1) + 1):
            for column in range(int(max(left, 0.0)) // BLOCK, min(int(right) // BLOCK, columns - 1) + 1):
                blocks[row, column] = True


@kernel()
def _directions(pixels: Array, width: int, samples: int, rotation: Array, lens: Array) -> Array:
    """Ray directions (P * samples^2, 3) on a regular grid in every pixel, depth 1 along the viewing direction."""
    result = np.empty((len(pixels) * samples * samples, 3), np.float32)
    n = 0
    for pixel in pixels:
        row, column = pixel // width, pixel % width
        for i in range(samples):
            y = -(row + (i + 0.5) / samples - lens[3]) / lens[1]
            for j in range(samples):
                x = (column + (j + 0.5) / samples - lens[2]) / lens[0]
                for k in range(3):
                    result[n, k] = rotation[k, 0] * x + rotation[k, 1] * y - rotation[k, 2]
                n += 1
    return result


@kernel()
def _texel(image: Array, u: float, v: float, colour: Array) -> None:
    """Bilinear, u to the right and v up, the border repeated."""
    height, width = image.shape[:2]
    x = min(max(u * width - 0.5, 0.0), width - 1.0)
    y = min(max((1.0 - v) * height - 0.5, 0.0), height - 1.0)
    i, j = int(y), int(x)
    below, beside = min(i + 1, height - 1), min(j + 1, width - 1)
    a, b = y - i, x - j
    for k in range(3):
        upper = (1.0 - b) * image[i, j, k] + b * image[i, beside, k]
        lower = (1.0 - b) * image[below, j, k] + b * image[below, beside, k]
        colour[k] = (1.0 - a) * upper + a * lower


@kernel()
def _colour(colour: Array, weights: Array, face: int, paint: Paint) -> None:
    """What is painted on a point of a face, into `colour`."""
    colours, coordinates, texture = paint
    a, b, c = weights
    if len(coordinates):
        uv = coordinates[face]
        u = a * uv[0, 0] + b * uv[1, 0] + c * uv[2, 0]
        v = a * uv[0, 1] + b * uv[1, 1] + c * uv[2, 1]
        _texel(texture, u, v, colour)
    else:
        for k in range(3):
            colour[k] = a * colours[face, 0, k] + b * colours[face, 1, k] + c * colours[face, 2, k]


@kernel()
def _shade(
    picture: Array,
    pixels: Array,
    samples: int,
    faces: Array,
    weights: Array,
    paint: Paint,
) -> Array:
    """Average each pixel's samples into the picture; True where they differ much or cover the pixel in part."""
    differ = np.zeros(len(pixels), np.bool_)
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
            _colour(colour, weights[n], face, paint)
            for k in range(3):
                value = min(colour[k], 255.0)
                total[k] += value
                low[k], high[k] = min(low[k], value), max(high[k], value)
        if hit:
            for k in range(3):
                picture[pixels[p], k] = np.uint8(total[k] / hit + 0.5)
            picture[pixels[p], 3] = np.uint8(255.0 * hit / samples + 0.5)
            contrast = max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
            differ[p] = hit < samples or contrast > CONTRAST
    return differ

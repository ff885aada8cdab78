"""Pictures of meshes: the first surface at points of each pixel, by rays or a rasteriser, and its mean look."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Hits, Scene
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.surface import Look, Surface, draw_pixels
from meshcli.rendering.z_buffer import ZBuffer
from meshcli.system.numba_kernel import kernel
from meshcli.views import projection
from meshcli.views.camera import Camera

RAYS_PER_CHUNK = 1 << 18  # about 15 MB
BLOCK_SIZE = 8  # pixels: side of the blocks that are rendered if a triangle's box reaches them, else skipped
MIN_DEPTH = 1e-6  # of a vertex in front of the camera, world units
NO_NORMAL = 128  # red, green and blue of a picture of normals where nothing is hit: the zero vector, nearly
SHADED = Look()


class Visibility(Protocol):
    """Finds the first surface without rays: a rasteriser of one mesh. Thread-safe."""

    def rasterise(self, camera: Camera, width: int, height: int, pixels: Array, samples: int) -> Hits | None:
        """The first surface at samples x samples points of each pixel (P,), given as row * width + column, in order.

        None where rays are needed. The arrays may be reused by the next call of the same thread.
        """


class Renderer:
    """Renders one mesh from any number of cameras."""

    def __init__(self, mesh: Mesh, rasteriser: Visibility | ZBuffer | None = None) -> None:
        self.mesh = mesh
        self._surface = Surface(mesh)
        self._z_buffer = rasteriser if isinstance(rasteriser, ZBuffer) else None
        self._rasteriser = None if isinstance(rasteriser, ZBuffer) else rasteriser
        self._scene = Scene(mesh.vertices, mesh.faces)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)

    def render(
        self,
        camera: Camera,
        width: int,
        height: int,
        samples: int = 3,
        adaptive: bool = False,
        threads: int | None = None,
        look: Look = SHADED,
    ) -> Pixels:
        """RGBA with straight alpha (height, width, 4), white where nothing is hit (NO_NORMAL in one of normals).

        `samples` x `samples` rays per pixel; `adaptive`: 2 x 2, and all of them only where these four differ.
        """
        empty = (NO_NORMAL, NO_NORMAL, NO_NORMAL, 0) if look.kind == "normals" else (255, 255, 255, 0)
        picture = np.full((height, width, 4), empty, np.uint8)

        paint = self._surface.paint(look, camera, height, samples)
        if self._z_buffer and self._z_buffer.draw(camera, picture, samples, adaptive, paint):
            return picture
        facing = self._surface.facing(camera)

        def draw(pixels: Array, samples: int) -> Array:
            """Draw pixels with samples x samples rays; those among them that need more."""
            paint, unsettled = self._surface.paint(look, camera, height, samples), []
            for part in _in_chunks(pixels, samples):
                hits = self._first_hits(camera, width, height, part, samples, threads)
                unsettled.append(part[draw_pixels(picture.reshape(-1, 4), part, hits, samples, paint, facing)])
            return np.concatenate([pixels[:0], *unsettled])

        first = min(samples, 2) if adaptive else samples
        unsettled = draw(self._candidate_pixels(camera, width, height), first)
        if first < samples:
            draw(unsettled, samples)
        return picture

    def depth(self, camera: Camera, width: int, height: int) -> NDArray[np.float32]:
        """Depth along the viewing direction at the pixels' centres (height, width), infinite where nothing is hit."""
        if self._z_buffer and (drawn := self._z_buffer.depth(camera, width, height)) is not None:
            return drawn
        result = np.full(height * width, np.inf, np.float32)
        for part in _in_chunks(self._candidate_pixels(camera, width, height), 1):
            result[part] = self._first_hits(camera, width, height, part, 1, None).depths
        return result.reshape(height, width)

    def frames(
        self,
        cameras: Iterable[Camera],
        width: int,
        height: int,
        samples: int = 3,
        adaptive: bool = True,
        look: Look = SHADED,
        finish: Callable[[Pixels], Pixels] | None = None,
    ) -> Iterator[Pixels]:
        """One picture per camera, in order, rendered in parallel; at most one finished picture per thread waits.

        `finish` makes the picture that is handed out of the one rendered, in parallel too.
        """
        workers = numba.get_num_threads()
        source = iter(cameras)
        with ThreadPoolExecutor(workers) as pool:

            def work(camera: Camera) -> Pixels:
                picture = self.render(camera, width, height, samples, adaptive, 1, look)
                return finish(picture) if finish else picture

            def submit(camera: Camera) -> Future[Pixels]:
                return pool.submit(work, camera)

            pending = [submit(camera) for camera in islice(source, workers + 1)]
            while pending:
                yield pending.pop(0).result()
                pending.extend(submit(camera) for camera in islice(source, 1))

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

    def _first_hits(
        self, camera: Camera, width: int, height: int, pixels: Array, samples: int, threads: int | None
    ) -> Hits:
        """The first surface at samples x samples points of each pixel (P,), given as row * width + column."""
        drawn = self._rasteriser.rasterise(camera, width, height, pixels, samples) if self._rasteriser else None
        if drawn is not None:
            return drawn
        pose = projection.camera_to_world(camera)
        intrinsics = np.array([camera.fx * width, camera.fy * height, camera.cx * width, camera.cy * height])
        return self._scene.cast(
            pose[:3, 3], _pixel_directions(pixels, width, samples, pose[:3, :3], intrinsics), threads
        )


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

"""Ray casting against a mesh with Embree, on the CPU.

Embree works in float32: hit positions are accurate to about 1e-6 of the scene's size, so rays that start on the
surface must be offset by more than that. The scene is built with Embree's robust flag, so no ray slips between two
triangles that share an edge; one that aims exactly at a shared corner may (2 in 1,000 of those did).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from meshcli.arrays import Array

RAYS_PER_CHUNK = 1 << 17  # rays per Embree call: bounds its float32 copies and results to some 10 MB


@dataclass(frozen=True)
class Hits:
    """The first intersection of each ray."""

    faces: NDArray[np.int32]  # (N,) rows of the scene's faces, -1 for a miss
    barycentric: NDArray[np.float32]  # (N, 3) weights of the face's corners, 0 for a miss
    depths: NDArray[np.float32]  # (N,) in lengths of the direction, infinite for a miss


class Scene:
    """An Embree scene of one mesh; triangles are two-sided. Thread-safe."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self._scene = EmbreeScene(robust=True)
        # Keeps the geometry alive, and with it the vertex buffers that the scene refers to.
        self._triangles = TriangleMesh(
            self._scene,
            np.ascontiguousarray(vertices, dtype=np.float32).reshape(-1, 3),
            np.ascontiguousarray(faces, dtype=np.int32).reshape(-1, 3),
        )
        # The first query builds the BVH, which two threads must not do at once.
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def cast(self, origins: Array, directions: Array, threads: int | None = None) -> Hits:
        """The first hit of each ray; origins (N, 3) or (3,), directions (N, 3)."""
        count = len(directions)
        faces = np.empty(count, np.int32)
        barycentric = np.empty((count, 3), np.float32)
        depths = np.empty(count, np.float32)
        starts = np.broadcast_to(origins, (count, 3))

        def run(part: slice) -> None:
            found = self._scene.run(_float32(starts[part]), _float32(directions[part]), output=1)
            hit = found["primID"] >= 0
            faces[part] = found["primID"]
            barycentric[part, 1] = found["u"]
            barycentric[part, 2] = found["v"]
            barycentric[part, 0] = np.where(hit, 1.0 - found["u"] - found["v"], 0.0)
            depths[part] = np.where(hit, found["tfar"], np.inf)

        _run_in_chunks(run, count, threads)
        return Hits(faces, barycentric, depths)

    def occluded(self, origins: Array, directions: Array, distances: Array | float = np.inf) -> NDArray[np.bool_]:
        """Whether each ray (N,) hits anything within `distances`, in lengths of its direction."""
        count = len(directions)
        answer = np.empty(count, np.bool_)
        starts = np.broadcast_to(origins, (count, 3))
        limits = np.broadcast_to(np.minimum(distances, 1e37), (count,))

        def run(part: slice) -> None:
            limit = np.ascontiguousarray(limits[part], dtype=np.float32)
            found = self._scene.run(_float32(starts[part]), _float32(directions[part]), dists=limit, query="OCCLUDED")
            answer[part] = found >= 0

        _run_in_chunks(run, count)
        return answer


def _float32(rays: Array) -> NDArray[np.float32]:
    return np.asarray(rays, dtype=np.float32)


def _run_in_chunks(run: Callable[[slice], None], count: int, threads: int | None = None) -> None:
    """Call `run` on slices, in threads. Each writes its own rows, so results do not depend on the thread count."""
    parts = [slice(start, min(start + RAYS_PER_CHUNK, count)) for start in range(0, count, RAYS_PER_CHUNK)]
    workers = min(threads or numba.get_num_threads(), len(parts))
    if workers <= 1:
        for part in parts:
            run(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, parts))


def even_directions(count: int) -> Array:
    """Unit vectors (count, 3) spread evenly over the sphere, along a Fibonacci spiral."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle, width = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0)), np.sqrt(1.0 - z * z)
    return np.stack([width * np.cos(angle), width * np.sin(angle), z], axis=1)

"""Which triangle does each ray see: Embree on the CPU.

Embree works in float32: positions of hits are good to about 1e-6 of the scene's size, so rays that start on the
surface must be moved off it by more than that. The scene is built with Embree's robust flag, so no ray slips between
two triangles that share an edge; one that aims exactly at a shared corner may (2 in 1,000 of those did).
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

CHUNK = 1 << 17  # rays handed over at once: keeps the copies in float32 and Embree's answers at some 10 MB


@dataclass(frozen=True)
class Hits:
    """The first surface along each ray."""

    faces: NDArray[np.int32]  # (N,) rows of the scene's faces, -1 where the ray meets nothing
    barycentric: NDArray[np.float32]  # (N, 3) weights of the face's corners, 0 where nothing is met
    depths: NDArray[np.float32]  # (N,) in lengths of the direction, infinite where nothing is met


class Scene:
    """A mesh, made ready for rays. Both sides of a triangle stop a ray. Safe to use from several threads."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self._scene = EmbreeScene(robust=True)
        # A name for the geometry: the buffers live as long as it does.
        self._triangles = TriangleMesh(
            self._scene,
            np.ascontiguousarray(vertices, dtype=np.float32).reshape(-1, 3),
            np.ascontiguousarray(faces, dtype=np.int32).reshape(-1, 3),
        )
        # The first query builds the tree: better here than in two threads at once.
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def cast(self, origins: Array, directions: Array, threads: int | None = None) -> Hits:
        """The first hit of each ray; origins and directions (N, 3), or origins (3,) for all."""
        count = len(directions)
        faces = np.empty(count, np.int32)
        barycentric = np.empty((count, 3), np.float32)
        depths = np.empty(count, np.float32)
        starts = np.broadcast_to(origins, (count, 3))

        def run(part: slice) -> None:
            found = self._scene.run(_single(starts[part]), _single(directions[part]), output=1)
            hit = found["primID"] >= 0
            faces[part] = found["primID"]
            barycentric[part, 1] = found["u"]
            barycentric[part, 2] = found["v"]
            barycentric[part, 0] = np.where(hit, 1.0 - found["u"] - found["v"], 0.0)
            depths[part] = np.where(hit, found["tfar"], np.inf)

        _in_chunks(run, count, threads)
        return Hits(faces, barycentric, depths)

    def blocked(self, origins: Array, directions: Array, distances: Array | float = np.inf) -> NDArray[np.bool_]:
        """Whether anything lies on the ray before `distances`, in lengths of the direction; (N,)."""
        count = len(directions)
        answer = np.empty(count, np.bool_)
        starts = np.broadcast_to(origins, (count, 3))
        limits = np.broadcast_to(np.minimum(distances, 1e37), (count,))

        def run(part: slice) -> None:
            limit = np.ascontiguousarray(limits[part], dtype=np.float32)
            found = self._scene.run(_single(starts[part]), _single(directions[part]), dists=limit, query="OCCLUDED")
            answer[part] = found >= 0

        _in_chunks(run, count)
        return answer


def _single(rays: Array) -> NDArray[np.float32]:
    return np.asarray(rays, dtype=np.float32)


def _in_chunks(run: Callable[[slice], None], count: int, threads: int | None = None) -> None:
    """Every chunk writes its own rows, so the number of threads cannot change the answer."""
    parts = [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    workers = min(threads or numba.get_num_threads(), len(parts))
    if workers <= 1:
        for part in parts:
            run(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, parts))

"""From a signed-distance grid to a clean triangle mesh."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, zoom
from scipy.sparse import diags_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from meshcli.errors import InputError
from meshcli.meshes.mesh import adjacency
from meshcli.sdf.grid import Field, Grid

MIN_PART_SHARE = 0.01  # of the faces, by eye: smaller parts are specks
SPLINE_RANGE = 4.0  # voxels: distances are cut off there before cubic resampling, which would ring at far jumps
UPSAMPLING = 1.6  # of a grid before marching cubes: finer triangles follow the smooth field without stairs

Number = TypeVar("Number", np.float32, np.float64)
Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]


def extract_surface(distance: Field, grid: Grid, upsampling: float = UPSAMPLING) -> tuple[Vertices, Faces]:
    """The zero level set in world units, (V, 3) and (F, 3), faces counter-clockwise seen from outside.

    The grid is first resampled with cubic splines, so that marching cubes (Lewiner et al. 2003) sees a smooth field.
    Raises InputError where no node is inside.
    """
    low, high = _surface_bounds(distance)
    block = distance[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    fine = block
    if upsampling != 1:
        fine = zoom(np.clip(block, -SPLINE_RANGE, SPLINE_RANGE), upsampling, order=3, mode="nearest")
    if not (fine < 0).any():
        raise InputError(
            "no surface is left: the common volume of the views is thinner than a voxel; use views that agree, or more "
            "voxels: --set fit.resolutions=[64,104,160]"
        )
    ratio = (np.array(block.shape) - 1) / (np.array(fine.shape) - 1)
    vertices, faces, _, _ = marching_cubes(fine, 0.0, gradient_direction="descent")  # type: ignore[no-untyped-call]
    return grid.to_world(vertices * ratio + low), faces.astype(np.int32)


def _surface_bounds(distance: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The block of nodes, first and one past the last, that holds the inside with three nodes around it."""
    inside = np.argwhere(distance <= max(1.0, distance.min()))
    low = np.maximum(inside.min(axis=0) - 3, 0)
    high = np.minimum(inside.max(axis=0) + 4, distance.shape)
    return low, high


def extract_pieces(distance: Field, grid: Grid) -> tuple[Vertices, Faces]:
    """The surface with as many connected parts as the grid has pieces; smaller ones are artefacts of resampling."""
    return keep_largest(*extract_surface(distance, grid), count=int(label(distance < 0)[1]))


def keep_largest(vertices: NDArray[Number], faces: Faces, count: int) -> tuple[NDArray[Number], Faces]:
    """The `count` connected parts with the most vertices."""
    _, part = connected_components(adjacency(faces, len(vertices)), directed=False)
    largest = np.argsort(-np.bincount(part), kind="stable")[:count]
    return _without_unused(vertices, faces[np.isin(part[faces[:, 0]], largest)])


def keep_parts(
    vertices: NDArray[Number], faces: Faces, share: float = MIN_PART_SHARE, *, only_largest: bool = False
) -> tuple[NDArray[Number], Faces]:
    """The connected parts with at least this share of the faces, or only the one with the most faces."""
    _, part = connected_components(adjacency(faces, len(vertices)), directed=False)
    sizes = np.bincount(part[faces[:, 0]])
    least = sizes.max() if only_largest else share * len(faces)
    return _without_unused(vertices, faces[sizes[part[faces[:, 0]]] >= least])


def _without_unused(vertices: NDArray[Number], faces: NDArray[np.int32]) -> tuple[NDArray[Number], Faces]:
    """The vertices that faces refer to, and the faces with renumbered corners."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3).astype(np.int32)


def taubin_smooth(vertices: Vertices, faces: Faces, rounds: int, shrink: float = 0.5, grow: float = -0.53) -> Vertices:
    """Smooth without shrinking: umbrella steps of lambda `shrink` and mu `grow` in turn (Taubin 1995)."""
    neighbours = adjacency(faces, len(vertices))
    degree = np.maximum(neighbours.sum(axis=1), 1)
    mean = diags_array(1.0 / degree) @ neighbours
    for _ in range(rounds):
        for amount in (shrink, grow):
            vertices = vertices + amount * (mean @ vertices - vertices)
    return vertices

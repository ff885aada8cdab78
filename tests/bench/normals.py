"""Measures of a surface by the normals that cameras see: likeness to another mesh, and roughness.

They see what colours hide. InstantMesh's published meshes, in ../shared/data, are the meshes to be like where a sheet
of views has no true one.
"""

from collections.abc import Sequence

import numpy as np
from measure import DATA, Array
from scipy.ndimage import binary_erosion, gaussian_filter

from meshcli.export.frames import to_gltf
from meshcli.export.reading import read_mesh
from meshcli.meshes.mesh import Mesh, vertex_normals
from meshcli.meshes.raycasting import Scene
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

NETWORK_NAMES = (
    *("bird", "cartoon_dinosaur", "chair_armed", "chair_wood", "extinguisher"),
    *("fox", "lamp", "plant", "robot", "sea_turtle"),
)
ROUGHNESS_SIGMA = 2.0  # pixels


def network_mesh(name: str) -> Mesh:
    """The published mesh of a sheet, in the world of the rig: the vertex-coloured files are mirrored in z."""
    if name == "lamp":
        mesh = read_mesh(DATA / "views" / "reconstructions" / "lamp" / "lamp.obj")
        return Mesh(to_gltf(mesh.vertices), mesh.faces, texture=mesh.texture)
    mesh = read_mesh(DATA / "views" / "reconstructions" / f"{name}.obj")
    points = to_gltf(mesh.vertices) * np.array([1, 1, -1], np.float32)
    return Mesh(points, np.ascontiguousarray(mesh.faces[:, ::-1]), mesh.colours)


def normal_maps(mesh: Mesh, views: Sequence[View]) -> list[Array]:
    """Per view the unit normals (H, W, 3) of the surface behind the pixels' centres, 0 where there is none."""
    scene, at_vertices = Scene(mesh.vertices, mesh.faces), vertex_normals(mesh.vertices, mesh.faces)
    maps = []
    for view in views:
        origins, directions = rays(view.camera, pixel_centres(view.width, view.height), view.width, view.height)
        hits = scene.cast(origins.reshape(-1, 3), directions.reshape(-1, 3))
        normals = np.zeros((view.height * view.width, 3))
        met = hits.faces >= 0
        normals[met] = np.einsum("nk,nkc->nc", hits.barycentric[met], at_vertices[mesh.faces[hits.faces[met]]])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        maps.append(normals.reshape(view.height, view.width, 3))
    return maps


def angles_between(ours: Sequence[Array], theirs: Sequence[Array]) -> Array:
    """Degrees (N,) between two lists of normal maps, over the pixels where both show a surface."""
    angles = []
    for one, other in zip(ours, theirs, strict=True):
        both = one.any(axis=-1) & other.any(axis=-1)
        angles.append(_degrees(one[both], other[both]))
    return np.concatenate(angles)


def roughness(maps: Sequence[Array]) -> float:
    """The median of the degrees between normals and their mean around, away from silhouettes."""
    deviations = []
    for normals in maps:
        seen = normals.any(axis=-1)
        mean = np.stack([gaussian_filter(normals[..., k], ROUGHNESS_SIGMA) for k in range(3)], axis=-1)
        inner = binary_erosion(seen, iterations=round(2 * ROUGHNESS_SIGMA))
        deviations.append(_degrees(normals[inner], mean[inner]))
    return float(np.median(np.concatenate(deviations)))


def _degrees(a: Array, b: Array) -> Array:
    """Angles (N,) between vectors (N, 3) and (N, 3)."""
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.degrees(np.arccos(np.clip(np.einsum("nk,nk->n", a, b) / np.maximum(length, 1e-12), -1.0, 1.0)))

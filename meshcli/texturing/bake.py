"""Textures baked from pictures with cameras, or from a colour function."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, NORMAL_RADIUS, BlendedColours, ViewBlender, fill_unseen
from meshcli.meshes.mesh import Mesh, Texture, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.progress import Progress
from meshcli.settings import TextureSettings
from meshcli.texturing.atlas import clamped, fill_texture, surface_points, unwrap
from meshcli.views.view import View


def bake(mesh: Mesh, views: Sequence[View], settings: TextureSettings, progress: Progress) -> Mesh:
    """The mesh with a texture and vertex colours, both blended from the views and filled in where none sees it."""
    progress(0, 3, "unwrapping the surface")
    coordinates, rows = unwrap(mesh, settings.size)
    progress(1, 3, "colouring the surface")
    blender = ViewBlender(views, Scene(mesh.vertices, mesh.faces))
    normals = smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS)
    found = blender.colours(mesh.vertices, normals)
    corners = fill_unseen(mesh.vertices, mesh.faces, found)
    progress(2, 3, "baking the texture")

    def texel_colours(faces: Array, weights: Array) -> Array:
        triangles = mesh.faces[faces]
        facing = (normals[triangles] * weights[..., None]).sum(axis=1)
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
        seen = blender.colours(surface_points(mesh, faces, weights), facing)
        return _with_fill(seen, (corners[triangles] * clamped(weights)[..., None]).sum(axis=1))

    image = fill_texture(coordinates[rows], settings.size, texel_colours)
    progress(3, 3, "baking the texture")
    colours = np.rint(corners.clip(0.0, 255.0)).astype(np.uint8)
    return Mesh(mesh.vertices, mesh.faces, colours, Texture(image, coordinates, rows))


def bake_colours(
    mesh: Mesh, colours: Callable[[NDArray[np.float32]], NDArray[np.uint8]], settings: TextureSettings,
    progress: Progress,
) -> Mesh:  # fmt: skip
    """The mesh with a texture from a function of world points (N, 3) to sRGB colours (N, 3)."""
    progress(0, 2, "unwrapping the surface")
    coordinates, rows = unwrap(mesh, settings.size)
    progress(1, 2, "baking the texture")

    def texel_colours(faces: Array, weights: Array) -> Array:
        return colours(surface_points(mesh, faces, weights).astype(np.float32))

    image = fill_texture(coordinates[rows], settings.size, texel_colours)
    progress(2, 2, "baking the texture")
    return Mesh(mesh.vertices, mesh.faces, mesh.colours, Texture(image, coordinates, rows))


def _with_fill(found: BlendedColours, filled: Array) -> Array:
    """Blended colours (N, 3), fading into filled-in ones below CONFIDENT_WEIGHT."""
    share: Array = np.minimum(found.weight / CONFIDENT_WEIGHT, 1.0)[:, None]
    return share * found.values + (1.0 - share) * filled

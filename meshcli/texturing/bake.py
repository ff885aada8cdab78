"""Textures baked from pictures with cameras, or from a colour function.

A patch of the surface takes its fine detail from one picture (labelling.py), so that a photo's own pixels arrive; its
coarse colours are blended from all pictures that see it, and seams are levelled (levelling.py). What no picture sees is
filled in from the vertices around.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, BlendedColours, fill_unseen
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.progress import Progress
from meshcli.settings import TextureSettings
from meshcli.texturing.atlas import fill_background, fill_texture, map_texels, surface_points, unwrap
from meshcli.texturing.labelling import Detail, label
from meshcli.texturing.levelling import Coarse, coarse_colours, doubt, mix
from meshcli.texturing.painting import Painter
from meshcli.texturing.patches import Patches, cut_into_patches
from meshcli.texturing.picture_stack import Looks, PictureStack, look, stack_pictures
from meshcli.views.view import View

# Vertices (V, 3), faces (F, 3) and the colours that pictures see at the vertices -> colours of all vertices (V, 3)
Fill = Callable[[Array, Array, BlendedColours], Array]

SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / np.array([[3], [6], [6], [6]])  # barycentric
HALF_SEEN = 0.05  # of the quality of a picture that sees some of a patch's samples only, by choice

# Of views beside photos, which engines made from these. On the example desk, fine detail in place from the photos'
# cameras is 0.82 with it and 0.79 with 1.
VIEW_TRUST = 0.25
# Of a picture's quality, kept however much it contradicts the others: where two disagree, neither is a majority, and
# seams must be free to run around a feature that they show at different places.
LEAST_DOUBT = 0.3


@dataclass(frozen=True)
class Coverage:
    """How much of the surface pictures see, as shares of its area."""

    seen: float
    by_picture: tuple[float, ...]  # the share that follows each picture; they sum to `seen`


def bake(
    mesh: Mesh, pictures: Sequence[View], settings: TextureSettings, progress: Progress, *,
    trust: Sequence[float] = (), fill: Fill = fill_unseen, report: Callable[[Coverage], None] | None = None,
) -> Mesh:  # fmt: skip
    """The mesh with a texture and vertex colours from pictures of any sizes, filled in where none sees it.

    `trust` multiplies the quality of each picture; equal if it is left out. `fill` gives the colours that no picture
    sees. `report` is told the coverage.
    """
    progress(0, 4, "unwrapping the surface")
    coordinates, rows = unwrap(mesh, settings.size)
    patches = cut_into_patches(mesh, coordinates[rows])
    progress(1, 4, "comparing the pictures")
    stack = stack_pictures(
        pictures, mesh.vertices.astype(np.float64), mesh.faces, _texel_density(patches, settings.size),
        trust or [1.0] * len(pictures),
    )  # fmt: skip
    looks = look(stack, patches.vertices, patches.normals, patches.normals)
    coarse = coarse_colours(patches, looks)
    labels = _labels(patches, stack, coarse)
    painter = Painter(patches, stack, mix(patches, labels, looks, coarse))
    progress(2, 4, "colouring the surface")
    found = painter.paint_vertices()
    filled = fill(patches.vertices, patches.faces, found)
    progress(3, 4, "baking the texture")
    texels = map_texels(patches.corners, settings.size)
    image = painter.paint_texture(texels, filled)
    fill_background(image, texels)
    if report is not None:
        report(_coverage(patches, labels, found, len(pictures)))
    progress(4, 4, "baking the texture")
    colours = np.rint(filled[: len(mesh.vertices)].clip(0.0, 255.0)).astype(np.uint8)
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


def _texel_density(patches: Patches, size: int) -> float:
    """Texels per world unit."""
    corners = patches.corners
    sides = corners[:, 1:] - corners[:, :1]
    area = 0.5 * np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).sum()
    return size * float(np.sqrt(area / max(float(patches.areas.sum()), 1e-12)))


def _labels(patches: Patches, stack: PictureStack, coarse: Coarse) -> NDArray[np.int32]:
    """The picture that each patch follows (F,), -1 where none sees it."""
    looks = [_look_at_sample(patches, stack, weights) for weights in SAMPLES]
    qualities = np.stack([each.quality for each in looks])
    whole = (qualities > 0.0).all(axis=0)
    quality = qualities.mean(axis=0) * np.where(whole, 1.0, HALF_SEEN)
    colours = np.stack([each.colours for each in looks], axis=2)  # (F, P, S, 3)
    quality = np.maximum(doubt(quality, colours.mean(axis=2, dtype=np.float32)), LEAST_DOUBT * quality)
    base = np.zeros((len(patches.faces), *coarse.values.shape[1:]), np.float32)
    for corner in range(3):
        base += coarse.values[patches.faces[:, corner]] / 3.0
    detail = Detail(
        colours.astype(np.float32) - base[:, :, None], np.stack([each.quality > 0.0 for each in looks], axis=2)
    )
    return label(patches, quality, detail)


def _look_at_sample(patches: Patches, stack: PictureStack, weights: Array) -> Looks:
    """What the pictures show of the point of each patch with these barycentric weights (3,)."""
    normals = np.einsum("fkc,k->fc", patches.normals[patches.faces], weights)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return look(stack, patches.points(weights), normals, patches.flat_normals)


def _coverage(patches: Patches, labels: Array, found: BlendedColours, count: int) -> Coverage:
    """Shares of the area; a patch is seen as far as its corners are."""
    seen = (found.weight[patches.faces] >= CONFIDENT_WEIGHT).mean(axis=1) * patches.areas
    total = max(float(patches.areas.sum()), 1e-12)
    each = np.bincount(labels[labels >= 0], seen[labels >= 0], count) / total
    return Coverage(float(each.sum()), tuple(each.tolist()))

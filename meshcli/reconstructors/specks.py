"""Small loose pieces of a mesh that the views refute: what a network's grid leaves floating beside the body."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.sparse.csgraph import connected_components

from meshcli.arrays import Mask
from meshcli.meshes.mesh import adjacency
from meshcli.meshes.remeshing import Triangles, welded
from meshcli.pictures.pixels import EIGHT_CONNECTED, VIEW_SIZE
from meshcli.sdf.extract import MIN_PART_SHARE, Faces, Vertices
from meshcli.views.projection import project
from meshcli.views.view import View

MIN_ALPHA = 64  # pixels of less coverage, and none of more beside them, show that nothing is there
REFUTED_SHARE = 0.5  # of a piece's vertices, seen where a view shows nothing


def without_refuted_specks(vertices: Vertices, faces: Faces, views: Sequence[View]) -> tuple[Triangles, int]:
    """The mesh without its refuted specks, and how many they were; vertices (V, 3), faces (F, 3).

    A speck has less than MIN_PART_SHARE of the faces. It is refuted where any view has most of it beside the object;
    what lies outside a picture is not. Larger pieces stay in any case, and so does a mesh of nothing but such specks.
    """
    count, piece = connected_components(adjacency(faces, len(vertices)), directed=False)
    small = np.bincount(piece[faces[:, 0]], minlength=count) < MIN_PART_SHARE * len(faces)
    refuted = np.zeros(count, bool)
    size = np.bincount(piece, minlength=count)
    for view in views:
        refuted |= small & (np.bincount(piece[_beside(vertices, view)], minlength=count) > REFUTED_SHARE * size)
    if refuted.all() or not refuted.any():
        return (vertices, faces), 0
    return welded(vertices, faces[~refuted[piece[faces[:, 0]]]]), int(refuted.sum())


def _beside(vertices: Vertices, view: View) -> Mask:
    """Whether each vertex (V,) is in the picture, but not on the object or within a reference pixel of it."""
    positions, depth = project(view.camera, vertices, view.width, view.height)
    cells = np.floor(positions).astype(np.int64)
    rows = np.flatnonzero((depth > 1e-6) & (cells >= 0).all(axis=1) & (cells < (view.width, view.height)).all(axis=1))
    pixels = max(1, round(min(view.width, view.height) / VIEW_SIZE))
    near = binary_dilation(view.pixels[..., 3] >= MIN_ALPHA, EIGHT_CONNECTED, pixels)
    result = np.zeros(len(vertices), bool)
    result[rows] = ~near[cells[rows, 1], cells[rows, 0]]
    return result

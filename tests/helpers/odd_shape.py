"""A coloured object without any symmetry, pictures of it, and the same in the frame of another program."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from meshcli.alignment.similarity import Similarity
from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

BOXES = (  # size, place and colour of each part: a body, a head in front, an arm on one side only, a hat on one side
    ((0.8, 0.5, 0.9), (0.0, 0.0, -0.2), (200, 60, 40)),
    ((0.4, 0.3, 0.3), (0.35, 0.0, 0.4), (240, 220, 120)),
    ((0.2, 0.5, 0.2), (0.1, 0.45, 0.0), (40, 80, 200)),
    ((0.15, 0.15, 0.5), (-0.2, -0.1, 0.45), (30, 160, 60)),
)


@cache
def odd_shape() -> Mesh:
    """In our world, 48 faces."""
    parts = [trimesh.creation.box(size).apply_translation(place) for size, place, _ in BOXES]
    whole = trimesh.util.concatenate(parts)
    colours = np.repeat(
        np.array([colour for _, _, colour in BOXES], np.uint8), [len(p.vertices) for p in parts], axis=0
    )
    return Mesh(np.array(whole.vertices, np.float32), np.array(whole.faces, np.int32), colours)


@cache
def odd_views(size: int = 96) -> tuple[View, ...]:
    """Six views of it."""
    renderer = Renderer(odd_shape())
    cameras = enumerate(zero123plus_rig())
    return tuple(View(f"a{i}", renderer.render(camera, size, size, samples=2), camera) for i, camera in cameras)


def odd_sheet(path: Path) -> Path:
    """The same views as a sheet, with transparency."""
    tiles = [view.pixels for view in odd_views(320)]
    rows = [np.concatenate(tiles[i : i + 2], axis=1) for i in (0, 2, 4)]
    Image.fromarray(np.concatenate(rows)).save(path)
    return path


def foreign(mesh: Mesh, axes: np.ndarray, scale: float, shift: tuple[float, float, float]) -> tuple[Mesh, Similarity]:
    """A mesh as another program has it, with its faces to the outside, and the similarity that takes it back."""
    vertices = scale * (mesh.vertices @ axes.T) + shift
    faces = mesh.faces[:, ::-1] if np.linalg.det(axes) < 0.0 else mesh.faces
    back = Similarity(axes.T, 1.0 / scale, -axes.T @ np.array(shift) / scale)
    return replace(mesh, vertices=vertices.astype(np.float32), faces=np.ascontiguousarray(faces)), back


def y_up(degrees: float, mirrored: bool) -> np.ndarray:
    """Axes of a file whose y is up and that is turned about it, perhaps mirrored, (3, 3)."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    upright = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    return np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0]) @ upright @ turn

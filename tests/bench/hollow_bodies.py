"""Bodies whose insides silhouettes do not show, with a strong texture: a tray, a mug and a bowl; and their pictures."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from measure import SIZE, Array, visible_samples

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers.sphere_tracing import waves

HOLLOW_NAMES = ("tray", "mug", "bowl")
EDGE = 0.02  # of the triangles: each vertex has one colour
LENGTHS = (0.12, 0.5)  # of the texture's waves


@cache
def hollow_body(name: str) -> Mesh:
    """One of the bodies, its farthest point at 0.95, with vertex colours."""
    shape = {"tray": _tray, "mug": _mug, "bowl": _bowl}[name]()
    vertices, faces = trimesh.remesh.subdivide_to_size(shape.vertices, shape.faces, EDGE)
    vertices -= (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    vertices *= 0.95 / np.linalg.norm(vertices, axis=1).max()
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), waves(vertices, LENGTHS).astype(np.uint8))


@cache
def hollow_views(name: str) -> list[View]:
    """Its six pictures at the rig, unlit."""
    renderer = Renderer(hollow_body(name))
    cameras = zero123plus_rig(known="rig")
    return [View(f"a{i}", renderer.render(each, SIZE, SIZE, samples=3), each) for i, each in enumerate(cameras)]


@cache
def hollow_samples(name: str) -> Array:
    """Points (N, 3) on what can be seen of it."""
    body = hollow_body(name)
    return visible_samples(body.vertices, body.faces)


def _tray(size: float = 1.0, width: float = 0.8, wall: float = 0.08, height: float = 0.33) -> trimesh.Trimesh:
    x, y = size / 2, width / 2
    boxes = [
        ((-x, -y, 0.0), (x, y, wall)),
        ((-x, -y, wall), (-x + wall, y, height)),
        ((x - wall, -y, wall), (x, y, height)),
        ((-x + wall, -y, wall), (x - wall, -y + wall, height)),
        ((-x + wall, y - wall, wall), (x - wall, y, height)),
    ]
    return trimesh.util.concatenate([trimesh.creation.box(bounds=bounds) for bounds in boxes])


def _mug(height: float = 1.0, radius: float = 0.4, wall: float = 0.05, floor: float = 0.06) -> trimesh.Trimesh:
    inner = radius - wall
    outline = [[0, 0], [radius, 0], [radius, height], [inner, height], [inner, floor], [0, floor]]
    return trimesh.creation.revolve(outline, sections=64)


def _bowl() -> trimesh.Trimesh:
    angle = np.linspace(0, np.pi / 2, 16)
    outer = np.stack([0.7 * np.sin(angle), 0.45 * (1 - np.cos(angle))], axis=1)
    inner = np.stack([0.64 * np.sin(angle), 0.06 + 0.39 * (1 - np.cos(angle))], axis=1)[::-1]
    return trimesh.creation.revolve(np.vstack([outer, inner]), sections=64)

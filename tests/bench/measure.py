"""Measures of a mesh against the true one, in shape and in pictures. Fixed definitions: figures stay comparable.

Truth: the textured meshes of ../shared/data/meshes in our world, their box centred at the origin, the farthest vertex
at 0.95. Shape: 40,000 samples on each surface; the true ones count only where one of 60 directions leads outside. CD is
the mean of the two directed mean distances, F the F-score at 0.05, IoU is taken on a grid of 72^3 points, inside where
the winding number exceeds 0.5. Pictures: 12 views that were not given to the engine, the true mesh lit by two fixed
lights that count as its colours, the other unlit; PSNR and SSIM over the whole picture on white.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from skimage.metrics import structural_similarity

from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene, even_directions
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import Camera, orbit, zero123plus_rig
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = {
    "spot": "spot/spot.obj",
    "fuze": "fuze/fuze.obj",
    "stool": "stool/painted_wooden_stool_1k.gltf",
    "cabinet": "cabinet/painted_wooden_cabinet_1k.gltf",
    "barrel": "barrel/barrel.glb",
    "armchair": "armchair/armchair.obj",
    "table": "table/wooden_table_02_1k.gltf",
}
NAMES = tuple(FILES)
NO_VOLUME = ("cabinet", "armchair", "table")  # open or hollow: IoU means nothing
SIZE = 320  # pixels
LIGHTS = ((0.42, (0.5, 0.35, 0.8)), (0.18, (-0.6, -0.5, 0.3)))  # strength, direction
AMBIENT = 0.5
SAMPLES = 40_000  # on a surface
LATTICE = 72  # points along a side of [-1, 1]^3
CACHE = Path(tempfile.gettempdir()) / "meshcli-bench-1"  # raise the number when a definition changes

Array = NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """Chamfer distance and F in world units; the rest over the 12 test views."""

    chamfer: float
    f: float
    iou: float | None
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Truth:
    """A textured mesh with any number of textures."""

    vertices: Array  # (V, 3)
    faces: Array  # (F, 3)
    normals: Array  # (V, 3)
    coordinates: Array  # (V, 2) u right, v up
    textures: tuple[Array, ...]  # each (H, W, 3) uint8
    material: Array  # (F,) rows of `textures`


def truth_views(name: str) -> list[View]:
    """The six pictures at the rig that an engine is given."""
    return _pictures(name, "rig", zero123plus_rig(known="rig"), 3)


def photo_views(name: str, azimuths: Sequence[float], elevation: float) -> list[View]:
    """Photos of the truth for `sculpt`: one at elevation 0, sets of three at 10."""
    label = f"photos_{elevation:g}_" + "_".join(f"{azimuth:g}" for azimuth in azimuths)
    return _pictures(name, label, [orbit(azimuth, elevation, known="given") for azimuth in azimuths], 3)


def test_views(name: str) -> list[View]:
    """The twelve pictures that nobody is shown."""
    cameras = [orbit(60.0 * i, 0.0) for i in range(6)] + [orbit(30.0 + 60.0 * i, 40.0) for i in range(6)]
    return _pictures(name, "test", cameras, 2)


def pictures(name: str, cameras: Sequence[Camera], samples: int, size: int = SIZE) -> Array:
    """Pictures of the truth from any cameras, (N, size, size, 4)."""
    return _render_truth(load_truth(name), cameras, samples, size)


def score(mesh: Mesh, name: str) -> Scores:
    """Compare a mesh in world coordinates with the truth of this name."""
    chamfer, f = shape(mesh.vertices, mesh.faces, truth_samples(name))
    renderer = Renderer(mesh)
    quality = [compare(view, renderer) for view in test_views(name)]
    return Scores(
        chamfer=chamfer,
        f=f,
        iou=None if name in NO_VOLUME else _iou(inside(mesh.vertices, mesh.faces), truth_inside(name)),
        psnr=float(np.mean([psnr for psnr, _ in quality])),
        ssim=float(np.mean([ssim for _, ssim in quality])),
    )


def shape(vertices: Array, faces: Array, truth: Array) -> tuple[float, float]:
    """Chamfer distance and F of a surface, given samples (N, 3) of the true one."""
    surface = _sample(vertices, faces, np.random.default_rng(0))[0]
    to_truth = cKDTree(truth).query(surface)[0]
    to_mesh = cKDTree(surface).query(truth)[0]
    precision, recall = np.mean(to_truth < 0.05), np.mean(to_mesh < 0.05)
    f = 2.0 * precision * recall / max(precision + recall, 1e-9)
    return float(to_truth.mean() + to_mesh.mean()) / 2.0, float(f)


def compare(view: View, renderer: Renderer) -> tuple[float, float]:
    """PSNR and SSIM of the mesh's unlit picture beside a view, on white."""
    ours = on_white(renderer.render(view.camera, view.width, view.height, samples=2))
    truth = on_white(view.pixels)
    ssim = structural_similarity(
        ours, truth, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return psnr(ours, truth), float(ssim)


def psnr(a: Array, b: Array, mask: Array | None = None) -> float:
    """Decibels of two pictures in [0, 1], over the whole or over a mask (H, W)."""
    squared = np.square(a - b)
    return float(-10.0 * math.log10(max(np.mean(squared if mask is None else squared[mask]), 1e-10)))


def on_white(pixels: Array) -> Array:
    """RGBA uint8 to RGB in [0, 1]."""
    alpha = pixels[..., 3:] / 255.0
    return pixels[..., :3] / 255.0 * alpha + 1.0 - alpha


@cache
def load_truth(name: str) -> Truth:
    """Read a mesh file and bring it into our world."""
    scene = trimesh.load_scene(DATA / "meshes" / FILES[name], process=False)
    parts = []
    for node in scene.graph.nodes_geometry:
        transform, key = scene.graph[node]
        parts.append(scene.geometry[key].copy().apply_transform(transform))
    turn = _turn(name)
    vertices = np.concatenate([part.vertices for part in parts]) @ turn.T
    vertices -= (vertices.min(0) + vertices.max(0)) / 2.0
    vertices *= 0.95 / np.linalg.norm(vertices, axis=1).max()
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    return Truth(
        vertices=vertices.astype(np.float32),
        faces=np.concatenate([part.faces + s for part, s in zip(parts, starts, strict=False)]).astype(np.int32),
        normals=np.concatenate([part.vertex_normals for part in parts]) @ turn.T,
        coordinates=np.concatenate([part.visual.uv for part in parts]),
        textures=tuple(_texture(part.visual.material) for part in parts),
        material=np.concatenate([np.full(len(part.faces), i) for i, part in enumerate(parts)]),
    )


def visible_samples(vertices: Array, faces: Array) -> Array:
    """Those of 40,000 points on a surface from which one of 60 directions leads outside."""
    points, normals = _sample(vertices, faces, np.random.default_rng(1))
    scene = Scene(vertices, faces)
    visible = np.zeros(len(points), dtype=bool)
    for direction in even_directions(60):
        side = np.sign(normals @ direction)[:, None]
        visible |= ~scene.occluded(points + 1e-4 * side * normals, np.broadcast_to(direction, points.shape))
    return points[visible]


def truth_samples(name: str) -> Array:
    """Points (N, 3) on the part of the truth that can be seen from outside."""
    return _cached(f"{name}_samples", lambda: visible_samples(load_truth(name).vertices, load_truth(name).faces))


def truth_inside(name: str) -> Array:
    """Which lattice points are inside the truth, (72^3,)."""
    return _cached(f"{name}_inside", lambda: inside(load_truth(name).vertices, load_truth(name).faces))


def inside(vertices: Array, faces: Array) -> Array:
    """Lattice points (72^3,) whose absolute winding number exceeds 0.5."""
    merged = trimesh.Trimesh(vertices, faces, process=True, merge_norm=True, merge_tex=True)
    side = (np.arange(LATTICE) + 0.5) / LATTICE * 2.0 - 1.0 + 1e-5 * math.pi  # off the planes of modelled boxes
    corners = np.ascontiguousarray(merged.vertices[merged.faces], dtype=np.float64)
    number = _crossings(corners, side) if merged.is_watertight else _solid_angles(corners, side)
    return np.abs(number).ravel() > 0.5


def _pictures(name: str, label: str, cameras: Sequence[Camera], samples: int) -> list[View]:
    pixels = _cached(f"{name}_{label}", lambda: _render_truth(load_truth(name), cameras, samples))
    return [View(f"a{i}", pixels[i], camera) for i, camera in enumerate(cameras)]


def _render_truth(truth: Truth, cameras: Sequence[Camera], samples: int, size: int = SIZE) -> Array:
    scene = Scene(truth.vertices, truth.faces)
    return np.stack([_picture(truth, scene, camera, samples, size) for camera in cameras])


def _picture(truth: Truth, scene: Scene, camera: Camera, samples: int, size: int) -> Array:
    """One picture (size, size, 4) with straight alpha, white where nothing is."""
    origins, directions = rays(camera, pixel_centres(size * samples, size * samples) / samples, size, size)
    hits = scene.cast(origins.reshape(-1, 3), directions.reshape(-1, 3))
    seen = hits.faces >= 0
    colours = np.zeros((len(seen), 4))
    colours[seen, :3] = _lit(truth, hits.faces[seen], hits.barycentric[seen], directions.reshape(-1, 3)[seen])
    colours[seen, 3] = 1.0
    mean = colours.reshape(size, samples, size, samples, 4).mean((1, 3))
    alpha = mean[..., 3:]
    rgb = np.where(alpha > 0.0, mean[..., :3] / np.maximum(alpha, 1e-9), 1.0)
    return np.rint(255.0 * np.concatenate([rgb, alpha], axis=-1)).astype(np.uint8)


def _lit(truth: Truth, faces: Array, barycentric: Array, directions: Array) -> Array:
    """Texture times light, (N, 3) in [0, 1]; a back face is lit as the viewer sees it."""
    corners = truth.faces[faces]
    normals = np.einsum("nkc,nk->nc", truth.normals[corners], barycentric)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    edges = truth.vertices[corners]
    facing = np.einsum("nc,nc->n", np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), directions)
    normals[facing > 0.0] *= -1.0
    light = np.full(len(normals), AMBIENT)
    for strength, direction in LIGHTS:
        light += strength * np.maximum(normals @ (np.array(direction) / np.linalg.norm(direction)), 0.0)
    coordinates = np.einsum("nkc,nk->nc", truth.coordinates[corners], barycentric)
    colours = np.empty((len(faces), 3))
    for i, texture in enumerate(truth.textures):
        chosen = truth.material[faces] == i
        colours[chosen] = _lookup(texture, coordinates[chosen])
    return np.clip(colours * light[:, None], 0.0, 1.0)


def _lookup(texture: Array, coordinates: Array) -> Array:
    height, width = texture.shape[:2]
    place = np.stack([(1.0 - coordinates[:, 1]) * height - 0.5, coordinates[:, 0] * width - 0.5])
    channels = [map_coordinates(texture[..., c], place, np.float64, order=1, mode="grid-wrap") for c in range(3)]
    return np.stack(channels, axis=-1) / 255.0


def _texture(material: Any) -> Array:
    image = getattr(material, "baseColorTexture", None) or material.image
    return np.asarray(image.convert("RGB"))


def _turn(name: str) -> Array:
    if name == "fuze":
        return np.eye(3)  # its file is z up already
    upright = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # (x, y, z) -> (z, x, y)
    return np.diag([-1.0, -1.0, 1.0]) @ upright if name == "spot" else upright


def _sample(vertices: Array, faces: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Uniform points on a surface and their faces' unit normals."""
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    chosen = rng.choice(len(faces), SAMPLES, p=areas / areas.sum())
    root, second = np.sqrt(rng.random(SAMPLES)), rng.random(SAMPLES)
    weights = np.stack([1.0 - root, root * (1.0 - second), root * second], axis=1)
    return np.einsum("nkc,nk->nc", corners[chosen], weights), normals[chosen] / areas[chosen, None]


def _iou(a: Array, b: Array) -> float:
    return float(np.logical_and(a, b).sum() / max(np.logical_or(a, b).sum(), 1))


def _cached(key: str, make: Any) -> Array:
    """An array that is computed once per machine."""
    path = CACHE / f"{key}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkstemp(dir=CACHE, suffix=".npy")[1])
        np.save(temporary, make())
        temporary.replace(path)
    return np.load(path)


@njit(cache=True)
def _crossings(corners: Array, side: Array) -> Array:
    """Winding numbers of a closed mesh: signed crossings of the line from each lattice point straight up."""
    n = len(side)
    numbers = np.zeros((n, n, n))
    step = side[1] - side[0]
    for triangle in corners:
        x0, y0, z0 = triangle[0]
        x1, y1, z1 = triangle[1]
        x2, y2, z2 = triangle[2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0:
            continue
        first = max(0, math.ceil((min(x0, x1, x2) - side[0]) / step))
        last = min(n - 1, math.floor((max(x0, x1, x2) - side[0]) / step))
        low = max(0, math.ceil((min(y0, y1, y2) - side[0]) / step))
        high = min(n - 1, math.floor((max(y0, y1, y2) - side[0]) / step))
        for i in range(first, last + 1):
            for j in range(low, high + 1):
                a = ((x1 - side[i]) * (y2 - side[j]) - (x2 - side[i]) * (y1 - side[j])) / area
                b = ((x2 - side[i]) * (y0 - side[j]) - (x0 - side[i]) * (y2 - side[j])) / area
                if a >= 0.0 and b >= 0.0 and a + b <= 1.0:
                    z = a * z0 + b * z1 + (1.0 - a - b) * z2
                    below = min(n, max(0, math.ceil((z - side[0]) / step)))
                    numbers[i, j, :below] += 1.0 if area > 0.0 else -1.0
    return numbers


@njit(cache=True, fastmath=True)
def _solid_angles(corners: Array, side: Array) -> Array:
    """Winding numbers of any mesh: summed solid angles (van Oosterom and Strackee 1983) over 4 pi."""
    n = len(side)
    numbers = np.zeros((n, n, n))
    for i in range(n):
        for j in range(n):
            for k in range(n):
                total = 0.0
                for t in range(len(corners)):
                    ax, ay, az = corners[t, 0, 0] - side[i], corners[t, 0, 1] - side[j], corners[t, 0, 2] - side[k]
                    bx, by, bz = corners[t, 1, 0] - side[i], corners[t, 1, 1] - side[j], corners[t, 1, 2] - side[k]
                    cx, cy, cz = corners[t, 2, 0] - side[i], corners[t, 2, 1] - side[j], corners[t, 2, 2] - side[k]
                    a = math.sqrt(ax * ax + ay * ay + az * az)
                    b = math.sqrt(bx * bx + by * by + bz * bz)
                    c = math.sqrt(cx * cx + cy * cy + cz * cz)
                    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
                    flat = a * b * c + (ax * bx + ay * by + az * bz) * c
                    flat += (ax * cx + ay * cy + az * cz) * b + (bx * cx + by * cy + bz * cz) * a
                    total += 2.0 * math.atan2(volume, flat)
                numbers[i, j, k] = total / (4.0 * math.pi)
    return numbers

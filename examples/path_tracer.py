"""A small path tracer for pictures of one object in a photo studio: soft boxes in a bright room, a white floor.

Rays go through Embree. Light is linear here; `tone_map` turns it into sRGB. Points are in metres in the object's own
frame, z up, the floor at 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from surface_patterns import fractal_noise, wood_colours

from meshcli.arrays import Array
from meshcli.meshes.raycasting import Hits, Scene
from meshcli.views.camera import Camera
from meshcli.views.projection import pixel_centres, rays

RAY_OFFSET = 2e-4  # metres that a ray starts off the surface
MAX_BOUNCES = 4
PATHS_PER_SAMPLE = 5  # per sample of a pixel
R2_STEPS = np.array([0.7548776662466927, 0.5698402909980532])  # steps of an evenly spread sequence (Roberts 2018)


@dataclass(frozen=True)
class Material:
    """The look of a surface; `wood` and `mottle` vary its colour from point to point."""

    colour: tuple[int, int, int]  # sRGB
    roughness: float = 0.4  # of the gloss
    gloss: float = 0.04  # reflected at normal incidence; 1 is a metal, tinted with its colour
    wood: float = 0.0  # contrast of the grain
    mottle: float = 0.0  # contrast of small random spots


@dataclass(frozen=True)
class AreaLight:
    """A lamp: a rectangle that shines along its normal."""

    corner: tuple[float, float, float]
    sides: tuple[tuple[float, float, float], tuple[float, float, float]]
    radiance: tuple[float, float, float]

    @property
    def normal_area(self) -> Array:
        """The normal times the area."""
        return np.cross(*np.array(self.sides))


@dataclass(frozen=True)
class SceneDescription:
    """The object and its lamp: triangles with corner normals, a material and a grain per face."""

    vertices: Array  # (V, 3)
    normals: Array  # (V, 3)
    faces: Array  # (F, 3)
    material: Array  # (F,) rows of `materials`
    board: Array  # (F,) number of the part that the face belongs to: one board of wood, one leaf ball ...
    grain: Array  # (F,) axis along which the wood's fibres run
    materials: Sequence[Material]
    lamp: AreaLight


@dataclass(frozen=True)
class SurfacePoints:
    """The points that rays have hit, all (N, ...)."""

    points: Array  # (N, 3)
    normals: Array  # (N, 3) on the side that the ray came from
    colours: Array  # (N, 3) linear
    roughness: Array  # (N,)
    gloss: Array  # (N,)


@dataclass(frozen=True)
class SampleBuffers:
    """What is known of every sample (H, W, ...) before the light is denoised and tone-mapped."""

    diffuse: Array  # (H, W, 3) irradiance over pi
    specular: Array  # (H, W, 3) light that its gloss reflects
    diffuse_factor: Array  # (H, W, 3) factor of `diffuse`
    specular_factor: Array  # (H, W, 3) factor of `specular`
    normals: Array  # (H, W, 3)
    points: Array  # (H, W, 3)
    board: Array  # (H, W) number of the part that is seen plus 1, 0 for none


class PathTracer:
    """A scene on a white floor that lights it but is not seen itself, ready for pictures."""

    def __init__(self, scene: SceneDescription) -> None:
        self.scene = scene
        self._object_rays = Scene(scene.vertices, scene.faces)
        floor = np.array([[-30, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]], dtype=np.float64)
        count = len(scene.vertices)
        faces = np.array([[0, 1, 2], [0, 2, 3]]) + count
        self._scene_rays = Scene(np.concatenate([scene.vertices, floor]), np.concatenate([scene.faces, faces]))

    def render(self, camera: Camera, size: int, samples: int, rng: np.random.Generator) -> Array:
        """RGBA (size, size, 4) in [0, 1], straight alpha; the camera is in the scene's metres."""
        side = size * samples
        diffuse, specular, diffuse_factor, specular_factor, normals, points = np.zeros((6, side, side, 3), np.float32)
        board = np.zeros((side, side), np.int16)
        buffers = SampleBuffers(diffuse, specular, diffuse_factor, specular_factor, normals, points, board)
        shift = rng.random((size, size, 2))  # of each pixel's evenly spread paths
        rows = max(samples, 60_000 // (side * samples) * samples)
        for top in range(0, side, rows):
            height = min(rows, side - top)
            pixels = pixel_centres(side, height) + np.array([0.0, top])
            origins, directions = rays(camera, pixels, side, side)
            hits = self._object_rays.cast(origins.reshape(-1, 3), directions.reshape(-1, 3))
            row, column = np.divmod(np.flatnonzero(hits.faces >= 0) + top * side, side)
            if len(row):
                hit_rays = (row - top) * side + column
                surface = self._surface_points(hits, origins.reshape(-1, 3), directions.reshape(-1, 3), hit_rays)
                number = row % samples * samples + column % samples
                start = number[:, None] * PATHS_PER_SAMPLE * R2_STEPS + shift[row // samples, column // samples]
                self._shade(buffers, (row, column), surface, directions.reshape(-1, 3)[hit_rays], start, rng)
                buffers.board[row, column] = self.scene.board[hits.faces[hit_rays]] + 1
        light = buffers.diffuse_factor * _denoise(buffers.diffuse, buffers) + buffers.specular_factor * _denoise(
            buffers.specular, buffers
        )
        covered = (buffers.board > 0)[..., None]
        layers = np.concatenate([tone_map(light) * covered, covered], axis=-1)
        mean = layers.reshape(size, samples, size, samples, 4).mean((1, 3))
        alpha = mean[..., 3:]
        return np.concatenate([np.where(alpha > 0.0, mean[..., :3] / np.maximum(alpha, 1e-9), 1.0), alpha], axis=-1)

    def _shade(
        self,
        buffers: SampleBuffers,
        where: Any,
        surface: SurfacePoints,
        directions: Array,
        start: Array,
        rng: np.random.Generator,
    ) -> None:
        """Write the light at these samples into the buffers, diffuse and specular apart."""
        cosine = np.clip(-np.einsum("nc,nc->n", directions, surface.normals), 0.0, 1.0)
        metal = (surface.gloss > 0.5)[:, None]
        rise = (1.0 - cosine) ** 5 * (1.0 - surface.roughness)
        reflected = (surface.gloss + (1.0 - surface.gloss) * rise)[:, None]
        buffers.diffuse[where] = self._mean_light(surface, start, rng)
        buffers.specular[where] = self._specular_light(surface, directions, start % 1.0, rng)
        buffers.diffuse_factor[where] = surface.colours * np.where(metal, 0.35, 1.0 - reflected)
        buffers.specular_factor[where] = np.where(metal, 0.65 * surface.colours, reflected)
        buffers.normals[where] = surface.normals
        buffers.points[where] = surface.points

    def _mean_light(self, surface: SurfacePoints, start: Array, rng: np.random.Generator) -> Array:
        """Mean light (N, 3) of several paths from each point, spread evenly from `start` (N, 2) on."""
        first_samples = ((start[:, None] + np.arange(PATHS_PER_SAMPLE)[:, None] * R2_STEPS) % 1.0).reshape(-1, 2)
        light = self._trace_paths(
            np.repeat(surface.points, PATHS_PER_SAMPLE, 0),
            np.repeat(surface.normals, PATHS_PER_SAMPLE, 0),
            first_samples,
            rng,
        )
        return np.asarray(light.reshape(-1, PATHS_PER_SAMPLE, 3).mean(1))

    def _trace_paths(self, points: Array, normals: Array, first_samples: Array, rng: np.random.Generator) -> Array:
        """Irradiance over pi (N, 3) at points by path tracing; `first_samples` (N, 2) draw the first bounce."""
        total = np.zeros((len(points), 3))
        weight = np.ones((len(points), 3))
        path = np.arange(len(points))
        for bounce in range(MAX_BOUNCES):
            uniform = first_samples if bounce == 0 else rng.random((len(path), 2))
            total[path] += weight[path] * self._lamp_light(points, normals, uniform)
            directions = _sample_cosine(normals, uniform)
            hits = self._scene_rays.cast(points, directions)
            escaped = hits.faces < 0
            total[path[escaped]] += weight[path[escaped]] * environment_light(directions[escaped])
            hit_rays = np.flatnonzero(~escaped)
            if not len(hit_rays):
                break
            surface = self._surface_points(hits, points, directions, hit_rays)
            path, points, normals = path[hit_rays], surface.points, surface.normals
            weight[path] *= surface.colours
        return total

    def _specular_light(
        self, surface: SurfacePoints, directions: Array, uniform: Array, rng: np.random.Generator
    ) -> Array:
        """Light (N, 3) that a glossy surface reflects, blurred by its roughness (slopes by Beckmann's distribution)."""
        slope = surface.roughness**2 * np.sqrt(-np.log(1.0 - uniform[:, 0]))
        angle = 2.0 * math.pi * uniform[:, 1]
        first, second = _tangents(surface.normals)
        bent = surface.normals + (slope * np.cos(angle))[:, None] * first + (slope * np.sin(angle))[:, None] * second
        bent /= np.linalg.norm(bent, axis=1, keepdims=True)
        towards = directions - 2.0 * np.einsum("nc,nc->n", directions, bent)[:, None] * bent
        inwards = np.minimum(np.einsum("nc,nc->n", towards, surface.normals), 0.0)[:, None]
        towards = towards - 2.0 * inwards * surface.normals
        hits = self._scene_rays.cast(surface.points, towards)
        light = environment_light(towards)
        hit_rays = np.flatnonzero(hits.faces >= 0)
        if len(hit_rays):
            other = self._surface_points(hits, surface.points, towards, hit_rays)
            light[hit_rays] = other.colours * self._mean_light(other, uniform[hit_rays], rng)
        return light

    def _lamp_light(self, points: Array, normals: Array, uniform: Array) -> Array:
        """Direct light of the lamp on points, from one random point of it each, over pi."""
        lamp = self.scene.lamp
        lamp_points = np.array(lamp.corner) + uniform @ np.array(lamp.sides)
        away = lamp_points - points
        squared = np.einsum("nc,nc->n", away, away)
        towards = np.einsum("nc,nc->n", away, normals)
        shines = -(away @ lamp.normal_area)
        light = np.maximum(towards, 0.0) * np.maximum(shines, 0.0) / np.maximum(squared**2, 1e-5) / math.pi
        lit = np.flatnonzero(light > 1e-4)
        light[lit] *= ~self._object_rays.occluded(points[lit], away[lit], 0.999)
        radiance: Array = np.minimum(light, 3.0)[:, None] * np.array(lamp.radiance)
        return radiance

    def _surface_points(self, hits: Hits, origins: Array, directions: Array, hit_rays: Array) -> SurfacePoints:
        """Colours and normals of the hits with these numbers."""
        scene = self.scene
        faces, weights = hits.faces[hit_rays], hits.barycentric[hit_rays].astype(np.float64)
        points = origins[hit_rays] + directions[hit_rays] * hits.depths[hit_rays, None]
        floor = faces >= len(scene.faces)
        safe = np.where(floor, 0, faces)
        corners = scene.faces[safe]
        flat = np.cross(
            scene.vertices[corners[:, 1]] - scene.vertices[corners[:, 0]],
            scene.vertices[corners[:, 2]] - scene.vertices[corners[:, 0]],
        )
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        normals = np.einsum("nkc,nk->nc", scene.normals[corners], weights)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        flat[floor] = normals[floor] = (0.0, 0.0, 1.0)
        turned = np.einsum("nc,nc->n", flat, directions[hit_rays]) > 0.0
        flat[turned] *= -1.0
        normals[turned] *= -1.0
        colours, roughness, gloss = self._evaluate_materials(points, safe)
        colours[floor] = 0.72
        return SurfacePoints(points + RAY_OFFSET * flat, normals, colours, roughness, gloss)

    def _evaluate_materials(self, points: Array, faces: Array) -> tuple[Array, Array, Array]:
        scene = self.scene
        colours, roughness, gloss = np.zeros((len(points), 3)), np.zeros(len(points)), np.zeros(len(points))
        for number, material in enumerate(scene.materials):
            chosen = np.flatnonzero(scene.material[faces] == number)
            if not len(chosen):
                continue
            base = srgb_to_linear(np.array(material.colour) / 255.0) * np.ones((len(chosen), 1))
            chosen_points = points[chosen]
            if material.wood:
                pieces = faces[chosen]
                base = wood_colours(chosen_points, scene.board[pieces], scene.grain[pieces], base, material.wood)
            if material.mottle:
                base = base * (1.0 + material.mottle * (fractal_noise(chosen_points * 90.0, 3) - 0.5)[:, None])
            colours[chosen], roughness[chosen], gloss[chosen] = base, material.roughness, material.gloss
        return colours, roughness, gloss


def _denoise(light: Array, buffers: SampleBuffers) -> Array:
    """Light averaged over neighbours on the same flat piece (an a-trous filter, Dammertz et al. 2010)."""
    for step in (1, 2, 4):
        light = _a_trous_pass(light, buffers.normals, buffers.points, buffers.board, step)
    return light


SPLINE_WEIGHTS = (1.0, 4.0, 6.0, 4.0, 1.0)


@njit(cache=True)
def _edge_weight(normal: Array, point: Array, other_normal: Array, other_point: Array) -> float:
    """Edge-stopping weight: 1 on the same plane, 0 where more than 4 mm off it or round a corner."""
    off, turn = 0.0, 0.0
    for k in range(3):
        off += normal[k] * (other_point[k] - point[k])
        turn += (normal[k] - other_normal[k]) ** 2
    return 0.0 if abs(off) > 0.004 or turn > 0.1 else math.exp(-turn / 0.02)


@njit(cache=True, parallel=True)
def _a_trous_pass(light: Array, normals: Array, points: Array, board: Array, step: int) -> Array:
    result = np.zeros_like(light)
    for i in prange(board.shape[0]):
        for j in range(board.shape[1]):
            if board[i, j] == 0:
                continue
            weights = 0.0
            for a in range(max(-2, -(i // step)), min(2, (board.shape[0] - 1 - i) // step) + 1):
                for b in range(max(-2, -(j // step)), min(2, (board.shape[1] - 1 - j) // step) + 1):
                    y, x = i + a * step, j + b * step
                    if board[y, x] == board[i, j]:
                        same_plane = _edge_weight(normals[i, j], points[i, j], normals[y, x], points[y, x])
                        weight = SPLINE_WEIGHTS[a + 2] * SPLINE_WEIGHTS[b + 2] * same_plane
                        weights += weight
                        result[i, j] += weight * light[y, x]
            result[i, j] /= weights
    return result


def environment_light(directions: Array) -> Array:
    """Light (N, 3) of the studio in these directions: bright walls, a large soft box and a strip behind."""
    up = directions[:, 2:3]
    walls = 0.30 + 0.22 * np.clip(up, 0.0, 1.0) + 0.1 * np.clip(-up, 0.0, 1.0)
    light: Array = walls * np.array([0.97, 0.99, 1.03])
    for azimuth, elevation, width, height, strength, colour in SOFT_BOXES:
        light = light + _soft_box(directions, azimuth, elevation, width, height) * strength * np.array(colour)
    return light


# azimuth, elevation, half width, half height in degrees, strength, colour
SOFT_BOXES = (
    (-38.0, 42.0, 30.0, 24.0, 5.4, (1.0, 0.965, 0.91)),  # key, from the left of the front
    (150.0, 38.0, 34.0, 20.0, 2.6, (0.95, 0.98, 1.05)),  # behind, for the staff's side
    (68.0, 30.0, 16.0, 26.0, 1.3, (1.0, 1.0, 1.0)),  # fill for the right end
    (-105.0, 35.0, 16.0, 26.0, 1.0, (1.0, 1.0, 1.0)),  # and the left one
)


def _soft_box(directions: Array, azimuth: float, elevation: float, width: float, height: float) -> Array:
    """1 inside a soft box, 0 outside, a soft edge between; (N, 1)."""
    a, e = math.radians(azimuth), math.radians(elevation)
    centre = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = np.array([-math.sin(a), math.cos(a), 0.0])
    ahead = directions @ centre
    x = np.degrees(np.arctan2(directions @ right, ahead))
    y = np.degrees(np.arctan2(directions @ np.cross(centre, right), ahead))
    inside = np.clip((width - np.abs(x)) / 6.0 + 0.5, 0.0, 1.0) * np.clip((height - np.abs(y)) / 6.0 + 0.5, 0.0, 1.0)
    return np.asarray((inside * (ahead > 0.0))[:, None])


def srgb_to_linear(srgb: Array) -> Array:
    """From sRGB in [0, 1] to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def tone_map(light: Array) -> Array:
    """From linear light to sRGB in [0, 1]; a soft shoulder keeps highlights from clipping."""
    exposed = 1.0 * light
    rolled = np.clip(exposed * (1.0 + exposed / 4.0) / (1.0 + 0.62 * exposed), 0.0, 1.0)
    return np.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled ** (1.0 / 2.4) - 0.055)


def _tangents(normals: Array) -> tuple[Array, Array]:
    """Two directions (N, 3) each that complete a frame."""
    other = np.where(np.abs(normals[:, 2:]) < 0.9, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    first = np.cross(normals, other)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(normals, first)


def _sample_cosine(normals: Array, uniform: Array) -> Array:
    """Directions (N, 3) around normals with the density of the cosine."""
    angle, z = 2.0 * math.pi * uniform[:, 0], 2.0 * uniform[:, 1] - 1.0
    radius = np.sqrt(np.maximum(1.0 - z * z, 0.0))
    ball = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    sum_ = normals + 0.999 * ball
    return np.asarray(sum_ / np.linalg.norm(sum_, axis=1, keepdims=True))

"""A small photo studio: paths through Embree, soft boxes in a bright room, procedural wood, lacquer, brass and leaves.

Light is linear here; `develop` turns it into sRGB. Points are metres in the object's own frame, z up, the floor at 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from meshcli.meshes.raycasting import Hits, Scene
from meshcli.views.camera import Camera
from meshcli.views.projection import pixel_centres, rays

Array = NDArray[Any]

SHIFT = 2e-4  # metres that a ray starts off the surface
BOUNCES = 4
PATHS = 5  # per sample of a pixel
_R2 = np.array([0.7548776662466927, 0.5698402909980532])  # steps of an evenly spread sequence (Roberts 2018)


@dataclass(frozen=True)
class Material:
    """How a surface looks; `wood` and `mottle` vary the colour from place to place."""

    colour: tuple[int, int, int]  # sRGB
    roughness: float = 0.4  # of the gloss
    gloss: float = 0.04  # reflected at normal incidence; 1 is a metal, tinted with its colour
    wood: float = 0.0  # contrast of the grain
    mottle: float = 0.0  # contrast of small random spots


@dataclass(frozen=True)
class Strip:
    """A lamp: a rectangle that shines along its normal."""

    corner: tuple[float, float, float]
    sides: tuple[tuple[float, float, float], tuple[float, float, float]]
    radiance: tuple[float, float, float]

    @property
    def normal_area(self) -> Array:
        """The normal times the area."""
        return np.cross(*np.array(self.sides))


@dataclass(frozen=True)
class Stage:
    """Everything that stands in the studio: triangles with corner normals, a material and a grain per face."""

    vertices: Array  # (V, 3)
    normals: Array  # (V, 3)
    faces: Array  # (F, 3)
    material: Array  # (F,) rows of `materials`
    board: Array  # (F,) number of the piece of wood that the face was cut from
    grain: Array  # (F,) axis along which the wood grew
    materials: Sequence[Material]
    strip: Strip


@dataclass(frozen=True)
class Surface:
    """Where rays met something: all (N, ...) of the rays that did."""

    points: Array  # (N, 3)
    normals: Array  # (N, 3) towards the viewer
    colours: Array  # (N, 3) linear
    roughness: Array  # (N,)
    gloss: Array  # (N,)


@dataclass(frozen=True)
class Film:
    """What is kept for every sample (H, W, ...) until the picture is developed."""

    diffuse: Array  # (H, W, 3) light that falls on the surface
    mirror: Array  # (H, W, 3) light that its gloss throws back
    paint: Array  # (H, W, 3) factor of `diffuse`
    tint: Array  # (H, W, 3) factor of `mirror`
    normals: Array  # (H, W, 3)
    points: Array  # (H, W, 3)
    piece: Array  # (H, W) number of the piece that is seen, 0 for none


class Studio:
    """The stage on an invisible white floor, ready for pictures."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._alone = Scene(stage.vertices, stage.faces)
        floor = np.array([[-30, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]], dtype=np.float64)
        count = len(stage.vertices)
        faces = np.array([[0, 1, 2], [0, 2, 3]]) + count
        self._all = Scene(np.concatenate([stage.vertices, floor]), np.concatenate([stage.faces, faces]))

    def photograph(self, camera: Camera, size: int, samples: int, rng: np.random.Generator) -> Array:
        """RGBA (size, size, 4) in [0, 1], straight alpha; the camera is in the stage's metres."""
        side = size * samples
        film = Film(*(np.zeros((side, side, 3), np.float32) for _ in range(6)), np.zeros((side, side), np.int16))
        shift = rng.random((size, size, 2))  # of each pixel's evenly spread paths
        rows = max(samples, 60_000 // (side * samples) * samples)
        for top in range(0, side, rows):
            height = min(rows, side - top)
            pixels = pixel_centres(side, height) + np.array([0.0, top])
            origins, directions = rays(camera, pixels, side, side)
            hits = self._alone.cast(origins.reshape(-1, 3), directions.reshape(-1, 3))
            row, column = np.divmod(np.flatnonzero(hits.faces >= 0) + top * side, side)
            if len(row):
                met = (row - top) * side + column
                place = self._surface(hits, origins.reshape(-1, 3), directions.reshape(-1, 3), met)
                number = row % samples * samples + column % samples
                start = number[:, None] * PATHS * _R2 + shift[row // samples, column // samples]
                self._expose(film, (row, column), place, directions.reshape(-1, 3)[met], start, rng)
                film.piece[row, column] = self.stage.board[hits.faces[met]] + 1
        light = film.paint * _calm(film.diffuse, film) + film.tint * _calm(film.mirror, film)
        covered = (film.piece > 0)[..., None]
        layers = np.concatenate([develop(light) * covered, covered], axis=-1)
        mean = layers.reshape(size, samples, size, samples, 4).mean((1, 3))
        alpha = mean[..., 3:]
        return np.concatenate([np.where(alpha > 0.0, mean[..., :3] / np.maximum(alpha, 1e-9), 1.0), alpha], axis=-1)

    def _expose(
        self, film: Film, where: Any, place: Surface, directions: Array, start: Array, rng: np.random.Generator
    ) -> None:
        """Write the light at these places of the film, diffuse and glossy apart."""
        cosine = np.clip(-np.einsum("nc,nc->n", directions, place.normals), 0.0, 1.0)
        metal = (place.gloss > 0.5)[:, None]
        rise = (1.0 - cosine) ** 5 * (1.0 - place.roughness)
        reflected = (place.gloss + (1.0 - place.gloss) * rise)[:, None]
        film.diffuse[where] = self._fan(place, start, rng)
        film.mirror[where] = self._reflect(place, directions, start % 1.0, rng)
        film.paint[where] = place.colours * np.where(metal, 0.35, 1.0 - reflected)
        film.tint[where] = np.where(metal, 0.65 * place.colours, reflected)
        film.normals[where] = place.normals
        film.points[where] = place.points

    def _fan(self, place: Surface, start: Array, rng: np.random.Generator) -> Array:
        """Mean light (N, 3) of several paths from each point, spread evenly from `start` (N, 2) on."""
        even = ((start[:, None] + np.arange(PATHS)[:, None] * _R2) % 1.0).reshape(-1, 2)
        light = self._gather(np.repeat(place.points, PATHS, 0), np.repeat(place.normals, PATHS, 0), even, rng)
        return np.asarray(light.reshape(-1, PATHS, 3).mean(1))

    def _gather(self, points: Array, normals: Array, even: Array, rng: np.random.Generator) -> Array:
        """Mean light (N, 3) that falls on points, weighted with the cosine: path tracing."""
        total = np.zeros((len(points), 3))
        weight = np.ones((len(points), 3))
        alive = np.arange(len(points))
        for bounce in range(BOUNCES):
            uniform = even if bounce == 0 else rng.random((len(alive), 2))
            total[alive] += weight[alive] * self._lamp(points, normals, uniform)
            directions = _cosine(normals, uniform)
            hits = self._all.cast(points, directions)
            missed = hits.faces < 0
            total[alive[missed]] += weight[alive[missed]] * room(directions[missed])
            met = np.flatnonzero(~missed)
            if not len(met):
                break
            place = self._surface(hits, points, directions, met)
            alive, points, normals = alive[met], place.points, place.normals
            weight[alive] *= place.colours
        return total

    def _reflect(self, place: Surface, directions: Array, uniform: Array, rng: np.random.Generator) -> Array:
        """Light (N, 3) that a glossy surface throws back, blurred by its roughness (Beckmann's slopes)."""
        slope = place.roughness**2 * np.sqrt(-np.log(1.0 - uniform[:, 0]))
        angle = 2.0 * math.pi * uniform[:, 1]
        first, second = _tangents(place.normals)
        bent = place.normals + (slope * np.cos(angle))[:, None] * first + (slope * np.sin(angle))[:, None] * second
        bent /= np.linalg.norm(bent, axis=1, keepdims=True)
        towards = directions - 2.0 * np.einsum("nc,nc->n", directions, bent)[:, None] * bent
        inwards = np.minimum(np.einsum("nc,nc->n", towards, place.normals), 0.0)[:, None]
        towards = towards - 2.0 * inwards * place.normals
        hits = self._all.cast(place.points, towards)
        light = room(towards)
        met = np.flatnonzero(hits.faces >= 0)
        if len(met):
            other = self._surface(hits, place.points, towards, met)
            light[met] = other.colours * self._fan(other, uniform[met], rng)
        return light

    def _lamp(self, points: Array, normals: Array, uniform: Array) -> Array:
        """Light of the strip on points, one place of it each, over pi."""
        strip = self.stage.strip
        place = np.array(strip.corner) + uniform @ np.array(strip.sides)
        away = place - points
        squared = np.einsum("nc,nc->n", away, away)
        towards = np.einsum("nc,nc->n", away, normals)
        shines = -(away @ strip.normal_area)
        light = np.maximum(towards, 0.0) * np.maximum(shines, 0.0) / np.maximum(squared**2, 1e-5) / math.pi
        lit = np.flatnonzero(light > 1e-4)
        light[lit] *= ~self._alone.occluded(points[lit], away[lit], 0.999)
        return np.minimum(light, 3.0)[:, None] * np.array(strip.radiance)

    def _surface(self, hits: Hits, origins: Array, directions: Array, met: Array) -> Surface:
        """Colours and normals of the hits with these numbers."""
        stage = self.stage
        faces, weights = hits.faces[met], hits.barycentric[met].astype(np.float64)
        points = origins[met] + directions[met] * hits.depths[met, None]
        floor = faces >= len(stage.faces)
        safe = np.where(floor, 0, faces)
        corners = stage.faces[safe]
        flat = np.cross(
            stage.vertices[corners[:, 1]] - stage.vertices[corners[:, 0]],
            stage.vertices[corners[:, 2]] - stage.vertices[corners[:, 0]],
        )
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        normals = np.einsum("nkc,nk->nc", stage.normals[corners], weights)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        flat[floor] = normals[floor] = (0.0, 0.0, 1.0)
        turned = np.einsum("nc,nc->n", flat, directions[met]) > 0.0
        flat[turned] *= -1.0
        normals[turned] *= -1.0
        colours, roughness, gloss = self._paint(points, safe)
        colours[floor] = 0.72
        return Surface(points + SHIFT * flat, normals, colours, roughness, gloss)

    def _paint(self, points: Array, faces: Array) -> tuple[Array, Array, Array]:
        stage = self.stage
        colours, roughness, gloss = np.zeros((len(points), 3)), np.zeros(len(points)), np.zeros(len(points))
        for number, material in enumerate(stage.materials):
            chosen = np.flatnonzero(stage.material[faces] == number)
            if not len(chosen):
                continue
            base = linear(np.array(material.colour) / 255.0) * np.ones((len(chosen), 1))
            spots = points[chosen]
            if material.wood:
                pieces = faces[chosen]
                base = oak(spots, stage.board[pieces], stage.grain[pieces], base, material.wood)
            if material.mottle:
                base = base * (1.0 + material.mottle * (_fractal(spots * 90.0, 3) - 0.5)[:, None])
            colours[chosen], roughness[chosen], gloss[chosen] = base, material.roughness, material.gloss
        return colours, roughness, gloss


def _calm(light: Array, film: Film) -> Array:
    """Light averaged over neighbours on the same flat piece (an a-trous filter, Dammertz et al. 2010)."""
    for step in (1, 2, 4):
        light = _average(light, film.normals, film.points, film.piece, step)
    return light


_SPLINE = (1.0, 4.0, 6.0, 4.0, 1.0)


@njit(cache=True)
def _alike(normal: Array, point: Array, other: Array, place: Array) -> float:
    """1 on the same plane, 0 more than 4 mm off it or round a corner."""
    off, turn = 0.0, 0.0
    for k in range(3):
        off += normal[k] * (place[k] - point[k])
        turn += (normal[k] - other[k]) ** 2
    return 0.0 if abs(off) > 0.004 or turn > 0.1 else math.exp(-turn / 0.02)


@njit(cache=True, parallel=True)
def _average(light: Array, normals: Array, points: Array, piece: Array, step: int) -> Array:
    result = np.zeros_like(light)
    for i in prange(piece.shape[0]):
        for j in range(piece.shape[1]):
            if piece[i, j] == 0:
                continue
            weights = 0.0
            for a in range(max(-2, -(i // step)), min(2, (piece.shape[0] - 1 - i) // step) + 1):
                for b in range(max(-2, -(j // step)), min(2, (piece.shape[1] - 1 - j) // step) + 1):
                    y, x = i + a * step, j + b * step
                    if piece[y, x] == piece[i, j]:
                        alike = _alike(normals[i, j], points[i, j], normals[y, x], points[y, x])
                        weight = _SPLINE[a + 2] * _SPLINE[b + 2] * alike
                        weights += weight
                        result[i, j] += weight * light[y, x]
            result[i, j] /= weights
    return result


def room(directions: Array) -> Array:
    """Light (N, 3) of the studio in these directions: bright walls, a large soft box and a strip behind."""
    up = directions[:, 2:3]
    walls = 0.30 + 0.22 * np.clip(up, 0.0, 1.0) + 0.1 * np.clip(-up, 0.0, 1.0)
    light = walls * np.array([0.97, 0.99, 1.03])
    for azimuth, elevation, width, height, strength, colour in _BOXES:
        light = light + _box(directions, azimuth, elevation, width, height) * strength * np.array(colour)
    return light


# azimuth, elevation, half width, half height in degrees, strength, colour
_BOXES = (
    (-38.0, 42.0, 30.0, 24.0, 5.4, (1.0, 0.965, 0.91)),  # key, from the left of the front
    (150.0, 38.0, 34.0, 20.0, 2.6, (0.95, 0.98, 1.05)),  # behind, for the staff's side
    (68.0, 30.0, 16.0, 26.0, 1.3, (1.0, 1.0, 1.0)),  # fill for the right end
    (-105.0, 35.0, 16.0, 26.0, 1.0, (1.0, 1.0, 1.0)),  # and the left one
)


def _box(directions: Array, azimuth: float, elevation: float, width: float, height: float) -> Array:
    """1 inside a soft box, 0 outside, a soft edge between; (N, 1)."""
    a, e = math.radians(azimuth), math.radians(elevation)
    centre = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = np.array([-math.sin(a), math.cos(a), 0.0])
    ahead = directions @ centre
    x = np.degrees(np.arctan2(directions @ right, ahead))
    y = np.degrees(np.arctan2(directions @ np.cross(centre, right), ahead))
    inside = np.clip((width - np.abs(x)) / 6.0 + 0.5, 0.0, 1.0) * np.clip((height - np.abs(y)) / 6.0 + 0.5, 0.0, 1.0)
    return np.asarray((inside * (ahead > 0.0))[:, None])


def oak(points: Array, board: Array, grain: Array, base: Array, contrast: float) -> Array:
    """Colours (N, 3) of boards sawn from logs: growth rings around a wavy pith, fibres, pores."""
    draw = np.random.default_rng(7).random((256, 6))[board % 256]
    local = np.take_along_axis(points, (grain[:, None] + np.arange(3)) % 3, axis=1)  # along, across, across
    along = local[:, 0] + 7.0 * draw[:, 0]
    wave = np.stack([along * 0.9, 9.0 * draw[:, 1], 3.0 * draw[:, 2]], axis=1)
    slow = np.stack([_fractal(wave, 2) - 0.5, _fractal(wave + 31.0, 2) - 0.5], axis=1)
    centre = np.stack([draw[:, 3] * 0.16 - 0.08, 0.05 + 0.10 * draw[:, 4]], axis=1)
    across = local[:, 1:] - np.round(local[:, 1:] / 0.9) * 0.9
    radius = np.linalg.norm(across - centre + 0.16 * slow, axis=1)
    texture = np.concatenate([along[:, None] * 3.0, local[:, 1:] * 26.0 + 5.0 * draw[:, 5:]], axis=1)
    years = np.stack([radius * 9.0, 40.0 * draw[:, 1], 40.0 * draw[:, 5]], axis=1)
    rings = radius * 58.0 + 4.0 * _fractal(years, 2) + 1.3 * _fractal(texture * np.array([0.5, 0.5, 0.5]), 2)
    phase = rings % 1.0
    late = np.clip(phase, 0.0, 0.86) / 0.86 - np.clip((phase - 0.86) / 0.14, 0.0, 1.0)  # slow rise, quick fall
    fibre = _fractal(np.concatenate([along[:, None] * 5.0, local[:, 1:] * 170.0], axis=1), 2) - 0.5
    cloud = _fractal(texture * 0.25, 2) - 0.5
    darkness = 0.42 * late**2 + 0.55 * fibre + 0.5 * cloud + 0.35 * (draw[:, 2] - 0.5)
    shade = np.exp(-contrast * darkness)[:, None]
    return np.asarray(np.clip(base * shade ** np.array([0.85, 1.05, 1.3]), 0.0, 0.95))  # darker wood is redder


def linear(srgb: Array) -> Array:
    """From sRGB in [0, 1] to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def develop(light: Array) -> Array:
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


def _cosine(normals: Array, uniform: Array) -> Array:
    """Directions (N, 3) around normals with the density of the cosine."""
    angle, z = 2.0 * math.pi * uniform[:, 0], 2.0 * uniform[:, 1] - 1.0
    radius = np.sqrt(np.maximum(1.0 - z * z, 0.0))
    ball = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    sum_ = normals + 0.999 * ball
    return np.asarray(sum_ / np.linalg.norm(sum_, axis=1, keepdims=True))


@njit(cache=True)
def _fractal(points: Array, octaves: int) -> Array:
    """Smooth value noise in about [0, 1], the sum of octaves."""
    result = np.zeros(len(points))
    for n in range(len(points)):
        size, total = 0.5, 0.0
        x, y, z = points[n]
        for _ in range(octaves):
            i, j, k = math.floor(x), math.floor(y), math.floor(z)
            a, b, c = x - i, y - j, z - k
            a, b, c = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
            for corner in range(8):
                p, q, r = corner & 1, corner >> 1 & 1, corner >> 2
                weight = (a if p else 1 - a) * (b if q else 1 - b) * (c if r else 1 - c)
                h = (int(i) + p) * 374761393 + (int(j) + q) * 668265263 + (int(k) + r) * 2147483647
                h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
                h = (h ^ (h >> 16)) & 0xFFFF
                total += size * weight * h / 65535.0
            size *= 0.5
            x, y, z = 2.03 * x + 11.7, 2.03 * y + 5.1, 2.03 * z + 3.3
        result[n] = total / (1.0 - 2.0 * size)
    return result

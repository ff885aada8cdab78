"""Render a mesh in one grey under fixed lamps ("clay"): the shape without its colours, for pictures and comparisons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, corner_normals
from meshcli.meshes.raycasting import Scene
from meshcli.views.camera import Camera
from meshcli.views.projection import camera_to_world, pixel_centres, rays

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """Brightness = ambient + sky (1 + n.z) / 2 + the sum of strength max(0, n . direction) over the lamps."""

    ambient: float
    sky: float = 0.0
    lamps: tuple[tuple[Vector, float], ...] = ()  # direction towards it (x right, y up, z to the viewer), strength


# One strong lamp from the side: a slope of a tenth of a pixel still changes the grey.
CLAY = Lighting(0.24, 0.22, (((-0.7, 0.5, 0.55), 0.6), ((0.8, 0.1, 0.5), 0.14)))


def render_clay(
    mesh: Mesh, camera: Camera, width: int, height: int, samples: int = 3, grey: int = 222, lighting: Lighting = CLAY
) -> NDArray[np.uint8]:
    """RGBA (height, width, 4), straight alpha, white where nothing is seen; samples x samples rays in every pixel."""
    origins, directions = (part.reshape(-1, 3) for part in rays(camera, _sample_points(width, height, samples), 1, 1))
    hits = Scene(mesh.vertices, mesh.faces).cast(origins, directions)
    met = np.flatnonzero(hits.faces >= 0)
    normals = np.einsum(
        "nk,nkc->nc", hits.barycentric[met], corner_normals(mesh.vertices, mesh.faces)[hits.faces[met]], dtype=float
    )
    light = np.zeros(len(directions))
    light[met] = np.minimum(grey * _brightness(normals, directions[met], camera, lighting), 255.0)
    count = (hits.faces >= 0).reshape(-1, samples**2).sum(axis=1)
    mean = light.reshape(-1, samples**2).sum(axis=1) / np.maximum(count, 1)
    colour = np.where(count > 0, np.floor(mean + 0.5), 255)
    alpha = np.floor(255.0 * count / samples**2 + 0.5)
    return np.stack([colour, colour, colour, alpha], axis=-1).astype(np.uint8).reshape(height, width, 4)


def _sample_points(width: int, height: int, samples: int) -> Array:
    """Points of a regular grid in every pixel, as fractions of the picture: (height, width, samples, samples, 2)."""
    fine = pixel_centres(width * samples, height * samples) / np.array([width * samples, height * samples])
    points: Array = fine.reshape(height, samples, width, samples, 2).swapaxes(1, 2)
    return points


def _brightness(normals: Array, directions: Array, camera: Camera, lighting: Lighting) -> Array:
    """Factors (N,) for surfaces that are seen from the side the rays come from; both (N, 3) in the world."""
    facing = np.einsum("nc,nc->n", normals, directions)
    normals = normals * (np.where(facing > 0.0, -1.0, 1.0) / (np.linalg.norm(normals, axis=1) + 1e-20))[:, None]
    factor = lighting.ambient + lighting.sky * 0.5 * (1.0 + normals[:, 2])
    for direction, strength in lighting.lamps:
        towards = camera_to_world(camera)[:3, :3] @ (np.array(direction) / np.linalg.norm(direction))
        factor = factor + strength * np.maximum(normals @ towards, 0.0)
    return np.asarray(factor)

"""Find the similarity that puts the object that foreign cameras look at into our world, from its silhouettes.

Up is the direction that the cameras' horizontal axes are perpendicular to: nobody tilts a tripod sideways. The object
is upright then, its visual hull's bounding box is centred at the origin, and its farthest point lies at 0.95. Azimuth 0
stays on the foreign x axis, or on the axis that is forward where x is not horizontal.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt

from meshcli.arrays import Float64Array
from meshcli.views.camera import OBJECT_RADIUS
from meshcli.views.projection import camera_to_world, project, rays
from meshcli.views.view import View
from meshcli.views.world_transform import Vector, WorldTransform, parse_axis

GRID_POINTS = 72  # along a side of the carved grid, by choice: 373k points, a voxel of 3 % of the object's radius
CARVING_TOLERANCE = 1.0  # voxels by which silhouettes grow before they carve, lest thin parts fall between grid points
UP_AXIS_COSINE = np.cos(np.radians(3.0))  # a foreign axis within 3 degrees of up is up, by choice: tripods are no truer
# Beyond these the estimated up axis is called a guess, by choice: tripods stand nearer to upright, and photos from
# nearly one side (within about 8 degrees) leave up to their cameras.
MAX_TILT = np.sin(np.radians(15.0))
MIN_SPREAD = 0.02  # of the cameras' horizontal axes: the second eigenvalue of their covariance
MAX_STEEPNESS = np.sin(np.radians(60.0))
MARGIN = 1.2  # radius of the grid relative to the object's: what the silhouettes cut must lie inside


def find_world_transform(photos: Sequence[View], up: str = "") -> WorldTransform:
    """The similarity for foreign photos with silhouettes; `up` names a foreign axis, or is empty to find it."""
    rotation = _world_axes(photos, up)
    centre, radius = _rough_bounds(photos)
    for _ in range(2):  # the first grid may be far too large
        inside = _carved(photos, centre, radius) @ rotation.T
        if not len(inside):
            break
        low, high = inside.min(axis=0), inside.max(axis=0)
        centre = rotation.T @ ((low + high) / 2.0)
        voxel = 2.0 * radius / (GRID_POINTS - 1)
        radius = MARGIN * (float(np.linalg.norm(inside - (low + high) / 2.0, axis=1).max()) - 0.5 * voxel)
    scale = OBJECT_RADIUS * MARGIN / radius
    translation = -scale * rotation @ centre
    rows = tuple(_to_vector(row) for row in rotation)
    return WorldTransform(float(scale), (rows[0], rows[1], rows[2]), _to_vector(translation))


def doubt_about_up(photos: Sequence[View], up: Vector) -> str:
    """Why an up axis that was estimated from the cameras may be wrong; empty where nothing speaks against it."""
    poses = np.stack([camera_to_world(photo.camera)[:3] for photo in photos])
    sideways, upwards, backwards = poses[..., 0], poses[..., 1] @ np.array(up), poses[..., 2] @ np.array(up)
    if np.abs(backwards).mean() > MAX_STEEPNESS:
        return "the cameras look mostly along it"
    if upwards.min() < 0.0:
        return "some cameras are upside down in it"
    if np.linalg.eigvalsh(sideways.T @ sideways)[1] < MIN_SPREAD * len(photos):
        return "all photos are from one side"
    return "some cameras are tilted sideways in it" if np.abs(sideways @ up).max() > MAX_TILT else ""


def _world_axes(photos: Sequence[View], up: str) -> Float64Array:
    """Our axes in foreign coordinates, as rows (3, 3)."""
    z = np.array(parse_axis(up), dtype=float) if up else _find_up(photos)
    # The axis before the vertical one is forward: x for z up, z for y up, as in (x, y, z) -> (z, x, y).
    forward = np.eye(3)[(int(np.abs(z).argmax()) + 1) % 3]
    x = forward - (forward @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _find_up(photos: Sequence[View]) -> Float64Array:
    """The unit vector perpendicular to the cameras' horizontal axes, snapped to a foreign axis nearby."""
    poses = [camera_to_world(photo.camera) for photo in photos]
    sideways = np.stack([pose[:3, 0] for pose in poses])
    upwards = np.mean([pose[:3, 1] for pose in poses], axis=0)
    values, vectors = np.linalg.eigh(sideways.T @ sideways)
    # All from one side: many directions are perpendicular, and the mean of the cameras' up axes is the best guess.
    found = vectors[:, 0] if values[1] > 1e-3 * len(photos) else upwards
    found = found * (1.0 if found @ upwards >= 0.0 else -1.0)
    found /= np.linalg.norm(found)
    axis = np.zeros(3)
    axis[np.abs(found).argmax()] = np.sign(found[np.abs(found).argmax()])
    return axis if found @ axis > UP_AXIS_COSINE else found


def _rough_bounds(photos: Sequence[View]) -> tuple[Float64Array, float]:
    """The point nearest to the rays through the silhouettes' centres, and a radius that encloses all silhouettes."""
    matrix, right, sizes = np.zeros((3, 3)), np.zeros(3), []
    for photo in photos:
        rows, columns = np.nonzero(photo.pixels[..., 3] >= 128)
        middle = np.array([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])
        origin, direction = rays(photo.camera, middle, photo.width, photo.height)
        across = np.eye(3) - np.outer(direction, direction)
        matrix += across
        right += across @ origin
        width = (columns.max() + 1 - columns.min()) / photo.width / photo.camera.fx
        height = (rows.max() + 1 - rows.min()) / photo.height / photo.camera.fy
        sizes.append((origin, direction, np.hypot(width, height)))
    if len(photos) == 1 or np.linalg.eigvalsh(matrix)[0] < 1e-6:  # one direction only: the distance is free
        origin, direction, size = sizes[0]
        return origin + direction, float(size) / 2.0
    centre = np.linalg.solve(matrix, right).astype(np.float64)
    return centre, max(float(np.linalg.norm(centre - origin)) * size / 2.0 for origin, _, size in sizes)


def _carved(photos: Sequence[View], centre: Float64Array, radius: float) -> Float64Array:
    """Points of a grid around the centre that project into all silhouettes, (N, 3)."""
    axis = np.linspace(-radius, radius, GRID_POINTS)
    points = centre + np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    for photo in photos:
        away = distance_transform_edt(photo.pixels[..., 3] < 128)
        place, depth = project(photo.camera, points, photo.width, photo.height)
        column, row = np.floor(place).astype(int).T
        seen = (depth > 0) & (column >= 0) & (column < photo.width) & (row >= 0) & (row < photo.height)
        grown = CARVING_TOLERANCE * (axis[1] - axis[0]) / np.maximum(depth, 1e-9) * photo.camera.fy * photo.height
        inside = np.zeros(len(points), bool)  # a framed photo shows the whole object: beyond it there is none
        inside[seen] = away[row[seen], column[seen]] <= grown[seen]
        points = points[inside]
    return points


def _to_vector(values: Float64Array) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z

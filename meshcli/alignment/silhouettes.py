"""Bring photos whose cameras are only roughly known into one world, by their silhouettes.

If the cameras are right, the visual hull of all silhouettes fills each of them: every ray through a silhouette passes
through a point that all other photos see inside theirs. What is missing to that, measured at the silhouettes' rims, is
made small by moving, scaling and turning the photos a little (least squares with numerical derivatives).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares

from meshcli.arrays import Float64Array
from meshcli.pictures.image import resize
from meshcli.sdf.grid import Field, Grid, silhouette_distance
from meshcli.system.sparse_solve import ensure_openblas_buffer
from meshcli.views.camera import FARTHEST, Camera, Rows
from meshcli.views.projection import camera_to_world, project, rays
from meshcli.views.view import View

SIZE = 256  # pixels along the longer side of a silhouette
RIM = 120  # rays per photo
STEPS = 64  # samples along a ray
REACH = 1.4  # world units before and behind the origin where the object may be
# How far a photo may reasonably be from what was said: log of scale, right, up (of the picture), elevation, azimuth.
TRUST = np.array([0.5, 0.2, 0.2, np.radians(8.0), np.radians(4.0)])
GOOD = 0.0008  # of the object's size: photos that miss by less are left alone
NEAR = 0.75  # voxels from a body at which a node counts as its own: not even a wire slips between such nodes
UNIT = 0.01  # world units: a ray that misses the hull by this costs as much as leaving what was said by TRUST


@dataclass(frozen=True)
class Alignment:
    """Photos with corrected cameras."""

    photos: list[View]
    before: float  # by how much rays through the rims miss the hull, over the object's size, mean
    after: float


@dataclass(frozen=True)
class _Outline:
    """One photo's silhouette and its rim."""

    distance: Float64Array  # (H, W) pixels from the edge, positive inside
    rim: Float64Array  # (N, 2) pixel positions just inside


def align(photos: Sequence[View]) -> Alignment:
    """Correct the cameras of the photos that are not calibrated; they stay as they are when they fit already."""
    outlines = [_outline(photo) for photo in photos]
    free = [index for index, photo in enumerate(photos) if photo.camera.known != "rig"]
    stated = [photo.camera for photo in photos]
    before = misfit(photos, stated, outlines)
    if before < GOOD or not free:
        return Alignment(list(photos), before, before)
    start = _matched_heights(photos, free) if len(free) == len(photos) else np.zeros((len(free), 5))

    def cameras(values: Float64Array) -> list[Camera]:
        moved = list(stated)
        for index, change in zip(free, values.reshape(-1, 5), strict=True):
            moved[index] = _moved(stated[index], change)
        return moved

    def cost(values: Float64Array) -> Float64Array:
        missing = _missing(cameras(values), outlines) / UNIT
        return np.concatenate([missing / np.sqrt(RIM), ((values.reshape(-1, 5) - start) / TRUST * 0.1).ravel()])

    ensure_openblas_buffer()
    found = least_squares(cost, start.ravel(), diff_step=np.array(1e-3), max_nfev=25, x_scale=np.tile(TRUST, len(free)))
    moved = [replace(camera, known="aligned") for camera in cameras(found.x)]
    after = misfit(photos, moved, outlines)
    placed = [replace(photo, camera=moved[i] if i in free else photo.camera) for i, photo in enumerate(photos)]
    return Alignment(placed, before, after)


def recentred(photos: Sequence[View], body: Callable[[Grid], Field]) -> list[View]:
    """The photos in a world where the body's box is centred at the origin and its farthest point is at 0.95."""
    grid = Grid.around(np.full(3, -1.6), np.full(3, 1.6), 80, 1)
    inside = grid.to_world(np.argwhere(body(grid) < NEAR).astype(np.float64))
    if not len(inside):
        return list(photos)
    centre = (inside.min(axis=0) + inside.max(axis=0)) / 2.0
    reach = np.linalg.norm(inside - centre, axis=1).max()
    scale = FARTHEST / (reach - (NEAR - 0.5) * grid.voxel)  # the last node is up to a voxel away from the next
    moved = []
    for photo in photos:
        pose = camera_to_world(photo.camera)
        pose[:3, 3] = scale * (pose[:3, 3] - centre)
        moved.append(replace(photo, camera=replace(photo.camera, camera_to_world=_rows(pose))))
    return moved


def misfit(
    photos: Sequence[View], cameras: Sequence[Camera] | None = None, outlines: Sequence[_Outline] | None = None
) -> float:
    """By how much rays through the silhouettes' rims miss the visual hull, over the object's size (2 units), mean."""
    cameras = cameras or [photo.camera for photo in photos]
    return float(_missing(cameras, outlines or [_outline(photo) for photo in photos]).mean() / 2.0)


def _missing(cameras: Sequence[Camera], outlines: Sequence[_Outline]) -> Float64Array:
    """For every rim ray of every photo, how far its best point is outside of another silhouette, in world units."""
    reach = np.linspace(-REACH, REACH, STEPS)
    missing = []
    for index, (camera, outline) in enumerate(zip(cameras, outlines, strict=True)):
        height, width = outline.distance.shape
        origins, directions = rays(camera, outline.rim, width, height)
        nearest = -(origins * directions).sum(axis=-1, keepdims=True)
        points = origins[:, None] + (nearest + reach)[..., None] * directions[:, None]
        inside = np.full(points.shape[:2], np.inf)
        for other, (second, seen) in enumerate(zip(cameras, outlines, strict=True)):
            if other != index:
                inside = np.minimum(inside, _inside(second, seen, points))
        missing.append(np.maximum(-inside.max(axis=1), 0.0))
    return np.concatenate(missing)


def _inside(camera: Camera, outline: _Outline, points: Float64Array) -> Float64Array:
    """How far points (..., 3) are inside a silhouette's cone, in world units."""
    height, width = outline.distance.shape
    where, depth = project(camera, points, width, height)
    place = np.moveaxis(where[..., ::-1] - 0.5, -1, 0)
    limit = np.array([height - 1.0, width - 1.0]).reshape(2, *[1] * (place.ndim - 1))
    within = place.clip(0.0, limit)
    beyond = np.sqrt(((place - within) ** 2).sum(axis=0))
    inside: Float64Array = (map_coordinates(outline.distance, within, order=1) - beyond) * depth / (camera.fy * height)
    return inside


def _outline(photo: View) -> _Outline:
    scale = min(1.0, SIZE / max(photo.width, photo.height))
    small = resize(photo.pixels, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    alpha = np.round(small[..., 3] * (255.0 / max(int(small[..., 3].max()), 1))).astype(np.uint8)  # of a wire, too
    distance = silhouette_distance(alpha, enlarge=1).astype(np.float64)
    rows, columns = np.nonzero((distance > min(0.6, 0.9 * distance.max())) & (distance <= 1.6))
    chosen = np.linspace(0, len(rows) - 1, min(RIM, len(rows))).astype(int)
    return _Outline(distance, np.stack([columns[chosen], rows[chosen]], axis=-1) + 0.5)


def _matched_heights(photos: Sequence[View], free: Sequence[int]) -> Float64Array:
    """Changes (N, 5) after which all boxes are equally high and centred: photos are framed each on its own."""
    boxes = []
    for index in free:
        photo, camera = photos[index], photos[index].camera
        rows, columns = np.nonzero(photo.pixels[..., 3] >= 128)
        tall = (rows.max() + 1 - rows.min()) / photo.height * camera.distance / camera.fy
        right = ((columns.max() + 1 + columns.min()) / 2 / photo.width - camera.cx) * camera.distance / camera.fx
        up = (camera.cy - (rows.max() + 1 + rows.min()) / 2 / photo.height) * camera.distance / camera.fy
        boxes.append((tall, right, up))
    tall, right, up = np.array(boxes).T
    scale = tall / np.exp(np.log(tall).mean())
    nothing = np.zeros_like(scale)
    return np.stack([np.log(scale), right / scale, up / scale, nothing, nothing], axis=-1)


def _moved(camera: Camera, change: Float64Array) -> Camera:
    """A camera whose picture is enlarged and shifted and that is raised and turned about the world's origin."""
    scale, right, up = np.exp(change[0]), change[1], change[2]
    turned = camera.turned(float(np.degrees(change[4])))
    azimuth = np.radians(turned.azimuth)
    axis = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    cross = np.array([[0.0, 0.0, axis[1]], [0.0, 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    raised = np.eye(3) - np.sin(change[3]) * cross + (1.0 - np.cos(change[3])) * cross @ cross  # Rodrigues
    pose = np.eye(4)
    pose[:3] = raised @ camera_to_world(turned)[:3]
    fx, fy = camera.fx * scale, camera.fy * scale
    return replace(
        turned,
        camera_to_world=_rows(pose),
        fx=float(fx),
        fy=float(fy),
        cx=float(camera.cx + fx * right / camera.distance),
        cy=float(camera.cy - fy * up / camera.distance),
    )


def _rows(pose: Float64Array) -> Rows:
    return tuple(tuple(map(float, row)) for row in pose)

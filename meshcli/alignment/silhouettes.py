"""Alignment of photos with roughly known cameras by silhouette consistency.

With the right cameras, the visual hull of all silhouettes fills each of them: every ray through a silhouette contains a
point that projects into all others. The distance by which rays through the silhouettes' rims miss the hull is minimised
over small shifts, scales and rotations of the cameras (least squares with numerical derivatives).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import OptimizeResult, least_squares

from meshcli.arrays import Float64Array
from meshcli.pictures.image import resize
from meshcli.sdf.grid import DistanceFunction, cube_grid, silhouette_distance
from meshcli.system.sparse_solve import ensure_openblas_buffer
from meshcli.views.camera import OBJECT_RADIUS, Camera, PoseMatrix
from meshcli.views.projection import camera_to_world, march, project, rays
from meshcli.views.view import View

SILHOUETTE_SIZE = 256  # pixels along the longer side; distances are interpolated between them
RIM_RAYS = 120  # per photo
RAY_SAMPLES = 64
RAY_REACH = 1.4  # world units before and behind the origin, where the object may be
# Standard deviations of a stated camera's error: log of scale, shift right and up (world units), elevation, azimuth. By
# eye: photos are framed individually, so scale and shift are loose, while stated angles are off by a few degrees.
CAMERA_SIGMA = np.array([0.5, 0.2, 0.2, np.radians(8.0), np.radians(4.0)])
PRIOR_WEIGHT = 0.1  # of the stated cameras against the silhouettes
MISS_UNIT = 0.01  # world units: a photo whose rays miss by it (RMS) costs as much as ten sigmas of its camera
CONSISTENT = 0.0008  # of the object's size: photos with a smaller error are left as they are
MAX_EVALUATIONS = 25
# Where elevations are unknown: photos of an object are taken from about one height, mostly from somewhat above.
COMMON_ELEVATION, COMMON_SIGMA = np.radians(15.0), np.radians(20.0)
ELEVATIONS = np.radians([0.0, 10.0, 20.0, 30.0, 40.0])  # from which the search starts
MAX_STARTS, START_EVALUATIONS = 3, 8  # of these, where silhouettes fit best
MANY = 5  # photos from which the best start is taken untried: a try takes time with the cube of their number
TELLING = 0.0001  # of the object's size: photos with a smaller error at the horizon do not tell their elevations
BODY_LEVEL = 0.75  # voxels from a body at which nodes still count as inside: over half the diagonal of a voxel's face
RECENTRE_GRID = (1.6, 80)  # half side and resolution: aligned photos may be off-centre


@dataclass(frozen=True)
class Alignment:
    """Photos with corrected cameras, and their silhouette errors."""

    photos: list[View]
    before: float  # see silhouette_error
    after: float
    found: tuple[str, ...] = ()  # names of the photos whose unknown elevations the silhouettes told


@dataclass(frozen=True)
class Outline:
    """One photo's silhouette and its rim."""

    distance: Float64Array  # (H, W) pixels from the edge, positive inside
    rim: Float64Array  # (N, 2) pixel positions just inside


def align(photos: Sequence[View], adjust: bool = False, unknown_elevations: Collection[str] = ()) -> Alignment:
    """Correct the cameras that are not calibrated, unless the photos are consistent already.

    Azimuths that the user stated stay exactly as they are, unless they may be adjusted. Elevations of the photos with
    names in `unknown_elevations` are 0 only for want of a better value: they are searched in a wide range.
    """
    outlines = [outline_of(photo) for photo in photos]
    free = [index for index, photo in enumerate(photos) if photo.camera.known != "rig"]
    stated = [photo.camera for photo in photos]
    before = silhouette_error(photos, stated, outlines)
    unknown = np.array([photos[index].name in unknown_elevations for index in free], bool)
    if not free or before < (TELLING if unknown.any() else CONSISTENT):
        return Alignment(list(photos), before, before)
    start = _matched_heights(photos, free) if len(free) == len(photos) else np.zeros((len(free), 5))
    movable = np.ones((len(free), 5))
    movable[:, 4] = [adjust or stated[index].known != "given" for index in free]

    def cameras(values: Float64Array) -> list[Camera]:
        moved = list(stated)
        for index, change in zip(free, values.reshape(-1, 5) * movable, strict=True):
            moved[index] = _moved(stated[index], change)
        return moved

    def cost(values: Float64Array) -> Float64Array:
        misses = _ray_misses(cameras(values), outlines) / MISS_UNIT
        deviations = values.reshape(-1, 5) - start
        common = np.empty(0)
        if unknown.any():
            mean = deviations[unknown, 3].mean()
            deviations[unknown, 3] -= mean
            common = np.array([(mean - COMMON_ELEVATION) / COMMON_SIGMA])
        deviations = np.concatenate([(deviations / CAMERA_SIGMA).ravel(), common])
        return np.concatenate([misses / np.sqrt(RIM_RAYS), PRIOR_WEIGHT * deviations])

    def solved(values: Float64Array, evaluations: int) -> OptimizeResult:
        scale = np.tile(CAMERA_SIGMA, len(free))
        return least_squares(cost, values.ravel(), diff_step=np.array(1e-3), max_nfev=evaluations, x_scale=scale)

    ensure_openblas_buffer()
    begin = start
    if unknown.any():
        raised = [start + np.outer(unknown * elevation, [0.0, 0.0, 0.0, 1.0, 0.0]) for elevation in ELEVATIONS]
        raised.sort(key=lambda values: silhouette_error(photos, cameras(values), outlines))
        begin = raised[0]
        if len(photos) < MANY:
            tried = [solved(values, START_EVALUATIONS) for values in raised[:MAX_STARTS]]
            begin = min(tried, key=lambda one: one.cost).x
    moved = [replace(camera, known="aligned") for camera in cameras(solved(begin, MAX_EVALUATIONS).x)]
    after = silhouette_error(photos, moved, outlines)
    placed = [replace(photo, camera=moved[i] if i in free else photo.camera) for i, photo in enumerate(photos)]
    found = tuple(photos[index].name for index in np.array(free)[unknown])
    return Alignment(placed, before, after, found)


def recentre(photos: Sequence[View], body: DistanceFunction) -> list[View]:
    """The photos in a world where the body's bounding box is centred and its farthest point is at FARTHEST."""
    grid = cube_grid(*RECENTRE_GRID, padding=1)
    inside = grid.to_world(np.argwhere(body(grid) < BODY_LEVEL).astype(np.float64))
    if not len(inside):
        return list(photos)
    centre = (inside.min(axis=0) + inside.max(axis=0)) / 2.0
    reach = np.linalg.norm(inside - centre, axis=1).max()
    scale = OBJECT_RADIUS / (reach - (BODY_LEVEL - 0.5) * grid.voxel)  # nodes outside it count up to BODY_LEVEL
    moved = []
    for photo in photos:
        pose = camera_to_world(photo.camera)
        pose[:3, 3] = scale * (pose[:3, 3] - centre)
        moved.append(replace(photo, camera=replace(photo.camera, camera_to_world=_rows(pose))))
    return moved


def silhouette_error(
    photos: Sequence[View], cameras: Sequence[Camera] | None = None, outlines: Sequence[Outline] | None = None
) -> float:
    """Mean distance of rays through the silhouettes' rims to the visual hull, over the object's size (2 units)."""
    cameras = cameras or [photo.camera for photo in photos]
    return float(_ray_misses(cameras, outlines or [outline_of(photo) for photo in photos]).mean() / 2.0)


def _ray_misses(cameras: Sequence[Camera], outlines: Sequence[Outline]) -> Float64Array:
    """For every rim ray of every photo, the distance of its best point to the others' cones, in world units."""
    offsets = np.linspace(-RAY_REACH, RAY_REACH, RAY_SAMPLES)
    misses = []
    for index, (camera, outline) in enumerate(zip(cameras, outlines, strict=True)):
        height, width = outline.distance.shape
        origins, directions = rays(camera, outline.rim, width, height)
        points = march(origins, directions, offsets)
        inside = np.full(points.shape[:2], np.inf)
        for other, (second, seen) in enumerate(zip(cameras, outlines, strict=True)):
            if other != index:
                inside = np.minimum(inside, depth_inside(second, seen, points))
        misses.append(np.maximum(-inside.max(axis=1), 0.0))
    return np.concatenate(misses)


def depth_inside(camera: Camera, outline: Outline, points: Float64Array) -> Float64Array:
    """Signed distance of points (..., 3) to a silhouette's cone, world units, positive inside."""
    height, width = outline.distance.shape
    positions, depth = project(camera, points, width, height)
    index = np.moveaxis(positions[..., ::-1] - 0.5, -1, 0)
    limit = np.array([height - 1.0, width - 1.0]).reshape(2, *[1] * (index.ndim - 1))
    within = index.clip(0.0, limit)
    beyond = np.sqrt(((index - within) ** 2).sum(axis=0))
    inside: Float64Array = (map_coordinates(outline.distance, within, order=1) - beyond) * depth / (camera.fy * height)
    return inside


def outline_of(photo: View) -> Outline:
    """The silhouette of a photo at SILHOUETTE_SIZE and RIM_RAYS points just inside its outline."""
    scale = min(1.0, SILHOUETTE_SIZE / max(photo.width, photo.height))
    small = resize(photo.pixels, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    alpha = np.round(small[..., 3] * (255.0 / max(int(small[..., 3].max()), 1))).astype(
        np.uint8
    )  # shrinking makes wires faint
    distance = silhouette_distance(alpha, enlarge=1).astype(np.float64)
    rows, columns = np.nonzero((distance > min(0.6, 0.9 * distance.max())) & (distance <= 1.6))
    chosen = np.linspace(0, len(rows) - 1, min(RIM_RAYS, len(rows))).astype(int)
    return Outline(distance, np.stack([columns[chosen], rows[chosen]], axis=-1) + 0.5)


def _matched_heights(photos: Sequence[View], free: Sequence[int]) -> Float64Array:
    """Changes (N, 5) that make all bounding boxes equally high and centred: photos are framed individually."""
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
    """The camera after a change (5,): log scale, right and up of its picture, elevation and azimuth in radians."""
    scale, right, up = np.exp(change[0]), change[1], change[2]
    turned = camera.turned(float(np.degrees(change[4])))
    azimuth = np.radians(turned.azimuth)
    raised = _rotation_about(np.array([-np.sin(azimuth), np.cos(azimuth), 0.0]), -change[3])
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


def _rotation_about(axis: Float64Array, angle: float) -> Float64Array:
    """Rotation matrix about a unit axis by an angle in radians, counter-clockwise (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: Float64Array = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return rotation


def _rows(pose: Float64Array) -> PoseMatrix:
    return tuple(tuple(map(float, row)) for row in pose)

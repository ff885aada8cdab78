"""Pictures at working size beside what they show of a mesh, and the colours that other pictures have there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import prange
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from meshcli.arrays import Array, Float32Array, Mask
from meshcli.meshes.colouring import NORMAL_RADIUS
from meshcli.meshes.depth_maps import depth_edges
from meshcli.meshes.mesh import Mesh, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.image import resize
from meshcli.pictures.interpolation import adjacent_pixels
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import Camera
from meshcli.views.projection import camera_to_world, pixel_centres, view_directions, world_to_camera
from meshcli.views.view import View

WORKING_SIZE = 320  # pixels along a picture's longer side; lengths in pixels below are at this size
FEATHER_WIDTH = 4.0  # pixels from a depth edge to full weight: colours near it belong to one side or the other
DEPTH_EDGE = 6.0  # pixels' worth of depth between neighbours that make an edge
DEPTH_TOLERANCE = 3.0  # pixels' worth of depth by which a point may lie behind the surface that a picture shows
OUTLINE_SAMPLES = 3  # rays along a pixel's side where the mesh's outline passes
DIRECTION_LIMIT = -0.5  # cosine between two pictures' directions (120 degrees) beyond which they share nothing of use


@dataclass(frozen=True)
class Surface:
    """A mesh ready for rays."""

    mesh: Mesh
    scene: Scene
    normals: Float32Array  # (V, 3), smoothed
    centre: Array  # (3,) of the bounding box

    @classmethod
    def of(cls, mesh: Mesh) -> "Surface":
        """Prepare a mesh."""
        centre = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)).astype(np.float64) / 2.0
        normals = smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS)
        return cls(mesh, Scene(mesh.vertices, mesh.faces), normals, centre)


@dataclass(frozen=True)
class Sight:
    """A picture at working size (h, w) and the surface that its camera sees."""

    colours: Float32Array  # (h, w, 4) premultiplied RGBA, 0 to 1
    camera: Camera
    depth: Float32Array  # (h, w) along the viewing direction; infinite beside the mesh
    coverage: Float32Array  # (h, w) share of each pixel that the mesh covers, 0 to 1
    quality: Float32Array  # (h, w), 0 to 1: squared cosine of the view angle times a feather at depth edges
    cells: Array  # (N,) pixels (row * w + column) that show the mesh
    points: Array  # (N, 3) of the surface at their centres

    @property
    def covered(self) -> Mask:
        """Where the mesh is (h, w)."""
        return np.isfinite(self.depth)

    @property
    def opaque(self) -> Mask:
        """Where the picture shows the object (h, w)."""
        mask: Mask = self.colours[..., 3] >= 0.5
        return mask


def working_colours(view: View) -> Float32Array:
    """A view's pixels shrunk to WORKING_SIZE, premultiplied (h, w, 4), 0 to 1."""
    scale = min(1.0, WORKING_SIZE / max(view.width, view.height))
    width, height = (max(1, round(side * scale)) for side in (view.width, view.height))
    values = resize(view.pixels, width, height).astype(np.float32) / 255.0
    values[..., :3] *= values[..., 3:]
    return values


def look(surface: Surface, camera: Camera, colours: Float32Array) -> Sight:
    """What a camera sees of the surface, beside its picture at working size."""
    height, width = colours.shape[:2]
    directions = view_directions(camera, pixel_centres(width, height), width, height).reshape(-1, 3)
    origin = np.array(camera.position)
    hits = surface.scene.cast(origin, directions.astype(np.float32))
    cells = np.flatnonzero(hits.faces >= 0)
    corners = surface.mesh.faces[hits.faces[cells]]
    normals = np.einsum("nkc,nk->nc", surface.normals[corners], hits.barycentric[cells])
    points = origin + directions[cells] * hits.depths[cells, None].astype(np.float64)
    towards = origin - points
    lengths = np.linalg.norm(towards, axis=1) * np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
    cosine = np.zeros(width * height, np.float32)
    cosine[cells] = np.maximum(np.einsum("nc,nc->n", towards, normals) / np.maximum(lengths, 1e-9), 0.0)
    depth = hits.depths.reshape(height, width)
    feather = np.minimum(_edge_distance(depth, camera.fy * height) / FEATHER_WIDTH, 1.0)
    quality = (cosine.reshape(height, width) ** 2 * feather**2).astype(np.float32)
    return Sight(colours, camera, depth, _coverage(surface, camera, depth), quality, cells, points)


def others_colours(sight: Sight, others: Sequence[Sight], trusts: Sequence[float]) -> tuple[Float32Array, Float32Array]:
    """The colours (h, w, 3) that other pictures have where this one shows the mesh, and their total weight (h, w).

    `trusts` multiply the others' weights. Colours are 0 where the weight is.
    """
    height, width = sight.depth.shape
    total = np.zeros((len(sight.cells), 4), np.float32)
    for other, trust in zip(others, trusts, strict=True):
        if trust > 0.0 and share_a_side(sight.camera, other.camera):
            add_colours(sight.points, other, trust, total)
    colours = np.zeros((height * width, 3), np.float32)
    weight = np.zeros(height * width, np.float32)
    weight[sight.cells] = total[:, 3]
    colours[sight.cells] = total[:, :3] / np.maximum(total[:, 3:], 1e-12)
    return colours.reshape(height, width, 3), weight.reshape(height, width)


def add_colours(points: Array, sight: Sight, trust: float, total: Array) -> None:
    """Add a picture's colours at surface points (N, 3), times their weights, and the weights to `total` (N, 4)."""
    camera = sight.camera
    height, width = sight.depth.shape
    intrinsics = np.array([camera.fx * width, camera.fy * height, camera.cx * width, camera.cy * height])
    pose = world_to_camera(camera)[:3]
    _add_colours(points, pose, intrinsics, sight.depth, sight.quality, sight.colours, trust, total)


def share_a_side(a: Camera, b: Camera) -> bool:
    """Whether two cameras' directions are close enough for surfaces that both see well."""
    directions = [-camera_to_world(camera)[:3, 2] for camera in (a, b)]
    return float(directions[0] @ directions[1]) > DIRECTION_LIMIT


def _coverage(surface: Surface, camera: Camera, depth: Float32Array) -> Float32Array:
    """The share (h, w) of each pixel that the mesh covers, by several rays where its outline passes."""
    height, width = depth.shape
    covered = np.isfinite(depth)
    coverage = covered.astype(np.float32)
    rows, columns = np.nonzero(binary_dilation(covered) & ~binary_erosion(covered, border_value=1))
    offsets = (np.arange(OUTLINE_SAMPLES) + 0.5) / OUTLINE_SAMPLES
    inner = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    places = np.stack([columns, rows], axis=-1)[:, None] + inner
    directions = view_directions(camera, places, width, height).reshape(-1, 3)
    hits = surface.scene.cast(np.array(camera.position), directions.astype(np.float32))
    coverage[rows, columns] = (hits.faces >= 0).reshape(-1, len(inner)).mean(axis=1)
    return coverage


def _edge_distance(depth: Float32Array, focal: float) -> Float32Array:
    """Pixels (h, w) from silhouettes and depth edges; 0 on them and off the surface."""
    finite = np.isfinite(depth)
    limit = DEPTH_EDGE * np.where(finite, depth, 0.0) / focal
    clear = np.pad(finite & ~depth_edges(depth, limit), 1)  # the picture's border is an edge
    distance: Float32Array = distance_transform_edt(clear)[1:-1, 1:-1].astype(np.float32)
    return distance


@kernel(parallel=True)
def _add_colours(
    points: Array,
    pose: Array,
    intrinsics: Array,
    depth: Array,
    quality: Array,
    colours: Array,
    trust: float,
    total: Array,
) -> None:
    """Where points (N, 3) are seen in a picture of depths (h, w), add its colours and its weight to `total` (N, 4)."""
    height, width = depth.shape
    for p in prange(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        right = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
        up = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
        away = -(pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3])
        if away < 1e-6:
            continue
        column, row = intrinsics[2] + intrinsics[0] * right / away, intrinsics[3] - intrinsics[1] * up / away
        if column < 0.0 or row < 0.0 or column > width or row > height:
            continue
        left, right_of, b = adjacent_pixels(column, width)
        above, below, a = adjacent_pixels(row, height)
        nearest = min(depth[above, left], depth[above, right_of], depth[below, left], depth[below, right_of])
        if away > nearest + DEPTH_TOLERANCE * away / intrinsics[1]:
            continue
        first, second, third, last = (1.0 - a) * (1.0 - b), (1.0 - a) * b, a * (1.0 - b), a * b
        value = (
            first * quality[above, left]
            + second * quality[above, right_of]
            + third * quality[below, left]
            + last * quality[below, right_of]
        )
        if value <= 0.0:
            continue
        alpha = (
            first * colours[above, left, 3]
            + second * colours[above, right_of, 3]
            + third * colours[below, left, 3]
            + last * colours[below, right_of, 3]
        )
        if alpha < 0.5:
            continue
        weight = trust * value * value
        for k in range(3):
            mixed = (
                first * colours[above, left, k]
                + second * colours[above, right_of, k]
                + third * colours[below, left, k]
                + last * colours[below, right_of, k]
            )
            total[p, k] += weight * min(mixed / alpha, 1.0)
        total[p, 3] += weight

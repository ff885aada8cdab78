"""The textured mesh of a body inflated from one photo: the photo in front, a smooth fill from its rim behind."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from meshcli.arrays import Float64Array, Mask
from meshcli.generators.sculpt.inflate import FIELD_LIMIT, InflatedBody, inflate, sample, solve_laplace
from meshcli.generators.sculpt.silhouette import extent
from meshcli.meshes.mesh import Mesh, Texture, face_normals
from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import VIEW_SIZE, Pixels
from meshcli.sdf.extract import extract_surface, keep_largest, taubin_smooth
from meshcli.sdf.grid import Field, Grid, finest_grid, redistance_interior, silhouette_distance, visual_hull
from meshcli.settings import SculptSettings
from meshcli.views.camera import DISTANCE, Camera, orbit
from meshcli.views.projection import camera_to_world, project, rays
from meshcli.views.view import View

PADDING = 4  # voxels around the body
VOXELS_ACROSS = 4.0  # across thin parts, as far as the node budget allows: less shows facets
ROD_RADIUS = 0.9  # voxels: thinner parts would slip between the nodes (half a voxel's diagonal is 0.87)
MAX_UNNOTED = 0.05  # of the medial axis that may be thickened without a note to the user
THIN = 0.037  # of the length: thinner objects get a note; four percent, less a pixel's error
TAUBIN_ROUNDS = 8  # as measured on a prototype
TEXTURE_SIZE = 1024  # pixels at most along a side of the photo in the texture: the views show 320
OPAQUE = 250  # alpha of pixels that hold no background, but for rounding
EDGE_PIXELS = 2.0  # of a photo of VIEW_SIZE: the outermost pixels of the front, which mix with the background
MAX_ERODED = 0.6  # of the local half width that may be dropped as edge, so that thin parts keep their colour
WIRE_DISTANCE = 8.0  # edge widths: where no usable pixel is as near, edge pixels are used
BACK_BLUR = 2.0  # samples along columns: of the rim's colours, against stripes
DOWN = 0.12  # conductivity along columns over that along rows: the back continues the rim sideways; measured so


def sculpt_one(view: View, settings: SculptSettings) -> tuple[Mesh, list[str]]:
    """The textured mesh from one photo, its depth and back guessed, and notes for the user."""
    body = inflate(view, settings)
    vertices, faces, notes = _surface(body, view, settings)
    front, back = _front_picture(view), _back_picture(body, view)
    front_uv, _ = project(view.camera, vertices, 1, 1)
    rows_columns, _ = body.plane.locate(vertices)
    back_uv = (rows_columns[..., ::-1] + 0.5) / np.array(back.shape[1::-1])
    centres = vertices[faces].mean(axis=1)
    to_camera = np.array(view.camera.position) - centres
    backside = np.einsum("fk,fk->f", face_normals(vertices, faces), to_camera) < 0.0
    image, coordinates = _side_by_side((front, back), (front_uv, back_uv))
    texture_faces = faces + (backside[:, None] * len(vertices)).astype(np.int32)
    texture = Texture(image, coordinates.astype(np.float32), texture_faces)
    return Mesh(vertices.astype(np.float32), faces, texture=texture), notes


def fine_grid(low: Float64Array, high: Float64Array, voxel: float, resolution: int, padding: int) -> Grid:
    """The box from low to high with `resolution` voxels along its longest side, or with finer ones of size `voxel`.

    Never more nodes than a cube of `resolution` has, which thin boxes do not fill.
    """
    resolutions = [max(resolution, round(float((high - low).max()) / voxel))]
    while resolutions[-1] > resolution:
        resolutions.append(max(resolution, round(0.96 * resolutions[-1])))
    return finest_grid(low, high, resolutions, padding)


def _surface(
    body: InflatedBody, view: View, settings: SculptSettings
) -> tuple[Float64Array, NDArray[np.int32], list[str]]:
    """The body's surface, cut by the photo's own silhouette, extracted on a grid aligned with the body's plane."""
    axes = np.stack([body.plane.front, body.plane.right, body.plane.up])
    front, right, up = np.eye(3)
    body = replace(body, plane=replace(body.plane, front=front, right=right, up=up))
    camera = _in_axes(view.camera, axes)
    height = view.height * view.pixel_size
    grid = _plane_grid(body, body.medial_axis.width * height / VOXELS_ACROSS, settings.resolution)
    hull = visual_hull([camera], [silhouette_distance(view.pixels[..., 3])], grid)
    field = np.maximum(body.field(grid), hull)
    too_thin = body.medial_axis.thinner_than(2.0 * ROD_RADIUS * grid.voxel / height)
    if len(too_thin):
        field = np.minimum(field, _rods(_on_plane(camera, too_thin), grid))
    field = redistance_interior(np.clip(field, -FIELD_LIMIT, FIELD_LIMIT), 1)
    # Fragments of parts that are too fine are smaller than any part of the silhouette.
    vertices, faces = keep_largest(*extract_surface(field, grid), count=body.medial_axis.parts)
    vertices = taubin_smooth(vertices, faces, TAUBIN_ROUNDS) @ axes
    return vertices, faces, _notes(body, height, grid, len(too_thin), settings)


def _notes(body: InflatedBody, height: float, grid: Grid, too_thin: int, settings: SculptSettings) -> list[str]:
    """Notes on thin parts. `height`: of the photo in world units; `too_thin`: number of thickened axis points."""
    length = extent(body.mask)[1] * body.plane.spacing
    width = body.medial_axis.width * height
    if too_thin > MAX_UNNOTED * np.count_nonzero(body.medial_axis.widths):
        least = 2.0 * ROD_RADIUS * grid.voxel / length
        return [f"parts thinner than {least:.1%} of the object's length are drawn that thick, the finest it can be"]
    if width < THIN * length:
        pixels = width / (DISTANCE / orbit(0.0, 0.0).fy) * settings.view_size
        share = f"{width / length:.1%} as thick as the object is long"
        return [f"thin parts are {share}, {pixels:.1f} pixels in its views: how thick they are is only roughly known"]
    return []


def _plane_grid(body: InflatedBody, voxel: float, resolution: int) -> Grid:
    """The grid around a body whose plane is aligned with the axes."""
    plane, half = body.plane, float(np.sqrt(body.squared_depth.max()))
    points = plane.points()[body.mask]
    corners = np.concatenate([points + half * plane.front, points - half * plane.front])
    return fine_grid(corners.min(axis=0), corners.max(axis=0), voxel, resolution, PADDING)


def _rods(axis: Float64Array, grid: Grid) -> Field:
    """Distance in voxels to rods of ROD_RADIUS around curves in the plane x = 0: dense points (N, 2) of y and z."""
    x, y, z = (origin + grid.voxel * np.arange(count) for origin, count in zip(grid.origin, grid.shape, strict=True))
    nodes = np.stack(np.meshgrid(y, z, indexing="ij"), axis=-1)
    limit = 10.0 * grid.voxel  # beyond the truncation of the field
    in_plane, _ = cKDTree(axis).query(nodes, distance_upper_bound=limit)
    distance: Field = np.hypot(x[:, None, None], np.minimum(in_plane, limit)) / grid.voxel - ROD_RADIUS
    return distance.astype(np.float32)


def _on_plane(camera: Camera, positions: Float64Array) -> Float64Array:
    """Intersections (N, 2), y and z, of rays through picture positions (N, 2), in fractions, with the plane x = 0."""
    origins, directions = rays(camera, positions, 1, 1)
    points = origins - directions * (origins[:, :1] / directions[:, :1])
    return points[:, 1:]


def _in_axes(camera: Camera, axes: Float64Array) -> Camera:
    """The camera in a coordinate system with these axes, rows of (3, 3)."""
    pose = camera_to_world(camera)
    pose[:3] = axes @ pose[:3]
    return replace(camera, camera_to_world=tuple(tuple(map(float, row)) for row in pose))


def _front_picture(view: View) -> Pixels:
    """The photo without its outermost pixels, which mix with the background, extended beyond the outline."""
    scale = min(1.0, TEXTURE_SIZE / max(view.pixels.shape[:2]))
    pixels = resize(view.pixels, round(view.width * scale), round(view.height * scale))
    depth = ndimage.distance_transform_edt(pixels[..., 3] >= OPAQUE)
    edge = max(EDGE_PIXELS, EDGE_PIXELS * max(pixels.shape[:2]) / VIEW_SIZE)
    half_width = ndimage.maximum_filter(depth, 2 * round(edge) + 1)
    usable = (depth > 0.0) & (depth >= np.minimum(edge, MAX_ERODED * half_width))
    known = _with_wires(usable, pixels[..., 3] >= 128, WIRE_DISTANCE * edge)
    colours = np.where(usable[..., None], over(pixels), pixels[..., :3])
    return _extended(colours, known)


def _with_wires(usable: Mask, seen: Mask, distance: float) -> Mask:
    """The usable pixels, and the seen ones of wires that have none: those farther than `distance` from any."""
    if not usable.any():
        return seen
    return usable | (seen & (ndimage.distance_transform_edt(~usable) > distance))


def _back_picture(body: InflatedBody, view: View) -> Pixels:
    """The back, on the plane's raster: harmonic between the colours along the rim.

    A blurred mirror image of the front would show a ghost face, and interpolation along rows leaves stripes.
    """
    photo = resize(_front_picture(view), view.width, view.height)
    colours = sample(view.camera, body.plane.points(), photo.astype(np.float64))
    inside = ndimage.binary_erosion(body.mask)
    rim = body.mask & ~inside
    if inside.any():
        blurred = ndimage.gaussian_filter1d(colours, BACK_BLUR, axis=0)
        colours = solve_laplace(inside, rim, blurred, 0.0, DOWN)
    return _extended(colours.round().clip(0, 255).astype(np.uint8), body.mask)


def _extended(picture: Pixels, known: Mask) -> Pixels:
    """The picture with every unknown pixel replaced by the nearest known one."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    extended: Pixels = picture[tuple(nearest)]
    return extended


def _side_by_side(
    pictures: tuple[Pixels, Pixels], positions: tuple[Float64Array, Float64Array]
) -> tuple[Pixels, Float64Array]:
    """One image of two pictures, and the UV coordinates (2 V, 2) of positions (V, 2) in fractions of each picture."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures)
    image = np.zeros((height, width, 3), np.uint8)
    coordinates, left = [], 0
    for picture, position in zip(pictures, positions, strict=True):
        rows, columns = picture.shape[:2]
        image[:rows, left : left + columns] = picture
        inside = position.clip(0.5 / np.array([columns, rows]), 1.0 - 0.5 / np.array([columns, rows]))
        u = (left + inside[:, 0] * columns) / width
        coordinates.append(np.stack([u, 1.0 - inside[:, 1] * rows / height], axis=-1))
        left += columns
    return image, np.concatenate(coordinates)

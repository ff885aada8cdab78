"""A body that was inflated from one photo, painted: the photo in front, a fill from its rim behind."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from meshcli.arrays import Float64Array, Mask
from meshcli.generators.sculpt.inflate import InflatedBody, inflate, sample, solve_laplace
from meshcli.generators.sculpt.silhouette import extent
from meshcli.meshes.mesh import Mesh, Texture, face_normals
from meshcli.pictures.image import over, resize
from meshcli.pictures.pixels import Pixels
from meshcli.sdf.extract import extract_surface, keep_largest, taubin_smooth
from meshcli.sdf.grid import Field, Grid, finest_grid, redistance_interior, silhouette_distance, visual_hull
from meshcli.settings import SculptSettings
from meshcli.views.camera import DISTANCE, Camera, orbit
from meshcli.views.projection import camera_to_world, project, rays
from meshcli.views.view import View

PADDING = 4  # voxels around the body
THICK = 4.0  # voxels across thin parts, as far as the number of voxels allows it
ROD = 0.9  # voxels: radius below which a part would slip between the nodes; what is thinner is drawn like this
FEW = 0.05  # of the middle lines: more is worth a note
THIN = 0.037  # of the length: what is thinner is worth a note; four percent, less a pixel's error
PICTURE = 1024  # pixels at most along a side of the photo on the mesh
DOWN = 0.12  # of the flow along rows: colours of the back are continued sideways rather than up and down


def sculpt_one(view: View, settings: SculptSettings) -> tuple[Mesh, list[str]]:
    """The textured mesh behind one photo, its depth and its back guessed, and what the user should know about it."""
    relief = inflate(view, settings)
    vertices, faces, notes = _surface(relief, view, settings)
    front, back = _front_picture(view), _back_picture(relief, view)
    place, _ = project(view.camera, vertices, 1, 1)
    rows_columns, _ = relief.plane.locate(vertices)
    behind = (rows_columns[..., ::-1] + 0.5) / np.array(back.shape[1::-1])
    centres = vertices[faces].mean(axis=1)
    away = np.einsum("fk,fk->f", face_normals(vertices, faces), np.array(view.camera.position) - centres) < 0.0
    image, coordinates = _side_by_side((front, back), (place, behind))
    mesh = Mesh(
        vertices.astype(np.float32),
        faces,
        texture=Texture(
            image, coordinates.astype(np.float32), faces + (away[:, None] * len(vertices)).astype(np.int32)
        ),
    )
    return mesh, notes


def fine_grid(low: Float64Array, high: Float64Array, voxel: float, resolution: int, padding: int) -> Grid:
    """The box from low to high with `resolution` voxels along its longest side, or where they are larger, this size.

    The box of a thin thing has room for more voxels in its length: there are never more nodes than in a cube of
    `resolution`.
    """
    resolutions = [max(resolution, round(float((high - low).max()) / voxel))]
    while resolutions[-1] > resolution:
        resolutions.append(max(resolution, round(0.96 * resolutions[-1])))
    return finest_grid(low, high, resolutions, padding)


def _surface(
    relief: InflatedBody, view: View, settings: SculptSettings
) -> tuple[Float64Array, NDArray[np.int32], list[str]]:
    """The body's skin, cut by the photo's own silhouette, in a grid that lies along the body's plane."""
    axes = np.stack([relief.plane.front, relief.plane.right, relief.plane.up])
    front, right, up = np.eye(3)
    relief = replace(relief, plane=replace(relief.plane, front=front, right=right, up=up))
    camera = _turned(view.camera, axes)
    height = view.height * view.pixel_size
    grid = _grid(relief, relief.lines.width * height / THICK, settings.resolution)
    hull = visual_hull([camera], [silhouette_distance(view.pixels[..., 3])], grid)
    field = np.maximum(relief.field(grid), hull)
    lost = relief.lines.thinner_than(2.0 * ROD * grid.voxel / height)
    if len(lost):
        field = np.minimum(field, _rods(_on_plane(camera, lost), grid))
    surface = extract_surface(redistance_interior(np.clip(field, -8.0, 8.0), 1), grid)
    vertices, faces = keep_largest(*surface, count=relief.lines.pieces)  # crumbs of what is too fine are none of them
    return taubin_smooth(vertices, faces, 8) @ axes, faces, _notes(relief, height, grid, len(lost), settings)


def _notes(relief: InflatedBody, height: float, grid: Grid, lost: int, settings: SculptSettings) -> list[str]:
    """What is to be said about thin parts; height: of the photo in the world, lost: places thinner than voxels show."""
    length = extent(relief.mask)[1] * relief.plane.spacing
    width = relief.lines.width * height
    if lost > FEW * np.count_nonzero(relief.lines.widths):
        least = 2.0 * ROD * grid.voxel / length
        return [f"parts thinner than {least:.1%} of the object's length are drawn that thick, the finest it can be"]
    if width < THIN * length:
        pixels = width / (DISTANCE / orbit(0.0, 0.0).fy) * settings.view_size
        share = f"{width / length:.1%} as thick as the object is long"
        return [f"thin parts are {share}, {pixels:.1f} pixels in its views: how thick they are is only roughly known"]
    return []


def _grid(relief: InflatedBody, voxel: float, resolution: int) -> Grid:
    """The grid around a body in a plane that lies along it."""
    plane, half = relief.plane, float(np.sqrt(relief.squared.max()))
    points = plane.points()[relief.mask]
    corners = np.concatenate([points + half * plane.front, points - half * plane.front])
    return fine_grid(corners.min(axis=0), corners.max(axis=0), voxel, resolution, PADDING)


def _rods(lines: Float64Array, grid: Grid) -> Field:
    """Distance in voxels to rods around lines, places (N, 2) across and up in the plane x = 0, dense for the grid."""
    x, y, z = (origin + grid.voxel * np.arange(count) for origin, count in zip(grid.origin, grid.shape, strict=True))
    nodes = np.stack(np.meshgrid(y, z, indexing="ij"), axis=-1)
    beside, _ = cKDTree(lines).query(nodes, distance_upper_bound=10.0 * grid.voxel)
    distance: Field = np.hypot(x[:, None, None], np.minimum(beside, 10.0 * grid.voxel)) / grid.voxel - ROD
    return distance.astype(np.float32)


def _on_plane(camera: Camera, places: Float64Array) -> Float64Array:
    """Where rays through places (N, 2), fractions of the picture, meet the plane x = 0: (N, 2) across and up."""
    origins, directions = rays(camera, places, 1, 1)
    points = origins - directions * (origins[:, :1] / directions[:, :1])
    return points[:, 1:]


def _turned(camera: Camera, axes: Float64Array) -> Camera:
    """The camera in a world whose axes are these, the rows of (3, 3)."""
    pose = camera_to_world(camera)
    pose[:3] = axes @ pose[:3]
    return replace(camera, camera_to_world=tuple(tuple(map(float, row)) for row in pose))


def _front_picture(view: View) -> Pixels:
    """The photo without its outermost pixels, which are half background, continued beyond the outline."""
    scale = min(1.0, PICTURE / max(view.pixels.shape[:2]))
    pixels = resize(view.pixels, round(view.width * scale), round(view.height * scale))
    depth = ndimage.distance_transform_edt(pixels[..., 3] >= 250)
    reach = max(2.0, 2.0 * max(pixels.shape[:2]) / 320.0)
    ridge = ndimage.maximum_filter(depth, 2 * round(reach) + 1)
    sure = (depth > 0.0) & (depth >= np.minimum(reach, 0.6 * ridge))
    known = _with_wires(sure, pixels[..., 3] >= 128, 8.0 * reach)
    colours = np.where(sure[..., None], over(pixels), pixels[..., :3])
    return _continued(colours, known)


def _with_wires(sure: Mask, seen: Mask, reach: float) -> Mask:
    """The sure pixels, and those of wires too thin to have one: there is none within reach."""
    if not sure.any():
        return seen
    return sure | (seen & (ndimage.distance_transform_edt(~sure) > reach))


def _back_picture(relief: InflatedBody, view: View) -> Pixels:
    """The smoothest picture between the colours along the rim: no mirrored face, no stripes."""
    colours = sample(view.camera, relief.plane.points(), _continued_photo(view).astype(np.float64))
    inside = ndimage.binary_erosion(relief.mask)
    rim = relief.mask & ~inside
    if inside.any():
        blurred = ndimage.gaussian_filter1d(colours, 2.0, axis=0)
        colours = solve_laplace(inside, rim, blurred, 0.0, DOWN)
    return _continued(colours.round().clip(0, 255).astype(np.uint8), relief.mask)


def _continued_photo(view: View) -> Pixels:
    pixels = _front_picture(view)
    return resize(pixels, view.width, view.height)


def _continued(picture: Pixels, known: Mask) -> Pixels:
    """Every unknown pixel gets the colour of the nearest known one."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    continued: Pixels = picture[tuple(nearest)]
    return continued


def _side_by_side(
    pictures: tuple[Pixels, Pixels], places: tuple[Float64Array, Float64Array]
) -> tuple[Pixels, Float64Array]:
    """One image of two and the coordinates (2 V, 2), v up, of places given in fractions of each from the top left."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures)
    image = np.zeros((height, width, 3), np.uint8)
    coordinates, left = [], 0
    for picture, place in zip(pictures, places, strict=True):
        rows, columns = picture.shape[:2]
        image[:rows, left : left + columns] = picture
        inside = place.clip(0.5 / np.array([columns, rows]), 1.0 - 0.5 / np.array([columns, rows]))
        u = (left + inside[:, 0] * columns) / width
        coordinates.append(np.stack([u, 1.0 - inside[:, 1] * rows / height], axis=-1))
        left += columns
    return image, np.concatenate(coordinates)

"""A body that was inflated from one photo, painted: the photo in front, a fill from its rim behind."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meshcli.generators.inflate import Relief, inflate, sample, solve_laplace
from meshcli.image import over, resize
from meshcli.mesh import Mesh, Texture, face_normals
from meshcli.projection import project
from meshcli.reconstructors.distance_field import Grid, redistance, silhouette_distance, visual_hull
from meshcli.reconstructors.surface import extract_surface, keep_parts, taubin
from meshcli.settings import SculptSettings
from meshcli.view import Pixels, View

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PADDING = 4  # voxels around the body
PICTURE = 1024  # pixels at most along a side of the photo on the mesh
DOWN = 0.12  # of the flow along rows: colours of the back are continued sideways rather than up and down


def sculpt_one(view: View, settings: SculptSettings) -> Mesh:
    """The textured mesh behind one photo; its depth and its back are guessed."""
    relief = inflate(view, settings)
    vertices, faces = _surface(relief, view, settings.resolution)
    front, back = _front_picture(view), _back_picture(relief, view)
    place, _ = project(view.camera, vertices, 1, 1)
    rows_columns, _ = relief.plane.locate(vertices)
    behind = (rows_columns[..., ::-1] + 0.5) / np.array(back.shape[1::-1])
    centres = vertices[faces].mean(axis=1)
    away = np.einsum("fk,fk->f", face_normals(vertices, faces), np.array(view.camera.position) - centres) < 0.0
    image, coordinates = _side_by_side((front, back), (place, behind))
    return Mesh(
        vertices.astype(np.float32),
        faces,
        texture=Texture(
            image, coordinates.astype(np.float32), faces + (away[:, None] * len(vertices)).astype(np.int32)
        ),
    )


def _surface(relief: Relief, view: View, resolution: int) -> tuple[Floats, NDArray[np.int32]]:
    """The body's skin, cut by the photo's own silhouette."""
    plane, half = relief.plane, float(np.sqrt(relief.squared.max()))
    points = plane.points()[relief.mask]
    corners = np.concatenate([points + half * plane.front, points - half * plane.front])
    grid = Grid.around(corners.min(axis=0), corners.max(axis=0), resolution, PADDING)
    hull = visual_hull([view.camera], [silhouette_distance(view.pixels[..., 3])], grid)
    field = np.maximum(relief.field(grid), hull)
    inner = np.zeros(grid.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    field = redistance(np.clip(field, -8.0, 8.0), np.flatnonzero(inner))
    vertices, faces = keep_parts(*extract_surface(field, grid), share=0.002)
    return taubin(vertices, faces, 8), faces


def _front_picture(view: View) -> Pixels:
    """The photo without its outermost pixels, which are half background, continued beyond the outline."""
    scale = min(1.0, PICTURE / max(view.pixels.shape[:2]))
    pixels = resize(view.pixels, round(view.width * scale), round(view.height * scale))
    depth = ndimage.distance_transform_edt(pixels[..., 3] >= 250)
    reach = max(2.0, 2.0 * max(pixels.shape[:2]) / 320.0)
    ridge = ndimage.maximum_filter(depth, 2 * round(reach) + 1)
    sure = (depth > 0.0) & (depth >= np.minimum(reach, 0.6 * ridge))
    return _continued(over(pixels), sure if sure.any() else pixels[..., 3] >= 128)


def _back_picture(relief: Relief, view: View) -> Pixels:
    """The smoothest picture between the colours along the rim: no mirrored face, no stripes."""
    colours = sample(view, relief.plane.points(), _continued_photo(view).astype(np.float64))
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


def _side_by_side(pictures: tuple[Pixels, Pixels], places: tuple[Floats, Floats]) -> tuple[Pixels, Floats]:
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

"""Where an object stands: the height of the highest horizontal plane that leaves every silhouette filled.

No photo from above shows an underside, so a visual hull runs on below it. Each ray through the lowest pixels of a
silhouette meets the object, hence above the plane that it stands on; it leaves the hull at a height that is no lower
than where it meets the object. The lowest of these heights is the plane's, or a little higher where the hull is
wider than the object.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates

from meshcli.arrays import Float64Array
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

MIN_ELEVATION, MAX_ELEVATION = -3.0, 40.0  # degrees: from below an underside shows; from steeply above no ray grazes
RESOLUTION = 128  # voxels along the hull's longest side
PADDING = 3  # voxels
HULL_LEVEL = 0.7  # voxels from the hull that still count as inside, about half a diagonal of a voxel's face
STEP = 0.5  # voxels between samples of a ray
SLACK = 2.5  # voxels that the plane is set lower: what is cut off is lost, what is left is a thin layer
BAND = 0.1  # of a silhouette's height, above its lowest pixel: columns that end higher do not stand


def ground_height(photos: Sequence[View], hull: DistanceFunction) -> float | None:
    """Height in the world of the ground under an object.

    None where photos show its underside, all of them cut it off at the bottom, or the hull is empty.
    """
    elevations = [photo.camera.elevation for photo in photos]
    grazing = [photo for photo in photos if photo.camera.elevation <= MAX_ELEVATION]
    box = bounding_box(hull, 1.0)
    if min(elevations) < MIN_ELEVATION or not grazing or box is None:
        return None
    grid = Grid.around(*box, RESOLUTION, PADDING)
    field = hull(grid)
    heights = np.concatenate([_highest(field, grid, photo) for photo in grazing])
    return float(heights.min()) - SLACK * grid.voxel if len(heights) else None


def on_ground(field: Field, grid: Grid, height: float | None) -> Field:
    """A body's distances (X, Y, Z), cut off below a height in the world; unchanged for None."""
    if height is None:
        return field
    below = (height - grid.origin[2]) / grid.voxel - np.arange(grid.shape[2], dtype=np.float32)
    return np.maximum(field, below.astype(np.float32))


def _highest(field: Field, grid: Grid, photo: View) -> Float64Array:
    """The greatest heights (N,) inside the hull along the rays through the lowest pixels of a silhouette."""
    stride = max(1, photo.width // VIEW_SIZE)
    mask = photo.pixels[:, ::stride, 3] >= 128
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return np.zeros(0)
    rows = photo.height - 1 - mask[::-1, columns].argmax(axis=0)
    if rows.max() == photo.height - 1:  # the picture ends before the object does
        return np.zeros(0)
    low = rows >= rows.max() - BAND * (rows.max() - np.nonzero(mask)[0].min())
    lowest = pixel_centres(photo.width, photo.height)[rows[low], columns[low] * stride]
    heights = heights_inside(field, grid, photo, lowest)[1]
    result: Float64Array = heights[np.isfinite(heights)]
    return result


def heights_inside(field: Field, grid: Grid, photo: View, pixels: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The least and the greatest heights (N,) inside a hull along the rays through pixels (N, 2); infinite for none."""
    origins, directions = rays(photo.camera, pixels, photo.width, photo.height)
    corners = grid.to_world(np.array([[0.0, 0.0, 0.0], np.array(grid.shape) - 1.0]))
    distances = np.linalg.norm(origins - corners.mean(axis=0), axis=1)
    reach = float(np.linalg.norm(corners[1] - corners[0])) / 2.0
    offsets = np.arange(-reach, reach, STEP * grid.voxel)
    points = origins[:, None] + (distances[:, None] + offsets)[..., None] * directions[:, None]
    values = map_coordinates(field, np.moveaxis(grid.to_lattice(points), -1, 0), order=1, mode="nearest")
    inside = values < HULL_LEVEL
    heights = points[..., 2]
    return np.where(inside, heights, np.inf).min(axis=1), np.where(inside, heights, -np.inf).max(axis=1)

"""What a body probably looks like where photos say nothing: the inflated silhouettes together."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates

from meshcli.generators.sculpt.inflate import InflatedBody, inflate
from meshcli.pictures.image import resize
from meshcli.pictures.pixels import Pixels
from meshcli.sdf.grid import DistanceFunction, Field, Grid, cube_grid, silhouette_distance, visual_hull
from meshcli.settings import SculptSettings
from meshcli.views.projection import march, pixel_centres, rays
from meshcli.views.view import View

SOFT = 1.0  # voxels over which two inflated bodies are blended into each other
SIZE = 96  # pixels along a photo's longer side when it is asked what the bodies leave empty


def hull_of(photos: Sequence[View]) -> DistanceFunction:
    """The photos' visual hull."""
    silhouettes = [silhouette_distance(photo.pixels[..., 3]) for photo in photos]
    return lambda grid: visual_hull([photo.camera for photo in photos], silhouettes, grid)


def pillow_prior(photos: Sequence[View], settings: SculptSettings) -> DistanceFunction | None:
    """The union of the photos' inflated silhouettes, and of their hull as much as it takes to fill every silhouette.

    It rounds the wedge that the hull makes of whatever the photos do not look at. (The intersection would lose every
    part that one photo sees from its end.) None for boxes: nothing about them is round, and the hull has their edges.
    """
    reliefs = [inflate(photo, settings) for photo in photos]
    if max(relief.box for relief in reliefs) > 0.5:
        return None
    cameras = [photo.camera for photo in photos]
    hull_at = hull_of(photos)

    def bodies(grid: Grid) -> Field:
        return np.maximum(_union(reliefs, grid), hull_at(grid))

    coarse = cube_grid(1.3, 72, 2)
    body = bodies(coarse)
    empty = [silhouette_distance(_empty(body, coarse, photo)) for photo in photos]

    def field(grid: Grid) -> Field:
        filled = bodies(grid)
        hull = hull_at(grid)
        for camera, part in zip(cameras, empty, strict=True):
            if part.max() > 0.0:
                filled = np.minimum(filled, np.maximum(hull, visual_hull([camera], [part], grid)))
        return filled

    return field


def _union(reliefs: Sequence[InflatedBody], grid: Grid) -> Field:
    """Smooth minimum of the bodies' distances."""
    fields = np.stack([relief.field(grid) for relief in reliefs])
    least = fields.min(axis=0)
    blended: Field = least - SOFT * np.log(np.exp((least - fields) / SOFT).sum(axis=0))
    return blended.astype(np.float32)


def _empty(body: Field, grid: Grid, photo: View) -> Pixels:
    """The part of a small silhouette (H, W) that the body does not cover, 0 or 255."""
    scale = min(1.0, SIZE / max(photo.width, photo.height))
    small = resize(photo.pixels, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    height, width = small.shape[:2]
    mask = small[..., 3] >= 128
    origins, directions = rays(photo.camera, pixel_centres(width, height)[mask], width, height)
    points = march(origins, directions, np.linspace(-1.4, 1.4, 72))
    depth = map_coordinates(body, np.moveaxis(grid.to_lattice(points), -1, 0), order=1, cval=8.0).min(axis=1)
    empty = np.zeros((height, width), bool)
    empty[mask] = depth > 0.7
    return (255 * binary_dilation(empty)).astype(np.uint8)

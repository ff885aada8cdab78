"""A shape prior for regions that no photo constrains: the union of the inflated silhouettes."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates

from meshcli.generators.sculpt.inflate import InflatedBody, inflate
from meshcli.generators.sculpt.reduced_photos import shrunk
from meshcli.pictures.pixels import Pixels
from meshcli.sdf.grid import DistanceFunction, Field, Grid, cube_grid, silhouette_distance, visual_hull
from meshcli.settings import SculptSettings
from meshcli.views.projection import march, pixel_centres, rays
from meshcli.views.view import View

BLEND_WIDTH = 1.0  # voxels over which two inflated bodies are blended into each other: no crease, no bulge
UNCOVERED_SIZE = 96  # pixels along a photo's longer side, for finding what the bodies do not cover
BODY_GRID = (1.3, 72)  # half side and resolution: photos that are not aligned yet may be off-centre
RAY_REACH, RAY_SAMPLES = 1.4, 72  # world units before and behind the origin, and samples there
COVERED_LEVEL = 0.7  # voxels: rays that come as near to the body meet it, about half a diagonal of a voxel's face
BOX = 0.5  # boxiness from which a silhouette counts as that of a box


def visual_hull_of(photos: Sequence[View]) -> DistanceFunction:
    """The photos' visual hull, as a distance function."""
    silhouettes = [silhouette_distance(photo.pixels[..., 3]) for photo in photos]
    return lambda grid: visual_hull([photo.camera for photo in photos], silhouettes, grid)


def inflated_prior(photos: Sequence[View], settings: SculptSettings) -> DistanceFunction | None:
    """The union of the photos' inflated silhouettes inside their hull, and of as much of the hull as fills them all.

    It rounds off the wedges that the hull has where no photo looks. (An intersection would lose every part that one
    photo sees end-on.) None for boxes: they are not round, and the hull has their edges.
    """
    inflated = [inflate(photo, settings) for photo in photos]
    if max(body.boxiness for body in inflated) > BOX:
        return None
    cameras = [photo.camera for photo in photos]
    hull_at = visual_hull_of(photos)

    def bodies(grid: Grid) -> Field:
        return np.maximum(_union(inflated, grid), hull_at(grid))

    coarse = cube_grid(*BODY_GRID, padding=2)
    body = bodies(coarse)
    uncovered = [silhouette_distance(_uncovered(body, coarse, photo)) for photo in photos]

    def field(grid: Grid) -> Field:
        filled = bodies(grid)
        hull = hull_at(grid)
        for camera, part in zip(cameras, uncovered, strict=True):
            if part.max() > 0.0:
                filled = np.minimum(filled, np.maximum(hull, visual_hull([camera], [part], grid)))
        return filled

    return field


def _union(inflated: Sequence[InflatedBody], grid: Grid) -> Field:
    """Smooth minimum (log-sum-exp) of the bodies' distances."""
    fields = np.stack([body.field(grid) for body in inflated])
    least = fields.min(axis=0)
    blended: Field = least - BLEND_WIDTH * np.log(np.exp((least - fields) / BLEND_WIDTH).sum(axis=0))
    return blended.astype(np.float32)


def _uncovered(body: Field, grid: Grid, photo: View) -> Pixels:
    """The part of a photo's silhouette that the body does not cover: (H, W) at UNCOVERED_SIZE, 0 or 255."""
    small = shrunk(photo, UNCOVERED_SIZE).pixels
    height, width = small.shape[:2]
    mask = small[..., 3] >= 128
    origins, directions = rays(photo.camera, pixel_centres(width, height)[mask], width, height)
    points = march(origins, directions, np.linspace(-RAY_REACH, RAY_REACH, RAY_SAMPLES))
    nearest = map_coordinates(body, np.moveaxis(grid.to_lattice(points), -1, 0), order=1, cval=8.0).min(axis=1)
    uncovered = np.zeros((height, width), bool)
    uncovered[mask] = nearest > COVERED_LEVEL
    return (255 * binary_dilation(uncovered)).astype(np.uint8)

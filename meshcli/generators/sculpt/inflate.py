"""Silhouette inflation: a plausible body from a single outline, as a height field of half its thickness.

The outline is projected on a plane through the world's origin that faces the photo, and is upright unless the photo was
taken from steeply above or below. The body extends perpendicularly to that plane, since extending it along the camera's
rays would flare its back. The thickness is a guess; each step says what it assumes. Round shapes follow the Poisson
equation; rods, boxes and furniture made of bars are recognised by their outline.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, csc_array
from scipy.spatial import ConvexHull

from meshcli.arrays import Float64Array, Mask
from meshcli.generators.sculpt.silhouette import (
    MedialAxis,
    extent,
    label_parts,
    medial_axis,
    without_specks,
)
from meshcli.pictures.pixels import EIGHT_CONNECTED
from meshcli.sdf.grid import Field, Grid, silhouette_distance
from meshcli.settings import SculptSettings
from meshcli.system.sparse_solve import factorise
from meshcli.views.camera import Camera
from meshcli.views.projection import project, view_directions
from meshcli.views.view import View

MAX_UPRIGHT = 35.0  # degrees of elevation up to which the object is assumed to stand upright; by eye
MARGIN = 0.25  # of the outline's size, around it: room for the field to fall off
OFFSET = 1e4  # pixels, added while sampling, so that samples outside the picture, which are 0, count as far outside
SAMPLES_ACROSS = 8.0  # across thin parts, as far as the number of samples in the silhouette allows
FIELD_LIMIT = 8.0  # voxels: distances are cut off there

# Recognition of shapes by their outline. By eye; of the benchmark's objects the desk and the cabinet come out as boxes
# (boxiness 0.97 and 1.0), all others do not (0). Of an ellipse, a quadrilateral covers 0.64 at most.
MAX_ROD, ROD_RAMP = 0.15, 0.05  # breadth over length: below 0.10 a rod (pencils, poles), above 0.15 none
MIN_QUADRILATERAL, QUADRILATERAL_RAMP = 0.87, 0.03  # area of the largest one in the convex hull, over the hull's
MIN_SOLIDITY, SOLIDITY_RAMP = 0.92, 0.02  # silhouette's area over that of its convex hull
MAX_HULL_CORNERS = 24  # to which the hull is simplified: 10,626 quadrilaterals
# Largest inscribed radius over half the breadth: wire, which is round, has less than bars, and solid things have more.
MAX_BARS, BARS_RAMP = 0.45, 0.15
MAX_WIRE, WIRE_RAMP = 0.1, 0.1

# Details of the height field; by eye.
SLAB_ROUNDING = 3.0  # half thickness of a slab over the radius of its edges
END_BAND = 0.04  # of the height: flat ends lie that near to the top and bottom
MIN_END_LENGTH = 0.25  # of the breadth
MAX_END_SLOPE = 0.1  # height over length
MIN_SLOPE = 1e-3  # of the largest squared thickness, per sample outside the outline
RIB_SIGMA = 1.5  # samples: of the blur that removes ribs
MIN_KEPT = 0.4  # of the squared thickness: thin bars would vanish in the blur


@dataclass(frozen=True)
class Plane:
    """A raster (rows, columns) on a plane through the world's origin."""

    right: Float64Array  # (3,) unit
    up: Float64Array  # (3,) unit
    front: Float64Array  # (3,) unit, towards the photo
    left: float  # of the first column's centre, world units from the origin
    top: float  # of the first row's centre
    spacing: float
    shape: tuple[int, int]

    def points(self) -> Float64Array:
        """World positions (rows, columns, 3) of the pixels' centres."""
        rows, columns = self.shape
        across = self.left + self.spacing * np.arange(columns)
        height = self.top - self.spacing * np.arange(rows)
        return across[None, :, None] * self.right + height[:, None, None] * self.up

    def locate(self, points: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Raster positions (row, column), (..., 2), of points projected on the plane, and their heights (...)."""
        column = (points @ self.right - self.left) / self.spacing
        row = (self.top - points @ self.up) / self.spacing
        return np.stack([row, column], axis=-1), points @ self.front


@dataclass(frozen=True)
class InflatedBody:
    """A body that is symmetric to a plane."""

    plane: Plane
    mask: Mask  # (rows, columns)
    boxiness: float  # 0 round to 1 a box
    squared_depth: Float64Array  # (rows, columns) square of half the thickness, continued with negative values outside
    medial_axis: MedialAxis  # of the silhouette

    def field(self, grid: Grid) -> Field:
        """Signed distance in voxels at the grid's nodes to first order, negative inside; accurate near the surface."""
        nodes = np.stack(np.meshgrid(*(np.arange(float(n)) for n in grid.shape), indexing="ij"), axis=-1)
        positions, height = self.plane.locate(grid.to_world(nodes))
        index = np.moveaxis(positions, -1, 0)
        down, right = np.gradient(self.squared_depth, self.plane.spacing)
        value, slope_down, slope_right = (
            ndimage.map_coordinates(np.asarray(values, np.float64), index, order=1, mode="nearest")
            for values in (self.squared_depth, down, right)
        )
        # The surface is the zero level set of height^2 - squared_depth; divided by its gradient it is a distance.
        gradient = np.sqrt(4.0 * height**2 + slope_down**2 + slope_right**2 + grid.voxel**2)
        distance = np.clip((height**2 - value) / (gradient * grid.voxel), -FIELD_LIMIT, FIELD_LIMIT)
        return np.asarray(distance, np.float32)


def inflate(view: View, settings: SculptSettings) -> InflatedBody:
    """The body behind a photo's silhouette: Poisson inflation, blended with a rod or a box where it looks like one."""
    axis = medial_axis(view)
    plane = _facing_plane(view, settings.relief, axis.width)
    depth_inside = _depth_inside(view, plane)
    mask = _plane_mask(depth_inside)
    breadth, length = extent(mask)
    rodness = float(np.clip((MAX_ROD - breadth / length) / ROD_RAMP, 0.0, 1.0))
    boxiness = (1.0 - rodness) * _boxiness(mask) if rodness < 1.0 else 0.0
    height = _inflate_parts(mask, depth_inside, plane.spacing, settings)
    inside = np.maximum(depth_inside, 0.0) * plane.spacing
    rod = np.sqrt(inside * (2.0 * inside.max() - inside))  # as deep as it is wide
    height = (1.0 - rodness) * height + rodness * np.minimum(height, rod)
    if boxiness > 0.0:
        slab = _slab(mask, plane.spacing, settings.box_depth * breadth * plane.spacing)
        height = (1.0 - boxiness) * height + boxiness * slab
        plane = _moved_to_front(plane, boxiness * float(slab.max()), view)
    squared = _extrapolated(height**2, mask)
    # The raster's steps would be visible as ribs along steep sides.
    smooth = ndimage.gaussian_filter(squared, RIB_SIGMA)
    smooth = np.maximum(smooth, np.where(mask, MIN_KEPT * squared, -np.inf))
    return InflatedBody(plane, mask, boxiness, smooth, axis)


def sample(camera: Camera, points: Float64Array, values: Float64Array) -> Float64Array:
    """Bilinear values (..., C) of a camera's picture (H, W, C) at world positions (..., 3); zero outside."""
    positions, _ = project(camera, points, values.shape[1], values.shape[0])
    index = np.moveaxis(positions[..., ::-1] - 0.5, -1, 0)
    channels = [ndimage.map_coordinates(values[..., c], index, order=1) for c in range(values.shape[2])]
    return np.stack(channels, axis=-1)


def solve_laplace(free: Mask, known: Mask, values: Float64Array, source: float, down: float) -> Float64Array:
    """Solve div(c grad u) = -source on `free` pixels with u given by `values` on `known` ones, (rows, columns, C).

    The conductivity c is 1 along rows and `down` along columns. Pixels that are neither free nor known are insulated
    (Neumann boundary).
    """
    count = int(free.sum())
    index = np.full(free.shape, -1)
    index[free] = np.arange(count)
    matrix, total = csc_array((count, count)), np.zeros(count)
    right_side = np.full((count, values.shape[2]), float(source))
    rows, columns = np.nonzero(free)
    for step_down, step_right, weight in ((0, 1, 1.0), (0, -1, 1.0), (1, 0, down), (-1, 0, down)):
        row, column = rows + step_down, columns + step_right
        within = (row >= 0) & (row < free.shape[0]) & (column >= 0) & (column < free.shape[1])
        row, column = np.clip(row, 0, free.shape[0] - 1), np.clip(column, 0, free.shape[1] - 1)
        to_free, to_known = within & free[row, column], within & known[row, column]
        start = np.flatnonzero(to_free)
        entries = (np.full(len(start), -weight), (start, index[row, column][start]))
        matrix = matrix + coo_array(entries, shape=(count, count)).tocsc()
        total += weight * (to_free | to_known)
        right_side[to_known] += weight * values[row, column][to_known]
    diagonal = np.arange(count)
    matrix = matrix + coo_array((total + 1e-9, (diagonal, diagonal)), shape=(count, count)).tocsc()
    solution = values.copy()
    solution[free] = factorise(matrix).solve(right_side)
    return solution


def _facing_plane(view: View, resolution: int, thin: float) -> Plane:
    """The plane that faces the photo, with a raster around the outline.

    The raster has `resolution` samples along the outline's longer side, or more if `thin`, the width of thin parts over
    the picture's height, needs them: at most as many inside the silhouette as a square would have, and two per pixel.
    """
    camera = view.camera
    tilt = np.radians(camera.elevation - np.clip(camera.elevation, -MAX_UPRIGHT, MAX_UPRIGHT))
    azimuth = np.radians(camera.azimuth)
    across = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    front = np.array([np.cos(tilt) * np.cos(azimuth), np.cos(tilt) * np.sin(azimuth), np.sin(tilt)])
    up = np.cross(front, across)
    rows, columns = np.nonzero(view.pixels[..., 3] >= 128)
    centres = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    position = np.array(camera.position)
    direction = view_directions(camera, centres, view.width, view.height)
    points = position - direction * (position @ front / (direction @ front))[:, None]
    low = np.array([(points @ across).min(), (points @ up).min()])
    high = np.array([(points @ across).max(), (points @ up).max()])
    pixel = view.pixel_size
    fine = max(thin * view.height * pixel / SAMPLES_ACROSS, np.sqrt(len(rows)) * pixel / resolution, pixel / 2.0)
    longest = float((high - low).max())
    spacing = min(longest / resolution, fine)
    margin = round(MARGIN * longest / spacing)
    counts = np.ceil((high - low) / spacing).astype(int) + 2 * margin + 1
    return Plane(
        across,
        up,
        front,
        low[0] - margin * spacing,
        high[1] + margin * spacing,
        spacing,
        (int(counts[1]), int(counts[0])),
    )


def _depth_inside(view: View, plane: Plane) -> Float64Array:
    """Signed distance of the raster's samples to the photo's outline, in samples, positive inside.

    The picture's border is part of the outline.
    """
    across, down = 1.0 / view.width, 1.0 / view.height
    camera = view.camera.cropped(-across, -down, 1.0 + 2.0 * across, 1.0 + 2.0 * down)
    outline = silhouette_distance(np.pad(view.pixels[..., 3], 1)).astype(np.float64)
    pixel = view.pixel_size * (view.height + 2) / len(outline)
    return (sample(camera, plane.points(), outline[..., None] + OFFSET)[..., 0] - OFFSET) * pixel / plane.spacing


def _plane_mask(depth_inside: Float64Array) -> Mask:
    """The silhouette on the raster, with thin parts dilated by half a sample.

    The body is cut by the photo's own outline later, so thin parts may be too wide here but must not be too narrow. On
    thick parts the cut would leave a flat band along their sides.
    """
    deepest = ndimage.maximum_filter(depth_inside, 2 * round(SAMPLES_ACROSS) + 1)
    return without_specks(depth_inside >= np.where(deepest < 0.75 * SAMPLES_ACROSS, -0.5, 0.0))


def _inflate_parts(mask: Mask, depth_inside: Float64Array, spacing: float, settings: SculptSettings) -> Float64Array:
    """Half the thickness (rows, columns) of the silhouette's parts, each inflated by itself."""
    labels, _ = label_parts(mask)
    height = np.zeros(mask.shape)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == index
        radius = max(float(depth_inside[box][part].max()), 0.5) * spacing
        height[box] += _inflate_part(np.pad(part, 1), radius, spacing, settings)[1:-1, 1:-1]
    return height


def _inflate_part(mask: Mask, radius: float, spacing: float, settings: SculptSettings) -> Float64Array:
    """Half the thickness from the Poisson equation, which inflates a disc to a ball and a strip to a rounded bar.

    `radius` is that of the largest disc in the mask, in world units; it caps the thickness. Flat ends at the top and
    bottom stay flat (mugs, bottles): they are insulated. Things made of bars (furniture) are given a minimal thickness,
    since bars come in pairs, one behind the other; what is thinner for its breadth than they are is wire, and round.
    """
    ends = _flat_ends(mask)
    insulated = np.roll(ends, 1, axis=0) | np.roll(ends, -1, axis=0)
    walls = ndimage.binary_dilation(mask) & ~mask & ~insulated
    squared = solve_laplace(mask, walls, np.zeros((*mask.shape, 1)), 4.0 * spacing**2, 1.0)[..., 0]
    height = settings.inflation * np.sqrt(np.maximum(squared, 0.0))
    cap = settings.cap * radius
    height = cap * np.tanh((height / cap) ** 3) ** (1.0 / 3.0)  # a smooth minimum of both
    half_breadth = extent(mask)[0] * spacing / 2.0
    ratio = radius / half_breadth
    bars = np.clip((MAX_BARS - ratio) / BARS_RAMP, 0.0, 1.0) * np.clip((ratio - MAX_WIRE) / WIRE_RAMP, 0.0, 1.0)
    floor = _slab(mask, spacing, bars * settings.bar_depth * half_breadth)
    return np.asarray((height**4 + floor**4) ** 0.25)  # a smooth maximum of both


def _slab(mask: Mask, spacing: float, depth: float) -> Float64Array:
    """Height (rows, columns) of a plate of half thickness `depth`, in world units, with rounded edges."""
    radius = max(depth / SLAB_ROUNDING, spacing)
    across_edge = np.clip((ndimage.distance_transform_edt(mask) - 0.5) * spacing / radius, 0.0, 1.0)
    height = max(depth - radius, 0.0) + min(depth, radius) * np.sqrt(1.0 - (1.0 - across_edge) ** 2)
    return np.asarray(np.where(mask, height, 0.0))


def _boxiness(mask: Mask) -> float:
    """0 for round outlines, 1 for solid quadrilaterals, which are taken for boxes seen from the front."""
    outline = np.argwhere(mask).astype(np.float64)
    hull = ConvexHull(outline)
    corners = outline[hull.vertices]
    while len(corners) > MAX_HULL_CORNERS:  # drop the corner with the smallest triangle
        before, after = np.roll(corners, 1, axis=0) - corners, np.roll(corners, -1, axis=0) - corners
        corners = np.delete(corners, np.abs(_cross(before, after)).argmin(), axis=0)
    four = corners[np.array(list(combinations(range(len(corners)), 4)))]
    largest = np.abs(_cross(four[:, 2] - four[:, 0], four[:, 3] - four[:, 1])).max() / 2.0
    straight = (largest / hull.volume - MIN_QUADRILATERAL) / QUADRILATERAL_RAMP
    solid = (mask.sum() / hull.volume - MIN_SOLIDITY) / SOLIDITY_RAMP
    return float(np.clip(straight, 0.0, 1.0) * np.clip(solid, 0.0, 1.0))


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _moved_to_front(plane: Plane, depth: float, view: View) -> Plane:
    """The plane, scaled for a box: the outline is that of its front face, which is `depth` nearer and looks larger."""
    position = np.array(view.camera.position)
    share = 1.0 - depth / float(position @ plane.front)
    left = position @ plane.right + share * (plane.left - position @ plane.right)
    top = position @ plane.up + share * (plane.top - position @ plane.up)
    return replace(plane, left=float(left), top=float(top), spacing=plane.spacing * share)


def _flat_ends(mask: Mask) -> Mask:
    """Pixels of the top and bottom edges that are straight, level and at least MIN_END_LENGTH of the object long."""
    rows, columns = np.nonzero(mask)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    row = np.arange(len(mask))[:, None]
    lowest = mask & ~np.roll(mask, -1, axis=0) & (row >= rows.max() - END_BAND * tall)
    highest = mask & ~np.roll(mask, 1, axis=0) & (row <= rows.min() + END_BAND * tall)
    found = np.zeros_like(mask)
    for edge in (lowest, highest):
        labels, _ = ndimage.label(edge, EIGHT_CONNECTED)
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            height, width = (side.stop - side.start for side in box)
            if width >= MIN_END_LENGTH * wide and height <= max(2.0, MAX_END_SLOPE * width):
                found[box] |= labels[box] == index
    return found


def _extrapolated(squared: Float64Array, mask: Mask) -> Float64Array:
    """The squared half thickness, continued outside the mask linearly with its slope at the rim."""
    outside, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    inside = np.maximum(ndimage.distance_transform_edt(mask), 1.0)
    slope = ndimage.maximum_filter(np.where(mask & (inside <= 2.0), squared / inside, 0.0), 3)
    slope = np.maximum(slope, MIN_SLOPE * squared.max())
    return np.asarray(np.where(mask, squared, -outside * slope[tuple(nearest)]))

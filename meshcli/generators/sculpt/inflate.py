"""One silhouette to a plausible body: half the thickness of the object at every point of its outline.

The outline is laid on a plane through the world's origin that faces the photo and is upright unless the photo was taken
from high above or far below. The body is swept perpendicular to that plane: sweeping along the camera's rays would
flare the back. How thick it is, nobody knows; what is assumed is said at each step.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, csc_array
from scipy.spatial import ConvexHull

from meshcli.arrays import Float64Array, Mask
from meshcli.generators.sculpt.silhouette import MiddleLines, extent, middle_lines, parts, without_specks
from meshcli.sdf.grid import Field, Grid, silhouette_distance
from meshcli.settings import SculptSettings
from meshcli.system.sparse_solve import factorise
from meshcli.views.camera import Camera
from meshcli.views.projection import project, view_directions
from meshcli.views.view import View

STEEP = 35.0  # degrees: up to this elevation the object is taken to stand upright
BEYOND = 0.25  # of the plane's size: margin around the outline
FAR = 1e4  # pixels: no place beyond the picture is nearer to the outline
ACROSS = 8.0  # samples across thin parts, as far as the number of samples in the silhouette allows it


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
        """Raster positions (row, column) (..., 2) of points projected on it, heights (...) in front."""
        column = (points @ self.right - self.left) / self.spacing
        row = (self.top - points @ self.up) / self.spacing
        return np.stack([row, column], axis=-1), points @ self.front


@dataclass(frozen=True)
class InflatedBody:
    """The body in front of and behind a plane, the same on both sides."""

    plane: Plane
    mask: Mask  # (rows, columns)
    box: float  # 0 round, 1 a box
    squared: Float64Array  # (rows, columns) square of half the thickness; negative outside, falling as it rose inside
    lines: MiddleLines  # of the silhouette

    def field(self, grid: Grid) -> Field:
        """About the signed distance in voxels at the grid's nodes, negative inside; good near the surface."""
        nodes = np.stack(np.meshgrid(*(np.arange(float(n)) for n in grid.shape), indexing="ij"), axis=-1)
        where, height = self.plane.locate(grid.to_world(nodes))
        place = np.moveaxis(where, -1, 0)
        down, right = np.gradient(self.squared, self.plane.spacing)
        value, slope_down, slope_right = (
            ndimage.map_coordinates(np.asarray(values, np.float64), place, order=1, mode="nearest")
            for values in (self.squared, down, right)
        )
        # height^2 - squared over the length of its gradient is the distance to first order.
        steep = np.sqrt(4.0 * height**2 + slope_down**2 + slope_right**2 + grid.voxel**2)
        distance: Field = np.clip((height**2 - value) / (steep * grid.voxel), -8.0, 8.0).astype(np.float32)
        return distance


def inflate(view: View, settings: SculptSettings) -> InflatedBody:
    """The body behind one photo's silhouette, (Poisson inflation; boxes stay boxes)."""
    lines = middle_lines(view)
    plane = _plane(view, settings.relief, lines.width)
    inward = _inward(view, plane)
    mask = _mask(inward)
    breadth, length = extent(mask)
    slender = float(np.clip((0.15 - breadth / length) / 0.05, 0.0, 1.0))  # pencils and poles are rods, no boxes
    box = (1.0 - slender) * _boxiness(mask) if slender < 1.0 else 0.0
    height = _pillows(mask, inward, plane.spacing, settings)
    inside = np.maximum(inward, 0.0) * plane.spacing
    rod = np.sqrt(inside * (2.0 * inside.max() - inside))  # as deep as it is wide
    height = (1.0 - slender) * height + slender * np.minimum(height, rod)
    if box > 0.0:
        slab = _slab(mask, plane.spacing, settings.box_depth * breadth * plane.spacing)
        height = (1.0 - box) * height + box * slab
        plane = _moved_to_front(plane, box * float(slab.max()), view)
    square = _extended(height**2, mask)
    # The raster's steps would stand out as ribs along steep sides; thin bars must survive their removal.
    smooth = np.maximum(ndimage.gaussian_filter(square, 1.5), np.where(mask, 0.4 * square, -np.inf))
    return InflatedBody(plane, mask, box, smooth, lines)


def sample(camera: Camera, points: Float64Array, values: Float64Array) -> Float64Array:
    """What a camera's picture (H, W, C) shows at world positions (..., 3), (..., C); zero outside."""
    where, _ = project(camera, points, values.shape[1], values.shape[0])
    place = np.moveaxis(where[..., ::-1] - 0.5, -1, 0)
    channels = [ndimage.map_coordinates(values[..., c], place, order=1) for c in range(values.shape[2])]
    return np.stack(channels, axis=-1)


def solve_laplace(free: Mask, known: Mask, values: Float64Array, source: float, down: float) -> Float64Array:
    """Solve div(c grad u) = -source on `free` pixels with u given on `known`, (rows, columns, C).

    c is 1 along rows and `down` along columns; nothing flows to pixels that are neither free nor known.
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


def _plane(view: View, resolution: int, thin: float) -> Plane:
    """The plane that faces the photo, with a raster over the outline.

    `resolution` samples along its longer side, more where `thin`, the width of thin parts over the picture's height,
    asks for them: the silhouette never has more samples than a square would have, nor a pixel more than two in a row.
    """
    camera = view.camera
    tilt = np.radians(camera.elevation - np.clip(camera.elevation, -STEEP, STEEP))
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
    fine = max(thin * view.height * pixel / ACROSS, np.sqrt(len(rows)) * pixel / resolution, pixel / 2.0)
    longest = float((high - low).max())
    spacing = min(longest / resolution, fine)
    margin = round(BEYOND * longest / spacing)
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


def _inward(view: View, plane: Plane) -> Float64Array:
    """How far inside the photo's outline each sample of the plane's raster lies, in samples; negative outside.

    The body ends where the picture does.
    """
    across, down = 1.0 / view.width, 1.0 / view.height
    camera = view.camera.cropped(-across, -down, 1.0 + 2.0 * across, 1.0 + 2.0 * down)
    outline = silhouette_distance(np.pad(view.pixels[..., 3], 1)).astype(np.float64)
    pixel = view.pixel_size * (view.height + 2) / len(outline)
    return (sample(camera, plane.points(), outline[..., None] + FAR)[..., 0] - FAR) * pixel / plane.spacing


def _mask(inward: Float64Array) -> Mask:
    """The silhouette on the raster.

    Thin parts are half a sample broader: the photo's own outline cuts the body, and what is missing nobody brings back.
    On thick ones the cut would show as a flat band along their sides.
    """
    deepest = ndimage.maximum_filter(inward, 2 * round(ACROSS) + 1)
    return without_specks(inward >= np.where(deepest < 0.75 * ACROSS, -0.5, 0.0))


def _pillows(mask: Mask, inward: Float64Array, spacing: float, settings: SculptSettings) -> Float64Array:
    """Half the thickness of every piece of the silhouette, each by itself."""
    labels, _ = parts(mask)
    height = np.zeros(mask.shape)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        piece = labels[box] == index
        largest = max(float(inward[box][piece].max()), 0.5) * spacing
        height[box] += _pillow(np.pad(piece, 1), largest, spacing, settings)[1:-1, 1:-1]
    return height


def _pillow(mask: Mask, largest: float, spacing: float, settings: SculptSettings) -> Float64Array:
    """Half the thickness from the Poisson equation, which makes a ball of a disc and a rounded bar of a strip.

    Flat ends at the very top and bottom stay flat (mugs, bottles): nothing flows out through them. The thickness is
    capped by the radius of the largest disc that fits, and furniture, which is made of bars, is given some thickness:
    bars come in pairs. What is thinner for its breadth than they are is wire, and round.
    """
    ends = _flat_ends(mask)
    open_ends = np.roll(ends, 1, axis=0) | np.roll(ends, -1, axis=0)
    walls = ndimage.binary_dilation(mask) & ~mask & ~open_ends
    square = solve_laplace(mask, walls, np.zeros((*mask.shape, 1)), 4.0 * spacing**2, 1.0)[..., 0]
    height = settings.inflation * np.sqrt(np.maximum(square, 0.0))
    cap = settings.cap * largest
    height = cap * np.tanh((height / cap) ** 3) ** (1.0 / 3.0)
    across = extent(mask)[0] * spacing / 2.0
    bars = np.clip((0.45 - largest / across) / 0.15, 0.0, 1.0) * np.clip((largest / across - 0.1) / 0.1, 0.0, 1.0)
    floor = _slab(mask, spacing, bars * settings.bar_depth * across)
    return np.asarray((height**4 + floor**4) ** 0.25)


def _slab(mask: Mask, spacing: float, depth: float) -> Float64Array:
    """A plate of this half thickness with edges rounded by a third of it."""
    radius = max(depth / 3.0, spacing)
    inward = np.clip((ndimage.distance_transform_edt(mask) - 0.5) * spacing / radius, 0.0, 1.0)
    return np.asarray(
        np.where(mask, max(depth - radius, 0.0) + min(depth, radius) * np.sqrt(1.0 - (1.0 - inward) ** 2), 0.0)
    )


def _boxiness(mask: Mask) -> float:
    """0 for anything round, 1 for a solid outline with four corners: a box seen from the front."""
    outline = np.argwhere(mask).astype(np.float64)
    hull = ConvexHull(outline)
    corners = outline[hull.vertices]
    while len(corners) > 24:  # drop those that matter least
        before, after = np.roll(corners, 1, axis=0) - corners, np.roll(corners, -1, axis=0) - corners
        corners = np.delete(corners, np.abs(_cross(before, after)).argmin(), axis=0)
    four = corners[np.array(list(combinations(range(len(corners)), 4)))]
    largest = np.abs(_cross(four[:, 2] - four[:, 0], four[:, 3] - four[:, 1])).max() / 2.0
    straight = (largest / hull.volume - 0.87) / 0.03
    solid = (mask.sum() / hull.volume - 0.92) / 0.02
    return float(np.clip(straight, 0.0, 1.0) * np.clip(solid, 0.0, 1.0))


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _moved_to_front(plane: Plane, depth: float, view: View) -> Plane:
    """A box's outline is that of its front face, which is nearer than the plane and looks larger than it is."""
    position = np.array(view.camera.position)
    share = 1.0 - depth / float(position @ plane.front)
    left = position @ plane.right + share * (plane.left - position @ plane.right)
    top = position @ plane.up + share * (plane.top - position @ plane.up)
    return replace(plane, left=float(left), top=float(top), spacing=plane.spacing * share)


def _flat_ends(mask: Mask) -> Mask:
    """Pixels of the top and bottom edges that are straight, level and at least a quarter of the object long."""
    rows, columns = np.nonzero(mask)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    row = np.arange(len(mask))[:, None]
    lowest = mask & ~np.roll(mask, -1, axis=0) & (row >= rows.max() - 0.04 * tall)
    highest = mask & ~np.roll(mask, 1, axis=0) & (row <= rows.min() + 0.04 * tall)
    found = np.zeros_like(mask)
    for edge in (lowest, highest):
        labels, _ = ndimage.label(edge, np.ones((3, 3)))
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            height, width = (side.stop - side.start for side in box)
            if width >= 0.25 * wide and height <= max(2.0, 0.1 * width):
                found[box] |= labels[box] == index
    return found


def _extended(square: Float64Array, mask: Mask) -> Float64Array:
    """Continue outside with the slope that the squared thickness has at the rim."""
    away, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    inside = np.maximum(ndimage.distance_transform_edt(mask), 1.0)
    slope = ndimage.maximum_filter(np.where(mask & (inside <= 2.0), square / inside, 0.0), 3)
    slope = np.maximum(slope, 1e-3 * square.max())
    return np.asarray(np.where(mask, square, -away * slope[tuple(nearest)]))

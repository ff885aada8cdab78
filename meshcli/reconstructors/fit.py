"""Posed pictures to a coloured mesh, without weights: a distance grid and a colour grid fitted by volume rendering.

The pictures are rendered as in NeuS (Wang et al. 2021), but on plain grids, coarse to fine, starting from the visual
hull. Pictures that a diffusion model painted contradict each other: their common hull loses what is thin. So the
silhouettes first grow by as many pixels as it takes until the hull fills them again, and the fit finds the compromise.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from meshcli.errors import InputError
from meshcli.meshes.colouring import colour_vertices
from meshcli.meshes.mesh import Mesh
from meshcli.progress import Progress
from meshcli.sdf.extract import extract_pieces, keep_parts, taubin
from meshcli.sdf.fairing import fair
from meshcli.sdf.fit_level import Level, Schedule, Shape, Tuning, Weights
from meshcli.sdf.grid import (
    Field,
    Grid,
    blur,
    depth,
    near,
    redistance,
    resample,
    silhouette_distance,
    visual_hull,
)
from meshcli.sdf.lost_parts import Silhouette, bring_back, join
from meshcli.sdf.pixel_rays import PixelRays, gather_rays, in_lattice
from meshcli.sdf.volume_rendering import meets
from meshcli.settings import FitSettings
from meshcli.views.camera import Camera
from meshcli.views.view import View

Prior = Callable[[Grid], Field]

PADDING = 5  # voxels around the hull's box
ENLARGE = 2  # samples per pixel of the silhouettes' distance maps
ACROSS = 0.2  # of a resolution: voxels that the thickness of a thin thing gets, as far as the number of nodes allows
THINNEST = 2.0  # voxels: a grid shows the true thickness of what is thicker
FINEST = 0.5  # pixels of the views: no voxel needs to be smaller
TOLERANCES = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)  # pixels that silhouettes may grow by, in a picture of 320 rows
COVERED = 0.995  # share of the silhouettes' pixels that the hull has to fill

ROUGH = Schedule(rate=(0.7, 0.12), gradient_blur=(3.5, 0.9), sharpness=(1.2, 2.5), shrink=0.35)
FIRST = Schedule(rate=(0.7, 0.12), gradient_blur=(3.5, 0.9), sharpness=(2.0, 5.0), shrink=0.35, fade=0.15)
LAST = Schedule((0.04, 0.03), gradient_blur=(1.6, 0.8), sharpness=(3.5, 7.0), shrink=0.05, fade=0.15, planar=True)
FIRST_PAINTED = Schedule((0.7, 0.12), (3.5, 0.9), (1.2, 2.5), shrink=0.15, pierce=True)
LAST_PAINTED = Schedule(rate=(0.04, 0.03), gradient_blur=(1.6, 0.8), sharpness=(1.5, 3.5), shrink=0.03)
AGREEING = Weights(rgb=3.0, mask=7.0, missing=1.0)
PAINTED = Weights(rgb=2.0, mask=7.0, missing=1.6)
TUNING = Tuning(FIRST, LAST, AGREEING, ROUGH)
PAINTED_TUNING = Tuning(FIRST_PAINTED, LAST_PAINTED, PAINTED)


def fit(
    views: Sequence[View],
    settings: FitSettings,
    seed: int,
    progress: Progress,
    note: Callable[[str], None] = lambda sentence: None,
) -> Mesh:
    """A dense mesh with vertex colours, in the world of the views' cameras.

    The views' alpha must say what is object. The same views, settings and seed give the same mesh for any number of
    threads. `note` is told what the user should know about the result. Raises InputError where the silhouettes have no
    common body, or none that a grid can hold.
    """
    shape = fit_shape(views, settings, seed, progress)
    if thickness_of(views) < THINNEST * shape.grid.voxel:
        note(f"the object is hardly thicker than a voxel ({shape.grid.voxel:.4f}): the mesh may be thicker than it is")
    vertices, faces = extract_pieces(shape.distance, shape.grid)
    if settings.parts != "all":
        vertices, faces = keep_parts(vertices, faces, only_largest=settings.parts == "largest")
    vertices = taubin(vertices, faces, 10)
    vertices = fair(vertices, faces, _reach(shape, vertices))
    return colour_vertices(Mesh(vertices.astype(np.float32), faces), views)


def fit_shape(
    views: Sequence[View],
    settings: FitSettings,
    seed: int,
    progress: Progress,
    prior: Prior | None = None,
    tuning: Tuning | None = None,
) -> Shape:
    """Fit the grids.

    `prior` gives distances in voxels of a body to start from and to fall back on. Without `tuning` it depends on how
    well the silhouettes agree.
    """
    for view in views:
        if not (view.pixels[..., 3] >= 128).any():
            raise InputError(f"view {view.name} shows nothing: its alpha is empty")
    cameras = [view.camera for view in views]
    silhouettes = [silhouette_distance(view.pixels[..., 3], ENLARGE) for view in views]
    shown = [Silhouette.of(view) for view in views]
    pixel_rays = gather_rays(views)
    tolerance = find_tolerance(cameras, silhouettes, pixel_rays)
    if tuning is None:
        painted = tolerance > 0
        tuning = PAINTED_TUNING if painted else TUNING
    low, high = _box(cameras, silhouettes, tolerance)
    thickness, pixel = thickness_of(views), min(_pixel_size(view) for view in views)
    generator = np.random.default_rng(seed)
    shape: Shape | None = None
    done = 0
    for index, (resolution, steps) in enumerate(zip(settings.resolutions, settings.steps, strict=True)):
        grid = _grid(low, high, resolution, thickness, pixel)
        hull = _tolerant_hull(cameras, silhouettes, grid, tolerance)
        body = hull if prior is None else np.maximum(hull, prior(grid))
        shape = _start(grid, body) if shape is None else _refine(shape, grid)
        body = _make_whole(shape, body, shown, tolerance)
        schedule = tuning.schedule(index, len(settings.steps))
        level = Level(shape, np.minimum(hull, body), body if prior else None, pixel_rays, schedule, tuning.weights)
        for step in range(steps):
            level.step(step / max(steps - 1, 1), settings.rays, generator)
            done += 1
            progress(done, sum(settings.steps), "fitting the surface")
    if shape is None:
        raise ValueError("a fit needs at least one level")
    _make_whole(shape, body, shown, tolerance)
    return shape


def _make_whole(shape: Shape, body: Field, shown: Sequence[Silhouette], tolerance: float) -> Field:
    """Give the shape what the silhouettes show and it lacks, as `body` has it; the body that has room for that."""
    shape.distance, body = bring_back(shape.distance, body, shape.grid, shown, tolerance)
    shape.distance, body = join(shape.distance, body, shape.grid, shown, tolerance)
    return body


def _reach(shape: Shape, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each vertex may move, in the world: 1.5 voxels at most, next to nothing where the body is thin."""
    deep = map_coordinates(depth(shape.distance), shape.grid.to_lattice(vertices).T, order=1, mode="nearest")
    voxels: NDArray[np.float64] = np.clip(0.4 * (deep - 0.5), 0.02, 1.5)
    return voxels * shape.grid.voxel


def find_tolerance(cameras: Sequence[Camera], silhouettes: Sequence[Field], pixel_rays: PixelRays) -> float:
    """Pixels by which the silhouettes have to grow until their common body fills them; 0 where the views agree."""
    grid = Grid.around(np.full(3, -1.1), np.full(3, 1.1), 110, 1)
    chosen = np.flatnonzero(pixel_rays.targets[:, 3] >= 0.5)[::7]
    lattice = in_lattice(pixel_rays.origins[chosen], pixel_rays.directions[chosen], grid)
    for tolerance in TOLERANCES:
        hull = _tolerant_hull(cameras, silhouettes, grid, tolerance)
        if meets(hull, lattice.origins, lattice.directions, lattice.spans, 0.3).mean() >= COVERED:
            return tolerance
    return TOLERANCES[-1]


def _tolerant_hull(cameras: Sequence[Camera], silhouettes: Sequence[Field], grid: Grid, tolerance: float) -> Field:
    """Distance to the hull of silhouettes that grew by `tolerance` pixels of a picture of 320 rows."""
    grown = [silhouette + np.float32(tolerance * silhouette.shape[0] / 320) for silhouette in silhouettes]
    return visual_hull(cameras, grown, grid)


def _box(
    cameras: Sequence[Camera], silhouettes: Sequence[Field], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A box around the hull, (3,) and (3,) in the world."""
    grid = Grid.around(np.full(3, -1.15), np.full(3, 1.15), 64, 1)
    inside = np.argwhere(_tolerant_hull(cameras, silhouettes, grid, tolerance) < 1.0).astype(np.float64)
    if not len(inside):
        raise InputError("the silhouettes of the views have no common body: are the cameras right?")
    return grid.to_world(inside.min(axis=0) - 1), grid.to_world(inside.max(axis=0) + 1)


def thickness_of(views: Sequence[View]) -> float:
    """How thick the object is where it looks thickest, from the side where it looks thinnest.

    In the world, at the distance of the origin; the smallest over the views of twice the radius of the largest disc in
    a silhouette.
    """
    return min(2 * float(silhouette_distance(view.pixels[..., 3], 1).max()) * _pixel_size(view) for view in views)


def _pixel_size(view: View) -> float:
    """Of a view's pixel, in the world, at the distance of the origin."""
    return view.camera.distance / (view.camera.fy * view.height)


def _grid(low: NDArray[np.float64], high: NDArray[np.float64], resolution: int, thickness: float, pixel: float) -> Grid:
    """The box in voxels: `resolution` of them along its longest side, more for thin things, which fill a small box.

    Never more nodes than a cube of that resolution has, and no voxel that is much smaller than a pixel.
    """
    length = float((high - low).max())
    wanted = min(ACROSS * resolution * length / max(thickness, pixel), length / (FINEST * pixel))
    most = (resolution + 2 * PADDING + 1) ** 3
    finest = resolution
    while finest < wanted and np.prod(Grid.around(low, high, finest + 4, PADDING).shape) <= most:
        finest += 4
    return Grid.around(low, high, finest, PADDING)


def _start(grid: Grid, body: Field) -> Shape:
    """The body, its edges rounded by a voxel, in grey."""
    rounded = blur(near(body), 1.0) + 6
    inner = np.zeros(grid.shape, bool)
    inner[2:-2, 2:-2, 2:-2] = True
    return Shape(grid, redistance(rounded, np.flatnonzero(inner)), np.full((*grid.shape, 3), 0.5, np.float32))


def _refine(shape: Shape, grid: Grid) -> Shape:
    """The same shape on a finer grid."""
    ratio = grid.voxel / shape.grid.voxel
    offset = shape.grid.to_lattice(np.array(grid.origin))
    distance = (resample(shape.distance, offset, ratio, grid.shape) / ratio).astype(np.float32)
    colour = np.empty((*grid.shape, 3), np.float32)
    for channel in range(3):
        colour[..., channel] = resample(np.ascontiguousarray(shape.colour[..., channel]), offset, ratio, grid.shape)
    return Shape(grid, distance, colour)

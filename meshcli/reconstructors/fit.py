"""Posed pictures to a coloured mesh, without weights: a distance grid and a colour grid fitted by volume rendering.

The pictures are rendered as in NeuS (Wang et al. 2021), but on plain grids, coarse to fine, starting from the visual
hull. Pictures that a diffusion model painted contradict each other: their common hull loses what is thin. So the
silhouettes first grow by as many pixels as it takes until the hull fills them again, and the fit finds the compromise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

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
    DistanceFunction,
    Field,
    Grid,
    depth,
    finest_grid,
    redistance_interior,
    resample,
    rounded,
    silhouette_distance,
    visual_hull,
)
from meshcli.sdf.lost_parts import Silhouette, bring_back, join
from meshcli.sdf.pixel_rays import PixelRays, gather_rays, in_lattice
from meshcli.sdf.volume_rendering import meets
from meshcli.settings import FitSettings
from meshcli.views.camera import Camera
from meshcli.views.view import View

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


@dataclass(frozen=True)
class Evidence:
    """What the views show, in the forms in which a fit needs it; prepared once."""

    cameras: list[Camera]
    distances: list[Field]  # signed distances to the silhouettes' outlines, positive inside
    silhouettes: list[Silhouette]
    pixel_rays: PixelRays
    tolerance: float  # pixels by which the silhouettes have to grow until their hull fills them
    thickness: float  # of the object, world units; see `_object_thickness`
    pixel: float  # size of the views' smallest pixel, world units

    @classmethod
    def of(cls, views: Sequence[View]) -> Self:
        """Raises InputError where a view shows no object."""
        for view in views:
            if not (view.pixels[..., 3] >= 128).any():
                raise InputError(f"view {view.name} shows nothing: its alpha is empty")
        cameras = [view.camera for view in views]
        distances = [silhouette_distance(view.pixels[..., 3], ENLARGE) for view in views]
        pixel_rays = gather_rays(views)
        return cls(
            cameras=cameras,
            distances=distances,
            silhouettes=[Silhouette.of(view) for view in views],
            pixel_rays=pixel_rays,
            tolerance=find_tolerance(cameras, distances, pixel_rays),
            thickness=_object_thickness(views),
            pixel=min(view.pixel_size for view in views),
        )

    def hull(self, grid: Grid) -> Field:
        """Signed distance to the visual hull of the silhouettes, grown by the tolerance."""
        return _tolerant_hull(self.cameras, self.distances, grid, self.tolerance)


def fit(
    views: Sequence[View],
    settings: FitSettings,
    seed: int,
    progress: Progress,
    note: Callable[[str], None] = lambda sentence: None,
) -> Mesh:
    """A dense mesh with vertex colours, in the world of the views' cameras.

    The views' alpha must mark the object. The same views, settings and seed give the same mesh for any number of
    threads. `note` receives sentences for the user about the result. Raises InputError where the silhouettes have no
    common body, or none that a grid can resolve.
    """
    evidence = Evidence.of(views)
    shape = fit_shape(evidence, settings, seed, progress)
    if evidence.thickness < THINNEST * shape.grid.voxel:
        note(f"the object is hardly thicker than a voxel ({shape.grid.voxel:.4f}): the mesh may be thicker than it is")
    vertices, faces = extract_pieces(shape.distance, shape.grid)
    if settings.parts != "all":
        vertices, faces = keep_parts(vertices, faces, only_largest=settings.parts == "largest")
    vertices = taubin(vertices, faces, 10)
    vertices = fair(vertices, faces, _reach(shape, vertices))
    return colour_vertices(Mesh(vertices.astype(np.float32), faces), views)


def fit_shape(
    evidence: Evidence,
    settings: FitSettings,
    seed: int,
    progress: Progress,
    prior: DistanceFunction | None = None,
    tuning: Tuning | None = None,
) -> Shape:
    """Fit the grids.

    `prior` is a body to start from and to fall back on. Without `tuning` it depends on how well the silhouettes agree.
    """
    if tuning is None:
        tuning = PAINTED_TUNING if evidence.tolerance > 0 else TUNING
    low, high = _box(evidence)
    generator = np.random.default_rng(seed)
    shape: Shape | None = None
    done = 0
    for index, (resolution, steps) in enumerate(zip(settings.resolutions, settings.steps, strict=True)):
        grid = _grid(low, high, resolution, evidence)
        hull = evidence.hull(grid)
        body = hull if prior is None else np.maximum(hull, prior(grid))
        shape = _start(grid, body) if shape is None else _refine(shape, grid)
        body = _make_whole(shape, body, evidence)
        schedule = tuning.schedule(index, len(settings.steps))
        hull_or_body = np.minimum(hull, body)
        level = Level(shape, hull_or_body, body if prior else None, evidence.pixel_rays, schedule, tuning.weights)
        for step in range(steps):
            level.step(step / max(steps - 1, 1), settings.rays, generator)
            done += 1
            progress(done, sum(settings.steps), "fitting the surface")
    if shape is None:
        raise ValueError("a fit needs at least one level")
    _make_whole(shape, body, evidence)
    return shape


def find_tolerance(cameras: Sequence[Camera], distances: Sequence[Field], pixel_rays: PixelRays) -> float:
    """Pixels by which the silhouettes have to grow until their common body fills them; 0 where the views agree."""
    grid = Grid.around(np.full(3, -1.1), np.full(3, 1.1), 110, 1)
    chosen = np.flatnonzero(pixel_rays.targets[:, 3] >= 0.5)[::7]
    lattice = in_lattice(pixel_rays.origins[chosen], pixel_rays.directions[chosen], grid)
    for tolerance in TOLERANCES:
        hull = _tolerant_hull(cameras, distances, grid, tolerance)
        if meets(hull, lattice.origins, lattice.directions, lattice.spans, 0.3).mean() >= COVERED:
            return tolerance
    return TOLERANCES[-1]


def _tolerant_hull(cameras: Sequence[Camera], distances: Sequence[Field], grid: Grid, tolerance: float) -> Field:
    """Signed distance to the hull of silhouettes grown by `tolerance` pixels of a picture of 320 rows."""
    grown = [distance + np.float32(tolerance * distance.shape[0] / 320) for distance in distances]
    return visual_hull(cameras, grown, grid)


def _object_thickness(views: Sequence[View]) -> float:
    """The smallest over the views of the diameter of the largest disc in a silhouette.

    In world units at the distance of the origin: how thick the object is from the side where it looks thinnest.
    """
    return min(2 * float(silhouette_distance(view.pixels[..., 3], 1).max()) * view.pixel_size for view in views)


def _box(evidence: Evidence) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A box around the hull, (3,) and (3,) in the world."""
    grid = Grid.around(np.full(3, -1.15), np.full(3, 1.15), 64, 1)
    inside = np.argwhere(evidence.hull(grid) < 1.0).astype(np.float64)
    if not len(inside):
        raise InputError("the silhouettes of the views have no common body: are the cameras right?")
    return grid.to_world(inside.min(axis=0) - 1), grid.to_world(inside.max(axis=0) + 1)


def _grid(low: NDArray[np.float64], high: NDArray[np.float64], resolution: int, evidence: Evidence) -> Grid:
    """The box in voxels: `resolution` of them along its longest side, more for thin things, which fill a small box."""
    length = float((high - low).max())
    wanted = ACROSS * resolution * length / max(evidence.thickness, evidence.pixel)
    wanted = min(wanted, length / (FINEST * evidence.pixel))
    finest = resolution + 4 * max(0, math.ceil((wanted - resolution) / 4))
    return finest_grid(low, high, range(finest, resolution - 1, -4), PADDING)


def _start(grid: Grid, body: Field) -> Shape:
    """The body, its edges rounded by a voxel, in grey."""
    distance = redistance_interior(rounded(body, 1.0), 2)
    return Shape(grid, distance, np.full((*grid.shape, 3), 0.5, np.float32))


def _refine(shape: Shape, grid: Grid) -> Shape:
    """The same shape on a finer grid."""
    ratio = grid.voxel / shape.grid.voxel
    offset = shape.grid.to_lattice(np.array(grid.origin))
    distance = (resample(shape.distance, offset, ratio, grid.shape) / ratio).astype(np.float32)
    colour = np.empty((*grid.shape, 3), np.float32)
    for channel in range(3):
        colour[..., channel] = resample(np.ascontiguousarray(shape.colour[..., channel]), offset, ratio, grid.shape)
    return Shape(grid, distance, colour)


def _make_whole(shape: Shape, body: Field, evidence: Evidence) -> Field:
    """Restore in `shape` what the silhouettes show and it lacks, as `body` has it; returns `body` with room for it."""
    shape.distance, body = bring_back(shape.distance, body, shape.grid, evidence.silhouettes, evidence.tolerance)
    shape.distance, body = join(shape.distance, body, shape.grid, evidence.silhouettes, evidence.tolerance)
    return body


def _reach(shape: Shape, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each vertex may move, in world units: 1.5 voxels at most, next to nothing where the body is thin."""
    deep = map_coordinates(depth(shape.distance), shape.grid.to_lattice(vertices).T, order=1, mode="nearest")
    voxels: NDArray[np.float64] = np.clip(0.4 * (deep - 0.5), 0.02, 1.5)
    return voxels * shape.grid.voxel

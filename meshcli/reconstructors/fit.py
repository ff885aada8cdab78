"""Posed pictures to a coloured mesh, without weights: signed-distance and colour grids fitted by volume rendering.

NeuS (Wang et al. 2021) on dense grids, coarse to fine, initialised with the visual hull. Views from a diffusion model
contradict each other, and their common hull loses thin parts. Therefore the silhouettes first grow by as many pixels as
it takes until the hull fills them again, and the optimisation finds the compromise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from meshcli.errors import InputError
from meshcli.meshes.colouring import colour_vertices
from meshcli.meshes.depth_maps import depth_map
from meshcli.meshes.mesh import Mesh, vertex_normals
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.progress import Progress
from meshcli.reconstructors.colour_targets import BandPicture, colour_disagreement
from meshcli.sdf.extract import extract_pieces, extract_surface, keep_parts, taubin_smooth
from meshcli.sdf.fairing import fair
from meshcli.sdf.fit_level import ColouredSdf, LevelOptimiser, LossWeights, Schedule, Tuning
from meshcli.sdf.free_space import FreeSpace, find_free_space
from meshcli.sdf.grid import (
    DistanceFunction,
    Field,
    Grid,
    bounding_box,
    cube_grid,
    finest_grid,
    local_depth,
    redistance_interior,
    resample,
    rounded,
    silhouette_distance,
    visual_hull,
)
from meshcli.sdf.ground import on_ground
from meshcli.sdf.lost_parts import JoinedPieces, Silhouette, join_pieces, restore_lost_parts
from meshcli.sdf.phantoms import Phantoms
from meshcli.sdf.pixel_rays import PixelRays, collect_pixel_rays, to_lattice_rays
from meshcli.sdf.plates import Plate
from meshcli.sdf.straight_bars import straighten_bars
from meshcli.sdf.volume_rendering import rays_hit
from meshcli.settings import FitSettings
from meshcli.views.camera import Camera
from meshcli.views.manhattan import manhattan_frame
from meshcli.views.view import View

PADDING = 5  # voxels around the hull's box
ENLARGE = 2  # samples per pixel of the silhouettes' distance maps: outlines to half a pixel
VOXELS_ACROSS = 0.2  # of a resolution: voxels across the object's thickness, as far as the node budget allows
MIN_RESOLVED = 2.0  # voxels: thinner objects come out thicker than they are, for a grid needs a node inside
FINEST_VOXEL = 0.5  # pixels of the views: smaller voxels would hold no more information
TOLERANCES = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)  # reference pixels (see VIEW_SIZE) that silhouettes may grow by
MAX_DISAGREEMENT = 0.0075  # of colours, see `colour_disagreement`: true views lie below, painted ones above
DISAGREEMENT_SIGMA = 2.0  # reference pixels
MIN_COVERAGE = 0.995  # share of the silhouettes' pixels that the hull has to fill; pixels at outlines always miss some
PROBE_GRID = (1.1, 110)  # half side and resolution of the grid on which coverage is measured; objects reach to 0.95
PROBE_STRIDE = 7  # one pixel in so many is looked at: enough to measure a share to a thousandth
PROBE_LEVEL = 0.3  # voxels: a ray this close to the hull is covered, since rays are sampled every half voxel
TAUBIN_ROUNDS = 10  # remove the grain of marching cubes
MAX_MOVE = 1.5  # voxels that a vertex may move when the mesh is denoised: ripples are smaller, and so are edges' errors
MIN_MOVE = 0.02  # voxels: where the body is thin, a move would thin it further
MOVE_PER_DEPTH = 0.4  # voxels a vertex may move per voxel of depth beyond the first half

# Tuned on true views of spot and on the painted sheets of fox, chair and robot; tests/bench/fit_meshes.py and
# fit_sheets.py measure others. Sharper opacity follows pictures that agree. Painted ones need a softer one and, on
# coarse grids, more smoothing: what their colours ask for is lumps there, and between outlines the hull has creases.
ROUGH = Schedule(rate=(0.7, 0.12), gradient_blur=(3.5, 0.9), sharpness=(1.2, 2.5), shrink=0.35)
FIRST = Schedule(rate=(0.7, 0.12), gradient_blur=(3.5, 0.9), sharpness=(2.0, 5.0), shrink=0.35, fade=0.15)
LAST = Schedule(
    (0.04, 0.03), gradient_blur=(1.6, 0.8), sharpness=(3.5, 7.0), shrink=0.05, fade=0.15, averaged=0.3, planar=True
)
FIRST_PAINTED = Schedule(
    (0.7, 0.12),
    (3.5, 0.9),
    (1.2, 2.5),
    shrink=0.35,
    fade=0.15,
    thin_plate=0.012,
    high_pass=0.35,
    may_pierce=True,
)
LAST_PAINTED = Schedule((0.04, 0.03), gradient_blur=(1.6, 0.8), sharpness=(1.5, 3.5), shrink=0.03, averaged=0.3)
AGREEING = LossWeights(rgb=3.0, mask=7.0, missing=1.0)
PAINTED = LossWeights(rgb=2.0, mask=7.0, missing=1.6)
TUNING = Tuning(FIRST, LAST, AGREEING, ROUGH)
PAINTED_TUNING = Tuning(FIRST_PAINTED, LAST_PAINTED, PAINTED)
# Tuned on six true views of the table and the armchair: plates whose hull is a pillow get flat. Legs, which are hardly
# wider than a voxel at first, vanish without the limit.
BOXES_TUNING = Tuning(
    replace(FIRST, crystalline=0.7, rounding=0.12, crystalline_limit=0.15),
    replace(LAST, crystalline=0.1, rounding=0.06, crystalline_limit=0.15),
    AGREEING,
    replace(ROUGH, crystalline=0.7, rounding=0.12, crystalline_limit=0.15),
)
# Edges along the horizontal axes over the median of all yaws: 4.2 to 14 on the four pieces of furniture of the bench,
# at most 1.6 on the three others. A robot and an armchair that a network painted have 2.5 and 2.0.
MIN_STRAIGHTNESS = 3.0
MIN_STRAIGHT_VIEWS = 6  # from three photos on one side, the table's frame is seven degrees off


@dataclass(frozen=True)
class Evidence:
    """What the views show, in the forms in which a fit needs it; prepared once."""

    cameras: list[Camera]
    distances: list[Field]  # signed distances to the silhouettes' outlines, positive inside
    silhouettes: list[Silhouette]
    pixel_rays: PixelRays
    tolerance: float  # reference pixels by which the silhouettes have to grow until their hull fills them
    thickness: float  # of the object, world units; see `_object_thickness`
    pixel: float  # size of the smallest pixel of all views, world units
    ground: float | None = None  # height below which there is nothing, where that is known
    phantoms: Phantoms | None = None  # parts of the hull that are none of the object
    plate: Plate | None = None  # on top of the object

    @classmethod
    def of(cls, views: Sequence[View]) -> Self:
        """Raises InputError where a view shows no object."""
        for view in views:
            if not (view.pixels[..., 3] >= 128).any():
                raise InputError(f"view {view.name} shows nothing: its alpha is empty")
        cameras = [view.camera for view in views]
        distances = [silhouette_distance(view.pixels[..., 3], ENLARGE) for view in views]
        pixel_rays = collect_pixel_rays(views)
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
        """Signed distance to the visual hull of the silhouettes, grown by the tolerance, above the ground.

        Without its phantoms, and cut to its plate.
        """
        hull = on_ground(_tolerant_hull(self.cameras, self.distances, grid, self.tolerance), grid, self.ground)
        hull = self.phantoms.cut_off(hull, grid) if self.phantoms else hull
        return self.plate.cut(hull, grid) if self.plate else hull


def fit(
    views: Sequence[View],
    settings: FitSettings,
    seed: int,
    progress: Progress,
    note: Callable[[str], None] = lambda sentence: None,
    may_be_painted: bool = True,
) -> Mesh:
    """A dense mesh with vertex colours, in the world of the views' cameras.

    The views' alpha must mark the object. The same views, settings and seed give the same mesh for any number of
    threads. `note` receives sentences for the user about the result. With `may_be_painted`, colours that contradict
    each other tell views that a network painted; those of photos contradict each other too, by light and gloss. Raises
    InputError where the silhouettes have no common body, or none that a grid can resolve.
    """
    progress(0, 1, "reading the silhouettes")
    evidence = Evidence.of(views)
    progress(0, 1, "carving the visual hull")
    shape = fit_sdf(evidence, settings, seed, progress, may_be_painted=may_be_painted, note=note)
    if evidence.thickness < MIN_RESOLVED * shape.grid.voxel:
        note(f"the object is hardly thicker than a voxel ({shape.grid.voxel:.4f}): the mesh may be thicker than it is")
    progress(0, 1, "extracting the surface")
    vertices, faces = extract_pieces(shape.distance, shape.grid)
    if settings.parts != "all":
        vertices, faces = keep_parts(vertices, faces, only_largest=settings.parts == "largest")
    vertices = taubin_smooth(vertices, faces, TAUBIN_ROUNDS)
    progress(0, 1, "smoothing the surface")
    vertices = fair(vertices, faces, _reach(shape, vertices))
    if settings.bars and evidence.tolerance == 0:
        straight = straighten_bars(vertices, faces, views)
        vertices = straight.vertices
        if straight.sentence:
            note(f"{straight.sentence}, unless --set fit.bars=false")
    progress(0, 1, "colouring the surface")
    return colour_vertices(Mesh(vertices.astype(np.float32), faces), views)


def fit_sdf(
    evidence: Evidence,
    settings: FitSettings,
    seed: int,
    progress: Progress,
    prior: DistanceFunction | None = None,
    tuning: Tuning | None = None,
    yaw: float = 0.0,
    may_be_painted: bool = True,
    note: Callable[[str], None] = lambda sentence: None,
) -> ColouredSdf:
    """Fit the grids.

    `prior` is a body to start from and to fall back on. Without `tuning` it depends on how well the silhouettes agree,
    and after the first of several levels the colours, if a network may have painted the views. With settings.hollows
    the colours are taken at their word, and tell then what the views see through.
    `yaw`, in radians, turns the frame of a tuning that prefers boxes.
    """
    agreeing = tuning is None and evidence.tolerance == 0
    undecided = agreeing and may_be_painted and not settings.hollows  # whether a network painted the views
    if tuning is None:
        tuning, yaw = _tuning(evidence, settings.boxes)
    low, high = _box(evidence)
    generator = np.random.default_rng(seed)
    shape: ColouredSdf | None = None
    free: FreeSpace | None = None
    done = 0
    for index, (resolution, steps) in enumerate(zip(settings.resolutions, settings.steps, strict=True)):
        grid = _grid(low, high, resolution, evidence)
        if undecided and index == 1 and shape and _colours_disagree(shape, evidence):
            tuning = PAINTED_TUNING
        opens = agreeing and settings.hollows and index == min(1, len(settings.steps) - 1)
        free = _free_space(evidence, note) if opens else free
        hull = free.carve(evidence.hull(grid), grid) if free else evidence.hull(grid)
        body = hull if prior is None else np.maximum(hull, prior(grid))
        shape = _start(grid, body) if shape is None else _refine(shape, grid)
        if free and opens:
            shape = free.cut_out(shape)
        body = _restore(shape, body, evidence).hull
        schedule = tuning.schedule(index, len(settings.steps))
        hull_or_body = np.minimum(hull, body)
        plate = evidence.plate.solid(grid) if evidence.plate else None
        level = LevelOptimiser(
            shape, hull_or_body, body if prior else None, evidence.pixel_rays, schedule, tuning.weights, yaw, plate
        )
        for step in range(steps):
            level.step(step / max(steps - 1, 1), settings.rays, generator)
            done += 1
            progress(done, sum(settings.steps), "fitting the surface")
        level.finish()
        if evidence.plate:
            shape.distance = evidence.plate.impose(shape.distance, grid)
    if shape is None:
        raise ValueError("a fit needs at least one level")
    if sentence := _tuning_note(tuning, settings):
        note(sentence)
    if floating := _restore(shape, body, evidence).sentence:
        note(floating)
    return shape


def _tuning_note(tuning: Tuning, settings: FitSettings) -> str:
    """What the user reads about a tuning; empty for most."""
    if tuning is BOXES_TUNING:
        return "the views show straight edges: flat faces along them are preferred, unless --set fit.boxes=false"
    if tuning is PAINTED_TUNING and settings.hollows:
        return "the outlines contradict each other, so no hollows are looked for"
    return ""


def _free_space(evidence: Evidence, note: Callable[[str], None]) -> FreeSpace | None:
    """The hollows that the colours of the views tell."""
    free = find_free_space(evidence.hull, evidence.silhouettes)
    if free is None:
        note("the colours tell no hollow")
    else:
        note(f"{free.share:.0%} of the common body of all outlines is hollow, as the colours tell; look whether it is")
    return free


def _tuning(evidence: Evidence, boxes: bool) -> tuple[Tuning, float]:
    """The tuning for some views as their silhouettes agree, and the yaw of its frame: of straight edges, if `boxes`."""
    if evidence.tolerance > 0:
        return PAINTED_TUNING, 0.0
    if not boxes or len(evidence.silhouettes) < MIN_STRAIGHT_VIEWS:
        return TUNING, 0.0
    frame = manhattan_frame([silhouette.view for silhouette in evidence.silhouettes])
    straight = frame.clear and frame.stands_out >= MIN_STRAIGHTNESS
    return (BOXES_TUNING, frame.yaw) if straight else (TUNING, 0.0)


def find_tolerance(cameras: Sequence[Camera], distances: Sequence[Field], pixel_rays: PixelRays) -> float:
    """Reference pixels by which silhouettes have to grow until their hull fills them; 0 where the views agree."""
    fitting = (tolerance for tolerance in TOLERANCES if hull_fills(cameras, distances, pixel_rays, tolerance))
    return next(fitting, TOLERANCES[-1])


def hull_fills(cameras: Sequence[Camera], distances: Sequence[Field], pixel_rays: PixelRays, tolerance: float) -> bool:
    """Whether the hull of silhouettes grown by `tolerance` reference pixels fills them all."""
    grid = cube_grid(*PROBE_GRID, padding=1)
    chosen = np.flatnonzero(pixel_rays.targets[:, 3] >= 0.5)[::PROBE_STRIDE]
    lattice = to_lattice_rays(pixel_rays.origins[chosen], pixel_rays.directions[chosen], grid)
    hull = _tolerant_hull(cameras, distances, grid, tolerance)
    hit = rays_hit(hull, lattice.origins, lattice.directions, lattice.spans, PROBE_LEVEL)
    return bool(hit.mean() >= MIN_COVERAGE)


def _tolerant_hull(cameras: Sequence[Camera], distances: Sequence[Field], grid: Grid, tolerance: float) -> Field:
    """Signed distance to the hull of silhouettes grown by `tolerance` reference pixels."""
    grown = [distance + np.float32(tolerance * distance.shape[0] / VIEW_SIZE) for distance in distances]
    return visual_hull(cameras, grown, grid)


def _object_thickness(views: Sequence[View]) -> float:
    """The smallest over the views of the diameter of the largest disc in a silhouette.

    In world units at the distance of the origin: how thick the object is from the side where it looks thinnest.
    """
    return min(2 * float(silhouette_distance(view.pixels[..., 3], 1).max()) * view.pixel_size for view in views)


def _colours_disagree(shape: ColouredSdf, evidence: Evidence) -> bool:
    """Whether the views show the same points of the body in different colours: then a network painted them."""
    if not (shape.distance < 0).any():
        return False  # nothing to see yet: all of it is thinner than a voxel
    vertices, faces = extract_surface(shape.distance, shape.grid, 1)
    views = [silhouette.view for silhouette in evidence.silhouettes]
    disagreement = colour_disagreement(
        vertices,
        vertex_normals(vertices, faces).astype(np.float64),
        [BandPicture.smooth(view, DISAGREEMENT_SIGMA) for view in views],
        [depth_map(vertices, faces, view.camera, view.width, view.height) for view in views],
    )
    return disagreement > MAX_DISAGREEMENT


def _box(evidence: Evidence) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A box around the hull, (3,) and (3,) in the world."""
    box = bounding_box(evidence.hull, 1.0)
    if box is None:
        raise InputError("the silhouettes of the views have no common body: are the cameras right?")
    return box


def _grid(low: NDArray[np.float64], high: NDArray[np.float64], resolution: int, evidence: Evidence) -> Grid:
    """The box in voxels: `resolution` of them along its longest side, more for thin things, which fill a small box."""
    length = float((high - low).max())
    wanted = VOXELS_ACROSS * resolution * length / max(evidence.thickness, evidence.pixel)
    wanted = min(wanted, length / (FINEST_VOXEL * evidence.pixel))
    finest = resolution + 4 * max(0, math.ceil((wanted - resolution) / 4))
    return finest_grid(low, high, range(finest, resolution - 1, -4), PADDING)


def _start(grid: Grid, body: Field) -> ColouredSdf:
    """The body, its edges rounded by a voxel, in mid grey."""
    distance = redistance_interior(rounded(body, 1.0), 2)
    return ColouredSdf(grid, distance, np.full((*grid.shape, 3), 0.5, np.float32))


def _refine(shape: ColouredSdf, grid: Grid) -> ColouredSdf:
    """The same fields on a finer grid."""
    ratio = grid.voxel / shape.grid.voxel
    offset = shape.grid.to_lattice(np.array(grid.origin))
    distance = (resample(shape.distance, offset, ratio, grid.shape) / ratio).astype(np.float32)
    colour = np.empty((*grid.shape, 3), np.float32)
    for channel in range(3):
        colour[..., channel] = resample(np.ascontiguousarray(shape.colour[..., channel]), offset, ratio, grid.shape)
    return ColouredSdf(grid, distance, colour)


def _restore(shape: ColouredSdf, body: Field, evidence: Evidence) -> JoinedPieces:
    """Restore in `shape` what the silhouettes show and it lacks, copied from `body`; the hull has room for that."""
    shape.distance, body = restore_lost_parts(
        shape.distance, body, shape.grid, evidence.silhouettes, evidence.tolerance
    )
    whole = join_pieces(shape.distance, body, shape.grid, evidence.silhouettes, evidence.tolerance)
    shape.distance = whole.distance
    return whole


def _reach(shape: ColouredSdf, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each vertex (V, 3) may move, (V,) in world units: less where the body is thin."""
    deep = map_coordinates(local_depth(shape.distance), shape.grid.to_lattice(vertices).T, order=1, mode="nearest")
    voxels: NDArray[np.float64] = np.clip(MOVE_PER_DEPTH * (deep - 0.5), MIN_MOVE, MAX_MOVE)
    return voxels * shape.grid.voxel

"""A given surface and posed pictures to a better surface: the mesh of a network or of any program, made to fit.

The surface is moved, never made anew: so thin parts stay, and what no picture shows keeps its shape. The displacement
is smooth: from coarse to fine, the outlines of the rendered surface are matched with the silhouettes', and points of
the surface with their colours in the pictures that see them; in between and beyond, the surface bends as little as it
can. Ripples of the grid that the mesh came from are denoised away, with edges kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array, Float64Array
from meshcli.errors import InputError
from meshcli.meshes.colouring import colour_vertices
from meshcli.meshes.depth_maps import depth_map
from meshcli.meshes.displacement import smooth_displacement, umbrella
from meshcli.meshes.mesh import Mesh, half_edges, vertex_normals
from meshcli.meshes.orientation import face_outwards
from meshcli.meshes.raycasting import Scene
from meshcli.meshes.remeshing import Triangles, split_long_edges, welded
from meshcli.meshes.simplify import simplify
from meshcli.progress import Progress
from meshcli.reconstructors.colour_targets import BandPicture, colour_targets, reference_pixel
from meshcli.reconstructors.fit import hull_fills
from meshcli.reconstructors.outline_targets import FINE, outline_targets
from meshcli.reconstructors.specks import without_refuted_specks
from meshcli.sdf.extract import taubin_smooth
from meshcli.sdf.fairing import fair
from meshcli.sdf.grid import silhouette_distance
from meshcli.sdf.pixel_rays import collect_pixel_rays
from meshcli.settings import RefineSettings
from meshcli.views.view import View

MAX_FACES = 100_000  # of the mesh that is moved: more are simplified first, and edges are split up to so many
EDGE = 4.0  # pixels of VIEW_SIZE: longer edges are split, so that the surface can follow the outlines
COLOUR_EDGE = 1.4  # such pixels: longer edges of the finished mesh are split, so that its vertices can hold the colours
MAX_COLOURED_FACES = 300_000
STIFFNESS_EDGE = 1.8  # pixels of VIEW_SIZE: mean edge of the meshes that the stiffness was tuned on
PULL = 1e-4  # of the stiffness: decides how far what pictures ask for spreads
SOLVER_ROUNDS = 60
TAUBIN_ROUNDS = 5
# How far denoising may move a vertex: the ripples of InstantMesh's grid are smaller; less where the body is thin.
MAX_DENOISE = 0.004  # world units
DENOISE_PER_THICKNESS = 0.03
INSIDE = 1e-4  # world units that a ray for the thickness starts below the surface
SEEN_SIZE = 128  # pixels along a side of the pictures that tell whether a view sees the mesh


@dataclass(frozen=True)
class Level:
    """One level of coarse to fine."""

    reach: float  # pixels of VIEW_SIZE: how far an outline is looked for
    stiffness: float  # of the surface, against one outline's vertex
    sigma: float  # pixels of VIEW_SIZE: finest detail of the colours that are compared


# Tuned on the sheets of fox, chair_wood, bird and robot; tests/bench/refine.py measures others.
LEVELS = (Level(10.0, 300.0, 4.0), Level(6.0, 80.0, 2.5), Level(4.0, 20.0, 1.5))
LAST = Level(2.0, 80.0, 1.5)  # once more after denoising, which moves outlines


@dataclass(frozen=True)
class Trust:
    """How closely outlines are followed, against colours, and how much the surface may bend for them."""

    outlines: float  # weight of an outline's vertex
    colours: float  # factor of the colours' weights
    rounds: int  # times those of the settings
    stiffness: float  # times the levels'


# Silhouettes that agree can all be followed; following others more closely only bends the surface. Colours weigh less,
# for in twice the rounds their painted detail would crease it. Tuned on the sheets of sea_turtle and extinguisher.
AGREEING, CONTRADICTORY = Trust(4.0, 0.5, 2, 1.0), Trust(1.0, 1.0, 1, 1.0)
# Bars that the views show far apart would become wavy: each view pulls other stretches of them. By eye, on the sheets
# of plant, chair_armed and chair_wood.
FAR_APART = Trust(1.0, 1.0, 1, 2.0)
MAX_CONTRADICTION = 2.0  # pixels of VIEW_SIZE that silhouettes may have to grow by; others are far apart
COLOUR_WEIGHT = 1000.0  # times the squared contrast per pixel, relative to a vertex of an outline
MAX_COLOUR_WEIGHT = 1.0


def refine(
    mesh: Mesh,
    views: Sequence[View],
    settings: RefineSettings,
    progress: Progress,
    note: Callable[[str], None] = lambda sentence: None,
) -> Mesh:
    """The mesh, moved to where the views show it, with vertex colours; dense, in the world of the views' cameras.

    The mesh must stand in that world. No point moves farther than `settings.reach`. The same input gives the same mesh
    for any number of threads. `note` receives sentences for the user. Raises InputError where the mesh has no surface
    or no view sees it.
    """
    progress(0, 1, "reading the mesh")
    pixel = min(reference_pixel(view) for view in views)
    given, faces = _prepared(mesh, views, EDGE * pixel, note)
    progress(0, 1, "removing ripples")
    denoising = _denoising(given, faces)
    smooth = _within(taubin_smooth(given, faces, TAUBIN_ROUNDS), given, denoising)
    trust = trust_in(views)
    follower = _Follower(faces, views, settings.reach, trust, progress)
    moved = follower.follow(fair(smooth, faces, denoising), LEVELS, settings.rounds * trust.rounds)
    progress(0, 1, "smoothing the surface")
    moved = follower.follow(fair(moved, faces, denoising), (LAST,), trust.rounds)
    vertices = _within(moved, given, np.full(len(given), settings.reach))
    progress(0, 1, "colouring the surface")
    vertices, faces = split_long_edges(vertices, faces, COLOUR_EDGE * pixel, MAX_COLOURED_FACES)
    return colour_vertices(Mesh(vertices.astype(np.float32), faces), views)


def _prepared(mesh: Mesh, views: Sequence[View], edge: float, note: Callable[[str], None]) -> Triangles:
    """Vertices and faces: welded, not too many, with edges of at most `edge`, counter-clockwise from outside."""
    if not len(mesh.faces):
        raise InputError("the mesh to be refined has no faces")
    if not np.isfinite(mesh.vertices).all():
        raise InputError("the mesh to be refined has vertices that are not finite")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise InputError("the mesh to be refined has faces that name vertices it does not have")
    vertices, faces = welded(mesh.vertices, mesh.faces)
    if len(faces) > MAX_FACES:
        note(f"the mesh has {len(faces):,} faces: it is reduced to {MAX_FACES:,} before it is refined")
        fewer = simplify(Mesh(vertices.astype(np.float32), faces), MAX_FACES)
        vertices, faces = welded(fewer.vertices, fewer.faces)
    if not any(np.isfinite(depth_map(vertices, faces, view.camera, SEEN_SIZE, SEEN_SIZE)).any() for view in views):
        raise InputError("no view sees the mesh to be refined: is it placed in the world of the views' cameras?")
    (vertices, faces), specks = without_refuted_specks(vertices, faces, views)
    if specks:
        note(f"dropped {specks} floating speck{'s' * (specks > 1)} where views show nothing")
    outwards, _ = face_outwards(Mesh(vertices.astype(np.float32), faces))
    return split_long_edges(vertices, outwards.faces, edge, MAX_FACES)


def trust_in(views: Sequence[View]) -> Trust:
    """How closely the outlines can be followed, by whether a single body can have all silhouettes.

    Those of true views agree; others do once they have grown by a few pixels, by which they are told apart.
    """
    if not any((view.pixels[..., 3] >= 128).any() for view in views):
        return CONTRADICTORY
    cameras, pixel_rays = [view.camera for view in views], collect_pixel_rays(views)
    distances = [silhouette_distance(view.pixels[..., 3]) for view in views]
    for pixels, trust in ((0.0, AGREEING), (MAX_CONTRADICTION, CONTRADICTORY)):
        if hull_fills(cameras, distances, pixel_rays, pixels):
            return trust
    return FAR_APART


class _Follower:
    """Moves vertices to where the views show the surface."""

    def __init__(self, faces: Array, views: Sequence[View], reach: float, trust: Trust, progress: Progress) -> None:
        self._faces, self._views, self._reach, self._progress = faces, views, reach, progress
        self._trust = trust
        self._pixel = min(reference_pixel(view) for view in views)

    def follow(self, base: Float64Array, levels: Sequence[Level], rounds: int) -> Float64Array:
        """The vertices (V, 3) after some rounds at each level; none is farther than the reach from `base` (V, 3)."""
        operator = umbrella(self._faces, len(base))
        displacement = np.zeros_like(base)
        # The same displacement bends a fine mesh less at every vertex: with the fourth power of the edge.
        relative = max((STIFFNESS_EDGE * self._pixel / _mean_edge(base, self._faces)) ** 4, 1.0)
        for index, level in enumerate(levels):
            pictures = [BandPicture.of(view, level.sigma) for view in self._views]
            stiffness = relative * self._trust.stiffness * level.stiffness
            for step in range(rounds):
                vertices = base + displacement
                normals = vertex_normals(vertices, self._faces).astype(np.float64)
                weights, offsets = self._targets(vertices, normals, pictures, level)
                wanted = offsets + np.einsum("vk,vk->v", normals, displacement)
                displacement = smooth_displacement(
                    operator, normals, weights, wanted, displacement, stiffness, PULL * stiffness, SOLVER_ROUNDS
                )
                displacement = _within(displacement, np.zeros_like(base), np.full(len(base), self._reach))
                self._progress(index * rounds + step + 1, len(levels) * rounds, "following the views")
        return base + displacement

    def _targets(
        self, vertices: Float64Array, normals: Float64Array, pictures: Sequence[BandPicture], level: Level
    ) -> tuple[Float64Array, Float64Array]:
        """What outlines and colours ask for together: weights (V,), and offsets (V,) along the normals."""
        views = self._views
        depths = [
            depth_map(vertices, self._faces, view.camera, view.width * FINE, view.height * FINE) for view in views
        ]
        outline_weights, outline_offsets = outline_targets(vertices, normals, views, depths, level.reach)
        outline_weights *= self._trust.outlines
        coarse = [depth[FINE // 2 :: FINE, FINE // 2 :: FINE] for depth in depths]
        contrast, colour_offsets = colour_targets(vertices, normals, pictures, coarse)
        colour_weights = self._trust.colours * np.minimum(COLOUR_WEIGHT * contrast, MAX_COLOUR_WEIGHT)
        weights = outline_weights + colour_weights
        total = outline_weights * outline_offsets + colour_weights * colour_offsets
        return weights, total / np.maximum(weights, 1e-12)


def _mean_edge(vertices: Float64Array, faces: Array) -> float:
    """The mean length of the faces' sides."""
    ends = half_edges(faces)
    return float(np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1).mean())


def _denoising(vertices: Float64Array, faces: Array) -> NDArray[np.float64]:
    """How far denoising may move each vertex, (V,) world units: less where the body is thin."""
    inwards = -vertex_normals(vertices, faces).astype(np.float64)
    thickness = Scene(vertices, faces).cast(vertices + INSIDE * inwards, inwards).depths
    reach: NDArray[np.float64] = np.minimum(DENOISE_PER_THICKNESS * thickness.astype(np.float64), MAX_DENOISE)
    return reach


def _within(points: Float64Array, centres: Float64Array, reach: Float64Array) -> NDArray[np.float64]:
    """Points (V, 3), drawn back towards their centres (V, 3) where they are farther than `reach` (V,)."""
    offset = points - centres
    length = np.linalg.norm(offset, axis=1)
    result: NDArray[np.float64] = centres + offset * np.minimum(1.0, reach / np.maximum(length, 1e-12))[:, None]
    return result

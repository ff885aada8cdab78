"""Where a mesh of unknown axes, units and handedness lies in the world of the views, and whether that is certain.

Each axis of the file is tried as the one that points up, plain and mirrored, turned in steps of YAW_STEP. The place
whose silhouettes overlap best with the views' wins. Places that overlap as well are told apart by the mesh's colours,
if it has any; of places with the same surface, as of a symmetric object, the plain one is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from meshcli.alignment.mesh_silhouettes import ViewMasks
from meshcli.alignment.placement_search import Candidate, PlacementSearch, measured
from meshcli.alignment.similarity import Similarity
from meshcli.arrays import Array, Float64Array
from meshcli.meshes.mesh import Mesh, face_normals
from meshcli.meshes.simplify import simplify
from meshcli.pictures.image import resize
from meshcli.rendering.renderer import Renderer
from meshcli.settings import PlacementSettings
from meshcli.views.view import View

YAW_STEP = 10.0  # degrees; refining reaches further than the 5 to the next step
MAX_VIEWS = 8  # that are compared, spread out: more tell little that is new, and all cost time
SIZE = 192  # pixels of a picture's side, for the overlap that is told
FACES = 20_000  # of the mesh that is compared
# Of overlap: right and wrong places differ by more, unless they are nearly alike; see tests/bench/placement.py.
TIE = 0.02
# World units (the object's radius is about 1) within which nineteen of twenty points of the mesh in one place lie off
# its surface in another place, where both count as the same surface: of a symmetric object.
SAME_SURFACE = 0.02
SAMPLES, DENSE_SAMPLES = 3000, 60_000  # points of a surface that are compared, and those that stand for the other
COLOUR_SIZE = 96  # pixels of a picture's side, for comparing colours
CLEARER = 0.93  # error of colours in the better place / that in the other: less is a decision

Decision = Literal["silhouettes", "colours", "nothing"]


@dataclass(frozen=True)
class Placement:
    """Where a mesh lies: how its points come into our world, and how sure that is."""

    similarity: Similarity
    overlap: float  # intersection over union of the silhouettes of mesh and views, the mean of all views
    before: float  # the same with the mesh's own axes taken for those of our world, and only size and centre fitted
    runner_up: Similarity | None  # the best place with another surface
    runner_up_overlap: float  # 0 without one
    decided_by: Decision  # what tells the place from the runner-up


def place(
    mesh: Mesh, views: Sequence[View], settings: PlacementSettings, progress: Callable[[float], None]
) -> Placement:
    """The place of a mesh with vertex colours or none; `progress` is told the share that is done.

    The mesh must have faces and a size above 0.
    """
    centre, radius = box(mesh.vertices)
    unit = replace(mesh, vertices=((mesh.vertices - centre) / radius).astype(np.float32), texture=None)
    fine, compared = simplify(unit, FACES), _spread_out(views)
    search = PlacementSearch(fine, compared)
    found = search.run(start_axes(settings), progress)
    masks = ViewMasks(views, SIZE)
    found = sorted((measured(each.similarity, fine, masks) for each in found), key=lambda each: -each.overlap)
    before = measured(search.fitted(np.eye(3)), fine, masks)
    best, other, decided_by = _choose(found, fine, compared)
    return Placement(
        best.similarity.before(1.0 / radius, centre), best.overlap, before.overlap,
        other.similarity.before(1.0 / radius, centre) if other else None, other.overlap if other else 0.0, decided_by,
    )  # fmt: skip


def placed(mesh: Mesh, similarity: Similarity) -> Mesh:
    """The mesh in our world, its faces reversed if it is mirrored."""
    faces = np.ascontiguousarray(mesh.faces[:, ::-1]) if similarity.mirrored else mesh.faces
    return replace(mesh, vertices=similarity.apply(mesh.vertices).astype(np.float32), faces=faces)


def start_axes(settings: PlacementSettings) -> list[Float64Array]:
    """The axes (3, 3) to start from: rows are the mesh's directions of our x (the front), y and z (up)."""
    starts = []
    for up in _named(settings.up):
        for front in _named(settings.front):
            if abs(up @ front) > 0.5:
                continue
            upright = np.stack([front, np.cross(up, front), up])
            # Without a named front its four choices are quarters of a turn, each searched up to the next.
            for degrees in np.arange(-45.0 + YAW_STEP / 2.0, 45.0, YAW_STEP):
                turned = Similarity(upright, 1.0, np.zeros(3)).moved([0, 0, 0, 0, 0, 0, np.radians(degrees)]).axes
                sides = {"no": (1.0,), "yes": (-1.0,), "auto": (1.0, -1.0)}[settings.mirror]
                starts += [turned * [[1.0], [side], [1.0]] for side in sides]
    return starts


def box(points: Array) -> tuple[Float64Array, float]:
    """The centre of the points' bounding box, and the distance of the farthest point from it."""
    values = points.astype(np.float64)
    centre = (values.min(axis=0) + values.max(axis=0)) / 2.0
    return centre, float(np.linalg.norm(values - centre, axis=1).max())


def axis_name(direction: Array) -> str:
    """The axis of a file that is nearest to a direction: x, -x ... -z."""
    axis = int(np.abs(direction).argmax())
    return f"{'-' if direction[axis] < 0 else ''}{'xyz'[axis]}"


def _named(axis: str) -> list[Float64Array]:
    """The direction that a name stands for, as a list of one; all six for `auto`."""
    both = [sign * np.eye(3)[number] for number in range(3) for sign in (1.0, -1.0)]
    return both if axis == "auto" else [each for each in both if axis_name(each) == axis]


def _spread_out(views: Sequence[View]) -> list[View]:
    """At most MAX_VIEWS views, each as far as possible from those before it; the first is the first."""
    places = np.array([view.camera.position for view in views])
    kept, distance = [0], np.linalg.norm(places - places[0], axis=1)
    while len(kept) < min(MAX_VIEWS, len(views)):
        kept.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(places - places[kept[-1]], axis=1))
    return [views[number] for number in sorted(kept)]


def _choose(found: list[Candidate], mesh: Mesh, views: Sequence[View]) -> tuple[Candidate, Candidate | None, Decision]:
    """The place to take, the best one with another surface, and what tells them apart."""
    rivals = [each for each in found if each.overlap > found[0].overlap - TIE]
    errors = [_colour_error(each.similarity, mesh, views) if mesh.colours is not None else 0.0 for each in rivals]
    best = 0
    for number, error in enumerate(errors):
        if error < CLEARER * errors[0] and error < errors[best]:
            best = number
    surface = _SurfaceDistance(rivals[best].similarity, mesh)
    same = [surface.covers(each.similarity) for each in rivals]
    chosen = rivals[best]
    if chosen.similarity.mirrored:
        plain = (each for each, alike in zip(rivals, same, strict=True) if alike and not each.similarity.mirrored)
        chosen = next(plain, chosen)
    others = [number for number, alike in enumerate(same) if not alike]
    if not others:
        further = found[len(rivals) :]
        return chosen, next(iter(further), None), "silhouettes"
    other = others[0]
    clear = errors[best] < CLEARER * errors[other]
    return chosen, rivals[other], "colours" if clear else "nothing"


def _colour_error(similarity: Similarity, mesh: Mesh, views: Sequence[View]) -> float:
    """The mean difference of colours, 0 to 1, where both the mesh in this place and the view cover a pixel."""
    renderer = Renderer(placed(mesh, similarity))
    total, count = 0.0, 0
    for view in views:
        ours = renderer.render(view.camera, COLOUR_SIZE, COLOUR_SIZE, samples=1) / 255.0
        seen = resize(view.pixels, COLOUR_SIZE, COLOUR_SIZE) / 255.0
        both = (ours[..., 3] > 0.5) & (seen[..., 3] > 0.5)
        total += float(np.abs(ours[both][:, :3] - seen[both][:, :3]).mean(axis=1).sum())
        count += int(both.sum())
    return total / max(count, 1)


class _SurfaceDistance:
    """A mesh's surface in one place, to compare with the same mesh in others."""

    def __init__(self, similarity: Similarity, mesh: Mesh) -> None:
        self._tree = cKDTree(similarity.apply(_samples(mesh, DENSE_SAMPLES, 0)))
        self._points = _samples(mesh, SAMPLES, 1)

    def covers(self, similarity: Similarity) -> bool:
        """Whether the mesh has the same surface in another place."""
        distances = self._tree.query(similarity.apply(self._points))[0]
        return bool(np.quantile(distances, 0.95) < SAME_SURFACE)


def _samples(mesh: Mesh, count: int, seed: int) -> Float64Array:
    """Uniform points (count, 3) on a surface."""
    random = np.random.default_rng(seed)
    areas = np.linalg.norm(face_normals(mesh.vertices, mesh.faces), axis=1)
    corners = mesh.vertices[mesh.faces[random.choice(len(mesh.faces), count, p=areas / areas.sum())]]
    root, second = np.sqrt(random.random(count)), random.random(count)
    weights = np.stack([1.0 - root, root * (1.0 - second), root * second], axis=1)
    points: Float64Array = np.einsum("nk,nkc->nc", weights, corners)
    return points

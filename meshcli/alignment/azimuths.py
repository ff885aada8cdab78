"""Registration of photos: their azimuths and relative scales, from their six-view sets alone.

A coarse coloured mesh is fitted to every set by itself. The meshes of two sets differ by a rotation about the vertical
axis and a scale, so the right ones are those at which each mesh looks like the other set's pictures, in outline and
colour, from the other set's cameras. The rotation is swept, the best candidates are refined together with the scale
(Nelder and Mead 1965), and with more than two sets the combination is taken on which all pairs agree best.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from scipy.optimize import minimize

from meshcli.arrays import Float64Array
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.image import resize
from meshcli.progress import Progress, silent
from meshcli.reconstructors.fit import fit
from meshcli.settings import FitSettings
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

# By eye, checked with tests/bench/align.py: finer sweeps and larger pictures cost time, coarser ones miss answers.
COARSE_FIT = FitSettings(resolutions=(32, 56), steps=(60, 50), rays=6000)
SWEEP_SIZE, REFINE_SIZE = 44, 80  # pixels along a view's side
SWEEP_STEP = 5.0  # degrees
MIN_SEPARATION = 15.0  # degrees between different answers
MAX_CANDIDATES = 5  # per pair of sets that are refined
MAX_CANDIDATE_COST = 1.6  # times the sweep's lowest cost
SIMPLEX_STEP = (3.0, 0.04)  # of a refinement: degrees, log of the scale
MAX_EVALUATIONS = 32  # of a refinement
OUTLINE_COST = 1.0  # of a pixel that only one of the two covers; pixels that both cover cost their colour error
COLOUR_RANGE = 0.25  # mean error of the channels, 0 to 1, that costs as much as a wrong outline, the most there is
EQUAL_MARGIN = 0.12  # share by which an answer's cost may exceed the best one's to be listed as about equally good
COMBINED_ANSWERS = 3  # per set, in the search for the best combination
MAX_COMBINED_SETS = 5  # so that there are at most 3^4 = 81 combinations; with more sets each set's best answer is taken


@dataclass(frozen=True)
class ViewSet:
    """The views of one photo, their cameras as if the photo had been taken at azimuth 0 and at scale 1."""

    name: str
    views: Sequence[View]
    azimuth: float | None = None  # degrees, where it is known
    trusted: Sequence[View] = ()  # pictures that other meshes are compared with; empty means the views


@dataclass(frozen=True)
class Pose:
    """A photo's placement in the common world."""

    azimuth: float  # degrees
    enlarged: float  # factor; its cameras' distance is divided by it
    cost: float  # mean over the pixels that either covers; 0 is a perfect match


@dataclass(frozen=True)
class Placement:
    """The answers for one photo, the best first, with others that are about equally good."""

    name: str
    answers: tuple[Pose, ...]
    confidence: float  # 0 to 1: relative cost gap between the best two answers; 1 where there is only one


def register(
    sets: Sequence[ViewSet], seed: int = 0, progress: Progress = silent, body: FitSettings = COARSE_FIT
) -> list[Placement]:
    """Azimuths and scales of sets of views of one object; the smallest scale is 1.

    Known azimuths stay. Without any, the first set is at 0. Raises InputError where a set's silhouettes have no body.
    """
    models = []
    for index, view_set in enumerate(sets):
        progress(index, len(sets), f"fitting a coarse mesh to photo {view_set.name}")
        models.append(_SetModel.of(view_set, body, seed))
    anchor = next((index for index, view_set in enumerate(sets) if view_set.azimuth is not None), 0)
    start = sets[anchor].azimuth or 0.0
    others = [index for index in range(len(sets)) if index != anchor]
    answers: dict[int, list[Pose]] = {anchor: [Pose(start, 1.0, 0.0)]}
    for done, index in enumerate(others):
        progress(done, len(others), f"comparing photo {sets[index].name}")
        answers[index] = _match_pair(models[anchor], models[index], start, sets[index].azimuth)
    if others[1:]:
        progress(0, 1, "refining all photos together")
        _refine_jointly(models, answers, [index for index in others if sets[index].azimuth is not None])
    smallest = min(poses[0].enlarged for poses in answers.values())
    return [_placement(view_set.name, answers[index], smallest) for index, view_set in enumerate(sets)]


class _SetModel:
    """The mesh fitted to a set of views, and the pictures that other meshes are compared with, by size."""

    def __init__(self, mesh: Mesh, pictures: Mapping[int, "_PixelSamples"]) -> None:
        if mesh.colours is None:
            raise ValueError("a mesh without colours")
        self.scene = Scene(mesh.vertices, mesh.faces)
        self.corner_colours = mesh.colours[mesh.faces] / 255.0  # (F, 3, 3)
        self.height = float(np.ptp(mesh.vertices[:, 2]))
        self.pictures = pictures

    @classmethod
    def of(cls, view_set: ViewSet, body: FitSettings, seed: int) -> "_SetModel":
        """Fit the mesh, and sample the pictures at the sizes that are needed."""
        mesh = fit(view_set.views, body, seed, silent)
        trusted = view_set.trusted or view_set.views
        return cls(mesh, {size: _PixelSamples.of(trusted, size) for size in (SWEEP_SIZE, REFINE_SIZE)})


@dataclass(frozen=True)
class _PixelSamples:
    """Rays and colours of the pixels of some views."""

    origins: Float64Array  # (N, 3)
    directions: Float64Array  # (N, 3)
    alpha: Float64Array  # (N,)
    colours: Float64Array  # (N, 3) straight, 0 to 1

    @classmethod
    def of(cls, views: Sequence[View], size: int) -> "_PixelSamples":
        """All pixels of the views resized to size x size."""
        centres = pixel_centres(size, size).reshape(-1, 2)
        view_rays = [rays(view.camera, centres, size, size) for view in views]
        pixels = np.concatenate([resize(view.pixels, size, size).reshape(-1, 4) for view in views]) / 255.0
        return cls(
            np.concatenate([origins for origins, _ in view_rays]),
            np.concatenate([directions for _, directions in view_rays]),
            pixels[:, 3],
            pixels[:, :3],
        )


def _appearance_cost(model: _SetModel, pictures: _PixelSamples, rotation: float, scale: float) -> float:
    """Mean mismatch of a mesh, rotated by -`rotation` degrees and scaled by `scale`, to a set's pictures."""
    angle = np.radians(rotation)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    hits = model.scene.cast(pictures.origins @ matrix.T / scale, pictures.directions @ matrix.T)
    hit = hits.faces >= 0
    both = hit & (pictures.alpha > 0.5)
    colours = (model.corner_colours[hits.faces[both]] * hits.barycentric[both][:, :, None]).sum(axis=1)
    error = np.minimum(np.abs(colours - pictures.colours[both]).mean(axis=1) / COLOUR_RANGE, 1.0)
    outline = np.abs(hit - pictures.alpha).sum()
    either = np.maximum(hit, pictures.alpha).sum()
    return float((OUTLINE_COST * outline + error.sum()) / max(either, 1.0))


def _symmetric_cost(a: _SetModel, b: _SetModel, rotation: float, scale: float, size: int) -> float:
    """Mean appearance cost in both directions, for photo b `rotation` degrees after a and `scale` times as large."""
    forward = _appearance_cost(a, b.pictures[size], rotation, scale)
    return (forward + _appearance_cost(b, a.pictures[size], -rotation, 1.0 / scale)) / 2.0


def _match_pair(anchor: _SetModel, other: _SetModel, start: float, known: float | None) -> list[Pose]:
    """Poses of `other` while the anchor's photo is at azimuth `start`, best first, MIN_SEPARATION apart."""
    scale = other.height / anchor.height
    rotations = np.arange(0.0, 360.0, SWEEP_STEP) if known is None else np.array([known - start])
    costs = np.array([_symmetric_cost(anchor, other, float(rotation), scale, SWEEP_SIZE) for rotation in rotations])
    minima = np.flatnonzero((costs <= np.roll(costs, 1)) & (costs <= np.roll(costs, -1)))
    candidates = [i for i in minima[np.argsort(costs[minima])] if costs[i] <= MAX_CANDIDATE_COST * costs.min()]

    def cost(azimuth: float, enlarged: float) -> float:
        return _symmetric_cost(anchor, other, azimuth - start, enlarged, REFINE_SIZE)

    refined = [
        _refine(cost, Pose(start + float(rotations[index]), scale, 0.0), known is not None)
        for index in candidates[:MAX_CANDIDATES]
    ]
    distinct: list[Pose] = []
    for pose in sorted(refined, key=lambda pose: pose.cost):
        if all(abs((pose.azimuth - other.azimuth + 180.0) % 360.0 - 180.0) >= MIN_SEPARATION for other in distinct):
            distinct.append(pose)
    return distinct


def _refine(cost: Callable[[float, float], float], start: Pose, fixed: bool) -> Pose:
    """The local minimum of cost(azimuth, enlarged) near a pose; a `fixed` azimuth stays."""

    def decode(values: Float64Array) -> tuple[float, float]:
        azimuth = start.azimuth if fixed else start.azimuth + SIMPLEX_STEP[0] * float(values[0])
        return azimuth, start.enlarged * float(np.exp(SIMPLEX_STEP[1] * values[-1]))

    count = 1 if fixed else 2
    simplex = np.vstack([np.zeros(count), np.eye(count)]) - 0.3
    minimum = minimize(  # type: ignore[call-overload]  # the stubs do not know initial_simplex
        lambda values: cost(*decode(values)), simplex[0], method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": MAX_EVALUATIONS, "xatol": 0.05, "fatol": 1e-5},
    )  # fmt: skip
    azimuth, enlarged = decode(minimum.x)
    return Pose(azimuth % 360.0, enlarged, float(minimum.fun))


def _refine_jointly(models: Sequence[_SetModel], answers: dict[int, list[Pose]], fixed: Collection[int]) -> None:
    """Move the answers to the front on which all pairs of sets agree best, refined on all pairs; changes `answers`."""

    def disagreement(chosen: Mapping[int, Pose], size: int) -> float:
        pairs = [(a, b, chosen[a], chosen[b]) for a, b in combinations(chosen, 2)]
        costs = [
            _symmetric_cost(
                models[a], models[b], second.azimuth - first.azimuth, second.enlarged / first.enlarged, size
            )
            for a, b, first, second in pairs
        ]
        return float(np.mean(costs))

    count = COMBINED_ANSWERS if len(answers) <= MAX_COMBINED_SETS else 1
    shortlists = [poses[:count] for poses in answers.values()]
    combined = (dict(zip(answers, poses, strict=True)) for poses in product(*shortlists))
    best = min(combined, key=lambda chosen: disagreement(chosen, SWEEP_SIZE))
    chosen = dict(best)
    for index in list(answers)[1:]:  # the first one is the anchor

        def cost(azimuth: float, enlarged: float, index: int = index) -> float:
            return disagreement({**chosen, index: Pose(azimuth, enlarged, 0.0)}, REFINE_SIZE)

        chosen[index] = _refine(cost, chosen[index], index in fixed)
        rest = [pose for pose in answers[index] if pose is not best[index]]
        # All costs of a set's answers are those of the pair with the anchor, so that they can be compared.
        answers[index] = [replace(chosen[index], cost=best[index].cost), *rest]


def _placement(name: str, poses: Sequence[Pose], smallest: float) -> Placement:
    """The answers that are about equally good, scaled so that the smallest photo has scale 1."""
    first, *rest = [replace(pose, enlarged=pose.enlarged / smallest) for pose in poses]
    if not rest:
        return Placement(name, (first,), 1.0)
    gap = min(pose.cost for pose in rest) / max(first.cost, 1e-9) - 1.0
    listed = (first, *(pose for pose in rest if pose.cost <= first.cost * (1.0 + EQUAL_MARGIN)))
    return Placement(name, listed, float(np.clip(gap, 0.0, 1.0)))

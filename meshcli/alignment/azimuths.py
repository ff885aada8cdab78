"""From which sides were photos taken, and how much was each enlarged, told from their six-view sets alone.

A coarse coloured body is fitted to every set on its own. Bodies of two sets are the same object turned about the
vertical axis and scaled, so the right turn and scale are those at which each body looks like the other set's pictures:
outline and colour, from the other set's cameras. The turn is swept, the best few are refined together with the scale
(Nelder and Mead 1965), and with more than two sets the combination is taken in which all pairs agree best.
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

BODY = FitSettings(resolutions=(32, 56), steps=(60, 50), rays=6000)
COARSE, FINE = 44, 80  # pixels along a view's side: for the sweep, for the refinement
SWEEP = 5.0  # degrees
APART = 15.0  # degrees between answers that are not the same one
CANDIDATES = 5  # answers per pair of sets that are refined, at most
LIKELY = 1.6  # times the lowest cost of the sweep: what costs more is not refined
FIRST_STEP = (3.0, 0.04)  # of a refinement: degrees, log of the enlargement
OUTLINE = 1.0  # cost of a pixel that only one of the two covers; the colour error of one that both cover is added
COLOUR = 0.25  # error of a channel, 0 to 1, that costs as much as a wrong outline, which is the most
EQUAL = 0.12  # answers whose cost is at most this share above the best one's are about equally good


@dataclass(frozen=True)
class ViewSet:
    """The views of one photo, their cameras as if the photo had been taken at azimuth 0 and not been enlarged."""

    name: str
    views: Sequence[View]
    azimuth: float | None = None  # degrees, where the user knows
    trusted: Sequence[View] = ()  # what other bodies must look like; empty means the views


@dataclass(frozen=True)
class Pose:
    """How a photo stands in the common world."""

    azimuth: float  # degrees
    enlarged: float  # factor; its cameras' distance is divided by it
    cost: float  # mean over the pixels either covers, 0 is perfect


@dataclass(frozen=True)
class Placement:
    """The answers for one photo, the best first; more than one where others are about equally good."""

    name: str
    answers: tuple[Pose, ...]
    confidence: float  # 0 to 1: how much worse the best answer is that is not listed first, 1 where there is no other


def register(
    sets: Sequence[ViewSet], seed: int = 0, progress: Progress = silent, body: FitSettings = BODY
) -> list[Placement]:
    """Azimuths and enlargements of sets of views of one object, the smallest enlargement being 1.

    Known azimuths stay. Without any, the first set is at 0. Raises InputError where a set's silhouettes have no body.
    """
    watched = []
    for index, one in enumerate(sets):
        progress(index, len(sets), f"a first body from photo {one.name}")
        watched.append(_Watched.make(one, body, seed))
    anchor = next((index for index, one in enumerate(sets) if one.azimuth is not None), 0)
    start = sets[anchor].azimuth or 0.0
    others = [index for index in range(len(sets)) if index != anchor]
    found: dict[int, list[Pose]] = {anchor: [Pose(start, 1.0, 0.0)]}
    for done, index in enumerate(others):
        progress(done, len(others), f"turning photo {sets[index].name}")
        known = sets[index].azimuth
        found[index] = _pair(watched[anchor], watched[index], start, known)
    if others[1:]:
        _settle(watched, found, [index for index in others if sets[index].azimuth is not None])
    smallest = min(poses[0].enlarged for poses in found.values())
    return [_placement(one.name, found[index], smallest) for index, one in enumerate(sets)]


class _Watched:
    """A set of views: its body, and its pictures as rays with what they saw."""

    def __init__(self, mesh: Mesh, pictures: Mapping[int, "_Pictures"]) -> None:
        if mesh.colours is None:
            raise ValueError("a body without colours")
        self.scene = Scene(mesh.vertices, mesh.faces)
        self.corners = mesh.colours[mesh.faces] / 255.0  # (F, 3, 3)
        self.height = float(np.ptp(mesh.vertices[:, 2]))
        self.pictures = pictures

    @classmethod
    def make(cls, views: ViewSet, body: FitSettings, seed: int) -> "_Watched":
        mesh = fit(views.views, body, seed, silent)
        return cls(mesh, {size: _Pictures.make(views.trusted or views.views, size) for size in (COARSE, FINE)})


@dataclass(frozen=True)
class _Pictures:
    """Pixels of all views of a set."""

    origins: Float64Array  # (N, 3)
    directions: Float64Array  # (N, 3)
    alpha: Float64Array  # (N,)
    colour: Float64Array  # (N, 3) straight, 0 to 1

    @classmethod
    def make(cls, views: Sequence[View], size: int) -> "_Pictures":
        centres = pixel_centres(size, size).reshape(-1, 2)
        beams = [rays(view.camera, centres, size, size) for view in views]
        pixels = np.concatenate([resize(view.pixels, size, size).reshape(-1, 4) for view in views]) / 255.0
        return cls(
            np.concatenate([origins for origins, _ in beams]),
            np.concatenate([directions for _, directions in beams]),
            pixels[:, 3],
            pixels[:, :3],
        )


def _appearance_cost(body: _Watched, seen: _Pictures, turn: float, scale: float) -> float:
    """How little a body looks like a set's pictures when it is turned by -`turn` degrees and scaled by `scale`."""
    angle = np.radians(turn)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    hits = body.scene.cast(seen.origins @ rotation.T / scale, seen.directions @ rotation.T)
    met = hits.faces >= 0
    both = met & (seen.alpha > 0.5)
    colour = (body.corners[hits.faces[both]] * hits.barycentric[both][:, :, None]).sum(axis=1)
    error = np.minimum(np.abs(colour - seen.colour[both]).mean(axis=1) / COLOUR, 1.0)
    outline = np.abs(met - seen.alpha).sum()
    either = np.maximum(met, seen.alpha).sum()
    return float((OUTLINE * outline + error.sum()) / max(either, 1.0))


def _mutual(a: _Watched, b: _Watched, turn: float, scale: float, size: int) -> float:
    """The unlikeness both ways: photo b was taken `turn` degrees further than a and shows the object `scale` times."""
    forth = _appearance_cost(a, b.pictures[size], turn, scale)
    return (forth + _appearance_cost(b, a.pictures[size], -turn, 1.0 / scale)) / 2.0


def _pair(anchor: _Watched, other: _Watched, start: float, known: float | None) -> list[Pose]:
    """The answers for `other` when the anchor's photo is at `start`, best first, at least APART from each other."""
    scale = other.height / anchor.height
    turns = np.arange(0.0, 360.0, SWEEP) if known is None else np.array([known - start])
    costs = np.array([_mutual(anchor, other, float(turn), scale, COARSE) for turn in turns])
    valleys = np.flatnonzero((costs <= np.roll(costs, 1)) & (costs <= np.roll(costs, -1)))
    likely = [index for index in valleys[np.argsort(costs[valleys])] if costs[index] <= LIKELY * costs.min()]

    def cost(turn: float, factor: float) -> float:
        return _mutual(anchor, other, turn - start, factor, FINE)

    found = [
        _refined(cost, Pose(start + float(turns[index]), scale, 0.0), known is not None)
        for index in likely[:CANDIDATES]
    ]
    distinct: list[Pose] = []
    for pose in sorted(found, key=lambda pose: pose.cost):
        if all(abs((pose.azimuth - other.azimuth + 180.0) % 360.0 - 180.0) >= APART for other in distinct):
            distinct.append(pose)
    return distinct


def _refined(cost: Callable[[float, float], float], start: Pose, fixed: bool) -> Pose:
    """The pose of lowest cost(azimuth, enlarged) near another one; the azimuth stays where it is fixed."""

    def place(values: Float64Array) -> tuple[float, float]:
        azimuth = start.azimuth if fixed else start.azimuth + FIRST_STEP[0] * float(values[0])
        return azimuth, start.enlarged * float(np.exp(FIRST_STEP[1] * values[-1]))

    count = 1 if fixed else 2
    simplex = np.vstack([np.zeros(count), np.eye(count)]) - 0.3
    found = minimize(  # type: ignore[call-overload]  # the stubs do not know initial_simplex
        lambda values: cost(*place(values)), simplex[0], method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 32, "xatol": 0.05, "fatol": 1e-5},
    )  # fmt: skip
    azimuth, enlarged = place(found.x)
    return Pose(azimuth % 360.0, enlarged, float(found.fun))


def _settle(watched: Sequence[_Watched], found: dict[int, list[Pose]], fixed: Collection[int]) -> None:
    """Put those answers first, refined, on which all pairs of sets agree best, not only those with the anchor."""

    def disagreement(chosen: Mapping[int, Pose], size: int) -> float:
        pairs = [(a, b, chosen[a], chosen[b]) for a, b in combinations(chosen, 2)]
        costs = [
            _mutual(watched[a], watched[b], second.azimuth - first.azimuth, second.enlarged / first.enlarged, size)
            for a, b, first, second in pairs
        ]
        return float(np.mean(costs))

    count = 3 if len(found) <= 5 else 1  # of answers per set: at most 81 combinations
    combined = (dict(zip(found, poses, strict=True)) for poses in product(*(each[:count] for each in found.values())))
    best = min(combined, key=lambda chosen: disagreement(chosen, COARSE))
    chosen = dict(best)
    for index in list(found)[1:]:  # the first one is the anchor

        def cost(turn: float, factor: float, index: int = index) -> float:
            return disagreement({**chosen, index: Pose(turn, factor, 0.0)}, FINE)

        chosen[index] = _refined(cost, chosen[index], index in fixed)
        rest = [pose for pose in found[index] if pose is not best[index]]
        # The costs of the others are those of the pair with the anchor: like is compared with like.
        found[index] = [replace(chosen[index], cost=best[index].cost), *rest]


def _placement(name: str, poses: Sequence[Pose], smallest: float) -> Placement:
    first, *rest = [replace(pose, enlarged=pose.enlarged / smallest) for pose in poses]
    if not rest:
        return Placement(name, (first,), 1.0)
    gap = min(pose.cost for pose in rest) / max(first.cost, 1e-9) - 1.0
    listed = (first, *(pose for pose in rest if pose.cost <= first.cost * (1.0 + EQUAL)))
    return Placement(name, listed, float(np.clip(gap, 0.0, 1.0)))

"""Registration of photos: their azimuths and relative scales, from their six-view sets and the photos themselves.

A coarse coloured mesh is fitted to every set by itself. The meshes of two sets differ by a rotation about the vertical
axis and a scale, so the right ones are those at which each mesh looks like the other set's pictures, in outline and
colour, from the other set's cameras, and at which features that two photos share lie on each other (matches.py). The
rotations of all pairs are swept, which gives the probabilities of every photo's azimuth (posterior.py); the most
probable combination is refined together with the scales (Nelder and Mead 1965).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.optimize import minimize

from meshcli.alignment.matches import count_consistent, find_features, match
from meshcli.alignment.posterior import marginals, share_near
from meshcli.arrays import Float64Array
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.image import resize
from meshcli.progress import Progress, silent
from meshcli.reconstructors.fit import fit
from meshcli.settings import FitSettings
from meshcli.views.camera import angular_distance
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

# By eye, checked with tests/bench/align.py: finer sweeps and larger pictures cost time, coarser ones miss answers.
COARSE_FIT = FitSettings(resolutions=(32, 56), steps=(60, 50), rays=6000)
SWEEP_SIZE, REFINE_SIZE = 44, 80  # pixels along a view's side
SWEEP_STEP = 5.0  # degrees
RIGHT = 20.0  # degrees: an answer this near to the truth counts as right in the chance that is stated
MIN_SEPARATION = 30.0  # degrees between different answers
MIN_OTHER_CHANCE = 0.1  # of an answer besides the best that is worth listing
MAX_ANSWERS = 3
SIMPLEX_STEP = (3.0, 0.04)  # of a refinement: degrees, log of the scale
MAX_REFINEMENT = 2.0 * SWEEP_STEP  # degrees; a refinement that leads farther has followed something else
MAX_EVALUATIONS = 32  # of a refinement
OUTLINE_COST = 1.0  # of a pixel that only one of the two covers; pixels that both cover cost their colour error
COLOUR_RANGE = 0.25  # mean error of the channels, 0 to 1, that costs as much as a wrong outline, the most there is
MAX_ALL_PAIRS = 6  # sets of which all pairs are compared; of more, each with the first one and with the NEIGHBOURS next
NEIGHBOURS = 3


@dataclass(frozen=True)
class Evidence:
    """How much the comparison of two sets counts, in units of log probability.

    Fitted to draws whose truth is known, so that stated chances are kept: tests/bench/azimuths.py sculpt --fit.
    """

    appearance: float  # per unit of the appearance cost, which is 0 to 1
    matches: float  # per unit of log(1 + matches beyond MIN_MATCHES)
    doubt: float  # the chance that the comparison means nothing

    def energy(self, costs: Float64Array, matches: Float64Array) -> Float64Array:
        """Minus the log probability, but for a constant, of angles with these appearance costs and matches."""
        return self.appearance * costs - self.matches * np.log1p(np.maximum(matches - MIN_MATCHES, 0.0))


MIN_MATCHES = 16  # counted from both sides; repeated patterns match as often at wrong angles
GUESSED_DEPTH = Evidence(appearance=15.0, matches=1.7, doubt=0.02)  # one of the sets is sculpted from a single photo
# Each set shows its object from all sides. By choice a quarter of what exact renders would allow (163): a network's
# views contradict each other, and sets of its views of several photos were not at hand to fit to.
SIX_VIEWS = Evidence(appearance=40.0, matches=1.0, doubt=0.05)


@dataclass(frozen=True)
class ViewSet:
    """The views of one photo, their cameras as if the photo had been taken at azimuth 0 and at scale 1."""

    name: str
    views: Sequence[View]
    azimuth: float | None = None  # degrees, where it is known
    # Pictures that other meshes are compared with, because the depth of the others is guessed; empty means the views.
    trusted: Sequence[View] = ()
    photo: View | None = None  # the photo itself, whose features are compared


# Of the six views sculpted from a single photo, those at 30 and 330 degrees, which show what the photo shows.
FRONT_TILES = (0, 5)


def sculpted_set(name: str, photo: View, views: Sequence[View], azimuth: float | None = None) -> ViewSet:
    """The set of a photo whose views were sculpted from it alone, all cameras as if it had been taken at azimuth 0."""
    return ViewSet(name, views, azimuth, (photo, *(views[tile] for tile in FRONT_TILES)), photo)


@dataclass(frozen=True)
class Pose:
    """A photo's placement in the common world."""

    azimuth: float  # degrees
    enlarged: float  # factor; its cameras' distance is divided by it


@dataclass(frozen=True)
class Placement:
    """The answers for one photo, the best first, with others that have a chance too."""

    name: str
    answers: tuple[Pose, ...]
    confidence: float  # 0 to 1: the chance that the first answer is right within RIGHT degrees; 1 where it is known
    body: Mesh  # fitted to the set, in the world of its own cameras


def register(
    sets: Sequence[ViewSet], seed: int = 0, progress: Progress = silent, body: FitSettings = COARSE_FIT
) -> list[Placement]:
    """Azimuths and scales of sets of views of one object; the smallest scale is 1.

    Known azimuths stay. Without any, the first set is at 0. Raises InputError where a set's silhouettes have no body.
    """
    models = []
    for index, view_set in enumerate(sets):
        progress(index, len(sets), f"fitting a coarse mesh to photo {view_set.name}")
        models.append(SetModel.of(view_set, body, seed))
    anchor = next((index for index, view_set in enumerate(sets) if view_set.azimuth is not None), 0)
    start = sets[anchor].azimuth or 0.0
    angles = [_angles(start if index == anchor else view_set.azimuth, start) for index, view_set in enumerate(sets)]
    pairs = _compared_pairs(len(sets))
    energies = {}
    for done, (i, j) in enumerate(pairs):
        progress(done, len(pairs), f"comparing photos {sets[i].name} and {sets[j].name}")
        energies[i, j] = pair_energy(models[i], models[j], angles[i], angles[j])
    best, probabilities = marginals(energies, [len(each) for each in angles])
    doubt = max((_evidence(models[i], models[j]).doubt for i, j in pairs), default=0.0)
    probabilities = [(1.0 - doubt) * each + doubt / len(each) for each in probabilities]
    found = [
        Pose(float(angles[index][choice]), models[index].height / models[anchor].height)
        for index, choice in enumerate(best)
    ]
    progress(0, 1, "refining all photos together")
    poses = _refine_jointly(models, found, pairs, [len(each) == 1 for each in angles], anchor)
    smallest = min(pose.enlarged for pose in poses)
    return [
        _placement(
            sets[i].name, replace(pose, enlarged=pose.enlarged / smallest), angles[i], probabilities[i], models[i]
        )
        for i, pose in enumerate(poses)
    ]


def _angles(known: float | None, start: float) -> Float64Array:
    """The azimuths among which a photo's is searched."""
    return start + np.arange(0.0, 360.0, SWEEP_STEP) if known is None else np.array([known])


def _compared_pairs(count: int) -> list[tuple[int, int]]:
    """The pairs of sets that are compared: all, or of many sets each with the first one and with its neighbours."""
    return [
        (i, j)
        for i, j in combinations(range(count), 2)
        if count <= MAX_ALL_PAIRS or i == 0 or min(j - i, count - j + i) <= NEIGHBOURS
    ]


class SetModel:
    """The mesh fitted to a set of views, and the pictures that other meshes are compared with, by size."""

    def __init__(self, mesh: Mesh, pictures: Mapping[int, "_PixelSamples"], view_set: ViewSet) -> None:
        if mesh.colours is None:
            raise ValueError("a mesh without colours")
        self.mesh = mesh
        self.scene = Scene(mesh.vertices, mesh.faces)
        self.corner_colours = mesh.colours[mesh.faces] / 255.0  # (F, 3, 3)
        self.height = float(np.ptp(mesh.vertices[:, 2]))
        self.pictures = pictures
        self.guessed_depth = bool(view_set.trusted)
        photo = view_set.photo
        self.features = find_features(photo, self.scene, mesh.vertices, mesh.faces) if photo else None

    @classmethod
    def of(cls, view_set: ViewSet, body: FitSettings, seed: int) -> "SetModel":
        """Fit the mesh, and sample the pictures at the sizes that are needed."""
        mesh = fit(view_set.views, body, seed, silent)
        trusted = view_set.trusted or view_set.views
        return cls(mesh, {size: _PixelSamples.of(trusted, size) for size in (SWEEP_SIZE, REFINE_SIZE)}, view_set)


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


def _appearance_cost(model: SetModel, pictures: _PixelSamples, rotation: float, scale: float) -> float:
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


def _symmetric_cost(a: SetModel, b: SetModel, rotation: float, scale: float, size: int) -> float:
    """Mean appearance cost in both directions, for photo b `rotation` degrees after a and `scale` times as large."""
    forward = _appearance_cost(a, b.pictures[size], rotation, scale)
    return (forward + _appearance_cost(b, a.pictures[size], -rotation, 1.0 / scale)) / 2.0


def _evidence(a: SetModel, b: SetModel) -> Evidence:
    return GUESSED_DEPTH if a.guessed_depth or b.guessed_depth else SIX_VIEWS


def pair_energy(a: SetModel, b: SetModel, angles_a: Float64Array, angles_b: Float64Array) -> Float64Array:
    """Minus the log probability, but for a constant, of each azimuth of a (rows) beside each of b (columns)."""
    differences = (angles_b[None, :] - angles_a[:, None]) % 360.0
    distinct, places = np.unique(differences.round(6), return_inverse=True)
    costs, matches = compare_pair(a, b, distinct)
    return _evidence(a, b).energy(costs, matches)[places].reshape(differences.shape)


def compare_pair(a: SetModel, b: SetModel, rotations: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Appearance costs and numbers of matches for photo b being `rotations` (R,) degrees after a, (R,) each."""
    scale = b.height / a.height
    costs = np.array([_symmetric_cost(a, b, float(rotation), scale, SWEEP_SIZE) for rotation in rotations])
    if a.features is None or b.features is None:
        return costs, np.zeros(len(rotations))
    shared = match(a.features, b.features)
    return costs, count_consistent(a.features, b.features, shared, rotations, scale)


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
    if abs(azimuth - start.azimuth) > MAX_REFINEMENT:
        return start
    return Pose(azimuth % 360.0, enlarged)


def _refine_jointly(
    models: Sequence[SetModel],
    found: Sequence[Pose],
    pairs: Sequence[tuple[int, int]],
    fixed: Sequence[bool],
    anchor: int,
) -> list[Pose]:
    """The poses, each in its turn moved to where its set agrees best with those that it was compared with."""
    poses = list(found)
    for index in range(len(poses)):
        beside = [(i, j) for i, j in pairs if index in (i, j)]
        if index == anchor or not beside:
            continue

        def cost(azimuth: float, enlarged: float, index: int = index, beside: list[tuple[int, int]] = beside) -> float:
            moved = {index: Pose(azimuth, enlarged)}
            costs = []
            for i, j in beside:
                first, second = moved.get(i, poses[i]), moved.get(j, poses[j])
                rotation, scale = second.azimuth - first.azimuth, second.enlarged / first.enlarged
                costs.append(_symmetric_cost(models[i], models[j], rotation, scale, REFINE_SIZE))
            return float(np.mean(costs))

        poses[index] = _refine(cost, poses[index], fixed[index])
    return poses


def _placement(name: str, best: Pose, angles: Float64Array, probabilities: Float64Array, model: SetModel) -> Placement:
    """The best answer with its chance, and others that have one too, MIN_SEPARATION apart."""
    if len(angles) == 1:
        return Placement(name, (best,), 1.0, model.mesh)
    answers = [best]
    for index in np.argsort(-probabilities):
        angle = float(angles[index])
        apart = all(angular_distance(angle, other.azimuth) >= MIN_SEPARATION for other in answers)
        if apart and share_near(probabilities, angles, angle, RIGHT) >= MIN_OTHER_CHANCE:
            answers.append(replace(best, azimuth=angle % 360.0))
    chance = share_near(probabilities, angles, best.azimuth, RIGHT)
    return Placement(name, tuple(answers[:MAX_ANSWERS]), min(chance, 1.0), model.mesh)

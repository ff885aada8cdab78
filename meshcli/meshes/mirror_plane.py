"""The vertical mirror plane of an object, where its shape, its outlines and its colours all agree on one.

Most made and grown things have such a plane, and then the unseen side is best guessed from the seen one. A wrong plane
puts a second face on the back of a head, so every doubt decides against it: what pictures show must have its mirror
image on the surface (shape) and inside every silhouette (outline), and where they show both, in the same colour but for
the light. Where hardly anything is seen together with its mirror image nothing speaks for a plane: a photo's own left
and right say nothing of its back. Bodies of revolution have planes all round; there the colours of all those planes
together decide.

Two sides of a body can only be compared by their colours where some picture shows both. Where a plane lies across the
directions of all pictures, what they see of its two sides is hardly more than the ends that join them, and a cabinet's
ends are the same in front and behind, while doors are in front alone. Then a plane needs better reasons than colours:
`outlined` are planes for which a caller has them.

The candidates are the best yaws of a coarse search, each refined by iterated closest points (Besl and McKay 1992) on
the pairs of points and mirror images, as Mitra, Guibas and Pauly (2006) do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, NORMAL_RADIUS, BlendedColours, ViewBlender
from meshcli.meshes.mesh import Mesh, face_normals, smooth_normals
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.views.projection import project
from meshcli.views.view import View

TARGETS = 8_000  # points on the surface: one every hundredth of the object's size
STRIDE = 4  # one in so many is mirrored
COARSE_STRIDE = 16
YAWS = 60
CANDIDATES = 4  # yaws that are refined
ROUNDS = 8  # of iterated closest points
NEIGHBOURS = 6  # points whose mean colour is compared: pairs meet to a hundredth of the object, textures are finer

# Lengths are shares of the object's radius.
NEAR = 0.05  # a mirror image this close to the surface lies on it
BESIDE = 0.08  # points closer to the plane are their own mirror images
OUTSIDE = 0.03  # a point farther outside a silhouette is contradicted by it
FACING = 0.7  # cosine between a normal and the plane's
SAME_SIDE = 0.3  # cosine between a mirrored normal and the surface's: thin walls have another surface close by
DIFFERENT = 40.0  # RGB distance: not the same paint
MAX_LIGHT = 0.5  # log of the brightness that light from one side may add

# From the evidence for 27 sets of pictures of meshes with truth, ten real networks' meshes and the example's desk.
MIN_SHAPE = 0.88  # planes by eye: .89 to 1; the best of what has none: .66 (desk) to .83, .92 (extinguisher)
MAX_OUTLINE = 0.05  # planes: .00 to .01; extinguisher .06, robot's front and back .07, desk .08
FEW_SHARED = 0.15  # below this, nothing can be said
FULL_SHARED = 0.3  # below this, the strict tolerance holds
# Below this, only what joins the two sides was compared, such as a cabinet's ends where the front is mirrored to its
# back: 0, a stool's .01. Planes: a cow's from a quarter .13, others .95 to 1.
FEW_FACES = 0.03
PAINT_TOLERANCE = 0.32  # of differing colours; painted by a network: .27 to .30; a cow's patches .34 to .53
STRICT_TOLERANCE = 0.16  # where the shape says nothing: barrel .04, lamp .12; a bottle's label .32 to .74
PLAIN = 30.0  # a colour difference that is not worth comparing with the contrast
MAX_RATIO = 0.6  # of the difference to the contrast: .16 to .49; front and back of a robot .77
ROUND = 0.03  # error of the worst yaw, of a body of revolution: .010 to .018; the bird's round base makes it .026
RING = 12  # yaws that are judged of a body of revolution
FEWEST = 200  # seen points
SAME_YAW, SAME_PLACE = np.cos(np.radians(8.0)), 0.1  # of two planes that are the same; the place in world units


@dataclass(frozen=True)
class MirrorPlane:
    """The points x with normal . x = offset."""

    normal: Array  # (3,) of length 1, horizontal
    offset: float  # of the plane from the origin, along the normal
    confidence: float  # 0 to 1

    def reflect(self, points: Array) -> Array:
        """Mirror images (N, 3) of points (N, 3)."""
        return _reflected(points, self.normal, self.offset)

    def reflect_directions(self, directions: Array) -> Array:
        """Mirror images (N, 3) of directions (N, 3)."""
        return _reflected(directions, self.normal, 0.0)


@dataclass(frozen=True)
class Evidence:
    """What speaks for a plane; shares are of what pictures see of the surface."""

    yaw: float  # of the normal, radians
    offset: float
    shape: float  # share whose mirror image lies on the surface
    outline: float  # share whose mirror image some picture shows to be empty space
    shared: float  # share seen together with its mirror image, beside the plane
    faces: float  # the same of what faces the plane or turns its back on it: an object's two sides, not what joins them
    colour: float  # RGB distance from the mirror image that 4 in 5 of the shared points keep below
    contrast: float  # the same for points and others at random
    differing: float  # share of the shared points that are not of the same paint
    gain: float  # share of the unseen surface whose mirror image is seen


@dataclass(frozen=True)
class _Samples:
    points: Array  # (N, 3)
    normals: Array  # (N, 3)
    seen: Array  # (N,)
    radius: float  # of the object
    tree: Any  # of the points
    seen_tree: Any  # of the seen points
    paint: Array  # (S, 3) mean colours around the seen points
    seen_normals: Array  # (S, 3)


@dataclass(frozen=True)
class MirrorSearch:
    """The plane, or None and the reason; and the evidence for the candidates, the best shape first."""

    plane: MirrorPlane | None
    reason: str  # one short sentence for the user, also where a plane was found
    candidates: tuple[Evidence, ...]


def find_mirror_plane(
    mesh: Mesh, pictures: Sequence[View], found: BlendedColours | None = None, outlined: Sequence[MirrorPlane] = ()
) -> MirrorSearch:
    """The vertical plane that takes an object to itself, if pictures and shape agree on one.

    `found` are the vertices' colours in the pictures, if they are at hand. `outlined`: planes that all outlines tell of
    an object whose sides may be taken for mirror images; close to them, no picture has to show both sides. Where there
    is no mesh yet, one of the visual hull will do: it is at least as large as the object, so that less symmetry is
    found.
    """
    if found is None:
        blender = ViewBlender(pictures, Scene(mesh.vertices, mesh.faces))
        found = blender.colours(mesh.vertices, smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS))
    samples = _surface_samples(mesh, found)
    if int(samples.seen.sum()) < FEWEST:
        return MirrorSearch(None, "the pictures see hardly anything of the surface", ())
    outlines = [_outline(picture) for picture in pictures]
    yaws = np.arange(YAWS) * np.pi / YAWS
    planes = [(float(yaw), float(samples.points.mean(axis=0) @ _normal(yaw))) for yaw in yaws]
    few = np.arange(0, TARGETS, COARSE_STRIDE)
    errors = np.array([_distances(samples, few, *plane)[0].mean() for plane in planes]) / samples.radius
    if errors.max() < ROUND:
        ring = [_evidence(samples, outlines, *plane) for plane in planes[:: YAWS // RING]]
        return _any_of(ring)
    minima = np.flatnonzero((errors <= np.roll(errors, 1)) & (errors <= np.roll(errors, -1)))
    minima = minima[np.argsort(errors[minima], kind="stable")][:CANDIDATES]
    candidates = [_evidence(samples, outlines, *_refined(samples, *planes[index])) for index in minima]
    centre = samples.points.mean(axis=0)
    return _best_of(candidates, [any(_same(one, plane, centre) for plane in outlined) for one in candidates])


def _best_of(candidates: list[Evidence], outlined: list[bool]) -> MirrorSearch:
    """The plane that shows most of what is unseen, of those that everything agrees on; `outlined` of each candidate."""
    objections = [
        _objection(one, PAINT_TOLERANCE) or (None if told else _hidden_side(one))
        for one, told in zip(candidates, outlined, strict=True)
    ]
    order = sorted(range(len(candidates)), key=lambda index: -candidates[index].shape)
    candidates, objections = [candidates[index] for index in order], [objections[index] for index in order]
    accepted = [one for one, objection in zip(candidates, objections, strict=True) if objection is None]
    if not accepted:
        return MirrorSearch(None, objections[0] or "no yaw stands out", tuple(candidates))
    best = max(accepted, key=lambda evidence: (evidence.gain + 0.01) * _confidence(evidence))
    return MirrorSearch(_plane(best, _confidence(best)), "shape, outlines and colours agree", tuple(candidates))


def _any_of(ring: list[Evidence]) -> MirrorSearch:
    """Of a body of revolution, the plane that shows most, if the colours agree about all planes that can be judged."""
    judged = [evidence for evidence in ring if evidence.shared >= FEW_SHARED]
    if 2 * len(judged) < len(ring):
        return MirrorSearch(None, "the body is round, and too little of it is seen together with its mirror image",
                            tuple(ring))  # fmt: skip
    objections = [objection for one in judged if (objection := _objection(one, STRICT_TOLERANCE)) is not None]
    if objections:
        return MirrorSearch(None, f"the body is round, but {objections[0]}", tuple(ring))
    best = max(ring, key=lambda evidence: evidence.gain)
    confidence = min(_confidence(evidence) for evidence in judged)
    return MirrorSearch(_plane(best, confidence), "the body is round, and its colours are the same all round",
                        tuple(ring))  # fmt: skip


def _objection(evidence: Evidence, tolerance: float) -> str | None:
    """What speaks against a plane; `tolerance` is the share of the shared surface whose colours may differ."""
    few = evidence.shared < FULL_SHARED
    if evidence.shape < MIN_SHAPE:
        return f"{1.0 - evidence.shape:.0%} of the seen surface has no mirror image on the surface"
    if evidence.outline > MAX_OUTLINE:
        return f"the silhouettes leave no room for the mirror image of {evidence.outline:.0%} of the seen surface"
    if evidence.shared < FEW_SHARED:
        return f"only {evidence.shared:.0%} of the seen surface is seen together with its mirror image"
    if evidence.differing > (min(tolerance, STRICT_TOLERANCE) if few else tolerance):
        return f"{evidence.differing:.0%} of what is seen on both sides differs in colour"
    if evidence.colour > max(PLAIN, MAX_RATIO * evidence.contrast):
        return "colours differ from their mirror images almost as much as from others"
    return None


def _hidden_side(evidence: Evidence) -> str | None:
    """What speaks against a plane of a body that is not round, where hardly anything of its two sides was compared."""
    if evidence.faces < FEW_FACES:
        return f"only {evidence.faces:.0%} of what faces the mirror plane is seen together with its mirror image"
    return None


def _same(evidence: Evidence, plane: MirrorPlane, centre: Array) -> bool:
    """Whether a candidate is close to a plane: by its yaw, and by its place beside the object's centre (3,)."""
    normal = _normal(evidence.yaw)
    cosine = float(normal @ plane.normal)
    apart = (centre @ normal - evidence.offset) * np.sign(cosine) - (centre @ plane.normal - plane.offset)
    return abs(cosine) > SAME_YAW and abs(float(apart)) < SAME_PLACE


def _confidence(evidence: Evidence) -> float:
    agreement = evidence.shape * (1.0 - evidence.outline) * (1.0 - evidence.differing)
    return agreement * min(1.0, evidence.shared / FULL_SHARED)


def _plane(evidence: Evidence, confidence: float) -> MirrorPlane:
    return MirrorPlane(_normal(evidence.yaw), evidence.offset, confidence)


def _reflected(points: Array, normal: Array, offset: float) -> Array:
    result: Array = points - 2.0 * (points @ normal - offset)[:, None] * normal
    return result


def _normal(yaw: float) -> Array:
    return np.array([np.cos(yaw), np.sin(yaw), 0.0])


def _surface_samples(mesh: Mesh, found: BlendedColours) -> _Samples:
    """Points spread evenly over the surface, always the same."""
    normals = face_normals(mesh.vertices, mesh.faces)
    areas = np.linalg.norm(normals, axis=1)
    ends = np.cumsum(areas)
    faces = np.searchsorted(ends, (np.arange(TARGETS) + 0.5) / TARGETS * ends[-1]).clip(0, len(ends) - 1)
    steps = (np.arange(TARGETS)[:, None] * (0.7548776662466927, 0.5698402909980532)) % 1.0  # the R2 sequence
    folded = steps.sum(axis=1) > 1.0
    steps[folded] = 1.0 - steps[folded]
    weights = np.concatenate([1.0 - steps.sum(axis=1, keepdims=True), steps], axis=1)
    corners = mesh.faces[faces]
    points = np.einsum("nkc,nk->nc", mesh.vertices[corners].astype(np.float64), weights)
    unit = normals[faces] / np.maximum(areas[faces, None], 1e-20)
    seen = found.weight[corners].min(axis=1) >= CONFIDENT_WEIGHT
    colours = np.einsum("nkc,nk->nc", found.values[corners], weights)[seen]
    seen_tree = cKDTree(points[seen])
    _, around = seen_tree.query(points[seen], k=NEIGHBOURS)
    return _Samples(
        points=points,
        normals=unit,
        seen=seen,
        radius=float(np.linalg.norm(points - points.mean(axis=0), axis=1).max()),
        tree=cKDTree(points),
        seen_tree=seen_tree,
        paint=colours[around].mean(axis=1),
        seen_normals=unit[seen],
    )


def _distances(samples: _Samples, chosen: Array, yaw: float, offset: float) -> tuple[Array, Array]:
    """Of the mirror images of chosen points to the surface, and the closest points there."""
    distance, nearest = samples.tree.query(_reflected(samples.points[chosen], _normal(yaw), offset))
    return distance, nearest


def _refined(samples: _Samples, yaw: float, offset: float) -> tuple[float, float]:
    """Yaw and offset of a plane nearby that takes the surface to itself."""
    chosen = np.arange(0, TARGETS, STRIDE)
    points = samples.points[chosen]
    for _ in range(ROUNDS):
        distance, nearest = _distances(samples, chosen, yaw, offset)
        kept = distance <= max(2.0 * float(np.median(distance)), 1e-3 * samples.radius)
        a, b = points[kept], samples.points[nearest[kept]]
        # For a plane through the middle m of the pairs, the squared distances of a's reflections from b sum up to a
        # constant - n^T ((a - b)(a - b)^T - (a + b - 2 m)(a + b - 2 m)^T) n.
        apart, middle = (a - b)[:, :2], (a + b)[:, :2]
        spread = middle - middle.mean(axis=0)
        _, axes = np.linalg.eigh(apart.T @ apart - spread.T @ spread)
        yaw = float(np.arctan2(axes[1, -1], axes[0, -1]))
        offset = float((middle @ axes[:, -1]).mean()) / 2.0
    return _folded(yaw, offset)


def _folded(yaw: float, offset: float) -> tuple[float, float]:
    """The same plane with a yaw in [0, pi)."""
    turns = np.floor(yaw / np.pi)
    return float(yaw - turns * np.pi), offset if turns % 2 == 0 else -offset


@dataclass(frozen=True)
class _Outline:
    view: View
    outside: Array  # (H, W) distance from the silhouette in world units at the object's distance
    stride: int


def _outline(view: View) -> _Outline:
    stride = max(1, min(view.width, view.height) // VIEW_SIZE)
    solid = view.pixels[::stride, ::stride, 3] >= 128
    return _Outline(view, distance_transform_edt(~solid) * view.pixel_size * stride, stride)


def _contradicted(points: Array, outlines: Sequence[_Outline], limit: float) -> Array:
    """Which points (N,) lie outside a silhouette by more than a length in world units."""
    result = np.zeros(len(points), np.bool_)
    for outline in outlines:
        view = outline.view
        if not np.isfinite(outline.outside).all():
            continue
        where, depth = project(view.camera, points, view.width, view.height)
        inside = (depth > 0.0) & (where >= 0.0).all(axis=1) & (where < (view.width, view.height)).all(axis=1)
        column, row = (where[inside] // outline.stride).astype(int).T
        result[inside] |= outline.outside[row, column] > limit
    return result


def _evidence(samples: _Samples, outlines: Sequence[_Outline], yaw: float, offset: float) -> Evidence:
    chosen = np.arange(0, TARGETS, STRIDE)
    normal = _normal(yaw)
    seen = samples.seen[chosen]
    mirrored = _reflected(samples.points[chosen], normal, offset)
    facing = _reflected(samples.normals[chosen], normal, 0.0)
    distance, nearest = samples.tree.query(mirrored)
    on = (distance < NEAR * samples.radius) & ((facing * samples.normals[nearest]).sum(axis=1) > SAME_SIDE)
    gap, partner = samples.seen_tree.query(mirrored)
    met = on & (gap < NEAR * samples.radius) & ((facing * samples.seen_normals[partner]).sum(axis=1) > SAME_SIDE)
    beside = np.abs(samples.points[chosen] @ normal - offset) > BESIDE * samples.radius
    both = seen & met & beside
    rank = np.cumsum(samples.seen) - 1
    a, b = samples.paint[rank[chosen[both]]], samples.paint[partner[both]]
    side = (samples.normals[chosen] @ normal)[both]
    colour, contrast, differing = _compare(a, b, side)
    count = max(int(seen.sum()), 1)
    two_sides = seen & beside & (np.abs(samples.normals[chosen] @ normal) > FACING)
    return Evidence(
        yaw=yaw,
        offset=offset,
        shape=float((on & seen).sum() / count),
        outline=float(_contradicted(mirrored[seen], outlines, OUTSIDE * samples.radius).mean()),
        shared=float(both.sum() / count),
        faces=float((both & two_sides).sum() / max(int(two_sides.sum()), 1)),
        colour=colour,
        contrast=contrast,
        differing=differing,
        gain=float((met & ~seen).sum() / max((~seen).sum(), 1)),
    )


def _compare(a: Array, b: Array, side: Array) -> tuple[float, float, float]:
    """Typical difference of paired colours (N, 3), their contrast, and the share that differs by much.

    Light from one side is taken out first: a factor that depends on how far the surface faces sideways (N,).
    """
    if not len(a):
        return 0.0, 0.0, 0.0
    ratio = np.log((a.mean(axis=1) + 10.0) / (b.mean(axis=1) + 10.0))
    slope = float(ratio @ side) / max(float(side @ side), 1e-9)
    difference = np.linalg.norm(a - b * np.exp(np.clip(slope, -MAX_LIGHT, MAX_LIGHT) * side)[:, None], axis=1)
    other = np.linalg.norm(a - np.roll(a, len(a) // 3, axis=0), axis=1)
    return float(np.percentile(difference, 80)), float(np.percentile(other, 80)), float((difference > DIFFERENT).mean())

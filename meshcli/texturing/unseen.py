"""Colours of what no picture sees: its mirror image first, then a continuation along the surface.

Mirror images keep their detail and are levelled: a brightness that is smooth along the surface takes them to the light
that lies on what is seen beside them. Everything else becomes plain material. A random walker (Grady 2006) from an
unseen vertex votes for the first of a few colours of the object that absorbs it; samples absorb by how well they are
seen, and little near the rim, where grazing views and outlines are dark. Each colour of the palette is itself
continued, so that shading stays, and the clearest vote wins: a narrow dark rim or a speck is outvoted by the material
behind it, where a harmonic fill would spread it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from meshcli.arrays import Array
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, NORMAL_RADIUS, BlendedColours
from meshcli.meshes.mesh import PLAIN_GREY, face_normals, half_edges, smooth_normals
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.system.sparse_solve import factorise

# Lengths are shares of the object's radius. Chosen by eye on spot, fuze and barrel seen from one side and on the desk's
# belly: decibels would prefer blurs (tests/bench/unseen.py).
RIM = 0.08  # samples closer to the unseen surface than this count less
REACH = 0.5  # samples farther from it are not asked
ABSORPTION = 0.12  # length a random walker gets among perfect samples: larger is plainer
LEVELLING_ABSORPTION = 0.06  # the same for the light on mirror images
FADE = 0.3  # length over which the colours at the rim fade into the plain material
NEAR = 0.05  # of a mirror image to the surface
SURE_WEIGHT = 0.05  # blend weight from which a sample counts fully: seen 62 degrees from its normal
RIM_STRENGTH = 1e-3  # of samples on the rim itself, for where there are no others
MIRRORED_STRENGTH = 0.3  # of mirrored samples in the votes
PALETTE = 6  # colours
PALETTE_SPREAD = 18.0  # RGB distance over which a sample's membership fades
VOTE_POWER = 1.5  # above 1: the majority takes more than its share
OUTLIER = 90.0  # RGB distance from the material around at which a weakly seen sample counts 1 / e
MAX_LEVELLING = 0.5  # log of the factor between mirror images and what is seen
LEVELLING_FADE = 1.0  # length over which the factor falls back to 1
OTHER_PAINT = 40.0  # RGB distance at which a pair counts 1 / e for the factor
DARK = 10.0  # added to brightnesses, so that black does not give large factors
MIN_FACING = 0.5  # cosine between a mirrored normal and the surface's
PALETTE_SAMPLES = 4000
PALETTE_ROUNDS = 8
SHORTEST = 0.1  # of the median edge: shorter ones count as this, since slivers spoil the solve
MAX_ROUNDS = 12  # of looking around, so that very fine meshes do not take minutes
CLOSEST = 24  # samples whose median colours parts that are seen nowhere


class Source(IntEnum):
    """Where a colour comes from."""

    SEEN = 0
    MIRRORED = 1
    CONTINUED = 2


@dataclass(frozen=True)
class FilledColours:
    """Colours of all vertices, where each comes from, and how mirror images were levelled."""

    values: NDArray[np.float32]  # (V, 3) sRGB, 0 to 255
    source: NDArray[np.uint8]  # (V,) of Source
    gain: NDArray[np.float32]  # (V,) that mirror images were multiplied by; 1 elsewhere
    kept: NDArray[np.float32]  # (V,) share of the pictures' own colour: less where a grazing view shows an outlier


@dataclass(frozen=True)
class _Surface:
    """The mesh as a graph."""

    vertices: Array  # (V, 3)
    normals: Array  # (V, 3)
    radius: float  # of the object
    lengths: csr_array  # (V, V) of the edges, in radii


@dataclass(frozen=True)
class _Samples:
    """What is known of the colours before the fill."""

    values: Array  # (V, 3)
    known: Array  # (V,) whether there is a colour
    strength: Array  # (V,) 0 to 1: how well it is seen
    share: Array  # (V,) 0 to 1: how much of it stays in the result


def fill_unseen(
    vertices: Array, faces: Array, found: BlendedColours, plane: MirrorPlane | None = None
) -> FilledColours:
    """Colours for all vertices of a mesh (V, 3), given those that pictures see; `found` is of the vertices.

    Where a plane is given, what is unseen takes the colours of its mirror image if that is seen.
    """
    seen = found.weight >= CONFIDENT_WEIGHT
    source = np.where(seen, Source.SEEN, Source.CONTINUED).astype(np.uint8)
    gain = np.ones(len(vertices), np.float32)
    if not seen.any():
        return FilledColours(np.full((len(vertices), 3), PLAIN_GREY, np.float32), source, gain, gain - 1.0)
    surface = _surface(vertices, faces)
    samples = _Samples(
        found.values.astype(np.float64),
        seen,
        np.minimum(found.weight / SURE_WEIGHT, 1.0),
        np.minimum(found.weight / CONFIDENT_WEIGHT, 1.0),
    )
    if plane is not None:
        image = _mirror_image(surface, samples, plane)
        taken = ~seen & image.known
        gain[taken] = _levelling(surface, samples, image, taken)[taken]
        source[taken] = Source.MIRRORED
        samples = _Samples(
            np.where(taken[:, None], image.values * gain[:, None], samples.values).clip(0.0, 255.0),
            seen | taken,
            np.where(taken, MIRRORED_STRENGTH * image.strength, samples.strength),
            np.where(taken, image.strength, samples.share),
        )
    values, kept = _continued(surface, samples)
    return FilledColours(values.astype(np.float32), source, gain, np.where(seen, kept, 0.0).astype(np.float32))


def coverage(vertices: Array, faces: Array, source: Array) -> dict[str, float]:
    """Shares of the mesh's area that are seen, mirrored and continued, under the names of Source in lower case."""
    areas = np.linalg.norm(face_normals(vertices, faces), axis=1)
    total = max(float(areas.sum()), 1e-20)
    return {kind.name.lower(): float(areas @ (source[faces] == kind).mean(axis=1)) / total for kind in Source}


def _surface(vertices: Array, faces: Array) -> _Surface:
    used = vertices[np.unique(faces)].astype(np.float64)
    radius = max(float(np.linalg.norm(used - (used.min(axis=0) + used.max(axis=0)) / 2.0, axis=1).max()), 1e-9)
    ends = np.unique(np.sort(half_edges(faces), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    lengths = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1).astype(np.float64) / radius
    rows, columns = np.concatenate([ends, ends[:, ::-1]]).T
    graph = csr_array((np.tile(np.maximum(lengths, 1e-6), 2), (rows, columns)), shape=(len(vertices),) * 2)
    return _Surface(
        vertices.astype(np.float64), smooth_normals(vertices, faces, NORMAL_RADIUS).astype(np.float64), radius, graph
    )


def _mirror_image(surface: _Surface, samples: _Samples, plane: MirrorPlane) -> _Samples:
    """What the mirror images of all vertices look like."""
    where, facing = plane.reflect(surface.vertices), plane.reflect_directions(surface.normals)
    distance, nearest = cKDTree(surface.vertices).query(where, k=4)
    on = (distance < NEAR * surface.radius) & (np.einsum("vc,vkc->vk", facing, surface.normals[nearest]) > MIN_FACING)
    share = (on & samples.known[nearest]) / (distance + 1e-3 * surface.radius)
    total = np.maximum(share.sum(axis=1), 1e-12)
    # A border that runs between the four is not crossed: the closest vertex decides.
    known = share[:, 0] > 0.0
    strength = np.where(known, (share * samples.strength[nearest]).sum(axis=1) / total, 0.0)
    return _Samples(
        (share[..., None] * samples.values[nearest]).sum(axis=1) / total[:, None], known, strength, strength
    )


def _levelling(surface: _Surface, samples: _Samples, image: _Samples, taken: Array) -> Array:
    """Smooth factors (V,) for mirror images, from the brightness of what is seen on both sides.

    One factor for all channels: light differs by side, and where paint does, mirror images should not take its hue.
    """
    gain = np.ones(len(taken))
    part = _region(surface, taken, samples.known)
    if len(part.rows):
        ours, theirs = samples.values[part.rows], image.values[part.rows]
        ratio = np.log((ours.mean(axis=1) + DARK) / (theirs.mean(axis=1) + DARK)).clip(-MAX_LEVELLING, MAX_LEVELLING)
        apart = np.square(ours - theirs * np.exp(ratio)[:, None]).sum(axis=1)
        strength = (
            np.minimum(samples.strength, image.strength)[part.rows] * np.exp(-apart / OTHER_PAINT**2) * part.depth
        )
        strength *= (samples.known & image.known)[part.rows]
        gain[part.rows] = np.exp(part.diffused(strength, LEVELLING_ABSORPTION, ratio[:, None], LEVELLING_FADE)[:, 0])
    return gain


def _continued(surface: _Surface, samples: _Samples) -> tuple[Array, Array]:
    """Known colours and, elsewhere, plain material that fades into them (V, 3); the share of what was known (V,)."""
    values = np.where(samples.known[:, None], samples.values, 0.0)
    kept = samples.known.astype(np.float64)
    part = _region(surface, ~samples.known, samples.known)
    if len(part.rows):
        values[part.rows], kept[part.rows] = _faded(part, samples, _material(part, samples, values))
    if part.cut_off.any():
        tree = cKDTree(surface.vertices[samples.known])
        _, found = tree.query(surface.vertices[part.cut_off], k=min(CLOSEST, int(samples.known.sum())))
        closest = np.asarray(found)
        colours = samples.values[samples.known][closest.reshape(len(closest), -1)]
        values[part.cut_off] = np.median(colours, axis=1)
    return values, kept


def _material(part: "_Region", samples: _Samples, values: Array) -> Array:
    """The plain material (N, 3) at the vertices of a region."""
    own = values[part.rows]
    strength = samples.strength[part.rows] ** 2 * samples.known[part.rows]
    palette = _palette(own[strength > 0.0], strength[strength > 0.0])
    distance = np.square(own[:, None] - palette).sum(axis=2)
    member = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / (2.0 * PALETTE_SPREAD**2))
    member /= member.sum(axis=1, keepdims=True)
    data = np.concatenate([member[..., None], member[..., None] * own[:, None]], axis=2)
    found = part.diffused(strength * part.depth, ABSORPTION, data.reshape(len(own), -1))
    votes, sums = np.split(found.reshape(len(own), -1, 4), [1], axis=2)
    votes = np.maximum(votes, 1e-9)
    shares = votes**VOTE_POWER
    result: Array = (shares * sums / votes).sum(axis=1) / shares.sum(axis=1)
    return result


def _faded(part: "_Region", samples: _Samples, plain: Array) -> tuple[Array, Array]:
    """Colours (N, 3): those known, and beside them an offset from the material that fades out; shares (N,) kept."""
    difference = samples.values[part.rows] - plain
    strength = samples.strength[part.rows]
    # Weak samples that look like nothing around them are outlines, reflections or another surface.
    doubt = (1.0 - strength) * (1.0 - part.depth)
    likely = np.exp(-doubt * np.square(difference).sum(axis=1) / OUTLIER**2)
    share = samples.known[part.rows] * samples.share[part.rows] * likely
    hold = share / (1.0 - share + 1e-3)
    return plain + part.diffused(hold, None, difference, FADE), share


def _palette(colours: Array, weights: Array) -> Array:
    """At most PALETTE colours (K, 3) that stand for all (N, 3): k-means, started along the order of brightness."""
    step = max(1, len(colours) // PALETTE_SAMPLES)
    colours, weights = colours[::step], weights[::step]
    order = np.argsort(colours.sum(axis=1), kind="stable")
    ranks = np.cumsum(weights[order]) / weights.sum()
    start = np.searchsorted(ranks, (np.arange(PALETTE) + 0.5) / PALETTE).clip(0, len(order) - 1)
    palette = colours[order[start]]
    for _ in range(PALETTE_ROUNDS):
        label = np.square(colours[:, None] - palette).sum(axis=2).argmin(axis=1)
        total = np.bincount(label, weights, PALETTE)
        for channel in range(3):
            mean = np.bincount(label, weights * colours[:, channel], PALETTE) / np.maximum(total, 1e-12)
            palette[:, channel] = np.where(total > 0.0, mean, palette[:, channel])
    return np.unique(palette, axis=0)


@dataclass(frozen=True)
class _Region:
    """Unseen vertices and the known ones within REACH."""

    rows: Array  # (N,) vertices
    edges: csr_array  # (N, N) a walker's rates: 1 / length^2, so that it gets equally far along long and short edges
    spacing: Array  # (N,) root mean squared length of its steps, in radii
    depth: Array  # (N,) RIM_STRENGTH or more on the rim, 1 from RIM inside, and in the middle of narrower parts
    cut_off: Array  # (V,) unseen, on parts of the surface of which nothing is known

    def diffused(self, strength: Array, absorption: float | None, data: Array, fade: float | None = None) -> Array:
        """What random walkers bring home from data (N, K) on average; `fade` is the length they live, if they die."""
        degree = np.asarray(self.edges.sum(axis=1))
        # A walk with steps of length h, absorbed with probability q a step, gets h / (2 sqrt(q)) far.
        hold = strength * degree * (1.0 if absorption is None else np.square(self.spacing / (2.0 * absorption)))
        lost = 1e-9 if fade is None else degree * np.square(self.spacing / (2.0 * fade))
        matrix = diags_array(degree + hold + lost) - self.edges
        result: Array = factorise(matrix.tocsc()).solve(hold[:, None] * data)
        return result


def _region(surface: _Surface, unseen: Array, known: Array) -> _Region:
    parts, part = connected_components(surface.lengths, directed=False)
    cut_off = unseen & (np.bincount(part, known, parts)[part] == 0)
    start = np.flatnonzero(unseen & ~cut_off)
    distance = np.full(len(unseen), np.inf)
    if len(start):
        distance = dijkstra(surface.lengths, indices=start, min_only=True, limit=REACH)
    rows = np.flatnonzero(np.isfinite(distance))
    lengths = surface.lengths[rows][:, rows]
    edges = lengths.copy()
    if len(edges.data):
        edges.data = np.maximum(edges.data, SHORTEST * np.median(edges.data)) ** -2.0
    spacing = np.sqrt(np.diff(edges.indptr) / np.maximum(np.asarray(edges.sum(axis=1)), 1e-12))
    depth = np.maximum(np.minimum(distance / RIM, 1.0) ** 2, RIM_STRENGTH)[rows]
    if len(rows):
        depth /= _largest_around(edges, depth, spacing)
    return _Region(rows, edges, spacing, depth, cut_off)


def _largest_around(edges: csr_array, depth: Array, spacing: Array) -> Array:
    """The largest depth (N,) within RIM of each vertex: thin parts have nothing but a rim."""
    around = (edges + eye_array(len(depth), format="csr")).tocsr()
    for _ in range(min(int(RIM / max(float(np.median(spacing)), 1e-6)) + 1, MAX_ROUNDS)):
        depth = np.maximum.reduceat(depth[around.indices], around.indptr[:-1])
    return depth

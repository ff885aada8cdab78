"""The camera of a picture corrected until a mesh fits the picture: a small turn, shift and zoom.

The unknowns are a turn of the object about its centre (three angles), a shift of the principal point and a zoom of the
focal length. Two kinds of differences are made small by robust Gauss-Newton steps: the distances of the mesh's outline
from the picture's, and those between the picture's colours and the ones that other pictures give the surface. Both are
linearised around one rendering, which is made anew a few times, with finer pictures each time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, map_coordinates
from scipy.spatial.transform import Rotation

from meshcli.arrays import Array, Float32Array, Float64Array, Mask
from meshcli.texturing.detail import flattened
from meshcli.texturing.sights import Sight, Surface, look
from meshcli.views.camera import Camera, orbit
from meshcli.views.projection import camera_to_world, project, world_to_camera

BLURS = (4, 2, 1)  # pixels: radii of the blur of the colours that are compared, one per rendering: coarse to fine
STEPS = 5  # Gauss-Newton steps per rendering
POINTS = 6000  # of the surface whose colours are compared
OUTLINE_SCALE = 1.0  # pixels: distances from the outline well above it count as errors of the mesh
COLOUR_SCALE = 0.06  # of the range: differences well above it are highlights, shadows or other surfaces
COLOUR_SHARE = 3.0  # of the colours against the outline, so that a shift by a pixel costs about the same in either
LIGHTING = 14  # pixels: radius beyond which differences of colour are lighting
# Standard deviations of a camera's error: three angles, shift (fractions of the picture), log of zoom. Small steps are
# wanted, and what the picture does not tell (the turn of a plain ball) must stay.
PRIOR_SIGMA = np.array([*[np.radians(4.0)] * 3, 0.03, 0.03, 0.05])
PRIOR_SHARE = 0.02
# Share of the cost by which a corrected camera must be better. Of photos around bodies that were carved with their very
# cameras, those that the correction took out of place in their own picture gained .026 to .042, a cow's .064 to .076.
MIN_GAIN = 0.05
CONFIDENT = 0.05  # weight of the others' colours from which on they count in full
MAX_STEP = 1.5  # prior sigmas that a step may go
ELEVATIONS = (-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0)  # degrees, of photos whose camera nobody knows
FITTING_COST = 1.0  # of an assumed camera: below it the mesh was made for this camera
MIN_POINTS = 50  # that outline or colours must have to be used at all

Reference = Callable[[Sight], tuple[Float32Array, Float32Array]]  # others' colours (h, w, 3) and weights (h, w)


@dataclass(frozen=True)
class Registration:
    """A corrected camera, and by how much it differs from the given one."""

    sight: Sight
    turn: float  # degrees
    shift: float  # pixels of the working size
    zoom: float  # 1 is none
    before: float  # cost of the given camera
    after: float


def register(surface: Surface, sight: Sight, reference: Reference) -> Registration:
    """Correct the camera of a picture; the given one is kept unless the corrected one fits clearly better.

    A camera that is assumed and that does not fit is looked for at other elevations first.
    """
    signed = signed_distance(sight.opaque, sight.colours[..., 3])
    best, total = sight, np.zeros(6)
    if sight.camera.known == "assumed" and sight.opaque.any() and cost(sight, reference(sight), signed) > FITTING_COST:
        best = _best_elevation(surface, sight, reference, signed)
    searched = best
    for blur in BLURS:
        best, total = _improve(surface, best, reference, signed, blur, total)
    candidates = [sight, best] if searched is sight else [sight, searched, best]
    costs = [cost(candidate, reference(candidate), signed) for candidate in candidates]
    if not min(costs) < costs[0] * (1.0 - MIN_GAIN):
        return Registration(sight, 0.0, 0.0, 1.0, costs[0], costs[0])
    chosen = candidates[int(np.argmin(costs))]
    return _compared(surface, sight, chosen, costs[0], min(costs))


def _compared(surface: Surface, given: Sight, found: Sight, before: float, after: float) -> Registration:
    """What a camera's correction amounts to."""
    height, width = given.depth.shape
    old, new = given.camera, found.camera
    turn = camera_to_world(new)[:3, :3].T @ camera_to_world(old)[:3, :3]
    centres = [project(camera, surface.centre, width, height)[0] for camera in (old, new)]
    return Registration(
        found,
        turn=float(np.degrees(Rotation.from_matrix(turn).magnitude())),
        shift=float(np.linalg.norm(centres[1] - centres[0])),
        zoom=new.fy / old.fy,
        before=before,
        after=after,
    )


def _best_elevation(surface: Surface, sight: Sight, reference: Reference, signed: Float64Array) -> Sight:
    """The best of the given camera and of cameras at other elevations, framed like the picture."""
    blur = 2 * BLURS[0]
    best, lowest = sight, cost(sight, reference(sight), signed, blur)
    for elevation in ELEVATIONS:
        camera = sight.camera
        turned = orbit(camera.azimuth, elevation, camera.distance, known="assumed")
        turned = replace(turned, fx=camera.fx, fy=camera.fy, cx=camera.cx, cy=camera.cy)
        start = look(surface, _framed(turned, surface, sight.opaque), sight.colours)
        candidate, _ = _improve(surface, start, reference, signed, blur, np.zeros(6))
        value = cost(candidate, reference(candidate), signed, blur)
        if value < lowest:
            best, lowest = candidate, value
    return best


def _improve(
    surface: Surface, sight: Sight, reference: Reference, signed: Float64Array, blur: int, total: Float64Array
) -> tuple[Sight, Float64Array]:
    """A better camera by one rendering, and how far it has moved in all (6,), having moved by `total`."""
    compared = _Outline.of(sight, signed), _Colours.of(sight, reference(sight), blur)
    camera, change = _minimise(sight.camera, surface.centre, compared, blur, total)
    return look(surface, camera, sight.colours), total + change


def _framed(camera: Camera, surface: Surface, opaque: Mask) -> Camera:
    """A camera zoomed and shifted until the mesh's box in the picture has the silhouette's centre and area."""
    height, width = opaque.shape
    positions, depth = project(camera, surface.mesh.vertices.astype(np.float64), width, height)
    if depth.min() <= 0.0:
        return camera
    low, high = positions.min(axis=0), positions.max(axis=0)
    places = np.argwhere(opaque)[:, ::-1]
    first, last = places.min(axis=0), places.max(axis=0) + 1.0
    zoom = float(np.sqrt(np.prod(last - first) / max(np.prod(high - low), 1e-6)))
    size = np.array([width, height])
    centre = np.array([camera.cx, camera.cy])
    shift = ((first + last) / 2.0 - centre * size - zoom * ((low + high) / 2.0 - centre * size)) / size
    return replace(
        camera,
        fx=camera.fx * zoom,
        fy=camera.fy * zoom,
        cx=camera.cx + float(shift[0]),
        cy=camera.cy + float(shift[1]),
    )


def moved(camera: Camera, centre: Array, change: Array) -> Camera:
    """A camera that sees the object turned about `centre` (3,) by a rotation vector in the camera's axes.

    `change` (6,): rotation vector, shift right and down in fractions of the picture, log of the zoom.
    """
    pose, inverse = camera_to_world(camera), world_to_camera(camera)
    turn = Rotation.from_rotvec(np.asarray(change[:3])).as_matrix()
    local = inverse[:3, :3] @ centre + inverse[:3, 3]
    rotation = pose[:3, :3] @ turn.T
    position = -rotation @ (local + turn @ (inverse[:3, 3] - local))
    rows = tuple((*(float(value) for value in rotation[i]), float(position[i])) for i in range(3))
    zoom = float(np.exp(change[5]))
    return replace(
        camera,
        camera_to_world=(*rows, (0.0, 0.0, 0.0, 1.0)),
        fx=camera.fx * zoom,
        fy=camera.fy * zoom,
        cx=camera.cx + float(change[3]),
        cy=camera.cy + float(change[4]),
    )


def cost(
    sight: Sight, reference: tuple[Float32Array, Float32Array], signed: Float64Array, blur: int = BLURS[-1]
) -> float:
    """How badly a picture fits the mesh: 0 for perfectly, 1 + COLOUR_SHARE for nonsense.

    `signed` (h, w): the signed distance of what the picture shows of the object; `blur` in pixels: how coarsely.
    """
    outline, colours = _Outline.of(sight, signed), _Colours.of(sight, reference, blur)
    value = 1.0
    edge = rim(sight.opaque)
    if len(outline.points) >= MIN_POINTS and edge.any():
        # Both ways: a part of the picture without mesh is as bad as a part of the mesh beside the picture.
        beyond = (signed_distance(sight.covered, sight.coverage) - (sight.colours[..., 3] - 0.5))[edge]
        inside = outline.distances(sight.camera)[0]
        value = float(np.mean([_robust(part / (OUTLINE_SCALE * blur))[0].mean() for part in (inside, beyond)]))
    if len(colours.points) >= MIN_POINTS:
        loss = _robust(colours.differences(sight.camera)[0] / COLOUR_SCALE)[0]
        value += COLOUR_SHARE * float(np.average(loss.mean(axis=1), weights=colours.weights))
    return value


@dataclass(frozen=True)
class _Outline:
    """The rim of the mesh in one rendering, beside the picture's outline."""

    points: Float64Array  # (N, 3)
    signed: Float64Array  # (h, w) pixels from the picture's outline, positive inside
    slopes: Float64Array  # (2, h, w) of it, to the right and down
    own: Float64Array  # (N,) the same from the mesh's own outline

    @classmethod
    def of(cls, sight: Sight, signed: Float64Array) -> "_Outline":
        edge = rim(sight.covered).reshape(-1)[sight.cells]
        own = signed_distance(sight.covered, sight.coverage).reshape(-1)[sight.cells]
        return cls(sight.points[edge], signed, np.stack([np.gradient(signed, axis=axis) for axis in (1, 0)]), own[edge])

    def distances(self, camera: Camera) -> tuple[Float64Array, Float64Array]:
        """Signed pixels (N,) by which the rim lies inside the picture's outline, and pixel positions (N, 2)."""
        height, width = self.signed.shape
        positions = project(camera, self.points, width, height)[0]
        return _lookup(self.signed, positions) - self.own, positions

    def system(self, camera: Camera, centre: Array, scale: float) -> tuple[Float64Array, Float64Array]:
        """Normal matrix (6, 6) and right side (6,) of the robust mean."""
        values, positions = self.distances(camera)
        slopes = np.stack([_lookup(slope, positions) for slope in self.slopes], axis=-1)
        rows = np.einsum("nk,nkp->np", slopes, _motion(camera, centre, self.points, self.signed.shape))
        weights = _robust(values / scale)[1] / (len(values) * scale**2)
        return rows.T @ (rows * weights[:, None]), -rows.T @ (weights * values)


@dataclass(frozen=True)
class _Colours:
    """Colours of the surface in one rendering, beside the picture's."""

    points: Float64Array  # (N, 3)
    weights: Float64Array  # (N,)
    wanted: Float32Array  # (N, 3) without lighting
    picture: Float32Array  # (h, w, 3) without lighting
    slopes: Float32Array  # (2, h, w, 3) of it, to the right and down

    @classmethod
    def of(cls, sight: Sight, reference: tuple[Float32Array, Float32Array], blur: int) -> "_Colours":
        colours, weight = reference
        both = np.minimum(weight / CONFIDENT, 1.0) * sight.quality * sight.opaque
        picture = sight.colours[..., :3] / np.maximum(sight.colours[..., 3:], 1e-3)
        seen = np.flatnonzero(both.reshape(-1)[sight.cells] > 0.0)
        seen = seen[:: max(1, len(seen) // POINTS)]
        cells = sight.cells[seen]
        wanted = flattened(colours, both, blur, LIGHTING).reshape(-1, 3)[cells]
        weights = both.reshape(-1)[cells].astype(np.float64)
        flat = flattened(picture, both, blur, LIGHTING)
        slopes = np.stack([np.gradient(flat, axis=axis) for axis in (1, 0)])
        return cls(sight.points[seen], weights, wanted, flat, slopes)

    def differences(self, camera: Camera) -> tuple[Float64Array, Float64Array]:
        """Picture minus wanted colours (N, 3), and pixel positions (N, 2)."""
        height, width = self.picture.shape[:2]
        positions = project(camera, self.points, width, height)[0]
        return _lookup_colours(self.picture, positions) - self.wanted, positions

    def system(self, camera: Camera, centre: Array) -> tuple[Float64Array, Float64Array]:
        """Normal matrix (6, 6) and right side (6,) of the robust mean."""
        values, positions = self.differences(camera)
        slopes = np.stack([_lookup_colours(slope, positions) for slope in self.slopes], axis=1)
        motion = _motion(camera, centre, self.points, self.picture.shape[:2])
        rows = np.einsum("nkc,nkp->ncp", slopes, motion).reshape(-1, 6)
        weights = _robust(values / COLOUR_SCALE)[1] * self.weights[:, None]
        weights = (weights * COLOUR_SHARE / (3.0 * self.weights.sum() * COLOUR_SCALE**2)).reshape(-1)
        return rows.T @ (rows * weights[:, None]), -rows.T @ (weights * values.reshape(-1))


def _minimise(
    camera: Camera, centre: Array, compared: tuple[_Outline, _Colours], blur: int, total: Float64Array
) -> tuple[Camera, Float64Array]:
    """A better camera for one rendering, and the change (6,); `total` (6,) is how far it has moved already."""
    outline, colours = compared
    change = np.zeros(6)
    prior = PRIOR_SHARE / PRIOR_SIGMA**2
    for _ in range(STEPS):
        matrix, right = np.diag(prior), -prior * (total + change)
        if len(outline.points) >= MIN_POINTS:
            more, side = outline.system(camera, centre, OUTLINE_SCALE * blur)
            matrix, right = matrix + more, right + side
        if len(colours.points) >= MIN_POINTS:
            more, side = colours.system(camera, centre)
            matrix, right = matrix + more, right + side
        step = np.linalg.solve(matrix, right)
        step *= min(1.0, MAX_STEP / float(np.max(np.abs(step) / PRIOR_SIGMA) + 1e-12))
        camera, change = moved(camera, centre, step), change + step
    return camera, change


def _motion(camera: Camera, centre: Array, points: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """Derivatives (N, 2, 6) of the pixel positions of points (N, 3) by the changes that `moved` makes."""
    height, width = shape
    inverse = world_to_camera(camera)
    local = points @ inverse[:3, :3].T + inverse[:3, 3]
    around = local - (inverse[:3, :3] @ centre + inverse[:3, 3])
    depth = np.maximum(-local[:, 2], 1e-6)
    slope_x, slope_y = local[:, 0] / depth, local[:, 1] / depth
    result = np.zeros((len(points), 2, 6))
    for axis, unit in enumerate(np.eye(3)):
        turning = np.cross(unit, around)
        result[:, 0, axis] = width * camera.fx * (turning[:, 0] + slope_x * turning[:, 2]) / depth
        result[:, 1, axis] = -height * camera.fy * (turning[:, 1] + slope_y * turning[:, 2]) / depth
    result[:, 0, 3], result[:, 1, 4] = width, height
    result[:, 0, 5], result[:, 1, 5] = width * camera.fx * slope_x, -height * camera.fy * slope_y
    return result


def _robust(values: Array) -> tuple[Float64Array, Float64Array]:
    """Geman and McClure's loss of values in units of their scale, 0 to 1, and the weights of reweighted squares."""
    squares = np.square(np.asarray(values, np.float64))
    return squares / (1.0 + squares), 1.0 / np.square(1.0 + squares)


def rim(mask: Mask) -> Mask:
    """The pixels of a mask that touch its outside; where the picture's border cuts the mask there is no rim."""
    return mask & ~binary_erosion(mask, border_value=1)


def signed_distance(mask: Mask, coverage: Float32Array) -> Float64Array:
    """Pixels from the outline (h, w), positive inside; far away everywhere where there is no outline.

    `coverage` (h, w), 0 to 1, tells where the outline passes through the pixels at the mask's rim.
    """
    edge = rim(mask)
    if not edge.any():
        return np.where(mask, float(max(mask.shape)), -float(max(mask.shape)))
    distance, nearest = distance_transform_edt(~edge, return_indices=True)
    within = coverage[nearest[0], nearest[1]] - 0.5
    signed: Float64Array = within + np.where(mask, distance, -distance)
    return signed


def _lookup(image: Array, positions: Float64Array) -> Float64Array:
    """Bilinear values (N,) at pixel positions (N, 2)."""
    values: Float64Array = map_coordinates(image, positions.T[::-1] - 0.5, np.float64, order=1, mode="nearest")
    return values


def _lookup_colours(image: Array, positions: Float64Array) -> Float64Array:
    return np.stack([_lookup(image[..., channel], positions) for channel in range(image.shape[2])], axis=-1)

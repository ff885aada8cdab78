"""Vertical mirror planes of an object, found in the outlines of its photos before there is a body.

The mirror image of a photo is a photo of the mirror image; where the object has a mirror plane it is one more photo of
the object, from a side where no camera was. So the test for a plane is that of cameras (see silhouettes.py): the visual
hull of all silhouettes and their mirror images still has to fill each of them. Cones are cheap to reflect: a point is
inside a mirrored cone where its own mirror image is inside the cone.

A plane is taken where hardly a ray through the rims misses that hull, no part that a photo shows is lost, and the
outlines tell its yaw: too many yaws that fit by themselves say nothing, unless nearly all do, as those of a body of
revolution. Of several planes the one comes first that shows most sides that no photo shows. See meshes/mirror_plane.py
for the planes of finished meshes and their colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

from meshcli.alignment.silhouettes import RAY_REACH, RAY_SAMPLES, Outline, depth_inside, outline_of
from meshcli.arrays import Float64Array
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.pictures.image import resize
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.sdf.grid import Field, Grid, cube_grid, silhouette_distance, visual_hull
from meshcli.sdf.lost_parts import Silhouette
from meshcli.texturing.mirrored_pictures import mirrored_camera, mirrored_pictures
from meshcli.views.camera import Camera
from meshcli.views.projection import march, rays
from meshcli.views.view import View

MAX_PHOTOS = 8  # more leave few sides unseen, and the search takes time for each
YAWS = 36  # of the coarse search, over half a turn
OFFSETS = np.linspace(-0.1, 0.1, 5)  # world units, of the coarse search; the object reaches to about 0.95
COARSE_STRIDE, FINE_STRIDE = 4, 2  # one rim ray in so many
CANDIDATES = 6  # yaws that are refined
REFINEMENT = 40  # evaluations
YAW_STEP, WIDEST = np.radians(1.5), np.radians(12.0)  # in which the interval of yaws that fit is searched
BESIDE = 0.01  # world units: offsets by which a plane is moved while it is turned
PARALLEL = np.arange(-15, 16) * 0.005  # offsets of parallel planes that are compared
SAME = 1e-4  # of the object's size: errors that differ by less are the same
EQUAL = 5e-6  # the same for parallel planes, of which the one with the smallest body is taken

# Errors as shares of the object's size (2 units), beyond those of the photos alone. With true cameras planes have at
# most .0001 and .005; the best of a reception desk with its low counter on one side has .0017 and .03, of a cow from
# front to back .04 and .2.
MAX_ERROR = 4e-4
MAX_MISS = 0.008  # of the worst ray
AGREES = 0.002  # of a ray that counts as agreeing
ROUND_SHARE = 0.8  # of the yaws: if as many fit roughly, the body may be one of revolution
RING = 12  # yaws that all have to fit closely then
MIN_GAIN = 0.04  # of both turns; see `_gain`
MIN_GAIN_OF_BOX = 0.3  # a third of a turn: the front and the back of furniture differ in small things
MAX_PLANES = 2
GROWTH = 1.0  # reference pixels (see VIEW_SIZE) by which mirrored silhouettes are larger: soft, as they are a guess
VOLUME_GRID = (1.1, 48)  # half side and resolution of the grid on which volumes are compared
LOST_GRID = (1.1, 96)  # half side and resolution of the grid in which lost parts are looked for
MAX_LOST = 1e-3  # of a silhouette's pixels


@dataclass(frozen=True)
class MirrorSymmetry:
    """Planes that are applied one after the other: the second one to the photos and their first images."""

    planes: tuple[MirrorPlane, ...]

    def images(self, photos: Sequence[View]) -> list[View]:
        """Mirror images of photos, left and right exchanged, with the cameras that see the object so."""
        seen = list(photos)
        for plane in self.planes:
            seen += mirrored_pictures(seen, plane)
        return seen[len(photos) :]


@dataclass(frozen=True)
class _RimRays:
    """Points on rays through the rims of all photos, and how deep they are inside the other photos' cones."""

    cameras: list[Camera]
    outlines: list[Outline]
    points: Float64Array  # (N, S, 3)
    inside: Float64Array  # (N, S) world units, positive inside

    @classmethod
    def of(cls, photos: Sequence[View]) -> "_RimRays":
        outlines = [outline_of(photo) for photo in photos]
        cameras = [photo.camera for photo in photos]
        offsets = np.linspace(-RAY_REACH, RAY_REACH, RAY_SAMPLES)
        points, inside = [], []
        for index, (camera, outline) in enumerate(zip(cameras, outlines, strict=True)):
            origins, directions = rays(camera, outline.rim, *outline.distance.shape[::-1])
            along = march(origins, directions, offsets)
            points.append(along)
            deep = np.full(along.shape[:2], np.inf)
            for other, (second, seen) in enumerate(zip(cameras, outlines, strict=True)):
                if other != index:
                    deep = np.minimum(deep, depth_inside(second, seen, along))
            inside.append(deep)
        return cls(cameras, outlines, np.concatenate(points), np.concatenate(inside))

    def every(self, stride: int) -> "_RimRays":
        return replace(self, points=self.points[::stride], inside=self.inside[::stride])

    def misses(self, plane: MirrorPlane) -> Float64Array:
        """What the plane adds to each ray's distance (N,) from the hull, as a share of the object's size."""
        mirrored = plane.reflect(self.points.reshape(-1, 3)).reshape(self.points.shape)
        deep = self.inside
        for camera, outline in zip(self.cameras, self.outlines, strict=True):
            deep = np.minimum(deep, depth_inside(camera, outline, mirrored))
        missed: Float64Array = np.maximum(-deep.max(axis=1), 0.0) - np.maximum(-self.inside.max(axis=1), 0.0)
        return missed / 2.0

    def error(self, yaw: float, offset: float) -> float:
        """The mean of `misses`."""
        return float(self.misses(_plane(yaw, offset)).mean())


@dataclass(frozen=True)
class _Hull:
    """The photos' visual hull: its distances on a grid, and the nodes inside."""

    grid: Grid
    field: Field
    nodes: Float64Array  # (N, 3) in the world
    inside: Field  # (N,) their distances

    @classmethod
    def of(cls, photos: Sequence[View]) -> "_Hull":
        grid = cube_grid(*VOLUME_GRID, padding=1)
        distances = [silhouette_distance(photo.pixels[..., 3], 1) for photo in photos]
        field = visual_hull([photo.camera for photo in photos], distances, grid)
        return cls(grid, field, grid.to_world(np.argwhere(field < 0).astype(np.float64)), field[field < 0])

    def volume(self, plane: MirrorPlane) -> float:
        """Of the intersection with the mirror image, in voxels, with soft edges."""
        lattice = self.grid.to_lattice(plane.reflect(self.nodes)).T
        image = map_coordinates(self.field, lattice, order=1, mode="nearest")
        return float(np.clip(0.5 - np.maximum(image, self.inside), 0.0, 1.0).sum())


def find_mirror_symmetry(photos: Sequence[View], axis: float | None = None) -> MirrorSymmetry:
    """The planes that the outlines allow and that show sides which no photo shows; none where there is a doubt.

    `axis`: the yaw in radians of one of a box's horizontal axes, where that is known; then only planes across the axes
    are looked at.
    """
    if not 2 <= len(photos) <= MAX_PHOTOS:
        return MirrorSymmetry(())
    small = [_reference_size(photo) for photo in photos]
    rim_rays = _RimRays.of(small)
    hull = _Hull.of(small)
    candidates = _of_a_box(rim_rays, axis) if axis is not None else _candidates(rim_rays, hull)
    planes: tuple[MirrorPlane, ...] = ()
    cameras = [photo.camera for photo in photos]
    while candidates and len(planes) < MAX_PLANES:
        candidates.sort(key=lambda plane: -_gain(cameras, plane))
        plane = candidates.pop(0)
        if _gain(cameras, plane) < (MIN_GAIN if axis is None else MIN_GAIN_OF_BOX):
            break
        judged = _judged(rim_rays, _most_compact(rim_rays.every(FINE_STRIDE), hull, plane))
        if judged is not None and not _loses(small, MirrorSymmetry((*planes, judged))):
            planes = (*planes, judged)
            cameras += [mirrored_camera(camera, judged) for camera in cameras]
    return MirrorSymmetry(planes)


def grown_silhouettes(images: Sequence[View], enlarge: int) -> list[np.ndarray]:
    """Distances to the outlines of mirror images as `silhouette_distance` has them, larger by GROWTH."""
    distances = [silhouette_distance(image.pixels[..., 3], enlarge) for image in images]
    return [distance + np.float32(GROWTH * distance.shape[0] / VIEW_SIZE) for distance in distances]


def _plane(yaw: float, offset: float, confidence: float = 0.0) -> MirrorPlane:
    return MirrorPlane(np.array([np.cos(yaw), np.sin(yaw), 0.0]), offset, confidence)


def _reference_size(photo: View) -> View:
    scale = min(1.0, VIEW_SIZE / max(photo.width, photo.height))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return replace(photo, pixels=resize(photo.pixels, *size))


def _of_a_box(rim_rays: _RimRays, axis: float) -> list[MirrorPlane]:
    """The planes across both axes."""
    coarse = rim_rays.every(FINE_STRIDE)
    planes = []
    for yaw in (axis, axis + np.pi / 2.0):
        offset = min(OFFSETS, key=lambda each: coarse.error(yaw, each))
        planes.append(_plane(yaw, float(offset)))
    return planes


def _candidates(rim_rays: _RimRays, hull: _Hull) -> list[MirrorPlane]:
    """Planes at the best yaws, or all round where the outlines are those of a body of revolution."""
    coarse, fine = rim_rays.every(COARSE_STRIDE), rim_rays.every(FINE_STRIDE)
    yaws = np.arange(YAWS) * np.pi / YAWS
    errors = np.array([[coarse.error(yaw, offset) for offset in OFFSETS] for yaw in yaws])
    best = errors.min(axis=1)
    starts = [(float(yaw), float(OFFSETS[row.argmin()])) for yaw, row in zip(yaws, errors, strict=True)]
    if (best <= MAX_ERROR).mean() >= ROUND_SHARE:
        ring = [_most_compact(coarse, hull, _plane(*start)) for start in starts[:: YAWS // RING]]
        if all(_judged(rim_rays, plane) for plane in ring):  # a knob on one side leaves most of them, but not all
            return ring
    minima = np.flatnonzero((best <= np.roll(best, 1)) & (best <= np.roll(best, -1)))
    minima = minima[np.argsort(best[minima], kind="stable")][:CANDIDATES]
    refined = [_refined(fine, *starts[index]) for index in minima]
    return [plane for plane in refined if plane is not None]


def _refined(rim_rays: _RimRays, yaw: float, offset: float) -> MirrorPlane | None:
    """The plane nearby that fits best: the middle of those that fit as well; None where yaws over a wide angle do."""
    corners = np.array([(yaw, offset), (yaw + np.radians(3.0), offset), (yaw, offset + 0.03)])
    found = minimize(  # type: ignore[call-overload]
        lambda x: rim_rays.error(*x), corners[0], method="Nelder-Mead",
        options={"initial_simplex": corners, "maxfev": REFINEMENT},
    )  # fmt: skip
    if found.fun > MAX_ERROR:
        return None
    yaw, offset = map(float, found.x)
    ends = []
    for sign in (-1.0, 1.0):
        turn, beside = 0.0, offset
        while turn < WIDEST:
            tried = [beside + shift * BESIDE for shift in (0.0, -1.0, 1.0, -2.0, 2.0)]
            errors = [rim_rays.error(yaw + sign * (turn + YAW_STEP), each) for each in tried]
            if min(errors) > found.fun + SAME:
                break
            turn, beside = turn + YAW_STEP, tried[int(np.argmin(errors))]
        ends.append(turn)
    if max(ends) >= WIDEST:
        return None
    yaw += (ends[1] - ends[0]) / 2.0
    return _plane(yaw, offset)


def _most_compact(rim_rays: _RimRays, hull: _Hull, plane: MirrorPlane) -> MirrorPlane:
    """Of the planes parallel to one that fit equally well, that of the smallest body.

    From one side, outlines fit a cabinet as deep as its hull as well as the true one.
    """
    tried = [replace(plane, offset=float(plane.offset + step)) for step in PARALLEL]
    errors = np.array([rim_rays.misses(each).mean() for each in tried])
    fits = np.flatnonzero(errors <= errors.min() + EQUAL)
    return tried[min(fits, key=lambda index: hull.volume(tried[index]))]


def _judged(rim_rays: _RimRays, plane: MirrorPlane) -> MirrorPlane | None:
    """The plane with its confidence: the share of the outlines that agree; None where some say otherwise."""
    missed = rim_rays.misses(plane)
    if missed.mean() > MAX_ERROR or missed.max() > MAX_MISS:
        return None
    return replace(plane, confidence=float((missed <= AGREES).mean()))


def _gain(cameras: Sequence[Camera], plane: MirrorPlane) -> float:
    """How much smaller the widest angles without a photo become, as shares of a turn: all round, and of outlines.

    Opposite sides have nearly the same outline.
    """
    before = [camera.azimuth for camera in cameras]
    after = before + [mirrored_camera(camera, plane).azimuth for camera in cameras]
    return sum((_widest_gap(before, turn) - _widest_gap(after, turn)) / turn for turn in (180.0, 360.0))


def _widest_gap(azimuths: Sequence[float], turn: float) -> float:
    ordered = np.sort(np.array(azimuths) % turn)
    return float(np.diff(np.append(ordered, ordered[0] + turn)).max())


def _loses(photos: Sequence[View], symmetry: MirrorSymmetry) -> bool:
    """Whether the hull with the images lacks a part that a photo shows and the hull of the photos has."""
    grid = cube_grid(*LOST_GRID, padding=1)
    own = visual_hull([photo.camera for photo in photos], [silhouette_distance(p.pixels[..., 3]) for p in photos], grid)
    images = symmetry.images(photos)
    body = np.maximum(own, visual_hull([image.camera for image in images], grown_silhouettes(images, 2), grid))
    for photo in photos:
        silhouette = Silhouette.of(photo)
        lost = silhouette.lost(body, grid, 0.0) & ~silhouette.lost(own, grid, 0.0)
        if lost.sum() > MAX_LOST * silhouette.mask.sum():
            return True
    return False

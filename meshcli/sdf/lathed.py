"""Bodies of revolution with handles and spouts: mugs, teapots, watering cans.

The body is the largest that lies inside all silhouettes and is round about the axis that most of their edges tell. What
the silhouettes show beside it are attached parts, where that is a few whole regions; all other rays through outlines
have to touch the body as those of a body of revolution do, and in every photo the body's own outline has to be seen for
the most part. See revolution.py and attached_parts.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter1d, label
from scipy.ndimage import maximum as largest

from meshcli.arrays import Float64Array, Mask
from meshcli.pictures.pixels import EIGHT_CONNECTED
from meshcli.sdf.attached_parts import AttachedParts, find_parts
from meshcli.sdf.grid import DistanceFunction, Field, Grid, bounding_box
from meshcli.sdf.lost_parts import Silhouette
from meshcli.sdf.profile import OutlineRays, Revolution, edge_on, matched, reference_pixel, right_and_front
from meshcli.sdf.revolution import (
    CLOSE,
    GROWN,
    MAX_LEAN,
    between_heights,
    edges_of,
    enough_is_shown,
    find_axis,
    grown_silhouettes,
)
from meshcli.views.view import View

AXIS_ROUNDS, MAX_FIRST_LEAN = 6, 0.25  # of the axis: more than without parts, whose edges pull at it
MAX_MISSES = (6.0, 3.0, 2.5)  # reference pixels: rays that miss the body by more are left out of each round of its fit
MIN_RAYS = 0.3  # of all rays, that have to be left in
SMOOTHED = 2.0  # knots of the profile, between rounds: each adds ripples
PART_ROUNDS = 2  # of fits without the rays of parts
RESOLUTION, PADDING = 96, 4  # voxels, of the grid on which silhouettes are compared with the body
MIN_PIXELS, MIN_REACH = 40.0, 5.0  # reference pixels: of a part in a photo, and how far out it reaches
AROUND = 2.5  # reference pixels around a part in which rays may be its own
MIN_OUTLINE = 0.75  # of the body's outline, that each photo has to show: .82 of teapots and cans, .7 of most else
MAX_AREA = 0.5  # of the body's silhouette, that parts beside it may have in each photo
# As of bodies without parts, but less: of 320 pixels mugs, teapots and vases have up to .3 and .8, of 200 pixels .5 and
# 1.1; prisms of six and eight sides with a handle that prisms do not tell 1.0 and 1.3, and more.
MAX_ERRORS = ((0.9, 0.8), (0.99, 1.5))
# As MIN_PRISM_ERRORS of bodies without parts, but more: of a teapot of six sides 1.0, of a mug 1.15 and more.
MIN_EDGE_ON_ERRORS = 1.08, 1.5
# Times the body's own: what other prisms miss the rays by, at least: of eight sides, at some angles to the first photo,
# and those whose sides the photos see face on. Such prisms with a handle .5 to .9; mugs, teapots, vases 1.2 and more.
MIN_OTHER_ERRORS, OCTAGONS = 1.0, np.radians([0.0, 11.25, 22.5, 33.75])
MAX_UNEXPLAINED = 0.15  # of the pixels beside the body


@dataclass(frozen=True)
class Lathed:
    """A body of revolution and the parts that are attached to it."""

    body: Revolution
    parts: AttachedParts
    hull: DistanceFunction  # of the photos

    def solid(self, grid: Grid) -> Field:
        """Its signed distances (X, Y, Z) in voxels, negative inside; the parts are inside the hull."""
        parts = np.maximum(self.parts.balls.solid(grid), self.hull(grid))
        solid: Field = np.minimum(self.body.solid(grid), parts).astype(np.float32)
        return solid


@dataclass(frozen=True)
class _Comparison:
    """What the photos show of a body, and beside it."""

    beside: list[Mask]  # (H, W) of each photo: pixels of parts
    own: Mask  # (N,) rays that are the body's
    outline: float  # the least share of the body's outline that is seen, of all photos
    area: float  # the largest share of parts, in silhouettes of the body

    @property
    def any(self) -> bool:
        """Whether there are parts, and rays that are not theirs."""
        return bool(self.own.any()) and any(parts.any() for parts in self.beside)

    @classmethod
    def of(cls, body: Revolution, silhouettes: Sequence[Silhouette], outlines: OutlineRays) -> "_Comparison | None":
        """None where the body is too small."""
        box = bounding_box(body.solid, 1.0)
        if box is None:
            return None
        grid = Grid.around(*box, RESOLUTION, PADDING)
        field = body.solid(grid)
        own, beside, seen, areas = np.ones(len(outlines.pixels), bool), [], [], []
        for number, silhouette in enumerate(silhouettes):
            covered = silhouette.covered(field, grid)
            parts = _parts(silhouette, silhouette.lost(field, grid, 0.0), covered)
            away = np.asarray(distance_transform_edt(~parts)) if parts.any() else np.full(parts.shape, np.inf)
            here = outlines.photos == number
            rows, columns = np.floor(outlines.positions[here].T[::-1]).astype(int)
            last = np.array(parts.shape) - 1
            near = away[rows.clip(0, last[0]), columns.clip(0, last[1])] <= AROUND * silhouette.scale
            own[here] = ~near
            outline = covered & binary_dilation(~covered)
            beside.append(parts)
            seen.append(float((away[outline] > AROUND * silhouette.scale).mean()) if outline.any() else 0.0)
            areas.append(int(parts.sum()) / max(int(covered.sum()), 1))
        return cls(beside, own, min(seen), max(areas))


def find_lathed(photos: Sequence[View], hull: DistanceFunction, flat_base: bool = True) -> Lathed | None:
    """The body of revolution with attached parts that has the silhouettes of all photos; None where there is a doubt.

    None too where nothing is attached: see `find_revolution`. `hull` is what all silhouettes allow; `flat_base` tells
    whether the lower end is flat as far as they do, as the upper one is.
    """
    start = _start(photos) if enough_is_shown(photos) else None
    if start is None:
        return None
    outlines = OutlineRays.of(photos, start)
    body = _without_outliers(start, outlines, flat_base)
    silhouettes = [Silhouette.of(photo) for photo in photos]
    found = _Comparison.of(body, silhouettes, outlines) if body else None
    for _ in range(PART_ROUNDS):
        body = _fitted(body, outlines.some(found.own), flat_base) if body and found and found.any else None
        found = _Comparison.of(body, silhouettes, outlines) if body else None
    if not body or not found or not _is_sure(body, found, outlines.some(found.own), photos, flat_base):
        return None
    parts = find_parts(photos, body, found.beside)
    return Lathed(body, parts, hull) if parts.azimuths and parts.unexplained <= MAX_UNEXPLAINED else None


def _without_outliers(body: Revolution, outlines: OutlineRays, flat_base: bool) -> Revolution | None:
    """The body fitted to the rays that are near it; None where few are."""
    for most in MAX_MISSES:
        near = np.abs(outlines.touching(body).misses) < most
        fitted = _fitted(body, outlines.some(near), flat_base) if near.mean() >= MIN_RAYS else None
        if fitted is None:
            return None
        body = fitted
    return body


def _fitted(body: Revolution, outlines: OutlineRays, flat_base: bool) -> Revolution | None:
    """The body with a profile that the rays touch, from a smoother one."""
    smooth = replace(body, radii=gaussian_filter1d(body.radii, SMOOTHED, mode="nearest"))
    return matched(smooth, outlines, np.hypot, flat_base)


def _start(photos: Sequence[View]) -> Revolution | None:
    """The largest circles inside all silhouettes, over the longest stretch of heights where there are any."""
    silhouettes = grown_silhouettes(photos)
    found = find_axis(photos, silhouettes, AXIS_ROUNDS, MAX_FIRST_LEAN)
    if found is None or np.hypot(*found[0].lean) > MAX_LEAN:
        return None
    axis, inside = found
    runs, _ = label(inside)
    body = between_heights(axis, runs == 1 + np.argmax(np.bincount(runs)[1:]))
    radii = edges_of(body, photos, silhouettes).min(axis=(0, 1))
    return replace(body, radii=np.maximum(radii - GROWN * max(map(reference_pixel, photos)), 0.0))


def _parts(silhouette: Silhouette, lost: Mask, covered: Mask) -> Mask:
    """The large regions among the pixels (H, W) that a body lacks, which reach far out."""
    regions, count = label(lost, EIGHT_CONNECTED)
    away = np.asarray(distance_transform_edt(~covered)) / silhouette.scale
    numbers = np.arange(1, count + 1)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:] / silhouette.scale**2
    large = (sizes >= MIN_PIXELS) & (np.asarray(largest(away, regions, numbers)) >= MIN_REACH)
    return np.isin(regions, numbers[large])


def _is_sure(body: Revolution, found: _Comparison, own: OutlineRays, photos: Sequence[View], flat_base: bool) -> bool:
    """Whether there are parts, the rays beside them touch the body, and no prism has them as well."""
    if not found.any or found.outline < MIN_OUTLINE or found.area > MAX_AREA:
        return False
    misses = np.abs(own.touching(body).misses)
    if any(np.quantile(misses, share) > most for share, most in MAX_ERRORS):
        return False
    rights, fronts = (list(directions) for directions in zip(*map(right_and_front, photos), strict=True))
    least = MIN_EDGE_ON_ERRORS[0 if np.quantile(misses, 0.99) < CLOSE else 1]
    if _prism_error(body, own, rights, rights, flat_base) < least * misses.mean():
        return False
    turn = np.radians(photos[0].camera.azimuth) + OCTAGONS[:, None] + np.arange(4) * np.pi / 4.0
    octagons = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    others = (_prism_error(body, own, sides, rights, flat_base) for sides in (fronts, *octagons))
    return all(error >= MIN_OTHER_ERRORS * misses.mean() for error in others)


def _prism_error(
    body: Revolution,
    own: OutlineRays,
    normals: Iterable[Float64Array],
    rights: Sequence[Float64Array],
    flat_base: bool,
) -> float:
    """Reference pixels that a prism with such sides misses the rays by, on the mean, where it is fitted to them."""
    gauge = edge_on(list(normals))
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    unit = np.stack([np.cos(turn), np.sin(turn)])
    corners = unit / gauge(*unit)
    wider = np.mean([(right @ corners).max() for right in rights])  # than its radius, as the photos see it
    prism = matched(replace(body, radii=body.radii / wider), own, gauge, flat_base)
    return np.inf if prism is None else own.error(prism, gauge)

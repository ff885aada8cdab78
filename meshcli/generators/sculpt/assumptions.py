"""What `sculpt` assumes of a shape where no photo shows it: a flat base, flat faces, a mirror plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from meshcli.alignment.mirror_symmetry import MirrorSymmetry, find_mirror_symmetry, grown_silhouettes
from meshcli.generators.sculpt.reduced_photos import shrunk, with_contrast
from meshcli.generators.sculpt.shape_prior import visual_hull_of
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.reconstructors.fit import ENLARGE, Evidence
from meshcli.sdf.grid import DistanceFunction, visual_hull
from meshcli.sdf.ground import ground_height, on_ground
from meshcli.sdf.pixel_rays import collect_pixel_rays
from meshcli.settings import SculptSettings
from meshcli.views.manhattan import ManhattanFrame, manhattan_frame
from meshcli.views.view import View

EDGE_SIZE = 640  # pixels along a photo's longer side in which straight edges are looked for
IMAGE_STRIDE = 4  # one ray in so many of a mirror image counts: it is a guess


@dataclass(frozen=True)
class Assumptions:
    """What a shape is assumed to be like where no photo shows it."""

    ground: float | None  # height of its flat base
    frame: ManhattanFrame | None  # of a box
    images: list[View]  # mirror images of the photos, small and of one colour: only their outlines count
    planes: tuple[MirrorPlane, ...]  # that made them

    @classmethod
    def of(cls, photos: Sequence[View], settings: SculptSettings, boxlike: bool) -> "Assumptions":
        """From silhouettes, and from edges where the silhouettes are those of a box."""
        frame = manhattan_frame([shrunk(photo, EDGE_SIZE) for photo in photos]) if boxlike and settings.boxes else None
        frame = frame if frame and frame.clear else None
        symmetry = MirrorSymmetry(())
        if settings.symmetry:
            symmetry = find_mirror_symmetry(photos, frame.yaw if frame else None)
        images = symmetry.images([with_contrast(shrunk(photo, VIEW_SIZE), 0.0) for photo in photos])
        found = cls(None, frame, images, symmetry.planes)
        return replace(found, ground=ground_height(photos, found.hull(photos))) if settings.ground else found

    def hull(self, photos: Sequence[View]) -> DistanceFunction:
        """The visual hull of photos, inside that of the images."""
        own = visual_hull_of(photos)
        if not self.images:
            return own
        cameras, silhouettes = [image.camera for image in self.images], grown_silhouettes(self.images, ENLARGE)
        return lambda grid: np.maximum(own(grid), visual_hull(cameras, silhouettes, grid))

    def body(self, photos: Sequence[View]) -> DistanceFunction:
        """The hull above the ground."""
        hull = self.hull(photos)
        return lambda grid: on_ground(hull(grid), grid, self.ground)

    @property
    def yaws(self) -> list[float]:
        """Of the planes' normals, in radians."""
        return [math.atan2(plane.normal[1], plane.normal[0]) for plane in self.planes]

    def evidence(self, views: Sequence[View]) -> Evidence:
        """Of views, and of the images: their outlines bound the hull, and few of their pixels ask for a body there.

        They restore nothing that the views do not show. Of a box they only bound the hull: its faces are flat anyway,
        and the front and the back of furniture differ in small things, doors and handles.
        """
        own = replace(Evidence.of(views), ground=self.ground)
        if not self.images:
            return own
        own = replace(
            own,
            cameras=[*own.cameras, *(image.camera for image in self.images)],
            distances=[*own.distances, *grown_silhouettes(self.images, ENLARGE)],
        )
        guessed = collect_pixel_rays(self.images).every(IMAGE_STRIDE)
        return own if self.frame else replace(own, pixel_rays=own.pixel_rays.joined(guessed))

    def notes(self) -> list[str]:
        """A sentence for the user on each."""
        flat = ["no photo shows the underside: it is assumed to be flat"] if self.ground is not None else []
        box = ["outlines and edges are those of a box: it gets flat faces and straight edges"] if self.frame else []
        return flat + box + ([_symmetry_note(self.planes)] if self.planes else [])


def _symmetry_note(planes: Sequence[MirrorPlane]) -> str:
    """What the user reads about mirror planes: the azimuths at which they lie, and how sure they are."""
    azimuths = [math.degrees(math.atan2(plane.normal[1], plane.normal[0])) + 90.0 for plane in planes]
    named = " and ".join(f"{azimuth % 180.0:.0f}" for azimuth in azimuths)
    sure = min(plane.confidence for plane in planes)
    return (
        f"the object looks mirror-symmetric about the plane{'s' if len(planes) > 1 else ''} at azimuth {named} "
        f"({sure:.0%} of the outlines agree); sides that no photo shows follow it, unless --set sculpt.symmetry=false"
    )

"""A mesh textured from photos and views: aligned with it first, and what they do not show filled in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from meshcli.arrays import Array
from meshcli.meshes.colouring import BlendedColours
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import find_mirror_plane
from meshcli.progress import Progress
from meshcli.settings import TextureSettings
from meshcli.texturing.aligned_pictures import align_pictures
from meshcli.texturing.bake import VIEW_TRUST, Coverage, bake
from meshcli.texturing.mirrored_pictures import mirrored_pictures
from meshcli.texturing.unseen import fill_unseen
from meshcli.views.view import View

# Of a mirror image against the picture itself: it colours what no picture sees, or sees at the flattest angles only.
MIRROR_TRUST = 0.02


@dataclass(frozen=True)
class TextureReport:
    """Where the colours came from, as shares of the surface, and which pictures did not take part."""

    seen: float
    mirrored: float
    left_out: tuple[str, ...]  # pictures that do not fit the mesh
    mirror: str  # why there is a mirror plane, or none

    @property
    def continued(self) -> float:
        """The share that is coloured after its surroundings."""
        return max(0.0, 1.0 - self.seen - self.mirrored)


def texture_mesh(
    mesh: Mesh,
    photos: Sequence[View],
    views: Sequence[View],
    settings: TextureSettings,
    progress: Progress,
    calibrated: Collection[str] = (),
) -> tuple[Mesh, TextureReport]:
    """The mesh with a texture and vertex colours; photos lead where both show the surface.

    `calibrated`: the names of photos whose cameras are measured; they stay as they are. Where no picture fits the mesh,
    all are taken as they are.
    """
    pictures, left_out = [*photos, *views], []
    if any(picture.name not in calibrated for picture in pictures):
        aligned = align_pictures(mesh, pictures, progress, [photo.name for photo in photos], calibrated)
        if aligned.pictures:
            pictures, left_out = aligned.pictures, aligned.left_out
    progress(0, 1, "looking for a mirror plane")
    search = find_mirror_plane(mesh, pictures)
    names = {photo.name for photo in photos}
    images = mirrored_pictures(pictures, search.plane) if search.plane else []
    trust = [1.0 if picture.name in names else VIEW_TRUST for picture in [*pictures, *images]]
    trust = [each if index < len(pictures) else MIRROR_TRUST * each for index, each in enumerate(trust)]
    coverage: list[Coverage] = []
    textured = bake(
        mesh, [*pictures, *images], settings, progress, trust=trust, fill=_continued, report=coverage.append
    )
    own = sum(coverage[0].by_picture[: len(pictures)])
    return textured, TextureReport(own, coverage[0].seen - own, tuple(left_out), search.reason)


def _continued(vertices: Array, faces: Array, found: BlendedColours) -> Array:
    return fill_unseen(vertices, faces, found).values

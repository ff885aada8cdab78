"""A mesh textured from photos and views: aligned with it first, and what they do not show filled in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from meshcli.arrays import Array
from meshcli.meshes.colouring import BlendedColours
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane, find_mirror_plane
from meshcli.pictures.image import reduce_picture
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.progress import Progress
from meshcli.settings import TextureSettings
from meshcli.texturing.aligned_pictures import align_pictures
from meshcli.texturing.bake import VIEW_TRUST, Coverage, bake
from meshcli.texturing.mirrored_pictures import mirrored_pictures
from meshcli.texturing.unseen import fill_unseen
from meshcli.views.view import View

# Of a mirror image against the picture itself: it colours what no picture sees, or sees at the flattest angles only.
MIRROR_TRUST = 0.02
RENDERED_TRUST = 0.005  # of a view that was rendered from a body made of the photos: what only it shows is a guess


@dataclass(frozen=True)
class TextureReport:
    """Where the colours came from, as shares of the surface, and which pictures did not take part."""

    photos: float
    views: float
    mirrored: float
    left_out: tuple[str, ...]  # pictures that do not fit the mesh
    mirror: str  # why there is a mirror plane, or none

    @property
    def continued(self) -> float:
        """The share that is coloured after its surroundings."""
        return max(0.0, 1.0 - self.photos - self.views - self.mirrored)


def texture_mesh(
    mesh: Mesh,
    photos: Sequence[View],
    views: Sequence[View],
    settings: TextureSettings,
    progress: Progress,
    calibrated: Collection[str] = (),
    rendered: Collection[str] = (),
    outlined: Sequence[MirrorPlane] = (),
) -> tuple[Mesh, TextureReport]:
    """The mesh with a texture and vertex colours; photos lead where both show the surface.

    `calibrated`: the names of photos whose cameras are measured; they stay as they are. `rendered`: the names of views
    that were rendered from a body made of these photos; they colour what nothing else does. `outlined`: mirror planes
    that the photos' outlines tell, across which paint may be taken over. Where no picture fits the mesh, all are taken
    as they are.
    """
    pictures, left_out, fixed = [*photos, *views], [], {*calibrated, *rendered}
    if any(picture.name not in fixed for picture in pictures):
        aligned = align_pictures(mesh, pictures, progress, [photo.name for photo in photos], fixed)
        if aligned.pictures:
            pictures, left_out = aligned.pictures, aligned.left_out
    progress(0, 1, "looking for a mirror plane")
    shown = [picture for picture in pictures if picture.name not in rendered]
    search = find_mirror_plane(mesh, [_reduced(picture) for picture in shown or pictures], outlined=outlined)
    images = mirrored_pictures(shown, search.plane) if search.plane else []
    names = {photo.name for photo in photos}
    coverage: list[Coverage] = []
    textured = bake(
        mesh, [*pictures, *images], settings, progress,
        trust=[*(_trust(each, names, rendered) for each in pictures),
               *(MIRROR_TRUST * _trust(each, names, rendered) for each in images)],
        fill=_continued, report=coverage.append,
    )  # fmt: skip
    shares = coverage[0].by_picture
    own = [share for share, picture in zip(shares, pictures, strict=False) if picture.name in names]
    report = TextureReport(
        photos=sum(own),
        views=sum(shares[: len(pictures)]) - sum(own),
        mirrored=sum(shares[len(pictures) :]),
        left_out=tuple(left_out),
        mirror=search.reason,
    )
    return textured, report


def _trust(picture: View, photos: Collection[str], rendered: Collection[str]) -> float:
    if picture.name in photos:
        return 1.0
    return RENDERED_TRUST if picture.name in rendered else VIEW_TRUST


def _reduced(picture: View) -> View:
    """A picture no larger than a view: the search for a mirror plane looks at no finer detail."""
    return replace(picture, pixels=reduce_picture(picture.pixels, VIEW_SIZE))


def _continued(vertices: Array, faces: Array, found: BlendedColours) -> Array:
    return fill_unseen(vertices, faces, found).values

"""Which photos `fit` sees beside the chosen views: those whose cameras are true in the world of these views.

Light until it works: no numpy.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.view_candidates import has_known_camera, is_photo_view

if TYPE_CHECKING:
    from meshcli.views.view import View

MAX_SIZE = 640  # pixels along a photo's longer side


def may_be_painted(views: Sequence[ViewEntry]) -> bool:
    """Whether a network may have painted one of the views: all others are photos, or show the one body of `sculpt`."""
    return not all(view.engine == "sculpt" or is_photo_view(view) for view in views)


def pick_fit_photos(manifest: Manifest, views: Sequence[ViewEntry], settings: Settings) -> tuple[Photo, ...]:
    """All photos with calibrated cameras, whether their views were chosen or not: each adds what the views lack.

    A camera is calibrated that comes from a rig's file, or is wholly stated and needed no correction. None where a
    chosen view is not `sculpt`'s or a photo itself: a network paints in a world of its own, of another size.
    """
    if not settings.fit.photos or may_be_painted(views):
        return ()
    return tuple(
        photo
        for photo in manifest.active_photos
        if photo.camera.known in ("rig", "given") and has_known_camera(photo) and not photo.painted
    )


def with_fit_photos(project: Project, views: "Sequence[View]", photos: Sequence[Photo]) -> "list[View]":
    """The views and these photos, at most MAX_SIZE pixels large; a photo takes the place of the view that it is."""
    from meshcli.pictures.image import resize
    from meshcli.stages.view_loading import load_views

    names = {photo.name for photo in photos}
    pictures = [view for view in views if view.name not in names]
    for photo in load_views(project, photos):
        scale = min(1.0, MAX_SIZE / max(photo.width, photo.height))
        size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
        pictures.append(replace(photo, pixels=resize(photo.pixels, *size)))
    return pictures

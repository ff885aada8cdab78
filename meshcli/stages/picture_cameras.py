"""The cameras of a project's own pictures, by name, for renders that lie over them. Light: no numpy."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from meshcli.errors import ProjectError, UsageError
from meshcli.pictures.picture_file import open_picture
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.views.camera import Camera


@dataclass(frozen=True)
class PictureCamera:
    """A picture of the project and its camera."""

    name: str
    file: str  # in the project: the untouched original of a photo, a view
    camera: Camera  # of the whole of that picture, turned upright
    size: tuple[int, int]  # its width and height in pixels


def find_pictures(manifest: Manifest, names: Sequence[str]) -> dict[str, Photo | ViewEntry]:
    """Photos and views by name, photos first; names that are not in the project are left out."""
    views = {view.name: view for view in manifest.active_views.values()}
    known: dict[str, Photo | ViewEntry] = {**views, **{photo.name: photo for photo in manifest.active_photos}}
    return {name: known[name] for name in names if name in known}


def check_names(manifest: Manifest, names: Sequence[str]) -> None:
    """UsageError for a name that neither a photo nor a view has."""
    known = [photo.name for photo in manifest.active_photos] + [view.name for view in manifest.active_views.values()]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:12])}"
            raise UsageError(f"--camera {name}: no photo or view has that name; {hint}")


def picture_camera(project: Project, picture: Photo | ViewEntry) -> PictureCamera:
    """The camera of a photo's original, or of a view; of a sheet of views that of the first one.

    ProjectError when the file of a view is missing or damaged.
    """
    if isinstance(picture, Photo) and picture.size and picture.crop and not picture.stated.ready.startswith("sheet"):
        camera = picture.camera.uncropped(*picture.crop)
        return PictureCamera(picture.name, picture.original, camera, (picture.size[0], picture.size[1]))
    path = project.path(picture.file)
    if not path.is_file():
        raise ProjectError(f"{path} is gone; run `{project.command('generate')}`")
    with open_picture(path) as opened:
        return PictureCamera(picture.name, picture.file, picture.camera, (opened.size[0], opened.size[1]))

"""Load a project's pictures as arrays, for the engines."""

from collections.abc import Sequence

from meshcli.errors import InputError, ProjectError
from meshcli.pictures.image import load_picture
from meshcli.project.manifest import Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.views.view import View


def load_views(project: Project, entries: Sequence[Photo | ViewEntry]) -> list[View]:
    """Framed photos or views with their cameras; ProjectError for a picture that is missing or damaged."""
    for entry in entries:
        if not project.path(entry.file).is_file():
            raise ProjectError(f"{project.path(entry.file)} is gone; run `{project.command('generate')}`")
    try:
        return [View(entry.name, load_picture(project.path(entry.file)), entry.camera) for entry in entries]
    except InputError as error:
        raise ProjectError(f"{error}; remove it and run `{project.command('generate')}`") from error

"""What the shell offers for an argument: names in the project, settings, weights. Light, and silent about damage."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import get_args

import typer

from meshcli.errors import MeshcliError
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.settings import ExportFormat, ExportPreset, Settings
from meshcli.weights.catalogue import MODELS


def complete_views(ctx: typer.Context, incomplete: str) -> list[str]:
    """The project's views for --views, after the commas that were typed."""
    manifest = _manifest(ctx)
    if manifest is None:
        return []
    names = [view.name for view in manifest.active_views.values()]
    return _last_of_list(incomplete, [*names, *(f"photo:{photo.name}" for photo in manifest.active_photos), "all"])


def complete_photos(ctx: typer.Context, incomplete: str) -> list[str]:
    """The letters of the project's photos for --remove, after the commas that were typed."""
    manifest = _manifest(ctx)
    return _last_of_list(incomplete, [photo.name for photo in manifest.active_photos]) if manifest else []


def complete_formats(incomplete: str) -> list[str]:
    """Formats and presets of an export, after the commas that were typed."""
    return _last_of_list(incomplete, [*get_args(ExportFormat), *get_args(ExportPreset), "all"])


def complete_pictures(ctx: typer.Context, incomplete: str) -> list[str]:
    """The project's photos and views for --camera, after the commas that were typed."""
    manifest = _manifest(ctx)
    if manifest is None:
        return []
    names = [photo.name for photo in manifest.active_photos] + [view.name for view in manifest.active_views.values()]
    return _last_of_list(incomplete, dict.fromkeys(names))


def complete_settings(incomplete: str) -> list[str]:
    """`section.key=` for --set."""
    settings = Settings()
    sections = [section.name for section in fields(settings)]
    keys = [f"{section}.{key.name}=" for section in sections for key in fields(getattr(settings, section))]
    return [key for key in keys if key.startswith(incomplete)]


def complete_models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of weights, without those that stand on the line already."""
    typed = ctx.params.get("names") or ()
    return [name for name in MODELS if name.startswith(incomplete) and name not in typed]


def _manifest(ctx: typer.Context) -> Manifest | None:
    """The project's manifest; None where there is none that can be read."""
    # Where a flag that lacks its value ends the line, the parser leaves the words before it in `args`.
    directory = ctx.params.get("directory") or next((word for word in ctx.args if not word.startswith("-")), None)
    with suppress(MeshcliError, OSError):
        return Project(Path(directory)).load() if directory else None
    return None


def _last_of_list(incomplete: str, names: Iterable[str]) -> list[str]:
    """The words that end a list with commas, without names that it has."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in taken]

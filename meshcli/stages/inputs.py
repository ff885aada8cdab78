"""Fingerprints: what each stage's result depends on, as it is on disk now. Light: no numpy.

A fingerprint is a table of named parts, so that a change can be named. Pictures count by the bytes on disk, not by
those that were written: editing a view or a cut-out by hand makes the later stages stale.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshcli.engines import IMPORT, VERSIONS
from meshcli.errors import UsageError
from meshcli.export.targets import WITH_PICTURES
from meshcli.project.artefacts import IMPORTED_MESH, MESH, PLANES, cut_out_file
from meshcli.project.manifest import Manifest, Selection, Stage, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.export_scene import camera_parts, object_name, project_cameras
from meshcli.stages.sculpted_body import body_parts
from meshcli.system.digests import digest, file_digest

EXPORTED = "formats"  # the option of an export that says what is made
BACKGROUND = "background picture"  # part of the renders
COLOURS = "colours"  # the option of a reconstruction that says which pictures colour the mesh
FIT_PHOTOS = "shape"  # the one that says which photos `fit` sees beside the views

Parts = dict[str, str]  # what it is called in messages -> version, value or digest


def fingerprint(engine: str, options: Mapping[str, Any], parts: Mapping[str, str]) -> Parts:
    """The fingerprint of a stage: engine, its version, every option, and the given parts."""
    table = {"engine": f"{engine} {VERSIONS.get(engine, 0)}"}
    for section, value in options.items():
        items = value if isinstance(value, Mapping) else {"": value}
        table |= {f"{section}.{key}".rstrip("."): json.dumps(item) for key, item in items.items()}
    return {**table, **parts}


def photo_parts(project: Project, photos: Mapping[str, tuple[str, Any]]) -> Parts:
    """Parts for photos: name -> (sha256 of the original, what is stated about its camera as JSON)."""
    parts = {"cutting out": str(VERSIONS["cut_out"])}
    for name, (original, stated) in photos.items():
        parts[f"photo {name}"] = original
        parts[f"camera of photo {name}"] = digest(stated)
        parts[f"cut-out of photo {name}"] = project.digest(cut_out_file(name))
    return parts


def view_parts(project: Project, views: Sequence[ViewEntry]) -> Parts:
    """Parts for views in order: their pictures and their cameras."""
    parts = {"order of the views": ",".join(view.name for view in views)}
    for view in views:
        parts[f"view {view.name}"] = project.digest(view.file)
        parts[f"camera of view {view.name}"] = digest(view.camera.to_json())
    return parts


def reconstruction_parts(project: Project, manifest: Manifest, options: Mapping[str, Any]) -> Parts:
    """Parts for a mesh: the chosen views in order, the body that they show, photos that colour it or give it shape."""
    views = chosen_views(project, manifest)
    parts = {**view_parts(project, views), **body_parts(project, manifest, views, options)}
    if "refine" in options:
        parts["refining"] = str(VERSIONS["refine"])
    names: set[str] = set()
    for option in (COLOURS, FIT_PHOTOS):
        table = options.get(option)
        listed = table.get("photos") if isinstance(table, dict) else None
        names |= {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    for photo in manifest.active_photos:
        if photo.name in names:
            parts[f"cut-out of photo {photo.name}"] = project.digest(photo.file)
            parts[f"camera of photo {photo.name}"] = digest(photo.camera.to_json())
    return parts


def selection_inputs(project: Project, manifest: Manifest, selection: Selection) -> Parts:
    """Fingerprint of a selection; an automatic one depends on all views there were to choose from."""
    parts = view_parts(project, chosen_views(project, replace(manifest, selection=selection)))
    if selection.by == "auto":
        candidates = [
            [view.name, view.scores.get("total"), *(round(x, 6) for x in view.camera.position)]
            for view in manifest.active_views.values()
        ]
        parts["set of views"] = digest(candidates)
    return fingerprint("select", {"by": selection.by}, parts)


def mesh_parts(project: Project, manifest: Manifest, source: str = "mesh") -> Parts:
    """Parts for renders: the mesh, the views beside it, and the radiance field if the turntable shows that."""
    field = {"field": project.digest(PLANES)} if source == "field" else {}
    return {"mesh": project.digest(MESH), **field, **view_parts(project, chosen_views(project, manifest))}


def export_parts(project: Project, manifest: Manifest, options: Mapping[str, Any]) -> Parts:
    """Parts for an export: the mesh, the cameras, and the rig's transform or the pictures where they are used."""
    render = manifest.stages.get("render")
    shown = render.options.get("render") if render else None
    parts = {
        "name of the project": object_name(project),
        "mesh": project.digest(MESH),
        "exported cameras": digest(camera_parts(manifest, shown if isinstance(shown, dict) else {})),
    }
    table = options.get("export")
    if isinstance(table, dict) and table.get("size_by") == "like-rig":
        parts["rig"] = digest(manifest.frame)
    made = options.get(EXPORTED)
    if isinstance(made, list) and set(made).intersection(WITH_PICTURES):
        pictures = [each.picture for each in project_cameras(manifest)]
        parts["pictures of the cameras"] = digest([project.digest(name) for name in pictures])
    return parts


def render_parts(
    project: Project, manifest: Manifest, options: Mapping[str, Any], recorded: Mapping[str, str] | None = None
) -> Parts:
    """Parts for renders: those of the mesh, the pictures whose cameras are used, and the picture behind the object.

    A background that is not there any more counts as it is `recorded`: what is finished does not need it.
    """
    table = options.get("render")
    table = table if isinstance(table, dict) else {}
    parts = mesh_parts(project, manifest, str(table.get("source", "mesh")))
    views = {view.name: view for view in manifest.active_views.values()}
    photos = {photo.name: photo for photo in manifest.active_photos}
    names = table.get("cameras")
    for name in map(str, names if isinstance(names, list) else ()):
        if photo := photos.get(name):
            parts[f"photo {name}"] = project.digest(photo.original)
            parts[f"camera of photo {name}"] = digest([photo.camera.to_json(), photo.size, photo.crop])
        elif view := views.get(name):
            parts[f"view {name}"] = project.digest(view.file)
            parts[f"camera of view {name}"] = digest(view.camera.to_json())
        else:
            parts[f"picture {name}"] = "missing"
    background = Path(str(table.get("background", "")))
    if background.is_absolute():
        parts[BACKGROUND] = (recorded or {}).get(BACKGROUND, "missing")
        with suppress(OSError):
            parts[BACKGROUND] = file_digest(background) if background.is_file() else parts[BACKGROUND]
    return parts


def chosen_views(project: Project, manifest: Manifest) -> list[ViewEntry]:
    """The selected views in order; UsageError when there are none or one no longer exists."""
    if manifest.selection is None:
        raise UsageError(f"{project.root} has no selected views; run `{project.command('select')}`")
    views = {view.name: view for view in manifest.active_views.values()}
    if lost := [name for name in manifest.selection.names if name not in views]:
        raise UsageError(
            f"the selected view {lost[0]} is no longer in {project.root}; choose again: `{project.command('select')}`"
        )
    return [views[name] for name in manifest.selection.names]


def current_inputs(project: Project, manifest: Manifest, stage: Stage) -> Parts:
    """The fingerprint that a finished stage would have if it ran now with its recorded engine and options."""
    record = manifest.stages[stage]
    parts: dict[Stage, Callable[[], Parts]] = {
        "generate": lambda: photo_parts(
            project,
            {
                photo.name: (project.digest(photo.original), photo.stated.pose_json())
                for photo in manifest.active_photos
            },
        ),
        "reconstruct": lambda: {
            **reconstruction_parts(project, manifest, record.options),
            **({"imported mesh": project.digest(IMPORTED_MESH)} if record.engine == IMPORT else {}),
        },
        "render": lambda: render_parts(project, manifest, record.options, record.inputs),
        "export": lambda: export_parts(project, manifest, record.options),
    }
    if stage == "select":
        return selection_inputs(project, manifest, manifest.selection) if manifest.selection else {}
    return fingerprint(record.engine, record.options, parts[stage]())

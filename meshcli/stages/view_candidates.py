"""The views to choose from: generated ones and real photos, their scores, the labelled sheet. Light until it works.

A photo that serves as a view is an entry of its own, named like the photo (`a`), numbered after the views before it,
with the photo's camera. The manifest keeps the scores of the current set of views (views/scores.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshcli.engines import VERSIONS
from meshcli.errors import UsageError
from meshcli.progress import Tell
from meshcli.project.artefacts import VIEWS_SHEET, view_file
from meshcli.project.manifest import Manifest, Output, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.system.digests import digest
from meshcli.views.camera import Camera

if TYPE_CHECKING:
    from meshcli.views.view import View

SHEET_COLUMNS = 6  # a row for each photo, which has six views


def add_posed_photos(project: Project, manifest: Manifest, tell: Tell) -> Manifest:
    """The manifest with a view for every photo whose camera is known; nothing is written.

    Raises UsageError when no photo's camera is known well enough.
    """
    photos = [photo for photo in manifest.active_photos if has_known_camera(photo)]
    left_out = [photo.source for photo in manifest.active_photos if photo not in photos]
    advice = f"pass --azimuth, --elevation and --fov, or --rig, to `{project.command('generate')}`"
    if not photos:
        raise UsageError(f"no photo has a known azimuth, elevation and field of view; {advice}")
    if left_out:
        tell(f"{', '.join(left_out)}: the camera is not fully known, so not a view; {advice}")
    return add_photo_views(manifest, photos)


def has_known_camera(photo: Photo) -> bool:
    """Whether azimuth, elevation and lens of a photo are known; False for ready views, which are views already."""
    if photo.stated.ready:
        return False
    angles = (photo.stated.azimuth, photo.stated.elevation, photo.stated.fov)
    refined = photo.camera.known == "aligned" and not photo.painted  # silhouettes give the elevation too
    return photo.camera.known == "rig" or refined or all(angle is not None for angle in angles)


def camera_is_known(manifest: Manifest, photo: Photo) -> bool:
    """Whether the photo's camera is known, or is the one that its body was carved with."""
    if photo.stated.ready or photo.name in photos_of_unknown_azimuth(manifest):
        return False
    carved = any(view.photo == photo.name and view.engine == "sculpt" for view in manifest.active_views.values())
    return carved or has_known_camera(photo)


def scores_digest(project: Project, manifest: Manifest) -> str:
    """Digest of what the scores depend on: pictures on disk, cameras, the version of the scores."""
    views = [[view.name, project.digest(view.file), view.camera.to_json()] for view in manifest.active_views.values()]
    return digest([VERSIONS["scores"], views])


def write_candidates(project: Project, manifest: Manifest) -> tuple[Manifest, list[Output]]:
    """Write what is missing or outdated: photos that serve as views, the sheet, and scores; the caller saves.

    Returns the manifest with scores, and all these files as outputs, whether written now or before.
    """
    photos = {photo.name: photo for photo in manifest.active_photos}
    used = [photos[view.name] for view in manifest.active_views.values() if is_photo_view(view)]
    files = []
    if used:
        manifest = add_photo_views(manifest, used)
        files = _write_photo_views(project, manifest, used)
    key = scores_digest(project, manifest)
    if key != manifest.scored or not project.path(VIEWS_SHEET).is_file():
        manifest = _score_and_draw(project, manifest, key)
    return manifest, [project.output(file) for file in (*files, VIEWS_SHEET)]


def is_photo_view(view: ViewEntry) -> bool:
    """Whether a view is a photo, not generated from one."""
    return view.name == view.photo


def refresh_candidates(project: Project, manifest: Manifest) -> Manifest:
    """Call `write_candidates` and save, with its files among the outputs of `generate`; the caller holds the lock.

    Raises UsageError where a new photo view, or the sheet, would overwrite a file that is not meshcli's own.
    """
    manifest = _claim_files(project, manifest)
    updated, outputs = write_candidates(project, manifest)
    record = updated.stages.get("generate")
    if record:
        files = {output.file: output for output in (*record.outputs, *outputs)}
        updated = updated.with_record("generate", replace(record, outputs=tuple(files[file] for file in sorted(files))))
    if updated != manifest:
        project.save(updated)
    return updated


def _claim_files(project: Project, manifest: Manifest) -> Manifest:
    """The manifest with what `write_candidates` is about to write as its own, saved first if that is new."""
    saved = project.load()
    files = [VIEWS_SHEET, *(view.file for view in manifest.active_views.values() if is_photo_view(view))]
    if saved.own_files.issuperset(files):
        return manifest
    project.refuse_foreign_files(saved, files)
    project.save(saved.claiming(files))
    return manifest.claiming(files)


def add_photo_views(manifest: Manifest, photos: Sequence[Photo]) -> Manifest:
    """The manifest with these photos as views; entries that exist are updated, new ones come last."""
    for photo in photos:
        manifest, _ = add_views(manifest, photo.name, {photo.name: photo.camera}, "photos")
    return manifest


def add_views(
    manifest: Manifest, photo: str, cameras: Mapping[str, Camera], engine: str
) -> tuple[Manifest, list[ViewEntry]]:
    """The manifest with views of a photo (name -> camera), and their entries. A view keeps its number for ever.

    It keeps its scores too: `Manifest.scored` tells for which set of views they were computed.
    """
    entries = {view.name: view for view in manifest.views}
    for name, camera in cameras.items():
        known = entries.get(name)
        file, scores = (known.file, known.scores) if known else (view_file(len(entries)), {})
        entries[name] = ViewEntry(name, file, photo, camera, engine, scores)
    return replace(manifest, views=tuple(entries.values())), [entries[name] for name in cameras]


def _write_photo_views(project: Project, manifest: Manifest, photos: list[Photo]) -> list[str]:
    """Write photos as views where the file is missing or the photo has changed; all their files."""
    from meshcli.pictures.image import encode_png, resize
    from meshcli.pictures.pixels import VIEW_SIZE
    from meshcli.stages.view_loading import load_views

    files = {view.name: view.file for view in manifest.views}
    for photo in load_views(project, photos):
        file, data = files[photo.name], encode_png(resize(photo.pixels, VIEW_SIZE, VIEW_SIZE))
        path = project.path(file)
        if not path.is_file() or path.read_bytes() != data:
            project.write({file: data})
    return [files[photo.name] for photo in photos]


def _score_and_draw(project: Project, manifest: Manifest, key: str) -> Manifest:
    """Draw the sheet, and compute the scores unless they are those of `key`, the current set of views."""
    from meshcli.stages.view_loading import load_views
    from meshcli.views.scores import score_views

    entries = manifest.active_views
    views = load_views(project, list(entries.values()))
    project.write({VIEWS_SHEET: _labelled_sheet(entries, photos_of_unknown_azimuth(manifest), views)})
    if key == manifest.scored:
        return manifest
    scores = dict(zip((view.name for view in views), score_views(views), strict=True))
    scored = tuple(replace(view, scores=scores.get(view.name, {})) for view in manifest.views)
    return replace(manifest, views=scored, scored=key)


def _labelled_sheet(entries: Mapping[int, ViewEntry], unknown: list[str], views: "list[View]") -> bytes:
    """PNG of all views, labelled with number, name, azimuth and elevation."""
    from meshcli.pictures.image import encode_png, labelled_sheet

    def azimuth(view: ViewEntry) -> str:
        return "?" if view.photo in unknown else str(round(view.camera.azimuth) % 360)

    labels = [
        f"{number}  {view.name}  {azimuth(view)}/{round(view.camera.elevation)}" for number, view in entries.items()
    ]
    return encode_png(labelled_sheet([view.pixels for view in views], labels, columns=min(SHEET_COLUMNS, len(views))))

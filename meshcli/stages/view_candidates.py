"""The views there are to choose from: real photos among them, their scores, the labelled sheet. Light until it works.

A photo that serves as a view is a view of its own, named like the photo (`a`), appended after the last number and seen
by the photo's own camera. Scores are computed once for the pool as it is and kept in the manifest (scores.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshcli.engines import VERSIONS
from meshcli.errors import UsageError
from meshcli.progress import Tell
from meshcli.project.manifest import Manifest, Output, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.photo_set import photos_of_unknown_azimuth
from meshcli.system.digests import digest
from meshcli.views.camera import Camera

if TYPE_CHECKING:
    from meshcli.views.view import View

SHEET = "views/sheet.png"
COLUMNS = 6  # of the sheet


def with_photos(project: Project, manifest: Manifest, tell: Tell) -> Manifest:
    """The same with an entry for every photo that can be a view; nothing is written.

    Raises UsageError when no photo's camera is known well enough.
    """
    photos = [photo for photo in manifest.live_photos if fully_posed(photo)]
    left_out = [photo.source for photo in manifest.live_photos if photo not in photos]
    advice = f"say --azimuth, --elevation and --fov, or --rig, to `{project.command('generate')}`"
    if not photos:
        raise UsageError(f"no photo has a known azimuth, elevation and field of view; {advice}")
    if left_out:
        tell(f"{', '.join(left_out)}: the camera is not fully known, so not a view; {advice}")
    return entered(manifest, photos)


def fully_posed(photo: Photo) -> bool:
    """Whether azimuth, elevation and lens of a photo are known; ready views have been views all along."""
    if photo.stated.ready:
        return False
    angles = (photo.stated.azimuth, photo.stated.elevation, photo.stated.fov)
    refined = photo.camera.known == "aligned" and not photo.painted  # by silhouettes: then its elevation too is known
    return photo.camera.known == "rig" or refined or all(angle is not None for angle in angles)


def current(project: Project, manifest: Manifest) -> str:
    """What the scores depend on, as it is on disk now."""
    views = [[view.name, project.digest(view.file), view.camera.to_json()] for view in manifest.live_views.values()]
    return digest([VERSIONS["scores"], views])


def refreshed(project: Project, manifest: Manifest) -> tuple[Manifest, list[Output]]:
    """Write photos that are views, the scores and the sheet where they are not as they should be; who calls saves.

    The outputs are all of these files, written now or before.
    """
    photos = {photo.name: photo for photo in manifest.live_photos}
    serving = [photos[view.name] for view in manifest.live_views.values() if is_photo(view)]
    files = []
    if serving:
        manifest = entered(manifest, serving)
        files = _write_photos(project, manifest, serving)
    now = current(project, manifest)
    if now != manifest.scored or not project.path(SHEET).is_file():
        manifest = _looked_at(project, manifest, now)
    return manifest, [project.output(file) for file in (*files, SHEET)]


def is_photo(view: ViewEntry) -> bool:
    """Whether a view is a photo itself."""
    return view.name == view.photo


def refresh(project: Project, manifest: Manifest) -> Manifest:
    """The same, saved; the caller holds the lock. What it wrote belongs to `generate`."""
    fresh, outputs = refreshed(project, manifest)
    record = fresh.stages.get("generate")
    if record:
        files = {output.file: output for output in (*record.outputs, *outputs)}
        fresh = fresh.with_record("generate", replace(record, outputs=tuple(files[file] for file in sorted(files))))
    if fresh != manifest:
        project.save(fresh)
    return fresh


def entered(manifest: Manifest, photos: Sequence[Photo]) -> Manifest:
    """With entries for these photos as views, up to date; new ones at the end."""
    for photo in photos:
        manifest, _ = with_views(manifest, photo.name, {photo.name: photo.camera}, "photos")
    return manifest


def with_views(
    manifest: Manifest, photo: str, cameras: Mapping[str, Camera], engine: str
) -> tuple[Manifest, list[ViewEntry]]:
    """With entries for views of a photo, name -> camera, and these entries; a view keeps its number for ever.

    It keeps its scores too: they are those of the pool that `Manifest.scored` names until somebody scores another one.
    """
    entries = {view.name: view for view in manifest.views}
    for name, camera in cameras.items():
        known = entries.get(name)
        file, scores = (known.file, known.scores) if known else (f"views/{len(entries):02d}.png", {})
        entries[name] = ViewEntry(name, file, photo, camera, engine, scores)
    return replace(manifest, views=tuple(entries.values())), [entries[name] for name in cameras]


def _write_photos(project: Project, manifest: Manifest, photos: list[Photo]) -> list[str]:
    """The pictures of photos that are views, written where they are not there or their photo has changed."""
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


def _looked_at(project: Project, manifest: Manifest, now: str) -> Manifest:
    """With scores, if they are not those of this pool, and a new sheet."""
    from meshcli.stages.view_loading import load_views
    from meshcli.views.scores import score_views

    entries = manifest.live_views
    views = load_views(project, list(entries.values()))
    project.write({SHEET: _sheet(entries, photos_of_unknown_azimuth(manifest), views)})
    if now == manifest.scored:
        return manifest
    scores = dict(zip((view.name for view in views), score_views(views), strict=True))
    scored = tuple(replace(view, scores=scores.get(view.name, {})) for view in manifest.views)
    return replace(manifest, views=scored, scored=now)


def _sheet(entries: Mapping[int, ViewEntry], unknown: list[str], views: "list[View]") -> bytes:
    """All views with number, name, azimuth and elevation."""
    from meshcli.pictures.image import encode_png, labelled_sheet

    def side(view: ViewEntry) -> str:
        return "?" if view.photo in unknown else str(round(view.camera.azimuth) % 360)

    labels = [f"{number}  {view.name}  {side(view)}/{round(view.camera.elevation)}" for number, view in entries.items()]
    return encode_png(labelled_sheet([view.pixels for view in views], labels, columns=min(COLUMNS, len(views))))

"""Photos -> azimuths and relative scales, by comparing their views. Light until it works.

The result is kept with each photo; what the user stated is not changed. Views generated photo by photo get new cameras
at once; `sculpt` makes one body of all photos when it runs again, so its `generate` becomes stale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshcli.errors import UsageError
from meshcli.project.artefacts import GUESSES_SHEET
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.inputs import current_inputs
from meshcli.stages.photo_azimuths import MIN_CHANCE
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.view_candidates import is_photo_view, refresh_candidates
from meshcli.system.memory_check import check_memory
from meshcli.views.camera import Camera
from meshcli.views.photo_cameras import AlignedPose, CameraPrior

if TYPE_CHECKING:
    from meshcli.alignment.azimuths import Placement, ViewSet


@dataclass(frozen=True)
class PhotoAlignment:
    """One photo's alignment, as `align --json` prints it."""

    name: str
    source: str
    azimuth: float  # degrees
    enlarged: float  # relative scale: 1 for the photo that shows the object smallest
    confidence: float | None  # the chance that it is right within 20 degrees; None when the user stated the azimuth
    others: tuple[float, ...]  # the next best azimuths, if they have a chance as well, degrees


def align_photos(
    project: Project, *, seed: int | None = None, run_options: RunOptions = RunOptions()
) -> list[PhotoAlignment]:
    """Find the azimuths of all photos and their relative scales, and draw what they are found to show.

    Without a seed it is the one that the views were made with.

    Raises UsageError when there is nothing to align: fewer than two photos, no views, or calibrated cameras;
    MemoryError when the libraries do not fit into memory.
    """
    with project.write_lock(run_options.wait, run_options.tell):
        manifest = project.load()
        _check_alignable(project, manifest)
        check_memory("sculpt")  # whose libraries these are too

        from meshcli.alignment.azimuths import register
        from meshcli.alignment.guesses_sheet import draw_guesses
        from meshcli.pictures.image import encode_png

        project.refuse_foreign_files(manifest, [GUESSES_SHEET])
        manifest = manifest.claiming([GUESSES_SHEET])
        seed = int(manifest.stages["generate"].options.get("seed", 0)) if seed is None else seed
        sets = _view_sets(project, manifest)
        placements = register(sets, seed, run_options.progress)
        before = {photo.name: photo.stated for photo in manifest.active_photos}
        found = {
            placement.name: replace(before[placement.name], aligned=_aligned(placement)) for placement in placements
        }
        aligned = _apply_alignment(project, manifest, found)
        project.save(aligned)
        project.write({GUESSES_SHEET: encode_png(draw_guesses(sets, placements, MIN_CHANCE))})
        refresh_candidates(project, aligned)  # scores compare views of different photos
        return [_describe_alignment(photo, found[photo.name]) for photo in manifest.active_photos]


def _check_alignable(project: Project, manifest: Manifest) -> None:
    """Raise UsageError when there is nothing to align."""
    photos = manifest.active_photos
    if any(photo.stated.camera for photo in photos):
        raise UsageError(f"the cameras of {project.root} are calibrated; there is nothing to align")
    if any(photo.stated.ready == "view" for photo in photos):
        raise UsageError(f"the views of {project.root} were handed in with their cameras; there is nothing to align")
    if len(photos) < 2:
        raise UsageError(f"{project.root} has {len(photos)} photos; there is nothing to align with fewer than two")
    record = manifest.stages.get("generate")
    views = {view.photo for view in manifest.active_views.values() if not is_photo_view(view)}
    if record is not None and record.status == "done" and record.engine == "photos" and not views:
        raise UsageError(
            f"the photos of {project.root} are its only views, and `align` compares views of several sides; say "
            f"--azimuth to `{project.command('generate')}`, or leave out its --engine photos"
        )
    if record is None or record.status != "done" or views != {photo.name for photo in photos}:
        raise UsageError(f"{project.root} has photos without views; run `{project.command('generate')}` first")
    if record.engine == "sculpt" and all(photo.stated.posed for photo in photos):
        raise UsageError(
            "the views show one body sculpted from all photos, whose sides are known; there is nothing to align"
        )


def _view_sets(project: Project, manifest: Manifest) -> "list[ViewSet]":
    """The views of each photo, with cameras relative to it."""
    from meshcli.alignment.azimuths import ViewSet, sculpted_set
    from meshcli.stages.view_loading import load_views

    sets = []
    for photo in manifest.active_photos:
        entries = _views_of(manifest, photo)
        views = [replace(view, camera=_normalised(view.camera, photo)) for view in load_views(project, entries)]
        known = photo.stated.azimuth
        front = None
        if not photo.stated.ready:
            front = replace(load_views(project, [photo])[0], camera=_normalised(photo.camera, photo))
        if front and entries[0].engine == "sculpt":
            sets.append(sculpted_set(photo.name, front, views, known))
        else:
            sets.append(ViewSet(photo.name, views, known, photo=front))
    return sets


def _views_of(manifest: Manifest, photo: Photo) -> list[ViewEntry]:
    return [view for view in manifest.active_views.values() if view.photo == photo.name and not is_photo_view(view)]


def _normalised(camera: Camera, photo: Photo) -> Camera:
    """The camera of a photo or its view as if the photo's azimuth were 0 and its relative scale 1."""
    stated = photo.stated
    return _scale_distance(camera.turned(-stated.azimuth_and_source[0]), stated.relative_scale)


def _scale_distance(camera: Camera, factor: float) -> Camera:
    """A camera moved to `factor` times its distance from the origin."""
    rows = tuple((*row[:3], row[3] * factor) for row in camera.camera_to_world[:3])
    return replace(camera, camera_to_world=(*rows, camera.camera_to_world[3]))


def _aligned(placement: "Placement") -> AlignedPose:
    """A placement rounded for the manifest."""
    first, *others = placement.answers
    return AlignedPose(
        round(first.azimuth, 3), round(first.enlarged, 5), round(placement.confidence, 3),
        tuple(round(pose.azimuth, 1) for pose in others),
    )  # fmt: skip


def _apply_alignment(project: Project, manifest: Manifest, found: dict[str, CameraPrior]) -> Manifest:
    """The manifest with the alignment; for views generated photo by photo also with their cameras and new inputs."""
    before = {photo.name: photo for photo in manifest.active_photos}
    photos = tuple(
        replace(photo, stated=found[photo.name]) if photo.name in before else photo for photo in manifest.photos
    )
    record = manifest.stages["generate"]
    updated = replace(manifest, photos=photos)
    if record.engine == "sculpt":
        return updated
    cameras = {
        view.name: _posed(_normalised(view.camera, before[view.photo]), found[view.photo])
        for view in manifest.active_views.values()
        if not is_photo_view(view)
    }
    views = tuple(replace(view, camera=cameras.get(view.name, view.camera)) for view in manifest.views)
    framed = {photo.name: _posed(_normalised(photo.camera, photo), found[photo.name]) for photo in before.values()}
    photos = tuple(replace(photo, camera=framed.get(photo.name, photo.camera)) for photo in photos)
    updated = replace(updated, photos=photos, views=views)
    return updated.with_record("generate", replace(record, inputs=current_inputs(project, updated, "generate")))


def _posed(camera: Camera, stated: CameraPrior) -> Camera:
    """A normalised camera at the photo's azimuth and relative scale."""
    azimuth, known = stated.azimuth_and_source
    return replace(_scale_distance(camera.turned(azimuth), 1.0 / stated.relative_scale), known=known)


def _describe_alignment(photo: Photo, stated: CameraPrior) -> PhotoAlignment:
    aligned = stated.aligned
    if aligned is None:
        raise ValueError(f"photo {photo.name} was not aligned")
    confidence = None if stated.given else aligned.confidence
    others: Sequence[float] = () if stated.given else aligned.others
    azimuth, _ = stated.azimuth_and_source
    return PhotoAlignment(photo.name, photo.source, azimuth % 360.0, aligned.relative_scale, confidence, tuple(others))

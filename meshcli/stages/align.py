"""From which sides the photos were taken, found by comparing their views. Light until it works.

What is found is kept with the photo, what the user said is not touched. Painted views get their cameras at once;
`sculpt` makes one body of all photos the next time it runs, so `generate` is stale then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.inputs import inputs_now
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.view_candidates import is_photo, refresh
from meshcli.system.memory_check import check_room
from meshcli.views.camera import Camera
from meshcli.views.photo_cameras import AlignedPose, CameraPrior

if TYPE_CHECKING:
    from meshcli.alignment.azimuths import Placement, ViewSet

TRUSTED = (0, 5)  # of the views sculpted from a single photo: those that look at what the photo shows


@dataclass(frozen=True)
class Answer:
    """What is known about one photo after comparing."""

    name: str
    source: str
    azimuth: float  # degrees
    enlarged: float  # factor, 1 for the photo that shows the object smallest
    confidence: float | None  # 0 to 1; None where the azimuth was given
    others: tuple[float, ...]  # azimuths that are about equally good


def align_photos(project: Project, *, seed: int = 0, run_options: RunOptions = RunOptions()) -> list[Answer]:
    """Find azimuths and relative sizes; the answers by photo.

    Raises UsageError where there is nothing to compare: fewer than two photos, no views, or calibrated cameras;
    MemoryError where there is no room for the libraries.
    """
    with project.writing(run_options.wait, run_options.tell):
        manifest = project.load()
        _refuse_needless(project, manifest)
        check_room("sculpt")  # whose libraries do this too

        from meshcli.alignment.azimuths import register

        placements = register(_sets(project, manifest), seed, run_options.progress)
        stated = {photo.name: photo.stated for photo in manifest.live_photos}
        found = {
            placement.name: replace(stated[placement.name], aligned=_aligned(placement)) for placement in placements
        }
        aligned = _entered(project, manifest, found)
        project.save(aligned)
        refresh(project, aligned)  # scores compare views of different photos
        return [_answer(photo, found[photo.name]) for photo in manifest.live_photos]


def _refuse_needless(project: Project, manifest: Manifest) -> None:
    photos = manifest.live_photos
    if len(photos) < 2:
        raise UsageError(f"{project.root} has {len(photos)} photos; there is nothing to align with fewer than two")
    record = manifest.stages.get("generate")
    views = {view.photo for view in manifest.live_views.values() if not is_photo(view)}
    if record is None or record.status != "done" or views != {photo.name for photo in photos}:
        raise UsageError(f"{project.root} has photos without views; run `{project.command('generate')}` first")
    if any(photo.stated.camera for photo in photos):
        raise UsageError(f"the cameras of {project.root} are calibrated; there is nothing to align")
    if record.engine == "sculpt" and all(photo.stated.posed for photo in photos):
        raise UsageError(
            "the views show one body sculpted from all photos, whose sides are known; there is nothing to align"
        )


def _sets(project: Project, manifest: Manifest) -> "list[ViewSet]":
    from meshcli.alignment.azimuths import ViewSet
    from meshcli.stages.view_loading import load_views

    sets = []
    for photo in manifest.live_photos:
        entries = _views_of(manifest, photo)
        views = [replace(view, camera=_own(view.camera, photo)) for view in load_views(project, entries)]
        known = photo.stated.azimuth
        if entries[0].engine == "sculpt":
            front = replace(load_views(project, [photo])[0], camera=_own(photo.camera, photo))
            trusted = (front, *(views[tile] for tile in TRUSTED))
            sets.append(ViewSet(photo.name, views, known, trusted))
        else:
            sets.append(ViewSet(photo.name, views, known))
    return sets


def _views_of(manifest: Manifest, photo: Photo) -> list[ViewEntry]:
    return [view for view in manifest.live_views.values() if view.photo == photo.name and not is_photo(view)]


def _own(camera: Camera, photo: Photo) -> Camera:
    """A camera of a photo's view as if the photo had been taken at azimuth 0 and shown the object at its usual size."""
    stated = photo.stated
    return _scaled(camera.turned(-stated.azimuth_and_source[0]), stated.relative_scale)


def _scaled(camera: Camera, factor: float) -> Camera:
    rows = tuple((*row[:3], row[3] * factor) for row in camera.camera_to_world[:3])
    return replace(camera, camera_to_world=(*rows, camera.camera_to_world[3]))


def _aligned(placement: "Placement") -> AlignedPose:
    first, *others = placement.answers
    return AlignedPose(
        round(first.azimuth, 3), round(first.enlarged, 5), round(placement.confidence, 3),
        tuple(round(pose.azimuth, 1) for pose in others),
    )  # fmt: skip


def _entered(project: Project, manifest: Manifest, found: dict[str, CameraPrior]) -> Manifest:
    """With what was found, the cameras of painted views, and a record that still fits."""
    before = {photo.name: photo for photo in manifest.live_photos}
    photos = tuple(
        replace(photo, stated=found[photo.name]) if photo.name in before else photo for photo in manifest.photos
    )
    record = manifest.stages["generate"]
    fresh = replace(manifest, photos=photos)
    if record.engine == "sculpt":
        return fresh
    cameras = {
        view.name: _placed(_own(view.camera, before[view.photo]), found[view.photo])
        for view in manifest.live_views.values()
        if not is_photo(view)
    }
    views = tuple(replace(view, camera=cameras.get(view.name, view.camera)) for view in manifest.views)
    framed = {photo.name: _placed(_own(photo.camera, photo), found[photo.name]) for photo in before.values()}
    photos = tuple(replace(photo, camera=framed.get(photo.name, photo.camera)) for photo in photos)
    fresh = replace(fresh, photos=photos, views=views)
    return fresh.with_record("generate", replace(record, inputs=inputs_now(project, fresh, "generate")))


def _placed(camera: Camera, stated: CameraPrior) -> Camera:
    azimuth, known = stated.azimuth_and_source
    return replace(_scaled(camera.turned(azimuth), 1.0 / stated.relative_scale), known=known)


def _answer(photo: Photo, stated: CameraPrior) -> Answer:
    aligned = stated.aligned
    if aligned is None:
        raise ValueError(f"photo {photo.name} was not aligned")
    confidence = None if stated.given else aligned.confidence
    others: Sequence[float] = () if stated.given else aligned.others
    azimuth, _ = stated.azimuth_and_source
    return Answer(photo.name, photo.source, azimuth % 360.0, aligned.relative_scale, confidence, tuple(others))

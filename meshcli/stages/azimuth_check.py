"""Tell a user whose typed azimuths fit the photos better in another order. Light until it works."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshcli.settings import Settings
from meshcli.stages.stage_runner import StageRun

if TYPE_CHECKING:
    from meshcli.views.view import View


def check_stated_azimuths(run: StageRun, pictures: "Sequence[View]", settings: Settings, seed: int) -> None:
    """A note where all azimuths were typed and another arrangement of them fits clearly better."""
    from meshcli.alignment.stated_azimuths import MAX_PHOTOS, MIN_PHOTOS, better_arrangement

    photos = run.manifest.active_photos
    typed = all(photo.stated.azimuth is not None and photo.stated.camera is None for photo in photos)
    if not settings.sculpt.check or not typed or not MIN_PHOTOS <= len(photos) <= MAX_PHOTOS:
        return
    from meshcli.alignment.azimuths import sculpted_set
    from meshcli.generators.sculpt.sculpt import sculpt_each
    from meshcli.progress import silent

    sets = []
    for photo, picture in zip(photos, pictures, strict=True):
        azimuth = photo.stated.azimuth or 0.0
        front = replace(picture, camera=picture.camera.turned(-azimuth))
        views = sculpt_each([front], settings.sculpt, settings.fit, [seed], silent).views[0]
        sets.append(sculpted_set(photo.name, front, views, azimuth))
    found = better_arrangement(sets, seed, run.run_options.progress)
    if found:
        words, azimuths = found
        angles = ",".join(f"{azimuth:g}" for azimuth in azimuths)
        run.note(
            f"the photos fit clearly better with {words}: if the angles were mistaken, "
            f"`{run.project.command('run')} --azimuth {angles}`"
        )

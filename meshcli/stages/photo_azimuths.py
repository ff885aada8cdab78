"""From which side each photo was taken, how that is known, and what to do where it is a guess. Light: no numpy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from meshcli.errors import UncertainError
from meshcli.project.artefacts import GUESSES_SHEET
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.views.photo_cameras import MAX_LISTED_PHOTOS, CameraPrior

# An estimated azimuth counts as found if it is right with this chance, else as a guess. A choice: one mesh in five
# ruined without a word is the most that one would put up with.
MIN_CHANCE = 0.8


def photos_of_unknown_azimuth(manifest: Manifest) -> list[str]:
    """The names of the photos whose azimuth is not known; a single photo defines azimuth 0."""
    photos = manifest.active_photos
    return [photo.name for photo in photos if len(photos) > 1 and not photo.stated.posed]


def guessed_photos(manifest: Manifest) -> list[Photo]:
    """The photos whose azimuth is a guess."""
    photos = manifest.active_photos
    return [photo for photo in photos if len(photos) > 1 and is_guess(photo.stated)]


def is_guess(stated: CameraPrior) -> bool:
    """Whether the azimuth was estimated, with a chance below MIN_CHANCE to be right."""
    return not stated.given and stated.aligned is not None and stated.aligned.confidence < MIN_CHANCE


def is_open_guess(stated: CameraPrior) -> bool:
    """Whether the azimuth is a guess with which nobody has gone on."""
    return is_guess(stated) and stated.aligned is not None and not stated.aligned.accepted


def azimuth_lines(manifest: Manifest) -> list[str]:
    """A line about the azimuth of each photo, and where it comes from; none about more photos than one can read."""
    photos = manifest.active_photos
    if len(photos) > MAX_LISTED_PHOTOS:
        return []
    return [f"{photo.name} {photo.source} azimuth {_azimuth_text(photo, len(photos) == 1)}" for photo in photos]


def azimuths_json(manifest: Manifest) -> dict[str, Any]:
    """Azimuth, source and chance of each photo, for `status --json`."""
    rows: dict[str, Any] = {}
    for photo in manifest.active_photos:
        stated = photo.stated
        angle, source = stated.azimuth_and_source
        if stated.camera is not None:
            angle, source = photo.camera.azimuth, "rig"
        chance = stated.aligned.confidence if stated.aligned and not stated.given else None
        rows[photo.name] = {"azimuth": angle % 360.0, "known": source, "confidence": chance}
    return rows


def guess_warning(project: Project, manifest: Manifest) -> str:
    """What a step should tell that works with guesses with which nobody has gone on; empty when there are none."""
    if not any(is_open_guess(photo.stated) for photo in guessed_photos(manifest)):
        return ""
    return (
        f"the azimuths of some photos are guesses: {_names_and_chances(manifest)}; look at "
        f"{project.path(GUESSES_SHEET)}, and correct them: `{_correction(project, manifest)}`"
    )


def azimuth_command(project: Project, azimuths: Iterable[float], verb: str = "run") -> str:
    """The command that states the azimuths, in whole degrees."""
    return f"{project.command(verb)} --azimuth {','.join(f'{round(azimuth) % 360}' for azimuth in azimuths)}"


def refuse_guesses(project: Project, manifest: Manifest, known: Sequence[CameraPrior]) -> None:
    """Raise UncertainError when azimuths are guesses with which nobody has gone on.

    `known` is what is known about the photos that are about to be used.
    """
    if len(known) < 2 or not any(map(is_open_guess, known)):
        return
    error = UncertainError(
        f"the sides from which the photos were taken are guesses ({_names_and_chances(manifest)}): look at "
        f"{project.path(GUESSES_SHEET)}, then say them with `{_correction(project, manifest)}`, or go on with the "
        f"guesses: `{project.command('run')} --guess`"
    )
    error.details = guesses_json(project, manifest)
    raise error


def guesses_json(project: Project, manifest: Manifest) -> dict[str, Any]:
    """The guesses for a JSON document."""
    return {
        "guesses": [_guess_json(photo) for photo in guessed_photos(manifest)],
        "picture": str(project.path(GUESSES_SHEET)),
        "command": _correction(project, manifest),
    }


def accept_guesses(project: Project, wait: bool = False) -> None:
    """Record that the user goes on with the azimuths that are guesses."""
    with project.write_lock(wait):
        manifest = project.load()
        photos = tuple(replace(photo, stated=_accepted(photo.stated)) for photo in manifest.photos)
        if photos != manifest.photos:
            project.save(replace(manifest, photos=photos))


def _accepted(stated: CameraPrior) -> CameraPrior:
    if stated.aligned is None or not is_open_guess(stated):
        return stated
    return replace(stated, aligned=replace(stated.aligned, accepted=True))


def _correction(project: Project, manifest: Manifest) -> str:
    """The command to correct: with the estimates filled in."""
    return azimuth_command(project, (photo.stated.azimuth_and_source[0] for photo in manifest.active_photos))


def _azimuth_text(photo: Photo, alone: bool) -> str:
    """`40 (typed)`: as it was typed, else in whole degrees from 0 to 359."""
    stated = photo.stated
    if stated.camera is not None:
        return f"{round(photo.camera.azimuth) % 360} (rig)"
    if stated.azimuth is not None:
        return f"{stated.azimuth:g} (typed)"
    if stated.aligned is not None:
        if stated.aligned.confidence >= 1.0:
            return f"{round(stated.aligned.azimuth) % 360} (the others are measured from it)"
        word = "guessed" if is_guess(stated) else "estimated"
        others = " or ".join(f"{round(angle) % 360}" for angle in stated.aligned.others)
        perhaps = f"; perhaps {others}" if others and is_guess(stated) else ""
        return f"{round(stated.aligned.azimuth) % 360} ({word}, chance {stated.aligned.confidence:.0%}{perhaps})"
    return "0 (a single photo shows the front)" if alone else "unknown"


def _names_and_chances(manifest: Manifest) -> str:
    """`b chance 34%, c chance 12%`, of the first photos if there are many."""
    guesses = [(photo.name, photo.stated.aligned) for photo in guessed_photos(manifest)]
    listed = [f"{name} chance {pose.confidence:.0%}" for name, pose in guesses[:MAX_LISTED_PHOTOS] if pose]
    return ", ".join([*listed, *(["..."] if len(guesses) > MAX_LISTED_PHOTOS else [])])


def _guess_json(photo: Photo) -> Mapping[str, Any]:
    pose = photo.stated.aligned
    if pose is None:
        raise ValueError(f"the azimuth of photo {photo.name} was not estimated")
    return {
        "name": photo.name, "source": photo.source, "azimuth": pose.azimuth % 360.0, "confidence": pose.confidence,
        "others": list(pose.others),
    }  # fmt: skip

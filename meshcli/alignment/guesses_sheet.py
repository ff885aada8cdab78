"""A picture for a person to judge estimated azimuths by: each photo beside the object as seen from its answers."""

from collections.abc import Sequence

import numpy as np

from meshcli.alignment.azimuths import MAX_ANSWERS, Placement, Pose, ViewSet
from meshcli.pictures.image import labelled_sheet
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import FOV, angular_distance, orbit

TILE = 240  # pixels
MIN_DISTANCE = 4.0  # of the cameras, from which the whole object is in the picture


def draw_guesses(sets: Sequence[ViewSet], placements: Sequence[Placement], min_chance: float) -> Pixels:
    """A row for each photo: the photo, and the body of the photo that is nearest to the answer, seen from there.

    RGB. An answer whose chance is below `min_chance` is marked as a guess.
    """
    renderers = [Renderer(placement.body) for placement in placements]
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    pictures: list[Pixels] = []
    labels: list[str] = []
    for index, (view_set, placement) in enumerate(zip(sets, placements, strict=True)):
        front = view_set.photo or view_set.views[0]
        pictures.append(front.pixels)
        labels.append(f"photo {view_set.name}" if view_set.photo else f"first view of photo {view_set.name}")
        answers = () if placement.confidence == 1.0 else placement.answers
        for place, pose in enumerate(answers):
            nearest = _nearest(index, pose, placements)
            angle = pose.azimuth - placements[nearest].answers[0].azimuth
            pictures.append(renderers[nearest].render(orbit(angle, 0.0, MIN_DISTANCE, FOV), TILE, TILE, samples=2))
            labels.append(_label(pose, placement.confidence, place, min_chance))
        if not answers:
            pictures.append(blank)
            labels.append(f"azimuth {round(placement.answers[0].azimuth) % 360} (the others turn about it)")
        missing = MAX_ANSWERS - max(len(answers), 1)
        pictures += [blank] * missing
        labels += [""] * missing
    return labelled_sheet(pictures, labels, columns=1 + MAX_ANSWERS, size=TILE)


def _label(pose: Pose, chance: float, place: int, min_chance: float) -> str:
    angle = f"{round(pose.azimuth) % 360}"
    if place:
        return f"or {angle}"
    return f"azimuth {angle}, chance {chance:.0%}" + (": a guess" if chance < min_chance else "")


def _nearest(index: int, pose: Pose, placements: Sequence[Placement]) -> int:
    """The other photo whose azimuth is nearest to a pose."""
    others = [other for other in range(len(placements)) if other != index]
    return min(others, key=lambda other: angular_distance(placements[other].answers[0].azimuth, pose.azimuth))

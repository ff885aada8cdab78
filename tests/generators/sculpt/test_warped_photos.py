"""Photos of a thing that moved between them are warped until one body fits; others stay as they are."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from helpers.sphere_tracing import photograph
from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.generators.sculpt.warped_photos import MAX_ROUNDS, outline_flow, warp_until_one_body_fits
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors.fit import Evidence
from meshcli.sdf.grid import silhouette_distance
from meshcli.settings import FitSettings, SculptSettings
from meshcli.texturing.flow import warp_picture
from meshcli.views.camera import PoseSource, orbit
from meshcli.views.projection import project
from meshcli.views.view import View

LEAN = 0.12  # of a height
MARK = np.array([255, 0, 255, 255], np.uint8)
QUICK = SculptSettings(view_size=64, fit_resolutions=(32,), fit_steps=(30,))


def blob(points: np.ndarray) -> np.ndarray:
    """An egg with a nose towards +x, its lower half thinner."""
    egg = np.linalg.norm(points * [1.8, 1.8, 1.1], axis=-1) - 0.9
    nose = np.linalg.norm((points - [0.55, 0.0, 0.3]) * [0.8, 2.0, 2.0], axis=-1) - 0.3
    result: np.ndarray = 0.5 * np.minimum(egg, nose)
    return result


def sheared(amount: float, azimuth: float, size: int = 96, known: PoseSource = "given") -> View:
    """A photo of the blob, leaning by `amount` of its height to the picture's right."""
    right = np.array([-np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth)), 0.0])

    def leaning(points: np.ndarray) -> np.ndarray:
        return blob(points - amount * points[..., 2:] * right)

    return photograph(orbit(azimuth, 0.0, known=known), leaning, size)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two silhouettes, given as alpha."""
    a, b = one >= 128, other >= 128
    return float((a & b).sum() / (a | b).sum())


def tolerance(photos: list[View]) -> float:
    return Evidence.of(photos).tolerance


@pytest.mark.parametrize("height", [-0.4, 0.0, 0.3])
def test_an_outline_is_moved_onto_another_and_the_paint_with_it(height: float):
    photo, leaning = sheared(0.0, 0.0), sheared(LEAN, 0.0)
    flow = outline_flow(*(silhouette_distance(each.pixels[..., 3], 1) for each in (photo, leaning)))
    assert overlap(photo.pixels[..., 3], leaning.pixels[..., 3]) < 0.89
    assert overlap(warp_picture(photo.pixels, flow)[..., 3], leaning.pixels[..., 3]) > 0.97
    before, after = (project(photo.camera, np.array([[0.5, y, height]]), 96, 96)[0][0] for y in (0.0, LEAN * height))
    marked = photo.pixels.copy()
    rows, columns = np.indices((96, 96)) + 0.5
    marked[np.hypot(columns - before[0], rows - before[1]) < 4.0] = MARK
    found = np.abs(warp_picture(marked, flow).astype(int) - MARK).max(axis=2) < 60
    assert np.hypot(columns[found].mean() - after[0], rows[found].mean() - after[1]) < 0.8


def test_a_picture_whose_outline_is_the_wanted_one_stays_as_it_is():
    outline = silhouette_distance(sheared(0.0, 0.0).pixels[..., 3], 1)
    assert np.abs(outline_flow(outline, outline)).max() == 0.0


@pytest.mark.parametrize(("needed", "rounds"), [(1, 1), (3, 3), (99, MAX_ROUNDS)])
def test_it_ends_when_one_body_fits(needed: int, rounds: int):
    photos = [sheared(0.1, 0.0, 64)]
    upright = trimesh.creation.icosphere(3, 0.5)
    bodies: list[list[View]] = []

    def body_of(now):  # type: ignore[no-untyped-def]
        bodies.append(list(now))
        return Mesh(upright.vertices.astype(np.float32), upright.faces.astype(np.int32))

    result = warp_until_one_body_fits(photos, body_of, lambda now: len(bodies) >= needed)
    assert len(bodies) == rounds
    assert result.fit == (needed == rounds)
    assert bodies[0] == photos
    ball = photograph(photos[0].camera, lambda points: np.linalg.norm(points, axis=-1) - 0.5, 64).pixels[..., 3]
    assert overlap(result.photos[0].pixels[..., 3], ball) > overlap(photos[0].pixels[..., 3], ball) + 0.05
    assert 0.01 < result.farthest < 0.3


@pytest.mark.slow
def test_a_body_that_leans_to_another_side_in_each_photo_is_made_of_warped_photos():
    photos = [sheared(lean, azimuth, known="rig") for lean, azimuth in ((0.0, 0.0), (0.3, 90.0), (0.3, -90.0))]
    assert tolerance(photos) > 3.0
    fit = FitSettings(rays=3000)
    notes = {warp: sculpt(photos, replace(QUICK, warp=warp), fit, [0, 1, 2], silent).notes for warp in (True, False)}
    assert any("they were warped, by up to" in note for note in notes[True])
    assert not any("warped" in note for note in notes[False])
    agreeing = [sheared(0.0, azimuth, known="rig") for azimuth in (0.0, 90.0, -90.0)]
    assert not any("warped" in note for note in sculpt(agreeing, QUICK, fit, [0, 1, 2], silent).notes)

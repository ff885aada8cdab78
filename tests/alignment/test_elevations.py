"""Elevations that nobody stated are found from silhouettes, where these tell them."""

from collections.abc import Sequence

import numpy as np
import pytest
import trimesh

from meshcli.alignment.silhouettes import align, silhouette_error
from meshcli.generators.sculpt.sculpt import align_photos
from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.settings import SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

ROUND, ONE_SIDE = (0.0, 120.0, 240.0), (0.0, 45.0, -45.0)


def chair() -> trimesh.Trimesh:
    box = trimesh.creation.box
    parts = [((0.8, 0.8, 0.12), (0, 0, 0)), ((0.8, 0.12, 0.7), (0, -0.34, 0.35)), ((0.12, 0.6, 0.3), (0.34, 0, 0.15))]
    parts += [((0.1, 0.1, 0.6), (x, y, -0.3)) for x in (-0.33, 0.33) for y in (-0.33, 0.33)]
    return trimesh.util.concatenate([box(size).apply_translation(at) for size, at in parts])


def photos(body: trimesh.Trimesh, azimuths: Sequence[float], elevations: Sequence[float], stated: float) -> list[View]:
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey))
    return [
        View(name, renderer.render(orbit(azimuth, elevation), 160, 160), orbit(azimuth, stated, known="given"))
        for name, azimuth, elevation in zip("abc", azimuths, elevations, strict=True)
    ]


def elevations_of(views: Sequence[View]) -> list[float]:
    return [view.camera.elevation for view in views]


@pytest.mark.parametrize(
    ("azimuths", "true"),
    [
        (ONE_SIDE, (18.0, 22.0, 25.0)),
        pytest.param(ROUND, (30.0, 26.0, 28.0), marks=pytest.mark.slow),
        pytest.param(ROUND, (10.0, 6.0, 12.0), marks=pytest.mark.slow),
        pytest.param(ONE_SIDE, (36.0, 36.0, 36.0), marks=pytest.mark.slow),
    ],
)
def test_unknown_elevations_are_found_and_told(azimuths: tuple[float, ...], true: tuple[float, ...]) -> None:
    placed, notes = align_photos(photos(chair(), azimuths, true, 0.0), SculptSettings(), "abc")
    assert np.abs(np.subtract(elevations_of(placed), true)).max() < 6.0
    told = ", ".join(f"{view.name} {view.camera.elevation:.0f}" for view in placed)
    assert [note for note in notes if f"tell them: {told};" in note]
    assert silhouette_error(placed) < 0.0005


@pytest.mark.slow
def test_stated_elevations_are_only_corrected_a_little() -> None:
    """Twenty degrees wrong, they are not found, where unknown ones are; and azimuths stay as they are."""
    true = (28.0, 28.0, 28.0)
    views = photos(chair(), ROUND, true, 0.0)
    stated, unknown = align(views), align(views, unknown_elevations="abc")
    assert np.abs(np.subtract(elevations_of(stated.photos), true)).mean() > 8.0
    assert np.abs(np.subtract(elevations_of(unknown.photos), true)).mean() < 5.0
    assert (stated.found, unknown.found) == ((), ("a", "b", "c"))
    for found in (stated, unknown):
        assert [view.camera.azimuth for view in found.photos] == pytest.approx([azimuth % 360 for azimuth in ROUND])


@pytest.mark.slow
def test_only_the_unknown_ones_are_searched() -> None:
    views = photos(chair(), ONE_SIDE, (20.0, 24.0, 22.0), 0.0)
    views[1] = View("b", views[1].pixels, orbit(45.0, 24.0, known="given"))
    found = align(views, unknown_elevations="ac")
    assert np.abs(np.subtract(elevations_of(found.photos), (20.0, 24.0, 22.0))).max() < 4.0
    assert found.found == ("a", "c")


def test_where_the_outlines_do_not_tell_cameras_stay_and_that_is_said() -> None:
    """A ball looks the same from everywhere."""
    views = photos(trimesh.creation.icosphere(4, 0.7), ROUND, (20.0, 20.0, 20.0), 0.0)
    found = align(views, unknown_elevations="abc")
    assert found.photos == views
    assert found.found == ()
    _, notes = align_photos(views, SculptSettings(), "abc")
    assert [note for note in notes if "do not tell" in note and "--elevation" in note]
    assert not [note for note in align_photos(views, SculptSettings())[1] if "elevation" in note]


def test_photos_from_the_horizon_stay_there() -> None:
    views = photos(chair(), ONE_SIDE, (0.0, 0.0, 0.0), 0.0)
    assert align(views, unknown_elevations="abc").photos == views


def test_a_rig_stays_as_it_is() -> None:
    views = [
        View(v.name, v.pixels, orbit(v.camera.azimuth, 0.0, known="rig")) for v in photos(chair(), ROUND, (9, 9, 9), 0)
    ]
    assert align(views, unknown_elevations="abc").photos == views

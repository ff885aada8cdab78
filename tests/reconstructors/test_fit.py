"""Small fits of bodies that are known exactly."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import shift

from helpers.sphere_tracing import ROD, photograph, rod_on_ball
from helpers.thread_counts import mesh_digest
from meshcli.errors import InputError
from meshcli.progress import silent
from meshcli.reconstructors.fit import find_tolerance, fit
from meshcli.sdf.grid import silhouette_distance
from meshcli.sdf.pixel_rays import collect_pixel_rays
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

SETTINGS = FitSettings(resolutions=(28, 44), steps=(50, 30), rays=4000)


def rig_views() -> list[View]:
    return [photograph(camera) for camera in zero123plus_rig()]


def test_ball_and_rod_come_back_with_their_colours() -> None:
    works: list[tuple[int, int, str]] = []
    mesh = fit(rig_views(), SETTINGS, 0, lambda *work: works.append(work))
    off = np.abs(rod_on_ball(mesh.vertices.astype(np.float64)))
    assert off.mean() < 0.012
    assert np.percentile(off, 99) < 0.06
    assert mesh.vertices[:, 2].max() > 0.8  # the rod is whole
    around = mesh.vertices[(mesh.vertices[:, 2] > 0.35) & (mesh.vertices[:, 2] < 0.7)]
    assert np.linalg.norm(around[:, :2], axis=1).mean() == pytest.approx(ROD, abs=0.02)
    assert mesh.colours is not None
    side = mesh.vertices[:, 0] > 0.35
    assert mesh.colours[side, 0].mean() > mesh.colours[~side, 0].mean() + 50
    assert (80, 80, "fitting the surface") in works
    assert list(dict.fromkeys(what for _, _, what in works)) == [
        "reading the silhouettes", "carving the visual hull", "fitting the surface", "extracting the surface",
        "smoothing the surface", "colouring the surface",
    ]  # fmt: skip


def test_faces_look_outwards() -> None:
    mesh = fit(rig_views(), FitSettings((24,), (10,), 1000), 0, silent)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    assert (a * np.cross(b, c)).sum() > 0


def two_balls(points: np.ndarray) -> np.ndarray:
    large = np.linalg.norm(points + np.array([0, 0, 0.3]), axis=-1) - 0.4
    return np.minimum(large, np.linalg.norm(points - np.array([0, 0, 0.6]), axis=-1) - 0.15)


@pytest.mark.slow
def test_the_parts_that_are_wanted_are_kept() -> None:
    views = [photograph(camera, two_balls) for camera in zero123plus_rig()]
    settings = FitSettings((32,), (10,), 1000)
    tops = {}
    for parts in ("all", "large", "largest"):
        mesh = fit(views, replace(settings, parts=parts), 0, silent)
        tops[parts] = float(mesh.vertices[:, 2].max())
        assert mesh.faces.max() == len(mesh.vertices) - 1
    assert tops["all"] == tops["large"] == pytest.approx(0.75, abs=0.06)
    assert tops["largest"] == pytest.approx(0.1, abs=0.06)


@pytest.mark.slow
def test_the_number_of_threads_does_not_change_the_mesh() -> None:
    expression = "t.fit(t.rig_views(), t.SETTINGS, 7, t.silent)"
    assert mesh_digest(1, __name__, expression) == mesh_digest(2, __name__, expression)


@pytest.mark.slow
def test_another_seed_another_mesh() -> None:
    settings = FitSettings((24,), (10,), 1000)
    first, again, other = (fit(rig_views(), settings, seed, silent) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    assert first.vertices.shape != other.vertices.shape or not np.array_equal(first.vertices, other.vertices)


def tolerance_of(views: list[View]) -> float:
    silhouettes = [silhouette_distance(view.pixels[..., 3]) for view in views]
    return find_tolerance([view.camera for view in views], silhouettes, collect_pixel_rays(views))


def test_views_that_agree_need_no_tolerance_and_others_do() -> None:
    views = rig_views()
    assert tolerance_of(views) == 0
    moved = [
        View(view.name, shift(view.pixels, (0, 3 * (-1) ** i, 0), order=0), view.camera) for i, view in enumerate(views)
    ]
    assert tolerance_of(moved) > 1


def test_a_view_of_nothing_is_named() -> None:
    views = rig_views()
    views[3] = View("b3", np.zeros_like(views[3].pixels), views[3].camera)
    with pytest.raises(InputError, match="b3"):
        fit(views, SETTINGS, 0, silent)


def test_silhouettes_without_a_common_body() -> None:
    def apart(offset: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda points: np.linalg.norm(points - np.array([0, 0, offset]), axis=-1) - 0.15

    cameras = zero123plus_rig()
    views = [photograph(cameras[0], apart(0.7)), photograph(cameras[2], apart(-0.7))]
    with pytest.raises(InputError, match="no common body"):
        fit(views, SETTINGS, 0, silent)


def lopsided(points: np.ndarray) -> np.ndarray:
    """A plank on edge with a knob on one end: from every side it looks another way."""
    outside = np.abs(points) - np.array([0.7, 0.15, 0.35])
    plank = np.linalg.norm(np.maximum(outside, 0.0), axis=-1) + np.minimum(outside.max(axis=-1), 0.0)
    knob = np.linalg.norm(points - np.array([0.5, 0.3, 0.3]), axis=-1) - 0.25
    return np.minimum(plank, knob)


@pytest.mark.slow
def test_views_of_several_photos_need_their_own_cameras() -> None:
    chosen = [(0, 0), (0, 1), (45, 2), (45, 4), (-50, 3), (-50, 5)]  # azimuth of the photo, tile
    views = [photograph(zero123plus_rig(azimuth)[tile], lopsided) for azimuth, tile in chosen]
    by_place = [replace(view, camera=camera) for view, camera in zip(views, zero123plus_rig(), strict=True)]

    def error(seen: list[View]) -> float:
        try:
            mesh = fit(seen, SETTINGS, 0, silent)
        except InputError:
            return np.inf  # nothing that all of them see
        return float(np.abs(lopsided(mesh.vertices.astype(np.float64))).mean())

    own = error(views)
    assert own < 0.03
    assert error(by_place) > 4 * own

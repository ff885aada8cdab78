"""Whether pictures agree on the colours of a surface."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from helpers.sphere_tracing import photograph
from meshcli.meshes.depth_maps import depth_map
from meshcli.meshes.mesh import vertex_normals
from meshcli.progress import silent
from meshcli.reconstructors import fit
from meshcli.reconstructors.colour_targets import BandPicture, colour_disagreement
from meshcli.reconstructors.fit import MAX_DISAGREEMENT
from meshcli.sdf.fit_level import LevelOptimiser, Schedule
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

RADIUS = 0.6


def ball(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(points, axis=-1) - RADIUS)


def ball_views() -> list[View]:
    return [photograph(camera, ball, 240) for camera in zero123plus_rig()]


def unequal_views() -> list[View]:
    """The same, of different brightness."""
    views = []
    for view, factor in zip(ball_views(), (1.0, 0.9, 0.8, 1.0, 0.9, 0.8), strict=True):
        pixels = view.pixels.copy()
        pixels[..., :3] = (factor * pixels[..., :3]).astype(np.uint8)
        views.append(replace(view, pixels=pixels))
    return views


def disagreement(views: Sequence[View]) -> float:
    body = trimesh.creation.icosphere(3, radius=RADIUS)
    vertices, faces = body.vertices.astype(np.float64), body.faces.astype(np.int32)
    depths = [depth_map(vertices, faces, view.camera, view.width, view.height) for view in views]
    normals = vertex_normals(vertices, faces).astype(np.float64)
    return colour_disagreement(vertices, normals, [BandPicture.smooth(view, 2.0) for view in views], depths)


def test_true_views_agree() -> None:
    assert 0.0 < disagreement(ball_views()) < 0.5 * MAX_DISAGREEMENT


def test_views_of_different_brightness_do_not() -> None:
    assert disagreement(unequal_views()) > 2.0 * MAX_DISAGREEMENT


@pytest.mark.slow
@pytest.mark.parametrize(("views", "last"), [(ball_views, fit.LAST), (unequal_views, fit.LAST_PAINTED)])
def test_a_fit_changes_its_tuning_for_them(
    views: Callable[[], list[View]], last: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules = []

    class Recorder(LevelOptimiser):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            schedules.append(arguments[4])

    monkeypatch.setattr(fit, "LevelOptimiser", Recorder)
    evidence = fit.Evidence.of(views())
    assert evidence.tolerance == 0.0
    fit.fit_sdf(evidence, FitSettings((24, 30, 32), (30, 1, 1), 1000), 0, silent)
    assert schedules[0] == fit.ROUGH
    assert schedules[2] == last


def test_nothing_is_known_where_no_two_views_see_a_point() -> None:
    assert disagreement(ball_views()[:1]) == 0.0

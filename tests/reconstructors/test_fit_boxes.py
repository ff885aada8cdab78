"""Furniture gets flat faces: what silhouettes leave of a plate is a pillow, and edges tell that it is a plate."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.simple_bodies import ball, block
from helpers.sphere_tracing import photograph
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors.fit import BOXES_TUNING, PAINTED_TUNING, TUNING, Evidence, _tuning, fit
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

PLATE = np.array([0.6, 0.4, 0.05])  # half sides
LEG = np.array([0.06, 0.06, 0.35])
TOP = 0.4  # height of the upper side


def box(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    outside = np.abs(points) - half
    return np.linalg.norm(np.maximum(outside, 0.0), axis=-1) + np.minimum(outside.max(axis=-1), 0.0)


def table(points: np.ndarray) -> np.ndarray:
    plate = box(points - np.array([0.0, 0.0, TOP - PLATE[2]]), PLATE)
    corner = np.array([*(PLATE - LEG)[:2], TOP - 2.0 * PLATE[2] - LEG[2]])
    one_of_four = np.concatenate([np.abs(points[..., :2]), points[..., 2:]], axis=-1)
    return np.minimum(plate, box(one_of_four - corner, LEG))


def plain_views() -> list[View]:
    """Of one colour: nothing but outlines tells the shape."""
    views = [photograph(camera, table) for camera in zero123plus_rig()]
    for view in views:
        view.pixels[..., :3] = 120
    return views


def thickness(mesh: Mesh) -> float:
    """Of the plate in its middle."""
    middle = (np.abs(mesh.vertices[:, :2]) < 0.1).all(axis=1)
    return float(np.ptp(mesh.vertices[middle, 2]))


@pytest.mark.slow
def test_a_plate_is_flat_and_its_legs_are_whole() -> None:
    settings = FitSettings((24, 36), (120, 20), 3000)
    flat, pillow = (fit(plain_views(), replace(settings, boxes=boxes), 0, silent) for boxes in (True, False))
    assert thickness(pillow) > 2.0 * (2.0 * PLATE[2])  # what the outlines leave
    assert thickness(flat) < thickness(pillow) - 0.04
    corners = np.abs(flat.vertices[:, :2]) > (PLATE - 2.0 * LEG)[:2]
    feet = flat.vertices[corners.all(axis=1) & (flat.vertices[:, 2] < TOP - 0.6)]
    assert {tuple(foot) for foot in np.sign(feet[:, :2])} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert abs(flat.vertices[:, 2].min() - (TOP - 2.0 * (PLATE + LEG)[2])) < 0.04


def test_edges_and_outlines_choose_the_tuning() -> None:
    rig = zero123plus_rig()
    yaw = np.radians(20.0)
    blocks = Evidence.of([block(camera, yaw=yaw) for camera in rig])
    tuning, found = _tuning(blocks, boxes=True)
    assert tuning is BOXES_TUNING
    assert found == pytest.approx(yaw, abs=0.03)
    assert _tuning(blocks, boxes=False) == (TUNING, 0.0)
    assert _tuning(replace(blocks, silhouettes=blocks.silhouettes[:3]), boxes=True) == (TUNING, 0.0)
    assert _tuning(Evidence.of([ball(camera) for camera in rig]), boxes=True) == (TUNING, 0.0)
    assert _tuning(replace(blocks, tolerance=1.0), boxes=True) == (PAINTED_TUNING, 0.0)

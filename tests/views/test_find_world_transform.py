from dataclasses import replace

import numpy as np
import pytest

from helpers.painted_ball import ball
from meshcli.errors import ProjectError, UsageError
from meshcli.json_table import JsonTable
from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.find_world_transform import doubt_about_up, find_world_transform
from meshcli.views.projection import project
from meshcli.views.view import View
from meshcli.views.world_transform import WorldTransform

ANGLES = [(0.0, 10.0), (75.0, 30.0), (150.0, -5.0), (260.0, 20.0)]


def foreign() -> tuple[list[View], WorldTransform]:
    """Photos of a body in our world by cameras of another one, and the way back."""
    body = ball(4, radius=0.5)
    mesh = Mesh((body.vertices * [0.7, 1.0, 1.7]).astype(np.float32), body.faces, body.colours)
    renderer = Renderer(mesh)
    y_up = WorldTransform(3.0, ((0, 1, 0), (0, 0, 1), (1, 0, 0)), (4.0, -2.0, 7.0))  # ours -> foreign
    views = []
    for index, (azimuth, elevation) in enumerate(ANGLES):
        camera = orbit(azimuth, elevation)
        views.append(View(f"{index}", renderer.render(camera, 200, 200), replace(y_up.camera(camera), known="rig")))
    return views, y_up


@pytest.mark.parametrize("up", ["", "y"])
def test_the_object_comes_upright_centred_and_of_our_size(up: str) -> None:
    views, away = foreign()
    frame = find_world_transform(views, up)
    assert np.array(frame.rotation) == pytest.approx(np.array(away.rotation).T, abs=1e-9)
    assert frame.point(away.point((0, 0, 0))) == pytest.approx((0, 0, 0), abs=0.03)
    # A hull of four silhouettes is larger than its ellipsoid, so the ellipsoid is smaller than 0.95.
    top = frame.point(away.point((0, 0, 0.85)))
    assert 0.8 < top[2] < 0.97
    back = frame.camera(views[1].camera)
    assert (back.azimuth, back.elevation) == pytest.approx((75, 30), abs=2.0)
    assert back.known == "rig"


def test_a_frame_changes_no_picture() -> None:
    views, _ = foreign()
    frame = find_world_transform(views)
    points = np.random.default_rng(0).normal(size=(9, 3)) + np.array([4.0, -2.0, 7.0])
    ours = np.array([frame.point(point) for point in points])
    for view in views:
        before, depth = project(view.camera, points, 200, 200)
        after, scaled = project(frame.camera(view.camera), ours, 200, 200)
        assert after == pytest.approx(before)
        assert scaled == pytest.approx(frame.scale * depth)


def test_another_axis_may_be_up() -> None:
    views, _ = foreign()
    assert find_world_transform(views, "-z").rotation[2] == (0, 0, -1)
    with pytest.raises(UsageError, match="--up q"):
        find_world_transform(views, "q")


def test_a_single_photo_is_put_at_some_distance() -> None:
    views, _ = foreign()
    camera = find_world_transform(views[1:2], "y").camera(views[1].camera)
    assert (camera.azimuth, camera.elevation) == pytest.approx((75, 30), abs=5.0)


def test_it_is_kept_in_the_manifest() -> None:
    frame = find_world_transform(foreign()[0])
    again = WorldTransform.read(JsonTable(frame.to_json(), "frame", ProjectError))
    assert again.point((1, 2, 3)) == pytest.approx(frame.point((1, 2, 3)))
    with pytest.raises(ProjectError, match="to_ours"):
        WorldTransform.read(JsonTable({"to_ours": [[0, 0, 0, 1]] * 4}, "frame", ProjectError))


@pytest.mark.parametrize(
    ("azimuths", "elevation", "roll", "doubt"),
    [
        ((0, 90, 180), 10.0, 0.0, ""),
        ((0, 4), 10.0, 0.0, "one side"),
        ((0, 120, 240), 80.0, 0.0, "mostly along it"),
        ((0, 90, 180), 10.0, 25.0, "tilted sideways"),
        ((0, 90, 180), 10.0, 180.0, "upside down"),
    ],
)
def test_a_doubtful_up_axis_is_called_so(azimuths: tuple[int, ...], elevation: float, roll: float, doubt: str) -> None:
    cameras = [orbit(azimuth, elevation) for azimuth in azimuths]
    pose = np.array(cameras[0].camera_to_world)
    turn = np.radians(roll)
    pose[:3, :2] = pose[:3, :2] @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    cameras[0] = replace(cameras[0], camera_to_world=tuple(map(tuple, pose.tolist())))
    views = [View("a", np.zeros((1, 1, 4), np.uint8), camera) for camera in cameras]
    found = doubt_about_up(views, (0.0, 0.0, 1.0))
    assert doubt in found if doubt else found == ""

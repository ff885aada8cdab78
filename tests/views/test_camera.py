import json
import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.golden import Arrays, Numbers
from meshcli.errors import InputError
from meshcli.views import projection
from meshcli.views.camera import Camera, orbit, zero123plus_rig

CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.6, 0.6) for z in (-0.7, 0.7)])


@pytest.fixture(scope="module")
def published(numbers: Numbers) -> Arrays:
    return numbers.arrays("cameras")


def sixteen(camera: Camera) -> np.ndarray:
    """First three rows of the pose, then the lens: what InstantMesh's network is fed."""
    return np.array([*np.ravel(camera.camera_to_world[:3]), camera.fx, camera.fy, camera.cx, camera.cy])


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_rig_equals_the_published_one(published: Arrays, scale: float) -> None:
    """get_zero123plus_input_cameras (InstantMesh's src/utils/camera_util.py)."""
    ours = [sixteen(camera) for camera in zero123plus_rig(relative_scale=1.0 / scale)]
    np.testing.assert_allclose(ours, published[f"input_cameras_scale_{scale}"][0], atol=1e-6)


def test_circles_equal_the_published_ones(numbers: Numbers, published: Arrays) -> None:
    """get_circular_camera_poses, and get_render_cameras of run.py."""
    for circle in numbers.facts("cameras")["circular"]:
        count, radius, elevation = circle["M"], circle["radius"], circle["elevation_deg"]
        cameras = [orbit(360.0 * i / count, elevation, radius) for i in range(count)]
        poses = np.array([projection.camera_to_world(camera) for camera in cameras])
        inverses = np.array([projection.world_to_camera(camera) for camera in cameras])
        lenses = np.array([[camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1] for camera in cameras])
        name = f"circular_{circle['index']}"
        np.testing.assert_allclose(poses, published[f"{name}_c2w"], atol=1e-6)
        np.testing.assert_allclose(inverses, published[f"{name}_render_cameras_mesh_w2c"][0], atol=2e-6)
        rows = np.hstack([poses.reshape(count, 16), lenses])
        np.testing.assert_allclose(rows, published[f"{name}_render_cameras_nerf"][0], atol=1e-6)


def test_steep_angles_equal_the_published_ones(published: Arrays) -> None:
    """spherical_camera_pose."""
    angles = zip(published["spherical_azimuth_deg"], published["spherical_elevation_deg"], strict=True)
    poses = [projection.camera_to_world(orbit(azimuth, elevation, 2.5)) for azimuth, elevation in angles]
    np.testing.assert_allclose(poses, published["spherical_c2w"], atol=1e-6)


@pytest.mark.parametrize("fov", [30.0, 50.0, 49.1])
def test_lens_equals_the_published_one(published: Arrays, fov: float) -> None:
    """FOV_to_intrinsics."""
    camera = orbit(0.0, 0.0, fov=fov)
    lens = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
    np.testing.assert_allclose(lens, published[f"intrinsics_fov_{fov}"], rtol=1e-6)
    assert camera.fov == pytest.approx(fov)


def test_projection_equals_the_published_one(published: Arrays) -> None:
    """NeuralRender: world to camera to clip space, whose rows grow downwards as in a picture."""
    camera = orbit(0.0, 20.0, 4.5)  # the first of the first circle
    points = published["project_points_world"].astype(np.float64)
    seen = np.hstack([points, np.ones((len(points), 1))]) @ projection.world_to_camera(camera).T
    np.testing.assert_allclose(seen, published["project_points_camera"][0], atol=1e-5)
    spots, depth = projection.project(camera, points, 640, 480)
    clip = published["project_points_clip"][0]
    np.testing.assert_allclose(depth, clip[:, 3], atol=1e-5)
    np.testing.assert_allclose(spots, (clip[:, :2] / clip[:, 3:] + 1.0) / 2.0 * (640, 480), atol=1e-3)


@pytest.mark.parametrize("fov", [30.0, 50.0])
def test_projection_matrix_equals_the_published_one(published: Arrays, fov: float) -> None:
    """PerspectiveCamera (InstantMesh's geometry/camera/perspective_camera.py)."""
    camera = orbit(70.0, -10.0, 3.0, fov)
    seen = np.hstack([CORNERS, np.ones((len(CORNERS), 1))]) @ projection.world_to_camera(camera).T
    clip = seen @ published[f"projection_fovy_{fov}"][0].T
    spots, _ = projection.project(camera, CORNERS, 400, 400)
    np.testing.assert_allclose(spots, (clip[:, :2] / clip[:, 3:] + 1.0) * 200, atol=1e-3)


def test_azimuth_grows_counter_clockwise_and_z_is_up() -> None:
    assert orbit(0.0, 0.0).position == pytest.approx((4.0, 0.0, 0.0))
    assert orbit(90.0, 0.0).position == pytest.approx((0.0, 4.0, 0.0))
    assert orbit(0.0, 90.0).position == pytest.approx((0.0, 0.0, 4.0))
    spots, _ = projection.project(orbit(0.0, 0.0), np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.1]]), 100, 100)
    assert spots[0, 0] > 50.0  # +y is at the right of a camera on +x
    assert spots[0, 1] == pytest.approx(50.0)
    assert spots[1, 1] < 50.0  # up is up


def test_angles_come_back() -> None:
    camera = orbit(217.5, -31.0, 2.7, 41.0)
    assert (camera.azimuth, camera.elevation) == pytest.approx((217.5, -31.0))
    assert (camera.distance, camera.fov) == pytest.approx((2.7, 41.0))


def test_a_turned_camera_sees_a_turned_world() -> None:
    camera, degrees = orbit(20.0, 15.0), 75.0
    angle = math.radians(degrees)
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0], [0.0, 0.0, 1.0]]
    )
    before, _ = projection.project(camera, CORNERS, 320, 320)
    after, _ = projection.project(camera.turned(degrees), CORNERS @ turn.T, 320, 320)
    np.testing.assert_allclose(after, before, atol=1e-9)
    assert camera.turned(degrees).azimuth == pytest.approx(95.0)


def test_quarter_turns_are_exact() -> None:
    camera = orbit(33.0, 12.0)
    assert camera.turned(90.0).turned(270.0) == camera


@pytest.mark.parametrize("frame", [(0.25, 0.1, 0.5, 0.8), (-0.2, -0.3, 1.6, 1.4)])
def test_cropping_moves_pixels_and_nothing_else(frame: tuple[float, float, float, float]) -> None:
    left, top, width, height = frame
    camera = orbit(70.0, 10.0)
    whole, depth = projection.project(camera, CORNERS, 400, 300)
    part, same = projection.project(camera.cropped(*frame), CORNERS, 200, 100)
    scale = np.array([200 / (400 * width), 100 / (300 * height)])
    np.testing.assert_allclose(part, (whole - (400 * left, 300 * top)) * scale, atol=1e-9)
    np.testing.assert_array_equal(depth, same)


def test_rays_return_to_their_pixels() -> None:
    camera = orbit(123.0, -20.0, 3.0, 40.0).cropped(0.1, -0.2, 0.7, 1.1)
    pixels = projection.pixel_centres(6, 4)
    assert tuple(pixels[0, 0]) == (0.5, 0.5)
    origins, directions = projection.rays(camera, pixels, 6, 4)
    spots, depth = projection.project(camera, origins + 2.5 * directions, 6, 4)
    np.testing.assert_allclose(spots, pixels, atol=1e-9)
    assert (depth > 0.0).all()


def test_sub_pixel_samples_are_centred() -> None:
    fine = projection.pixel_centres(5 * 4, 3 * 4) / 4
    np.testing.assert_allclose(fine.reshape(3, 4, 5, 4, 2).mean((1, 3)), projection.pixel_centres(5, 3))


def test_json_keeps_every_bit() -> None:
    camera = replace(orbit(1.0 / 3.0, 7.1, known="rig"), cx=0.51, cy=0.47)
    assert Camera.from_json(json.loads(json.dumps(camera.to_json()))) == camera


def mirrored(table: dict) -> None:
    for row in table["camera_to_world"]:
        row[0] = -row[0]


def stretched(table: dict) -> None:
    for row in table["camera_to_world"][:3]:
        row[1] *= 1.1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda table: table.pop("fx"), "has no 'fx'"),
        (lambda table: table.update(fx=0.0), "above 0"),
        (lambda table: table.update(fy="wide"), "no number"),
        (lambda table: table.update(cx=math.nan), "not finite"),
        (lambda table: table.update(known="guessed"), "guessed"),
        (lambda table: table["camera_to_world"].pop(), "4 rows of 4"),
        (lambda table: table["camera_to_world"][3].__setitem__(3, 2.0), "last row"),
        (mirrored, "mirror"),
        (stretched, "perpendicular"),
    ],
)
def test_a_broken_camera_is_refused_with_the_reason(spoil, says: str) -> None:
    table = orbit(30.0, 20.0).to_json()
    spoil(table)
    with pytest.raises(InputError, match=says):
        Camera.from_json(table)


def test_three_photos_at_120_degrees_lend_two_tiles_each_to_the_rig_of_one() -> None:
    by_place = [camera for azimuth in (0.0, 120.0, 240.0) for camera in zero123plus_rig(azimuth)[:2]]
    for ours, rig in zip(by_place, zero123plus_rig(), strict=True):
        assert sixteen(ours) == pytest.approx(sixteen(rig), abs=1e-12)
    anywhere = [camera for azimuth in (0.0, 45.0, -50.0) for camera in zero123plus_rig(azimuth)[:2]]
    assert sixteen(anywhere[2]) != pytest.approx(sixteen(zero123plus_rig()[2]), abs=0.1)

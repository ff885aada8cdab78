import numpy as np
import pytest

from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.texturing.mirrored_pictures import mirrored_camera, mirrored_pictures
from meshcli.views.camera import orbit
from meshcli.views.projection import project
from meshcli.views.view import View


@pytest.mark.parametrize(("yaw", "offset"), [(0.0, 0.0), (35.0, 0.1), (270.0, -0.2)])
def test_a_mirrored_point_is_seen_where_the_picture_is_mirrored(yaw: float, offset: float) -> None:
    plane = MirrorPlane(np.array([np.cos(np.radians(yaw)), np.sin(np.radians(yaw)), 0.0]), offset, 1.0)
    camera = orbit(20.0, 15.0).cropped(0.1, 0.05, 0.7, 0.8)
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.4
    seen, depths = project(camera, points, 300, 200)
    mirrored, other_depths = project(mirrored_camera(camera, plane), plane.reflect(points), 300, 200)
    assert np.allclose(mirrored, [300.0, 0.0] + seen * [-1.0, 1.0], atol=1e-9)
    assert np.allclose(other_depths, depths)


def test_pictures_exchange_left_and_right() -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    plane = MirrorPlane(np.array([1.0, 0.0, 0.0]), 0.0, 1.0)
    (mirrored,) = mirrored_pictures([View("a", pixels, orbit(0.0, 0.0))], plane)
    assert np.array_equal(mirrored.pixels[:, 0], pixels[:, 2])
    assert mirrored.camera.azimuth == pytest.approx(180.0)  # the plane is across the view: the back, mirrored

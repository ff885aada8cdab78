"""What photos leave open is assumed: boxes have flat faces and straight edges, and things stand on a flat base."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.simple_bodies import ball, block
from meshcli.generators.sculpt.sculpt import Sculpture, sculpt
from meshcli.generators.sculpt.shape_prior import visual_hull_of
from meshcli.meshes.mesh import Mesh, face_normals
from meshcli.progress import silent
from meshcli.sdf.ground import ground_height
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.manhattan import manhattan_frame
from meshcli.views.view import View

FIT = FitSettings(resolutions=(40,), steps=(1,), rays=3000)
HALF = (0.35, 0.6, 0.5)
YAW = np.radians(20.0)


def photos_of_block(
    yaw: float, azimuths: tuple[float, ...] = (0.0, 120.0, 240.0), elevation: float = 10.0
) -> list[View]:
    cameras = [orbit(azimuth + np.degrees(yaw), elevation, known="rig") for azimuth in azimuths]
    return [block(camera, HALF, name, yaw) for camera, name in zip(cameras, "abcdef", strict=False)]


def sculpted(boxes: bool = True, ground: bool = True) -> Sculpture:
    settings = SculptSettings(
        view_size=64,
        relief=80,
        boxes=boxes,
        ground=ground,
        symmetry=False,
        fit_resolutions=(24, 40),
        fit_steps=(60, 40),
    )
    return sculpt(photos_of_block(YAW), settings, FIT, [0, 1, 2], silent)


def straightness(mesh: Mesh) -> float:
    """Share of the area that faces along the block's axes within 10 degrees."""
    normals = face_normals(mesh.vertices, mesh.faces)
    area = np.linalg.norm(normals, axis=1)
    axes = np.array([[np.cos(YAW), np.sin(YAW), 0.0], [-np.sin(YAW), np.cos(YAW), 0.0], [0.0, 0.0, 1.0]])
    along = np.abs(normals @ axes.T).max(axis=1) > np.cos(np.radians(10.0)) * area
    return float(area[along].sum() / area.sum())


@pytest.mark.parametrize("yaw", [0.0, 20.0, 65.0, 88.0])
def test_edges_tell_how_a_box_is_turned(yaw: float) -> None:
    frame = manhattan_frame(photos_of_block(np.radians(yaw)))
    assert frame.clear
    assert abs((np.degrees(frame.yaw) - yaw + 45.0) % 90.0 - 45.0) < 1.6


def test_a_ball_has_no_frame() -> None:
    assert not manhattan_frame([ball(orbit(azimuth, 10.0)) for azimuth in (0.0, 120.0, 240.0)]).clear


def test_a_picture_without_an_edge_has_no_frame() -> None:
    plain = View("a", np.full((64, 64, 4), 255, np.uint8), orbit(0.0, 10.0))
    assert not manhattan_frame([plain]).clear


@pytest.mark.parametrize("azimuths", [(0.0, 120.0, 240.0), (0.0, 45.0, -45.0), (10.0, 80.0)])
def test_the_ground_is_where_a_box_stands(azimuths: tuple[float, ...]) -> None:
    photos = photos_of_block(YAW, azimuths)
    found = ground_height(photos, visual_hull_of(photos))
    assert found is not None
    assert -HALF[2] - 0.06 < found < -HALF[2] + 0.01


@pytest.mark.parametrize("elevation", [-10.0, 60.0])
def test_photos_from_below_or_steeply_above_tell_no_ground(elevation: float) -> None:
    photos = photos_of_block(YAW, elevation=elevation)
    assert ground_height(photos, visual_hull_of(photos)) is None


def test_pictures_that_cut_the_object_off_tell_no_ground() -> None:
    whole = photos_of_block(YAW)
    height = int(0.6 * whole[0].height)
    share = height / whole[0].height
    cut = [
        replace(photo, pixels=photo.pixels[:height], camera=photo.camera.cropped(0.0, 0.0, 1.0, share))
        for photo in whole
    ]
    assert cut[0].pixels[-1, :, 3].any()
    assert ground_height(cut, visual_hull_of(cut)) is None
    assert ground_height([cut[0], *whole[1:]], visual_hull_of(whole)) is not None


def test_silhouettes_without_a_common_body_tell_no_ground() -> None:
    photos = [ball(orbit(azimuth, 10.0), 0.1, (0.0, 0.0, height)) for azimuth, height in ((0.0, 0.5), (90.0, -0.5))]
    assert ground_height(photos, visual_hull_of(photos)) is None


@pytest.mark.slow
def test_a_box_gets_flat_faces_and_a_base() -> None:
    assumed, plain = sculpted(), sculpted(boxes=False, ground=False)
    assert straightness(assumed.mesh) > 0.8
    assert straightness(assumed.mesh) > straightness(plain.mesh) + 0.1
    low, high = assumed.mesh.vertices[:, 2].min(), assumed.mesh.vertices[:, 2].max()
    assert abs(low + HALF[2]) < 0.06
    assert abs(high - HALF[2]) < 0.06
    assert plain.mesh.vertices[:, 2].min() < low - 0.03
    notes = " ".join(assumed.notes)
    assert "a box" in notes
    assert "underside" in notes
    assert plain.notes == []

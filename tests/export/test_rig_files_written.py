"""Rig files: what meshcli's own readers make of them, and the formats' conventions written out by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshcli.export.rigs import RigFrame, rig_files
from meshcli.export.scene import SceneCamera
from meshcli.views.camera import Camera, orbit
from meshcli.views.rig_files import read_rig
from meshcli.views.world_transform import WorldTransform

FRAME = RigFrame(WorldTransform(2.0, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, -0.5)))
OFF_CENTRE = replace(orbit(33.0, 20.0, 1.7), cx=0.41, cy=0.57)
CAMERAS = [
    SceneCamera("photo_a", "photo", OFF_CENTRE, 640, 480, "photos/a.original.jpg"),
    SceneCamera("photo_b", "photo", orbit(180.0, 0.0, 2.0).rolled(1), 480, 640, "photos/b.original.jpg"),
    SceneCamera("photo_c", "photo", orbit(270.0, 90.0, 1.0), 640, 480, "photos/c.original.jpg"),
    SceneCamera("view_a3", "view", orbit(123.0, -10.0, 1.5), 320, 320, "views/03.png"),
    SceneCamera("turntable", "turntable", orbit(0.0, 15.0, 4.0), 512, 512),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in rig_files(CAMERAS, FRAME, {"photos/a.original.jpg": "scan/1.jpg"}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def same(camera: Camera, other: Camera) -> bool:
    numbers = [[each.fx, each.fy, each.cx, each.cy, *np.ravel(each.camera_to_world)] for each in (camera, other)]
    return np.allclose(*numbers, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("name", ["cameras.json", "transforms.json", "colmap"])
def test_our_readers_get_the_same_cameras(folder: Path, name: str) -> None:
    rig = read_rig(folder / name)
    assert rig.foreign
    expected = CAMERAS[:3] if name == "cameras.json" else CAMERAS[:4]
    assert len(rig.images) == len(expected)
    for image, wanted in zip(rig.images, expected, strict=True):
        assert same(image.camera((wanted.width, wanted.height)), wanted.camera), wanted.name


def test_our_own_file_names_the_photos_as_they_were_handed_in(folder: Path) -> None:
    table = json.loads((folder / "cameras.json").read_text())
    assert [row["file"] for row in table["photos"]] == ["scan/1.jpg", *(f"photos/{x}.original.jpg" for x in "bc")]
    assert table["photos"][0]["picture"] == "photos/a.original.jpg"
    assert same(Camera.from_json(table["views"][0]["camera"]), CAMERAS[3].camera)
    assert same(Camera.from_json(table["turntable"][0]["camera"]), CAMERAS[4].camera)
    assert table["frame"]["to_ours"][2] == [0.0, 0.0, 2.0, -0.5]


def test_nerfstudio_has_opengl_axes_and_pixels(folder: Path) -> None:
    table = json.loads((folder / "transforms.json").read_text())
    row = table["frames"][0]
    assert row["file_path"] == "../photos/a.original.jpg"
    assert (row["w"], row["h"], row["cx"], row["cy"]) == (640, 480, pytest.approx(262.4), pytest.approx(273.6))
    assert row["fl_y"] == pytest.approx(CAMERAS[0].camera.fy * 480)
    matrix = np.array(row["transform_matrix"])
    assert -matrix[:3, 2] @ -matrix[:3, 3] == pytest.approx(1.7)  # looks along -z, towards the origin


def test_colmap_has_world_to_camera_with_y_down(folder: Path) -> None:
    lines = [line for line in (folder / "colmap/images.txt").read_text().splitlines() if line and line[0] != "#"]
    numbers = [float(word) for word in lines[0].split()[1:8]]
    w, x, y, z = numbers[:4]
    assert w * w + x * x + y * y + z * z == pytest.approx(1.0)
    # The origin lies straight ahead: at +z of the camera, 1.7 away.
    assert numbers[4:] == pytest.approx([0.0, 0.0, 1.7], abs=1e-12)
    # A point above the origin is up in the picture, at negative y: the second row of the rotation, times (0, 0, 1).
    assert 2.0 * (y * z - w * x) == pytest.approx(-np.cos(np.radians(20.0)))
    cameras = [line for line in (folder / "colmap/cameras.txt").read_text().splitlines() if line[0] != "#"]
    assert cameras[0].split()[:4] == ["1", "PINHOLE", "640", "480"]
    assert (folder / "colmap/points3D.txt").is_file()

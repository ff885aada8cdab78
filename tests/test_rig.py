import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshcli.camera import Camera, orbit
from meshcli.errors import InputError
from meshcli.projection import project
from meshcli.rig import read_rig

POINTS = np.random.default_rng(1).normal(size=(20, 3)) * 0.4


def same_pictures(camera: Camera, wanted: Camera, width: int = 640, height: int = 480) -> None:
    found, depth = project(camera, POINTS, width, height)
    truth, truth_depth = project(wanted, POINTS, width, height)
    assert found == pytest.approx(truth, abs=1e-6)
    assert depth == pytest.approx(truth_depth)


def nerfstudio(folder: Path, **changes: object) -> Path:
    frames = [
        {
            "file_path": f"./images/{index}.jpg",
            "transform_matrix": orbit(40.0 * index, 10.0).to_json()["camera_to_world"],
        }
        for index in range(3)
    ]
    table = {"w": 640, "h": 480, "fl_x": 900.0, "fl_y": 890.0, "cx": 310.0, "cy": 250.0, "frames": frames, **changes}
    path = folder / "transforms.json"
    path.write_text(json.dumps(table))
    return path


def test_nerfstudio(tmp_path: Path) -> None:
    rig = read_rig(nerfstudio(tmp_path, k1=0.1))
    assert list(rig.cameras) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (rig.foreign, rig.bent, rig.sizes["1.jpg"]) == (True, True, (640, 480))
    wanted = Camera(orbit(40, 10).camera_to_world, 900 / 640, 890 / 480, 310 / 640, 250 / 480, "rig")
    assert rig.cameras["1.jpg"] == wanted
    assert rig.files["1.jpg"] == tmp_path / "images/1.jpg"
    assert read_rig(tmp_path).cameras == rig.cameras  # its folder will do


def test_blender_files_have_an_angle_and_no_size(tmp_path: Path) -> None:
    frame = {"file_path": "train/r_0", "transform_matrix": [list(row) for row in orbit(0, 0).camera_to_world]}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"camera_angle_x": math.radians(40.0), "frames": [frame]}))
    with pytest.raises(InputError, match="w and h are missing"):
        read_rig(path)
    (tmp_path / "train").mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "train/r_0.png")
    rig = read_rig(path)
    camera = rig.find("r_0.png")
    assert camera is not None
    assert camera.fx == pytest.approx(0.5 / math.tan(math.radians(20)))
    assert camera.fy == pytest.approx(2 * camera.fx)


def colmap(folder: Path, model: str = "PINHOLE", parameters: str = "900 890 310 250") -> list[Camera]:
    """Cameras, and the files in which COLMAP would write them."""
    folder.mkdir(parents=True, exist_ok=True)
    lens = (900 / 640, 890 / 480, 310 / 640, 250 / 480)
    cameras = [Camera(orbit(70.0 * index - 30.0, 12.0, 3.0).camera_to_world, *lens) for index in range(3)]
    lines = ["# a comment"]
    for index, camera in enumerate(cameras, 1):
        pose = np.array(camera.camera_to_world)
        rotation = (pose[:3, :3] * [1, -1, -1]).T  # world to camera, y down, z forward
        shift = -rotation @ pose[:3, 3]
        w = math.sqrt(max(0.0, 1 + np.trace(rotation))) / 2
        x, y, z = (rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1])
        quaternion = [w, x / (4 * w), y / (4 * w), z / (4 * w)]
        lines += [" ".join(map(str, [index, *quaternion, *shift, 7, f"sub dir/p {index}.png"])), ""]
    (folder / "images.txt").write_text("\n".join(lines))
    (folder / "cameras.txt").write_text(f"# c\n7 {model} 640 480 {parameters}\n")
    return cameras


@pytest.mark.parametrize("place", ["", "sparse/0"])
def test_colmap(place: str, tmp_path: Path) -> None:
    cameras = colmap(tmp_path / place)
    rig = read_rig(tmp_path)
    assert list(rig.cameras) == ["p 1.png", "p 2.png", "p 3.png"]
    for found, wanted in zip(rig.cameras.values(), cameras, strict=True):
        same_pictures(found, wanted)
        assert found.known == "rig"
    assert (rig.foreign, rig.bent) == (True, False)
    assert read_rig(tmp_path / place / "images.txt").cameras == rig.cameras


def test_colmap_with_one_focal_length_and_distortion(tmp_path: Path) -> None:
    colmap(tmp_path, "SIMPLE_RADIAL", "900 310 250 0.02")
    rig = read_rig(tmp_path)
    camera = rig.cameras["p 1.png"]
    assert (camera.fx, camera.fy, camera.cy) == pytest.approx((900 / 640, 900 / 480, 250 / 480))
    assert rig.bent


def test_our_own(tmp_path: Path) -> None:
    rows = [{"file": "1.png", "camera": orbit(30, 5).to_json()}]
    (tmp_path / "cameras.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    rig = read_rig(tmp_path / "cameras.json")
    assert not rig.foreign
    assert rig.cameras["1.png"].azimuth == pytest.approx(30)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": []}, "has no cameras"),
        ({"fl_x": None, "fl_y": None}, "fl_x is missing"),
        ({"fl_x": "x"}, "fl_x is unusable"),
        ({"camera_model": "OPENCV_FISHEYE"}, "fisheye"),
        ({"frames": [{"file_path": "a", "transform_matrix": [[1]]}]}, "4 rows of 4"),
        ({"frames": [{"file_path": "a"}]}, "no rig that can be read"),
    ],
)
def test_a_damaged_file_says_where(change: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read_rig(nerfstudio(tmp_path, **change))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("cameras.txt", "7 FOV 640 480 1 2 3 4", "this camera model"),
        ("cameras.txt", "7 PINHOLE 640 480 900", "no number at place 6"),
        ("cameras.txt", "8 PINHOLE 640 480 900 900 3 3", "no image with a camera"),
        ("cameras.txt", "7 PINHOLE 640 480 -1 900 3 3", "no picture has"),
        ("images.txt", "1 0 0 0 0 1 2 3 7 a.png\n", "length 0"),
        ("images.txt", "1 nan 0 0 0 1 2 3 7 a.png\n", "not finite"),
        ("images.txt", "", "has no cameras"),
        ("images.txt", "1 1 0 0 0 1 2 3 7 x/a.png\n\n2 1 0 0 0 1 2 3 7 y/a.png\n\n", "two pictures called"),
    ],
)
def test_damaged_text_says_where(file: str, text: str, says: str, tmp_path: Path) -> None:
    colmap(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=says):
        read_rig(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=r"no cameras\.txt and images\.txt"):
        read_rig(tmp_path)

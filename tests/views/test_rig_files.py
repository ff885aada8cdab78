import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from meshcli.errors import InputError
from meshcli.views.camera import Camera, orbit
from meshcli.views.projection import project
from meshcli.views.rig_files import Rig, RigImage, read_rig

POINTS = np.random.default_rng(1).normal(size=(20, 3)) * 0.4


def same_pictures(camera: Camera, wanted: Camera, width: int = 640, height: int = 480) -> None:
    found, depth = project(camera, POINTS, width, height)
    truth, truth_depth = project(wanted, POINTS, width, height)
    assert found == pytest.approx(truth, abs=1e-6)
    assert depth == pytest.approx(truth_depth)


def called(rig: Rig, name: str) -> RigImage:
    (shot,) = (shot for shot in rig.images if shot.name == name)
    return shot


def seen(rig: Rig, name: str, size: tuple[int, int] = (1, 1)) -> Camera:
    return called(rig, name).camera(size)


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
    assert [shot.name for shot in rig.images] == ["./images/0.jpg", "./images/1.jpg", "./images/2.jpg"]
    shot = rig.images[1]
    assert (rig.foreign, rig.distorted, shot.size) == (True, True, (640, 480))
    wanted = Camera(orbit(40, 10).camera_to_world, 900 / 640, 890 / 480, 310 / 640, 250 / 480, "rig")
    assert shot.camera((1, 1)) == wanted
    assert shot.file is None
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.jpg").touch()
    assert shot.file == tmp_path / "images/1.jpg"
    assert read_rig(tmp_path).images == rig.images  # its folder will do


def test_blender_files_have_an_angle_and_no_size(tmp_path: Path) -> None:
    frame = {"file_path": "train/r_0", "transform_matrix": [list(row) for row in orbit(0, 0).camera_to_world]}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"camera_angle_x": math.radians(40.0), "frames": [frame]}))
    (shot,) = read_rig(path).images
    assert shot.size is None
    camera = shot.camera((200, 100))
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
        lines += [" ".join(map(str, [index, *quaternion, *shift, 7, f"sub dir/p  {index}.png"])), ""]
    (folder / "images.txt").write_text("\n".join(lines))
    (folder / "cameras.txt").write_text(f"# c\n7 {model} 640 480 {parameters}\n")
    return cameras


@pytest.mark.parametrize("place", ["", "sparse/0"])
def test_colmap(place: str, tmp_path: Path) -> None:
    cameras = colmap(tmp_path / place)
    rig = read_rig(tmp_path)
    assert [shot.name for shot in rig.images] == ["sub dir/p  1.png", "sub dir/p  2.png", "sub dir/p  3.png"]
    for shot, wanted in zip(rig.images, cameras, strict=True):
        same_pictures(shot.camera((1, 1)), wanted)
        assert (shot.camera((1, 1)).known, shot.size) == ("rig", (640, 480))
    assert (rig.foreign, rig.distorted) == (True, False)
    assert read_rig(tmp_path / place / "images.txt").images == rig.images
    for folder in ("", "images"):  # where people keep the pictures
        (tmp_path / folder / "sub dir").mkdir(parents=True)
        picture = tmp_path / folder / "sub dir/p  1.png"
        picture.touch()
        assert rig.images[0].file == picture


def test_colmap_with_one_focal_length_and_distortion(tmp_path: Path) -> None:
    colmap(tmp_path, "SIMPLE_RADIAL", "900 310 250 0.02")
    rig = read_rig(tmp_path)
    camera = rig.images[0].camera((1, 1))
    assert (camera.fx, camera.fy, camera.cy) == pytest.approx((900 / 640, 900 / 480, 250 / 480))
    assert rig.distorted


MODEL_NUMBERS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "FULL_OPENCV": 6}


def binary(folder: Path, points: int = 2) -> None:
    """The text in a folder as COLMAP writes it in binary."""
    lines = [line.split() for line in (folder / "cameras.txt").read_text().splitlines() if line[0] != "#"]
    data = struct.pack("<Q", len(lines))
    for key, model, width, height, *parameters in lines:
        data += struct.pack("<iiQQ", int(key), MODEL_NUMBERS[model], int(width), int(height))
        data += struct.pack(f"<{len(parameters)}d", *map(float, parameters))
    (folder / "cameras.bin").write_bytes(data)
    named = [line for line in (folder / "images.txt").read_text().splitlines() if line and line[0] != "#"]
    data = struct.pack("<Q", len(named))
    for line in named:
        words = line.split(maxsplit=9)
        data += struct.pack("<i7di", int(words[0]), *map(float, words[1:8]), int(words[8]))
        data += words[9].encode() + b"\0" + struct.pack("<Q", points) + struct.pack("<ddq", 1.5, 2.5, -1) * points
    (folder / "images.bin").write_bytes(data)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [("SIMPLE_PINHOLE", "900 310 250"), ("PINHOLE", "900 890 310 250"), ("SIMPLE_RADIAL", "900 310 250 0.02"),
     ("RADIAL", "900 310 250 0 0"), ("OPENCV", "900 890 310 250 0 0 .1 0"),
     ("FULL_OPENCV", "900 890 310 250 0 0 0 0 0 0 0 .1")],
)  # fmt: skip
def test_colmap_in_binary_is_the_same_to_the_bit(model: str, parameters: str, tmp_path: Path) -> None:
    colmap(tmp_path / "sparse/0", model, parameters)
    wanted = read_rig(tmp_path)
    binary(tmp_path / "sparse/0")
    for name in ("cameras.txt", "images.txt"):
        (tmp_path / "sparse/0" / name).unlink()
    assert len(wanted.images) == 3
    assert read_rig(tmp_path) == read_rig(tmp_path / "sparse/0/images.bin") == wanted


def test_of_binary_and_text_the_binary_is_taken_unless_the_text_is_named(tmp_path: Path) -> None:
    colmap(tmp_path)
    binary(tmp_path)
    colmap(tmp_path, parameters="800 890 310 250")
    assert [read_rig(tmp_path / name).images[0].camera((1, 1)).fx for name in ("", "cameras.bin", "images.txt")] == [
        900 / 640, 900 / 640, 800 / 640,
    ]  # fmt: skip
    (tmp_path / "images.bin").unlink()
    assert read_rig(tmp_path).images[0].camera((1, 1)).fx == 800 / 640
    with pytest.raises(InputError, match=r"has no cameras\.bin and images\.bin"):
        read_rig(tmp_path / "cameras.bin")


def numbers(layout: str, *values: float) -> bytes:
    return struct.pack(f"<{layout}", *values)


IMAGE_START = numbers("Q", 1) + numbers("i7di", 1, 1, 0, 0, 0, 1, 2, 3, 7)


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("cameras.bin", b"", "is cut off"),
        ("cameras.bin", numbers("Q", 2**63), f"promises {2**63} cameras"),
        ("cameras.bin", numbers("QiiQQ", 1, 7, 1, 640, 480), "is cut off"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 7, 5, 640, 480, 1, 2, 3, 4), "the camera model 'OPENCV_FISHEYE' cannot"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 7, -1, 640, 480, 1, 2, 3, 4), "'number -1' cannot"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 7, 1, 2**64 - 1, 480, 9, 9, 3, 4), "no picture has"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 7, 1, 640, 480, math.nan, 9, 3, 4), "camera 1 holds a number that"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 8, 1, 640, 480, 9, 9, 3, 4), "no image with a camera of cameras.bin"),
        ("cameras.bin", numbers("QiiQQ4d", 1, 7, 1, 640, 480, 9, 9, 3, 4) + b"x", "goes on after its last record"),
        ("images.bin", numbers("Q", 0), "has no cameras"),
        ("images.bin", numbers("Q", 10**9), "promises 1000000000 images"),
        ("images.bin", IMAGE_START + b"a" * 9000 + numbers("xQ", 0), "image 1 has a name that does not end"),
        ("images.bin", IMAGE_START + b"a.png" + b"\1" * 8, "name that does not end"),
        ("images.bin", IMAGE_START + b"\xff.png" + numbers("xQ", 0), "no text in UTF-8"),
        ("images.bin", IMAGE_START + numbers("xQ", 0), "no image with a camera"),
        ("images.bin", IMAGE_START + b"a.png" + numbers("xQ", 2**62), f"promises {2**62} points"),
        ("images.bin", IMAGE_START + b"a.png" + numbers("xQ", 0) + b"\0", "goes on after"),
    ],
)
def test_damaged_binary_says_where(file: str, data: bytes, says: str, tmp_path: Path) -> None:
    colmap(tmp_path)
    binary(tmp_path)
    (tmp_path / file).write_bytes(data)
    with pytest.raises(InputError, match=says) as caught:
        read_rig(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_our_own(tmp_path: Path) -> None:
    rows = [{"file": "1.png", "camera": orbit(30, 5).to_json()}]
    (tmp_path / "cameras.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    rig = read_rig(tmp_path / "cameras.json")
    assert not rig.foreign
    assert seen(rig, "1.png").azimuth == pytest.approx(30)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": []}, "has no cameras"),
        ({"fl_x": None, "fl_y": None}, "fl_x is missing"),
        ({"fl_x": "x"}, "fl_x is unusable"),
        ({"camera_model": "OPENCV_FISHEYE"}, "OPENCV_FISHEYE"),
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
        ("cameras.txt", "7 FOV 640 480 1 2 3 4", "the camera model 'FOV' cannot"),
        ("cameras.txt", "7 PINHOLE 640 480 900", "no number at place 6"),
        ("cameras.txt", "8 PINHOLE 640 480 900 900 3 3", "no image with a camera"),
        ("cameras.txt", "7 PINHOLE 640 480 -1 900 3 3", "no picture has"),
        ("images.txt", "1 0 0 0 0 1 2 3 7 a.png\n", "length 0"),
        ("images.txt", "1 nan 0 0 0 1 2 3 7 a.png\n", "not finite"),
        ("images.txt", "", "has no cameras"),
        ("images.txt", "1 1 0 0 0 1 2 3 7 x/a.png\n\n2 1 0 0 0 1 2 3 7 x//a.png\n\n", "2 pictures called x/a.png"),
    ],
)
def test_damaged_text_says_where(file: str, text: str, says: str, tmp_path: Path) -> None:
    colmap(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=says):
        read_rig(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=r"nor cameras\.txt and images\.txt"):
        read_rig(tmp_path)


IMAGES = ["1 1 0 0 0 1 2 3 7 a.png", "2 1 0 0 0 1 2 4 7 b c.png", "3 1 0 0 0 1 2 5 7 0001"]
POINTS_OF_ONE = "1.5 2.5 -1 3.5 4.5 12 5.5 6.5 7"  # whose ninth number is the name of a camera


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([line for image in IMAGES for line in (image, "")], id="as COLMAP writes it"),
        pytest.param([line for image in IMAGES for line in (image, POINTS_OF_ONE)], id="points"),
        pytest.param([line for image in IMAGES for line in (image, POINTS_OF_ONE + " 8 9 -1")], id="twelve numbers"),
        pytest.param([line for image in IMAGES for line in (image, "", "")], id="one empty line too many"),
        pytest.param([line for image in IMAGES for line in ("", "# image", image, "", POINTS_OF_ONE)], id="in between"),
        pytest.param([*IMAGES], id="no points"),
        pytest.param(["", *IMAGES, "", " ", "#"], id="around"),
        pytest.param([IMAGES[0], POINTS_OF_ONE, IMAGES[1], IMAGES[2], ""], id="points of some"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_images_are_told_by_what_is_in_them(lines: list[str], end: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_bytes(f"#{end}{end}7 PINHOLE 640 480 900 890 310 250{end}{end}".encode())
    (tmp_path / "images.txt").write_bytes(end.join(lines).encode())
    images = read_rig(tmp_path).images
    assert [shot.name for shot in images] == ["a.png", "b c.png", "0001"]
    assert [shot.camera((1, 1)).position for shot in images] == [(-1, -2, -3), (-1, -2, -4), (-1, -2, -5)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_text_of_other_systems(encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""

    def save(path: Path) -> None:
        path.write_bytes((mark + path.read_text()).encode(encoding))

    path = nerfstudio(tmp_path, camera_model="OPENCV")
    wanted = read_rig(path).images
    save(path)
    assert read_rig(path).images == wanted
    colmap(tmp_path / "colmap")
    images = read_rig(tmp_path / "colmap").images
    save(tmp_path / "colmap/images.txt")
    save(tmp_path / "colmap/cameras.txt")
    assert read_rig(tmp_path / "colmap").images == images


@pytest.mark.parametrize("name", ["transforms.json", "colmap/images.txt", "colmap/cameras.txt"])
def test_text_in_another_encoding_is_one_line(name: str, tmp_path: Path) -> None:
    nerfstudio(tmp_path)
    colmap(tmp_path / "colmap")
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b"# \xfc")
    with pytest.raises(InputError, match="no text in UTF-8") as caught:
        read_rig(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("model", "parameters", "distorted"),
    [
        ("SIMPLE_PINHOLE", "900 310 250", False),
        ("PINHOLE", "900 900 310 250", False),
        ("SIMPLE_RADIAL", "900 310 250 0", False),
        ("RADIAL", "900 310 250 0 0.1", True),
        ("OPENCV", "900 900 310 250 0 0 0 0.1", True),
        ("FULL_OPENCV", "900 900 310 250 0 0 0 0 0 0 0 0", False),
    ],
)
def test_supported_camera_models(model: str, parameters: str, distorted: bool, tmp_path: Path) -> None:
    colmap(tmp_path, model, parameters)
    rig = read_rig(tmp_path)
    camera = rig.images[0].camera((1, 1))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((900 / 640, 900 / 480, 310 / 640, 250 / 480))
    assert rig.distorted == distorted
    assert len(read_rig(nerfstudio(tmp_path, camera_model=model)).images) == 3
    assert len(read_rig(nerfstudio(tmp_path, camera_model=model.lower())).images) == 3


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"camera_model": each}
            for each in ("EQUIRECTANGULAR", "ORTHOPHOTO", "OPENCV_FISHEYE", "VR180_L", "THIN", "?")
        ),
        {"is_fisheye": True},
        {"latlong": True},
        {"ftheta_p0": 0.1},
    ],
    ids=str,
)
def test_unsupported_camera_models(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"transforms\.json: frames\[0\]: the camera model .* cannot be used; undistort"
    ):
        read_rig(nerfstudio(tmp_path, **change))
    assert read_rig(nerfstudio(tmp_path, is_fisheye=False, camera_model=None)).images


@pytest.mark.parametrize("model", ["SIMPLE_RADIAL_FISHEYE", "OPENCV_FISHEYE", "FOV", "THIN_PRISM_FISHEYE", "DIVISION"])
def test_models_of_colmap_that_are_no_pinholes(model: str, tmp_path: Path) -> None:
    colmap(tmp_path, model, "900 900 310 250 0 0 0 0")
    with pytest.raises(InputError, match=f"line 2: the camera model '{model}' cannot be used"):
        read_rig(tmp_path)


POSE = np.array(orbit(50.0, 10.0).camera_to_world)


def posed(folder: Path, matrix: np.ndarray | list[object]) -> np.ndarray:
    rows = matrix.tolist() if isinstance(matrix, np.ndarray) else matrix
    rig = read_rig(nerfstudio(folder, frames=[{"file_path": "a.png", "transform_matrix": rows}]))
    return np.array(rig.images[0].camera((1, 1)).camera_to_world)


@pytest.mark.parametrize(
    "matrix",
    [
        POSE @ np.diag([0.7, 0.7, 0.7, 1.0]),
        POSE @ np.diag([250.0, 250.0, 250.0, 1.0]),
        POSE * 0.00118,
        POSE * -3.0,
        (POSE @ np.diag([3.0, 3.0, 3.0, 1.0])) * 2.0,
        POSE[:3],
        POSE[:3] @ np.diag([0.1, 0.1, 0.1, 1.0]),
    ],
    ids=["scaled", "large", "homogeneous", "negative factor", "both", "three rows", "three scaled rows"],
)
def test_a_scale_of_the_axes_and_a_factor_of_all_numbers_mean_nothing(matrix: np.ndarray, tmp_path: Path) -> None:
    assert posed(tmp_path, matrix) == pytest.approx(POSE)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (POSE @ np.diag([1.0, 1.0, 1.1, 1.0]), "not perpendicular and of length 1"),
        (POSE @ np.diag([1.0, 0.0, 1.0, 1.0]), "not perpendicular and of length 1"),
        (POSE @ np.diag([-2.0, 2.0, 2.0, 1.0]), "mirror image"),
        (POSE @ np.diag([-2.0, -2.0, -2.0, 1.0]), "mirror image"),
        (np.diag([0.0, 0.0, 0.0, 1.0]), "not perpendicular"),
        (np.diag([1.0, 1.0, 1.0, 0.0]), "last row"),
        (np.vstack([POSE[:3], [[0.0, 0.1, 0.0, 1.0]]]), "last row"),
        ([[10**290] * 4] * 4, "cannot|too large|perpendicular"),
        ([["1", 0, 0, 0], *POSE[1:].tolist()], "no number"),
        ([[True, 0, 0, 0], *POSE[1:].tolist()], "no number"),
        ([1, 2, 3], "no number"),
        (POSE[:2], "4 rows of 4"),
    ],
)
def test_other_matrices_are_refused(matrix: np.ndarray | list[object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        posed(tmp_path, matrix)


def test_sizes_and_lenses_of_single_frames(tmp_path: Path) -> None:
    pose = POSE.tolist()
    frames = [
        {"file_path": "a.png", "transform_matrix": pose, "w": 200, "h": 100, "fl_x": 300},
        {"file_path": "b.png", "transform_matrix": pose, "fl_x": None, "fl_y": 200},
        {"file_path": "c.png", "transform_matrix": pose, "fl_x": None, "camera_angle_x": math.radians(90)},
        {"file_path": "d.png", "transform_matrix": pose, "fl_x": None, "x_fov": 90, "y_fov": 60},
    ]
    table = {"fl_x": 150.0, "fl_y": None, "cx": None, "cy": None, "w": None, "h": None, "frames": frames}
    rig = read_rig(nerfstudio(tmp_path, **table))
    assert [shot.size for shot in rig.images] == [(200, 100), None, None, None]
    lenses = [(camera.fx, camera.fy) for camera in (shot.camera((400, 200)) for shot in rig.images)]
    high = 0.5 / math.tan(math.radians(30))
    assert np.array(lenses) == pytest.approx(np.array([(1.5, 3.0), (0.5, 1.0), (0.5, 1.0), (0.5, high)]))


@pytest.mark.parametrize("change", [{"w": -5}, {"w": 0.5}, {"h": 2e6}], ids=str)
def test_sizes_that_no_picture_has(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no size of a picture"):
        read_rig(nerfstudio(tmp_path, **change))


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/..", "images\\..", "a\0b"])
def test_invalid_picture_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file_path is"):
        read_rig(nerfstudio(tmp_path, frames=[{"file_path": name, "transform_matrix": POSE.tolist()}]))


@pytest.mark.parametrize("key", ["camera", "fx", "fy", "camera_to_world"])
def test_a_missing_key_of_our_format_is_named_with_its_photo(tmp_path: Path, key: str) -> None:
    photo = {"file": "a.jpg", "camera": orbit(0, 0).to_json()}
    (photo if key == "camera" else photo["camera"]).pop(key)  # type: ignore[attr-defined]
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"meshcli": 1, "photos": [photo]}))
    with pytest.raises(InputError, match=rf"cameras.json: a.jpg: .*{key}"):
        read_rig(path)

"""A rig file among the photos, or in their directory: it is used, or named with the flag to type."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from meshcli.project.project import Project
from meshcli.views.camera import orbit

Call = Callable[..., tuple[int, str, str]]


def rig_file(path: Path, *names: str) -> Path:
    frames = [
        {"file_path": name, "transform_matrix": [list(row) for row in orbit(40.0 * index, 10.0).camera_to_world]}
        for index, name in enumerate(names)
    ]
    path.write_text(json.dumps({"camera_angle_x": 0.5, "frames": frames}))
    return path


@pytest.fixture
def folder(command_line: Call) -> Path:
    Path("photos").mkdir()
    for name in ("1.png", "2.png"):
        shutil.copy(name, f"photos/{name}")
    return Path("photos")


def has_rig_cameras(directory: str = "desk") -> bool:
    return all(photo.stated.foreign for photo in Project(Path(directory)).load().active_photos)


@pytest.mark.parametrize("command", ["generate", "run"])
@pytest.mark.parametrize("line", ["photos", "photos/1.png photos/2.png photos/transforms.json"])
def test_a_rig_handed_in_or_in_the_directory_is_used(command: str, line: str, folder: Path, command_line: Call) -> None:
    rig_file(folder / "transforms.json", "1.png", "2.png")
    code, _, err = command_line(command, "desk", *line.split(), *(["--dry-run"] if command == "run" else []))
    assert code == 0, err
    if command == "generate":
        assert "cameras are taken from photos/transforms.json (2 photos)" in err
        assert has_rig_cameras()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transforms.json", "cameras.json"])
def test_a_dry_run_names_the_rig_and_does_not_call_it_passed_over(name: str, folder: Path, command_line: Call) -> None:
    rig = folder / name
    if name == "cameras.json":
        rows = [{"file": each, "camera": orbit(0.0, 10.0).to_json()} for each in ("1.png", "2.png")]
        rig.write_text(json.dumps({"meshcli": 1, "photos": rows}))
    else:
        rig_file(rig, "1.png", "2.png")
    code, _, err = command_line("run", "desk", "photos", "--dry-run")
    assert (code, err) == (0, f"photos: 2 pictures\ncameras would be taken from {rig}\n")
    code, _, err = command_line("run", "desk", "photos", "--dry-run", "--azimuth", "0,40")
    assert (code, err) == (0, "photos: 2 pictures; 1 other passed over\n")


def test_a_rig_of_another_name_in_the_folder_is_named(folder: Path, command_line: Call) -> None:
    rig_file(folder / "scan.json", "1.png", "2.png")
    code, _, err = command_line("generate", "desk", "photos/1.png", "photos/2.png", "--rig", "photos")
    assert code == 3
    assert "photos has no transforms.json or cameras.json, nor cameras.txt" in err
    assert "if scan.json in it is the rig, name the file itself" in err


def test_beside_single_photos_it_is_named(folder: Path, command_line: Call) -> None:
    rig_file(folder / "transforms.json", "1.png", "2.png")
    code, _, err = command_line("generate", "desk", "photos/1.png", "photos/2.png")
    assert code == 0, err
    assert "with --rig photos/transforms.json it is" in err
    assert not has_rig_cameras()


def test_one_that_lacks_a_photo_is_named(folder: Path, command_line: Call) -> None:
    rig_file(folder / "transforms.json", "1.png")
    code, _, err = command_line("generate", "desk", "photos")
    assert code == 0, err
    assert "photos/transforms.json may have the photos' cameras and is not used" in err


def test_one_above_the_photos_is_named_if_it_is_theirs(folder: Path, command_line: Call) -> None:
    rig_file(Path("transforms.json"), "photos/1.png", "photos/2.png")
    assert "with --rig transforms.json it is" in command_line("generate", "desk", "photos")[2]
    rig_file(Path("transforms.json"), "others/7.png")
    assert "--rig" not in command_line("generate", "other", "photos")[2]


def test_the_directory_of_a_rig_stands_for_its_pictures(folder: Path, command_line: Call) -> None:
    Path("scan").mkdir()
    folder.rename("scan/images")
    rig_file(Path("scan/transforms.json"), "images/1.png", "images/2.png")
    code, _, err = command_line("generate", "desk", "scan")
    assert code == 0, err
    assert has_rig_cameras()


def test_typed_angles_come_first(folder: Path, command_line: Call) -> None:
    rig_file(folder / "transforms.json", "1.png", "2.png")
    assert command_line("generate", "desk", "photos", "--azimuth", "0,90")[0] == 0
    assert command_line("generate", "desk", "photos")[0] == 0
    assert [photo.stated.azimuth for photo in Project(Path("desk")).load().active_photos] == [0.0, 90.0]
    code, _, err = command_line("generate", "new", "photos", "photos/transforms.json", "--azimuth", "0,90")
    assert (code, "photos/transforms.json has the cameras already" in err) == (2, True), err


def test_several_rigs_are_refused(folder: Path, command_line: Call) -> None:
    one, two = (rig_file(folder / name, "1.png", "2.png") for name in ("transforms.json", "other.json"))
    code, _, err = command_line("generate", "desk", "photos/1.png", "photos/2.png", str(one), str(two))
    assert (code, "are several rigs; hand in one" in err) == (2, True), err


def test_colmap_text_in_the_directory_is_a_rig(folder: Path, command_line: Call) -> None:
    (folder / "cameras.txt").write_text("1 PINHOLE 120 90 150 150 60 45\n")
    (folder / "images.txt").write_text("1 0 1 0 0 0 0 4 1 1.png\n\n2 0 0.7071068 0.7071068 0 0 0 4 1 2.png\n\n")
    for name in ("photos", "photos/1.png photos/2.png photos/cameras.txt photos/images.txt"):
        code, _, err = command_line("generate", "desk", *name.split())
        assert code == 0, err
        assert has_rig_cameras()


def test_colmap_binary_among_the_photos_or_beside_them(folder: Path, command_line: Call) -> None:
    lens = struct.pack("<QiiQQ4d", 1, 1, 1, 120, 90, 150, 150, 60, 45)
    images = struct.pack("<Q", 2)
    for name, w, x in (("1.png", 0, 1), ("2.png", 0.7071068, 0.7071068)):
        images += struct.pack("<i7di6sQ", 1, w, x, 0, 0, 0, 0, 4, 1, name.encode(), 0)
    model = folder / "sparse/0"
    model.mkdir(parents=True)
    (model / "cameras.bin").write_bytes(lens)
    (model / "images.bin").write_bytes(images)
    (model / "points3D.bin").write_bytes(bytes(8))
    assert "with --rig photos/sparse/0 it is" in command_line("generate", "beside", "photos/1.png", "photos/2.png")[2]
    names = (
        "photos",
        "photos/1.png photos/2.png --rig photos",
        "photos/1.png photos/2.png photos/sparse/0/points3D.bin",
    )
    for name in names:
        code, _, err = command_line("generate", "desk", *name.split())
        assert code == 0, err
        assert has_rig_cameras()
    (model / "images.bin").write_bytes(images[:-1])
    code, _, err = command_line("generate", "new", "photos/1.png", "photos/2.png", "--rig", "photos")
    assert (code, err.count("\n"), "images.bin is cut off" in err) == (3, 1, True), err


def test_the_folder_of_a_reconstruction_by_colmap_is_taken_whole(command_line: Call) -> None:
    for folder in ("scan/images", "scan/sparse/0"):
        Path(folder).mkdir(parents=True)
    shutil.copy("1.png", "scan/images/1.png")
    shutil.copy("2.png", "scan/images/2.png")
    width, height = Image.open("1.png").size
    Path("scan/sparse/0/cameras.txt").write_text(f"1 PINHOLE {width} {height} 70 70 {width / 2} {height / 2}\n")
    Path("scan/sparse/0/images.txt").write_text("1 0.5 0.5 -0.5 -0.5 0 0 4 1 1.png\n\n2 0.7 0.7 0 0 0 0 4 1 2.png\n\n")
    code, _, err = command_line("run", "desk", "scan", "--dry-run")
    assert (code, err) == (0, "cameras would be taken from scan/sparse/0\n"), err

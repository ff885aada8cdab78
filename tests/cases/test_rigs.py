"""Rigs of other programs, as ../shared/cases makes them: the right value of every row of its table."""

import json
from pathlib import Path
from typing import Any

import case_maker
import numpy as np
import pytest

from helpers.rendering import render_picture
from meshcli.commands import cli
from meshcli.export.gltf import read_glb
from meshcli.pictures.image import load_picture
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.progress import unheard
from meshcli.project.manifest import Photo
from meshcli.project.project import Project
from meshcli.views.camera import orbit
from meshcli.views.photo_cameras import CameraPrior, pictures_of_rig, priors_from_rig

pytestmark = pytest.mark.slow

QUICK = ("--config", "quick", "--offline")
NAMES = [f"frame_{index}.png" for index in range(6)]
CAM = [f"cam/{index}/0001.png" for index in range(6)]


@pytest.fixture
def at(cases: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inputs' folder, as the working directory."""
    monkeypatch.chdir(cases)
    return cases


def generated(project: Project, *words: str) -> list[Photo]:
    """The photos of a project after `generate`."""
    assert cli.main(["generate", str(project.root), *words, "--engine", "photos", *QUICK]) == 0
    return project.load().active_photos


def matrix(photo: Photo) -> np.ndarray:
    return np.array(photo.camera.camera_to_world)


def similar(photos: list[Photo], wanted: list[np.ndarray]) -> None:
    """Poses in our world are the wanted ones but for one similarity, and upright: z stays z."""
    poses = np.stack([matrix(photo) for photo in photos])
    truth = np.stack(wanted)
    turn = poses[0, :3, :3] @ truth[0, :3, :3].T
    for pose, wish in zip(poses, truth, strict=True):
        bent = np.trace(pose[:3, :3] @ (turn @ wish[:3, :3]).T) / 2.0 - 0.5
        assert np.degrees(np.arccos(np.clip(bent, -1, 1))) < 1.0
    assert turn[2, 2] > np.cos(np.radians(1.0))
    places, wishes = (each[:, :3, 3] - each[:, :3, 3].mean(axis=0) for each in (poses, truth))
    scale = np.linalg.norm(places) / np.linalg.norm(wishes)
    assert np.abs(places - scale * wishes @ turn.T).max() < 0.01 * np.linalg.norm(places, axis=1).max()


def focal(photo: Photo) -> np.ndarray:
    """Focal lengths as fractions of the whole picture."""
    return np.array([photo.camera.fx * photo.crop[2], photo.camera.fy * photo.crop[3]])


def right(photos: list[Photo], folder: Path) -> None:
    """The cameras are those of good.json."""
    table = json.loads((folder / "good.json").read_text())
    similar(photos, [np.array(frame["transform_matrix"]) for frame in table["frames"]])
    for photo in photos:
        assert focal(photo) == pytest.approx([table["fl_x"] / table["w"], table["fl_y"] / table["h"]], rel=0.01)
        middle = np.array([photo.camera.cx, photo.camera.cy]) * photo.crop[2:] + photo.crop[:2]
        assert middle == pytest.approx([table["cx"] / table["w"], table["cy"] / table["h"]], abs=1e-6)


def test_the_good_rig(at: Path, project: Project) -> None:
    right(generated(project, "images", "--rig", "good.json"), at)


def dry(project: Project, *words: str) -> int:
    """The exit code of the command that would run."""
    return cli.main(["generate", str(project.root), *words, "--engine", "photos", *QUICK, "--dry-run"])


def read(rig: str, photos: list[Path]) -> list[CameraPrior]:
    return priors_from_rig([(str(photo.absolute()), SourcePhoto(photo)) for photo in photos], Path(rig), "", unheard)


def as_good(rig: str, photos: list[Path]) -> None:
    """The cameras, still in the rig's own world, are those that good.json has for the same photos."""
    good = read("good.json", [Path("images", name) for name in NAMES])
    for found, wanted in zip(read(rig, photos), good, strict=True):
        assert found.camera is not None
        assert wanted.camera is not None
        assert np.array(found.camera.camera_to_world) == pytest.approx(np.array(wanted.camera.camera_to_world))
        lenses = [(camera.fx, camera.fy, camera.cx, camera.cy) for camera in (found.camera, wanted.camera)]
        assert lenses[0] == pytest.approx(lenses[1])
        assert (found.foreign, found.mirrored) == (True, False)


@pytest.mark.parametrize(
    "rig",
    ["backslash.json", "bom.json", "scaled.json", "homogeneous.json", "no_size.json", "colmap_good", "colmap_end",
     "colmap_two", "colmap_bare"],
)  # fmt: skip
def test_one_folder_of_photos(rig: str, at: Path, project: Project) -> None:
    as_good(rig, [Path("images", name) for name in NAMES])
    assert dry(project, "images", "--rig", rig) == 0


def test_stems(at: Path, project: Project) -> None:
    cut = [Path("cut", name) for name in NAMES]
    as_good("jpg_names.json", cut)
    assert pictures_of_rig(Path("cut"), Path("jpg_names.json")) == cut
    assert dry(project, "cut", "--rig", "jpg_names.json") == 0
    words = ["--from-views", "cut", "--rig", "jpg_names.json", *QUICK, "--dry-run"]
    assert cli.main(["generate", str(project.root), *words]) == 0


def test_two_candidates(at: Path, project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = json.loads(Path("good.json").read_text())
    frames = [{**table["frames"][0], "file_path": f"{folder}/frame_0.jpg"} for folder in "ab"]
    (tmp_path / "two.json").write_text(json.dumps({**table, "frames": frames}))
    assert dry(project, "cut/frame_0.png", "--rig", str(tmp_path / "two.json")) == 2
    said = capfd.readouterr().err
    assert "a/frame_0.jpg" in said
    assert "b/frame_0.jpg" in said


@pytest.mark.parametrize("rig", ["same_names.json", "colmap_folders"])
def test_folders(rig: str, at: Path, project: Project) -> None:
    as_good(rig, list(map(Path, CAM)))
    assert pictures_of_rig(Path("cam"), Path(rig)) == list(map(Path, CAM))
    assert dry(project, *CAM, "--rig", rig) == 0


def test_photos_of_one_name_to_the_end(at: Path, project: Project) -> None:
    right(generated(project, *CAM, "--rig", "same_names.json"), at)
    right(generated(project, "--rig", "colmap_folders"), at)  # the recorded photos


@pytest.mark.parametrize("rig", ["round.json", "flat.json"])
def test_models(rig: str, at: Path, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate", str(project.root), "images", "--rig", rig, "--engine", "photos", *QUICK]) == 3
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("error")
    assert "undistort" in said[-1]
    assert not project.root.exists()


def shown(photo: Path, picture: Photo, mesh: Path) -> float:
    """The IoU of a mesh, seen by the camera of a cut-out, with that cut-out."""
    truth = load_picture(photo)[..., 3] >= 128
    seen = render_picture(read_glb(mesh), picture.camera, truth.shape[1], truth.shape[0], samples=2)[..., 3] >= 128
    return float((truth & seen).sum() / (truth | seen).sum())


def upright(table: dict[str, Any]) -> list[np.ndarray]:
    """The poses of the pictures that EXIF 6 turns upright: what was up in the stored ones is right."""
    quarter = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return [np.array(frame["transform_matrix"]) @ quarter for frame in table["frames"]]


def test_turned(at: Path, project: Project) -> None:
    table = json.loads(Path("exif6/transforms.json").read_text())
    found = read("exif6/transforms.json", [Path("exif6", frame["file_path"]) for frame in table["frames"]])
    for each, wanted in zip(found, upright(table), strict=True):
        assert each.camera is not None
        assert np.array(each.camera.camera_to_world) == pytest.approx(wanted)
        assert (each.camera.fx, each.camera.fy) == pytest.approx((table["fl_y"] / 480, table["fl_x"] / 640))
    assert dry(project, "exif6", "--rig", "exif6/transforms.json") == 0


@pytest.mark.parametrize("tag", [3, 6, 8])
def test_every_turn_with_the_middle_elsewhere(tag: int, tmp_path: Path) -> None:
    if not case_maker.MAKER.is_file():
        pytest.skip("../shared/cases is not here")
    maker = case_maker.load()
    width, height = (480, 640) if tag != 3 else (640, 480)
    cameras = [maker.lens(orbit(*side, 3.2, 50.0), width, height, cx=0.56, cy=0.41) for side in maker.SIDES]
    blank = np.full((height, width, 4), 255, np.uint8)
    maker.write_turned(tmp_path, [maker.Shot(f"{place}.jpg", each, blank) for place, each in enumerate(cameras)], tag)
    found = read(str(tmp_path / "transforms.json"), [tmp_path / f"{place}.jpg" for place in range(len(cameras))])
    for each, wanted in zip(found, cameras, strict=True):
        assert each.camera is not None
        assert np.array(each.camera.camera_to_world) == pytest.approx(maker.foreign(wanted))
        lenses = [(camera.fx, camera.fy, camera.cx, camera.cy) for camera in (each.camera, wanted)]
        assert lenses[0] == pytest.approx(lenses[1])


def test_turned_to_the_mesh(at: Path, project: Project) -> None:
    photos = generated(project, "exif6", "--rig", "exif6/transforms.json")
    assert [photo.size for photo in photos] == [(480, 640)] * 6
    similar(photos, upright(json.loads(Path("exif6/transforms.json").read_text())))
    assert cli.main(["select", str(project.root), "--views", "all"]) == 0
    assert cli.main(["reconstruct", str(project.root), "--config", "quick"]) == 0
    assert min(shown(project.path(each.file), each, project.path("mesh/mesh.glb")) for each in photos) >= 0.97

"""The folder for Blender: its numbers here, and its script in Blender itself where `make test-blender` has put it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.chiral_object import HIGH, LOW, chiral_object, coloured_object
from helpers.paths import EXAMPLE
from helpers.rendering import render_picture
from helpers.scene_cameras import pixels_of, scene_of
from meshcli.export.blender import SCRIPT, blender_files
from meshcli.export.frames import TO_BLENDER
from meshcli.export.scene import Scene
from meshcli.pictures.image import encode_png
from meshcli.views.camera import orbit

INSPECT = Path(__file__).parents[1] / "tools/blender/inspect_scene.py"
BLENDER = os.environ.get("BLENDER_PYTHON", "")  # a Python that has the module bpy
in_blender = pytest.mark.skipif(not BLENDER, reason="needs Blender's Python module: `make test-blender`")


def write_folder(scene: Scene, folder: Path, *pictures: str) -> dict[str, Any]:
    """The folder with these pictures of its cameras, as they would see the mesh; its cameras.json."""
    shown = {each.picture: each for each in scene.cameras if each.name in pictures}
    made = {
        name: encode_png(render_picture(scene.mesh, each.camera, each.width, each.height))
        for name, each in shown.items()
    }
    for name, data in blender_files(scene, made).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    table: dict[str, Any] = json.loads((folder / "cameras.json").read_text())
    return table


def in_blender_now(folder: Path, *pictures: str) -> dict[str, Any]:
    """What the script makes of the folder."""
    result = folder / "result.json"
    run = subprocess.run([BLENDER, INSPECT, folder, result, *pictures], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def blender_pixels(matrix: Any, projection: Any, points: np.ndarray, size: Any) -> np.ndarray:
    """Where points (N, 3) of Blender's world are seen, (N, 2) in pixels."""
    local = np.linalg.inv(np.array(matrix)) @ np.c_[points, np.ones(len(points))].T
    clip = (np.array(projection) @ local).T
    return (clip[:, :2] / clip[:, 3:] * (0.5, -0.5) + 0.5) * size[:2]


def test_the_numbers_say_what_the_cameras_see(tmp_path: Path) -> None:
    """By the rules of Blender's manual: see the module export/blender.py."""
    scene = scene_of(chiral_object())
    points = np.array(scene.mesh.vertices, np.float64)
    for each, row in zip(scene.cameras, write_folder(scene, tmp_path)["cameras"], strict=True):
        numbers = row["blender"]
        pose = np.array(numbers["matrix_world"])
        x, y, back = ((points @ TO_BLENDER.T - pose[:3, 3]) @ pose[:3, :3]).T
        width, height = each.width * numbers["pixel_aspect_x"], each.height * numbers["pixel_aspect_y"]
        scale = numbers["lens"] / numbers["sensor_width"]
        column = 0.5 + scale * x / -back - numbers["shift_x"]
        row_ = 0.5 - (scale * y / -back - numbers["shift_y"]) * width / height
        seen = np.stack([column * each.width, row_ * each.height], axis=1)
        assert np.abs(seen - pixels_of(each, points)).max() < 1e-6
        assert min(numbers["pixel_aspect_x"], numbers["pixel_aspect_y"]) == 1.0


def test_the_front_is_where_blender_has_it(tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    front = replace(scene.cameras[0], camera=orbit(0.0, 0.0, 3.0))
    row = write_folder(replace(scene, cameras=(front,)), tmp_path)["cameras"][0]
    assert np.allclose(np.array(row["blender"]["matrix_world"])[:3, 3], [0.0, -3.0, 0.0])


def test_the_files_of_the_folder(tmp_path: Path) -> None:
    table = write_folder(scene_of(chiral_object()), tmp_path, "photo_a", "photo_b")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["cameras.json", "chair.glb", SCRIPT, "pictures/photo_a.png", "pictures/photo_b.jpg"]
    assert [row["picture"] for row in table["cameras"]] == ["pictures/photo_a.png", "pictures/photo_b.jpg", "", "", ""]
    assert table["size_known"] is True
    assert blender_files(scene_of(chiral_object()), {}) == blender_files(scene_of(chiral_object()), {})


@in_blender
@pytest.mark.parametrize("textured", [True, False])
def test_blender_has_the_mesh_in_its_place(textured: bool, tmp_path: Path) -> None:
    mesh = chiral_object() if textured else coloured_object()
    write_folder(scene_of(mesh), tmp_path)
    found = in_blender_now(tmp_path)
    assert np.allclose(found["low"], [LOW[1], -HIGH[0], LOW[2]], atol=1e-4)
    assert np.allclose(found["high"], [HIGH[1], -LOW[0], HIGH[2]], atol=1e-4)
    assert np.allclose(found["pivot"], 0.0, atol=1e-4)
    assert found["scale"] == [1.0, 1.0, 1.0]
    corners = np.unique(np.round(found["corners"], 4), axis=0)
    ours = np.unique(np.round(mesh.vertices @ TO_BLENDER.T, 4), axis=0)
    assert np.allclose(corners, ours, atol=1e-4)
    assert found["kinds"] == ["CAMERA"] * 5 + ["MESH"]
    assert found["others"] == ["Camera", "Cube", "Light"]  # of the scene that was there, untouched
    assert (found["view_transform"], found["look"], found["saved"]) == ("Standard", "None", "")


@in_blender
def test_blender_has_the_cameras(tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    table = write_folder(scene, tmp_path, "photo_a", "photo_b")
    found = in_blender_now(tmp_path)["cameras"]
    points = np.array(scene.mesh.vertices, np.float64)
    for each, row in zip(scene.cameras, table["cameras"], strict=True):
        camera, numbers = found[each.name], row["blender"]
        assert camera["object"] == each.name
        assert camera["size"] == [each.width, each.height, 100]
        assert np.allclose(camera["matrix_world"], numbers["matrix_world"], rtol=1e-6, atol=1e-6)
        assert camera["lens"] == pytest.approx(numbers["lens"], rel=1e-6)
        assert camera["sensor_width"] == pytest.approx(numbers["sensor_width"], rel=1e-6)
        assert camera["shift"] == pytest.approx([numbers["shift_x"], numbers["shift_y"]], abs=1e-6)
        seen = blender_pixels(camera["matrix_world"], camera["projection"], points @ TO_BLENDER.T, camera["size"])
        assert np.abs(seen - pixels_of(each, points)).max() < 0.01  # float32: a part in 1e5 of the picture
    assert found["photo_a"]["backgrounds"] == [{"size": [640, 480], "alpha": 0.5, "fit": "FIT"}]
    assert found["photo_a"]["shown"] is True
    assert found["turntable"]["backgrounds"] == []


@in_blender
def test_blender_saves_only_where_nothing_is(tmp_path: Path) -> None:
    write_folder(scene_of(chiral_object()), tmp_path)
    code = (
        f"import sys; sys.argv = ['blender', '--', '--save', 'scene.blend']; import runpy; runpy.run_path({SCRIPT!r})"
    )
    first = subprocess.run([BLENDER, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (first.returncode, (tmp_path / "scene.blend").is_file()) == (0, True), first.stderr
    before = (tmp_path / "scene.blend").read_bytes()
    again = subprocess.run([BLENDER, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "exists already" in again.stderr
    assert (tmp_path / "scene.blend").read_bytes() == before


@in_blender
def test_the_script_finds_its_folder_from_blenders_text_editor(tmp_path: Path) -> None:
    """There, __file__ is a name within the blend file."""
    write_folder(scene_of(chiral_object()), tmp_path)
    code = f"""
import bpy
text = bpy.data.texts.load({str(tmp_path / SCRIPT)!r})
there = {{"__name__": "__main__", "__file__": "/some/file.blend/" + text.name}}
exec(compile(text.as_string(), text.name, "exec"), there)
assert "chair" in bpy.data.scenes
bpy.data.texts.remove(text)
"""
    run = subprocess.run([BLENDER, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels between pictures (H, W, 4) on grey."""
    flat = [
        p[..., :3] * (p[..., 3:] / 255.0) + 128.0 * (1.0 - p[..., 3:] / 255.0)
        for p in (a.astype(float), b.astype(float))
    ]
    return float(10.0 * np.log10(255.0**2 / np.mean((flat[0] - flat[1]) ** 2)))


@in_blender
def test_blender_renders_the_desk_as_we_do(tmp_path: Path) -> None:
    """From three photos to Blender: through the camera of a photo, at most 1 dB farther from it than our renderer."""
    from meshcli.export.gltf import read_glb
    from meshcli.views.camera import Camera

    desk, photos = tmp_path / "desk", [str(EXAMPLE / f"{number}.png") for number in (1, 2, 3)]
    meshcli = [sys.executable, "-m", "meshcli"]
    subprocess.run([*meshcli, "run", desk, *photos, "--to", "reconstruct"], check=True, capture_output=True)
    subprocess.run([*meshcli, "export", desk, "--for", "blender", "--height", "1.15m"], check=True, capture_output=True)
    folder = desk / "export/blender"
    found = in_blender_now(folder, f"photo_a={tmp_path / 'blender.png'}")
    assert found["high"][2] - found["low"][2] == pytest.approx(1.15, abs=1e-4)
    assert found["low"][2] == pytest.approx(0.0, abs=1e-4)
    assert [low + high for low, high in zip(found["low"][:2], found["high"][:2], strict=True)] == pytest.approx(
        [0.0, 0.0], abs=1e-4
    )
    row = json.loads((folder / "cameras.json").read_text())["cameras"][0]
    photo = np.asarray(Image.open(folder / row["picture"]).convert("RGBA"))
    theirs = np.asarray(Image.open(tmp_path / "blender.png").convert("RGBA"))
    mesh = read_glb(folder / "desk.glb")
    ours = render_picture(mesh, Camera.from_json(row["camera"]), row["width"], row["height"])
    scores = {"ours": psnr(ours, photo), "Blender's": psnr(theirs, photo), "both": psnr(ours, theirs)}
    print({name: round(value, 2) for name, value in scores.items()})
    assert scores["Blender's"] > scores["ours"] - 1.0, scores
    assert scores["both"] > 30.0, scores

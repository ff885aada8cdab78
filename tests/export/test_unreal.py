"""The folder for Unreal: the script run against a stand-in of the editor, and the engine's picture worked out anew."""

import io
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from helpers.chiral_object import chiral_object, coloured_object
from helpers.recording_unreal import (
    CineCameraActor,
    MaterialExpressionTextureSample,
    MaterialExpressionVertexColor,
    StaticMesh,
    World,
    recording_unreal,
)
from helpers.scene_cameras import pixels_of, scene_of
from meshcli.export.scene import Scene
from meshcli.export.unreal import SCRIPT, unreal_files
from meshcli.views.camera import orbit

PICTURES = {"photos/a.png": b"a", "photos/b.jpg": b"b", "views/03.png": b"c"}


def run_script(scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch, engine: str = "5.7", **world: Any) -> World:
    for name, data in unreal_files(scene, PICTURES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    module, editor = recording_unreal(engine)
    vars(editor).update(world)
    monkeypatch.setitem(sys.modules, "unreal", module)
    runpy.run_path(str(folder / SCRIPT), run_name="__main__")
    return editor


def cameras_of(editor: World) -> list[CineCameraActor]:
    return [actor for actor in editor.actors if isinstance(actor, CineCameraActor)]


def engine_points(glb: bytes) -> np.ndarray:
    """The mesh's corners (V, 3) in the level: the engine's importer exchanges y and z, and makes centimetres."""
    loaded = trimesh.load_scene(io.BytesIO(glb), file_type="glb", process=False)
    return np.unique(loaded.to_geometry().vertices[:, [0, 2, 1]] * 100.0, axis=0)


def engine_pixels(actor: CineCameraActor, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """What the engine shows, from its own formulas; see the module export/unreal.py for where they are."""
    degrees = {name: np.radians(value) for name, value in actor.rotation.items()}
    (sp, sy, sr), (cp, cy, cr) = ([f(degrees[n]) for n in ("pitch", "yaw", "roll")] for f in (np.sin, np.cos))
    axes = np.array(  # FRotationMatrix: rows are forward, right and up
        [
            [cp * cy, cp * sy, sp],
            [sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, -sr * cp],
            [-(cr * sp * cy + sr * sy), cy * sr - cr * sp * sy, cr * cp],
        ]
    )
    forward, right, up = axes @ (points - list(actor.location.values())).T
    component = actor.component
    filmback = component.values["filmback"].values
    fov = 2.0 * np.arctan(filmback["sensor_width"] / (2.0 * component.values["current_focal_length"]))
    aspect = filmback["sensor_width"] / filmback["sensor_height"]
    offset = [2.0 * filmback.get(f"sensor_{way}_offset", 0.0) / filmback[f"sensor_{side}"]
              for way, side in (("horizontal", "width"), ("vertical", "height"))]  # fmt: skip
    x = right / forward / np.tan(fov / 2.0) - offset[0]
    y = up / forward / np.tan(fov / 2.0) * aspect - offset[1]
    return np.stack([(0.5 + 0.5 * x) * width, (0.5 - 0.5 * y) * height], axis=1)


def test_the_engine_sees_what_our_cameras_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(chiral_object())
    editor = run_script(scene, tmp_path, monkeypatch)
    in_level = engine_points((tmp_path / "chair.glb").read_bytes())
    ours = np.unique(np.array(scene.mesh.vertices, np.float64), axis=0)
    order = np.lexsort(np.round(in_level[:, [2, 0, 1]].T, 3))  # 100 (y, x, z) of ours
    ours = ours[np.lexsort(np.round(ours[:, [2, 1, 0]].T, 5))]
    assert len(in_level) == len(ours) == 12
    actors = cameras_of(editor)
    assert [actor.label for actor in actors] == [f"chair_{each.name}" for each in scene.cameras]
    for actor, each in zip(actors, scene.cameras, strict=True):
        assert actor.component.values["constrain_aspect_ratio"] is True
        seen = engine_pixels(actor, in_level[order], each.width, each.height)
        assert np.abs(seen - pixels_of(each, ours)).max() < 1e-3


def test_a_camera_on_the_front_looks_back_at_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers by hand: the front is +x of the scene and +y of the level, three metres are 300."""
    scene = scene_of(chiral_object())
    front = replace(scene.cameras[0], camera=orbit(0.0, 0.0, 3.0), width=100, height=100)
    actor = cameras_of(run_script(replace(scene, cameras=(front,)), tmp_path, monkeypatch))[0]
    assert list(actor.location.values()) == pytest.approx([0.0, 300.0, 0.0])
    assert actor.rotation == pytest.approx({"roll": 0.0, "pitch": 0.0, "yaw": -90.0})


def test_the_mesh_has_a_material_of_its_texture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = run_script(scene_of(chiral_object()), tmp_path, monkeypatch)
    placed = [actor for actor in editor.actors if isinstance(actor.what, StaticMesh)]
    assert [(actor.label, actor.folder, set(actor.location.values())) for actor in placed] == [
        ("chair", "meshcli/chair", {0.0})
    ]
    assert set(placed[0].rotation.values()) == {0.0}
    assert placed[0].what.material.path == "/Game/meshcli/chair/M_chair"
    assert placed[0].what.material.compiled
    (colour, output, place), (rough, _, other) = editor.connections
    assert isinstance(colour, MaterialExpressionTextureSample)
    assert (output, place, other) == ("RGB", "MP_BASE_COLOR", "MP_ROUGHNESS")
    assert colour.values["texture"].source == str(tmp_path / "chair.glb")
    assert rough.values["r"] == 1.0
    assert editor.transactions == ["Import chair"]
    assert not editor.saved
    assert editor.log[-1] == ("log", "chair: the mesh and 5 cameras are placed, and not saved")


def test_a_texture_that_the_glb_does_not_bring_comes_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers import recording_unreal as stand_in

    brings = {".glb": (StaticMesh,), ".png": (stand_in.Texture2D,)}
    editor = run_script(scene_of(chiral_object()), tmp_path, monkeypatch, brings=brings)
    texture = editor.connections[0][0].values["texture"]
    assert texture.source == str(tmp_path / "textures/chair_base_colour.png")


def test_vertex_colours_without_a_texture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = run_script(scene_of(coloured_object()), tmp_path, monkeypatch, brings={".glb": (StaticMesh,)})
    assert isinstance(editor.connections[0][0], MaterialExpressionVertexColor)


def test_cameras_carry_the_names_of_their_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = [actor.values["tags"] for actor in cameras_of(run_script(scene_of(chiral_object()), tmp_path, monkeypatch))]
    assert tags[:2] == [["photo", "pictures/photo_a.png"], ["photo", "pictures/photo_b.jpg"]]
    assert tags[-1] == ["turntable"]
    assert (tmp_path / "pictures/photo_b.jpg").read_bytes() == b"b"


def test_an_older_engine_is_told_what_it_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = run_script(scene_of(chiral_object()), tmp_path, monkeypatch, engine="5.4")
    assert len(cameras_of(editor)) == 5
    warned = [text for level, text in editor.log if level == "log_warning"]
    assert [text.split(":")[0] for text in warned] == ["photo_a", "photo_a", "above"]


def test_a_very_long_lens_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(chiral_object())
    long = replace(scene.cameras[2], camera=orbit(0.0, 0.0, 100.0, 0.5))
    actor = cameras_of(run_script(replace(scene, cameras=(long,)), tmp_path, monkeypatch))[0]
    assert actor.component.values["current_focal_length"] == pytest.approx(18.0 / np.tan(np.radians(0.25)))


def test_an_existing_folder_of_the_project_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = run_script(scene_of(chiral_object()), tmp_path, monkeypatch, directories={"/Game/meshcli/chair"})
    assert not editor.actors
    assert not editor.assets
    assert [level for level, _ in editor.log] == ["log_error"]


def test_a_glb_that_brings_no_mesh_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = run_script(scene_of(chiral_object()), tmp_path, monkeypatch, brings={})
    assert not editor.actors
    assert "no static mesh" in editor.log[-1][1]


def test_the_stand_in_refuses_what_the_editor_does_not_have() -> None:
    module, _ = recording_unreal()
    with pytest.raises(AttributeError):
        module.NoSuchClass  # noqa: B018
    with pytest.raises(Exception, match="Failed to find property"):
        module.AssetImportTask().set_editor_property("file_name", "x")


def test_the_files_of_the_folder() -> None:
    scene = scene_of(chiral_object())
    files = unreal_files(scene, PICTURES, jpeg_quality=90)
    expected = {
        "chair.glb",
        "cameras.json",
        SCRIPT,
        "textures/chair_base_colour.jpg",
        "usd/chair.usdc",
        "usd/chair.jpg",
    }
    expected |= {"pictures/photo_a.png", "pictures/photo_b.jpg", "pictures/view_a3.png"}
    assert set(files) == expected | {f"opentrackio/{each.name}.json" for each in scene.cameras}
    assert files == unreal_files(scene, PICTURES, jpeg_quality=90)
    assert Image.open(io.BytesIO(files["textures/chair_base_colour.jpg"])).size == (256, 128)
    table = json.loads(files["cameras.json"])
    assert table["mesh"] == "chair.glb"
    assert [row["camera"] for row in table["cameras"]] == [each.camera.to_json() for each in scene.cameras]
    assert table["cameras"][3]["picture"] == ""  # it was not handed in


def test_usd_in_the_folder_lands_where_the_glb_does(tmp_path: Path) -> None:
    """The engine's importer of USD exchanges y and z where y is up, as that of glTF does."""
    pytest.importorskip("pxr", reason="needs usd-core, which `make test` installs")
    from pxr import Usd, UsdGeom

    files = unreal_files(scene_of(chiral_object()), {})
    (tmp_path / "chair.usdc").write_bytes(files["usd/chair.usdc"])
    stage = Usd.Stage.Open(str(tmp_path / "chair.usdc"))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    points = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/chair/mesh")).GetPointsAttr().Get())
    assert np.allclose(np.unique(points[:, [0, 2, 1]] * 100.0, axis=0), engine_points(files["chair.glb"]), atol=1e-3)


def test_without_usd_core_there_is_no_usd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    files = unreal_files(scene_of(chiral_object()), {})
    assert "chair.glb" in files
    assert not any(name.startswith("usd/") for name in files)

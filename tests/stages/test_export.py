"""Exports of a finished project: what is written, skipped, refused and on record."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from jsonschema import Draft202012Validator

from helpers.finished_project import SMALL
from meshcli.commands.cli import main
from meshcli.config import TypedSettings, override
from meshcli.errors import InputError, MissingError, ProjectError, UsageError
from meshcli.export.gltf import read_glb
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.export import export_project, length, smaller_settings
from meshcli.stages.render import render_mesh
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status
from meshcli.views.rig_files import read_rig
from meshcli.views.world_transform import WorldTransform


def typed(**settings: object) -> TypedSettings:
    return TypedSettings({f"export.{key}": value for key, value in settings.items()})


def state(project: Project) -> tuple[str, str]:
    return next((row.state, row.reason) for row in read_status(project).stages if row.stage == "export")


def test_a_project_without_an_export_is_finished(finished: Project) -> None:
    status = read_status(finished)
    assert status.next == ""
    assert [row.stage for row in status.stages] == ["generate", "select", "reconstruct", "render"]


def test_an_export_has_the_size_and_stands_on_the_floor(finished: Project) -> None:
    outcome = export_project(finished, settings=typed(to="glb,obj,ply,stl,3mf", size_by="height", size=0.45))
    glb = trimesh.load(finished.path("export/desk.glb"), force="mesh")
    assert glb.bounds[:, 1] == pytest.approx([0.0, 0.45], abs=1e-5)  # y is up in a GLB
    assert glb.bounds.sum(axis=0)[[0, 2]] == pytest.approx([0.0, 0.0], abs=1e-5)
    ply, stl = (trimesh.load(finished.path(f"export/desk.{name}")) for name in ("ply", "stl"))
    assert ply.bounds[:, 2] == pytest.approx([0.0, 0.45], abs=1e-5)
    assert stl.bounds == pytest.approx(ply.bounds * 1000.0, abs=1e-2)
    obj = trimesh.load(finished.path("export/desk.obj"), force="mesh")
    assert obj.bounds == pytest.approx(glb.bounds, abs=1e-5)
    assert not outcome.skipped
    assert any("45 cm high, standing on the floor" in note for note in outcome.notes)
    assert outcome.record.facts["metres"]["height"] == pytest.approx(0.45, abs=1e-5)


@pytest.mark.parametrize(("up", "axes"), [("auto", "z"), ("y", "y")])
def test_usd_has_the_size_and_the_axis_that_was_asked_for(finished: Project, up: str, axes: str) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="needs the extra usd")
    from pxr import UsdGeom

    export_project(finished, settings=typed(to="usd,usdz", size_by="height", size=0.45, up=up))
    for name, expected in (("desk.usdc", axes), ("desk.usdz", "y")):
        stage = usd.Stage.Open(str(finished.path(f"export/{name}")))
        assert UsdGeom.GetStageUpAxis(stage).lower() == expected
        box = UsdGeom.BBoxCache(usd.TimeCode.Default(), ["default"]).ComputeWorldBound(stage.GetDefaultPrim())
        low, high = (
            np.array(corner) for corner in (box.ComputeAlignedRange().GetMin(), box.ComputeAlignedRange().GetMax())
        )
        upwards = "xyz".index(expected)
        assert (low[upwards], high[upwards]) == pytest.approx((0.0, 0.45), abs=1e-5)
        assert [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera)]


def test_cameras_move_with_the_mesh(finished: Project) -> None:
    export_project(finished, settings=typed(size_by="scale", size=2.0, pivot="origin"))
    rig = read_rig(finished.path("export/cameras.json"))
    photos = finished.load().active_photos
    for photo, image in zip(photos, rig.images, strict=True):
        framed = image.camera((1, 1)).cropped(*photo.crop)
        assert framed.position == pytest.approx([2.0 * value for value in photo.camera.position])
        numbers = [(each.fx, each.fy, each.cx, each.cy) for each in (framed, photo.camera)]
        assert numbers[0] == pytest.approx(numbers[1])


def test_without_a_size_the_outcome_says_so(finished: Project) -> None:
    outcome = export_project(finished)
    assert outcome.record.facts["size_known"] is False
    assert any(note.startswith("no size is known, one unit became one metre") for note in outcome.notes)


def test_what_is_on_record_stays_in_force(finished: Project) -> None:
    export_project(finished, settings=typed(to="ply", size_by="height", size=0.45, pivot="centre"))
    again = export_project(finished)
    assert again.skipped
    assert again.record.settings["export.size"] == 0.45
    wider = export_project(finished, settings=typed(size_by="width", size=2.0))
    assert wider.record.settings["export.pivot"] == "centre"
    assert np.ptp(trimesh.load(finished.path("export/desk.ply")).bounds[:, 1]) == pytest.approx(2.0, rel=1e-5)
    assert export_project(finished, run_options=RunOptions(force=True)).skipped is False


def test_a_changed_mesh_makes_the_export_stale(finished: Project) -> None:
    export_project(finished)
    assert state(finished) == ("done", "")
    with finished.path("mesh/mesh.glb").open("ab") as file:
        file.write(b"\0\0\0\0")
    assert state(finished) == ("stale", "mesh/mesh.glb was changed by hand")
    finished.path("mesh/mesh.glb").write_bytes(b"glTF, once")
    with pytest.raises(ProjectError, match="--force"):
        export_project(finished)
    finished.path("mesh/mesh.glb").unlink()
    with pytest.raises(UsageError, match="has no mesh"):
        export_project(finished)


def test_a_render_does_not_make_it_stale_but_another_angle_does(finished: Project) -> None:
    export_project(finished)
    render_mesh(finished, settings=replace(SMALL, render=replace(SMALL.render, frames=4)))
    assert state(finished)[0] == "done"
    render_mesh(finished, settings=replace(SMALL, render=replace(SMALL.render, elevation=40.0)))
    assert state(finished)[0] == "stale"


def test_a_rig_gets_its_own_coordinates_back(finished: Project) -> None:
    frame = WorldTransform(0.5, ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), (0.1, 0.2, -0.3))  # y is up
    with finished.write_lock():
        finished.save(replace(finished.load(), frame=frame.to_json()))
    outcome = export_project(finished, settings=typed(to="glb,ply", size_by="like-rig"))
    mesh = read_glb(finished.path("mesh/mesh.glb"))
    for name in ("ply", "glb"):  # y is up in the rig and in a GLB: both hold the rig's own numbers
        read = trimesh.load(finished.path(f"export/desk.{name}"), force="mesh")
        there = np.array([frame.point(point) for point in read.vertices.tolist()])
        assert there.min(axis=0) == pytest.approx(mesh.vertices.min(axis=0), abs=1e-5)
        assert there.max(axis=0) == pytest.approx(mesh.vertices.max(axis=0), abs=1e-5)
    for photo, image in zip(
        finished.load().active_photos, read_rig(finished.path("export/colmap")).images, strict=False
    ):
        ours = frame.camera(image.camera((1, 1))).cropped(*photo.crop)
        assert np.allclose(ours.camera_to_world, photo.camera.camera_to_world, atol=1e-6)
    assert any("in the coordinates of the rig, y up" in note for note in outcome.notes)
    with pytest.raises(UsageError, match="--pivot"):
        export_project(finished, settings=typed(size_by="like-rig", pivot="base"))


@pytest.mark.parametrize("up", ["y", "z"])
def test_usd_has_the_coordinates_of_the_rig_too(finished: Project, up: str) -> None:
    pytest.importorskip("pxr", reason="needs usd-core, which `make test` installs")
    from pxr import Usd, UsdGeom

    turn = {
        "y": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        "z": ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    }
    frame = WorldTransform(0.5, turn[up], (0.1, 0.2, -0.3))
    with finished.write_lock():
        finished.save(replace(finished.load(), frame=frame.to_json()))
    export_project(finished, settings=typed(to="usd,usdz,ply", size_by="like-rig"))
    ply = np.array(trimesh.load(finished.path("export/desk.ply")).bounds)
    for name in ("usdc", "usdz"):
        stage = Usd.Stage.Open(str(finished.path(f"export/desk.{name}")))
        assert UsdGeom.GetStageUpAxis(stage) == up.upper()
        points = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/desk/mesh")).GetPointsAttr().Get())
        assert np.allclose([points.min(axis=0), points.max(axis=0)], ply, atol=1e-5)


def test_folders_for_programs(finished: Project) -> None:
    outcome = export_project(finished, settings=typed(to="unreal,blender", size_by="height", size=0.45))
    for name, script in (("unreal", "import_into_unreal.py"), ("blender", "open_in_blender.py")):
        folder = finished.path(f"export/{name}")
        table = json.loads((folder / "cameras.json").read_text())
        assert (folder / script).is_file()
        names = [row["name"] for row in table["cameras"]]
        assert names[:3] == ["photo_a", "photo_b", "photo_c"]
        assert names[-1] == "turntable"
        assert len(names) == 10
        assert all((folder / row["picture"]).is_file() for row in table["cameras"][:-1])
        assert (folder / "pictures/photo_a.png").read_bytes() == finished.path("photos/a.original.png").read_bytes()
        glb = trimesh.load(folder / table["mesh"], force="mesh")
        assert glb.bounds[:, 1] == pytest.approx([0.0, 0.45], abs=1e-5)
        scene = json.loads(finished.path("export/cameras.json").read_text())
        assert table["cameras"][0]["camera"] == scene["photos"][0]["camera"]
    assert {each.file for each in outcome.record.outputs} >= {"export/unreal/desk.glb", "export/blender/desk.glb"}
    assert state(finished) == ("done", "")
    picture = finished.path(finished.load().active_photos[0].original)
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert state(finished)[0] == "stale"


def test_usd_without_its_package(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcli.export.targets.find_spec", lambda name: None)
    with pytest.raises(
        MissingError, match=r"usd needs a package that is not installed: `pip install 'meshcli\[usd\]'`"
    ):
        export_project(finished, settings=typed(to="usd"))
    outcome = export_project(finished, settings=typed(to="all"))
    assert any("left out: usd, usdz" in note and "meshcli[usd]" in note for note in outcome.notes)
    assert not finished.path("export/desk.usdz").exists()


@pytest.mark.parametrize(
    ("flags", "package", "extra"),
    [(["--to", "usd"], "pxr", "usd"), (["--to", "usdz"], "pxr", "usd"), (["--for", "web"], "DracoPy", "web")],
)
def test_a_package_that_is_not_installed(
    finished: Project,
    flags: list[str],
    package: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # to Python, as if it were nowhere
    before = finished.path("manifest.json").read_bytes()
    assert main(["export", str(finished.root), *flags]) == 4
    assert capsys.readouterr().err.splitlines() == [
        f"error: {flags[1]} needs a package that is not installed: `pip install 'meshcli[{extra}]'`"
    ]
    assert finished.path("manifest.json").read_bytes() == before
    assert not finished.path("export").exists()


def test_no_rig_has_no_coordinates(finished: Project) -> None:
    with pytest.raises(UsageError, match="came with no rig"):
        export_project(finished, settings=typed(size_by="like-rig"))


def test_files_of_the_user_are_never_overwritten(finished: Project, tmp_path: Path) -> None:
    finished.path("export").mkdir()
    finished.path("export/desk.glb").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"desk\.glb"):
        export_project(finished)
    assert finished.path("export/desk.glb").read_bytes() == b"mine"


def test_copies_go_to_a_folder_and_spare_what_is_not_ours(finished: Project, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_project(finished, settings=typed(to="ply", folder=str(folder)))
    assert (folder / "desk.ply").read_bytes() == finished.path("export/desk.ply").read_bytes()
    export_project(finished, settings=typed(size_by="height", size=2.0))  # a copy of ours is renewed
    assert (folder / "desk.ply").read_bytes() == finished.path("export/desk.ply").read_bytes()
    (folder / "colmap/images.txt").unlink()
    assert export_project(finished).skipped
    assert (folder / "colmap/images.txt").is_file()
    before = finished.path("export/desk.ply").read_bytes()
    (folder / "desk.ply").write_bytes(b"edited")
    with pytest.raises(UsageError, match=r"desk\.ply"):
        export_project(finished, settings=typed(size_by="height", size=3.0))
    assert (folder / "desk.ply").read_bytes() == b"edited"
    assert finished.path("export/desk.ply").read_bytes() == before


def test_an_open_mesh_is_not_printed(finished: Project) -> None:
    from meshcli.export.gltf import write_glb

    mesh = read_glb(finished.path("mesh/mesh.glb"))
    half = replace(mesh, faces=mesh.faces[: len(mesh.faces) // 2], texture=None)
    finished.path("mesh/mesh.glb").write_bytes(write_glb(half))
    with pytest.raises(InputError, match="not watertight"):
        export_project(finished, settings=typed(to="stl"))
    outcome = export_project(finished, settings=typed(to="all"))
    assert any("left out: stl, 3mf" in note for note in outcome.notes)
    assert not finished.path("export/desk.stl").exists()


def test_smaller_settings_end() -> None:
    first = smaller_settings(Settings())
    assert first == {"export.texture_size": 1024}
    second = smaller_settings(override(Settings(), first, ""))
    assert second == {"export.texture_size": 512}
    assert smaller_settings(override(Settings(), second, "")) == {}


def test_lengths_for_people() -> None:
    assert [length(metres) for metres in (1.15, 0.45, 0.008)] == ["1.15 m", "45 cm", "8 mm"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--height 0.45", 2, "has no unit"), ("--height 1m --width 2m", 2, "take one"), ("--scale 0", 2, "above 0"),
        ("--height 1m --like-rig", 2, "take one"), ("--to glbb", 2, "did you mean glb?"), ("--for unrael", 2, "unreal"),
        ("--to glb --up z", 2, "y is always up"), ("--like-rig --pivot base", 2, "--pivot base"),
    ],
)  # fmt: skip
def test_bad_input(finished: Project, capsys: pytest.CaptureFixture[str], words: str, code: int, says: str) -> None:
    assert main(["export", str(finished.root), *words.split()]) == code
    line = capsys.readouterr().err
    assert says in line
    assert not finished.path("export").exists()


def test_json_of_an_export(finished: Project, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(finished.root), "--to", "ply", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    schema = json.loads((Path(__file__).parents[2] / "docs/json-schema.json").read_text())
    Draft202012Validator({**schema, "$ref": "#/$defs/stage", "anyOf": [{}]}).validate(document)
    assert document["stage"] == "export"
    assert main(["status", str(finished.root), "--json"]) == 0
    status = json.loads(capfd.readouterr().out)
    Draft202012Validator({**schema, "$ref": "#/$defs/status", "anyOf": [{}]}).validate(status)
    assert status["stages"]["export"]["state"] == "done"
    assert {row["file"] for row in document["outputs"]} >= {"export/desk.ply", "export/cameras.json"}

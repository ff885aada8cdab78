"""USD files, read back with USD's own library and held to its validators."""

import io
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.chiral_object import BLUE, HIGH, LOW, RED, RED_CORNER, VOLUME, chiral_object, coloured_object
from helpers.scene_cameras import SIZES, pixels_of, scene_of
from meshcli.errors import InputError, MissingError
from meshcli.export.frames import TO_USD, Up
from meshcli.export.scene import Scene
from meshcli.export.usd import write_usd, write_usdz
from meshcli.export.watertight import signed_volume
from meshcli.meshes.mesh import Mesh

pxr = pytest.importorskip("pxr", reason="needs usd-core, which `make test` installs")
from pxr import Sdf, Usd, UsdGeom, UsdShade, UsdValidation  # noqa: E402

UPS: list[Up] = ["y", "z"]


@pytest.fixture(params=UPS)
def up(request: pytest.FixtureRequest) -> Up:
    return request.param


def opened(scene: Scene, folder: Path, up: Up = "z", jpeg_quality: int | None = None) -> Usd.Stage:
    for name, data in write_usd(scene, up=up, jpeg_quality=jpeg_quality).items():
        (folder / name).write_bytes(data)
    return Usd.Stage.Open(str(folder / f"{scene.name}.usdc"))


def mesh_of(stage: Usd.Stage) -> UsdGeom.Mesh:
    found = [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert len(found) == 1
    return found[0]


def cameras_of(stage: Usd.Stage) -> dict[str, UsdGeom.Camera]:
    return {prim.GetName(): UsdGeom.Camera(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera)}


def findings(stage: Usd.Stage) -> list[tuple[str, str]]:
    """What all of USD's validators find."""
    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    return [(str(error.GetIdentifier()), error.GetMessage()) for error in context.Validate(stage)]


@pytest.mark.parametrize("kind", ["texture", "colours", "plain"])
def test_the_validators_find_nothing(kind: str, up: Up, tmp_path: Path) -> None:
    plain = replace(chiral_object(), texture=None)
    mesh = {"texture": chiral_object(), "colours": coloured_object(), "plain": plain}[kind]
    assert findings(opened(scene_of(mesh), tmp_path, up)) == []
    (tmp_path / "chair.usdz").write_bytes(write_usdz(scene_of(mesh), up=up))
    assert findings(Usd.Stage.Open(str(tmp_path / "chair.usdz"))) == []


def test_the_validators_would_find_something(tmp_path: Path) -> None:
    stage = Usd.Stage.CreateNew(str(tmp_path / "bad.usda"))
    UsdGeom.Mesh.Define(stage, "/bad")
    assert len(findings(stage)) >= 2  # no default prim, no units


def test_the_stage_says_its_units_axes_and_root(up: Up, tmp_path: Path) -> None:
    stage = opened(scene_of(chiral_object()), tmp_path, up)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == up.upper()
    assert stage.GetDefaultPrim().GetPath() == "/chair"
    assert Usd.ModelAPI(stage.GetDefaultPrim()).GetKind() == "component"
    assert stage.GetDefaultPrim().GetAttribute("userProperties:size_known").Get() is True


def test_corners_winding_and_extent(up: Up, tmp_path: Path) -> None:
    stage = opened(scene_of(chiral_object()), tmp_path, up)  # prims live as long as their stage
    prim = mesh_of(stage)
    points = np.array(prim.GetPointsAttr().Get()) @ TO_USD[up]  # back to the scene: the inverse of a rotation
    faces = np.array(prim.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    assert set(prim.GetFaceVertexCountsAttr().Get()) == {3}
    assert signed_volume(points, faces) == pytest.approx(VOLUME, rel=1e-5)
    assert np.allclose([points.min(axis=0), points.max(axis=0)], [LOW, HIGH])
    assert np.linalg.norm(points - RED_CORNER, axis=1).min() < 1e-6
    assert prim.GetOrientationAttr().Get() == "rightHanded"
    assert prim.GetSubdivisionSchemeAttr().Get() == "none"
    assert np.allclose(prim.GetExtentAttr().Get(), UsdGeom.Mesh.ComputeExtent(prim.GetPointsAttr().Get()))
    normals = np.array(prim.GetNormalsAttr().Get()).reshape(-1, 3, 3) @ TO_USD[up]
    flat = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    assert prim.GetNormalsInterpolation() == "faceVarying"
    assert ((normals * flat[:, None]).sum(axis=-1) > 0.9 * np.linalg.norm(flat, axis=1)[:, None]).all()


def test_y_up_stands_upright_with_its_front_on_z(tmp_path: Path) -> None:
    stage = opened(scene_of(chiral_object()), tmp_path, "y")
    points = np.array(mesh_of(stage).GetPointsAttr().Get())
    assert points[:, 1].max() == pytest.approx(HIGH[2])
    assert points[:, 2].max() == pytest.approx(HIGH[0])


@pytest.mark.parametrize("packed", [False, True])
def test_the_texture_lies_as_it_did(packed: bool, tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    stage = opened(scene, tmp_path)
    if packed:
        (tmp_path / "chair.usdz").write_bytes(write_usdz(scene))
        stage = Usd.Stage.Open(str(tmp_path / "chair.usdz"))
    prim = mesh_of(stage)
    shaders = {
        each.GetIdAttr().Get(): each for each in map(UsdShade.Shader, stage.Traverse()) if each and each.GetIdAttr()
    }
    texture = shaders["UsdUVTexture"]
    assert texture.GetInput("sourceColorSpace").Get() == "sRGB"
    with Image.open(io.BytesIO(_asset(texture.GetInput("file").Get().resolvedPath))) as picture:
        image = np.asarray(picture.convert("RGB")).astype(int)
    st = UsdGeom.PrimvarsAPI(prim).GetPrimvar("st")
    assert st.GetInterpolation() == "faceVarying"
    uv = np.array(st.ComputeFlattened()).reshape(-1, 3, 2)
    points = np.array(prim.GetPointsAttr().Get())
    corners = points[np.array(prim.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)]
    if packed:
        corners = corners @ TO_USD["y"]
    red = np.linalg.norm(corners - RED_CORNER, axis=-1) < 1e-5
    middle = uv.mean(axis=1, keepdims=True)
    near = uv + 0.05 * (middle - uv)  # not on the edge of a side's part of the picture
    rows, columns = ((1.0 - near[..., 1]) * image.shape[0]).astype(int), (near[..., 0] * image.shape[1]).astype(int)
    assert red.sum() >= 3
    assert np.abs(image[rows, columns][red] - RED).max() < 3
    assert image[rows, columns][~red][:, 0].max() < 60


def _asset(path: str) -> bytes:
    if "[" not in path:
        return Path(path).read_bytes()
    package, name = path.rstrip("]").split("[")
    return zipfile.ZipFile(package).read(name)


def test_vertex_colours_are_linear(tmp_path: Path) -> None:
    stage = opened(scene_of(coloured_object()), tmp_path)
    prim = mesh_of(stage)
    colours = UsdGeom.PrimvarsAPI(prim).GetPrimvar("displayColor")
    assert colours.GetInterpolation() == "vertex"
    red = np.linalg.norm(np.array(prim.GetPointsAttr().Get()) - RED_CORNER, axis=1) < 1e-6
    values = np.array(colours.Get())
    assert np.allclose(values[red], [(np.array(RED) / 255.0 + 0.055) ** 2.4 / 1.055**2.4], atol=1e-6)
    assert np.allclose(values[~red], [(np.array(BLUE) / 255.0 + 0.055) ** 2.4 / 1.055**2.4], atol=1e-6)


def test_cameras_see_the_same_pixels(up: Up, tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    stage = opened(scene, tmp_path, up)
    cameras = cameras_of(stage)
    points = np.array(scene.mesh.vertices, np.float64)
    assert list(cameras) == [each.name for each in scene.cameras]
    for each in scene.cameras:
        frustum = cameras[each.name].GetCamera(Usd.TimeCode.Default()).frustum
        matrix = np.array(frustum.ComputeViewMatrix()) @ np.array(frustum.ComputeProjectionMatrix())
        clip = np.c_[points @ TO_USD[up].T, np.ones(len(points))] @ matrix
        assert (np.abs(clip[:, 2]) < clip[:, 3]).all()  # between the clipping planes
        seen = (clip[:, :2] / clip[:, 3:] * (0.5, -0.5) + 0.5) * (each.width, each.height)
        assert np.abs(seen - pixels_of(each, points)).max() < 1e-3


def test_lenses_are_millimetres_by_the_rule_of_usd(tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    stage = opened(scene, tmp_path)
    millimetres = 1000.0 * UsdGeom.GetStageMetersPerUnit(stage) / 10.0  # in a tenth of a unit
    for each, prim in zip(scene.cameras, cameras_of(stage).values(), strict=True):
        sides = [prim.GetHorizontalApertureAttr().Get(), prim.GetVerticalApertureAttr().Get()]
        assert max(sides) * millimetres == pytest.approx(36.0)
        assert prim.GetFocalLengthAttr().Get() / sides[0] == pytest.approx(each.camera.fx, rel=1e-6)
        assert prim.GetFocalLengthAttr().Get() / sides[1] == pytest.approx(each.camera.fy, rel=1e-6)


def test_cameras_name_their_pictures(tmp_path: Path) -> None:
    stage = opened(scene_of(chiral_object()), tmp_path)
    cameras = cameras_of(stage)

    def properties(name: str) -> dict[str, Any]:
        prim = cameras[name].GetPrim()
        return {key: prim.GetAttribute(f"userProperties:{key}").Get() for key in ("kind", "picture", "width", "height")}

    width, height = SIZES["photo_a"]
    assert properties("photo_a") == {"kind": "photo", "picture": "photos/a.png", "width": width, "height": height}
    assert properties("turntable")["picture"] == ""


def test_a_package_is_one_aligned_file_without_compression() -> None:
    data = write_usdz(scene_of(chiral_object()))
    package = zipfile.ZipFile(io.BytesIO(data))
    assert [info.filename for info in package.infolist()] == ["chair.usdc", "chair.png"]
    for info in package.infolist():
        name, extra = (int.from_bytes(data[info.header_offset + at :][:2], "little") for at in (26, 28))
        assert (info.header_offset + 30 + name + extra) % 64 == 0
        assert info.compress_type == zipfile.ZIP_STORED


def test_the_same_scene_is_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from helpers.scene_cameras import scene_of;"
        "from helpers.chiral_object import chiral_object; from meshcli.export.usd import write_usd, write_usdz;"
        "scene = scene_of(chiral_object());"
        f"Path({str(tmp_path)!r}, 'a').write_bytes(b''.join(write_usd(scene).values()) + write_usdz(scene))"
    )
    elsewhere = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], env=elsewhere)
    scene = scene_of(chiral_object())
    times = {info.date_time for info in zipfile.ZipFile(io.BytesIO(write_usdz(scene))).infolist()}
    assert times == {(1980, 1, 1, 0, 0, 0)}
    assert (tmp_path / "a").read_bytes() == b"".join(write_usd(scene).values()) + write_usdz(scene)


def test_a_jpeg_texture(tmp_path: Path) -> None:
    scene = scene_of(chiral_object())
    assert findings(opened(scene, tmp_path, jpeg_quality=80)) == []
    assert Image.open(tmp_path / "chair.jpg").format == "JPEG"


def test_a_damaged_mesh_is_refused() -> None:
    mesh = coloured_object()
    with pytest.raises(InputError, match="no faces"):
        write_usd(scene_of(Mesh(mesh.vertices, mesh.faces[:0])))
    with pytest.raises(InputError, match="lies nowhere"):
        write_usdz(scene_of(Mesh(mesh.vertices * np.float32("nan"), mesh.faces)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    for write in (write_usd, write_usdz):
        with pytest.raises(MissingError, match=r"pip install 'meshcli\[usd\]'"):
            write(scene_of(chiral_object()))


def test_a_name_that_is_no_identifier(tmp_path: Path) -> None:
    scene = replace(scene_of(chiral_object()), name="2nd chair")
    stage = opened(scene, tmp_path)
    assert Sdf.Path.IsValidIdentifier(stage.GetDefaultPrim().GetName())
    assert findings(stage) == []

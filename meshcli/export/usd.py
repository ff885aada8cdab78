"""A scene as OpenUSD: one file with the mesh, its material and its cameras, beside its texture; or all packed as USDZ.

Units: one unit is a metre (metersPerUnit 1). UsdGeomCamera states focal length and apertures in tenths of a unit, which
are millimetres where a unit is a centimetre (openusd.org, "UsdGeomCamera: Units of Measure for Camera Properties"). In
metres a tenth of a unit is 100 mm, so a lens of 50 mm is written as 0.5. The picture depends on their ratio alone;
Blender, Houdini and Unreal make millimetres of them by metersPerUnit.

An aperture's offset says how far the window of the picture lies to the right and above of the straight view, in the
same tenths (GfCamera). Colours at vertices are linear, as displayColor is; the texture says that it is sRGB. USD's own
library writes and packs (Pixar, "usdz File Format Specification": every file starts at a multiple of 64 bytes).
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from meshcli.arrays import Array
from meshcli.errors import InputError, MissingError
from meshcli.export.film_back import film_back
from meshcli.export.frames import Up, pose_to_usd, to_usd
from meshcli.export.scene import Scene, SceneCamera
from meshcli.meshes.mesh import PLAIN_GREY, corner_normals
from meshcli.pictures.image import encode_texture

TENTH = 100.0  # mm: a tenth of a unit, and the unit is a metre
SURFACE = "surface"  # the material's name
CREATOR = "meshcli"
ZIP_EPOCH = time.mktime((1980, 1, 1, 0, 0, 0, 0, 0, -1))  # local, as zip files count


def write_usd(scene: Scene, *, up: Up = "z", jpeg_quality: int | None = None) -> dict[str, bytes]:
    """Contents by file name, deterministic: NAME.usdc, and with a texture NAME.png, or NAME.jpg of this quality.

    InputError for a mesh without faces or with a vertex that is no number; MissingError without usd-core.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _write(scene, up, jpeg_quality, Path(folder))


def write_usdz(scene: Scene, *, up: Up = "y", jpeg_quality: int | None = None) -> bytes:
    """The same packed into one file. Viewers of phones expect y up. Errors as those of `write_usd`."""
    _pxr()
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory() as folder:
        for name in _write(scene, up, jpeg_quality, Path(folder)):
            os.utime(Path(folder, name), (ZIP_EPOCH, ZIP_EPOCH))  # the package states the files' local times
        package = Path(folder, "package.usdz")
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(Path(folder, f"{scene.name}.usdc"))), str(package)):
            raise InputError(f"{scene.name}.usdz could not be packed")
        return package.read_bytes()


def _pxr() -> None:
    """MissingError without usd-core."""
    try:
        import pxr  # noqa: F401
    except ImportError as error:
        from meshcli.export.targets import install_line

        raise MissingError(f"USD needs a package that is not installed: {install_line('usd')}") from error


def _write(scene: Scene, up: Up, jpeg_quality: int | None, folder: Path) -> dict[str, bytes]:
    """Write the files into an empty folder; their contents by name."""
    if not len(scene.mesh.faces):
        raise InputError("the mesh has no faces: there is nothing to export")
    if not np.isfinite(scene.mesh.vertices).all():
        raise InputError("the mesh is damaged: a vertex lies nowhere")
    _pxr()
    from pxr import Kind, Usd, UsdGeom

    files: dict[str, bytes] = {}
    if scene.mesh.texture is not None:
        ending, data = encode_texture(scene.mesh.texture.image, jpeg_quality)
        files[f"{scene.name}.{ending}"] = data
        (folder / f"{scene.name}.{ending}").write_bytes(data)
    path = folder / f"{scene.name}.usdc"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y if up == "y" else UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)
    stage.GetRootLayer().customLayerData = {"creator": CREATOR}
    root = UsdGeom.Xform.Define(stage, _root(scene))
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root).SetKind(Kind.Tokens.component)
    root.GetPrim().CreateAttribute("userProperties:size_known", _types().Bool, custom=True).Set(scene.size_known)
    _add_mesh(stage, scene, up, next(iter(files), ""))
    if scene.cameras:
        UsdGeom.Scope.Define(stage, f"{_root(scene)}/cameras")
    for camera in scene.cameras:
        _add_camera(stage, scene, camera, up)
    stage.GetRootLayer().Save()
    return {path.name: path.read_bytes(), **files}


def _add_mesh(stage: Any, scene: Scene, up: Up, texture_file: str) -> None:
    from pxr import Gf, UsdGeom, UsdShade, Vt

    mesh = scene.mesh
    points = to_usd(mesh.vertices, up)
    prim = UsdGeom.Mesh.Define(stage, f"{_root(scene)}/mesh")
    prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(mesh.faces.reshape(-1), np.int32)))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateOrientationAttr(UsdGeom.Tokens.rightHanded)
    prim.CreateDoubleSidedAttr(False)
    normals = to_usd(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3), up)
    prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals))
    prim.SetNormalsInterpolation(UsdGeom.Tokens.faceVarying)
    prim.CreateExtentAttr(
        Vt.Vec3fArray([Gf.Vec3f(*map(float, row)) for row in (points.min(axis=0), points.max(axis=0))])
    )
    primvars = UsdGeom.PrimvarsAPI(prim)
    if mesh.texture is not None:
        st = primvars.CreatePrimvar("st", _types().TexCoord2fArray, UsdGeom.Tokens.faceVarying)
        st.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(mesh.texture.coordinates, np.float32)))
        st.SetIndices(Vt.IntArray.FromNumpy(np.ascontiguousarray(mesh.texture.faces.reshape(-1), np.int32)))
    elif mesh.colours is not None:
        colours = primvars.CreatePrimvar("displayColor", _types().Color3fArray, UsdGeom.Tokens.vertex)
        colours.Set(Vt.Vec3fArray.FromNumpy(_linear(mesh.colours)))
    material = _add_material(stage, scene, texture_file)
    UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material)


def _add_material(stage: Any, scene: Scene, texture_file: str) -> Any:
    """A rough surface that shows the texture, the vertices' colours, or grey."""
    from pxr import Gf, UsdGeom, UsdShade

    types = _types()
    UsdGeom.Scope.Define(stage, f"{_root(scene)}/materials")
    base = f"{_root(scene)}/materials/{SURFACE}"
    material = UsdShade.Material.Define(stage, base)
    shader = _shader(stage, f"{base}/preview", "UsdPreviewSurface")
    shader.CreateInput("roughness", types.Float).Set(1.0)
    shader.CreateInput("metallic", types.Float).Set(0.0)
    diffuse = shader.CreateInput("diffuseColor", types.Color3f)
    if texture_file:
        reader = _shader(stage, f"{base}/texture_coordinates", "UsdPrimvarReader_float2")
        reader.CreateInput("varname", types.String).Set("st")
        texture = _shader(stage, f"{base}/texture", "UsdUVTexture")
        texture.CreateInput("file", types.Asset).Set(f"./{texture_file}")
        texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
        texture.CreateInput("wrapS", types.Token).Set("clamp")
        texture.CreateInput("wrapT", types.Token).Set("clamp")
        coordinates = reader.CreateOutput("result", types.Float2)
        texture.CreateInput("st", types.Float2).ConnectToSource(coordinates)
        diffuse.ConnectToSource(texture.CreateOutput("rgb", types.Float3))
    elif scene.mesh.colours is not None:
        reader = _shader(stage, f"{base}/colours", "UsdPrimvarReader_float3")
        reader.CreateInput("varname", types.String).Set("displayColor")
        diffuse.ConnectToSource(reader.CreateOutput("result", types.Float3))
    else:
        diffuse.Set(Gf.Vec3f(float(_linear(np.full((1, 3), PLAIN_GREY, np.uint8))[0, 0])))
    material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", types.Token))
    return material


def _shader(stage: Any, path: str, identifier: str) -> Any:
    from pxr import UsdShade

    shader = UsdShade.Shader.Define(stage, path)
    shader.CreateIdAttr(identifier)
    return shader


def _add_camera(stage: Any, scene: Scene, camera: SceneCamera, up: Up) -> None:
    """A camera, and its picture as properties that Blender, Houdini and Maya show (userProperties)."""
    from pxr import Gf, UsdGeom

    prim = UsdGeom.Camera.Define(stage, f"{_root(scene)}/cameras/{camera.name}")
    pose = pose_to_usd(camera.camera.camera_to_world, up)
    prim.MakeMatrixXform().Set(Gf.Matrix4d(pose.T.tolist()))  # USD multiplies rows from the left
    lens = film_back(camera)
    prim.CreateProjectionAttr(UsdGeom.Tokens.perspective)
    prim.CreateFocalLengthAttr(lens.focal_length / TENTH)
    prim.CreateHorizontalApertureAttr(lens.width / TENTH)
    prim.CreateVerticalApertureAttr(lens.height / TENTH)
    prim.CreateHorizontalApertureOffsetAttr(lens.right / TENTH)
    prim.CreateVerticalApertureOffsetAttr(lens.up / TENTH)
    depth = _depth(camera, scene.mesh.vertices)
    prim.CreateClippingRangeAttr(Gf.Vec2f(depth / 100.0, depth * 100.0))
    prim.CreateFocusDistanceAttr(depth)
    types = _types()
    values = {
        "kind": (types.String, camera.kind), "picture": (types.String, camera.picture),
        "width": (types.Int, camera.width), "height": (types.Int, camera.height),
    }  # fmt: skip
    for name, (kind, value) in values.items():
        prim.GetPrim().CreateAttribute(f"userProperties:{name}", kind, custom=True).Set(value)


def _depth(camera: SceneCamera, vertices: Array) -> float:
    """The distance from a camera to the middle of the object in metres, at least a hundredth of the object's size."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    distance = float(np.linalg.norm((low + high) / 2.0 - camera.camera.position))
    return max(distance, 0.01 * float(np.linalg.norm(high - low)), 1e-9)


def _root(scene: Scene) -> str:
    """The path of the default prim: names of prims are of letters, digits and underscores."""
    from pxr import Tf

    return f"/{Tf.MakeValidIdentifier(scene.name)}"


def _linear(colours: Array) -> Array:
    """SRGB bytes (N, 3) to linear values (N, 3) (IEC 61966-2-1)."""
    value = colours / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.ascontiguousarray(linear, np.float32)


def _types() -> Any:
    from pxr import Sdf

    return Sdf.ValueTypeNames

"""GLB and OBJ are checked with trimesh and on a chiral object: three arms of their own length and colour."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from helpers.golden import Numbers
from helpers.rendering import render_picture
from meshcli.errors import InputError
from meshcli.export.frames import from_gltf
from meshcli.export.gltf import read_glb, write_glb
from meshcli.export.obj import write_obj
from meshcli.export.reading import read_mesh
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.views.camera import orbit

RED, GREEN, BLUE = (210, 40, 30), (40, 180, 50), (30, 60, 200)
ARMS = {RED: (0.9, 0, 0), GREEN: (0, 0.6, 0), BLUE: (0, 0, 0.4)}  # front, to the right of somebody in front, up
THICKNESS = (0.1, 0.12, 0.14)


def arms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces, colours of a solid that is not its own mirror image."""
    boxes = []
    for direction, thickness in zip(ARMS.values(), THICKNESS, strict=True):
        size = np.where(np.array(direction) > 0, direction, thickness)
        boxes.append(trimesh.creation.box(size, trimesh.transformations.translation_matrix(np.array(direction) / 2)))
    whole = trimesh.util.concatenate(boxes)
    return np.asarray(whole.vertices), np.asarray(whole.faces), np.repeat(list(ARMS), 8, axis=0)


def painted() -> Mesh:
    vertices, faces, colours = arms()
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), colours.astype(np.uint8))


def textured() -> Mesh:
    """Each arm has its own third of the texture, whose left half is darker than the right."""
    plain = painted()
    image = np.repeat(np.array(list(ARMS), np.uint8)[::-1], 8, axis=0)[:, None].repeat(16, axis=1).copy()
    image[:, :8] //= 2
    arm = np.arange(24) // 8
    low = (plain.vertices[:, 0] + plain.vertices[:, 1] + plain.vertices[:, 2]) < 0.1
    coordinates = np.stack([np.where(low, 0.2, 0.8), (arm + 0.5) / 3], axis=1).astype(np.float32)
    return Mesh(plain.vertices, plain.faces, texture=Texture(image, coordinates, plain.faces))


def save(mesh: Mesh, kind: str, directory: Path) -> Path:
    files = {"mesh.glb": write_glb(mesh)} if kind == "glb" else write_obj(mesh)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return directory / f"mesh.{kind}"


@pytest.mark.parametrize("kind", ["glb", "obj"])
@pytest.mark.parametrize("make", [painted, textured])
def test_upright_and_not_mirrored(make, kind: str, tmp_path: Path) -> None:
    loaded = trimesh.load_mesh(save(make(), kind, tmp_path), process=False)
    longest = [0.6, 0.4, 0.9]  # glTF's axes: x = green's arm, y (up) = blue's, z (front) = red's
    assert np.asarray(loaded.bounds)[1] == pytest.approx(longest, abs=1e-5)
    merged = trimesh.Trimesh(loaded.vertices, loaded.faces)
    assert merged.volume > 0  # the faces still point outwards
    assert merged.volume == pytest.approx(
        sum(max(d) * t**2 for d, t in zip(ARMS.values(), THICKNESS, strict=True)), rel=1e-4
    )


@pytest.mark.parametrize("kind", ["glb", "obj"])
@pytest.mark.parametrize("make", [painted, textured])
def test_a_round_trip_looks_the_same(make, kind: str, tmp_path: Path) -> None:
    mesh = make()
    again = (read_glb if kind == "glb" else read_mesh)(save(mesh, kind, tmp_path))
    assert len(again.vertices) == len(mesh.vertices)
    assert (again.texture is None) == (mesh.texture is None)
    for camera in orbit(35, 30), orbit(200, -40):
        before, after = (render_picture(m, camera, 80, 80, samples=2).astype(int) for m in (mesh, again))
        assert before[..., 3].sum() > 80 * 80 * 10
        seen = before[..., 3] == 255
        assert np.abs(before - after)[seen].max() <= 3
        assert np.abs(before - after)[..., 3].mean() < 0.5


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_trimesh_sees_the_texture_where_we_put_it(kind: str, tmp_path: Path) -> None:
    loaded = trimesh.load_mesh(save(textured(), kind, tmp_path), process=False)
    colours = loaded.visual.to_color().vertex_colors[:, :3].astype(int)
    for axis, colour in ((2, RED), (0, GREEN), (1, BLUE)):
        tip = loaded.vertices[:, axis] > loaded.vertices[:, axis].max() - 0.01
        assert np.abs(colours[tip] - colour).max() < 3


def test_the_bytes_are_the_same_each_time() -> None:
    assert write_glb(textured()) == write_glb(textured())
    assert write_obj(textured()) == write_obj(textured())


def header(data: bytes) -> dict:
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    assert size % 4 == 0
    return json.loads(data[20 : 20 + size])


def test_the_material_shows_the_colours_as_they_are() -> None:
    document = header(write_glb(textured()))
    surface = document["materials"][0]["pbrMetallicRoughness"]
    assert (surface["baseColorFactor"], surface["metallicFactor"], surface["roughnessFactor"]) == ([1, 1, 1, 1], 0, 1)
    assert set(document["meshes"][0]["primitives"][0]["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0"}
    assert b"Kd 1 1 1" in write_obj(textured())["mesh.mtl"]


def test_every_accessor_is_aligned_and_inside_the_file() -> None:
    for mesh in painted(), textured():
        document = header(write_glb(mesh))
        assert {each["bufferView"] for each in document["accessors"]} <= set(range(len(document["bufferViews"])))
        for view in document["bufferViews"]:
            assert view["byteOffset"] % 4 == 0
            assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]


def test_colours_of_vertices_are_linear_in_glb(tmp_path: Path) -> None:
    grey = Mesh(painted().vertices, painted().faces, np.full((24, 3), 188, np.uint8))
    loaded = next(iter(trimesh.load_scene(save(grey, "glb", tmp_path), process=False).geometry.values()))
    assert loaded.visual.vertex_attributes["color"][0, 0] / 65535 == pytest.approx(0.5, abs=0.01)


def test_flat_sides_have_flat_normals(tmp_path: Path) -> None:
    loaded = trimesh.load_mesh(save(textured(), "glb", tmp_path), process=False)
    assert np.abs(loaded.vertex_normals[loaded.faces] - loaded.face_normals[:, None]).max() < 1e-3


def test_a_damaged_file_is_the_users_to_fix(tmp_path: Path) -> None:
    path = tmp_path / "mesh.glb"
    path.write_bytes(write_glb(textured())[:300])
    with pytest.raises(InputError, match=r"mesh\.glb cannot be read"):
        read_glb(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_mesh(tmp_path / "nothing.obj")


def test_a_textured_obj_of_instantmesh_is_read(numbers: Numbers, tmp_path: Path) -> None:
    """save_obj_with_mtl (InstantMesh's src/utils/mesh_util.py). Its axes are not turned; its material is not ours."""
    given = numbers.arrays("mesh_utils")
    texts = given if "obj_text" in given else numbers.facts("mesh_utils")
    for ending in ("obj", "mtl"):
        (tmp_path / f"sample.{ending}").write_text(str(texts[f"{ending}_text"]))
    Image.fromarray(given["export_png_u8"]).save(tmp_path / "sample.png")
    mesh = read_mesh(tmp_path / "sample.obj")
    points = from_gltf(given["export_vertices"])
    np.testing.assert_allclose(mesh.vertices[mesh.faces], points[given["export_faces"]], atol=1e-6)
    assert mesh.texture is not None
    np.testing.assert_array_equal(mesh.texture.image, given["export_png_u8"])
    found = mesh.texture.coordinates[mesh.texture.faces]
    np.testing.assert_allclose(found, given["export_uvs"][given["export_tex_faces"]], atol=1e-6)
    # The published texture's rows go up with v; a picture's first row is at the top. What is dark is filled.
    texture = (given["export_texture"] * np.float32(255)).clip(0, 255)
    painted = texture.sum(axis=-1) > 3.0
    np.testing.assert_array_equal(mesh.texture.image[::-1][painted], texture.astype(np.uint8)[painted])


@pytest.mark.parametrize(("quality", "mime", "error"), [(None, "image/png", 0), (92, "image/jpeg", 6)])
def test_textures_are_read_back_from_png_and_jpeg(quality: int | None, mime: str, error: int, tmp_path: Path) -> None:
    data = write_glb(textured(), jpeg_quality=quality)
    assert header(data)["images"][0]["mimeType"] == mime
    (tmp_path / "mesh.glb").write_bytes(data)
    before, after = textured().texture, read_glb(tmp_path / "mesh.glb").texture
    assert before is not None
    assert after is not None
    assert np.abs(after.image.astype(int) - before.image).max() <= error


def test_a_jpeg_of_a_picture_is_smaller() -> None:
    y, x = np.mgrid[:128, :128]
    image = np.rint(128 + 100 * np.sin(x / 9.0) * np.cos(y / 7.0) + (x * 7 + y * 13) % 5).astype(np.uint8)
    texture = replace(textured().texture, image=np.repeat(image[..., None], 3, axis=2))
    mesh = replace(textured(), texture=texture)
    assert len(write_glb(mesh, jpeg_quality=92)) < 0.8 * len(write_glb(mesh))

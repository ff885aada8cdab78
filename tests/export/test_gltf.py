"""Scenes as GLB: trimesh, three.js and Khronos' validator read what was written."""

import hashlib
import json
import math
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from helpers.chiral_object import BLUE, HIGH, LOW, RED, RED_CORNER, VOLUME, chiral_object, coloured_object
from helpers.gltf_tools import load_with_three, texture_of, validate
from meshcli.errors import InputError, MissingError
from meshcli.export.draco import announced_faces
from meshcli.export.foreign_mesh import read_foreign_mesh
from meshcli.export.frames import TO_GLTF
from meshcli.export.gltf import PRINCIPAL_POINT_NOTE, node_name, write_glb, write_scene_glb
from meshcli.export.scene import Scene, SceneCamera
from meshcli.meshes.mesh import Mesh
from meshcli.views.camera import orbit

WIDE = replace(orbit(75.0, 20.0, 3.0, 40.0), fx=0.9, fy=1.2, cx=0.47, cy=0.52)  # of 4 x 3, off centre
CAMERAS = (
    SceneCamera("photo_a", "photo", WIDE, 1600, 1200, "photos/a.png"),
    SceneCamera("view_a0", "view", orbit(200.0, -90.0), 320, 320, "views/00.png"),
    SceneCamera("turntable", "turntable", orbit(0.0, 10.0), 512, 512),
)
NAMES = ["desk", "desk_mesh", "photo_a", "view_a0", "turntable"]
PLAIN = replace(chiral_object(), texture=None)
ONE_FACE = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32))
STEP = 0.9 / (2**14 - 1)  # of the positions in a file for the web


def scene(mesh: Mesh, cameras: tuple[SceneCamera, ...] = CAMERAS) -> Scene:
    return Scene("desk", mesh, cameras)


def written(mesh: Mesh, web: bool = False) -> bytes:
    if web:
        pytest.importorskip("DracoPy")
    return write_scene_glb(scene(mesh), web=web)


def document(data: bytes) -> dict:
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size])


def to_scene(points: np.ndarray) -> np.ndarray:
    """GLTF's (y, z, x) back to (x, y, z), written out here on purpose."""
    return np.asarray(points, np.float64)[:, [2, 0, 1]]


def signed_volume(points: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return float((np.cross(a, b) * c).sum() / 6.0)


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
@pytest.mark.parametrize(
    "mesh", [chiral_object(), coloured_object(), PLAIN, ONE_FACE], ids=str.split("uv colours grey one")
)
@pytest.mark.parametrize("cameras", [CAMERAS, ()], ids=["cameras", "alone"])
def test_the_validator_finds_nothing(mesh: Mesh, cameras: tuple[SceneCamera, ...], web: bool, tmp_path: Path) -> None:
    if web:
        pytest.importorskip("DracoPy")
    for quality in (None, 90):
        data = write_scene_glb(scene(mesh, cameras), jpeg_quality=quality, web=web)
        assert validate(data, tmp_path, draco=web) == []


def test_the_validator_finds_nothing_in_the_mesh_of_a_project(tmp_path: Path) -> None:
    assert validate(write_glb(chiral_object(), jpeg_quality=90), tmp_path) == []


def test_the_validator_does_find_what_is_wrong(tmp_path: Path) -> None:
    wrong = written(chiral_object()).replace(b'"zfar"', b'"zfaR"')
    assert validate(wrong, tmp_path) != []


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_three_loads_the_mesh_as_it_stands(web: bool, tmp_path: Path) -> None:
    seen = load_with_three(written(chiral_object(), web), tmp_path)
    (mesh,) = seen["meshes"]
    points, faces = to_scene(mesh["points"]), np.array(mesh["index"]).reshape(-1, 3)
    assert len(faces) == len(chiral_object().faces)
    np.testing.assert_allclose(to_scene(mesh["box"]), [LOW, HIGH], atol=STEP if web else 1e-6)
    assert signed_volume(points, faces) == pytest.approx(VOLUME, rel=1e-3 if web else 1e-6)
    image = texture_of(mesh)
    assert image.shape == chiral_object().texture.image.shape
    assert mesh["texture"]["flipped"] is False  # row 0 is at v = 0
    assert mesh["texture"]["type"] == ("image/webp" if web else "image/png")
    assert mesh["material"] == [0, 1, [1, 1, 1]]
    red = np.linalg.norm(points - RED_CORNER, axis=1) < 0.001
    assert red.sum() >= 3
    for is_red, (u, v) in zip(red, mesh["texels"], strict=True):
        colour = image[
            min(int(v * image.shape[0]), image.shape[0] - 1), min(int(u * image.shape[1]), image.shape[1] - 1)
        ]
        assert (int(colour[0]) - int(colour[2]) > 100) == is_red


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_three_loads_the_cameras_and_names(web: bool, tmp_path: Path) -> None:
    seen = load_with_three(written(chiral_object(), web), tmp_path)
    assert [node["name"] for node in seen["nodes"]][1:] == NAMES
    assert seen["roots"] == ["desk"]
    for found, ours in zip(seen["cameras"], CAMERAS, strict=True):
        pose = np.array(ours.camera.camera_to_world)
        matrix = np.array(found["matrix"]).reshape(4, 4).T
        np.testing.assert_allclose(to_scene(matrix[:3].T).T, pose[:3], atol=1e-6)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0, abs=1e-9)
        assert found["fov"] == pytest.approx(ours.camera.fov, abs=1e-6)
        across = math.tan(math.radians(found["fov"]) / 2.0) * found["aspect"]
        assert across == pytest.approx(0.5 / ours.camera.fx, abs=1e-9)
        assert found["extras"]["picture"] == ours.picture
        assert {key: found["extras"][key] for key in ("fx", "fy", "cx", "cy")} == {
            key: getattr(ours.camera, key) for key in ("fx", "fy", "cx", "cy")
        }
        assert (found["extras"]["kind"], found["extras"]["width"]) == (ours.kind, ours.width)
        assert found["extras"].get("note") == (PRINCIPAL_POINT_NOTE if ours.name == "photo_a" else None)
        corners = np.array(np.meshgrid(*zip(LOW, HIGH, strict=True))).reshape(3, -1).T
        depths = -(corners - pose[:3, 3]) @ pose[:3, 2]
        assert 0.0 < found["near"] < depths.min() < depths.max() < found["far"]


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_three_loads_colours_of_vertices(web: bool, tmp_path: Path) -> None:
    (mesh,) = load_with_three(written(coloured_object(), web), tmp_path)["meshes"]
    red = np.linalg.norm(to_scene(mesh["points"]) - RED_CORNER, axis=1) < 0.001
    linear = np.where(red[:, None], RED, BLUE) / 255.0
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(mesh["colours"], linear, atol=1e-4)
    assert mesh["texture"] is None


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_trimesh_reads_the_mesh_as_it_stands(web: bool, tmp_path: Path) -> None:
    path = tmp_path / "desk.glb"
    path.write_bytes(written(chiral_object(), web))
    loaded = trimesh.load_mesh(path, process=False)
    points = to_scene(loaded.vertices)
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)], [LOW, HIGH], atol=STEP if web else 1e-6)
    assert signed_volume(points, loaded.faces) == pytest.approx(VOLUME, rel=1e-3 if web else 1e-6)
    colours = loaded.visual.to_color().vertex_colors[:, :3].astype(int)
    red = np.linalg.norm(points - RED_CORNER, axis=1) < 0.001
    assert ((colours[:, 0] - colours[:, 2] > 100) == red).all()


def test_the_frame_is_a_rotation() -> None:
    assert np.linalg.det(TO_GLTF) == pytest.approx(1.0)


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_our_own_files_are_read_again(web: bool, tmp_path: Path) -> None:
    data = written(chiral_object(), web)
    read = read_foreign_mesh(tmp_path / "desk.glb", data)
    points = to_scene(read.mesh.vertices * read.size + read.centre)
    assert len(read.mesh.vertices) == 12
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)], [LOW, HIGH], atol=STEP if web else 1e-6)
    red = np.linalg.norm(points - RED_CORNER, axis=1) < 0.001
    assert red.sum() == 1
    assert ((read.mesh.colours[:, 0].astype(int) - read.mesh.colours[:, 2] > 100) == red).all()


def test_the_bytes_of_a_projects_mesh_stay_what_they_were() -> None:
    """Of vertex colours; PNG and JPEG bytes would differ between builds of Pillow."""
    digest = hashlib.sha256(write_glb(coloured_object(), 2.0)).hexdigest()
    assert digest == "cf7d9ea956d77b26424299e4d78bc680ca7ee544346236e4bfd80fff3c734bb5"
    structure = document(write_glb(chiral_object()))
    assert list(structure)[-6:] == ["textures", "samplers", "images", "accessors", "bufferViews", "buffers"]
    assert [view.get("target") for view in structure["bufferViews"]] == [34962, 34962, 34962, None, 34963]
    assert structure["nodes"] == [{"mesh": 0, "name": "object"}]


@pytest.mark.parametrize("web", [False, True], ids=["plain", "web"])
def test_the_bytes_are_the_same_each_time(web: bool) -> None:
    assert written(chiral_object(), web) == written(chiral_object(), web)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('Höcker „3"', 'Höcker „3"'),
        ("a\x00b\nc\u202e", "a b c"),
        ("\udcff", "object"),
        ("", "object"),
        ("photo_a", "photo_a_"),
    ],
)
def test_names_that_every_program_can_show(given: str, shown: str, tmp_path: Path) -> None:
    assert node_name(given, {"photo_a"}) == shown
    data = write_scene_glb(Scene(given, ONE_FACE, CAMERAS[:1]))
    assert document(data)["nodes"][0]["name"] == shown
    assert validate(data, tmp_path) == []


def test_many_vertices_have_indices_of_32_bits() -> None:
    side = 300
    y, x = np.mgrid[:side, :side].astype(np.float32)
    at = np.arange(side * side).reshape(side, side)
    faces = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:]], axis=-1).reshape(-1, 3).astype(np.int32)
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    table = document(write_scene_glb(Scene("plane", Mesh(points, faces))))
    indices = table["accessors"][table["meshes"][0]["primitives"][0]["indices"]]
    assert (indices["componentType"], indices["count"]) == (5125, faces.size)


@pytest.mark.parametrize("bad", ["no faces", "not a number", "wide"])
def test_bad_scenes_have_one_clear_line(bad: str) -> None:
    mesh = chiral_object()
    match bad:
        case "no faces":
            mesh, words = Mesh(mesh.vertices, np.empty((0, 3), np.int32)), "has no faces"
        case "not a number":
            mesh, words = Mesh(mesh.vertices * np.float32(np.nan), mesh.faces), "lies nowhere"
        case _:
            wide = np.zeros((1, 65_501, 3), np.uint8)
            mesh, words = replace(mesh, texture=replace(mesh.texture, image=wide)), "at most 65500 pixels"
    with pytest.raises(InputError, match=words) as caught:
        write_scene_glb(scene(mesh), jpeg_quality=90)
    assert "\n" not in str(caught.value)


def test_a_large_texture_is_made_smaller_for_the_web(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    mesh = chiral_object()
    large = np.repeat(np.repeat(mesh.texture.image, 16, axis=0), 16, axis=1)  # 4096 x 2048
    data = write_scene_glb(scene(replace(mesh, texture=replace(mesh.texture, image=large))), web=True)
    image = trimesh.load_mesh(trimesh.util.wrap_as_stream(data), file_type="glb").visual.material.baseColorTexture
    assert image.size == (2048, 1024)


def test_without_dracopy_the_line_to_type_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = written(chiral_object(), web=True)
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(MissingError, match="pip install DracoPy"):
        write_scene_glb(scene(chiral_object()), web=True)
    with pytest.raises(MissingError, match="pip install DracoPy"):
        read_foreign_mesh(tmp_path / "desk.glb", data)


def test_sizes_of_a_compressed_mesh_are_checked_before_it_is_read(tmp_path: Path) -> None:
    data = written(chiral_object(), web=True)
    at = data.index(b"DRACO")
    assert announced_faces(data[at:]) == 20
    assert (data[at + 8], data[at + 12], data[at + 13]) == (1, 12, 20)  # edgebreaker, its vertices, its faces
    hostile = data[: at + 13] + b"\xff\xff\xff\xff\x0f" + data[at + 18 :]
    with pytest.raises(InputError, match="announces 4,294,967,295 faces"):
        read_foreign_mesh(tmp_path / "desk.glb", hostile)
    for damaged in (data[: at + 5], data.replace(b"DRACO", b"DRAKE"), data[: at + 9] + b"\0\x80" + data[at + 11 :]):
        with pytest.raises(InputError, match="Draco mesh"):
            read_foreign_mesh(tmp_path / "desk.glb", damaged)

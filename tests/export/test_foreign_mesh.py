"""Mesh files of other programs, whole ones and such as are made to do harm."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from meshcli.errors import InputError
from meshcli.export.foreign_mesh import read_foreign_mesh

QUAD_OBJ = """v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
f 1 2 3 4
"""


def read(path: Path):  # what the tested function returns
    return read_foreign_mesh(path, path.read_bytes())


def write(path: Path, contents: str | bytes) -> Path:
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_a_box_is_one_closed_surface_in_every_format(tmp_path: Path, kind: str) -> None:
    box = trimesh.creation.box((2.0, 4.0, 6.0)).apply_translation((1000.0, 0.0, 0.0))
    found = read(write(tmp_path / f"box.{kind}", box.export(file_type=kind)))
    assert (len(found.mesh.vertices), len(found.mesh.faces), found.faces_in_file) == (8, 12, 12)
    assert found.centre == pytest.approx((1000.0, 0.0, 0.0))
    assert found.size == pytest.approx(np.sqrt(14.0))
    assert np.ptp(found.mesh.vertices, axis=0) * found.size == pytest.approx((2.0, 4.0, 6.0), rel=1e-5)
    assert trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False).is_volume


def test_objects_of_a_scene_are_placed_joined_and_mirrored_ones_reversed(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((3.0, 0.0, 0.0)))
    scene.add_geometry(box, transform=np.diag([-1.0, 1.0, 1.0, 1.0]))
    found = read(write(tmp_path / "two.glb", scene.export(file_type="glb")))
    assert len(found.mesh.faces) == 24
    assert np.ptp(found.mesh.vertices[:, 0]) * found.size == pytest.approx(4.0, rel=1e-5)
    assert trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False).volume * found.size**3 > 1.99


def test_quads_and_colours(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "quad.obj", QUAD_OBJ)).mesh.faces) == 2
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile([10, 200, 30, 255], (8, 1)).astype(np.uint8)
    for kind in ("ply", "obj", "glb"):
        found = read(write(tmp_path / f"green.{kind}", box.export(file_type=kind)))
        assert found.mesh.colours is not None
        assert np.abs(found.mesh.colours.astype(int) - (10, 200, 30)).max() <= (110 if kind == "glb" else 1)


def test_a_texture_beside_the_file_gives_colours_and_one_elsewhere_is_not_read(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (200, 10, 20)).save(tmp_path / "red.png")
    write(tmp_path / "m.mtl", "newmtl m\nmap_Kd red.png\n")
    body = "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.1 0.1\nvt 0.9 0.1\nvt 0.1 0.9\nusemtl m\nf 1/1 2/2 3/3\n"
    colours = read(write(tmp_path / "t.obj", body)).mesh.colours
    assert colours is not None
    assert (colours == (200, 10, 20)).all()
    inner = tmp_path / "inner"
    inner.mkdir()
    write(inner / "m.mtl", "newmtl m\nmap_Kd ../red.png\n")
    colours = read(write(inner / "t.obj", body)).mesh.colours
    assert colours is None or not (colours == (200, 10, 20)).all()


def gltf(uri: str, count: int = 3, **more: object) -> str:
    return json.dumps({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}], "buffers": [{"uri": uri, "byteLength": 36}],
    } | more)  # fmt: skip


def test_a_gltf_reads_its_buffer_from_its_own_folder_only(tmp_path: Path) -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32).tobytes()
    (tmp_path / "inner").mkdir()
    for place in (tmp_path, tmp_path / "inner"):
        write(place / "b.bin", corners)
    inner = tmp_path / "inner"
    assert len(read(write(inner / "own.gltf", gltf("b.bin"))).mesh.faces) == 1
    embedded = "data:application/octet-stream;base64," + base64.b64encode(corners).decode()
    assert len(read(write(inner / "embedded.gltf", gltf(embedded))).mesh.faces) == 1
    for name in ("../b.bin", str(tmp_path / "b.bin"), "https://example.org/b.bin", "none.bin"):
        with pytest.raises(InputError, match="refers to"):
            read(write(inner / "other.gltf", gltf(name)))


NAN_OBJ = QUAD_OBJ.replace("v 2 1 0", "v nan 1 0")
POINTS_PLY = (
    "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n"
)
BOMB_PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nproperty float y\n"
BOMB_PLY += b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n" + bytes(64)
BAD = {
    "empty.glb": b"", "empty.obj": b"", "empty.ply": b"", "empty.stl": b"", "empty.gltf": b"",
    "noise.glb": bytes(range(256)) * 4, "noise.stl": b"\x80" * 84 + b"\xff" * 10, "noise.ply": b"ply\n\xff\xfe",
    "cut.glb": trimesh.creation.box().export(file_type="glb")[:300],
    "cut.stl": trimesh.creation.box().export(file_type="stl")[:200],
    "points.ply": POINTS_PLY.encode(), "bomb.ply": BOMB_PLY, "nan.obj": NAN_OBJ.encode(),
    "huge.obj": QUAD_OBJ.replace("v 2 1 0", "v 1e300 1 0").encode(), "point.obj": b"v 1 1 1\nf 1 1 1\n",
    "flat.obj": b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "far.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
    "bomb.gltf": gltf("b.bin", 4_000_000_000).encode(), "list.gltf": b"[]", "deep.gltf": b"[" * 100_000,
    "packed.gltf": gltf("b.bin", extensionsRequired=["EXT_meshopt_compression"]).encode(),
}  # fmt: skip


def test_a_mesh_compressed_with_draco_lies_in_the_glb_itself(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    packed = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    meshes = [{"primitives": [{"attributes": {"POSITION": 0}, "extensions": packed}]}]
    with pytest.raises(InputError, match=r"packed\.gltf keeps its compressed mesh in another file"):
        read(write(tmp_path / "packed.gltf", gltf("b.bin", meshes=meshes)))


@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path / name, BAD[name]))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scene_that_goes_round_in_a_circle_ends(tmp_path: Path) -> None:
    write(tmp_path / "b.bin", np.eye(3, dtype=np.float32).tobytes())
    circle = gltf("b.bin").replace('"nodes": [{"mesh": 0}]', '"nodes": [{"mesh": 0, "children": [0]}]')
    assert len(read(write(tmp_path / "circle.gltf", circle)).mesh.faces) == 1

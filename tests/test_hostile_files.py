"""Every other file that is read back, damaged at random: an error of ours that names it, or a usable result."""

import copy
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.command_fuzzer import NUMBERS, SENTENCES, TABLES, written
from meshcli.config import read_settings
from meshcli.errors import MeshcliError
from meshcli.export.gltf import read_glb, write_glb
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.pictures.image import encode_png
from meshcli.project.manifest import ViewEntry
from meshcli.project.project import Project
from meshcli.reconstructors.network_file import read_network
from meshcli.stages.view_loading import load_views
from meshcli.views.camera import orbit
from meshcli.views.rig_files import read_rig
from meshcli.weights.safetensors_file import read_header

OPTIONS = settings(max_examples=120, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                   suppress_health_check=list(HealthCheck))  # fmt: skip
POSE = orbit(40, 10).to_json()["camera_to_world"]
COLMAP = {"cameras.txt": "7 PINHOLE 640 480 900 900 320 240\n", "images.txt": "1 1 0 0 0 1 2 3 7 a.png\n\n"}
COLMAP_BINARY = {
    "cameras.bin": struct.pack("<QiiQQ4d", 1, 7, 1, 640, 480, 900, 900, 320, 240),
    "images.bin": struct.pack("<Qi7di6sQddq", 1, 1, 1, 0, 0, 0, 1, 2, 3, 7, b"a.png", 1, 5.0, 6.0, -1),
}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut off, overwritten, or with something put in between."""
    start = draw(st.integers(0, len(data)))
    noise = draw(
        st.binary(max_size=8) | st.sampled_from([b"nan", b"1e999", b"9" * 5000, b"\0" * 40, b"*", b"${", b"&"])
    )
    after = draw(st.sampled_from([start, start + len(noise), start + 1, len(data)]))
    return data[:start] + noise + data[after:]


@st.composite
def changed(draw: st.DrawFn, table: dict[str, Any]) -> dict[str, Any]:
    """One or two values of it or of its first row replaced, or gone."""
    table = copy.deepcopy(table)
    for _ in range(draw(st.integers(1, 2))):
        rows = [table, *(value[0] for value in table.values() if isinstance(value, list) and value)]
        rows = [each for each in rows if isinstance(each, dict) and each] or [{"frames": 1}]
        row = rows[draw(st.integers(0, len(rows) - 1))]
        key = list(row)[draw(st.integers(0, len(row) - 1))]
        row[key] = draw(st.sampled_from([*SENTENCES, *NUMBERS, *TABLES]))
        if draw(st.integers(0, 5)) == 0:
            del row[key]
    return table


def survives(read: Callable[[], object], name: str) -> None:
    """Whatever is in a file, reading it ends with a result or with one line that names it."""
    try:
        read()
    except MeshcliError as error:
        assert name in str(error)  # noqa: PT017 (an error is only one way to end)


def dump(table: dict[str, Any]) -> bytes:
    return written(table).encode("utf-8", "surrogatepass")


RIG = {"w": 640, "h": 480, "fl_x": 900.0, "cx": 320, "cy": 240, "k1": 0.0, "camera_model": "OPENCV", "frames": [
    {"file_path": "1.png", "transform_matrix": POSE}, {"file_path": "2.png", "transform_matrix": POSE}]}  # fmt: skip
ANGLES = {"camera_angle_x": 0.6, "w": 640, "h": 480, "frames": RIG["frames"]}
UNSIZED = {key: value for key, value in RIG.items() if key not in ("w", "h")}
OURS = {"meshcli": 1, "photos": [{"file": "1.png", "camera": orbit(30, 0).to_json()}]}


@OPTIONS
@given(st.sampled_from([RIG, ANGLES, UNSIZED, OURS]).flatmap(lambda rig: changed(rig).map(dump) | damaged(dump(rig))))
def test_rigs(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "rig.json"
    path.write_bytes(data)
    survives(lambda: [shot.camera((640, 480)) for shot in read_rig(path).images], "rig.json")


@OPTIONS
@given(st.sampled_from(list(COLMAP)).flatmap(lambda name: st.tuples(st.just(name), damaged(COLMAP[name].encode()))))
def test_colmap(tmp_path_factory: pytest.TempPathFactory, case: tuple[str, bytes]) -> None:
    folder = tmp_path_factory.getbasetemp() / "colmap"
    folder.mkdir(exist_ok=True)
    for name, text in COLMAP.items():
        (folder / name).write_text(text)
    (folder / case[0]).write_bytes(case[1])
    survives(lambda: read_rig(folder), "colmap")


@OPTIONS
@given(
    st.sampled_from(list(COLMAP_BINARY)).flatmap(lambda name: st.tuples(st.just(name), damaged(COLMAP_BINARY[name])))
)
def test_colmap_in_binary(tmp_path_factory: pytest.TempPathFactory, case: tuple[str, bytes]) -> None:
    folder = tmp_path_factory.getbasetemp() / "colmap binary"
    folder.mkdir(exist_ok=True)
    for name, data in COLMAP_BINARY.items():
        (folder / name).write_bytes(data)
    assert [image.name for image in read_rig(folder).images] == ["a.png"]
    (folder / case[0]).write_bytes(case[1])
    survives(lambda: read_rig(folder), "colmap binary")


YAML = b"""fit: {rays: 200, resolutions: [16, 20], steps: [1, 2]}
photo:
  rembg: false
  foreground_ratio: 0.8
lrm: {dtype: bf16, file: "", threshold: 1.5}
"""
NETWORK = b"""model_config:
  target: src.models.lrm.InstantNeRF
  params: {encoder_feat_dim: 768, encoder_freeze: false, encoder_model_name: facebook/dino-vitb16,
    transformer_dim: 1024, transformer_layers: 16, transformer_heads: 16, triplane_low_res: 32, triplane_high_res: 64,
    triplane_dim: 80,
    rendering_samples_per_ray: 128}
infer_config: {unet_path: a, model_path: b, mesh_threshold: 10.0, mesh_resolution: 256, render_resolution: 384}
"""


@OPTIONS
@given(damaged(YAML) | damaged(NETWORK))
def test_settings(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "own.yaml"
    path.write_bytes(data)
    survives(lambda: read_settings(path), "own.yaml")
    survives(lambda: read_network(str(path)), "own.yaml")


@OPTIONS
@given(
    st.sampled_from(["fit.rays=", "fit=", "photo.rembg_model=", "lrm.threshold=", ""]),
    st.text(max_size=20)
    | st.sampled_from([*SENTENCES, *map(str, NUMBERS[:-6]), "0x" + "f" * 6000, "${a}", "[[[", "{a: *b}", "2024-99-99"]),
)
def test_assignments(start: str, text: str) -> None:
    def read() -> None:
        found = read_settings(assignments=[start + text])
        assert type(found.fit.rays) is int
        assert type(found.photo.rembg_model) is str
        assert math.isfinite(found.lrm.threshold)

    survives(read, f"--set {start}{text}")


CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
SOLID = Mesh(CORNERS, FACES, texture=Texture(np.full((4, 4, 3), 90, np.uint8), CORNERS[:, :2], FACES))


@OPTIONS
@given(damaged(write_glb(SOLID)) | damaged(write_glb(Mesh(CORNERS, FACES, np.full((4, 3), 90, np.uint8)))))
def test_meshes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "mesh.glb"
    path.write_bytes(data)

    def read() -> None:
        mesh = read_glb(path)
        assert np.isfinite(mesh.vertices).all()
        assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
        if mesh.texture:
            assert 0 <= mesh.texture.faces.min() <= mesh.texture.faces.max() < len(mesh.texture.coordinates)

    survives(read, "mesh.glb")


def test_a_mesh_names_no_other_file(tmp_path: Path) -> None:
    """A GLB whose picture lies elsewhere: that picture is not read."""
    (tmp_path / "secret.png").write_bytes(encode_png(np.full((4, 4, 3), (1, 2, 250), np.uint8)))
    whole = write_glb(SOLID)
    length = int.from_bytes(whole[12:16], "little")
    table = json.loads(whole[20 : 20 + length])
    table["images"] = [{"uri": "secret.png"}]
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 4)
    size = len(whole) - length + len(text)
    header = whole[:8] + size.to_bytes(4, "little") + len(text).to_bytes(4, "little") + b"JSON"
    (tmp_path / "mesh.glb").write_bytes(header + text + whole[20 + length :])
    scene = trimesh.load_scene(tmp_path / "mesh.glb")
    assert next(iter(scene.geometry.values())).visual.material.baseColorTexture is not None  # it can be found
    assert read_glb(tmp_path / "mesh.glb").texture is None


HEADER = json.dumps({"planes": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                     "__metadata__": {"meshcli": "{}"}}).encode()  # fmt: skip


@OPTIONS
@given(damaged(len(HEADER).to_bytes(8, "little") + HEADER + bytes(16)))
def test_planes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "triplane.safetensors"
    path.write_bytes(data)
    survives(lambda: read_header(path), "triplane.safetensors")


@OPTIONS
@given(damaged(encode_png(np.arange(1200, dtype=np.uint16).astype(np.uint8).reshape(20, 15, 4))))
def test_pictures(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    project = Project(tmp_path_factory.getbasetemp() / "pictures")
    project.create()
    project.write({"views/00.png": data})
    view = ViewEntry("a0", "views/00.png", "a", orbit(0, 0), "sculpt")
    survives(lambda: load_views(project, [view]), "views/00.png")

"""An L with one red corner, written by us and read back by another library: corners, winding, colours."""

import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh

from helpers.chiral_object import BLUE, HIGH, LOW, RED, RED_CORNER, VOLUME, chiral_object, coloured_object
from meshcli.export.reduction import reduce_faces, reduce_texture, sample, with_vertex_colours
from meshcli.export.solids import CORE, MATERIALS, write_3mf, write_ply, write_stl
from meshcli.export.watertight import close_mesh, open_edges, signed_volume
from meshcli.meshes.mesh import Mesh


def test_stl_is_in_millimetres_and_not_mirrored() -> None:
    read = trimesh.load(io.BytesIO(write_stl(chiral_object())), file_type="stl")
    assert read.is_watertight
    assert read.volume == pytest.approx(VOLUME * 1e9, rel=1e-5)
    assert np.allclose(read.bounds, [LOW * 1000.0, HIGH * 1000.0])
    assert np.linalg.norm(read.vertices - RED_CORNER * 1000.0, axis=1).min() < 1e-3


def test_ply_has_metres_and_colours() -> None:
    read = trimesh.load(io.BytesIO(write_ply(coloured_object())), file_type="ply")
    assert read.volume == pytest.approx(VOLUME, rel=1e-5)
    red = np.linalg.norm(read.vertices - RED_CORNER, axis=1) < 1e-5
    assert (read.visual.vertex_colors[red, :3] == RED).all()
    assert (read.visual.vertex_colors[~red, :3] == BLUE).all()


def test_3mf_has_millimetres_and_colours() -> None:
    package = zipfile.ZipFile(io.BytesIO(write_3mf(coloured_object(), "chair")))
    assert package.testzip() is None
    root = ElementTree.fromstring(package.read("3D/3dmodel.model"))  # noqa: S314  # written by us
    assert root.get("unit") == "millimeter"
    vertices = np.array([[float(v.get(axis, "")) for axis in "xyz"] for v in root.iter(f"{{{CORE}}}vertex")])
    rows = [
        [int(t.get(key, "")) for key in ("v1", "v2", "v3", "p1", "p2", "p3")] for t in root.iter(f"{{{CORE}}}triangle")
    ]
    colours = [c.get("color") for c in root.iter(f"{{{MATERIALS}}}color")]
    faces = np.array(rows)[:, :3]
    assert signed_volume(vertices, faces) == pytest.approx(VOLUME * 1e9, rel=1e-5)
    for corner, colour in zip(faces.reshape(-1), np.array(rows)[:, 3:].reshape(-1), strict=True):
        red = np.linalg.norm(vertices[corner] - RED_CORNER * 1000.0) < 1e-3
        assert colours[colour] == "#{:02X}{:02X}{:02X}FF".format(*(RED if red else BLUE))
    assert write_3mf(coloured_object(), "chair") == write_3mf(coloured_object(), "chair")


def test_a_texture_becomes_colours_of_vertices() -> None:
    mesh = with_vertex_colours(chiral_object())
    assert mesh.texture is None
    assert mesh.colours is not None
    red = np.linalg.norm(mesh.vertices - RED_CORNER, axis=1) < 1e-6
    assert np.abs(mesh.colours[red] - np.array(RED, float)).max() < 12
    assert mesh.colours[~red][:, 0].max() < 60


def test_a_smaller_texture_shows_the_same() -> None:
    mesh, smaller = chiral_object(), reduce_texture(chiral_object(), 128)
    assert smaller.texture is not None
    assert mesh.texture is not None
    assert smaller.texture.image.shape == (64, 128, 3)
    uv = mesh.texture.coordinates.reshape(-1, 3, 2).mean(axis=1)
    difference = sample(smaller.texture.image, uv) - sample(mesh.texture.image, uv)
    assert np.abs(difference).mean() < 8.0
    assert reduce_texture(mesh, 4096) is mesh


def test_fewer_faces_keep_the_colours_in_place() -> None:
    fine = chiral_object()
    for _ in range(3):  # 1280 faces
        fine = _subdivided(fine)
    coarse = reduce_faces(fine, 200, lambda *_: None)
    assert len(coarse.faces) <= 200
    assert coarse.texture is not None
    assert signed_volume(coarse.vertices, coarse.faces) == pytest.approx(VOLUME, rel=1e-3)
    colours = sample(coarse.texture.image, coarse.texture.coordinates[coarse.texture.faces].mean(axis=1))
    middles = coarse.vertices[coarse.faces].mean(axis=1)
    far = np.linalg.norm(middles - RED_CORNER, axis=1) > 0.2
    assert colours[far, 0].max() < 60  # blue
    assert colours[far, 2].min() > 120


def _subdivided(mesh: Mesh) -> Mesh:
    """Each face as four, with its texture."""
    from dataclasses import replace

    assert mesh.texture is not None
    vertices, faces = trimesh.remesh.subdivide(mesh.vertices, mesh.faces)
    uv, rows = trimesh.remesh.subdivide(np.pad(mesh.texture.coordinates, ((0, 0), (0, 1))), mesh.texture.faces)
    texture = replace(mesh.texture, coordinates=uv[:, :2].astype(np.float32), faces=rows.astype(np.int32))
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), texture=texture)


def test_small_holes_are_closed_and_large_ones_are_not() -> None:
    ball = trimesh.creation.icosphere(5)
    vertices, faces = ball.vertices.astype(np.float32), ball.faces.astype(np.int32)
    assert close_mesh(Mesh(vertices, faces)).repairs == ()
    small = close_mesh(Mesh(vertices, np.delete(faces, [100, 5000], axis=0)))
    assert small.repairs == ("2 small holes closed",)
    assert trimesh.Trimesh(small.mesh.vertices, small.mesh.faces, process=False).is_watertight
    half = close_mesh(Mesh(vertices, faces[ball.triangles_center[:, 2] > 0.0]))
    assert half.open_edges > 100


def test_an_inside_out_mesh_is_turned() -> None:
    mesh = coloured_object()
    turned = close_mesh(Mesh(mesh.vertices, mesh.faces[:, ::-1], mesh.colours))
    assert turned.repairs == ("inside and outside exchanged",)
    assert signed_volume(turned.mesh.vertices, turned.mesh.faces) == pytest.approx(VOLUME, rel=1e-5)
    assert len(open_edges(mesh.faces[1:])) == 3

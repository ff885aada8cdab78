"""Faces that show their back are reversed, patch by patch."""

import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh, face_normals
from meshcli.meshes.orientation import face_outwards


def outward(mesh: Mesh) -> np.ndarray:
    return (mesh.vertices[mesh.faces].mean(axis=1) * face_normals(mesh.vertices, mesh.faces)).sum(axis=1) > 0.0


def ball() -> Mesh:
    body = trimesh.creation.icosphere(3)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32))


@pytest.mark.parametrize("wrong", ["none", "all", "half", "scattered"])
def test_every_face_looks_outwards(wrong: str) -> None:
    mesh = ball()
    chosen = {
        "none": np.zeros(len(mesh.faces), bool),
        "all": np.ones(len(mesh.faces), bool),
        "half": mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 0.0,
        "scattered": np.random.default_rng(0).random(len(mesh.faces)) < 0.1,
    }[wrong]
    faces = np.where(chosen[:, None], mesh.faces[:, ::-1], mesh.faces)
    turned, count = face_outwards(Mesh(mesh.vertices, faces))
    assert outward(turned).all()
    assert count == chosen.sum()


def test_an_open_shell_is_judged_by_the_side_that_is_seen() -> None:
    mesh = ball()
    upper = mesh.faces[mesh.vertices[mesh.faces].mean(axis=1)[:, 2] > -0.5]
    turned, _ = face_outwards(Mesh(mesh.vertices, upper[:, ::-1]))
    assert outward(turned).all()

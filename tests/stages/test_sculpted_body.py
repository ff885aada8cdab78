"""Where views of a sculpted body are chosen automatically, the mesh is that body; other choices are fitted."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from helpers import fake_engines
from helpers.finished_project import SMALL, WAYS
from meshcli.config import override
from meshcli.errors import InputError
from meshcli.export.gltf import read_glb, write_glb
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.sculpted_body import MIRROR_PLANES, body_planes
from meshcli.stages.select import select_views
from meshcli.stages.status import read_status

BODY = "views/body.glb"


def block(*sides: float) -> Mesh:
    """A box around the origin with sides of these lengths."""
    box = trimesh.creation.box(sides)
    return Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32))


@pytest.fixture
def sculpted(
    project: Project, photos: list[Path], engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project whose views show the fake body, chosen automatically."""

    def with_body(*arguments: Any) -> Any:
        sculpture = fake_engines.sculpt(*arguments)
        return replace(sculpture, mesh=fake_engines.fit(sculpture.views[0], *arguments[2:3], 0, arguments[4]))

    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", with_body)
    generate_views(project, photos, WAYS)
    select_views(project, auto=18)
    engine_calls["fit"] = 0
    return project


def state(project: Project, stage: str) -> tuple[str, str]:
    found = next(each for each in read_status(project).stages if each.stage == stage)
    return found.state, found.reason


def test_the_mesh_is_the_body(sculpted: Project, engine_calls: dict[str, int]) -> None:
    reconstruct_mesh(sculpted, settings=SMALL)
    assert engine_calls["fit"] == 0
    body, mesh = (read_glb(sculpted.path(file)) for file in (BODY, "mesh/mesh.glb"))
    assert np.array_equal(np.unique(body.vertices, axis=0), np.unique(mesh.vertices, axis=0))
    assert mesh.texture is not None
    assert reconstruct_mesh(sculpted, settings=SMALL).skipped


def test_the_texture_knows_the_mirror_planes_that_the_body_was_painted_with(
    project: Project, photos: list[Path], engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = MirrorPlane(np.array([0.6, -0.8, 0.0]), 0.125, 0.97)
    told: list[Any] = []

    def with_plane(*arguments: Any) -> Any:
        return replace(fake_engines.sculpt(*arguments), planes=(plane,))

    def texture(*arguments: Any) -> Any:
        told.append(arguments[-1])
        return fake_engines.texture_mesh(*arguments)

    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", with_plane)
    monkeypatch.setattr(sys.modules["meshcli.texturing.textured_mesh"], "texture_mesh", texture)
    generate_views(project, photos, WAYS)
    select_views(project, auto=18)
    reconstruct_mesh(project, settings=SMALL)
    (planes,) = told
    (found,) = planes
    assert found.normal == pytest.approx(plane.normal)
    assert found.offset == pytest.approx(0.125)


@pytest.mark.parametrize(
    "fact",
    ["x", [3], [[1, 0, 0]], [[1, 0, 0, "x"]], {}, [[10**400, 0, 0, 0]], [[1, 0, 0, float("nan")]], [[1, 0, 0, 99.0]]],
)
def test_mirror_planes_that_another_hand_spoiled_are_none(sculpted: Project, fact: Any) -> None:
    manifest = sculpted.load()
    record = manifest.stages["generate"]
    spoiled = replace(record, facts={**record.facts, MIRROR_PLANES: fact})
    assert body_planes(replace(manifest, stages={**manifest.stages, "generate": spoiled})) == []


def choose_by_flag(project: Project) -> None:
    select_views(project, "a0,b1,c2,a3,b4,c5")


def edit_a_view(project: Project) -> None:
    path = project.path("views/00.png")
    path.write_bytes(project.path("views/01.png").read_bytes())


def lose_the_body(project: Project) -> None:
    project.path(BODY).unlink()


@pytest.mark.parametrize("change", [choose_by_flag, edit_a_view, lose_the_body])
def test_what_is_said_about_the_views_is_fitted(
    sculpted: Project, engine_calls: dict[str, int], change: Callable[[Project], None]
) -> None:
    reconstruct_mesh(sculpted, settings=SMALL)
    change(sculpted)
    assert state(sculpted, "reconstruct")[0] == "stale"
    reconstruct_mesh(sculpted, settings=SMALL)
    assert engine_calls["fit"] == 1


def test_the_body_can_be_left_out(sculpted: Project, engine_calls: dict[str, int]) -> None:
    reconstruct_mesh(sculpted, settings=override(SMALL, {"fit.body": False}, ""))
    assert engine_calls["fit"] == 1


def test_a_finished_body_says_that_no_hollows_are_looked_for(sculpted: Project, engine_calls: dict[str, int]) -> None:
    outcome = reconstruct_mesh(sculpted, settings=override(SMALL, {"fit.hollows": True}, ""))
    assert engine_calls["fit"] == 0
    assert any("fit.hollows changes nothing" in note for note in outcome.notes)


def test_the_same_views_named_by_hand_are_fitted_and_that_is_said(sculpted: Project) -> None:
    reconstruct_mesh(sculpted, settings=SMALL)
    select_views(sculpted, "all")
    assert state(sculpted, "reconstruct") == ("stale", "the mesh is no longer the sculpted body")


def test_a_body_that_another_hand_changed_is_built_anew(sculpted: Project, engine_calls: dict[str, int]) -> None:
    reconstruct_mesh(sculpted, settings=SMALL)
    other = block(0.2, 0.3, 0.4)
    sculpted.path(BODY).write_bytes(write_glb(other))
    assert state(sculpted, "reconstruct") == ("stale", f"{BODY} was changed by hand")
    reconstruct_mesh(sculpted, settings=SMALL)
    mesh = read_glb(sculpted.path("mesh/mesh.glb"))
    assert np.allclose(np.abs(mesh.vertices).max(axis=0), np.abs(other.vertices).max(axis=0), atol=1e-6)
    assert engine_calls["fit"] == 0


def test_a_damaged_body_is_said(sculpted: Project) -> None:
    sculpted.path(BODY).write_bytes(b"glTF")
    with pytest.raises(InputError, match=r"body\.glb"):
        reconstruct_mesh(sculpted, settings=SMALL)


def test_photos_of_unknown_sides_have_no_common_body(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos)
    assert not project.path(BODY).exists()


def test_a_body_comes_back_as_it_was(tmp_path: Path) -> None:
    """Its file splits vertices at creases; the same surface comes back."""
    body = block(0.5, 0.4, 0.3)
    colours = np.arange(3 * len(body.vertices), dtype=np.uint8).reshape(-1, 3)
    path = tmp_path / "body.glb"
    path.write_bytes(write_glb(Mesh(body.vertices, body.faces, colours)))
    again = read_glb(path)
    assert len(again.vertices) == len(body.vertices)
    assert again.colours is not None
    order = np.lexsort(body.vertices.T), np.lexsort(again.vertices.T)
    assert np.array_equal(body.vertices[order[0]], again.vertices[order[1]])
    assert np.abs(colours[order[0]].astype(int) - again.colours[order[1]]).max() <= 1
    corners = [np.sort(each.vertices[each.faces].reshape(-1, 9), axis=0) for each in (body, again)]
    assert np.array_equal(*corners)

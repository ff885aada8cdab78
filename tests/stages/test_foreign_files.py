"""Files of the user where meshcli would write: it refuses to start, and nothing is changed."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import fake_engines
from meshcli.commands.cli import main
from meshcli.config import override
from meshcli.errors import ProjectError, UsageError
from meshcli.export.obj import write_obj
from meshcli.json_table import JsonTable
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.project.artefacts import FIXED_ARTEFACTS, IMPORTED_MESH, PLANES, SIDES
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.rendering.turntable import STILLS
from meshcli.settings import Settings
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.render import render_mesh
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status

SMALL = override(Settings(), {"texture.size": 16, "sculpt.view_size": 96}, "")
USERS = b"the user's own"
ANGLES = CameraArguments([0, 40])
STAGES: dict[str, Callable[..., Any]] = {
    "generate": generate_views, "select": select_views, "reconstruct": reconstruct_mesh, "render": render_mesh,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in fake_engines.modules(exports=True).items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def finished(project: Project, photos: list[Path]) -> Project:
    generate_views(project, photos[:2], ANGLES, settings=SMALL)
    select_views(project, "0-5")
    reconstruct_mesh(project, settings=SMALL)
    render_mesh(project, settings=SMALL)
    return project


def put(project: Project, *files: str) -> None:
    for file in files:
        path = project.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(USERS)


def contents(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.root.rglob("*") if path.is_file()}


def states(project: Project) -> list[str]:
    return [status.state for status in read_status(project).stages]


@pytest.mark.parametrize("words", [["run"], ["generate"], ["run", "--dry-run"]])
def test_a_directory_of_the_user_is_left_alone(
    words: list[str], project: Project, photos: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    put(project, "photos/a.png", "mesh/mesh.obj", "renders/front.png", "views/05.png", "mesh/mine.obj")
    before = contents(project)
    code = main([words[0], str(project.root), str(photos[0]), *words[1:]])
    assert code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "mesh/mesh.obj, photos/a.png, renders/front.png, views/05.png; choose another DIR or move them away" in line
    assert contents(project) == before


def test_files_beside_ours_do_not_matter(project: Project, photos: list[Path]) -> None:
    put(project, "photos/cat.png", "views/06.png", "mesh/mine.obj", "notes.txt")
    generate_views(project, photos[:1], settings=SMALL)
    assert {path for path, data in contents(project).items() if data == USERS} == {
        str(project.root / file) for file in ("photos/cat.png", "views/06.png", "mesh/mine.obj", "notes.txt")
    }
    with pytest.raises(UsageError, match=r"views/06\.png"):  # which is where the next view would go
        generate_views(project, [f"{photos[1]}@40"], add=True, settings=SMALL)


@pytest.mark.parametrize("stage", ["select", "reconstruct", "render"])
def test_each_stage_looks_before_it_works(stage: str, project: Project, photos: list[Path]) -> None:
    generate_views(project, photos[:2], ANGLES, settings=SMALL)
    for name, run in list(STAGES.items())[1:]:
        if name == stage:
            break
        run(project, **{"views": "0-5"} if name == "select" else {"settings": SMALL})
    put(project, file := FIXED_ARTEFACTS[stage][-1])
    before = contents(project)
    for dry in (True, False):
        with pytest.raises(UsageError, match=file):
            STAGES[stage](project, run_options=RunOptions(dry=dry), **{"views": "0-5"} if stage == "select" else {})
    assert contents(project) == before
    project.path(file).unlink()
    STAGES[stage](project, **{"views": "0-5"} if stage == "select" else {"settings": SMALL})


def test_photos_among_the_views_look_before_they_are_written(project: Project, photos: list[Path]) -> None:
    generate_views(project, photos[:2], CameraArguments([0, 40], [10], [25]), settings=SMALL)
    put(project, "views/12.png")
    before = contents(project)
    with pytest.raises(UsageError, match=r"views/12\.png"):
        select_views(project, include_photos=True)
    assert contents(project) == before


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("old", [False, True], ids=["", "manifest without the key"])
def test_files_of_a_run_that_was_cut_off_before_its_record_are_its_own(
    stage: str, old: bool, project: Project, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on() -> None:
        generate_views(project, photos[:2], ANGLES, settings=SMALL)
        select_views(project, "0-5")
        reconstruct_mesh(project, settings=SMALL)
        render_mesh(project, settings=SMALL)

    def save_until(self: Project, manifest: Manifest) -> None:
        record = manifest.stages.get(stage)  # type: ignore[call-overload]
        if record and (record.status == "done" or (stage == "generate" and manifest.views)):
            raise SystemExit  # as if it were killed: what is written is not recorded
        saved(self, manifest)

    saved = Project.save
    monkeypatch.setattr(Project, "save", save_until)
    with pytest.raises(SystemExit):
        go_on()
    assert states(project)[list(STAGES).index(stage)] == "interrupted"
    monkeypatch.setattr(Project, "save", saved)
    if old:
        table = json.loads(project.path("manifest.json").read_text())
        del table["unlisted"]
        project.path("manifest.json").write_text(json.dumps(table))
    go_on()
    assert states(project) == ["done"] * 4
    assert not project.load().unlisted


def test_views_of_a_set_that_was_cut_off_stay_meshclis(
    project: Project, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Project.save

    def save_until(self: Project, manifest: Manifest) -> None:
        if manifest.views:
            raise SystemExit
        saved(self, manifest)

    monkeypatch.setattr(Project, "save", save_until)
    with pytest.raises(SystemExit):
        generate_views(project, photos[:2], ANGLES, settings=SMALL)
    monkeypatch.setattr(Project, "save", saved)
    generate_views(project, photos[:1], settings=SMALL)
    assert project.load().unlisted == {f"views/{number:02d}.png" for number in range(6, 12)}
    generate_views(project, [f"{photos[1]}@40"], add=True, settings=SMALL)
    assert not project.load().unlisted


def test_files_of_an_earlier_record_stay_meshclis(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mesh with fewer files than before leaves the others behind, and another one takes their places."""
    fewer = override(SMALL, {"fit.texture": False}, "")
    writers = fake_engines.modules(exports=True)["meshcli.export.obj"]
    monkeypatch.setitem(sys.modules, "meshcli.export.obj", writers)
    writers.write_obj = lambda mesh, name: {f"{name}.obj": b"", **({f"{name}.mtl": b""} if mesh.texture else {})}  # type: ignore[attr-defined]
    reconstruct_mesh(finished, settings=override(SMALL, {"texture.size": 32}, ""))
    reconstruct_mesh(finished, settings=fewer)
    assert "mesh/mesh.mtl" in finished.load().unlisted
    reconstruct_mesh(finished, settings=SMALL)
    assert states(finished)[2] == "done"


def test_a_file_of_ours_that_was_edited_is_overwritten_with_a_note(finished: Project) -> None:
    put(finished, "mesh/mesh.obj")
    outcome = reconstruct_mesh(finished, settings=override(SMALL, {"texture.size": 32}, ""))
    assert "mesh/mesh.obj had been edited by hand and is overwritten" in outcome.notes


def test_a_project_of_a_version_that_did_not_list_such_files_goes_on(finished: Project) -> None:
    put(finished, "mesh/colours.obj")  # perhaps of an earlier run of that version
    manifest = finished.load()
    table = manifest.to_json()
    del table["unlisted"]
    read = type(manifest).read(JsonTable(table, "manifest.json", ProjectError))
    assert read.own_files >= {*FIXED_ARTEFACTS["reconstruct"], "views/12.png", "photos/a.png"}
    assert replace(read, unlisted=manifest.unlisted) == manifest
    finished.save(read)
    reconstruct_mesh(finished, settings=override(SMALL, {"texture.size": 32}, ""))


def test_the_places_are_those_that_the_engines_write() -> None:
    assert sorted(SIDES) == sorted(STILLS)
    vertices, faces = np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32)
    texture = Texture(np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2), np.float32), faces)
    files = write_obj(Mesh(vertices, faces, texture=texture)).keys() | {"colours.obj", "mesh.glb"}
    assert {f"mesh/{file}" for file in files} == set(FIXED_ARTEFACTS["reconstruct"]) - {PLANES, IMPORTED_MESH}

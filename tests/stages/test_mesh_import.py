"""`reconstruct --from-mesh`: a file of another program, placed, coloured, remembered, and refused where it must be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from helpers import fake_engines
from helpers.odd_shape import foreign, odd_shape, odd_sheet, y_up
from helpers.view_sheets import project_of
from meshcli.alignment import mesh_placement
from meshcli.alignment.mesh_placement import Placement
from meshcli.alignment.similarity import Similarity
from meshcli.commands import cli
from meshcli.config import TypedSettings
from meshcli.errors import InputError, UncertainError, UsageError
from meshcli.export.gltf import read_glb
from meshcli.meshes.mesh import Mesh
from meshcli.project.project import Project
from meshcli.reconstructors import fit
from meshcli.stages.mesh_import import engine_label
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.run_summary import summary_lines
from meshcli.stages.stage_runner import Outcome, RunOptions
from meshcli.stages.status import stage_status
from meshcli.texturing import textured_mesh

# Without refining, which takes longer than all the rest and has tests of its own.
SMALL = TypedSettings({"texture.size": 64, "placement.up": "y", "placement.front": "z", "refine.when": "never"})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_of(odd_sheet(tmp_path / "sheet.png"), tmp_path / "odd")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The object as another program might write it: y up, mirrored, in centimetres, somewhere."""
    mesh, _ = foreign(odd_shape(), y_up(20.0, mirrored=True), 100.0, (500.0, 0.0, 30.0))
    path = tmp_path / "thing.ply"
    trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False).export(path)
    return path


@pytest.fixture
def known_place(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The search answers at once: with about the right place, and an overlap and a decision that a test may change."""
    answer: dict[str, Any] = {"overlap": 0.95, "runner_up": None, "decided_by": "silhouettes", "calls": 0}

    def place(mesh: Any, views: Any, settings: Any, progress: Any) -> Placement:
        answer["calls"] += 1
        _, back = foreign(odd_shape(), y_up(20.0, mirrored=True), 100.0, (500.0, 0.0, 30.0))
        low, high = odd_shape().vertices.min(axis=0), odd_shape().vertices.max(axis=0)
        radius = np.linalg.norm(odd_shape().vertices - (low + high) / 2.0, axis=1).max()
        similarity = Similarity(back.axes, float(radius), (low + high) / 2.0)
        return Placement(
            similarity, answer["overlap"], 0.3, answer["runner_up"], answer["overlap"] - 0.01, answer["decided_by"]
        )

    monkeypatch.setattr(mesh_placement, "place", place)
    return answer


@pytest.fixture
def quick_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A texture without looking at the pictures, which takes longer than all the rest and has tests of its own."""
    monkeypatch.setattr(textured_mesh, "texture_mesh", fake_engines.texture_mesh)


def build(project: Project, file: Path | None = None, typed: dict[str, Any] | None = None, **more: Any) -> Outcome:
    settings = replace(SMALL, values={**SMALL.values, **(typed or {})})
    return reconstruct_mesh(project, settings=settings, from_mesh=file, **more)


def state(project: Project) -> tuple[str, str]:
    status = stage_status(project, project.load(), "reconstruct")
    return status.state, status.reason


@pytest.mark.slow
def test_a_mirrored_file_in_other_axes_and_units_becomes_the_object(project: Project, file: Path) -> None:
    outcome = build(project, file, {"refine.when": "auto"})
    placement = outcome.record.facts["placement"]
    assert placement["mirrored"]
    assert (placement["up"], placement["front"]) == ("y", "z")
    assert placement["scale"] == pytest.approx(0.01, rel=0.02)
    assert placement["overlap"] > 0.95 > placement["before"]
    mesh = read_glb(project.path("mesh/mesh.glb"))
    assert np.abs(np.sort(mesh.vertices, axis=0) - np.sort(odd_shape().vertices, axis=0)).max() < 0.05
    assert mesh.texture is not None
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume > 0.0
    assert outcome.record.facts["match"]["mean"] > 0.8
    assert any("thing.ply was found with its y axis up" in note for note in outcome.notes)
    assert any(note.startswith("not refined: silhouettes") for note in outcome.notes)  # few faces, all in place


def test_the_mesh_is_kept_named_and_left_alone_until_something_changes(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None, tmp_path: Path
) -> None:
    first = build(project, file)
    assert engine_label(first.record) == "import of thing.ply"
    assert any("mesh by import of thing.ply" in text for _, text in summary_lines(project))
    assert state(project) == ("done", "")
    assert build(project, file).skipped
    file.unlink()
    assert build(project).skipped  # the project has a copy
    assert build(project, run_options=RunOptions(force=True)).record.engine == "import"
    assert known_place["calls"] == 2
    assert build(project, typed={"texture.size": 32}).record.options["source"]["file"] == "thing.ply"
    other = tmp_path / "other.stl"
    trimesh.creation.box().export(other)
    dry = build(project, other, {"texture.size": 32}, run_options=RunOptions(dry=True))
    assert dry.would_run == "another mesh file"
    assert project.load().stages["reconstruct"].options["source"]["file"] == "thing.ply"


def test_another_engine_takes_over_and_the_file_can_come_back(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "fit", lambda *arguments: odd_shape())
    build(project, file)
    assert build(project, engine="fit").record.engine == "fit"
    assert build(project).skipped
    assert build(project, file).record.engine == "import"


def test_a_copy_that_was_changed_by_hand_is_stale_and_not_used(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None
) -> None:
    build(project, file)
    copy = project.path("mesh/imported.glb")
    copy.write_bytes(copy.read_bytes() + bytes(4))
    assert state(project) == ("stale", "mesh/imported.glb was changed by hand")
    with pytest.raises(UsageError, match=r"no longer the copy of thing\.ply"):
        build(project)
    assert build(project, file).record.status == "done"
    copy.unlink()
    with pytest.raises(UsageError, match="is missing; hand one in"):
        build(project)


def test_a_mesh_of_something_else_is_refused_unless_the_user_insists(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None
) -> None:
    known_place["overlap"] = 0.5
    with pytest.raises(UncertainError, match="does not look like the object"):
        build(project, file)
    assert state(project)[0] == "failed"
    assert not project.path("mesh/mesh.glb").exists()
    outcome = build(project, typed={"placement.overlap": 0.4})  # without the file: the copy is there
    assert any("the place is a guess" in note for note in outcome.notes)


def test_a_twin_that_nothing_rules_out_is_told(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None
) -> None:
    known_place |= {"decided_by": "nothing", "runner_up": Similarity(np.eye(3), 1.0, np.zeros(3))}
    notes = build(project, file).notes
    assert any("with its z axis up, its x axis to the front and not mirrored" in note for note in notes)
    assert any("guess" in heading for heading, _ in summary_lines(project))


def test_a_large_mesh_is_simplified_and_says_so(
    project: Project, file: Path, known_place: dict[str, Any], quick_colours: None
) -> None:
    outcome = build(project, file, {"texture.faces": 24, "placement.texture": False})
    assert outcome.record.facts["faces"] <= 24
    assert any(note.startswith("simplified from 48 to") for note in outcome.notes)


@pytest.mark.parametrize("dry", [False, True])
def test_files_that_are_no_meshes(project: Project, tmp_path: Path, dry: bool) -> None:
    bad = {"none.glb": None, "text.txt": b"hello", "empty.stl": b"", "folder.obj": ...}
    for name, contents in bad.items():
        path = tmp_path / name
        if contents is ...:
            path.mkdir()
        elif isinstance(contents, bytes):
            path.write_bytes(contents)
        with pytest.raises(InputError, match=name):
            build(project, path, run_options=RunOptions(dry=dry))
    assert "reconstruct" not in project.load().stages


def test_what_does_not_go_together(project: Project, file: Path) -> None:
    with pytest.raises(UsageError, match="leave one out"):
        build(project, file, engine="fit")
    with pytest.raises(UsageError, match="hand one in"):
        build(project, engine="import")
    with pytest.raises(UsageError, match="--mesh-up=y is for import"):
        build(project, engine="fit", run_options=RunOptions(flags=["--mesh-up=y"]))
    with pytest.raises(UsageError, match="must be two"):
        build(project, file, {"placement.front": "-y"})


def test_files_of_the_user_are_not_overwritten(project: Project, file: Path) -> None:
    path = project.path("mesh/imported.glb")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"mesh/imported\.glb"):
        build(project, file)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize(("size", "kept"), [(1.0, True), (0.5, False)])
def test_it_is_refined_by_itself_unless_that_makes_it_worse(
    size: float,
    kept: bool,
    project: Project,
    file: Path,
    known_place: dict[str, Any],
    quick_colours: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Mesh] = []

    def refine(mesh: Mesh, *_: Any) -> Mesh:
        seen.append(mesh)
        return Mesh(mesh.vertices * np.float32(size), mesh.faces, np.full((len(mesh.vertices), 3), 77, np.uint8))

    monkeypatch.setattr("meshcli.reconstructors.refine.refine", refine)
    outcome = build(project, file, {"refine.when": "auto"})
    assert len(seen) == 1
    mesh = read_glb(project.path("mesh/mesh.glb"))
    assert len(mesh.faces) == len(seen[0].faces)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx(np.ptp(seen[0].vertices, axis=0), rel=1e-5)
    assert outcome.record.options["refine"]["when"] == "auto"
    overlap = outcome.record.facts["silhouettes"]
    assert overlap["before_refining"] > 0.8
    assert (overlap["refined"] >= overlap["before_refining"]) == kept
    assert any(note.startswith("not refined: silhouettes") for note in outcome.notes) != kept


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--from-mesh", "gone.glb"], 3, "gone.glb"),
        (["--from-mesh", "1.png"], 3, "1.png is none of the formats"),
        (["--from-mesh", "empty.stl"], 3, "empty.stl"),
        (["--from-mesh", "empty.stl", "--dry-run"], 3, "empty.stl"),
        (["--reconstructor", "import"], 2, "hand one in"),
        (["--from-mesh", "thing.ply", "--reconstructor", "fit"], 2, "leave one out"),
        (["--from-mesh", "thing.ply", "--to", "select"], 2, "is for reconstruct"),
        (["--from-mesh", "thing.ply", "--refine", "--no-refine"], 2, "exclude each other"),
    ],
)
def test_a_run_with_a_wrong_file_does_nothing(
    words: list[str],
    code: int,
    said: str,
    file: Path,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    Path("empty.stl").write_text("solid a\nendsolid a")
    assert cli.main(["run", "desk", *map(str, photos), "--azimuth=0,40,80", *words]) == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert not Path("desk/views").exists()


@pytest.mark.slow
def test_a_whole_run_takes_the_shape_from_a_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd_sheet(tmp_path / "sheet.png")
    quick = ["--set", "texture.size=64", "--size=64", "--frames=3", "--no-refine"]
    line = ["run", "desk", "--from-sheet", "sheet.png", "--from-mesh", "thing.ply", *quick]
    assert cli.main(line) == 0
    stages = Project("desk").load().stages
    assert stages["reconstruct"].engine == "import"
    assert stages["reconstruct"].options["source"]["file"] == "thing.ply"
    before = Project("desk").path("manifest.json").read_bytes()
    assert cli.main(line) == 0
    file.unlink()
    assert cli.main(["run", "desk"]) == 0  # the project has a copy
    assert Project("desk").path("manifest.json").read_bytes() == before

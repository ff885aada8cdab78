"""From views to pictures: select, reconstruct, render, and how the stages look at each other."""

import json
import re
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.finished_project import SMALL, WAYS
from helpers.project_templates import ProjectTemplates
from meshcli.config import override
from meshcli.errors import ProjectError, ResourceError, UsageError
from meshcli.project.project import Project
from meshcli.setting_types import range_of
from meshcli.settings import Settings
from meshcli.stages import networks, reconstruct, render, view_generation
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.render import render_mesh
from meshcli.stages.run import automatic_count, select_arguments
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status, stale_choice


@pytest.fixture
def painted(project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates) -> Project:
    templates.make("painted", project.root, lambda: generate_views(project, photos, WAYS))
    return project


def states(project: Project) -> dict[str, str]:
    return {status.stage: status.state for status in read_status(project).stages}


def reason(project: Project, stage: str) -> str:
    return next(status.reason for status in read_status(project).stages if status.stage == stage)


def test_six_views_make_a_sheet_as_instantmesh_writes_it(painted: Project) -> None:
    select_views(painted, "a0,b1,c2,a3,b4,c5")
    assert painted.load().selection is not None
    with Image.open(painted.path("selection.png")) as sheet:
        assert sheet.size == (640, 960)
        assert sheet.mode == "RGB"
        tile = np.asarray(sheet.crop((320, 320, 640, 640)))  # row 2, column 2: the fourth view
    with Image.open(painted.path("views/03.png")) as view:
        assert np.array_equal(tile, np.asarray(view)[..., :3])


def test_other_numbers_of_views_are_accepted_and_reported(painted: Project) -> None:
    select_views(painted, auto=6)
    said: list[str] = []
    outcome = select_views(painted, ["b2", "a0"], run_options=RunOptions(tell=said.append))
    assert said == list(outcome.notes)
    assert "2 views" in said[0]
    assert not painted.path("selection.png").exists()
    assert states(painted)["select"] == "done"


def test_a_wrong_choice_changes_nothing(painted: Project) -> None:
    select_views(painted, "0-5")
    before = painted.path("manifest.json").read_bytes()
    with pytest.raises(UsageError):
        select_views(painted, "99")
    assert painted.path("manifest.json").read_bytes() == before


def test_the_whole_way(finished: Project) -> None:
    assert set(states(finished).values()) == {"done"}
    assert read_status(finished).next == ""
    mesh = {output.file for output in finished.load().stages["reconstruct"].outputs}
    assert mesh == {"mesh/mesh.glb", "mesh/mesh.obj", "mesh/mesh.mtl", "mesh/mesh.png", "mesh/colours.obj"}
    made = {output.file for output in finished.load().stages["render"].outputs}
    sides = {f"renders/{side}.png" for side in ("front", "right", "back", "left", "top")}
    assert made == sides | {"renders/turntable.mp4", "renders/contact.png"}
    assert b"ftyp" in finished.path("renders/turntable.mp4").read_bytes()[:16]
    assert finished.load().stages["reconstruct"].facts["faces"] == 12
    leftovers = [path for path in finished.root.rglob(".*") if path.name != ".lock"]
    assert not leftovers
    json.dumps(read_status(finished).to_json())


def test_calling_again_skips(finished: Project, engine_calls: dict[str, int]) -> None:
    counts = dict(engine_calls)
    assert select_views(finished, auto=6).skipped
    assert reconstruct_mesh(finished, settings=SMALL).skipped
    assert render_mesh(finished, settings=SMALL).skipped
    assert engine_calls == counts
    assert not reconstruct_mesh(finished, settings=SMALL, run_options=RunOptions(force=True)).skipped


def test_an_edited_view_makes_what_follows_stale(finished: Project) -> None:
    name = finished.load().selection.names[2]  # type: ignore[union-attr]
    file = next(view.file for view in finished.load().views if view.name == name)
    finished.path(file).write_bytes(finished.path("photos/a.png").read_bytes())
    assert states(finished) == {"generate": "done", "select": "stale", "reconstruct": "stale", "render": "stale"}
    assert reason(finished, "reconstruct") == f"{file} (view {name}) was changed by hand"
    assert read_status(finished).next == finished.command("select")


def test_a_view_that_was_not_chosen_does_not_matter(finished: Project) -> None:
    chosen = finished.load().selection.names  # type: ignore[union-attr]
    other = next(view.file for view in finished.load().views if view.name not in chosen)
    finished.path(other).write_bytes(b"")
    assert set(states(finished).values()) == {"done"}


def test_another_choice_makes_the_mesh_stale(finished: Project) -> None:
    select_views(finished, "0-5")
    assert states(finished)["reconstruct"] == "stale"
    assert states(finished)["render"] == "stale"
    said: list[str] = []
    render_mesh(finished, settings=SMALL, run_options=RunOptions(tell=said.append))
    assert any("stale" in sentence for sentence in said)  # never rendered without saying so


def test_a_stale_mesh_is_reported_even_when_rendering_is_skipped(finished: Project) -> None:
    manifest = finished.load()
    finished.path(manifest.active_photos[0].file).write_bytes(finished.path("photos/b.png").read_bytes())
    said: list[str] = []
    assert render_mesh(finished, settings=SMALL, run_options=RunOptions(tell=said.append)).skipped
    assert any("generate is stale" in sentence for sentence in said)


def test_a_missing_file_runs_its_stage_again(finished: Project) -> None:
    finished.path("mesh/mesh.mtl").unlink()
    assert states(finished)["reconstruct"] == "missing"
    assert not reconstruct_mesh(finished, settings=SMALL).skipped
    assert set(states(finished).values()) == {"done"}


def test_an_edited_mesh_is_kept_and_rendered(finished: Project) -> None:
    finished.path("mesh/mesh.obj").write_text("# mine\n")
    assert reconstruct_mesh(finished, settings=SMALL).skipped
    from meshcli.export.gltf import read_glb, write_glb
    from meshcli.meshes.mesh import Mesh

    mesh = read_glb(finished.path("mesh/mesh.glb"))
    finished.path("mesh/mesh.glb").write_bytes(
        write_glb(Mesh(mesh.vertices * np.float32(0.5), mesh.faces, mesh.colours))
    )
    assert states(finished) == {"generate": "done", "select": "done", "reconstruct": "done", "render": "stale"}
    assert not render_mesh(finished, settings=SMALL).skipped


@pytest.mark.parametrize("verb", [reconstruct_mesh, render_mesh, select_views])
def test_a_stage_too_early_names_the_one_before(verb, painted: Project, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    if verb is not select_views:
        with pytest.raises(UsageError, match=r"meshcli (select|reconstruct)"):
            verb(painted)
        assert verb.__name__.split("_")[0] not in painted.load().stages
    with pytest.raises(UsageError, match="meshcli generate"):
        verb(Project(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_a_chosen_view_that_is_gone_says_what_to_run(finished: Project) -> None:
    name = finished.load().selection.names[0]  # type: ignore[union-attr]
    file = next(view.file for view in finished.load().views if view.name == name)
    finished.path(file).unlink()
    with pytest.raises(ProjectError, match="meshcli generate"):
        reconstruct_mesh(finished, settings=SMALL)


def test_when_memory_runs_out_the_same_command_takes_less_and_then_stays(
    painted: Project, monkeypatch: pytest.MonkeyPatch, engine_calls: dict[str, int]
) -> None:
    select_views(painted, auto=6)
    monkeypatch.setenv("MESHCLI_TEST", "fit:memory")
    tries, errors = 0, []
    while True:
        tries += 1
        said: list[str] = []
        try:
            reconstruct_mesh(painted, settings=SMALL, run_options=RunOptions(tell=said.append))
            break
        except ResourceError as error:
            errors.append(str(error))
        record = painted.load().stages["reconstruct"]
        assert (record.status, record.error) == ("failed", "memory ran out")
        assert tries < 10
    assert "the same command will now take fit.resolutions" in errors[0]
    assert tries > 1
    assert any("taking smaller settings" in sentence for sentence in said)
    record = painted.load().stages["reconstruct"]
    assert max(record.options["fit"]["resolutions"]) <= 50
    calls = engine_calls["fit"]
    assert reconstruct_mesh(painted, settings=SMALL).skipped  # not the full settings again
    assert engine_calls["fit"] == calls
    with pytest.raises(ResourceError):
        reconstruct_mesh(painted, settings=SMALL, run_options=RunOptions(force=True))


@pytest.mark.parametrize(
    ("smaller", "says"),
    [
        ({"fit.resolutions": [2, 2, 2]}, "fit.resolutions must be between 16 and"),
        ({"fit.resolutions": [24]}, "fit.resolutions has 1 entries and fit.steps 3"),
        ({"texture.size": 0}, "texture.size must be between"),
        ({"texture.size": 10**30}, "texture.size must be between"),
        ({"texture.size": "x"}, "must be of type int"),
        ({"no.such": 1}, "there is no setting no"),
    ],
)
def test_recorded_settings_that_are_valid_no_more(smaller: dict[str, object], says: str, finished: Project) -> None:
    """An older version, or somebody's editor, may have written them: exit 5 in one line, and --force gets by."""
    manifest = finished.load()
    record = replace(manifest.stages["reconstruct"], status="failed", reduced_settings=smaller)
    finished.save(manifest.with_record("reconstruct", record))
    with pytest.raises(ProjectError, match=r"manifest\.json: ") as caught:
        reconstruct_mesh(finished, settings=SMALL)
    assert says in str(caught.value)
    read_status(finished)
    assert reconstruct_mesh(finished, settings=SMALL, run_options=RunOptions(force=True)).record.status == "done"


@pytest.mark.parametrize("options", [{"fit": {"rays": 0}, "render": {"source": 3, "size": -1}}, {"fit": []}, {}])
def test_recorded_options_of_any_kind_make_a_stage_stale_at_most(options: dict[str, object], finished: Project) -> None:
    manifest = finished.load()
    for stage in ("generate", "select", "reconstruct", "render"):
        manifest = manifest.with_record(stage, replace(manifest.stages[stage], options=options))
    finished.save(manifest)
    assert set(states(finished).values()) <= {"stale", "done"}
    assert reconstruct_mesh(finished, settings=SMALL).record.status == "done"


def test_smaller_settings_are_valid_and_come_to_an_end() -> None:
    """From the largest there are, for every engine."""
    largest: dict[str, object] = {"lrm.grid": 512, "zero123plus.batch": 16, "zero123plus.vram": "high"}
    for section in fields(Settings):
        for name, default in vars(getattr(Settings(), section.name)).items():
            if default != () and (allowed := range_of(type(getattr(Settings(), section.name)), name)):
                high = type(default[0] if isinstance(default, tuple) else default)(allowed.high)
                largest[f"{section.name}.{name}"] = [high] * 3 if isinstance(default, tuple) else high
    steps = (
        reconstruct.smaller_settings, networks.smaller_settings, render.smaller_settings,
        partial(view_generation.smaller_settings, "sculpt"), partial(view_generation.smaller_settings, "zero123plus"),
    )  # fmt: skip
    for smaller in steps:
        settings, count = override(Settings(), largest, "test"), 0
        while less := smaller(settings):
            settings, count = override(settings, less, "smaller"), count + 1
            assert count < 30


def test_a_full_disk_keeps_the_settings(painted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    select_views(painted, auto=6)
    monkeypatch.setenv("MESHCLI_TEST", "fit:disk")
    with pytest.raises(ResourceError, match="full"):
        reconstruct_mesh(painted)
    assert painted.load().stages["reconstruct"].reduced_settings == {}


def test_a_failure_leaves_the_mesh_from_before(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = finished.path("mesh/mesh.glb").read_bytes()
    monkeypatch.setenv("MESHCLI_TEST", "fit:bug")
    with pytest.raises(ZeroDivisionError):
        reconstruct_mesh(finished, settings=SMALL, run_options=RunOptions(force=True))
    record = finished.load().stages["reconstruct"]
    assert (record.status, "a bug" in record.error) == ("failed", True)
    assert finished.path("mesh/mesh.glb").read_bytes() == before
    assert {output.file for output in record.outputs} >= {"mesh/mesh.glb"}
    assert read_status(finished).next == finished.command("reconstruct")


def test_an_interrupted_stage_is_called_so_by_who_holds_the_lock(finished: Project) -> None:
    manifest = finished.load()
    record = replace(manifest.stages["reconstruct"], status="running")
    finished.save(manifest.with_record("reconstruct", record))
    for run_options in (RunOptions(), RunOptions(dry=True)):
        said: list[str] = []
        render_mesh(finished, settings=SMALL, run_options=replace(run_options, tell=said.append, force=True))
        assert said[0] == f"the mesh may be out of date: reconstruct is interrupted (started {record.started})"


def test_explicit_choices_are_kept(finished: Project) -> None:
    assert select_arguments(finished, "") == ["--auto", "18", "--suggested"]  # sculpt's views agree: all of them
    assert select_arguments(finished, "1,2") == ["--views", "1,2"]
    select_views(finished, "a0,a1", by="person")
    assert select_arguments(finished, "") is None
    finished.path("views/01.png").write_bytes(b"other")
    with pytest.raises(
        UsageError, match=r"chosen by a person, and now views/01\.png \(view a1\) was changed by hand.*meshcli select"
    ):
        select_arguments(finished, "")


def test_a_choice_that_no_longer_fits_is_said_at_once(finished: Project) -> None:
    assert stale_choice(finished, finished.load()) == ""
    select_views(finished, "a0,c1", by="person")
    assert stale_choice(finished, finished.load()) == ""
    outcome = generate_views(finished, remove=["c"])
    assert outcome.notes[-1].startswith(
        "the choice of views that was made by hand no longer fits: the selected view c1 is no longer in"
    )
    assert outcome.notes[-1].endswith(f"choose again: `{finished.command('select')}`")
    select_views(finished, "a0,a1")
    finished.path("views/01.png").write_bytes(b"other")
    assert re.search(
        r"made with a flag no longer fits: views/01.png \(view a1\) was changed by hand; .*: `meshcli select ",
        stale_choice(finished, finished.load()),
    )
    select_views(finished, "a0,a1", by="auto")
    finished.path("views/01.png").write_bytes(b"another")
    assert stale_choice(finished, finished.load()) == ""


def test_painted_views_are_chosen_by_six(finished: Project) -> None:
    manifest = finished.load()
    mixed = replace(manifest, views=(replace(manifest.views[0], engine="photos"), *manifest.views[1:]))
    assert automatic_count(manifest) == 18
    assert automatic_count(mixed) == 6


def test_real_photos_agree_and_are_all_chosen(posed: Project) -> None:
    assert select_arguments(posed, "") == ["--auto", "18", "--suggested"]
    assert select_arguments(posed, "", include_photos=True) == ["--auto", "21", "--suggested", "--include-photos"]
    assert select_arguments(posed, "a,b", include_photos=True) == ["--views", "a,b", "--include-photos"]
    assert len(posed.load().views) == 18


def test_an_automatic_choice_is_made_again_when_photos_come(finished: Project, tmp_path: Path) -> None:
    pixels = np.zeros((50, 60, 4), np.uint8)
    pixels[10:40, 10:40] = (9, 9, 9, 255)
    Image.fromarray(pixels).save(tmp_path / "4.png")
    generate_views(finished, [f"{tmp_path / '4.png'}@180"], add=True)
    assert reason(finished, "select") == "the views to choose from changed, or their scores"
    select_views(finished, auto=6)
    assert any(name.startswith("d") for name in finished.load().selection.names)  # type: ignore[union-attr]


def test_bad_render_settings_are_refused(finished: Project) -> None:
    for key, value in (("frames", 0), ("size", 5), ("elevation", 91.0)):
        with pytest.raises(UsageError, match="render"):
            render_mesh(finished, settings=override(Settings(), {f"render.{key}": value}, ""))


def test_a_mesh_that_is_no_mesh(finished: Project) -> None:
    finished.path("mesh/mesh.glb").write_bytes(b"nothing")
    with pytest.raises(ProjectError, match=r"mesh\.glb .*meshcli reconstruct .* --force` rebuilds it"):
        render_mesh(finished, settings=SMALL)


def test_scores_are_computed_once_and_kept(painted: Project, engine_calls: dict[str, int]) -> None:
    assert engine_calls["score_views"] == 1
    assert all(view.scores["total"] == 0.95 for view in painted.load().views)
    select_views(painted, auto=6)
    select_views(painted, "0-5")
    assert engine_calls["score_views"] == 1
    painted.path("views/03.png").write_bytes(painted.path("views/04.png").read_bytes())
    select_views(painted, auto=6)
    assert engine_calls["score_views"] == 2


def test_the_sheet_comes_back(painted: Project, engine_calls: dict[str, int]) -> None:
    painted.path("views/sheet.png").unlink()
    assert states(painted)["generate"] == "missing"
    select_views(painted, "0")
    assert states(painted)["generate"] == "done"
    assert engine_calls["score_views"] == 1


@pytest.fixture
def posed(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> Project:
    generate_views(project, photos, CameraArguments([0, 40, -50], [10], [25]))
    return project


def test_photos_can_be_views(posed: Project, engine_calls: dict[str, int]) -> None:
    said: list[str] = []
    select_views(posed, "a,b,0", include_photos=True, run_options=RunOptions(tell=said.append))
    manifest = posed.load()
    assert [view.name for view in manifest.views[18:]] == ["a", "b", "c"]
    assert manifest.selection is not None
    assert manifest.selection.names == ("a", "b", "a0")
    entry = manifest.views[19]
    assert entry.camera == manifest.photos[1].camera
    assert (entry.photo, entry.engine, entry.file) == ("b", "photos", "views/19.png")
    with Image.open(posed.path(entry.file)) as view:
        assert view.size == (320, 320)
    assert engine_calls["score_views"] == 2
    assert entry.scores
    assert states(posed)["generate"] == states(posed)["select"] == "done"
    assert len(said) == 1
    assert said[0].startswith("3 views are selected: `fit` takes any number, InstantMesh was trained with 6")
    select_views(posed, auto=6, include_photos=True)
    assert len(posed.load().views) == 21
    assert {"a", "b", "c"} & set(posed.load().selection.names)  # type: ignore[union-attr]


def test_photos_that_are_views_follow_their_photos(posed: Project, engine_calls: dict[str, int]) -> None:
    select_views(posed, "a,b", include_photos=True)
    before = posed.digest("views/19.png")
    generate_views(posed, typed=CameraArguments([0, 45, -50], [10], [25]))
    manifest = posed.load()
    assert manifest.views[19].camera.azimuth == pytest.approx(45)
    assert posed.digest("views/19.png") == before
    assert states(posed)["select"] == "stale"
    pixels = np.array(Image.open(posed.path("photos/b.png")))
    pixels[..., :3] = 90
    Image.fromarray(pixels).save(posed.path("photos/b.png"))
    generate_views(posed)
    assert posed.digest("views/19.png") != before


def test_a_photo_whose_camera_is_half_known_is_no_view(painted: Project) -> None:
    before = painted.path("manifest.json").read_bytes()
    with pytest.raises(UsageError, match="no photo has a known azimuth, elevation and field of view"):
        select_views(painted, "0", include_photos=True)
    assert painted.path("manifest.json").read_bytes() == before


def test_a_wrong_number_with_photos_changes_nothing(posed: Project) -> None:
    before = posed.path("manifest.json").read_bytes()
    allowed = "views are 0-5, 6-11, 12-17, 18, 19, 20 (a0-a5, b0-b5, c0-c5, a, b, c)"
    with pytest.raises(UsageError, match=re.escape(f"no view 21; {allowed}")):
        select_views(posed, "21", include_photos=True)
    assert posed.path("manifest.json").read_bytes() == before
    assert not posed.path("views/18.png").exists()


def everything(project: Project) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in project.root.rglob("*") if path.is_file()
    }


def test_a_dry_run_says_why_and_changes_nothing(
    finished: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    dry = RunOptions(dry=True)
    project = Project(finished.root.parent / "other")
    assert generate_views(project, photos, CameraArguments([0, 40, -50]), run_options=dry).would_run == "not run yet"
    assert not project.root.exists()
    before, counts = everything(finished), dict(engine_calls)
    same = [generate_views(finished, run_options=dry), select_views(finished, auto=6, run_options=dry)]
    same += [
        reconstruct_mesh(finished, settings=SMALL, run_options=dry),
        render_mesh(finished, settings=SMALL, run_options=dry),
    ]
    assert [(outcome.would_run, bool(outcome.skipped)) for outcome in same] == [("", True)] * 4
    assert (
        generate_views(finished, photos[:2], CameraArguments([0, 40]), run_options=dry).would_run
        == "photo c was taken out"
    )
    assert (
        generate_views(finished, typed=CameraArguments([0, 45, -50]), run_options=dry).would_run
        == "photo b has another camera: its angles, lens or size changed"
    )
    assert select_views(finished, "0-5", run_options=dry).would_run
    assert reconstruct_mesh(finished, settings=Settings(), run_options=dry).would_run == (
        "the setting texture.size went from 64 to 2048"
    )
    assert render_mesh(finished, settings=SMALL, run_options=replace(dry, force=True)).would_run == "--force"
    finished.path("renders/top.png").unlink()
    assert render_mesh(finished, settings=SMALL, run_options=dry).would_run == "renders/top.png is missing"
    del before[str(finished.root / "renders/top.png")]
    assert everything(finished) == before
    assert engine_calls == counts


def test_a_dry_run_after_a_failure_reports_it(painted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    select_views(painted, auto=6)
    monkeypatch.setenv("MESHCLI_TEST", "fit:bug")
    with pytest.raises(ZeroDivisionError):
        reconstruct_mesh(painted)
    assert "a bug" in reconstruct_mesh(painted, run_options=RunOptions(dry=True)).would_run
    manifest = painted.load()
    painted.save(manifest.with_record("reconstruct", replace(manifest.stages["reconstruct"], status="running")))
    assert reconstruct_mesh(painted, run_options=RunOptions(dry=True)).would_run == "it was interrupted"
    with painted.write_lock():
        assert reconstruct_mesh(painted, run_options=RunOptions(dry=True)).would_run == "another process is running it"

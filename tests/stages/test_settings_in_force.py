"""What was typed once stays in force: settings, the seed, the choice of views, the photos' angles."""

import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from helpers.project_templates import ProjectTemplates
from meshcli.commands.cli import main
from meshcli.config import TypedSettings, override, read_typed_settings
from meshcli.errors import ProjectError, ResourceError, UsageError
from meshcli.project.manifest import STAGES, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.settings import Settings, TextureSettings
from meshcli.stages.generate import generate_views
from meshcli.stages.networks import pick_engine
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.select import select_views
from meshcli.stages.settings_in_force import NOT_OF_STAGES, SECTIONS, settings_in_force
from meshcli.stages.stage_runner import RunOptions

Call = Callable[..., str]
PHOTOS = ["1.png", "2.png", "3.png"]
ANGLES = "--azimuth=0,40,-50"
TEXTURE = asdict(TextureSettings())


@pytest.fixture
def meshcli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine_calls: dict[str, int], photos: list[Path]) -> Call:
    """A command that succeeds, in this process and with quick engines: what it prints."""

    def call(*words: str, code: int = 0) -> str:
        with redirect_stdout(StringIO()) as output:
            assert main(words) == code
        return output.getvalue()

    def child(line: Sequence[str], capture: bool = False) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = main(line)
        return code, output.getvalue()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    monkeypatch.setattr("meshcli.commands.invocation.fork_stage", lambda *_: None)
    monkeypatch.setattr("meshcli.stages.preflight.lacking", lambda *_: "weights")
    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nowhere"))
    return call


def record(stage: Stage) -> StageRecord:
    return Project("desk").load().stages[stage]


def skipped(text: str) -> list[bool]:
    return [stage["skipped"] for stage in json.loads(text)["stages"]]


def test_every_setting_is_remembered_by_a_stage() -> None:
    remembered = {section for sections in SECTIONS.values() for section in sections}
    assert remembered == {each.name for each in fields(Settings)}.difference(NOT_OF_STAGES)


@pytest.fixture
def whole(meshcli: Call, templates: ProjectTemplates) -> Call:
    """Every step with settings of its own."""

    def make() -> None:
        meshcli("generate", "desk", *PHOTOS, ANGLES, "--config=quick", "--seed=3")
        meshcli("select", "desk", "--views=0,1,2,3")
        meshcli("reconstruct", "desk", "--faces=2000", "--texture-size=64", "--seed=5")
        meshcli("render", "desk", "--size=64", "--frames=3")

    templates.make("with settings", Path("desk"), make)
    return meshcli


def test_a_bare_run_keeps_what_was_typed_step_by_step(whole: Call, engine_calls: dict[str, int]) -> None:
    before, counts = Project("desk").path("manifest.json").read_bytes(), dict(engine_calls)
    assert skipped(whole("run", "desk", "--json")) == [True] * 3  # the choice is kept without asking `select`
    assert engine_calls == counts
    assert Project("desk").path("manifest.json").read_bytes() == before
    plan = json.loads(whole("run", "desk", "--dry-run", "--json"))["stages"]
    assert [row["runs"] for row in plan] == [False] * 4


def test_what_is_typed_changes_that_alone(whole: Call) -> None:
    whole("run", "desk", "--set=fit.rays=77", "--json")
    assert record("generate").options["fit"] == {"resolutions": [24, 48], "steps": [40, 40], "rays": 77}
    assert record("generate").options["sculpt"]["view_size"] == 160
    assert record("generate").options["seed"] == 3
    options = record("reconstruct").options
    assert (options["fit"]["rays"], options["texture"], options["seed"]) == (
        77,
        TEXTURE | {"faces": 2000, "size": 64},
        5,
    )
    whole("reconstruct", "desk", "--faces=20000", "--seed=0")  # the defaults, typed
    assert record("reconstruct").settings == {"fit.rays": 77, "texture.size": 64, "lrm.simplify": 20000}
    whole("render", "desk", "--fps=5")
    assert record("render").settings == {"render.size": 64, "render.frames": 3, "render.fps": 5}
    assert skipped(whole("run", "desk", "--json")) == [True] * 3


def test_defaults_drops_what_is_on_record(whole: Call) -> None:
    whole("render", "desk", "--defaults", "--size=64", "--set=render.frames=4")
    assert record("render").settings == {"render.size": 64, "render.frames": 4}
    small = ["--set=render.size=64", "--set=render.frames=3", "--set=texture.size=32"]
    whole("run", "desk", "--defaults", "--views=0,1,2,3", *small)
    assert [record(stage).settings for stage in STAGES] == [
        {}, {}, {"texture.size": 32}, {"render.size": 64, "render.frames": 3}
    ]  # fmt: skip
    assert record("generate").options["seed"] == 0
    assert [photo.stated.azimuth for photo in Project("desk").load().photos] == [0, 40, -50]
    assert Project("desk").load().selection.by == "flag"  # type: ignore[union-attr]


def test_status_shows_what_is_not_the_default(whole: Call) -> None:
    stages = json.loads(whole("status", "desk", "--json"))["stages"]
    assert stages["reconstruct"]["settings"] == {"texture.faces": 2000, "texture.size": 64, "seed": 5}
    assert stages["select"]["settings"] == {}
    said = whole("status", "desk")
    assert "settings of render: render.size=64, render.frames=3\n" in said
    assert "fit.steps=[40, 40]" in said


def test_a_failed_or_interrupted_step_remembers_too(whole: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCLI_TEST", "fit:disk")
    whole("reconstruct", "desk", "--faces=1234", code=75)
    monkeypatch.delenv("MESHCLI_TEST")
    whole("run", "desk")
    assert record("reconstruct").options["texture"] == TEXTURE | {"faces": 1234, "size": 64}


def test_levels_and_their_steps_may_be_typed_one_after_the_other(
    whole: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    whole("generate", "desk", "--set=fit.steps=[5,6]")
    assert record("generate").options["fit"]["resolutions"] == [24, 48]
    before = Project("desk").path("manifest.json").read_bytes()
    whole("run", "desk", "--set=fit.steps=[9]", code=2)
    assert "fit.resolutions has 2 entries and fit.steps 1; each level needs one of both; `--defaults`" in (
        capsys.readouterr().err
    )
    assert Project("desk").path("manifest.json").read_bytes() == before


@pytest.mark.slow
def test_a_typed_automatic_choice_is_kept_and_that_of_run_is_not(meshcli: Call) -> None:
    small = ["--set=texture.size=32", "--set=render.size=64", "--set=render.frames=3"]
    meshcli("generate", "desk", *PHOTOS, ANGLES)
    meshcli("select", "desk", "--auto=4")
    chosen = Project("desk").load().selection
    meshcli("run", "desk", *small)
    assert Project("desk").load().selection == chosen
    meshcli("run", "other", *PHOTOS[:2], "--azimuth=0,40", *small)
    assert len(Project("other").load().selection.names) == 12  # type: ignore[union-attr]
    meshcli("run", "other", "--add", "3.png@-50")
    assert len(Project("other").load().selection.names) == 18  # type: ignore[union-attr]


def test_the_same_photos_keep_their_angles(meshcli: Call) -> None:
    def stated() -> list[tuple[Any, ...]]:
        priors = [photo.stated for photo in Project("desk").load().active_photos]
        return [(prior.azimuth, prior.elevation, prior.fov) for prior in priors]

    meshcli("generate", "desk", *PHOTOS, ANGLES, "--fov=25")
    typed = [(0, None, 25), (40, None, 25), (-50, None, 25)]
    assert "unchanged" in json.loads(meshcli("generate", "desk", *PHOTOS, "--json"))["reason"]
    meshcli("generate", "desk", *reversed(PHOTOS), "--elevation=10")
    assert stated() == [(azimuth, 10, fov) for azimuth, _, fov in typed]
    meshcli("generate", "desk", "1.png", "2.png@45", "--force")
    assert stated() == [(0, 10, 25), (45, 10, 25)]
    meshcli("generate", "desk", *PHOTOS)  # the third one was away
    assert stated() == [(0, 10, 25), (45, 10, 25), (-50, 10, 25)]


def test_angles_on_record_outrank_a_file_beside_the_photos(meshcli: Call) -> None:
    from meshcli.views.camera import orbit

    meshcli("generate", "desk", *PHOTOS[:2], "--azimuth=0,40")
    rows = [{"file": name, "camera": orbit(33, 12, 3.5, 25, known="rig").to_json()} for name in PHOTOS]
    Path("cameras.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    meshcli("generate", "desk", *PHOTOS)
    stated = [photo.stated for photo in Project("desk").load().photos]
    assert [prior.azimuth for prior in stated] == [0, 40, None]
    assert stated[2].camera is not None


def test_smaller_settings_are_not_what_was_requested(
    meshcli: Call, monkeypatch: pytest.MonkeyPatch, engine_calls: dict[str, int]
) -> None:
    meshcli("generate", "desk", *PHOTOS, ANGLES)
    meshcli("select", "desk", "--auto=6")
    monkeypatch.setenv("MESHCLI_TEST", "fit:memory")
    large = "--set=fit.resolutions=[32,64,96]"
    meshcli("reconstruct", "desk", large, "--texture-size=64", code=75)
    codes = []
    while not codes or codes[-1]:
        try:
            reconstruct_mesh(Project("desk"))
            codes.append(0)
        except ResourceError:
            codes.append(75)
        assert len(codes) < 10
    assert record("reconstruct").settings == {"fit.resolutions": [32, 64, 96], "texture.size": 64}
    assert max(record("reconstruct").options["fit"]["resolutions"]) <= 50
    counts = dict(engine_calls)
    meshcli("reconstruct", "desk")
    meshcli("reconstruct", "desk", large)
    assert engine_calls == counts
    monkeypatch.delenv("MESHCLI_TEST")
    meshcli("reconstruct", "desk", "--force")
    assert record("reconstruct").options["fit"]["resolutions"] == [32, 64, 96]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fit.rays": 0}, "fit.rays must be between"),
        ({"fit.resolutions": "x"}, "fit.resolutions must be of type int"),
        ({"fit.steps": []}, "fit.steps must have between 1 and 8 entries"),
        ({"fit.steps": [5]}, "fit.resolutions has 3 entries and fit.steps 1"),
        ({"texture.size": {"a": 10**40}}, "texture.size must be of type int"),
        ({"lrm.parts": [["all"]]}, "lrm.parts must be one of"),
        ({"seed": -1}, "the seed must be 0 or above"),
        ({"seed": "0"}, "the seed must be 0 or above"),
    ],
)
def test_recorded_settings_that_are_not_valid(settings: dict[str, Any], says: str, whole: Call) -> None:
    project = Project("desk")
    manifest = project.load()
    project.save(manifest.with_record("reconstruct", replace(record("reconstruct"), settings=settings)))
    with pytest.raises(ProjectError, match=r"^manifest\.json: .*`--defaults` drops the settings on record$") as caught:
        reconstruct_mesh(project)
    assert says in str(caught.value)
    whole("status", "desk")
    whole("run", "desk", code=5)
    whole("reconstruct", "desk", "--defaults", "--texture-size=64")
    assert record("reconstruct").settings == {"texture.size": 64}


def test_settings_of_other_versions_and_other_steps_are_passed_over() -> None:
    odd = {"fit.new": 3, "hologram.size": 3, "fit": {}, "": 1, "a.b.c": 2, "render.size": 64, "photo.max_pixels": 10**9}
    for stage in STAGES:
        found = settings_in_force(stage, StageRecord("done", settings=odd), TypedSettings())
        assert found.settings.photo == Settings().photo
        assert found.to_record == ({"render.size": 64} if stage == "render" else {})


def test_complete_settings_are_typed_in_full() -> None:
    before = StageRecord("done", settings={"fit.rays": 7, "seed": 4})
    found = settings_in_force("reconstruct", before, override(Settings(), {"texture.size": 64}, ""), 0)
    assert (found.settings.fit.rays, found.to_record) == (12000, {"texture.size": 64})


def test_a_setting_survives_another_engine(meshcli: Call) -> None:
    meshcli("generate", "desk", *PHOTOS, ANGLES, "--set=sculpt.view_size=96", "--set=zero123plus.steps=30")
    meshcli("generate", "desk", "--engine=photos")
    assert "sculpt" not in record("generate").options
    meshcli("generate", "desk", "--engine=sculpt")
    assert record("generate").options["sculpt"]["view_size"] == 96
    assert record("generate").settings == {"sculpt.view_size": 96, "zero123plus.steps": 30}


def test_a_recorded_network_file_stays_until_another_network_is_named(tmp_path: Path) -> None:
    before = StageRecord("done", "instant-mesh-large", settings={"lrm.file": str(tmp_path / "own.yaml")})
    settings = settings_in_force("reconstruct", before, TypedSettings()).settings
    assert pick_engine("auto", before, settings, RunOptions()) == ("instant-mesh-large", "auto: as before")
    assert settings_in_force("reconstruct", before, TypedSettings(), None, ["lrm.file"]).settings.lrm.file == ""


def test_what_is_typed_is_checked_without_a_project(meshcli: Call) -> None:
    for words in (["--set=fit.rays=0"], ["--set=fit.steps=[5]"], ["--seed=-1"]):
        meshcli("generate", "desk", *PHOTOS, *words, code=2)
        meshcli("run", "desk", *PHOTOS, *words, code=2)
        assert not Path("desk").exists()
    with pytest.raises(UsageError, match="there is no setting fit"):
        read_typed_settings(assignments=["fit.rais=3"])


def test_python_calls_keep_what_is_on_record(whole: Call) -> None:
    project = Project("desk")
    assert generate_views(project).skipped
    assert reconstruct_mesh(project).skipped
    assert not generate_views(project, settings=Settings(), seed=0, typed=CameraArguments()).skipped
    select_views(project)
    assert project.load().selection.by == "auto"  # type: ignore[union-attr]


def test_a_setting_that_only_another_engine_uses_is_kept_though_nothing_runs(meshcli: Call) -> None:
    meshcli("generate", "desk", *PHOTOS, ANGLES)
    before = record("generate")
    meshcli("generate", "desk", "--set", "zero123plus.steps=30", "--dry-run")
    assert record("generate") == before
    meshcli("generate", "desk", "--set", "zero123plus.steps=30")
    assert record("generate") == replace(before, settings={**before.settings, "zero123plus.steps": 30})
    meshcli("generate", "desk")
    assert record("generate").settings["zero123plus.steps"] == 30
    meshcli("generate", "desk", "--defaults")
    assert record("generate") == before

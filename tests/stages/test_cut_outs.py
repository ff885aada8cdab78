"""How the photos are cut out: what is typed for all or one of them, the sheet of cut-outs, edits that are kept."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meshcli.commands.cli import main
from meshcli.config import TypedSettings, read_typed_settings
from meshcli.engines import VERSIONS
from meshcli.errors import InputError, UsageError
from meshcli.pictures.image import join_sheet
from meshcli.project.project import Project
from meshcli.settings import PhotoSettings
from meshcli.stages.cut_outs import rembg_advice
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.stage_runner import RunOptions

ANGLES = CameraArguments([0, 40, -50])


@pytest.fixture
def cut(engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that photos were cut out since it was last cleared."""
    module = sys.modules["meshcli.pictures.foreground"]
    original, ways = module.cut_out, []

    def spy(pixels: Any, settings: PhotoSettings, **rest: Any) -> Any:
        ways.append(settings.cutout)
        return original(pixels, settings, **rest)

    monkeypatch.setattr(module, "cut_out", spy)
    return ways


def typed(**values: str) -> TypedSettings:
    return read_typed_settings(flags={f"photo.{key}": value for key, value in values.items()})


def test_one_way_for_all_and_others_for_single_photos(project: Project, photos: list[Path], cut: list[str]) -> None:
    """Typed once it stays in force, and only photos for which it changes are cut out anew."""
    generate_views(project, photos, ANGLES, settings=typed(cutout="plain", cutouts="b=alpha"))
    assert cut == ["plain", "alpha", "plain"]
    cut.clear()
    generate_views(project, settings=typed(cutouts="c=rembg"))
    assert cut == ["rembg"]
    assert project.load().stages["generate"].settings == {"photo.cutout": "plain", "photo.cutouts": "b=alpha,c=rembg"}
    assert generate_views(project).skipped
    cut.clear()
    generate_views(project, settings=typed(cutout="auto", cutouts=""))
    assert cut == ["auto", "auto", "auto"]


def test_flags(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from meshcli.commands.flags import PhotoFlags

    assert PhotoFlags().overrides() == {}
    assert PhotoFlags(cutout=["plain"]).overrides() == {"photo.cutout": "plain", "photo.cutouts": ""}
    assert PhotoFlags(cutout=["b=rembg", "c=alpha"]).overrides() == {"photo.cutouts": "b=rembg,c=alpha"}
    assert PhotoFlags(cutout=["rembg", "c=alpha"]).overrides() == {
        "photo.cutout": "rembg",
        "photo.cutouts": "c=alpha",
        "photo.rembg": True,
    }
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    for words, said in (
        (["--cutout=rembg", "--no-rembg"], "rembg is to cut the photos out (photo.cutout) and is switched off"),
        (["--cutout=magic"], "--cutout magic: it is one of auto, alpha, plain, rembg"),
        (["--cutout=1.png=rembg"], "1.png=rembg is no way to cut a photo out"),
        (["--cutout=plain", "--cutout=alpha"], "are both for all photos; take one"),
    ):
        assert main(["generate", str(project.root), "1.png", "--dry-run", *words]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not project.root.exists()


def test_a_way_for_no_photo_is_refused(project: Project, photos: list[Path], cut: list[str], tmp_path: Path) -> None:
    generate_views(project, photos[:2], CameraArguments([0, 40]))
    with pytest.raises(UsageError, match="--cutout d=plain: there is no photo of that letter; they are a, b"):
        generate_views(project, settings=typed(cutouts="d=plain"))
    tiles = [np.full((320, 320, 3), 247, np.uint8) for _ in range(6)]
    for tile in tiles:
        tile[60:200, 100:220] = 90
    sheet = tmp_path / "sheet.png"
    Image.fromarray(join_sheet(tiles)).save(sheet)
    with pytest.raises(UsageError, match="--cutout is for photos"):
        generate_views(
            Project(tmp_path / "ready"), [sheet], CameraArguments(ready="sheet 1.2"), settings=typed(cutout="plain")
        )
    assert not Project(tmp_path / "ready").root.exists()
    with pytest.raises(
        InputError, match=re.escape(f"{sheet} looks like a six-view sheet; hand it in with --from-sheet {sheet}")
    ):
        generate_views(Project(tmp_path / "photo"), [sheet])
    generate_views(Project(tmp_path / "photo"), [sheet], settings=typed(cutout="plain"))


def test_the_sheet_of_cut_outs(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    told: list[str] = []
    outcome = generate_views(project, photos, ANGLES, run_options=RunOptions(tell=told.append))
    sheet = project.path("photos/cutouts.png")
    assert f"cut out by alpha (a, b, c); look at {sheet}" in told
    assert outcome.record.facts["cut_out"] == dict.fromkeys("abc", "alpha")
    assert "photos/cutouts.png" in {output.file for output in outcome.record.outputs}
    with Image.open(sheet) as picture:
        assert picture.size[0] == 3 * 320


def test_edited_cut_outs_outlive_a_new_version(
    project: Project, photos: list[Path], cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_views(project, photos, ANGLES)
    edited = np.zeros((80, 80, 4), np.uint8)
    edited[20:60, 20:60] = (9, 9, 9, 255)
    Image.fromarray(edited).save(project.path("photos/b.png"))
    before = project.digest("photos/b.png")
    cut.clear()
    monkeypatch.setitem(VERSIONS, "cut_out", VERSIONS["cut_out"] + 1)
    generate_views(project)
    assert cut == ["auto", "auto"]
    assert project.digest("photos/b.png") == before
    assert generate_views(project).skipped
    cut.clear()
    generate_views(project, settings=typed(cutouts="b=plain"))
    assert cut == ["plain"]


def test_a_way_that_failed_does_not_stay_on_record(
    project: Project, photos: list[Path], cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["meshcli.pictures.foreground"]
    quick = module.cut_out

    def no_alpha(pixels: Any, settings: PhotoSettings, **rest: Any) -> Any:
        if settings.cutout == "alpha":
            raise InputError("there is none that separates anything")
        return quick(pixels, settings, **rest)

    monkeypatch.setattr(module, "cut_out", no_alpha)
    with pytest.raises(InputError, match="separates"):
        generate_views(project, photos[:2], CameraArguments([0, 40]), settings=typed(cutouts="a=plain,b=alpha"))
    assert project.load().stages["generate"].settings == {"photo.cutouts": "a=plain"}
    with pytest.raises(InputError, match="separates"):  # of a recorded set too, and for all photos
        generate_views(project, settings=typed(cutout="alpha"))
    cut.clear()
    generate_views(project)
    assert cut == ["auto"]
    assert project.load().stages["generate"].settings == {"photo.cutouts": "a=plain"}
    with pytest.raises(InputError, match="separates"):
        generate_views(project, settings=typed(cutouts="b=alpha"))
    assert project.load().stages["generate"].settings == {"photo.cutouts": "a=plain"}
    assert generate_views(project).skipped


def test_doubtful_cut_outs_are_named_once_the_network_is_here(
    project: Project, photos: list[Path], cut: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = sys.modules["meshcli.pictures.foreground"]
    quick = module.cut_out

    def doubtful(pixels: Any, settings: PhotoSettings, **rest: Any) -> Any:
        found = quick(pixels, settings, **rest)
        found.uncompared = settings.cutout == "auto"
        return found

    monkeypatch.setattr(module, "cut_out", doubtful)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "ckpts"))
    said: list[str] = []
    run_options = RunOptions(tell=said.append)
    generate_views(project, photos[:2], CameraArguments([0, 40]), settings=typed(cutouts="b=plain"))
    assert generate_views(project, run_options=run_options).skipped
    assert (said, rembg_advice(project, project.load())) == ([], "")
    (tmp_path / "ckpts").mkdir()
    (tmp_path / "ckpts/u2netp.onnx").touch()
    cut.clear()
    assert generate_views(project, run_options=run_options).skipped
    assert said == [rembg_advice(project, project.load())]
    assert said[0].startswith("the cut-out of a by the plain background looked doubtful")
    assert f"`{project.command('generate')} --cutout a=rembg`" in said[0]
    assert cut == []
    generate_views(project, settings=typed(cutouts="a=rembg"))
    assert cut == ["rembg"]
    assert rembg_advice(project, project.load()) == ""

"""Rig files that stand among the photos, or lie beside them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.commands import cli
from meshcli.commands.flags import InputFlags
from meshcli.commands.invocation import with_rig_among_photos
from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.views.camera import orbit


@pytest.fixture
def rig(photos: list[Path]) -> Path:
    rows = [{"file": photo.name, "camera": orbit(80.0 * n, 5).to_json()} for n, photo in enumerate(photos, 1)]
    path = photos[0].parent / "studio.json"
    path.write_text(json.dumps({"meshcli": 1, "photos": rows}))
    return path


def test_a_rig_among_the_photos_is_used(rig: Path, photos: list[Path]) -> None:
    found = with_rig_among_photos(InputFlags(photos=[*map(str, photos), str(rig)]))
    assert (found.photos, found.rig) == ([*map(str, photos)], rig)
    colmap = rig.with_name("images.txt")
    colmap.write_text("")
    rig.with_name("cameras.txt").write_text("")
    words = [*map(str, photos), str(colmap), str(rig.with_name("cameras.txt"))]
    assert with_rig_among_photos(InputFlags(photos=words)).rig == rig.parent


def test_it_contradicts_other_cameras(rig: Path, photos: list[Path]) -> None:
    inputs = InputFlags(photos=[str(photos[0]), str(rig)])
    for wrong in (replace(inputs, azimuth="40"), replace(inputs, rig=Path("other.json"))):
        with pytest.raises(UsageError, match="leave it out"):
            with_rig_among_photos(wrong)
    with pytest.raises(UsageError, match="hand in the photos too"):
        with_rig_among_photos(InputFlags(photos=[str(rig)]))


def test_other_files_are_no_rigs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("shoot 3")
    (tmp_path / "a.json").write_text("{}")
    inputs = InputFlags(photos=[str(tmp_path / name) for name in ("notes.txt", "a.json", "missing.json")])
    assert with_rig_among_photos(inputs) is inputs


def test_generate_takes_it(
    rig: Path, photos: list[Path], project: Project, engine_calls: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(project.root), *map(str, photos[:2]), str(rig)]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert [round(photo.camera.azimuth) for photo in project.load().photos] == [80, 160]


def test_a_rig_of_another_program_beside_the_photos_is_named(
    rig: Path, photos: list[Path], project: Project, engine_calls: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    rig.rename(rig.with_name("transforms.json"))
    assert cli.main(["generate", str(project.root), str(photos[0])]) == 0
    assert "transforms.json are not used; to use them, say --rig " in capsys.readouterr().err

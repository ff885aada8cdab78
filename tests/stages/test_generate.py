import builtins
import hashlib
import io
import json
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meshcli.config import override
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages import generate
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.stages.photo_set import CameraArguments, letter
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import stage_status
from meshcli.system.digests import photo_seed
from meshcli.views.camera import orbit

ANGLES = CameraArguments([0, 40, -50])


def names(project: Project) -> list[str]:
    return [photo.name for photo in project.load().active_photos]


def test_photos_become_views_with_cameras(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    outcome = generate_views(project, photos, ANGLES)
    manifest = project.load()
    assert [photo.name for photo in manifest.photos] == ["a", "b", "c"]
    assert [view.name for view in manifest.views] == [f"{photo}{tile}" for photo in "abc" for tile in range(6)]
    assert [view.file for view in manifest.views] == [f"views/{number:02d}.png" for number in range(18)]
    assert manifest.views[8].camera.azimuth == pytest.approx(40 + 150)
    assert manifest.views[8].camera.known == "given"
    for path, photo in zip(photos, manifest.photos, strict=True):
        assert project.path(photo.original).read_bytes() == path.read_bytes()
        with Image.open(project.path(photo.file)) as picture:
            framed = np.asarray(picture)
        assert framed.shape[0] == framed.shape[1]
        assert (framed[framed[..., 3] == 0][:, :3] == 255).all()
    assert project.path("views/sheet.png").is_file()
    assert outcome.notes == ("depth and back are guessed",)
    record = manifest.stages["generate"]
    assert record.status == "done"
    assert record.facts["seconds"]["total"] > 0
    assert record.facts["peak_rss"] > 1e6
    assert {output.file for output in record.outputs} >= {"photos/a.png", "photos/a.original.png", "views/17.png"}
    assert all(project.digest(output.file) == output.sha256 for output in record.outputs)


@dataclass
class FileAccess:
    """How often files were opened, and their content hashed, by file name."""

    opened: Counter[str] = field(default_factory=Counter)
    hashed: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def file_access(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> FileAccess:
    """Counts from here on; bytes in memory count by the photo that has the same bytes."""
    access = FileAccess()
    names = {path.read_bytes(): path.name for path in photos}
    file_digest, sha256 = hashlib.file_digest, hashlib.sha256

    def count_file(file: Any, *rest: Any) -> Any:
        access.hashed[Path(file.name).name] += 1
        return file_digest(file, *rest)

    def count_bytes(data: bytes = b"", **flags: Any) -> Any:
        access.hashed[names.get(data, "")] += 1
        return sha256(data, **flags)

    monkeypatch.setattr(hashlib, "file_digest", count_file)
    monkeypatch.setattr(hashlib, "sha256", count_bytes)
    for module, name in ((builtins, "open"), (io, "open")):
        plain = getattr(module, name)

        def opening(file: Any, *words: Any, plain: Any = plain, **flags: Any) -> Any:
            access.opened[Path(str(file)).name] += 1
            return plain(file, *words, **flags)

        monkeypatch.setattr(module, name, opening)
    return access


def test_how_often_a_photo_is_opened_and_hashed(
    project: Project, photos: list[Path], engine_calls: dict[str, int], file_access: FileAccess
) -> None:
    """Validated, copied and cut out: the copy is of what was validated, and the cut-out of what was copied."""
    generate_views(project, photos, ANGLES)
    assert [file_access.opened[path.name] for path in photos] == [3, 3, 3]
    assert [file_access.hashed[path.name] for path in photos] == [4, 4, 4]  # once more for the record of the copy
    assert file_access.opened["a.original.png"] == 0
    file_access.opened.clear()
    file_access.hashed.clear()
    assert generate_views(project, photos, ANGLES).skipped
    assert [file_access.opened[path.name] for path in photos] == [1, 1, 1]
    assert [file_access.hashed[path.name] for path in photos] == [1, 1, 1]
    assert generate_views(project).skipped
    assert file_access.opened["a.original.png"] == file_access.hashed["a.original.png"] == 1


@pytest.mark.parametrize("before", ["_register_photos", "prepare_photo"])
def test_a_photo_that_changes_during_the_call_is_noticed(
    before: str, project: Project, photos: list[Path], engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was validated, and after it was copied."""
    plain = getattr(generate, before)

    def change(*words: Any) -> Any:
        photos[1].write_bytes(photos[2].read_bytes())
        return plain(*words)

    monkeypatch.setattr(generate, before, change)
    with pytest.raises(InputError, match=r"2\.png is being changed at this moment; type the command again"):
        generate_views(project, photos[:2], CameraArguments([0, 40]))


def test_the_same_again_is_skipped(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, ANGLES)
    for again in (photos, list(reversed(photos)), []):
        angles = CameraArguments() if not again else ANGLES if again == photos else CameraArguments([-50, 40, 0])
        assert generate_views(project, again, angles).skipped
    assert engine_calls["sculpt"] == 1
    assert not generate_views(project, run_options=RunOptions(force=True)).skipped
    assert engine_calls["sculpt"] == 2


def edit(project: Project, name: str = "a") -> bytes:
    """The original of a photo, as somebody has edited it."""
    path = project.path(f"photos/{name}.original.png")
    pixels = np.array(Image.open(path))
    pixels[..., :3] //= 2
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def test_an_edited_original_and_what_it_was_edited_from_are_two_photos(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos[:1])
    edited = edit(project)
    generate_views(project, photos[:2], CameraArguments([90, 180]), add=True)
    first, second, third = project.load().active_photos
    assert (first.name, project.path(first.original).read_bytes()) == ("a", edited)
    assert project.path(second.original).read_bytes() == photos[0].read_bytes()
    assert project.path(third.original).read_bytes() == photos[1].read_bytes()
    assert generate_views(project).skipped


def test_an_edited_original_is_never_overwritten(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos[:1])
    edited = edit(project)
    for more in (RunOptions(force=True), RunOptions(force=True, keep_going=True)):
        with pytest.raises(ProjectError, match=r"a\.original\.png was edited since .*1\.png was handed in"):
            generate_views(project, photos[:1], run_options=more)
    before = project.path("photos/a.original.png")
    assert before.read_bytes() == edited
    before.rename(before.with_name("mine.png"))
    generate_views(project, photos[:1], run_options=RunOptions(force=True))
    assert before.read_bytes() == photos[0].read_bytes()
    edit(project)
    generate_views(project)  # the recorded set, as it is now
    assert names(project) == ["a"]


def test_a_file_with_the_name_of_a_new_original_stays(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos[:1])
    for file in ("b.original.png", "b.original-1.png"):
        project.path(f"photos/{file}").write_bytes(b"mine")
    generate_views(project, photos[1:2], CameraArguments([90]), add=True)
    assert project.path("photos/b.original.png").read_bytes() == b"mine"
    assert project.load().active_photos[1].original == "photos/b.original-2.png"
    assert project.path("photos/b.original-2.png").read_bytes() == photos[1].read_bytes()


def test_the_same_views_again_keep_their_scores(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, ANGLES)
    scores = [view.scores for view in project.load().views]
    assert len(scores) == 18
    assert all(scores)
    select_views(project, auto=6)
    generate_views(project, run_options=RunOptions(force=True))
    assert [view.scores for view in project.load().views] == scores
    assert engine_calls["score_views"] == 1
    assert stage_status(project, project.load(), "select").state == "done"


def test_a_changed_setting_a_seed_or_an_angle_runs_again(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, ANGLES)
    assert not generate_views(project, settings=override(Settings(), {"fit.rays": 5}, "")).skipped
    assert not generate_views(project, seed=7).skipped
    assert not generate_views(project, typed=CameraArguments([0, 40, -55])).skipped
    assert project.load().photos[2].camera.azimuth == pytest.approx(305)
    assert (engine_calls["cut_out"], engine_calls["sculpt"]) == (3, 4)  # cut out once each
    assert not generate_views(project, settings=override(Settings(), {"photo.foreground_ratio": 0.7}, "")).skipped
    assert engine_calls["cut_out"] == 6


def test_several_photos_without_angles_are_marked(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    outcome = generate_views(project, photos)
    assert any(f"`{project.command('align')}`" in note for note in outcome.notes)
    assert photos_of_unknown_azimuth(project.load()) == ["a", "b", "c"]
    assert {photo.camera.known for photo in project.load().photos} == {"assumed"}
    generate_views(project, photos, CameraArguments([0, 40, 90]))
    assert photos_of_unknown_azimuth(project.load()) == []


def test_one_photo_is_the_front_and_assumed(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos[:1])
    assert project.load().photos[0].camera == orbit(0, 0)
    assert photos_of_unknown_azimuth(project.load()) == []
    generate_views(project, [f"{photos[1]}@90"], add=True)
    assert photos_of_unknown_azimuth(project.load()) == ["a"]


def test_an_added_photo_gets_the_next_letter(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, [f"{photos[0]}@0"])
    generate_views(project, [f"{photos[1]}@90"], add=True)
    assert names(project) == ["a", "b"]
    assert engine_calls["cut_out"] == 2
    with pytest.raises(UsageError, match="same picture"):
        generate_views(project, [f"{photos[1]}@95"], add=True)


def test_letters_and_numbers_are_never_reused(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos[:2], CameraArguments([0, 40]))
    generate_views(project, photos[1:], CameraArguments([40, -50]))
    manifest = project.load()
    assert names(project) == ["b", "c"]
    assert list(manifest.active_views) == list(range(6, 18))
    assert manifest.active_views[12].name == "c0"
    generate_views(project, photos[:2], CameraArguments([0, 40]))
    assert names(project) == ["a", "b"]  # known by its bytes
    assert list(project.load().active_views) == list(range(12))


def test_a_photo_is_taken_out_by_its_letter(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, ANGLES)
    handed_in = Project(project.root.with_name("other"))
    generate_views(handed_in, photos, ANGLES)
    generate_views(handed_in, [photos[0], photos[2]], CameraArguments([0, -50]))
    for _ in range(2):  # the second time, as after an interruption, there is nothing to do
        generate_views(project, remove=["b"])
        assert names(project) == ["a", "c"]
    assert project.load().active_views == handed_in.load().active_views
    assert list(project.load().active_views) == [*range(6), *range(12, 18)]
    assert engine_calls["cut_out"] == 6
    generate_views(project, [f"{photos[1]}@40"], add=True, remove=["a"])
    assert names(project) == ["b", "c"]


def test_only_letters_of_photos_are_taken_out(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match="has no photo of that letter; it has none"):
        generate_views(project, remove=["b"])
    generate_views(project, photos[:2], CameraArguments([0, 40]))
    before = project.path("manifest.json").read_bytes()
    with pytest.raises(UsageError, match=r"--remove d: .* its photos are a, b"):
        generate_views(project, remove=["b", "d"])
    with pytest.raises(UsageError, match=r"no photo of .* would be left"):
        generate_views(project, remove=["a", "b"])
    assert project.path("manifest.json").read_bytes() == before


def test_letters_go_on_like_columns() -> None:
    assert [letter(index) for index in (0, 25, 26, 51, 52, 701, 702)] == ["a", "z", "aa", "az", "ba", "zz", "aaa"]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.png"
    path.write_text("no picture")
    return path


@pytest.fixture
def empty(tmp_path: Path, engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that can be read, with nothing in it to cut out."""
    path = tmp_path / "empty.png"
    Image.new("RGBA", (8, 8), (255, 255, 255, 255)).save(path)
    plain = sys.modules["meshcli.pictures.foreground"].cut_out

    def cut_out(pixels, *words, **flags):  # type: ignore[no-untyped-def]
        if pixels.shape == (8, 8, 4):
            engine_calls["cut_out"] += 1
            raise InputError("nothing is left of the object")
        return plain(pixels, *words, **flags)

    monkeypatch.setattr(sys.modules["meshcli.pictures.foreground"], "cut_out", cut_out)
    return path


def everything(project: Project) -> dict[str, bytes]:
    files = [path for path in project.root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): path.read_bytes() for path in files}


def test_unreadable_photos_change_nothing(
    project: Project, photos: list[Path], engine_calls: dict[str, int], bad: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"bad\.png is not a picture"):
        generate_views(project, [*photos[:2], bad], CameraArguments([0, 40, 50]))
    assert not project.root.exists()
    generate_views(project, photos[:1])
    before = everything(project)
    said: list[str] = []
    with pytest.raises(InputError, match="2 of 3 photos cannot be used; --keep-going"):
        generate_views(project, [photos[1], bad, tmp_path / "no.png"], run_options=RunOptions(warn=said.append))
    assert [Path(line.split(" is not ")[0].split("photo ")[-1]).name for line in said] == ["bad.png", "no.png"]
    assert everything(project) == before
    assert engine_calls["cut_out"] == 1


def test_a_failed_cut_out_leaves_the_set_unchanged(
    project: Project, photos: list[Path], engine_calls: dict[str, int], empty: Path
) -> None:
    generate_views(project, photos[:1])
    before, manifest = everything(project), project.load()
    wider = override(Settings(), {"photo.foreground_ratio": 0.7}, "")
    with pytest.raises(InputError, match=r"empty\.png: nothing is left"):
        generate_views(project, [*photos[:2], empty], CameraArguments([0, 90, 180]), settings=wider)
    assert names(project) == ["a"]
    after = everything(project)
    assert {file: after[file] for file in before if "manifest" not in file} == {
        file: before[file] for file in before if "manifest" not in file
    }
    assert project.load().stages == manifest.stages
    assert stage_status(project, project.load(), "generate").state == "done"
    assert generate_views(project).skipped
    count = engine_calls["cut_out"]
    generate_views(project, photos[:2], CameraArguments([0, 90]), settings=wider)
    assert names(project) == ["a", "b"]
    assert engine_calls["cut_out"] == count + 1  # b was cut out before, and its letter is its own
    assert not project.path("photos/c.original.png").exists()


def test_a_first_set_that_failed_is_the_recorded_one(
    project: Project, photos: list[Path], engine_calls: dict[str, int], empty: Path
) -> None:
    with pytest.raises(InputError, match=r"empty\.png"):
        generate_views(project, [*photos[:2], empty], CameraArguments([0, 40, 50]))
    manifest = project.load()
    assert manifest.stages["generate"].status == "failed"
    assert "empty.png" in manifest.stages["generate"].error
    assert names(project) == ["a", "b", "c"]
    with pytest.raises(InputError, match=r"empty\.png"):
        generate_views(project)
    generate_views(project, photos, ANGLES)
    assert engine_calls["cut_out"] == 5
    assert names(project) == ["a", "b", "c"]  # the letter of the bad one named nothing yet


def test_unusable_photos_are_left_out_and_the_others_done(
    project: Project, photos: list[Path], engine_calls: dict[str, int], bad: Path, empty: Path, tmp_path: Path
) -> None:
    """Each left-out photo is heard of once, and the others keep the angles that were typed for them."""
    twin = tmp_path / "twin.png"
    twin.write_bytes(photos[0].read_bytes())
    said: list[str] = []
    run_options = RunOptions(keep_going=True, warn=said.append)
    handed = [photos[0], bad, photos[1], empty, tmp_path / "no.png", twin, photos[2]]
    outcome = generate_views(project, handed, CameraArguments([0, 1, 40, 2, 3, 4, -50]), run_options=run_options)
    assert [Path(left.photo).name for left in outcome.left_out] == ["bad.png", "no.png", "twin.png", "empty.png"]
    assert [left.reason for left in outcome.left_out] == said
    photos_now = project.load().active_photos
    assert [(photo.source, round(photo.camera.azimuth)) for photo in photos_now] == [
        ("1.png", 0), ("2.png", 40), ("3.png", 310),
    ]  # fmt: skip
    assert len(list(project.path("photos").glob("*.original.*"))) == 3
    outputs = project.load().stages["generate"].outputs
    assert len(outputs) > 18
    assert all(project.path(output.file).is_file() for output in outputs)
    count = engine_calls["cut_out"]
    again = generate_views(project, handed, CameraArguments([0, 1, 40, 2, 3, 4, -50]), run_options=run_options)
    assert again.skipped
    assert len(again.left_out) == 4
    assert engine_calls["cut_out"] == count  # not tried again
    with pytest.raises(UsageError, match="6 values for 7 photos"):
        generate_views(project, handed, CameraArguments([0, 1, 40, 2, 3, 4]), run_options=run_options)
    with pytest.raises(InputError, match="none of 2 photos can be used"):
        generate_views(project, [bad, bad], run_options=run_options)
    assert generate_views(project).skipped


def test_an_interrupted_run_resumes_without_arguments(
    project: Project, photos: list[Path], engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["meshcli.pictures.foreground"], "cut_out", cut_off)
        with pytest.raises(KeyboardInterrupt):
            generate_views(project, photos, ANGLES)
    assert stage_status(project, project.load(), "generate").state == "interrupted"
    for path in photos:
        path.unlink()
    generate_views(project)
    assert [round(photo.camera.azimuth) for photo in project.load().active_photos] == [0, 40, 310]
    assert [photo.source for photo in project.load().active_photos] == ["1.png", "2.png", "3.png"]


def test_a_cut_out_edited_by_hand_is_kept_and_makes_new_views(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, ANGLES)
    before = project.digest("views/06.png")
    edited = project.path("photos/b.png")
    pixels = np.array(Image.open(edited))
    pixels[..., :3] = 90
    Image.fromarray(pixels).save(edited)
    digest = project.digest("photos/b.png")
    status = stage_status(project, project.load(), "generate")
    assert (status.state, status.reason) == ("stale", "photos/b.png was changed by hand")
    assert not generate_views(project).skipped
    assert project.digest("photos/b.png") == digest
    assert project.digest("views/06.png") != before
    assert engine_calls["cut_out"] == 3
    generate_views(project, run_options=RunOptions(force=True))
    assert project.digest("photos/b.png") != digest  # from the original again


def test_a_view_edited_by_hand_is_kept_a_missing_one_is_made_again(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, ANGLES)
    project.path("views/03.png").write_bytes(project.path("views/04.png").read_bytes())
    assert generate_views(project).skipped
    project.path("views/05.png").unlink()
    assert stage_status(project, project.load(), "generate").reason == "views/05.png is missing"
    outcome = generate_views(project)
    assert "views/03.png had been edited by hand and is overwritten" in outcome.notes
    assert project.path("views/05.png").is_file()


def test_cameras_of_a_rig_file(
    project: Project, photos: list[Path], engine_calls: dict[str, int], tmp_path: Path
) -> None:
    camera = orbit(33, 12, 3.5, 25, known="rig")
    rows = [{"file": path.name, "camera": camera.turned(index * 50.0).to_json()} for index, path in enumerate(photos)]
    (tmp_path / "cameras.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    said: list[str] = []
    generate_views(project, photos, run_options=RunOptions(tell=said.append))
    assert any("cameras.json" in sentence for sentence in said)
    manifest = project.load()
    assert [photo.camera.azimuth for photo in manifest.photos] == pytest.approx([33, 83, 133])
    assert manifest.views[0].camera.known == "rig"
    left, top, width, height = manifest.photos[0].crop
    assert manifest.photos[0].camera == camera.cropped(left, top, width, height)
    assert generate_views(project).skipped  # the recorded set keeps its cameras
    said.clear()
    generate_views(project, photos, ANGLES, run_options=RunOptions(tell=said.append))
    assert [photo.camera.azimuth for photo in project.load().photos] == pytest.approx([0, 40, 310])


def test_seeds_belong_to_photos(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, ANGLES)
    alone = Project(project.root.parent / "alone")
    generate_views(alone, photos[1:2], CameraArguments([40]))
    assert project.digest("views/08.png") == alone.digest("views/02.png")
    assert photo_seed(0, "ab") != photo_seed(1, "ab") != photo_seed(1, "cd")


def test_a_suffix_cannot_hide_a_path(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    odd = photos[0].with_name("x.p ng\\..")
    photos[0].rename(odd)
    generate_views(project, [odd])
    assert project.load().photos[0].original == "photos/a.original"


def test_a_refined_camera_does_not_make_it_stale(
    project: Project, photos: list[Path], engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers import fake_engines

    def refining(pictures, *rest):  # type: ignore[no-untyped-def]
        sculpture = fake_engines.sculpt(pictures, *rest)
        turned = [replace(view, camera=view.camera.turned(3.0)) for view in sculpture.photos]
        return replace(sculpture, photos=turned)

    monkeypatch.setattr(sys.modules["meshcli.generators.sculpt.sculpt"], "sculpt", refining)
    generate_views(project, photos, ANGLES)
    assert project.load().photos[1].camera.azimuth == pytest.approx(43)
    assert generate_views(project).skipped
    generate_views(project, run_options=RunOptions(force=True))
    assert project.load().photos[1].camera.azimuth == pytest.approx(43)  # from what was said, not from 43

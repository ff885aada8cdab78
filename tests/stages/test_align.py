"""`align` between the other steps, with quick engines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.settings import SculptSettings, Settings
from meshcli.stages.align import align_photos
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.select import select_views
from meshcli.stages.status import read_status, stage_status
from meshcli.stages.view_candidates import has_known_camera
from meshcli.views.photo_cameras import CameraPrior

SHEETS = CameraArguments(ready="sheet 1.2")


@pytest.fixture
def unposed(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> Project:
    """Three photos of which nobody said anything."""
    generate_views(project, photos)
    return project


def test_found_azimuths_are_kept_and_make_one_shape(unposed: Project, engine_calls: dict[str, int]) -> None:
    answers = align_photos(unposed)
    assert [(row.name, row.azimuth, row.others) for row in answers] == [("a", 0, ()), ("b", 40, ()), ("c", 80, (260,))]
    assert [row.enlarged for row in answers] == pytest.approx([1.0, 1.2, 1.4])
    assert photos_of_unknown_azimuth(unposed.load()) == []
    assert stage_status(unposed, unposed.load(), "generate").state == "stale"
    generate_views(unposed)
    assert [photo.camera.known for photo in unposed.load().photos] == ["aligned"] * 3
    assert unposed.load().photos[2].camera.azimuth == pytest.approx(80)
    assert unposed.load().views[6].camera.azimuth == pytest.approx(70)
    assert stage_status(unposed, unposed.load(), "generate").state == "done"
    with pytest.raises(UsageError, match="nothing to align"):
        align_photos(unposed)


def test_which_aligned_photos_can_be_views(unposed: Project) -> None:
    align_photos(unposed)
    assert not any(has_known_camera(photo) for photo in unposed.load().photos)
    generate_views(unposed)  # into one body: silhouettes say from how high each was taken
    photos = unposed.load().photos
    assert all(has_known_camera(photo) for photo in photos)
    # each painted by itself: nobody knows its elevation unless it was said
    assert not any(has_known_camera(replace(photo, painted="key")) for photo in photos)
    said = CameraPrior(40.0, 10.0, 30.0)
    assert has_known_camera(replace(photos[1], painted="key", stated=said))


def test_the_same_photos_again_keep_what_was_found(unposed: Project, photos: list[Path]) -> None:
    align_photos(unposed)
    generate_views(unposed)
    assert generate_views(unposed, photos).skipped
    generate_views(unposed, photos, CameraArguments([5, 50, 95]))
    assert [photo.stated.aligned for photo in unposed.load().photos] == [None] * 3
    assert unposed.load().photos[1].camera.azimuth == pytest.approx(50)


def test_typed_azimuths_are_kept(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, [f"{photos[0]}@10", photos[1], photos[2]])
    answers = align_photos(project)
    assert [(row.azimuth, row.confidence) for row in answers] == [(10, None), (40, 0.9), (80, 0.9)]
    assert project.load().photos[0].stated.azimuth == 10


def test_views_of_several_photos_need_it(unposed: Project) -> None:
    for choice in ("0,3,7", ""):
        with pytest.raises(UsageError, match="from which sides") as error:
            select_views(unposed, choice)
        assert f"`{unposed.command('align')}`" in str(error.value)
    assert unposed.load().selection is None
    select_views(unposed, "photo:b")  # views of one photo do not
    assert unposed.load().selection.names == ("b0", "b1", "b2", "b3", "b4", "b5")  # type: ignore[union-attr]


def test_ready_sheets_get_their_cameras_at_once(project: Project, tmp_path: Path, engine_calls: dict[str, int]) -> None:
    sheets = []
    for shade in (40, 120):
        pixels = np.full((960, 640, 3), 255, np.uint8)
        for row, column in np.ndindex(3, 2):
            pixels[320 * row + 80 : 320 * row + 240, 320 * column + 90 : 320 * column + 230] = shade
        sheets.append(tmp_path / f"{shade}.png")
        Image.fromarray(pixels).save(sheets[-1])
    generate_views(project, sheets, SHEETS)
    before = [view.camera for view in project.load().views]
    align_photos(project)
    manifest = project.load()
    assert stage_status(project, manifest, "generate").state == "done"
    assert read_status(project).next == project.command("select")
    camera = manifest.views[7].camera
    assert camera.azimuth == pytest.approx((before[7].azimuth + 40) % 360)
    assert camera.distance == pytest.approx(before[7].distance / 1.2)
    assert camera.known == "aligned"
    assert manifest.views[0].camera.distance == pytest.approx(4.0)
    align_photos(project)  # again: the same, not twice as far
    assert project.load().views[7].camera.distance == pytest.approx(camera.distance)
    assert project.load().views[7].camera.azimuth == pytest.approx(camera.azimuth)
    assert generate_views(project).skipped
    generate_views(project, sheets, SHEETS)
    assert project.load().views[7].camera.azimuth == pytest.approx(camera.azimuth)


def test_too_little_to_compare(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos[:1])
    with pytest.raises(UsageError, match="1 photos"):
        align_photos(project)


def test_typed_azimuths_that_fit_better_reversed_are_told(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    outcome = generate_views(project, photos, CameraArguments([0, 40, 310]))
    [note] = [note for note in outcome.notes if "fit clearly better" in note]
    assert f"`{project.command('run')} --azimuth 0,320,50`" in note
    assert [photo.stated.azimuth for photo in project.load().photos] == [0, 40, 310]  # it is only told
    assert not any("better" in note for note in generate_views(project, photos, CameraArguments([0, 40, 80])).notes)
    rigged = CameraArguments([0, 40, 311])
    unchecked = Settings(sculpt=SculptSettings(check=False))
    assert not any("better" in note for note in generate_views(project, photos, rigged, settings=unchecked).notes)

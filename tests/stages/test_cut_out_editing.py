"""A mask that was painted over becomes a cut-out edited by hand, which `generate` keeps; and pausing after cut-outs."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshcli.arrays import Array
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.project.project import Project
from meshcli.stages.cut_out_editing import photo_in_frame, save_mask
from meshcli.stages.generate import CUT_OUT_ONLY, generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status

WAYS = CameraArguments([0, 40, -50])
CUT_OUTS = RunOptions(cut_outs_only=True)


@pytest.fixture
def cut_out(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> Project:
    generate_views(project, photos, WAYS, run_options=CUT_OUTS)
    return project


def read(project: Project, name: str) -> Array:
    return np.asarray(Image.open(project.root / "photos" / f"{name}.png").convert("RGBA"))


def png(mask: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(file, "png")
    return file.getvalue()


def digest(project: Project, name: str) -> str:
    return project.digest(f"photos/{name}.png")


def test_cut_outs_alone_pause_the_stage(cut_out: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    state = read_status(cut_out).stages[0]
    assert (state.state, state.reason) == ("missing", CUT_OUT_ONLY)
    assert (engine_calls["cut_out"], engine_calls["sculpt"]) == (3, 0)
    assert not cut_out.load().views
    again = generate_views(cut_out, run_options=CUT_OUTS)
    assert not again.skipped
    generate_views(cut_out)
    assert engine_calls["cut_out"] == 3  # what was cut out is kept
    assert read_status(cut_out).stages[0].state == "done"
    assert len(cut_out.load().active_views) == 18
    assert [photo.stated.azimuth for photo in cut_out.load().active_photos] == [0, 40, -50]
    assert generate_views(cut_out, run_options=CUT_OUTS).skipped  # nothing is to be done


def test_another_photo_is_cut_out_and_the_views_wait(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos[:2], CameraArguments([0, 40]))
    generate_views(project, photos[2:], add=True, run_options=CUT_OUTS)
    manifest = project.load()
    assert read_status(project).stages[0].reason == CUT_OUT_ONLY
    assert [photo.name for photo in manifest.active_photos] == ["a", "b", "c"]
    assert len(manifest.active_views) == 12
    listed = manifest.listed_files
    assert {"views/00.png", "views/11.png", "photos/c.png", "photos/cutouts.png"} <= listed
    assert all((project.root / file).is_file() for file in listed)
    generate_views(project, typed=WAYS)
    assert len(project.load().active_views) == 18


def test_the_photo_lies_under_its_cut_out(cut_out: Project, photos: list[Path]) -> None:
    pixels, frame = read(cut_out, "a"), photo_in_frame(cut_out, cut_out.load(), "a")
    assert frame.shape == (*pixels.shape[:2], 3)
    inside = pixels[..., 3] == 255
    assert inside.any()
    assert (frame[inside] == pixels[inside, :3]).all()
    assert (frame[0, 0] == 255).all()  # outside of the photo


def test_keep_brings_the_photo_back_and_remove_takes_it_away(cut_out: Project, engine_calls: dict[str, int]) -> None:
    generate_views(cut_out)
    before = read(cut_out, "b")
    frame = photo_in_frame(cut_out, cut_out.load(), "b")
    mask = before[..., 3].copy()
    rows, columns = np.nonzero(mask)
    top, middle = rows.min(), (rows.min() + rows.max()) // 2
    mask[top:middle] = 0  # the upper half of the object
    mask[0:4, 0:4] = 255  # and a corner of the background
    save_mask(cut_out, "b", png(mask), digest(cut_out, "b"))
    after = read(cut_out, "b")
    assert (after[..., 3] == mask).all()
    assert (after[top:middle, columns.min(), :3] == 255).all()
    assert (after[0:4, 0:4, :3] == frame[0:4, 0:4]).all()
    kept = (before[..., 3] > 0) & (mask > 0)
    assert (after[kept] == before[kept]).all()
    state = read_status(cut_out).stages[0]
    assert state.state == "stale"
    assert "photos/b.png" in state.reason
    generate_views(cut_out)
    assert engine_calls["sculpt"] == 2
    assert (read(cut_out, "b") == after).all()


def test_a_mask_that_changes_nothing_writes_nothing(cut_out: Project) -> None:
    before = (cut_out.root / "photos" / "a.png").stat().st_mtime_ns
    noise = np.clip(read(cut_out, "a")[..., 3].astype(int) + 3, 0, 255)  # as a browser's blending may leave
    save_mask(cut_out, "a", png(noise), digest(cut_out, "a"))
    assert (cut_out.root / "photos" / "a.png").stat().st_mtime_ns == before


def test_masks_that_cannot_be_used(cut_out: Project) -> None:
    size = read(cut_out, "a").shape[:2]
    seen, before = digest(cut_out, "a"), read(cut_out, "a")
    for data, message in (
        (png(np.zeros(size)), "nothing would be left"),
        (png(np.full((3, 3), 255)), "the mask has 3 x 3 pixels"),
        (b"GIF89a", "no PNG"),
        (png(np.full(size, 255))[:60], "no PNG"),
        (b"", "no PNG"),
    ):
        with pytest.raises(InputError, match=message):
            save_mask(cut_out, "a", data, seen)
    with pytest.raises(ProjectError, match="changed meanwhile"):
        save_mask(cut_out, "a", png(np.full(size, 255)), "0" * 64)
    with pytest.raises(UsageError, match="there is no photo 'z'"):
        save_mask(cut_out, "z", png(np.full(size, 255)), seen)
    assert (read(cut_out, "a") == before).all()

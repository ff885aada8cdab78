"""What `render` writes, records and refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.painted_ball import ball
from meshcli.commands import cli
from meshcli.config import override, read_typed_settings
from meshcli.project.artefacts import FIXED_ARTEFACTS
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.rendering.renderer import Renderer
from meshcli.rendering.turntable import MeshPictures
from meshcli.settings import RenderSettings, Settings
from meshcli.stages.picture_cameras import find_pictures, picture_camera
from meshcli.stages.render import recorded_options, render_files, render_mesh
from meshcli.stages.stage_runner import Outcome
from meshcli.stages.status import read_status
from meshcli.views.camera import orbit

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(finished: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`meshcli render PROJECT` with more words, in this process: exit code, stdout, stderr."""
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    monkeypatch.setattr("meshcli.commands.invocation.fork_stage", lambda *_: None)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(("render", str(finished.root), *words))
        return code, *capsys.readouterr()

    return run


def rendered(project: Project, **typed: object) -> Outcome:
    flags = {f"render.{key}": value for key, value in typed.items()}
    return render_mesh(project, settings=read_typed_settings(flags=flags))


def files(project: Project) -> set[str]:
    return {output.file for output in project.load().stages["render"].outputs}


def state(project: Project) -> tuple[str, str]:
    row = read_status(project).stages[-1]
    return row.state, row.reason


def test_default_settings_leave_records_as_they_were(finished: Project) -> None:
    old = {"size", "frames", "fps", "elevation", "samples", "source"}
    assert set(recorded_options(Settings())["render"]) == old
    assert set(finished.load().stages["render"].options["render"]) == old
    assert render_files(RenderSettings()) == FIXED_ARTEFACTS["render"]
    assert render_mesh(finished).skipped


def test_passes_have_files_of_their_own_and_stay_in_force(finished: Project) -> None:
    outcome = rendered(finished, passes=["normals", "depth", "mask"], azimuths=[0, 45.5], gif=True, webp=True)
    expected = {"renders/contact.png"}
    for kind in ("normals", "depth", "mask"):
        expected |= {f"renders/turntable.{kind}.{ending}" for ending in ("mp4", "gif", "webp")}
        expected |= {f"renders/azimuth-000.{kind}.png", f"renders/azimuth-045.5.{kind}.png"}
    assert files(finished) == expected == set(render_files(_in_force(finished)))
    assert finished.path("renders/turntable.mp4").is_file()  # of the earlier render: kept, and meshcli's
    assert "renders/turntable.mp4" in finished.load().own_files
    assert not outcome.skipped
    assert render_mesh(finished).skipped
    assert state(finished) == ("done", "")
    rendered(finished, passes=["shaded"])
    assert "renders/turntable.gif" in files(finished)
    assert "renders/azimuth-000.png" in files(finished)


def _in_force(project: Project) -> RenderSettings:
    return override(Settings(), project.load().stages["render"].settings, "").render


def test_depth_is_recorded_with_its_scale(finished: Project) -> None:
    facts = rendered(finished, passes=["depth"], cameras=["a", "b1"]).record.facts
    depth = facts["depth"]
    for name in ("front", "camera-a", "camera-b1"):
        values = np.asarray(Image.open(finished.path(f"renders/{name}.depth.png"))).astype(float)
        seen = values[values > 0] / depth["levels_per_unit"]
        assert depth["nearest"] - 1e-3 <= seen.min() <= seen.max() <= depth["farthest"] + 1e-3
    assert set(facts["cameras"]) == {"a", "b1"}


def test_stills_from_the_cameras_of_pictures_have_their_size(finished: Project) -> None:
    facts = rendered(finished, cameras=["a", "b1"], background="red").record.facts
    photo, view = (Image.open(finished.path(f"renders/camera-{name}.png")) for name in ("a", "b1"))
    assert photo.size == (120, 90)
    assert view.size == Image.open(finished.path(facts["cameras"]["b1"]["over"])).size
    assert photo.getpixel((0, 0)) == (255, 255, 255, 0)  # to be laid over the photo, whatever the background
    assert Image.open(finished.path("renders/front.png")).getpixel((0, 0)) == (255, 0, 0, 255)
    assert facts["cameras"]["a"]["over"] == "photos/a.original.png"
    assert Image.open(finished.path("renders/camera-a.blend.jpg")).size == (120, 90)
    assert render_mesh(finished).skipped


def test_a_still_lies_over_the_untouched_photo() -> None:
    mesh, lens = ball(4, 0.7), orbit(35, 12).cropped(-0.4, -0.1, 1.8, 1.2)
    photo = Renderer(mesh).render(lens, 240, 160)[..., 3] > 127
    crop = (0.12, -0.2, 0.5, 0.75)  # of a square frame, which reaches beyond the photo
    entry = Photo("a", "photos/a.png", "photos/a.jpg", "a.jpg", "", lens.cropped(*crop), size=(240, 160), crop=crop)
    found = picture_camera(Project("nowhere"), find_pictures(Manifest((entry,)), ["a"])["a"])
    assert (found.size, found.file) == ((240, 160), "photos/a.jpg")
    mask = MeshPictures(mesh, RenderSettings(samples=3)).render(found.camera, *found.size, "mask")[..., 3] > 127
    assert (mask & photo).sum() / (mask | photo).sum() > 0.97
    moved = MeshPictures(mesh, RenderSettings()).render(entry.camera, *found.size, "mask")[..., 3] > 127
    assert (moved & photo).sum() / (moved | photo).sum() < 0.7  # the frame's camera would not do


def test_another_background_picture_makes_the_render_stale(finished: Project, tmp_path: Path) -> None:
    picture = tmp_path / "wall.png"
    Image.new("RGB", (30, 20), (10, 200, 30)).save(picture)
    rendered(finished, background=str(picture))
    assert Image.open(finished.path("renders/front.png")).getpixel((1, 1)) == (10, 200, 30, 255)
    assert state(finished) == ("done", "")
    Image.new("RGB", (30, 20), (200, 0, 0)).save(picture)
    assert state(finished) == ("stale", "the picture behind the object is another one")
    assert not render_mesh(finished).skipped
    picture.unlink()  # what is finished does not need it
    assert state(finished) == ("done", "")
    assert render_mesh(finished).skipped


def test_a_background_is_recorded_from_the_root(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (30, 20)).save("wall.png")
    rendered(finished, background="wall.png")
    monkeypatch.chdir("/")
    assert render_mesh(finished).skipped


def test_a_photo_that_is_taken_out_makes_the_render_stale(finished: Project) -> None:
    rendered(finished, cameras=["c"])
    manifest = finished.load()
    photos = tuple(replace(photo, removed=photo.name == "c") for photo in manifest.photos)
    chosen = replace(manifest.selection, names=("a0", "a1")) if manifest.selection else None
    finished.save(replace(manifest, photos=photos, selection=chosen))
    assert state(finished)[0] == "stale"


def test_transparency_is_told_and_an_mp4_is_white(call: Call) -> None:
    code, out, err = call("--background", "transparent")
    assert (code, out.strip()[-13:]) == (0, "turntable.mp4")
    assert "an mp4 has no transparency" in err


def test_without_the_shaded_pass_another_video_is_the_result(call: Call) -> None:
    code, out, _ = call("--passes", "clay,mask", "--frames", "2")
    assert code == 0
    assert out.split()[-1].endswith("renders/turntable.clay.mp4")


BAD = [
    (["--size", "0"], 2, "between 16"),
    (["--fps", "0"], 2, "between 1"),
    (["--frames", "0"], 2, "between 1"),
    (["--distance", "-3"], 2, "between 0.05"),
    (["--passes", "shaded,albedo"], 2, "albedo"),
    (["--passes", ","], 2, "entries"),
    (["--azimuths", "abc"], 2, "degrees with commas"),
    (["--azimuths", "0,nan"], 2, "nan"),
    (["--azimuths", "0,400"], 2, "400"),
    (["--camera", "a9"], 2, "did you mean"),
    (["--camera", "xyz"], 2, "there are a, b, c"),
    (["--background", "gren"], 2, "did you mean green"),
    (["--background", "no/such.png"], 3, "does not exist"),
    (["--background", "text.png"], 3, "not a picture"),
    (["--source", "field", "--passes", "clay"], 2, "render.passes"),
    (["--source", "field", "--gif"], 2, "render.gif"),
]


@pytest.mark.parametrize(("words", "exit_code", "message"), BAD, ids=[" ".join(words) for words, *_ in BAD])
def test_bad_input_is_one_line_and_changes_nothing(
    words: list[str], exit_code: int, message: str, call: Call, finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished.root.parent / "text.png").write_text("no picture")
    monkeypatch.chdir(finished.root.parent)
    before = finished.path("manifest.json").read_bytes()
    code, out, err = call(*words)
    assert (code, out) == (exit_code, "")
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert finished.path("manifest.json").read_bytes() == before


@pytest.mark.slow
def test_flags_are_kept_until_others_are_typed(call: Call, finished: Project) -> None:
    assert call("--camera", "a", "--camera", "b,c0", "--webp", "--azimuths=10,-20", "--distance", "5")[0] == 0
    settings = finished.load().stages["render"].settings
    assert settings["render.cameras"] == ["a", "b", "c0"]
    assert "skipped" in call()[2]
    assert call("--camera", "none", "--azimuths", "sides", "--json")[0] == 0
    settings = finished.load().stages["render"].settings
    assert settings.keys() & {"render.cameras", "render.azimuths", "render.webp", "render.distance"} == {
        "render.webp", "render.distance"
    }  # fmt: skip
    assert json.loads(call("--defaults", "--json")[1])["options"]["render"].keys() == set(
        recorded_options(Settings())["render"]
    )

"""`generate --engine zero123plus` on networks in miniature: what is kept, what is gone on with, what is said."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers import tiny_zero123plus
from meshcli.config import override
from meshcli.engines import pick_generator
from meshcli.errors import MissingError, ResourceError, UsageError
from meshcli.project.project import Project
from meshcli.setting_types import range_of
from meshcli.settings import Settings, Zero123PlusSettings
from meshcli.stages import view_generation
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import stage_status
from meshcli.stages.view_generation import lacking, smaller_settings
from meshcli.weights.kept_networks import KeptNetworks

TINY = {
    "zero123plus.steps": 3,
    "zero123plus.view_size": 64,
    "zero123plus.unet": "original",
    "zero123plus.dtype": "fp32",
    "zero123plus.checkpoint_every": 1,
    "photo.rembg": False,
}
SETTINGS = override(Settings(), TINY, "")
ANGLES = CameraArguments([0, 90])
SCRIPT = """
import json, os, signal, socket, sys

def refuse(*_):
    raise OSError("no network in this test")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
after, words = json.loads(sys.argv[1])
from meshcli.commands.cli import main
from meshcli.project.project import Project
write, count = Project.write, 0

def counting(self, files):
    global count
    result = write(self, files)
    watched = any(file.endswith(".unfinished") or file == "views/00.png" for file in files)
    count += watched
    if watched and count == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

Project.write = counting
sys.exit(main(words))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    tiny_zero123plus.write(folder / "zero123plus-v1.2")
    return folder


Paint = Callable[..., list[str]]


@pytest.fixture
def paint(project: Project, weights: Path) -> Paint:
    """Call the stage; what it said, then which photos were painted."""

    def call(
        *photos: Path,
        typed: CameraArguments = CameraArguments(),
        run_options: RunOptions = RunOptions(),
        **changes: Any,
    ) -> list[str]:
        heard: list[str] = []
        run_options = replace(
            run_options, weights=weights, device="cpu", progress=lambda done, total, what: heard.append(what)
        )
        settings = override(SETTINGS, changes, "")
        generate_views(project, photos, typed, settings=settings, engine="zero123plus", run_options=run_options)
        return sorted({what.split()[1].rstrip(":") for what in heard if what.endswith("denoising")})

    return call


def pixels(project: Project, number: int) -> np.ndarray:
    with Image.open(project.path(f"views/{number:02d}.png")) as picture:
        return np.asarray(picture)


def test_views_with_cameras_and_facts(project: Project, photos: list[Path], paint: Paint) -> None:
    assert paint(*photos[:2], typed=ANGLES) == ["a", "b"]
    manifest = project.load()
    assert [view.name for view in manifest.views] == [f"{photo}{tile}" for photo in "ab" for tile in range(6)]
    assert manifest.views[7].camera.azimuth == pytest.approx(90 + 90, abs=5)
    assert manifest.views[7].camera.elevation == pytest.approx(-10)
    assert pixels(project, 7).shape == (64, 64, 4)
    record = manifest.stages["generate"]
    assert record.facts["device"] == "cpu"
    assert record.facts["dtype"] == "fp32"
    assert set(record.facts["seconds"]) >= {"encode", "denoise", "decode", "total"}
    assert set(record.options["weights"]) == {"unet", "vae", "text_encoder", "vision_encoder"}
    assert record.options["zero123plus"]["dtype"] == "fp32"
    assert {output.file for output in record.outputs} >= {"views/00.png", "views/11.png", "views/sheet.png"}
    assert not list(project.root.rglob("*.unfinished"))
    assert paint() == []
    assert stage_status(project, manifest, "generate").state == "done"


@pytest.mark.slow
def test_kept_networks_are_loaded_once_and_give_the_same_bytes(
    project: Project, photos: list[Path], paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshcli.generators.zero123plus import networks

    loaded: list[str] = []
    real = networks.load_into

    def counting(module: Any, path: Path, *arguments: Any) -> None:
        loaded.append(path.parent.name)
        real(module, path, *arguments)

    def views() -> list[str]:
        return [project.digest(f"views/{number:02d}.png") for number in range(6)]

    monkeypatch.setattr(networks, "load_into", counting)
    forced, kept = RunOptions(force=True), KeptNetworks()
    paint(photos[0])
    expected = views()
    loaded.clear()
    for _ in range(2):
        with kept.in_use():
            assert paint(photos[0], run_options=forced) == ["a"]
        assert views() == expected
    assert sorted(loaded) == sorted(set(loaded))
    assert {"unet", "vae"} <= set(loaded)
    loaded.clear()
    kept.drop()  # as a worker does when memory ran out; the smaller setting then keeps nothing
    with kept.in_use():
        paint(photos[0], run_options=forced, **{"zero123plus.vram": "low"})
    assert loaded.count("vae") == 2


@pytest.mark.slow
def test_a_photo_s_views_are_its_own(project: Project, photos: list[Path], paint: Paint) -> None:
    paint(*photos[:2], typed=ANGLES)
    before = [project.digest(f"views/{number:02d}.png") for number in range(12)]
    assert paint(*photos, typed=CameraArguments([0, 90, 200])) == ["c"]
    assert paint(*photos, typed=CameraArguments([0, 100, 200])) == []  # only cameras changed
    assert [project.digest(f"views/{number:02d}.png") for number in range(12)] == before
    assert project.load().views[6].camera.azimuth == pytest.approx(130, abs=5)
    assert len(project.load().stages["generate"].outputs) > 18


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", 1),
     *(pytest.param(*rare, marks=pytest.mark.slow) for rare in (
         ("view_size", 96), ("guidance", 1.0), ("guidance", 50.0), ("view_size", 64), ("view_size", 160), ("batch", 16),
         ("checkpoint_every", 0), ("checkpoint_every", 1000), ("preview", 0), ("preview", 1000),
     ))],
)  # fmt: skip
def test_the_ends_of_every_range(key: str, value: float, project: Project, photos: list[Path], paint: Paint) -> None:
    """And a size between those that the network halves without a rest."""
    assert range_of(Zero123PlusSettings, key) is not None
    assert paint(*photos[:2], typed=ANGLES, **{f"zero123plus.{key}": value}) == ["a", "b"] or key == "batch"
    side = value if key == "view_size" else 64
    assert pixels(project, 11).shape == (side, side, 4)


@pytest.mark.slow
def test_options_that_make_new_views(project: Project, photos: list[Path], paint: Paint) -> None:
    paint(photos[0])
    before = project.digest("views/00.png")
    assert paint(**{"zero123plus.guidance": 3.0}) == ["a"]
    assert project.digest("views/00.png") != before
    assert paint() == ["a"]
    assert project.digest("views/00.png") == before
    assert paint(run_options=RunOptions(force=True)) == ["a"]
    assert project.digest("views/00.png") == before
    project.path("views/02.png").unlink()
    assert paint() == ["a"]
    assert paint(**{"zero123plus.vram": "low", "zero123plus.batch": 2, "zero123plus.attention": "sdpa"}) == []


def test_sculpt_takes_over_and_gives_back(
    project: Project, photos: list[Path], paint: Paint, engine_calls: dict[str, int]
) -> None:
    paint(photos[0])
    generate_views(project, engine="sculpt")
    assert {view.engine for view in project.load().views} == {"sculpt"}
    assert paint() == ["a"]


def test_memory_that_runs_out(
    project: Project, photos: list[Path], paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshcli.generators.zero123plus import sampling

    def failing(*rest: Any) -> Any:
        yield next(original(*rest))
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    original = sampling.denoise
    with monkeypatch.context() as patch:
        patch.setattr(sampling, "denoise", failing)
        with pytest.raises(ResourceError, match=r"zero123plus\.vram=low") as error:
            paint(photos[0])
    assert error.value.exit_code == 75
    assert project.load().stages["generate"].reduced_settings == {"zero123plus.vram": "low"}
    assert project.path("views/a.unfinished").is_file()
    steps: list[int] = []

    def counting(paintings: Any, *rest: Any) -> Any:
        steps.append(paintings[0].step)
        return original(paintings, *rest)

    monkeypatch.setattr(sampling, "denoise", counting)
    assert paint() == ["a"]
    assert steps == [1]  # it goes on from the step that was saved


def test_smaller_settings_come_to_an_end() -> None:
    settings = override(SETTINGS, {"zero123plus.batch": 3, "zero123plus.vram": "high"}, "")
    taken = []
    while smaller := smaller_settings("zero123plus", settings):
        taken.append(smaller)
        settings = override(settings, smaller, "")
    assert taken == [
        {"zero123plus.batch": 1},
        {"zero123plus.vram": "normal"},
        {"zero123plus.vram": "low"},
        {"zero123plus.dtype": "bf16"},
    ]


def test_finished_views_need_no_weights(
    project: Project, photos: list[Path], paint: Paint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paint(photos[0])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("MESHCLI_CKPTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert lacking(SETTINGS, None).startswith("weights: `meshcli models pull ")
    assert generate_views(project, settings=SETTINGS).skipped
    with pytest.raises(MissingError, match="models pull zero123plus"):
        generate_views(
            project, settings=SETTINGS, run_options=RunOptions(force=True, offline=True), engine="zero123plus"
        )
    assert stage_status(project, project.load(), "generate").state == "done"  # nothing was touched


def test_missing_libraries(
    project: Project, photos: list[Path], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.stages.view_generation.find_spec", lambda name: None if name == "diffusers" else name)
    with pytest.raises(MissingError, match=r"zero123plus needs diffusers: .*models"):
        generate_views(
            project, photos[:1], settings=SETTINGS, engine="zero123plus", run_options=RunOptions(weights=weights)
        )
    assert lacking(SETTINGS, weights).startswith("diffusers")


def test_a_missing_device(project: Project, photos: list[Path], weights: Path) -> None:
    with pytest.raises(UsageError, match="cuda:7"):
        generate_views(
            project,
            photos[:1],
            settings=SETTINGS,
            engine="zero123plus",
            run_options=RunOptions(weights=weights, device="cuda:7"),
        )


def test_missing_weights(project: Project, photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="--weights"):
        generate_views(
            project, photos[:1], settings=SETTINGS, engine="zero123plus", run_options=RunOptions(weights=tmp_path)
        )
    assert lacking(SETTINGS, tmp_path) == f"weights (--weights {tmp_path} has no complete folder zero123plus-v1.2)"


def test_auto_does_without_the_network_where_named_weights_are_for_cutting_out(
    project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.stages.generate.lacking", lacking)
    (tmp_path / "u2netp.onnx").write_bytes(b"x")
    flags, options = [f"--weights={tmp_path}"], RunOptions(weights=tmp_path)
    generate_views(project, photos[:1], settings=SETTINGS, run_options=replace(options, flags=flags))
    assert project.load().stages["generate"].engine == "sculpt"
    (tmp_path / "u2netp.onnx").unlink()
    with pytest.raises(UsageError, match="has no complete folder zero123plus"):
        generate_views(project, settings=SETTINGS, run_options=replace(options, flags=flags, force=True))


@pytest.mark.parametrize(
    ("before", "missing", "engine"),
    [
        ("", "", "zero123plus"),
        ("", "the weights", "sculpt"),
        ("sculpt", "", "sculpt"),
        ("zero123plus", "the weights", "zero123plus"),
    ],
)
def test_which_engine_is_chosen(before: str, missing: str, engine: str) -> None:
    assert pick_generator("auto", before, missing)[0] == engine
    assert pick_generator("sculpt", before, missing) == ("sculpt", "named")


def arguments(project: Project, photos: list[Path], weights: Path) -> list[str]:
    values = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    named = ["--azimuth", "0,90", "--engine", "zero123plus", "--weights", str(weights), "--device", "cpu", "--offline"]
    return ["generate", str(project.root), *map(str, photos[:2]), *named, *values]


def run(after: int, words: list[str]) -> int:
    """The command in a process of its own without a network, which is killed after some files were written."""
    line = [sys.executable, "-c", SCRIPT, json.dumps([after, words])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    print(done.stderr)  # shown when the test fails
    return done.returncode


@pytest.mark.slow
def test_killed_at_any_point_it_resumes_bit_identically(
    project: Project, photos: list[Path], weights: Path, tmp_path: Path
) -> None:
    whole = Project(tmp_path / "whole")
    assert run(0, arguments(whole, photos, weights)) == 0
    words = arguments(project, photos, weights)
    # After a's first step; when a's views are there but not yet in the manifest; in the middle of b.
    for after in (3, 3, 2):
        assert run(after, words) == -signal.SIGKILL
        assert stage_status(project, project.load(), "generate").state == "interrupted"
        assert list(project.root.rglob("*.unfinished"))
    assert run(0, words) == 0
    for number in range(12):
        assert project.digest(f"views/{number:02d}.png") == whole.digest(f"views/{number:02d}.png")
    assert not list(project.root.rglob("*.unfinished"))


@pytest.mark.slow
def test_a_cut_out_that_is_edited_while_cameras_are_found_is_painted_anew(
    project: Project, photos: list[Path], paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = view_generation._common_world_cameras

    def slowly(*arguments: Any) -> Any:
        edited = np.array(Image.open(project.path("photos/b.png")))
        edited[..., :3] = 90
        Image.fromarray(edited).save(project.path("photos/b.png"))
        return placed(*arguments)

    monkeypatch.setattr(view_generation, "_common_world_cameras", slowly)
    assert paint(*photos[:2], typed=ANGLES) == ["a", "b"]
    monkeypatch.setattr(view_generation, "_common_world_cameras", placed)
    assert stage_status(project, project.load(), "generate").reason == "photos/b.png was changed by hand"
    assert paint() == ["b"]
    assert stage_status(project, project.load(), "generate").state == "done"

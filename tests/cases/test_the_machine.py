"""The machine around the program: another one's ffmpeg, streams that are not there or full, weights with a prefix."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import desk_model
import numpy as np
import pytest
from PIL import Image

from helpers.view_sheets import project_of
from meshcli.export.gltf import write_glb
from meshcli.meshes.mesh import Mesh
from meshcli.project.artefacts import MESH
from meshcli.project.project import Project
from meshcli.stages.status import read_status

pytestmark = pytest.mark.slow

QUICK = ["--config", "quick", "--offline"]
RENDER = ["render", "done", "--force", "--config", "quick", "--frames", "2", "--size", "64"]
WEIGHTS = "instant_mesh_base.safetensors"


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with six chosen views of noise, called done, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (960, 640, 3), np.uint8)
    Image.fromarray(noise).save("sheet.png")
    return project_of(Path("sheet.png"), Path("done"))


@pytest.fixture
def done(seen: Project) -> Project:
    """The same with a mesh."""
    desk = desk_model.true_mesh()
    colours = (120.0 + 90.0 * np.sin(6.0 * desk.vertices)).astype(np.uint8)
    seen.write({MESH: write_glb(Mesh(desk.vertices, desk.faces, colours))})
    return seen


def call(*words: str, redirect: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    """A command line, as a shell that has pipefail runs it."""
    script = f'set -o pipefail; "$0" -m meshcli "$@" {redirect}'
    line = ["bash", "-c", script, sys.executable, *words]
    return subprocess.run(line, env={**os.environ, **more}, capture_output=True, text=True, timeout=300, check=False)


def is_one_error(said: str) -> bool:
    return said.startswith("error") and said.count("\n") == 1


def test_ffmpeg(done: Project) -> None:
    failed = call(*RENDER, "-q", IMAGEIO_FFMPEG_EXE="nowhere/ffmpeg")
    assert failed.returncode == 4
    assert is_one_error(failed.stderr)
    assert "nowhere/ffmpeg" in failed.stderr
    assert done.load().stages["render"].status == "failed"


def test_no_stderr_for_a_run(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("run", "p", str(cases / "cutout.png"), *QUICK, "--to", "reconstruct", redirect="2>&-").returncode == 0
    assert [status.state for status in read_status(Project("p")).stages] == ["done", "done", "done", "missing"]


def test_no_stderr_for_a_stage(done: Project) -> None:
    assert call(*RENDER, redirect="2>&-").returncode == 0
    assert done.load().stages["render"].status == "done"
    assert done.path("renders/turntable.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("more", [["--json"], []])
def test_full(done: Project, more: list[str]) -> None:
    failed = call("status", "done", *more, redirect="> /dev/full")
    assert failed.returncode == 75
    assert is_one_error(failed.stderr)


@pytest.mark.parametrize(
    ("words", "reader"),
    [(["--help"], "| head -1"), (["models", "list"], "| head -1"), (["status", "done", "--json"], "| true")],
)
def test_pipe(done: Project, words: list[str], reader: str) -> None:
    piped = call(*words, redirect=reader)
    assert piped.returncode in (0, 141)
    assert piped.stderr == ""


@pytest.mark.skipif(find_spec("torch") is None, reason="the weights are made where torch is")
def test_prefix(cases: Path) -> None:
    checked = call("models", "verify", "instant-mesh-base", "--weights", str(cases / WEIGHTS))
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(find_spec("torch") is None, reason="the weights are made where torch is")
def test_prefix_in_reconstruct(cases: Path, seen: Project) -> None:
    small = ["--grid", "16", "--no-texture", "--set", "texture.size=64", "--offline", "--device", "cpu"]
    line = ["reconstruct", "done", "--engine", "instant-mesh-base", "--weights", str(cases / WEIGHTS), *small]
    made = call(*line)
    assert made.returncode == 0, made.stderr
    assert seen.load().stages["reconstruct"].status == "done"

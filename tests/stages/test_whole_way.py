"""From the example's photos to a film with the real engines at their smallest, in one process without a network."""

import json
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from helpers.paths import EXAMPLE
from helpers.rendering import render_picture
from meshcli.export.gltf import read_glb
from meshcli.pictures.image import over
from meshcli.project.project import Project
from meshcli.stages.inputs import chosen_views
from meshcli.stages.status import read_status
from meshcli.stages.view_loading import load_views

SCRIPT = """
import json, socket, sys

def refuse(*_):
    raise OSError("no network in this test")

socket.socket.connect = refuse
from meshcli.commands.cli import main

for words in json.loads(sys.argv[1]):
    code = main(words)
    assert code == 0, (words, code)
print(json.dumps(sorted({"torch", "onnxruntime", "rembg"} & set(sys.modules))))
"""


THREE = pytest.param(["1.png", "2.png", "3.png"], id="three photos", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[pytest.param(["1.png"], id="one photo"), THREE])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[str]]:
    """The finished project, and which heavy libraries were loaded on the way."""
    root = str(tmp_path_factory.mktemp("whole") / "desk")
    photos = [str(EXAMPLE / name) for name in request.param]
    words = [
        ["generate", root, *photos, "--config", "quick", "--engine", "sculpt"],
        ["select", root, "--auto"],
        ["reconstruct", root, "--config", "quick", "--engine", "fit"],
        ["render", root, "--config", "quick"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Project(root), json.loads(done.stdout.splitlines()[-1])


def test_everything_is_done_and_no_network_library_was_loaded(desk: tuple[Project, list[str]]) -> None:
    project, heavy = desk
    assert {status.state for status in read_status(project).stages} == {"done"}
    assert heavy == []


def test_the_mesh_looks_like_its_views_from_their_own_cameras(desk: tuple[Project, list[str]]) -> None:
    project, _ = desk
    mesh = read_glb(project.path("mesh/mesh.glb"))
    manifest = project.load()
    for view in load_views(project, chosen_views(project, manifest)):
        seen = over(render_picture(mesh, view.camera, view.width, view.height, 2)).astype(float)
        wanted = over(view.pixels).astype(float)
        assert np.abs(seen - wanted).mean() < 0.25 * np.abs(255.0 - wanted).mean(), view.name


def test_the_desk_stands_upright_and_is_wider_than_high(desk: tuple[Project, list[str]]) -> None:
    project, _ = desk
    mesh = trimesh.load_mesh(project.path("mesh/mesh.glb"))
    width, height, depth = mesh.extents  # glTF: x to the right of the front, y up
    assert width > 1.3 * height
    assert max(mesh.extents) < 2.2
    assert min(width, height, depth) > 0.3

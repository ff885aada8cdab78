"""Weights that an engine needs are fetched when it is asked for by name: from a hub on this machine."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny_zero123plus
from helpers.fake_hub import Hub, serve, stranger
from helpers.paths import REPOSITORY
from helpers.tiny_lrm import tiny_weights
from helpers.view_sheets import project_of
from meshcli.project.project import Project
from meshcli.weights.catalogue import INSTANTMESH_REPOSITORY, ZERO123PLUS_REPOSITORY

TINY_NETWORK = """
import sys
from meshcli.stages import networks
from helpers.tiny_lrm import tiny_file
networks.read_network = lambda name: tiny_file("nerf" if "nerf" in name else "mesh")
from meshcli.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve() as hub:
        data = io.BytesIO()
        torch.save({"state_dict": {f"lrm_generator.{name}": value for name, value in tiny_weights().items()}}, data)
        folder = tmp_path / "published"
        tiny_zero123plus.write(folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        hub.repositories = {
            INSTANTMESH_REPOSITORY: {"instant_mesh_large.ckpt": data.getvalue()},
            ZERO123PLUS_REPOSITORY: files,
        }
        yield hub


def meshcli(home: Path, hub: Hub, *words: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own, of a user who has nothing: the hub's library reads its settings when it is imported."""
    line = [sys.executable, "-c", TINY_NETWORK, *words]
    where = stranger(home, hub, REPOSITORY, REPOSITORY / "tests")
    return subprocess.run(line, env=where, cwd=home, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_reconstruction_network(tmp_path: Path, hub: Hub) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8)
    Image.fromarray(noise).resize((640, 960)).save(tmp_path / "sheet.png")
    project = project_of(tmp_path / "sheet.png", tmp_path / "object")
    line = ["reconstruct", "object", "--engine", "instant-mesh-large", "--device", "cpu", "--no-texture"]
    refused = meshcli(tmp_path, hub, *line, "--offline")
    assert refused.returncode == 4
    assert "meshcli models pull instant-mesh-large" in refused.stderr
    planned = meshcli(tmp_path, hub, *line, "--dry-run")
    assert planned.returncode == 0
    assert "instant-mesh-large would be fetched first (1.5 GB; licence: Apache-2.0)" in planned.stderr
    assert not hub.asked
    done = meshcli(tmp_path, hub, *line, "--json")
    assert done.returncode == 0, done.stderr
    assert project.load().stages["reconstruct"].engine == "instant-mesh-large"
    assert (tmp_path / ".local/share/meshcli/ckpts/instant_mesh_large.safetensors").is_file()
    asked = len(hub.asked)
    again = meshcli(tmp_path, hub, *line, "--json")
    assert json.loads(again.stdout)["skipped"]
    assert meshcli(tmp_path, hub, *line, "--force").returncode == 0
    assert len(hub.asked) == asked


@pytest.mark.slow
def test_the_painter(tmp_path: Path, hub: Hub, photos: list[Path]) -> None:
    settings = {"steps": 2, "view_size": 64, "unet": "original", "dtype": "fp32"}
    tiny = [word for key, value in settings.items() for word in ("--set", f"zero123plus.{key}={value}")]
    line = ["generate", "object", str(photos[0]), "--engine", "zero123plus", "--device", "cpu", "--no-rembg", *tiny]
    refused = meshcli(tmp_path, hub, *line, "--dry-run", "--offline")
    assert (refused.returncode, "meshcli models pull zero123plus" in refused.stderr) == (4, True)
    planned = meshcli(tmp_path, hub, *line, "--dry-run")
    assert (planned.returncode, "zero123plus would be fetched first" in planned.stderr) == (0, True)
    assert not hub.asked
    done = meshcli(tmp_path, hub, *line)
    assert done.returncode == 0, done.stderr
    assert "CC BY-NC" in done.stderr
    assert [view.engine for view in Project(tmp_path / "object").load().views] == ["zero123plus"] * 6

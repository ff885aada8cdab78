"""examples/many_objects.sh: a shoot of several objects, one of which has to be looked at."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cli_processes import FAKE_MESHCLI

SCRIPT = Path(__file__).parents[1] / "examples" / "many_objects.sh"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_every_object_is_done_or_listed(photos: list[Path], tmp_path: Path) -> None:
    shoot, out, programs = tmp_path / "shoot", tmp_path / "out", tmp_path / "bin"
    for name, count in (("cup and saucer", 1), ("lamp", 2)):
        (shoot / name).mkdir(parents=True)
        for photo in photos[:count]:
            shutil.copy(photo, shoot / name)
    (shoot / "broken").mkdir()
    (shoot / "broken" / "1.png").write_text("no picture")
    programs.mkdir()
    (programs / "meshcli").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_MESHCLI[1]}" "$@"\n')
    (programs / "meshcli").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "MESHCLI_TEST_CHANCE": "0.3"}
    flags = ["--set", "render.size=64", "--set", "render.frames=2", "--set", "texture.size=64"]
    line = ["bash", str(SCRIPT), str(shoot), str(out), *flags]
    result = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    lists = {name: (out / f"{name}.txt").read_text() for name in ("done", "look", "failed")}
    assert result.returncode == 1, result.stderr
    assert lists["done"] == "cup and saucer\n"
    assert lists["look"].startswith("lamp: ")
    assert "--azimuth 0,40" in lists["look"]
    assert lists["failed"].startswith("broken (exit code 3): ")
    assert (out / "cup and saucer" / "mesh" / "mesh.glb").is_file()

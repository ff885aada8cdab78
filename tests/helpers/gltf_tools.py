"""Khronos' validator and three.js, run with node on a GLB file. Tests are skipped where they are not installed."""

import base64
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parents[1] / "tools/gltf_tools"
MODULES = Path(sys.prefix) / "gltf-tools/node_modules"
# Khronos' validator knows no Draco: that it cannot look into the mesh is not a finding about the file.
OF_DRACO = {("UNSUPPORTED_EXTENSION", "/extensionsUsed/0"), ("UNUSED_OBJECT", "/bufferViews/0")}


def validate(data: bytes, folder: Path, draco: bool = False) -> list[dict]:
    """The validator's findings, of every severity."""
    messages = json.loads(_run("validate.mjs", data, folder))
    return [each for each in messages if not (draco and (each["code"], each["pointer"]) in OF_DRACO)]


def load_with_three(data: bytes, folder: Path) -> dict:
    """What three.js loads; see load_with_three.mjs."""
    return json.loads(_run("load_with_three.mjs", data, folder))


def texture_of(mesh: dict) -> np.ndarray:
    """The texture (H, W, 3) of a mesh that three.js has loaded."""
    with Image.open(io.BytesIO(base64.b64decode(mesh["texture"]["bytes"]))) as picture:
        return np.asarray(picture.convert("RGB"))


def _run(script: str, data: bytes, folder: Path) -> str:
    node = shutil.which("node")
    if node is None or not (MODULES / "three").is_dir() or not (MODULES / "gltf-validator").is_dir():
        pytest.skip("needs node, and npm's gltf-validator and three, which `make test` installs")
    path = folder / "written.glb"
    path.write_bytes(data)
    run = subprocess.run(
        [node, SCRIPTS / script, MODULES.resolve(), path], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout

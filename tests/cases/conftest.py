"""The files of other people's programs, made anew by ../shared/cases/make_cases.py."""

import subprocess
import sys
from pathlib import Path

import case_maker
import desk_model
import numpy as np
import pytest

from meshcli.export.gltf import write_glb
from meshcli.meshes.mesh import Mesh


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all inputs, to be read only; the object in them is the example's desk, brightly coloured."""
    if not case_maker.MAKER.is_file():
        pytest.skip("../shared/cases is not here")
    demo, out = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("cases")
    desk = desk_model.true_mesh()
    colours = (120.0 + 90.0 * np.sin(6.0 * desk.vertices)).astype(np.uint8)
    (demo / "mesh").mkdir()
    (demo / "mesh/mesh.glb").write_bytes(write_glb(Mesh(desk.vertices, desk.faces, colours)))
    done = subprocess.run(
        [sys.executable, case_maker.__file__, out, "--demo", demo],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return out

"""The files of other people's programs, made anew by ../shared/cases/make_cases.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import case_maker
import desk_model
import numpy as np
import pytest
from filelock import FileLock

from meshcli.export.gltf import write_glb
from meshcli.meshes.mesh import Mesh


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all inputs, to be read only; the object in them is the example's desk, brightly coloured."""
    if not case_maker.MAKER.is_file():
        pytest.skip("../shared/cases is not here")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the workers of a session have a folder together
        shared = shared.parent
    with FileLock(shared / "cases.lock"):
        if not (shared / "cases").is_dir():
            _make_cases(shared)
    return shared / "cases"


def _make_cases(shared: Path) -> None:
    """Write the inputs of the folder into `cases`."""
    demo, out = shared / "demo", shared / "cases.unfinished"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    desk = desk_model.true_mesh()
    colours = (120.0 + 90.0 * np.sin(6.0 * desk.vertices)).astype(np.uint8)
    (demo / "mesh").mkdir(parents=True, exist_ok=True)
    (demo / "mesh/mesh.glb").write_bytes(write_glb(Mesh(desk.vertices, desk.faces, colours)))
    done = subprocess.run(
        [sys.executable, case_maker.__file__, out, "--demo", demo],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    out.rename(shared / "cases")

"""Two objects by the true engines and workers, as from a terminal."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import REPOSITORY
from meshcli.project.project import Project


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_objects_and_a_broken_one(tmp_path: Path) -> None:
    for name in ("one", "two", "broken"):
        (tmp_path / "shoot" / name).mkdir(parents=True)
    for name, photo in (("one", "1.png"), ("two", "2.png")):
        shutil.copy(REPOSITORY / "examples" / "desk" / photo, tmp_path / "shoot" / name)
    (tmp_path / "shoot" / "broken" / "1.png").write_bytes((REPOSITORY / "examples/desk/1.png").read_bytes()[:500])
    line = [sys.executable, "-m", "meshcli", "batch", "shoot", "--out", "out", "--config", "quick"]
    first = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 3, first.stderr
    assert "broken: generate failed (exit code 3)" in first.stderr
    with (tmp_path / "out" / "batch.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["object"]: row for row in csv.DictReader(file)}
    assert {name: row["state"] for name, row in rows.items()} == {"one": "done", "two": "done", "broken": "failed"}
    for name in ("one", "two"):
        assert all(float(rows[name][f"{stage} seconds"]) > 0 for stage in ("generate", "reconstruct", "render"))
        assert float(rows[name]["match %"]) > 70
        assert Project(tmp_path / "out" / name).path("mesh/mesh.glb").is_file()
    again = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, "2 done already, 1 failed before, 0 to run" in again.stderr) == (3, True)

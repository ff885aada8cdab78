"""Things that are hardly thicker than a pencil, as ../shared/cases draws them: the whole command, default settings."""

from pathlib import Path

import numpy as np
import pytest
from test_rigs import shown

from helpers.rendering import render_picture
from meshcli.commands import cli
from meshcli.export.gltf import read_glb
from meshcli.pictures.image import load_picture
from meshcli.project.project import Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("thickness", ["0.04", "0.07", "0.1"])
def test_a_bar_from_one_photo(thickness: str, cases: Path, project: Project) -> None:
    photo = cases / f"bar{thickness}.png"
    assert cli.main(["run", str(project.root), str(photo), "--offline", "--to", "reconstruct"]) == 0
    (found,) = project.load().active_photos
    framed = load_picture(project.path(found.file))[..., 3] >= 128
    mesh = read_glb(project.path("mesh/mesh.glb"))
    seen = render_picture(mesh, found.camera, framed.shape[1], framed.shape[0], samples=2)[..., 3] >= 128
    assert np.count_nonzero(framed & seen) >= 0.9 * np.count_nonzero(framed | seen)


def test_a_pole_from_three_true_silhouettes(cases: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases)
    line = ["run", str(project.root), "pole/images", "--rig", "pole/transforms.json", "--generator", "photos"]
    assert cli.main([*line, "--offline", "--to", "reconstruct"]) == 0
    for photo in project.load().active_photos:
        assert shown(project.path(photo.file), photo, project.path("mesh/mesh.glb")) >= 0.9

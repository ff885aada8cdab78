"""Real photos and the example with its cameras: azimuths that are not known are called guesses, wrong ones show."""

import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.paths import EXAMPLE, SHARED, needs_shared_data
from meshcli.commands import cli
from meshcli.project.project import Project
from meshcli.stages.photo_azimuths import MIN_CHANCE, azimuths_json
from meshcli.views.camera import angular_distance

pytestmark = pytest.mark.slow

NEAR = 20.0  # degrees within which an azimuth counts as right
# By eye, as ../shared/data/README.md has them.
BY_EYE = {"mushroom": (40.0, 180.0, -40.0), "reception_desk": (45.0, 90.0, 0.0), "astronaut": (0.0, 90.0, 180.0)}
TRUE = "0,74,-138"  # the example desk; see docs/measurements.md
# Exchanging b and c, 0,-138,74, is not among them: at quick settings it matches by 0.81, as a body turned inside its
# outlines may.
WRONG = "0,-50,40"
CLEARLY = 0.1  # by which its match is lower; measured at quick settings: 0.64, the true ones 0.83
SIDE = 300  # pixels of the photos; the example's have 800: the match is one of outlines and mean colours


@needs_shared_data
@pytest.mark.parametrize("name", BY_EYE)
def test_azimuths_of_real_photos_are_right_or_called_guesses(
    name: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [str(path) for path in sorted((SHARED / "data" / "photos" / "multi" / name).glob("[123].*"))]
    assert len(photos) == 3
    code = cli.main(["run", str(project.root), *photos, "--config", "quick", "--to", "generate", "--json"])
    document = json.loads(capsys.readouterr().out)
    first, *others = azimuths_json(project.load()).values()
    assert first["azimuth"] == 0.0
    certain = [row["confidence"] >= MIN_CHANCE for row in others]
    for row, sure, angle in zip(others, certain, BY_EYE[name][1:], strict=True):
        assert not sure or angular_distance(row["azimuth"], angle - BY_EYE[name][0]) <= NEAR
    assert code == (0 if all(certain) else 6)
    assert len(document.get("guesses", [])) == certain.count(False)


def match(root: Path, *words: str) -> float:
    """How well a mesh of small copies of the example's photos matches them, with the angles of `words`."""
    folder = root.with_suffix(".photos")
    folder.mkdir()
    for file in EXAMPLE.glob("?.png"):
        with Image.open(file) as picture:
            picture.resize((SIDE, SIDE)).save(folder / file.name)
    line = ["run", str(root), str(folder), "--config", "quick", "--texture-size", "128", "--to", "reconstruct", *words]
    assert cli.main(line) == 0
    facts = Project(root).load().stages["reconstruct"].facts
    assert facts["match"]["against"] == "photos"
    return float(facts["match"]["mean"])


def test_the_match_tells_wrong_azimuths_from_right_ones(tmp_path: Path) -> None:
    right = match(tmp_path / "right", "--azimuth", TRUE)
    assert right - match(tmp_path / "wrong", "--azimuth", WRONG) > CLEARLY

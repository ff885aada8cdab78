"""What is valid runs: every number at the ends of its range, through all stages, with real engines, little pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meshcli.config import override
from meshcli.export.gltf import read_glb
from meshcli.project.project import Project
from meshcli.setting_types import range_of
from meshcli.settings import Settings
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.render import render_mesh
from meshcli.stages.select import select_views

pytestmark = pytest.mark.slow

TINY = {
    "sculpt.view_size": 96, "sculpt.relief": 48, "sculpt.resolution": 32, "sculpt.hull_resolution": 32,
    "sculpt.fit_resolutions": [24, 32], "sculpt.fit_steps": [10, 10],
    "fit.resolutions": [24, 32], "fit.steps": [10, 10], "fit.rays": 500,
    "texture.faces": 500, "texture.size": 64, "render.size": 32, "render.frames": 2, "render.samples": 1,
}  # fmt: skip
EMBEDDED = ("photo", "sculpt", "fit", "texture", "render")
# The highest values take more memory or time than a test may.
HIGH = {
    "sculpt.view_size": 400, "sculpt.relief": 200, "sculpt.resolution": 96, "sculpt.hull_resolution": 72,
    "sculpt.fit_resolutions": 56, "sculpt.fit_steps": 40, "fit.resolutions": 72, "fit.steps": 40, "fit.rays": 10_000,
    "texture.size": 1024, "render.size": 300, "render.frames": 12, "render.samples": 8,
}  # fmt: skip
REFUSES = {"photo.max_pixels"}  # at its lowest, all that there is


def numbers(section: str, end: str) -> dict[str, Any]:
    """Every number of a section at one end of its range."""
    settings = getattr(Settings(), section)
    found: dict[str, Any] = {}
    for name, default in vars(settings).items():
        key = f"{section}.{name}"
        if (allowed := range_of(type(settings), name)) and not (key in REFUSES and end == "low"):
            value = allowed.low if end == "low" else min(allowed.high, HIGH.get(key, allowed.high))
            found[key] = [int(value)] * 2 if isinstance(default, tuple) else type(default)(value)
    return found


LOWEST = [(key, value) for section in EMBEDDED for key, value in numbers(section, "low").items()]


SEVERAL = (
    "sculpt.view_size",
    "sculpt.fit_resolutions",
    "sculpt.fit_steps",
    "sculpt.hull_resolution",
    "sculpt.contrast",
)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """An egg with a stripe from three sides, cut out."""
    rows, columns = np.mgrid[0:80, 0:64]
    return painted(tmp_path, "egg", ((rows - 40) / 34) ** 2 + ((columns - 32) / 24) ** 2 < 1.0)


@pytest.fixture
def boxes(tmp_path: Path) -> list[Path]:
    """A box of which no two photos agree how large it is."""
    rows, columns = np.mgrid[0:80, 0:64]
    return painted(tmp_path, "box", (rows > 8) & (rows < 70) & (columns > 6) & (columns < 50))


def painted(folder: Path, name: str, inside: np.ndarray) -> list[Path]:
    paths = []
    for number in range(3):
        pixels = np.zeros((80, 64, 4), np.uint8)
        pixels[inside] = (200 - 40 * number, 120, 60, 255)
        pixels[inside & (np.arange(80) % 20 < 8)[:, None], :3] = (20, 60, 200)
        paths.append(folder / f"{name}{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def whole_way(folder: Path, photos: list[Path], azimuths: list[float], changes: dict[str, Any]) -> Project:
    settings = override(Settings(), {**TINY, **changes}, "test")
    project = Project(folder)
    generate_views(project, photos, CameraArguments(azimuths), settings=settings, engine="sculpt")
    select_views(project, auto=6)
    reconstruct_mesh(project, settings=settings, engine="fit")
    render_mesh(project, settings=settings)
    assert {record.status for record in project.load().stages.values()} == {"done"}
    mesh = read_glb(project.path("mesh/mesh.glb"))
    assert len(mesh.faces) >= 4
    assert np.isfinite(mesh.vertices).all()
    return project


@pytest.mark.parametrize(("key", "value"), LOWEST, ids=[key for key, _ in LOWEST])
def test_each_lowest_value(key: str, value: Any, tmp_path: Path, photos: list[Path], boxes: list[Path]) -> None:
    body = boxes if key in ("sculpt.box_depth", "sculpt.hull_resolution") else photos
    if key in SEVERAL:
        whole_way(tmp_path / "three", body, [0, 120, 240], {key: value})
    else:
        whole_way(tmp_path / "one", body[:1], [], {key: value})


@pytest.mark.parametrize("section", EMBEDDED)
def test_high_values(section: str, tmp_path: Path, photos: list[Path], boxes: list[Path]) -> None:
    whole_way(tmp_path / "one", photos[:1], [], numbers(section, "high"))
    if section == "sculpt":
        whole_way(tmp_path / "three", boxes, [0, 120, 240], numbers(section, "high"))

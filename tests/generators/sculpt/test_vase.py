"""A vase, of which three photos leave a hexagonal prism with wedges, is round; and so is a mug, but for its handle."""

import numpy as np
import pytest
import trimesh

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

HEIGHTS = np.linspace(-0.8, 0.8, 40)
RADII = 0.35 + 0.1 * np.sin(3.0 * HEIGHTS)


def lathe(heights: np.ndarray, radii: np.ndarray) -> trimesh.Trimesh:
    line = np.vstack([[[0.0, heights[0]]], np.column_stack([radii, heights]), [[0.0, heights[-1]]]])
    return trimesh.creation.revolve(line, sections=90)


def photos(body: trimesh.Trimesh, size: int = 160, samples: int = 3) -> list[View]:
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey))
    cameras = [orbit(azimuth, 10.0, known="given") for azimuth in (0.0, 120.0, 240.0)]
    return [
        View(letter, renderer.render(camera, size, size, samples), camera)
        for letter, camera in zip("abc", cameras, strict=True)
    ]


def quick(on: bool) -> SculptSettings:
    return SculptSettings(
        view_size=32, hull_resolution=56, symmetry=False, revolution=on, fit_resolutions=(32,), fit_steps=(4,)
    )


@pytest.mark.parametrize("on", [True, False])
def test_a_vase_is_round_unless_that_is_switched_off(on):
    result = sculpt(photos(lathe(HEIGHTS, RADII)), quick(on), FitSettings(rays=500), [0, 1, 2], silent)
    assert result.mesh is not None
    x, y, z = result.mesh.vertices.T
    side = np.abs(z) < 0.7
    off = np.abs(np.hypot(x, y) - np.interp(z, HEIGHTS, RADII))[side]
    assert (np.quantile(off, 0.99) < 0.012) == on
    assert any("revolution" in note for note in result.notes) == on
    if on:
        assert np.ptp(z) == pytest.approx(1.6, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("on", [True, False])
def test_so_is_a_mug_but_for_its_handle(on):
    handle = trimesh.creation.torus(0.28, 0.06)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2.0, [1.0, 0.0, 0.0]))
    body = lathe(np.array([-0.55, 0.55]), np.array([0.45, 0.45])) + handle.apply_translation([0.45, 0.0, 0.0])
    result = sculpt(photos(body, 320, 2), quick(on), FitSettings(rays=500), [0, 1, 2], silent)
    assert result.mesh is not None
    x, y, z = result.mesh.vertices.T
    assert x.max() == pytest.approx(0.79, abs=0.04)
    beside = (np.abs(z) < 0.5) & (np.abs(np.arctan2(y, x)) > 0.5)
    assert (np.quantile(np.abs(np.hypot(x, y) - 0.45)[beside], 0.99) < 0.012) == on
    assert any("attached" in note for note in result.notes) == on

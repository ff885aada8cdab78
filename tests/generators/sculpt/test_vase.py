"""A vase, of which three photos leave a hexagonal prism with wedges, is round."""

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


def photos() -> list[View]:
    line = np.vstack([[[0.0, -0.8]], np.column_stack([RADII, HEIGHTS]), [[0.0, 0.8]]])
    body = trimesh.creation.revolve(line, sections=90)
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey))
    cameras = [orbit(azimuth, 10.0, known="given") for azimuth in (0.0, 120.0, 240.0)]
    return [
        View(letter, renderer.render(camera, 160, 160), camera) for letter, camera in zip("abc", cameras, strict=True)
    ]


@pytest.mark.parametrize("on", [True, False])
def test_a_vase_is_round_unless_that_is_switched_off(on):
    settings = SculptSettings(
        view_size=32, hull_resolution=56, symmetry=False, revolution=on, fit_resolutions=(32,), fit_steps=(4,)
    )
    result = sculpt(photos(), settings, FitSettings(rays=500), [0, 1, 2], silent)
    assert result.mesh is not None
    x, y, z = result.mesh.vertices.T
    side = np.abs(z) < 0.7
    off = np.abs(np.hypot(x, y) - np.interp(z, HEIGHTS, RADII))[side]
    assert (np.quantile(off, 0.99) < 0.012) == on
    assert any("revolution" in note for note in result.notes) == on
    if on:
        assert np.ptp(z) == pytest.approx(1.6, abs=0.03)

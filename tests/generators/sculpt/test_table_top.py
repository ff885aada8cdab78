"""The top of a table, of which three photos show little more than the rim, is flat and whole."""

import numpy as np
import pytest

from helpers.sphere_tracing import photograph
from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.progress import silent
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit

HIGH, THICKNESS, SIDES = 0.45, 0.07, (0.6, 0.45)
QUICK = SculptSettings(view_size=64, fit_resolutions=(32, 48), fit_steps=(30, 20))


def table(points: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points, -1, 0)
    plate = np.max(
        [np.abs(x) - SIDES[0], np.abs(y) - SIDES[1], np.abs(z - HIGH + THICKNESS / 2) - THICKNESS / 2], axis=0
    )
    legs = np.max([np.abs(np.abs(x) - 0.45), np.abs(np.abs(y) - 0.3)], axis=0) - 0.06
    return np.minimum(plate, np.maximum(legs, np.abs(z) - HIGH + 0.01))


def heights(mesh: Mesh) -> np.ndarray:
    """Of a mesh from above, on a lattice within .04 of the edge of the top; far below where nothing is there."""
    x, y = np.meshgrid(np.linspace(-0.56, 0.56, 29), np.linspace(-0.41, 0.41, 21))
    above = np.stack([x.ravel(), y.ravel(), np.full(x.size, 2.0)], axis=1)
    depths = Scene(mesh.vertices, mesh.faces).cast(above, np.tile([0.0, 0.0, -1.0], (len(above), 1))).depths
    result: np.ndarray = 2.0 - depths
    return result


@pytest.mark.slow
def test_the_top_of_a_table_is_flat_and_whole():
    photos = [photograph(orbit(azimuth, 10.0, known="given"), table, 240) for azimuth in (0.0, 120.0, 240.0)]
    result = sculpt(photos, QUICK, FitSettings(rays=4000), [0, 1, 2], silent)
    assert result.mesh is not None
    np.testing.assert_allclose(heights(result.mesh), HIGH, atol=0.008)
    assert any("level rectangle" in note for note in result.notes)

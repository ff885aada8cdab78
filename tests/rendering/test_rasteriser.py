import numpy as np
import pytest

from helpers.painted_ball import ball
from meshcli.rendering.rasteriser import Rasteriser, available, clip_matrix
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.projection import project

needs_gpu = pytest.mark.skipif(not available(), reason="needs CUDA and nvdiffrast")


def test_clip_space_holds_the_same_pixels_as_projection() -> None:
    camera = orbit(35, 20).cropped(0.1, -0.05, 0.7, 0.9)
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (50, 3))
    clip = np.hstack([points, np.ones((50, 1))]) @ clip_matrix(camera, 90, 70, 96, 72).T
    spots, depth = project(camera, points, 90, 70)
    np.testing.assert_allclose(clip[:, 3], depth)
    np.testing.assert_allclose((clip[:, 0] / clip[:, 3] + 1) / 2 * 96, spots[:, 0])
    np.testing.assert_allclose((clip[:, 1] / clip[:, 3] + 1) / 2 * 72, spots[:, 1])
    assert (np.abs(clip[:, 2]) <= clip[:, 3]).all()


@needs_gpu
def test_pictures_are_those_of_rays() -> None:
    mesh, camera = ball(4), orbit(40, 15)
    rays = Renderer(mesh).render(camera, 90, 70, 2)
    raster = Renderer(mesh, rasteriser=Rasteriser(mesh.vertices, mesh.faces)).render(camera, 90, 70, 2)
    assert np.abs(rays.astype(int) - raster).mean() < 0.5


@needs_gpu
def test_large_pictures_are_left_to_rays() -> None:
    mesh = ball(2)
    assert not Rasteriser(mesh.vertices, mesh.faces).fits(1024, 1024, 3)

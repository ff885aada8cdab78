"""A handle beside a cylinder that is known."""

import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.attached_parts import Balls, find_parts
from meshcli.sdf.grid import Grid
from meshcli.sdf.profile import Revolution
from meshcli.views.camera import orbit
from meshcli.views.view import View

RADIUS, HALF = 0.4, 0.55
BODY = Revolution((0.0, 0.0), (0.0, 0.0), np.linspace(-HALF, HALF, 64), np.full(64, RADIUS))
GRID = Grid.around(np.full(3, -0.9), np.full(3, 0.9), 90, 1)


def rod(yaw: float) -> trimesh.Trimesh:
    """Level, from inside the body to .8 from the axis, with a round end."""
    body = trimesh.creation.cylinder(0.07, 0.46)
    body.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2.0, [0.0, 1.0, 0.0]))
    body = body.apply_translation([0.5, 0.0, 0.1]) + trimesh.creation.icosphere(3, 0.07).apply_translation(
        [0.73, 0, 0.1]
    )
    return body.apply_transform(trimesh.transformations.rotation_matrix(np.radians(yaw), [0.0, 0.0, 1.0]))


def photos(*parts: trimesh.Trimesh) -> list[View]:
    body = trimesh.util.concatenate([trimesh.creation.cylinder(RADIUS, 2.0 * HALF, sections=120), *parts])
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey))
    cameras = [orbit(azimuth, 10.0) for azimuth in (0.0, 120.0, 240.0)]
    return [View(str(i), renderer.render(camera, 160, 160), camera) for i, camera in enumerate(cameras)]


def beside(views: list[View]) -> list[np.ndarray]:
    return [
        (view.pixels[..., 3] >= 128) & (alone.pixels[..., 3] < 128) for view, alone in zip(views, photos(), strict=True)
    ]


@pytest.mark.parametrize("yaw", [0.0, 75.0, 200.0])
def test_a_rod_is_as_thick_as_it_is_wide_and_reaches_the_body(yaw):
    views = photos(rod(yaw))
    found = find_parts(views, BODY, beside(views))
    assert np.degrees(found.azimuths) % 360.0 == pytest.approx([yaw], abs=2.5)
    assert found.unexplained < 0.05
    angle = np.arctan2(found.balls.centres[:, 1], found.balls.centres[:, 0])
    out = np.hypot(*found.balls.centres[:, :2].T)
    assert np.degrees(np.ptp(angle)) == pytest.approx(0.0, abs=1e-6)
    assert found.balls.radii.max() == pytest.approx(0.07, abs=0.02)
    assert (out + found.balls.radii).max() == pytest.approx(0.8, abs=0.02)
    assert (out - found.balls.radii).min() < RADIUS


def test_two_of_them():
    views = photos(rod(10.0), rod(160.0))
    found = find_parts(views, BODY, beside(views))
    assert sorted(np.degrees(found.azimuths) % 360.0) == pytest.approx([10.0, 160.0], abs=2.5)


def test_nothing_beside_the_body_is_no_part():
    views = photos()
    found = find_parts(views, BODY, [np.zeros((160, 160), bool)] * 3)
    assert found.azimuths == ()
    assert len(found.balls.radii) == 0
    assert (found.balls.solid(GRID) > 0.0).all()


def test_the_union_of_two_balls():
    centres, radii = np.array([[0.2, 0.1, 0.0], [-0.3, 0.0, 0.4]]), np.array([0.25, 0.1])
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1)
    apart = np.linalg.norm(GRID.to_world(nodes)[..., None, :] - centres, axis=-1)
    expected = (apart - radii).min(axis=-1) / GRID.voxel
    found = Balls(centres, radii).solid(GRID)
    near = expected < 3.0
    np.testing.assert_allclose(found[near], expected[near], atol=1e-4)
    assert (found[~near] > 2.9).all()

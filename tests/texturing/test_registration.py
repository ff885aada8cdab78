import numpy as np
import pytest

from helpers.painted_ball import ball
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.renderer import Renderer
from meshcli.texturing.registration import Reference, _motion, moved, register
from meshcli.texturing.sights import Sight, Surface, look, others_colours, working_colours
from meshcli.views.camera import Camera, orbit, zero123plus_rig
from meshcli.views.projection import project
from meshcli.views.view import View

PERTURBED = np.array([*np.radians([1.5, -2.0, 1.0]), 5 / 320, -5 / 320, 0.03])


def drift(a: Camera, b: Camera, mesh: Mesh) -> float:
    """Mean distance of projected vertices, in pixels of a picture of 320."""
    points = mesh.vertices.astype(np.float64)
    return float(np.linalg.norm(project(a, points, 320, 320)[0] - project(b, points, 320, 320)[0], axis=1).mean())


def others(surface: Surface, views: list[View]) -> Reference:
    sights = [look(surface, view.camera, working_colours(view)) for view in views]
    return lambda sight: others_colours(sight, sights, [1.0] * len(sights))


def spotted(fineness: int) -> Mesh:
    """A body of three different axes, with spots that no turn along a band maps onto each other."""
    body = ball(fineness)
    x, y, z = body.vertices.T * 9.0
    waves = np.stack([np.sin(x + z) * np.cos(y), np.sin(y + 1.0) * np.cos(z - x), np.sin(z) * np.cos(x + 2.0)], axis=-1)
    stretched = np.asarray(body.vertices * np.array([1.0, 0.7, 0.85]), np.float32)
    return Mesh(stretched, body.faces, np.rint(127.5 + 100.0 * waves).astype(np.uint8))


def photograph(mesh: Mesh, cameras: list[Camera]) -> list[View]:
    renderer = Renderer(mesh)
    return [View(f"a{i}", renderer.render(camera, 160, 160, 3), camera) for i, camera in enumerate(cameras)]


@pytest.fixture(scope="module")
def painted() -> tuple[Surface, Sight, Reference]:
    """A body, the picture of it at azimuth 30, and what the others show there."""
    mesh = spotted(5)
    surface = Surface.of(mesh)
    views = photograph(mesh, zero123plus_rig())
    return surface, look(surface, views[0].camera, working_colours(views[0])), others(surface, views[1:])


def plain_picture(mesh: Mesh, camera: Camera) -> Pixels:
    return Renderer(Mesh(mesh.vertices, mesh.faces)).render(camera, 160, 160, samples=3)


def test_the_derivatives_are_those_of_moving() -> None:
    mesh, camera, centre = ball(1), orbit(20.0, 10.0), np.array([0.1, 0.0, -0.05])
    points = mesh.vertices.astype(np.float64)
    derivatives = _motion(camera, centre, points, (100, 160))
    for parameter in range(6):
        change = np.zeros(6)
        change[parameter] = 1e-6
        ends = [project(moved(camera, centre, sign * change), points, 160, 100)[0] for sign in (1.0, -1.0)]
        assert derivatives[..., parameter] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-3)


def test_a_true_camera_stays(painted: tuple[Surface, Sight, Reference]) -> None:
    surface, sight, reference = painted
    found = register(surface, sight, reference)
    assert drift(found.sight.camera, sight.camera, surface.mesh) < 0.1


def test_a_wrong_camera_is_corrected_by_the_paint(painted: tuple[Surface, Sight, Reference]) -> None:
    surface, sight, reference = painted
    wrong = look(surface, moved(sight.camera, surface.centre, PERTURBED), sight.colours)
    assert drift(wrong.camera, sight.camera, surface.mesh) > 5.0
    found = register(surface, wrong, reference)
    assert drift(found.sight.camera, sight.camera, surface.mesh) < 0.3
    assert found.after < found.before
    assert found.zoom == pytest.approx(np.exp(-0.03), abs=0.003)
    assert found.turn == pytest.approx(np.degrees(np.linalg.norm(PERTURBED[:3])), abs=0.2)


def test_a_wrong_camera_is_corrected_by_the_outline_alone() -> None:
    mesh = spotted(4)
    surface, camera = Surface.of(mesh), orbit(35.0, 15.0)
    colours = working_colours(View("a", plain_picture(mesh, camera), camera))
    wrong = look(surface, moved(camera, surface.centre, PERTURBED * [0, 0, 1, 1, 1, 1]), colours)
    found = register(surface, wrong, others(surface, []))
    assert drift(wrong.camera, camera, mesh) > 5.0
    assert drift(found.sight.camera, camera, mesh) < 1.5  # its outline hardly tells small turns


def test_a_turn_that_nobody_can_see_stays_zero() -> None:
    mesh, camera = ball(4), orbit(0.0, 0.0)
    surface = Surface.of(mesh)
    colours = working_colours(View("a", plain_picture(mesh, camera), camera))
    shifted = look(surface, moved(camera, surface.centre, np.array([0, 0, 0, 0.02, 0, 0])), colours)
    found = register(surface, shifted, others(surface, []))
    assert found.shift == pytest.approx(0.02 * 160, abs=0.3)
    assert found.turn < 0.5


def test_a_camera_is_never_made_worse(painted: tuple[Surface, Sight, Reference]) -> None:
    surface, sight, reference = painted
    noise = np.random.default_rng(0).random(sight.colours.shape).astype(np.float32)
    noise[..., 3] = sight.colours[..., 3]
    noise[..., :3] *= noise[..., 3:]
    nonsense = look(surface, sight.camera, noise)
    found = register(surface, nonsense, reference)
    assert found.after <= found.before
    empty = look(surface, sight.camera, np.zeros_like(sight.colours))
    assert register(surface, empty, reference).sight.camera == sight.camera


def test_an_assumed_camera_is_looked_for_at_other_elevations() -> None:
    mesh = spotted(4)
    surface, true = Surface.of(mesh), orbit(0.0, 33.0)
    cameras = [orbit(azimuth, elevation) for azimuth, elevation in ((30, 20), (330, 20), (0, 60), (0, -10))]
    picture, *views = photograph(mesh, [true, *cameras])
    photo = working_colours(picture)
    found = register(surface, look(surface, orbit(0.0, 0.0), photo), others(surface, views))
    assert found.sight.camera.elevation == pytest.approx(33.0, abs=1.0)
    assert drift(found.sight.camera, true, mesh) < 0.5
    stated = orbit(0.0, 0.0, known="given")
    kept = register(surface, look(surface, stated, photo), others(surface, views))
    assert abs(kept.sight.camera.elevation) < 15.0

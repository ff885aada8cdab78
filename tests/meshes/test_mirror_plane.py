"""Mirror planes of painted primitives: found where everything agrees, and never where a picture says otherwise."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane, find_mirror_plane
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.view import View

Paint = Callable[[np.ndarray], np.ndarray]
ALL_ROUND = (30, 90, 150, 210, 270, 330)


def at(x: float, y: float, z: float) -> np.ndarray:
    return trimesh.transformations.translation_matrix((x, y, z))


def painted(parts: Sequence[trimesh.Trimesh], paint: Paint, yaw: float = 0.0, shift: float = 0.0) -> Mesh:
    """Parts painted as a function of their points, then turned about z by degrees and moved along x."""
    body = trimesh.util.concatenate([part.subdivide_to_size(0.12) for part in parts])
    turn = trimesh.transformations.rotation_matrix(np.radians(yaw), (0, 0, 1))
    vertices = body.vertices @ turn[:3, :3].T + [shift, 0.0, 0.0]
    colours = np.rint(np.broadcast_to(paint(body.vertices), body.vertices.shape).clip(0, 255)).astype(np.uint8)
    return Mesh(vertices.astype(np.float32), body.faces.astype(np.int32), colours)


def photos(mesh: Mesh, azimuths: Sequence[float], elevation: float = 15.0) -> list[View]:
    renderer = Renderer(mesh)
    cameras = [orbit(azimuth, elevation) for azimuth in azimuths]
    return [View(f"a{i}", renderer.render(camera, 96, 96), camera) for i, camera in enumerate(cameras)]


def animal() -> list[trimesh.Trimesh]:
    """Longer than wide, with a head at one end: symmetric left and right alone."""
    body, head = trimesh.creation.icosphere(3, radius=0.4), trimesh.creation.icosphere(3, radius=0.22)
    body.apply_scale((1.5, 0.9, 1.0))
    return [body, head.apply_transform(at(0.65, 0.0, 0.3))]


def mug() -> list[trimesh.Trimesh]:
    handle = trimesh.creation.torus(0.25, 0.07, 24, 12)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    return [trimesh.creation.cylinder(0.5, 1.2, sections=48), handle.apply_transform(at(0.6, 0, 0))]


def plain(points: np.ndarray) -> np.ndarray:
    return np.full(points.shape, 170.0)


def patches(points: np.ndarray) -> np.ndarray:
    """Dark patches over white, the same on both sides of y = 0."""
    dark = np.sin(9.0 * points[:, 0]) * np.cos(7.0 * np.abs(points[:, 1])) * np.sin(8.0 * points[:, 2] + 1.0) > 0.05
    return np.where(dark[:, None], [60.0, 50.0, 40.0], [230.0, 225.0, 215.0])


def sides(points: np.ndarray) -> np.ndarray:
    return np.where(points[:, 1:2] > 0.0, [210.0, 40.0, 40.0], [40.0, 60.0, 200.0])


def yaw_of(plane: MirrorPlane | None) -> float:
    assert plane is not None
    assert np.linalg.norm(plane.normal) == pytest.approx(1.0)
    assert plane.normal[2] == 0.0
    return float(np.degrees(np.arctan2(plane.normal[1], plane.normal[0])) % 180.0)


@pytest.mark.parametrize("paint", [plain, patches])
def test_the_plane_of_a_turned_and_moved_animal(paint: Paint) -> None:
    mesh = painted(animal(), paint, yaw=25.0, shift=0.1)
    found = find_mirror_plane(mesh, photos(mesh, ALL_ROUND))
    assert yaw_of(found.plane) == pytest.approx(115.0, abs=1.0)
    assert found.plane.offset == pytest.approx(0.1 * np.cos(np.radians(115.0)), abs=0.01)
    assert found.plane.confidence > 0.8


def test_a_plane_reflects_points_and_directions() -> None:
    plane = MirrorPlane(np.array([0.0, 1.0, 0.0]), 0.25, 1.0)
    assert plane.reflect(np.array([[1.0, 1.0, 3.0]])) == pytest.approx(np.array([[1.0, -0.5, 3.0]]))
    assert plane.reflect_directions(np.array([[1.0, 1.0, 3.0]])) == pytest.approx(np.array([[1.0, -1.0, 3.0]]))


def test_light_from_one_side_is_no_difference_of_paint() -> None:
    mesh = painted(animal(), patches)
    normals = np.asarray(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).vertex_normals)
    light = 0.8 + 0.2 * normals[:, 1:2]
    lit = Mesh(mesh.vertices, mesh.faces, np.rint(mesh.colours * light).astype(np.uint8))
    assert yaw_of(find_mirror_plane(lit, photos(lit, ALL_ROUND)).plane) == pytest.approx(90.0, abs=1.0)


def test_sides_of_different_colours_are_no_mirror_images() -> None:
    mesh = painted(animal(), sides)
    found = find_mirror_plane(mesh, photos(mesh, ALL_ROUND))
    assert found.plane is None
    assert "differs in colour" in found.reason


def test_a_mug_has_one_plane_through_its_handle() -> None:
    mesh = painted(mug(), plain, yaw=40.0)
    assert yaw_of(find_mirror_plane(mesh, photos(mesh, ALL_ROUND)).plane) == pytest.approx(130.0, abs=1.5)


def test_a_print_beside_the_handle_takes_a_mugs_plane_away() -> None:
    def printed(points: np.ndarray) -> np.ndarray:
        inside = (points[:, 1] > 0.2) & (np.abs(points[:, 2]) < 0.4)
        return np.where(inside[:, None], [20.0, 40.0, 160.0], [235.0, 235.0, 235.0])

    mesh = painted(mug(), printed)
    assert find_mirror_plane(mesh, photos(mesh, ALL_ROUND)).plane is None


def test_a_desk_with_its_low_counter_on_one_side_has_no_plane() -> None:
    tall, low = trimesh.creation.box((0.5, 1.0, 0.8)), trimesh.creation.box((0.8, 0.5, 0.5))
    mesh = painted([tall, low.apply_transform(at(0.15, 0.75, -0.15))], plain)
    found = find_mirror_plane(mesh, photos(mesh, ALL_ROUND))
    assert found.plane is None
    assert "mirror image" in found.reason


def test_one_photo_says_nothing_of_the_back() -> None:
    """The body is the same in front and behind; whether its paint is, nobody has seen."""
    body = trimesh.creation.icosphere(3, radius=0.5)
    body.apply_scale((0.6, 1.2, 1.0))
    nose = trimesh.creation.icosphere(2, radius=0.2).apply_transform(at(0.0, 0.7, 0.3))
    mesh = painted([body, nose], patches)
    found = find_mirror_plane(mesh, photos(mesh, [0.0], 0.0))
    assert found.plane is None
    assert "seen together" in found.reason


def with_doors() -> Mesh:
    """A cabinet with its front at +x; its ends are the same in front and behind."""

    def doors(points: np.ndarray) -> np.ndarray:
        inside = (points[:, 0] > 0.24) & (np.abs(np.abs(points[:, 1]) - 0.2) < 0.12) & (np.abs(points[:, 2]) < 0.35)
        return np.where(inside[:, None], [90.0, 50.0, 30.0], [200.0, 200.0, 190.0])

    return painted([trimesh.creation.box((0.5, 0.9, 1.0))], doors)


def test_a_front_is_not_mirrored_to_a_back_that_no_picture_shows() -> None:
    mesh = with_doors()
    some = find_mirror_plane(mesh, photos(mesh, [0.0, 45.0, -45.0]))
    across = next(evidence for evidence in some.candidates if abs(np.cos(evidence.yaw)) > 0.99)
    assert across.shape > 0.95
    assert across.faces == 0.0
    assert yaw_of(some.plane) == pytest.approx(90.0, abs=1.0)


@pytest.mark.parametrize(
    ("normal", "offset", "yaw"), [((1, 0, 0), 0.0, 0), ((-1, 0, 0), 0.03, 0), ((1, 0, 0), 0.3, 90)]
)
def test_a_front_is_mirrored_to_a_back_where_the_outlines_tell_that_very_plane(
    normal: tuple[int, int, int], offset: float, yaw: float
) -> None:
    mesh = with_doors()
    told = MirrorPlane(np.array(normal, np.float64), offset, 1.0)
    found = yaw_of(find_mirror_plane(mesh, photos(mesh, [0.0, 45.0, -45.0]), outlined=[told]).plane)
    assert (found + 1.0) % 180.0 == pytest.approx(yaw + 1.0, abs=1.0)


def test_a_round_body_takes_the_plane_that_shows_its_back() -> None:
    def hoops(points: np.ndarray) -> np.ndarray:
        return np.where((np.abs(points[:, 2]) % 0.4 < 0.15)[:, None], [60.0, 60.0, 65.0], [150.0, 90.0, 50.0])

    mesh = painted([trimesh.creation.cylinder(0.5, 1.4, sections=64)], hoops)
    plane = find_mirror_plane(mesh, photos(mesh, [0.0, 50.0, -50.0])).plane
    assert min(yaw_of(plane), 180.0 - yaw_of(plane)) < 20.0  # takes the front to the back


def test_a_spiral_on_a_round_body_leaves_no_plane() -> None:
    def spiral(points: np.ndarray) -> np.ndarray:
        turn = np.arctan2(points[:, 1], points[:, 0]) / (2.0 * np.pi) + points[:, 2] * 1.5
        return np.where((turn % 1.0 < 0.5)[:, None], [200.0, 40.0, 40.0], [240.0, 240.0, 240.0])

    mesh = painted([trimesh.creation.cylinder(0.5, 1.4, sections=64)], spiral)
    found = find_mirror_plane(mesh, photos(mesh, ALL_ROUND))
    assert found.plane is None
    assert "round" in found.reason


def test_unseen_surfaces_have_no_plane() -> None:
    mesh = painted(animal(), plain)
    away = View("a", np.full((32, 32, 4), 255, np.uint8), orbit(0, 0).cropped(3, 3, 1, 1))
    assert find_mirror_plane(mesh, [away]).plane is None

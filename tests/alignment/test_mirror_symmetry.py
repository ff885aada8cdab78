"""Mirror planes in outlines: found where photos agree on one, never where one says otherwise."""

from collections.abc import Sequence

import numpy as np
import pytest
import trimesh

from helpers.simple_bodies import ball
from meshcli.alignment.mirror_symmetry import MirrorSymmetry, find_mirror_symmetry
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.view import View

ONE_SIDE = (0.0, 45.0, -45.0)


def at(x: float, y: float, z: float) -> np.ndarray:
    return trimesh.transformations.translation_matrix((x, y, z))


def photos(parts: Sequence[trimesh.Trimesh], azimuths: Sequence[float], turn: float = 0.0) -> list[View]:
    """Pictures of grey parts that are turned about z by degrees, from azimuths that turn with them."""
    body = trimesh.util.concatenate(list(parts))
    body.apply_transform(trimesh.transformations.rotation_matrix(np.radians(turn), (0, 0, 1)))
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32)))
    cameras = [orbit(azimuth + turn, 10.0, known="rig") for azimuth in azimuths]
    return [
        View(name, renderer.render(camera, 160, 160), camera) for name, camera in zip("abcdef", cameras, strict=False)
    ]


def table() -> list[trimesh.Trimesh]:
    legs = [
        trimesh.creation.box((0.1, 0.1, 0.7)).apply_transform(at(x, y, -0.1)) for x in (-0.3, 0.3) for y in (-0.5, 0.5)
    ]
    return [trimesh.creation.box((0.8, 1.2, 0.1)).apply_transform(at(0.0, 0.0, 0.3)), *legs]


def mug() -> list[trimesh.Trimesh]:
    """Its handle is at +y, seen in profile from azimuth 0."""
    handle = trimesh.creation.torus(0.25, 0.07, 24, 12)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0)))
    return [trimesh.creation.cylinder(0.45, 1.1, sections=48), handle.apply_transform(at(0.0, 0.5, 0.0))]


def desk() -> list[trimesh.Trimesh]:
    """Its low counter is on one side and stands out in front."""
    tall, low = trimesh.creation.box((0.5, 0.9, 0.8)), trimesh.creation.box((0.8, 0.5, 0.5))
    return [tall.apply_transform(at(0.0, -0.25, 0.0)), low.apply_transform(at(0.15, 0.45, -0.15))]


def yaws(symmetry: MirrorSymmetry, turn: float) -> list[float]:
    """Of the planes' normals, relative to the body, in [0, 180)."""
    found = [float(np.degrees(np.arctan2(plane.normal[1], plane.normal[0]))) for plane in symmetry.planes]
    return [(yaw - turn + 1e-6) % 180.0 for yaw in found]


def beside(yaw: float, wanted: float) -> float:
    return abs((yaw - wanted + 90.0) % 180.0 - 90.0)


@pytest.mark.parametrize("turn", [pytest.param(0.0, marks=pytest.mark.slow), 25.0])
def test_a_table_seen_from_one_side_shows_its_other_side(turn: float) -> None:
    found = find_mirror_symmetry(photos(table(), ONE_SIDE, turn))
    assert beside(yaws(found, turn)[0], 0.0) < 2.0
    assert abs(found.planes[0].offset) < 0.02
    assert found.planes[0].confidence > 0.95


def test_images_are_photos_of_the_other_side() -> None:
    seen = photos(table(), ONE_SIDE)
    images = MirrorSymmetry((MirrorPlane(np.array([1.0, 0.0, 0.0]), 0.0, 1.0),)).images(seen)
    assert sorted(round(image.camera.azimuth) for image in images) == [135, 180, 225]
    truth = photos(table(), (180.0, 135.0, -135.0))
    for image, true in zip(images, truth, strict=True):
        assert np.mean((image.pixels[..., 3] >= 128) != (true.pixels[..., 3] >= 128)) < 0.002


@pytest.mark.slow
def test_the_plane_of_a_mug_goes_through_its_handle() -> None:
    found = find_mirror_symmetry(photos(mug(), ONE_SIDE))
    assert yaws(found, 0.0)
    assert all(beside(yaw, 0.0) < 4.0 for yaw in yaws(found, 0.0))


@pytest.mark.parametrize(
    "azimuths",
    [ONE_SIDE, *(pytest.param(each, marks=pytest.mark.slow) for each in ((45.0, 90.0, 0.0), (0.0, 120.0, 240.0)))],
)
def test_a_desk_with_its_low_counter_on_one_side_has_no_plane(azimuths: tuple[float, ...]) -> None:
    seen = photos(desk(), azimuths)
    assert not find_mirror_symmetry(seen).planes
    assert not find_mirror_symmetry(seen, axis=0.0).planes


@pytest.mark.slow
@pytest.mark.parametrize("size", [0.05, 0.1])
def test_a_knob_on_one_side_is_not_lost(size: float) -> None:
    """Small as it is, no plane takes it away."""
    ball = trimesh.creation.icosphere(3, radius=0.5)
    knob = trimesh.creation.icosphere(2, radius=size).apply_transform(at(0.0, 0.5 + 0.8 * size, 0.1))
    assert all(beside(yaw, 0.0) < 6.0 for yaw in yaws(find_mirror_symmetry(photos([ball, knob], ONE_SIDE)), 0.0))


@pytest.mark.slow
def test_round_bodies_have_any_plane_and_take_what_shows_most() -> None:
    seen = [ball(orbit(azimuth, 10.0), name=name) for azimuth, name in zip(ONE_SIDE, "abc", strict=True)]
    found = find_mirror_symmetry(seen)
    azimuths = np.sort([view.camera.azimuth for view in (*seen, *found.images(seen))])
    assert np.diff(azimuths, append=azimuths[0] + 360.0).max() < 100.0


def test_nothing_is_said_of_one_photo_or_of_many() -> None:
    seen = photos(table(), (0.0,))
    assert not find_mirror_symmetry(seen).planes
    assert not find_mirror_symmetry(seen * 9).planes

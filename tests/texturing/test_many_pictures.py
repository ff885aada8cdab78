"""Pictures of different sizes, exposures and views of one plane: which one each patch follows, and how seams look."""

from dataclasses import replace

import numba
import numpy as np
import pytest
import trimesh

from helpers.painted_ball import ball, ball_views
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.simplify import simplify
from meshcli.pictures.interpolation import six_point
from meshcli.progress import silent
from meshcli.settings import TextureSettings
from meshcli.texturing import labelling
from meshcli.texturing.atlas import BACKGROUND, GUTTER_WIDTH, fill_background, map_texels
from meshcli.texturing.bake import Coverage, bake
from meshcli.texturing.patches import PATCH_SIZE, cut_into_patches
from meshcli.views.camera import Camera, orbit
from meshcli.views.projection import pixel_centres, rays
from meshcli.views.view import View

SIZE = TextureSettings(size=256)


def wall() -> Mesh:
    """A plate whose front, at x = 0.02, spans 1 in y and z."""
    plate = trimesh.creation.box((0.04, 1.0, 1.0))
    return Mesh(plate.vertices.astype(np.float32), plate.faces.astype(np.int32))


def picture_of_wall(camera: Camera, size: int, paint, name: str = "a") -> View:
    """What a camera sees of the wall's front, painted by a function of y and z."""
    origins, directions = rays(camera, pixel_centres(size, size), size, size)
    points = origins + directions * ((0.02 - origins[..., :1]) / directions[..., :1])
    y, z = points[..., 1], points[..., 2]
    inside = (np.abs(y) <= 0.5) & (np.abs(z) <= 0.5)
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., :3] = np.rint(paint(y, z).clip(0, 255))
    pixels[..., 3] = np.where(inside, 255, 0)
    return View(name, pixels, camera)


def front_colours(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions y, z and colours (N, 3) of the texels in the middle of the wall's front."""
    texture = mesh.texture
    assert texture is not None
    size = len(texture.image)
    corners = texture.coordinates[texture.faces].astype(float)
    owner = map_texels(corners, size).owner
    front = np.flatnonzero((mesh.vertices[mesh.faces][..., 0] > 0).all(axis=1))
    rows, columns = np.nonzero(np.isin(owner, front))
    a, b, c = np.moveaxis(corners[owner[rows, columns]], 1, 0)
    at = np.stack([(columns + 0.5) / size, 1 - (rows + 0.5) / size], axis=-1)
    second, third = np.linalg.solve(np.stack([b - a, c - a], axis=-1), (at - a)[..., None])[..., 0].T
    places = mesh.vertices[mesh.faces[owner[rows, columns]]]
    points = (
        places[:, 0] + second[:, None] * (places[:, 1] - places[:, 0]) + third[:, None] * (places[:, 2] - places[:, 0])
    )
    middle = (np.abs(points[:, 1:]) < 0.42).all(axis=1)
    return points[middle, 1], points[middle, 2], texture.image[rows[middle], columns[middle]].astype(float)


def grey(value: float):
    return lambda y, z: np.repeat((value + 0.0 * y)[..., None], 3, axis=-1)


def stripes(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Twenty-five stripes per unit: less than four pixels of the small views each, ten of the photo's."""
    return np.repeat((120 + 80 * np.sin(2 * np.pi * 25 * y))[..., None], 3, axis=-1)


def test_a_sharp_photos_own_pixels_arrive_among_small_views() -> None:
    photo = picture_of_wall(orbit(20, 0), 800, stripes)
    views = [picture_of_wall(orbit(azimuth, 0), 60, grey(120)) for azimuth in (-10, 0, 10)]
    y, z, colours = front_colours(bake(wall(), [*views, photo], SIZE, silent))
    error = colours - stripes(y, z)
    assert np.sqrt(np.mean(error**2)) < 12  # the stripes' own is 57


def test_a_photo_that_sees_the_wall_too_flatly_leaves_it_to_a_view() -> None:
    photo = picture_of_wall(orbit(83, 0), 320, grey(40))
    view = picture_of_wall(orbit(0, 0), 320, grey(160))
    shares: list[Coverage] = []
    _, _, colours = front_colours(bake(wall(), [photo, view], SIZE, silent, report=shares.append))
    assert np.abs(colours - 160).mean() < 4
    assert shares[0].by_picture[1] > 5 * shares[0].by_picture[0]


def test_trust_decides_between_equal_pictures() -> None:
    pictures = [picture_of_wall(orbit(azimuth, 0), 200, stripes) for azimuth in (15, -15)]
    for first, second in ((1.0, 0.01), (0.01, 1.0)):
        told: list[Coverage] = []
        bake(wall(), pictures, SIZE, silent, trust=[first, second], report=told.append)
        shares = np.array(told[0].by_picture)
        assert shares[int(second > first)] > 0.9 * shares.sum()


def test_exposures_are_levelled_without_a_step() -> None:
    """Each half of the wall is seen by one picture only, but for a strip in the middle; one is darker by 40."""

    def half(view: View, sign: int) -> View:
        columns = sign * (np.arange(200) - 100) < 25
        return replace(view, pixels=np.where(columns[None, :, None] | [True, True, True, False], view.pixels, 0))

    left = half(picture_of_wall(orbit(0, 0), 200, grey(150)), 1)
    right = half(picture_of_wall(orbit(0, 0), 200, grey(110)), -1)
    y, _, colours = front_colours(bake(wall(), [left, right], SIZE, silent))
    order = np.argsort(y)
    profile = np.array([part.mean() for part in np.array_split(colours[order], 60)])
    assert abs(profile[0] - profile[-1]) == pytest.approx(40, abs=8)
    assert np.abs(np.diff(profile)).max() < 12  # a seam that is not levelled steps by 40


def test_coverage_is_the_share_that_pictures_see_and_the_rest_is_filled_as_asked() -> None:
    told: list[Coverage] = []

    def pink(vertices, faces, found):
        seen = found.weight[:, None] > 0.01
        return np.where(seen, found.values, np.float32([255, 0, 255]))

    mesh = bake(wall(), [picture_of_wall(orbit(0, 0), 200, grey(90))], SIZE, silent, fill=pink, report=told.append)
    assert told[0].seen == pytest.approx(1 / (2 + 4 * 0.04), abs=0.06)
    assert sum(told[0].by_picture) == pytest.approx(told[0].seen)
    assert mesh.colours is not None
    back = mesh.vertices[:, 0] < 0
    assert (mesh.colours[back] == (255, 0, 255)).all()
    assert np.abs(front_colours(mesh)[2] - 90).max() <= 2


@pytest.mark.slow
def test_threads_do_not_change_a_texture() -> None:
    threads = numba.get_num_threads()
    body = simplify(ball(4), 1000)
    try:
        numba.set_num_threads(1)
        one = bake(body, ball_views(), SIZE, silent)
    finally:
        numba.set_num_threads(threads)
    two = bake(body, ball_views(), SIZE, silent)
    assert one.texture is not None
    assert two.texture is not None
    assert (one.texture.image == two.texture.image).all()


def test_patches_are_small_and_cover_the_mesh_in_space_and_in_the_texture() -> None:
    box = wall()
    corners = np.random.default_rng(0).random((12, 3, 2))
    patches = cut_into_patches(box, corners)
    sides = patches.vertices[patches.faces] - patches.vertices[np.roll(patches.faces, 1, axis=1)]
    assert np.linalg.norm(sides, axis=-1).max() <= PATCH_SIZE
    assert patches.areas.sum() == pytest.approx(2 + 4 * 0.04)
    assert (patches.vertices[:8] == box.vertices).all()
    body = trimesh.Trimesh(patches.vertices, patches.faces, process=False)
    assert body.is_watertight
    assert body.volume == pytest.approx(0.04)
    flat = np.abs(np.linalg.det(patches.corners[:, 1:] - patches.corners[:, :1])).sum()
    assert flat == pytest.approx(np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum())
    assert len(patches.neighbours) == 1.5 * len(patches.faces)


@pytest.mark.slow
def test_message_passing_finds_the_best_labels_of_a_chain() -> None:
    """Compared with all 3^7 choices."""
    random = np.random.default_rng(3)
    costs, seams = random.random((7, 3)), 0.6 * random.random((6, 3, 3))
    pairs = np.stack([np.arange(6), np.arange(1, 7)], axis=1)
    starts, incident = labelling._incident(pairs, 7)
    chosen = labelling._pass_messages(costs, seams, pairs, starts, incident, 5)
    every = np.array(np.meshgrid(*[range(3)] * 7)).reshape(7, -1).T
    energies = [labelling._energy(costs, seams, pairs, each) for each in every]
    assert labelling._energy(costs, seams, pairs, chosen) == pytest.approx(min(energies))


def test_the_background_continues_the_charts() -> None:
    corners = np.array([[[0.11, 0.1], [0.4, 0.13], [0.17, 0.41]]])
    texels = map_texels(corners, 64)
    inside, beside = texels.ring == 0, (texels.ring > 0) & (texels.ring != BACKGROUND)
    assert inside.sum() == pytest.approx(0.04405 * 64**2, abs=15)
    assert texels.ring[beside].max() == GUTTER_WIDTH
    assert (texels.owner[inside | beside] == 0).all()
    image = np.zeros((64, 64, 3), np.uint8)
    image[inside | beside] = (10, 200, 30)
    fill_background(image, texels)
    assert (image == (10, 200, 30)).all()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5])
def test_six_pixels_keep_a_parabola(place: float) -> None:
    taps = np.arange(-3, 4)
    weights = np.array([six_point(tap - place) for tap in taps])
    assert weights.sum() == pytest.approx(1)
    assert weights @ taps**2 == pytest.approx(place**2)

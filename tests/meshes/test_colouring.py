from collections.abc import Callable
from dataclasses import replace

import numba
import numpy as np
import pytest
import trimesh

from helpers.painted_ball import ball, ball_views, paint
from helpers.rendering import render_picture
from meshcli.meshes.colouring import CONFIDENT_WEIGHT, BlendedColours, ViewBlender, colour_vertices, fill_unseen
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.interpolation import bicubic, bilinear
from meshcli.views.camera import orbit
from meshcli.views.view import View


def asked(mesh: Mesh, views: list[View], points: np.ndarray, normals: np.ndarray) -> BlendedColours:
    return ViewBlender(views, Scene(mesh.vertices, mesh.faces)).colours(points, normals)


def test_pictures_give_their_colours_back() -> None:
    body = ball(5)
    found = asked(body, ball_views(), body.vertices, body.vertices / 0.8)
    sure = found.weight >= CONFIDENT_WEIGHT
    assert sure.mean() > 0.9
    error = np.abs(found.values - paint(body.vertices))[sure]
    assert error.mean() < 3.5
    assert np.percentile(error, 99) < 25


def test_the_background_never_bleeds_in() -> None:
    def flashy(view: View) -> View:
        pixels = np.where(view.pixels[..., 3:] == 0, np.uint8([255, 0, 255, 0]), view.pixels)
        return replace(view, pixels=pixels)

    body = ball(5)
    plain = colour_vertices(body, ball_views())
    flashing = colour_vertices(body, [flashy(view) for view in ball_views()])
    assert (plain.colours == flashing.colours).all()


def test_hidden_surfaces_do_not_take_the_occluders_colour() -> None:
    screen = trimesh.creation.box((0.1, 0.6, 0.6), trimesh.transformations.translation_matrix((0.5, 0, 0)))
    wall = trimesh.creation.box((0.1, 1.4, 1.4), trimesh.transformations.translation_matrix((-0.4, 0, 0)))
    red, blue = np.uint8([200, 20, 20]), np.uint8([20, 20, 200])
    both = trimesh.util.concatenate([screen, wall])
    colours = np.repeat([red, blue], 8, axis=0)
    mesh = Mesh(both.vertices.astype(np.float32), both.faces.astype(np.int32), colours)
    views = [View("a", render_picture(mesh, camera, 128, 128), camera) for camera in (orbit(0, 0), orbit(25, 10))]
    grid = np.linspace(-0.68, 0.68, 40)
    points = np.stack(np.meshgrid([-0.35], grid, grid), axis=-1).reshape(-1, 3)
    found = asked(mesh, views, points, np.tile([1.0, 0, 0], (len(points), 1)))
    assert (found.weight == 0).mean() > 0.05  # hidden from both
    assert (found.weight > 0).mean() > 0.5
    assert np.abs(found.values[found.weight > 0] - blue).max() < 15


def test_a_picture_that_contradicts_is_outvoted() -> None:
    first, *others = ball_views()
    liar = replace(first, pixels=np.where([True, True, True, False], 255 - first.pixels, first.pixels))
    points = ball(4).vertices
    points = points[points[:, 1] > 0.7]  # where view 1 looks straight at it and view 0 from the side
    honest, mixed = (asked(ball(4), [view, *others], points, points / 0.8).values for view in (first, liar))
    assert np.abs(honest - mixed).mean() < 3


def test_a_sharper_picture_has_more_to_say() -> None:
    body = ball(4)
    camera = orbit(0, 0)
    coarse, fine = np.full((100, 100, 4), (200, 200, 200, 255), np.uint8), np.full((400, 400, 4), 255, np.uint8)
    fine[..., :3] = 180
    found = asked(body, [View("a", coarse, camera), View("b", fine, camera)], np.array([[0.8, 0, 0]]), np.eye(3)[:1])
    assert found.values[0] == pytest.approx([181.2] * 3, abs=1)


def test_gaps_are_filled_smoothly_and_hidden_parts_take_the_closest_colour() -> None:
    apart = trimesh.creation.box((1, 1, 1), trimesh.transformations.translation_matrix((12, 0, 0)))
    strip = np.array([[i, j, 0] for i in range(11) for j in range(2)], float)
    faces = [[2 * i, 2 * i + 2, 2 * i + 3] for i in range(10)] + [[2 * i, 2 * i + 3, 2 * i + 1] for i in range(10)]
    values = np.zeros((len(strip) + 8, 3), np.float32)
    values[20:22] = 100
    weight = np.zeros(len(values), np.float32)
    weight[[0, 1, 20, 21]] = 1
    vertices, both = np.concatenate([strip, apart.vertices]), np.array(faces + (apart.faces + len(strip)).tolist())
    filled = fill_unseen(vertices, both, BlendedColours(values, weight))
    assert filled[:22, 0] == pytest.approx(np.repeat(np.arange(11) * 10.0, 2), abs=4)
    assert filled[22:] == pytest.approx(np.full((8, 3), 100.0))


def test_without_any_picture_of_it_a_mesh_is_grey() -> None:
    away = View("a", np.full((32, 32, 4), 255, np.uint8), orbit(0, 0).cropped(3, 3, 1, 1))
    assert (colour_vertices(ball(2), [away]).colours == 200).all()


def test_threads_do_not_change_the_answer() -> None:
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = colour_vertices(ball(4), ball_views()).colours
    finally:
        numba.set_num_threads(threads)
    assert (one == colour_vertices(ball(4), ball_views()).colours).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("look", [bilinear, bicubic])
def test_a_picture_is_never_left(look: Callable[..., float], height: int, width: int) -> None:
    """The value at a pixel's centre is the pixel's; at the border and beyond it that of the last pixel."""
    around = np.full((height + 2, width + 2, 4), 1e6, np.float32)  # what lies beside the picture in memory
    image = around[1:-1, 1:-1, 0]
    image[:] = np.arange(height * width).reshape(height, width)
    for row in (-3.0, 0.0, *(np.arange(height) + 0.5), float(height), height + 3.0):
        for column in (-3.0, 0.0, *(np.arange(width) + 0.5), float(width), width + 3.0):
            nearest = image[min(max(int(row), 0), height - 1), min(max(int(column), 0), width - 1)]
            assert look(image, column, row) == pytest.approx(nearest, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 96), (96, 1), (1, 1)])
def test_views_one_pixel_wide_give_their_colours(shape: tuple[int, int]) -> None:
    height, width = shape
    pixels = np.full((height, width, 4), (10, 200, 30, 255), np.uint8)
    camera = orbit(0, 0)
    found = asked(ball(4), [View("a", pixels, camera)], np.array([[0.8, 0, 0]]), np.eye(3)[:1])
    assert found.weight[0] > 0
    assert found.values[0] == pytest.approx([10, 200, 30], abs=0.5)

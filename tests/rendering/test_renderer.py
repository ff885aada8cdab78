import numpy as np
import pytest
import trimesh

from helpers.rendering import render_picture
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.projection import project

RED, GREEN, BLUE, YELLOW = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)
SQUARE = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]], np.float32)  # faces +x
HALVES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def ball() -> Mesh:
    body = trimesh.creation.icosphere(3, radius=0.6)
    colours = np.where(body.vertices[:, 2:] > 0.1, RED, GREEN).astype(np.uint8)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours)


def test_right_is_right_and_up_is_up() -> None:
    colours = np.array([RED, GREEN, BLUE, YELLOW], np.uint8)  # seen from +x, +y is at the right
    pixels = render_picture(Mesh(SQUARE, HALVES, colours), orbit(0, 0), 64, 64)
    corners = project(orbit(0, 0), SQUARE * 0.97, 64, 64)[0].astype(int)
    for (column, row), colour in zip(corners, colours, strict=True):
        assert np.abs(pixels[row, column, :3].astype(int) - colour).max() < 25
    assert corners[2, 0] > 32 > corners[2, 1]


def test_texture_u_goes_right_and_v_up() -> None:
    image = np.array([[YELLOW, BLUE], [RED, GREEN]], np.uint8)  # first row at the top
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    pixels = render_picture(Mesh(SQUARE, HALVES, texture=Texture(image, corners, HALVES)), orbit(0, 0), 64, 64)
    spots = project(orbit(0, 0), SQUARE * 0.9, 64, 64)[0].astype(int)
    assert [tuple(pixels[row, column, :3]) for column, row in spots] == [RED, GREEN, BLUE, YELLOW]


def test_a_picture_covers_what_the_camera_projects() -> None:
    camera = orbit(30, 20).cropped(0.2, 0.05, 0.6, 0.8)
    pixels = render_picture(Mesh(SQUARE, HALVES), camera, 90, 120)
    (a, b, c, d) = project(camera, SQUARE.astype(float), 90, 120)[0]
    area = 0.5 * abs(np.linalg.det(np.stack([c - a, d - b])))
    assert pixels[..., 3].sum() / 255.0 == pytest.approx(area, rel=0.01)


def test_alpha_is_straight() -> None:
    pixels = render_picture(Mesh(SQUARE, HALVES, np.tile(np.uint8(RED), (4, 1))), orbit(20, 10), 50, 50)
    edge = (pixels[..., 3] > 0) & (pixels[..., 3] < 255)
    assert edge.sum() > 50
    assert (pixels[edge][:, :3] == RED).all()
    assert (pixels[pixels[..., 3] == 0][:, :3] == 255).all()


def test_adaptive_samples_come_close_to_all_of_them() -> None:
    renderer = Renderer(ball())
    full = renderer.render(orbit(10, 5), 128, 128, samples=3)
    quick = renderer.render(orbit(10, 5), 128, 128, samples=3, adaptive=True)
    assert (full[..., 3] == quick[..., 3]).mean() > 0.995
    both = (full[..., 3] > 0) & (quick[..., 3] > 0)
    assert np.abs(full.astype(int) - quick)[both].mean() < 0.3


def test_chunks_and_threads_do_not_change_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(ball())
    whole = renderer.render(orbit(10, 5), 64, 64, threads=1)
    monkeypatch.setattr("meshcli.rendering.renderer.RAYS_PER_CHUNK", 1500)
    assert (renderer.render(orbit(10, 5), 64, 64, threads=3) == whole).all()


def test_frames_come_in_order() -> None:
    renderer = Renderer(ball())
    cameras = [orbit(azimuth, 80 - azimuth) for azimuth in (0, 20, 40, 60, 80)]
    frames = list(renderer.frames(cameras, 32, 32, adaptive=False))
    assert len(frames) == 5
    for camera, frame in zip(cameras, frames, strict=True):
        assert (frame == renderer.render(camera, 32, 32)).all()


def test_nothing_to_see_is_an_empty_picture() -> None:
    empty = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    assert (render_picture(empty, orbit(0, 0), 8, 8) == (255, 255, 255, 0)).all()
    behind = Mesh(SQUARE + np.float32([9, 0, 0]), HALVES)
    assert render_picture(behind, orbit(0, 0), 8, 8)[..., 3].max() == 0

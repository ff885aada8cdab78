"""What each pass shows, by numbers, and that the rasteriser shows what rays hit."""

import io

import numba
import numpy as np
import pytest
import trimesh
from PIL import Image

from helpers.painted_ball import ball
from meshcli.meshes.mesh import Mesh, Texture
from meshcli.rendering.renderer import Renderer
from meshcli.rendering.shading import LINE_RED
from meshcli.rendering.surface import Look, Surface
from meshcli.rendering.turntable import MeshPictures, depth_levels, encode_depth, encode_still
from meshcli.rendering.z_buffer import ZBuffer
from meshcli.settings import RenderSettings
from meshcli.views.camera import Camera, orbit

KINDS = ("shaded", "clay", "wireframe", "normals", "depth", "mask")


def box(*extents: float) -> Mesh:
    body = trimesh.creation.box(extents or (1.0, 0.8, 0.6))
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32))


def textured() -> Mesh:
    mesh = ball(3)
    coordinates = np.stack([np.arctan2(*mesh.vertices[:, :2].T) / 7 + 0.5, mesh.vertices[:, 2] / 2 + 0.5], axis=1)
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    return Mesh(mesh.vertices, mesh.faces, texture=Texture(image, coordinates.astype(np.float32), mesh.faces))


def rasterising(mesh: Mesh) -> Renderer:
    return Renderer(mesh, ZBuffer(mesh.vertices, mesh.faces))


def picture(mesh: Mesh, kind: str, camera: Camera, size: int = 96, **more: object) -> np.ndarray:
    return rasterising(mesh).render(camera, size, size, look=Look(kind, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mesh", [ball(4), textured(), box()], ids=["ball", "textured", "box"])
def test_a_rasterised_picture_is_that_of_rays(mesh: Mesh, kind: str) -> None:
    look = Look(kind, nearest=3.0, farthest=5.0)  # type: ignore[arg-type]
    for camera in (orbit(33, 20), orbit(200, -70).cropped(0.3, 0.2, 0.5, 0.6)):
        rays = Renderer(mesh).render(camera, 150, 110, 3, look=look).astype(int)
        drawn = rasterising(mesh).render(camera, 150, 110, 3, look=look).astype(int)
        difference = np.abs(rays - drawn).max(axis=2)
        assert (difference > 1).mean() < 0.001  # single samples on edges
        assert (difference > 40).sum() == 0
        frame = rasterising(mesh).render(camera, 150, 110, 3, adaptive=True, look=look).astype(int)
        assert (frame[..., 3] == drawn[..., 3]).all()
        assert np.abs(frame - drawn).mean() < 0.1
        assert np.abs(frame - drawn).max() <= 5


@pytest.mark.parametrize("samples", [1, 2, 4, 5])
def test_frames_have_the_same_edges_with_any_number_of_samples(samples: int) -> None:
    for mesh in (ball(4), textured()):
        full, frame = (
            rasterising(mesh).render(orbit(33, 20), 150, 110, samples, adaptive).astype(int)
            for adaptive in (False, True)
        )
        assert (frame[..., 3] == full[..., 3]).all()
        assert np.abs(frame - full).max() <= (0 if samples < 3 else 10)  # half of what points may differ by


def test_nothing_is_lost_behind_or_through_a_face() -> None:
    """Open and inverted surfaces, one behind another, in every order: what the nearest point of each ray shows."""
    random, squares = np.random.default_rng(3), []
    for depth in random.permutation(np.linspace(-0.6, 0.6, 12)):
        corners = np.array([[depth, y, z] for y, z in ((-0.4, -0.4), (0.4, -0.4), (0.4, 0.4), (-0.4, 0.4))])
        squares.append(corners + np.array([0, *random.uniform(-0.4, 0.4, 2)]))
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    faces = np.concatenate([(halves if n % 2 else halves[:, ::-1]) + 4 * n for n in range(len(squares))])
    colours = np.repeat(random.integers(0, 255, (len(squares), 3)), 4, axis=0).astype(np.uint8)
    mesh = Mesh(np.concatenate(squares).astype(np.float32), faces.astype(np.int32), colours)
    for azimuth in (0, 180, 35):
        rays = Renderer(mesh).render(orbit(azimuth, 10), 120, 120).astype(int)
        drawn = rasterising(mesh).render(orbit(azimuth, 10), 120, 120).astype(int)
        assert (np.abs(rays - drawn).max(axis=2) > 1).mean() < 0.001


def test_bands_do_not_change_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, camera = textured(), orbit(10, 5)
    whole = rasterising(mesh).render(camera, 300, 90, 3, adaptive=True)
    monkeypatch.setattr("meshcli.rendering.z_buffer.BAND_POINTS", 10_000)  # bands of three pixels
    assert (rasterising(mesh).render(camera, 300, 90, 3, adaptive=True) == whole).all()


def test_a_camera_inside_the_object_sees_it_by_rays() -> None:
    mesh, camera = ball(3), orbit(0, 0, 0.3)
    empty, paint = np.zeros((20, 20, 4), np.uint8), Surface(mesh).paint(Look(), camera, 20, 3)
    assert not ZBuffer(mesh.vertices, mesh.faces).draw(camera, empty, 3, False, paint)
    assert empty.max() == 0
    seen = rasterising(mesh).render(camera, 20, 20)
    assert (seen == Renderer(mesh).render(camera, 20, 20)).all()
    assert (seen[..., 3] == 255).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_and_two_threads_give_the_same_frames(kind: str) -> None:
    cameras = [orbit(azimuth, 15) for azimuth in range(0, 360, 60)]
    before, frames = numba.get_num_threads(), []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            frames.append(list(rasterising(textured()).frames(cameras, 64, 64, look=Look(kind))))  # type: ignore[arg-type]
    finally:
        numba.set_num_threads(before)
    assert all((a == b).all() for a, b in zip(*frames, strict=True))


AXES = {  # azimuth and elevation of a camera -> the normal of the box's face in the middle, in the world
    (0, 0): (1, 0, 0),
    (90, 0): (0, 1, 0),
    (180, 0): (-1, 0, 0),
    (0, 90): (0, 0, 1),
    (0, -90): (0, 0, -1),
}


@pytest.mark.parametrize(("side", "normal"), AXES.items())
def test_normals_of_a_box(side: tuple[float, float], normal: tuple[int, int, int]) -> None:
    world = picture(box(), "normals", orbit(*side), normal_space="world")[48, 48]
    assert np.abs(world - np.array([*(127.5 * (1 + axis) for axis in normal), 255])).max() <= 0.5
    facing = picture(box(), "normals", orbit(*side))[48, 48]
    assert tuple(facing) == (128, 128, 255, 255)


def test_normals_of_slanted_faces_are_right_and_up_in_the_camera() -> None:
    seen = picture(box(), "normals", orbit(45, 0), 96)
    half = np.sqrt(0.5)
    left, right = seen[48, 40] / 127.5 - 1, seen[48, 56] / 127.5 - 1  # faces +x and +y
    assert left[:3] == pytest.approx([-half, 0, half], abs=0.01)
    assert right[:3] == pytest.approx([half, 0, half], abs=0.01)
    above = picture(box(1, 1, 0.2), "normals", orbit(0, 45), 96)[48, 48] / 127.5 - 1
    assert above[:3] == pytest.approx([0, half, half], abs=0.01)


def test_the_back_of_an_open_surface_faces_the_viewer_too() -> None:
    square = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]], np.float32)
    mesh = Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    assert tuple(picture(mesh, "normals", orbit(180, 0))[48, 48]) == (128, 128, 255, 255)
    front, back = (picture(mesh, "clay", orbit(azimuth, 0))[48, 48] for azimuth in (0, 180))
    assert (front == back).all()


def test_the_depth_of_a_plane() -> None:
    plane = np.array([[0.25, -9, -9], [0.25, 9, -9], [0.25, 9, 9], [0.25, -9, 9]], np.float32)
    depth = rasterising(Mesh(plane, np.array([[0, 1, 2], [0, 2, 3]], np.int32))).depth(orbit(0, 0), 60, 40)
    assert np.abs(depth - 3.75).max() < 1e-3  # along the viewing direction: the same everywhere
    slanted = rasterising(box()).depth(orbit(0, 90), 61, 61)
    assert slanted[30, 30] == pytest.approx(3.7, abs=1e-3)
    assert np.isinf(slanted[0, 0])


def test_depth_as_a_file() -> None:
    depth = np.array([[np.inf, 3.05], [4.95, 7.9]], np.float32)
    levels = depth_levels(7.9)
    assert (depth_levels(4.95), levels) == (8192.0, 8192.0)
    assert depth_levels(8.1) == 4096.0
    assert depth_levels(100_000.0) == 0.5
    file = Image.open(io.BytesIO(encode_depth(depth, levels)))
    values = np.asarray(file).astype(float)
    assert values[0, 0] == 0
    assert values.reshape(-1)[1:] / float(file.info["levels_per_unit"]) == pytest.approx([3.05, 4.95, 7.9], abs=1e-3)
    assert file.mode.startswith("I;16")


def test_the_area_of_a_mask() -> None:
    seen = picture(box(0.001, 0.8, 0.6), "mask", orbit(0, 0), 128)
    pixels = 128 * 1.866025 / 4.0  # of one world unit at distance 4
    assert seen[..., 3].sum() / 255 == pytest.approx(0.8 * 0.6 * pixels**2, rel=0.01)
    mask = np.asarray(Image.open(io.BytesIO(encode_still(seen, "mask"))))
    assert mask.shape == (128, 128)
    assert (mask == seen[..., 3]).all()


def test_wireframe_lines_lie_on_the_edges_over_clay() -> None:
    mesh, camera = box(0.001, 1.2, 1.2), orbit(0, 0)
    lines, clay = (picture(mesh, kind, camera, 200)[..., 0].astype(int) for kind in ("wireframe", "clay"))
    dark = lines < clay - 20
    assert lines[100, 100] < LINE_RED + 60  # on the diagonal
    assert (lines[130, 110], lines[70, 90]) == (clay[130, 110], clay[70, 90])  # inside the two triangles
    assert 0.01 < dark.sum() / (clay < 255).sum() < 0.1


def test_dense_wireframes_stay_lighter_than_their_lines() -> None:
    seen = picture(ball(6), "wireframe", orbit(0, 0), 64)  # 81,920 faces on 600 pixels
    inside = seen[..., 3] == 255
    assert seen[inside][:, 0].mean() > 90


def test_a_distance_is_kept() -> None:
    near, usual = (
        MeshPictures(ball(3), RenderSettings(size=64, samples=1, distance=distance)).stills("mask")["front"]
        for distance in (8.0, 0.0)
    )
    ratio = np.sqrt((usual[..., 3] > 0).sum() / (near[..., 3] > 0).sum())
    assert ratio == pytest.approx(np.sqrt((8.0**2 - 0.64) / (4.0**2 - 0.64)), rel=0.05)


def test_stills_from_given_azimuths() -> None:
    show = MeshPictures(ball(3), RenderSettings(size=48, samples=1, azimuths=(0.0, 22.5, -60.0, 300.0), elevation=30.0))
    assert list(show.stills()) == ["azimuth-000", "azimuth-022.5", "azimuth-300"]
    camera = show.still_cameras["azimuth-022.5"]
    assert (camera.azimuth, camera.elevation) == (pytest.approx(22.5), pytest.approx(30.0))

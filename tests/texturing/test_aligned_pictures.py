from dataclasses import replace

import numba
import numpy as np
import pytest

from helpers.painted_ball import ball
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.texturing.aligned_pictures import AlignedPictures, align_pictures
from meshcli.texturing.registration import moved
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.view import View

SIDE = 112  # pixels of the views; the photos have twice as many


def spotted() -> Mesh:
    """A body without symmetry, with spots."""
    body = ball(4)
    x, y, z = body.vertices.T * 9.0
    waves = np.stack([np.sin(x + z) * np.cos(y), np.sin(y + 1.0) * np.cos(z - x), np.sin(z) * np.cos(x + 2.0)], axis=-1)
    stretched = np.asarray(body.vertices * np.array([1.0, 0.7, 0.85]), np.float32)
    return Mesh(stretched, body.faces, np.rint(127.5 + 90.0 * waves).astype(np.uint8))


@pytest.fixture(scope="module")
def pictures() -> list[View]:
    """Photos a (whose camera is wrong) and b (too dark), z (another thing), and six views, c0 moved by 2 pixels."""
    mesh = spotted()
    renderer, other = Renderer(mesh), Renderer(replace(mesh, colours=mesh.colours[::-1], vertices=mesh.vertices / 2))
    photos = []
    for name, azimuth in (("a", 0.0), ("b", 50.0), ("z", 200.0)):
        camera = orbit(azimuth, 10.0, known="given")
        source = other if name == "z" else renderer
        photos.append(View(name, source.render(camera, 2 * SIDE, 2 * SIDE, 2), camera))
    wrong = np.array([*np.radians([1.0, -1.5, 0.5]), 0.01, -0.01, 0.02])
    photos[0] = replace(photos[0], camera=moved(photos[0].camera, np.zeros(3), wrong))
    dark = photos[1].pixels.copy()
    dark[..., :3] = np.rint(dark[..., :3] * 0.85)
    photos[1] = replace(photos[1], pixels=dark)
    views = [
        View(f"c{i}", renderer.render(camera, SIDE, SIDE, 3), camera) for i, camera in enumerate(zero123plus_rig())
    ]
    views[0] = replace(views[0], pixels=np.roll(views[0].pixels, 2, axis=1))
    return [*photos, *views]


@pytest.fixture(scope="module")
def aligned(pictures: list[View]) -> AlignedPictures:
    return align_pictures(spotted(), pictures, silent, photos=("a", "b", "z"), fixed=("c4",))


def test_what_does_not_fit_is_left_out(aligned: AlignedPictures, pictures: list[View]) -> None:
    assert aligned.left_out == ["z"]
    assert [view.name for view in aligned.pictures] == ["a", "b", "c0", "c1", "c2", "c3", "c4", "c5"]
    assert [report.name for report in aligned.report()] == [view.name for view in pictures]


def test_pictures_keep_their_sizes_and_fixed_ones_everything(aligned: AlignedPictures, pictures: list[View]) -> None:
    given = {view.name: view for view in pictures}
    assert all(view.pixels.shape == given[view.name].pixels.shape for view in aligned.pictures)
    assert next(view for view in aligned.pictures if view.name == "c4") is given["c4"]
    assert all(view.camera == given[view.name].camera for view in aligned.pictures if view.name[0] == "c")


def test_a_wrong_camera_a_moved_view_and_a_dark_photo_are_mended(aligned: AlignedPictures) -> None:
    found = {report.name: report for report in aligned.report()}
    assert found["a"].turn == pytest.approx(np.degrees(np.linalg.norm(np.radians([1.0, -1.5, 0.5]))), abs=0.5)
    assert found["a"].zoom == pytest.approx(1 / np.exp(0.02), abs=0.004)
    assert found["a"].after.detail > max(0.9, found["a"].before.detail)
    assert found["c0"].after.detail > found["c0"].before.detail + 0.05
    assert found["c0"].mean_flow > 1.0 > found["c2"].mean_flow
    assert all(report.after.psnr > report.before.psnr - 0.1 for name, report in found.items() if name != "z")
    assert found["b"].gains[1] / found["a"].gains[1] > 1.1


def test_photos_are_not_bent_where_a_wrong_body_sets_them_at_odds(pictures: list[View]) -> None:
    """Views are: of a body that is too narrow, no picture fits the others."""
    mesh = spotted()
    narrow = replace(mesh, vertices=mesh.vertices * np.array([0.9, 1.0, 1.0], np.float32))
    renderer = Renderer(mesh)
    cameras = [orbit(azimuth, 10.0, known="given") for azimuth in (0.0, 50.0)]
    photos = [
        View(name, renderer.render(camera, SIDE, SIDE, 2), camera) for name, camera in zip("ab", cameras, strict=True)
    ]
    aligned = align_pictures(narrow, [*photos, *pictures[3:]], silent, photos=("a", "b"))
    flows = {report.name: report.largest_flow for report in aligned.report()}
    assert flows["a"] == flows["b"] == 0.0
    assert min(flow for name, flow in flows.items() if name not in "ab") > 0.3
    for before, after in zip(photos, aligned.pictures, strict=False):
        assert np.array_equal(before.pixels[..., 3], after.pixels[..., 3])


@pytest.mark.slow
def test_the_result_does_not_depend_on_threads(aligned: AlignedPictures, pictures: list[View]) -> None:
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        again = align_pictures(spotted(), pictures, silent, photos=("a", "b", "z"), fixed=("c4",))
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(aligned.pictures, again.pictures, strict=True):
        assert one.camera == other.camera
        assert (one.pixels == other.pixels).all()


def test_one_picture_alone_and_none_stay(pictures: list[View]) -> None:
    mesh = spotted()
    assert align_pictures(mesh, [], silent).pictures == []
    alone = align_pictures(mesh, pictures[5:6], silent)
    assert (alone.pictures[0].pixels == pictures[5].pixels).all()
    assert alone.left_out == []

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from helpers.painted_ball import ball, ball_views
from helpers.rendering import render_picture
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.simplify import _without_duplicates, simplify
from meshcli.pictures.image import over
from meshcli.progress import silent
from meshcli.settings import TextureSettings
from meshcli.texturing import atlas
from meshcli.texturing.atlas import unwrap
from meshcli.texturing.bake import bake

SMALL = TextureSettings(size=256)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(((a.astype(float) - b) / 255) ** 2)))


@pytest.fixture(scope="module")
def baked() -> Mesh:
    return bake(simplify(ball(5), 2000), ball_views(), SMALL, silent)


def test_simplify_keeps_closed_meshes_closed_and_colours_in_place() -> None:
    small = simplify(ball(5), 2000)
    assert len(small.faces) == pytest.approx(2000, abs=20)
    body = trimesh.Trimesh(small.vertices, small.faces, process=False)
    assert body.is_watertight
    assert body.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)
    assert (small.vertices.dtype, small.faces.dtype) == (np.float32, np.int32)
    before, after = (over(render_picture(mesh, ball_views()[0].camera, 80, 80)) for mesh in (ball(5), small))
    assert psnr(before, after) > 24


def test_an_atlas_ends_when_its_threads_have_long_been_asleep() -> None:
    kept = []
    for count in (60, 80):
        unwrap(simplify(ball(5), count), 64)
        kept += atlas.LAST_ATLAS
    assert len(kept) == 2
    assert kept[0] is not kept[1]
    assert kept[1:] == atlas.LAST_ATLAS


def test_faces_that_lie_back_to_back_go() -> None:
    flap = np.array([[0, 1, 50], [1, 0, 50]])
    faces = np.concatenate([ball(2).faces, flap, flap + 60])
    assert (_without_duplicates(faces) == ball(2).faces).all()


def test_few_faces_stay_as_they_are() -> None:
    assert (simplify(ball(2), 5000).vertices == ball(2).vertices).all()


def test_a_textured_mesh_looks_like_its_pictures(baked: Mesh) -> None:
    view = ball_views()[3]
    textured = over(render_picture(baked, view.camera, view.width, view.height, samples=2))
    plain = over(render_picture(replace(baked, texture=None), view.camera, view.width, view.height, samples=2))
    assert psnr(textured, over(view.pixels)) > 29
    assert psnr(textured, over(view.pixels)) > psnr(plain, over(view.pixels)) + 3  # the texture carries the detail


def test_the_map_fits_the_picture_and_does_not_overlap(baked: Mesh) -> None:
    assert baked.texture is not None
    corners = baked.texture.coordinates[baked.texture.faces].astype(float)
    assert corners.min() >= 0
    assert corners.max() <= 1
    sides = np.abs(np.linalg.det(np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1)))
    owner = np.full((1024, 1024), -1, np.int32)
    atlas._rasterise_charts(corners, owner)
    assert (owner >= 0).mean() == pytest.approx(0.5 * sides.sum(), rel=0.01)  # every texel is counted once
    assert 0.5 * sides.sum() > 0.5


@pytest.mark.slow
def test_every_texel_is_painted(baked: Mesh) -> None:
    def white(view):
        return replace(view, pixels=np.where([1, 1, 1, 0], 250, view.pixels).astype(np.uint8))

    image = bake(simplify(ball(4), 1000), [white(view) for view in ball_views()], SMALL, silent).texture.image
    assert image.min() >= 248


@pytest.mark.slow
def test_baking_twice_gives_the_same(baked: Mesh) -> None:
    again = bake(simplify(ball(5), 2000), ball_views(), SMALL, silent)
    assert (again.texture.image == baked.texture.image).all()
    assert (again.texture.coordinates == baked.texture.coordinates).all()


def test_unwrap_gives_every_corner_a_place() -> None:
    coordinates, rows = unwrap(ball(3), 128)
    assert rows.shape == ball(3).faces.shape
    assert rows.max() == len(coordinates) - 1
    assert (coordinates.dtype, rows.dtype) == (np.float32, np.int32)

"""The example's pictures, cameras and mesh belong together."""

import json
from itertools import combinations
from pathlib import Path

import desk_model
import numpy as np
import pytest
from PIL import Image

from helpers.rendering import render_picture
from meshcli.meshes.mesh import Mesh
from meshcli.views.camera import Camera


@pytest.fixture(scope="module")
def desk() -> Mesh:
    return desk_model.true_mesh()


def test_the_desk_fills_our_world(desk: Mesh) -> None:
    np.testing.assert_allclose(desk.vertices.min(0), -desk.vertices.max(0), atol=1e-6)
    assert np.linalg.norm(desk.vertices, axis=1).max() == pytest.approx(desk_model.RADIUS, abs=1e-6)


def test_cameras_are_written_as_they_are() -> None:
    table = json.loads((desk_model.FOLDER / "cameras.json").read_text())
    assert table["meshcli"] == 1
    assert [photo["file"] for photo in table["photos"]] == ["1.png", "2.png", "3.png"]
    assert [Camera.from_json(photo["camera"]) for photo in table["photos"]] == desk_model.cameras()


def test_no_two_cameras_are_a_multiple_of_60_degrees_apart() -> None:
    for one, other in combinations(desk_model.cameras(), 2):
        assert 2.0 < (one.azimuth - other.azimuth) % 60.0 < 58.0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_pictures_were_taken_with_these_cameras(desk: Mesh, number: int) -> None:
    with Image.open(desk_model.FOLDER / f"{number}.png") as picture:
        assert picture.mode == "RGBA"
        ours = np.asarray(picture.resize((400, 400), Image.Resampling.BOX))[..., 3] >= 128
    truth = render_picture(desk, desk_model.cameras()[number - 1], 400, 400, samples=2)[..., 3] >= 128
    assert np.logical_and(ours, truth).sum() / np.logical_or(ours, truth).sum() > 0.99


def test_every_piece_faces_outwards() -> None:
    model = desk_model.build()
    vertices, faces = np.concatenate(model.vertices), np.concatenate(model.faces)
    pieces = np.concatenate(model.board)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volumes = np.bincount(pieces, np.einsum("nc,nc->n", a, np.cross(b, c)) / 6.0)
    assert (volumes > 0.0).all()


def test_the_photos_are_small_enough_to_clone() -> None:
    sizes = [path.stat().st_size for path in Path(desk_model.FOLDER).glob("*.png")]
    assert len(sizes) == 3
    assert max(sizes) < 600_000

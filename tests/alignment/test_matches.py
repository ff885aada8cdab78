"""Features of two photos on a body: painted cubes seen from two sides."""

import numpy as np
import pytest

from meshcli.alignment.matches import Features, count_consistent, find_features, match
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.raycasting import Scene
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import orbit
from meshcli.views.view import View


def painted_ball() -> Mesh:
    """A ball with patches of random colours, which look like themselves from any side."""
    import trimesh

    body = trimesh.creation.icosphere(6, 0.9)
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(150, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    nearest = (body.vertices @ centres.T).argmax(axis=1)
    colours = generator.integers(0, 255, (150, 3))[nearest]
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours.astype(np.uint8))


@pytest.fixture(scope="module")
def pair() -> tuple[Features, Features]:
    """Photo b is 30 degrees after a."""
    mesh = painted_ball()
    renderer, scene = Renderer(mesh), Scene(mesh.vertices, mesh.faces)
    seen = [renderer.render(orbit(azimuth, 0.0), 384, 384, samples=2) for azimuth in (0.0, 30.0)]
    a, b = (find_features(View("p", pixels, orbit(0.0, 0.0)), scene, mesh.vertices, mesh.faces) for pixels in seen)
    return a, b


def test_matches_agree_with_the_right_rotation_alone(pair: tuple[Features, Features]) -> None:
    a, b = pair
    shared = match(a, b)
    assert len(shared) > 20
    rotations = np.arange(0.0, 360.0, 30.0)
    counts = count_consistent(a, b, shared, rotations, 1.0)
    assert rotations[counts.argmax()] == 30.0
    assert counts.max() > len(shared)  # most of them from both sides
    assert sorted(counts)[-2] < 0.4 * counts.max()


def test_the_order_of_the_photos_turns_the_sign(pair: tuple[Features, Features]) -> None:
    a, b = pair
    rotations = np.arange(0.0, 360.0, 30.0)
    assert rotations[count_consistent(b, a, match(b, a), rotations, 1.0).argmax()] == 330.0


def test_a_photo_without_features_matches_nothing(pair: tuple[Features, Features]) -> None:
    mesh = painted_ball()
    plain = np.full((384, 384, 4), (120, 120, 120, 255), np.uint8)
    features = find_features(
        View("p", plain, orbit(0.0, 0.0)), Scene(mesh.vertices, mesh.faces), mesh.vertices, mesh.faces
    )
    assert len(features.positions) == 0
    assert len(match(features, pair[0])) == 0

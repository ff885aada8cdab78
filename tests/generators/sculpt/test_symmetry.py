"""Sides that no photo shows follow a mirror plane; where the photos say otherwise, they do not."""

import re
from functools import cache

import numpy as np
import pytest
import trimesh

from meshcli.alignment.mirror_symmetry import MirrorSymmetry
from meshcli.generators.sculpt import assumptions
from meshcli.generators.sculpt.sculpt import Sculpture, sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

pytestmark = pytest.mark.slow

FIT = FitSettings(resolutions=(40,), steps=(1,), rays=3000)


def part(mesh: trimesh.Trimesh, x: float, y: float, z: float) -> trimesh.Trimesh:
    return mesh.apply_transform(trimesh.transformations.translation_matrix((x, y, z)))


def chair() -> list[trimesh.Trimesh]:
    """Its back is at -y: left and right are alike, front and back are not."""
    box = trimesh.creation.box
    legs = [part(box((0.12, 0.12, 0.6)), x, y, -0.4) for x in (-0.35, 0.35) for y in (-0.35, 0.35)]
    return [part(box((0.85, 0.85, 0.15)), 0, 0, 0), part(box((0.85, 0.15, 0.7)), 0, -0.35, 0.35), *legs]


def desk() -> list[trimesh.Trimesh]:
    """Its low counter is on one side and stands out in front."""
    return [
        part(trimesh.creation.box((0.5, 0.9, 0.8)), 0, -0.25, 0),
        part(trimesh.creation.box((0.8, 0.5, 0.5)), 0.15, 0.45, -0.15),
    ]


def painted(parts: list[trimesh.Trimesh]) -> Mesh:
    """In stripes along z."""
    body = trimesh.util.concatenate([each.subdivide_to_size(0.06) for each in parts])
    red = (np.sin(20.0 * body.vertices[:, 2]) > 0)[:, None]
    colours = np.where(red, [200, 60, 50], [230, 220, 210]).astype(np.uint8)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours)


@cache
def sculpted(name: str, symmetry: bool = True) -> Sculpture:
    """From three photos of the side at +x."""
    renderer = Renderer(painted(chair() if name == "chair" else desk()))
    photos = []
    for letter, azimuth in zip("abc", (0.0, 45.0, -45.0), strict=True):
        camera = orbit(azimuth, 10.0, known="rig")
        photos.append(View(letter, renderer.render(camera, 160, 160), camera))
    settings = SculptSettings(view_size=64, relief=80, symmetry=symmetry, fit_resolutions=(24, 40), fit_steps=(60, 40))
    return sculpt(photos, settings, FIT, [0, 1, 2], silent)


def outline_error(made: Sculpture, azimuth: float) -> float:
    """Share of the object's outline from one side that is wrong."""
    camera = orbit(azimuth, 10.0)
    true, ours = (Renderer(mesh).render(camera, 160, 160)[..., 3] >= 128 for mesh in (painted(chair()), made.mesh))
    return float((true != ours).sum() / true.sum())


def test_the_far_side_of_a_chair_follows_the_near_one() -> None:
    far = (120.0, 150.0, 180.0, 210.0, 240.0)
    with_planes, without = (
        np.mean([outline_error(sculpted("chair", symmetry), azimuth) for azimuth in far]) for symmetry in (True, False)
    )
    assert with_planes < 0.75 * without


@pytest.mark.parametrize("azimuth", [0.0, 45.0, -45.0])
def test_the_near_side_stays_as_the_photos_show_it(azimuth: float) -> None:
    with_planes, without = (outline_error(sculpted("chair", symmetry), azimuth) for symmetry in (True, False))
    assert with_planes < without + 0.03


def test_the_plane_is_told_with_its_confidence() -> None:
    told = [note for note in sculpted("chair").notes if "mirror-symmetric" in note]
    assert len(told) == 1
    azimuth, percent = re.search(r"at azimuth (\d+) \((\d+)% of the outlines agree\)", told[0]).groups()
    assert abs(int(azimuth) - 90) <= 1
    assert int(percent) >= 95


@pytest.mark.parametrize(("name", "symmetry"), [("chair", False), ("desk", True)])
def test_nothing_is_told_where_nothing_is_assumed(name: str, symmetry: bool) -> None:
    assert not any("mirror" in note for note in sculpted(name, symmetry).notes)


def test_a_desk_with_its_low_counter_on_one_side_is_sculpted_from_the_photos_alone() -> None:
    one, other = sculpted("desk").mesh, sculpted("desk", symmetry=False).mesh
    assert np.array_equal(one.vertices, other.vertices)


def test_the_unseen_side_has_the_colours_of_its_mirror_image() -> None:
    """The stripes go on where no photo looks; left unseen, the side would be plain."""
    renderer = Renderer(sculpted("chair").mesh)
    near, far = (renderer.render(orbit(azimuth, 0.0), 160, 160) for azimuth in (0.0, 180.0))
    contrast = [float(view[..., 1][view[..., 3] >= 128].std()) for view in (near, far)]
    assert contrast[1] > 0.6 * contrast[0]


def test_doors_are_not_taken_to_the_back_of_a_cabinet_from_photos_of_its_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outlines are the same in front and behind, and its ends are of one paint; nobody has seen the back."""
    plane = MirrorPlane(np.array([1.0, 0.0, 0.0]), 0.0, 1.0)
    monkeypatch.setattr(assumptions, "find_mirror_symmetry", lambda *_: MirrorSymmetry((plane,)))
    body = trimesh.creation.box((0.8, 1.0, 1.1)).subdivide_to_size(0.03)
    x, y, z = body.vertices.T
    door = (x > 0.39) & (np.abs(np.abs(y) - 0.22) < 0.15) & (np.abs(z) < 0.4)
    colours = np.where(door[:, None], [120, 50, 30], [205, 200, 190]).astype(np.uint8)
    renderer = Renderer(Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours))
    photos = []
    for letter, azimuth in zip("abc", (0.0, 60.0, -60.0), strict=True):
        camera = orbit(azimuth, 10.0, known="aligned")
        photos.append(View(letter, renderer.render(camera, 160, 160), camera))
    settings = SculptSettings(view_size=64, relief=80, hull_resolution=64)
    made = sculpt(photos, settings, FIT, [0, 1, 2], silent)
    assert any("mirror-symmetric" in note for note in made.notes)
    pictures = [Renderer(made.mesh).render(orbit(azimuth, 0.0), 160, 160) for azimuth in (0.0, 180.0)]
    doors = [float((picture[picture[..., 3] >= 250][:, 1] < 110).mean()) for picture in pictures]
    assert doors[0] > 0.15
    assert doors[1] < 0.01
    assert made.planes == ()


def test_planes_across_which_paint_is_taken_over_come_with_the_body() -> None:
    (plane,) = sculpted("chair").planes
    assert abs(plane.normal[0]) > 0.99
    assert sculpted("desk").planes == ()

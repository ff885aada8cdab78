"""A mesh in any frame is found among the views, or it is said that it cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from helpers.odd_shape import foreign, odd_shape, odd_views, y_up
from meshcli.alignment.mesh_placement import place, placed, start_axes
from meshcli.alignment.mesh_silhouettes import ViewMasks
from meshcli.alignment.similarity import Similarity, angle_between
from meshcli.meshes.mesh import Mesh, face_normals
from meshcli.rendering.renderer import Renderer
from meshcli.settings import PlacementSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View


def volume(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    return float((corners.mean(axis=1) * face_normals(mesh.vertices, mesh.faces)).sum() / 6.0)


def test_silhouettes_of_a_mesh_are_those_that_the_renderer_draws() -> None:
    views = odd_views()
    masks = ViewMasks(views, 96)
    renderer = Renderer(odd_shape())
    for covered, view in zip(masks.of_mesh(odd_shape().vertices, odd_shape().faces), views, strict=True):
        drawn = renderer.render(view.camera, 96, 96, samples=1)[..., 3] > 0
        assert (covered.astype(bool) != drawn).mean() < 1e-3
    assert masks.overlaps(odd_shape().vertices, odd_shape().faces).min() > 0.95


@pytest.mark.parametrize("mirrored", [False, True])
def test_axes_yaw_units_and_handedness_are_found(mirrored: bool) -> None:
    mesh, truth = foreign(odd_shape(), y_up(33.0, mirrored), 250.0, (1000.0, -20.0, 7.0))
    found = place(mesh, odd_views(), PlacementSettings(up="y", front="z"), lambda share: None)
    assert found.overlap > 0.97 > found.before
    assert found.similarity.mirrored == mirrored
    assert angle_between(found.similarity.axes, truth.axes) < 1.0
    assert found.similarity.scale == pytest.approx(truth.scale, rel=0.01)
    assert np.abs(found.similarity.apply(mesh.vertices) - odd_shape().vertices).max() < 0.03
    assert found.decided_by in ("silhouettes", "colours")
    assert volume(placed(mesh, found.similarity)) == pytest.approx(volume(odd_shape()), rel=0.03)


@pytest.mark.slow
def test_nothing_need_be_known_about_the_axes() -> None:
    axes = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]) @ y_up(71.0, mirrored=False)
    mesh, truth = foreign(odd_shape(), axes, 0.02, (0.0, 5.0, 7.0))
    found = place(mesh, odd_views(), PlacementSettings(), lambda share: None)
    assert found.similarity.mirrored == truth.mirrored
    assert angle_between(found.similarity.axes, truth.axes) < 1.0


def test_twins_are_told_apart_by_colours_and_else_doubted() -> None:
    # A box that is open on one side: silhouettes do not show on which.
    plates = [((1.0, 0.3, 1.0), (0.0, -0.25, 0.0), 200), ((0.1, 0.5, 1.0), (-0.45, 0.15, 0.0), 60)]
    plates += [((0.1, 0.5, 1.0), (0.45, 0.15, 0.0), 60), ((1.0, 0.5, 0.1), (0.0, 0.15, -0.45), 60)]
    plates += [((1.0, 0.5, 0.1), (0.0, 0.15, 0.45), 60)]
    parts = [trimesh.creation.box(size).apply_translation(place) for size, place, _ in plates]
    whole = trimesh.util.concatenate(parts)
    red = np.repeat([value for _, _, value in plates], 8)
    colours = np.stack([red, np.full(len(red), 60), np.full(len(red), 60)], axis=1).astype(np.uint8)
    tray = Mesh(np.array(whole.vertices, np.float32), np.array(whole.faces, np.int32), colours)
    renderer = Renderer(tray)
    views = [View(f"a{i}", renderer.render(c, 96, 96, samples=2), c) for i, c in enumerate(zero123plus_rig())]
    mirrored = replace(tray, vertices=tray.vertices * np.float32([1.0, -1.0, 1.0]))
    settings = PlacementSettings(up="z", front="x")
    coloured = place(mirrored, views, settings, lambda share: None)
    assert coloured.similarity.mirrored
    assert coloured.decided_by == "colours"
    assert abs(coloured.runner_up_overlap - coloured.overlap) < 0.02
    plain = place(replace(mirrored, colours=None), views, settings, lambda share: None)
    assert plain.decided_by == "nothing"
    assert plain.runner_up is not None
    assert plain.runner_up.mirrored != plain.similarity.mirrored


def test_what_is_stated_about_axes_limits_the_starts() -> None:
    assert len(start_axes(PlacementSettings())) == 48 * 9
    stated = start_axes(PlacementSettings(up="-y", front="z", mirror="yes"))
    assert len(stated) == 9
    for axes in stated:
        assert np.allclose(axes @ axes.T, np.eye(3))
        assert np.linalg.det(axes) < 0.0
        assert np.allclose(axes[2], (0.0, -1.0, 0.0))
        assert axes[0][2] > 0.7


def test_a_similarity_goes_before_another_frame() -> None:
    axes = y_up(20.0, False)
    similarity = Similarity(axes, 2.0, np.array([1.0, 2.0, 3.0]))
    points, centre = np.random.default_rng(0).normal(size=(5, 3)), np.array([4.0, 5.0, 6.0])
    assert np.allclose(similarity.before(0.1, centre).apply(points), similarity.apply(0.1 * (points - centre)))

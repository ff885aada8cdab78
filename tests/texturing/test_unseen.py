"""Colours of what no picture sees: mirror images, plain material, and what they must not be."""

import numpy as np
import pytest
import trimesh

from meshcli.meshes.colouring import BlendedColours
from meshcli.meshes.colouring import fill_unseen as harmonic_fill
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.texturing.unseen import Source, coverage, fill_unseen

SIDEWAYS = MirrorPlane(np.array([0.0, 1.0, 0.0]), 0.0, 1.0)


def ball(fineness: int = 4) -> Mesh:
    body = trimesh.creation.icosphere(fineness, radius=0.8)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32))


def seen_where(mask: np.ndarray, colours: np.ndarray, weight: np.ndarray | float = 1.0) -> BlendedColours:
    weights = np.where(mask, weight, 0.0).astype(np.float32)
    return BlendedColours(np.where(mask[:, None], colours, 0.0).astype(np.float32), weights)


def pattern(points: np.ndarray) -> np.ndarray:
    """Bands over a gradient, the same at y and -y."""
    x, y, z = points.T
    bands = 50.0 * np.sin(9.0 * z + 4.0 * np.abs(y))
    return np.stack([130.0 + bands, 120.0 + 60.0 * x, 110.0 - bands], axis=-1)


def test_what_is_unseen_takes_its_mirror_image() -> None:
    body = ball()
    left = body.vertices[:, 1] < -0.1
    truth = pattern(body.vertices)
    filled = fill_unseen(body.vertices, body.faces, seen_where(~left, truth), SIDEWAYS)
    assert (filled.source == np.where(left, Source.MIRRORED, Source.SEEN)).all()
    assert np.abs(filled.values - truth).mean() < 1.0
    without = fill_unseen(body.vertices, body.faces, seen_where(~left, truth))
    assert (without.source[left] == Source.CONTINUED).all()
    assert np.abs(without.values - truth)[left].mean() > 15.0


def test_a_plane_beside_the_origin_mirrors_about_itself() -> None:
    body = ball()
    moved = body.vertices + np.float32([0.0, 0.3, 0.0])
    left = body.vertices[:, 1] < -0.1
    plane = MirrorPlane(np.array([0.0, -1.0, 0.0]), -0.3, 1.0)
    truth = pattern(body.vertices)
    filled = fill_unseen(moved, body.faces, seen_where(~left, truth), plane)
    assert (filled.source[left] == Source.MIRRORED).all()
    assert np.abs(filled.values - truth).mean() < 1.0


def test_mirror_images_are_levelled_to_the_light_beside_them() -> None:
    body = ball()
    y = body.vertices[:, 1]
    truth = pattern(body.vertices) * np.where(y < 0.0, 0.7, 1.0)[:, None]  # lit from the right
    filled = fill_unseen(body.vertices, body.faces, seen_where(y > -0.3, truth), SIDEWAYS)
    rim = (y < -0.3) & (y > -0.5)
    assert (filled.source[rim] == Source.MIRRORED).all()
    assert np.abs(filled.values - truth)[rim].mean() < 8.0
    assert np.abs(truth[rim] * (1.0 / 0.7 - 1.0)).mean() > 30.0  # the seam without levelling
    assert filled.gain[rim] == pytest.approx(0.7, abs=0.1)
    assert (filled.gain[y > -0.3] == 1.0).all()


def test_other_paint_beside_a_mirror_image_does_not_dye_it() -> None:
    body = ball()
    y = body.vertices[:, 1]
    grey, orange = np.array([180.0, 180.0, 180.0]), np.array([200.0, 110.0, 20.0])
    truth = np.where((y < 0.0)[:, None], orange, grey)
    filled = fill_unseen(body.vertices, body.faces, seen_where(y > -0.3, truth), SIDEWAYS)
    far = y < -0.5
    assert np.ptp(filled.values[far], axis=1).max() < 5.0  # as grey as its mirror image
    assert np.abs(filled.values[far] - 180.0).max() < 30.0


def test_a_mirror_image_off_the_surface_is_not_taken() -> None:
    body = ball()
    left = body.vertices[:, 1] < -0.1
    aside = MirrorPlane(np.array([0.0, 1.0, 0.0]), 0.4, 1.0)
    filled = fill_unseen(body.vertices, body.faces, seen_where(~left, pattern(body.vertices)), aside)
    assert (filled.source[left] == Source.CONTINUED).all()


def test_a_dark_rim_does_not_spread() -> None:
    """What grazing views see along the outline is dark; behind it there is plain white."""
    body = ball(5)
    z = body.vertices[:, 2]
    dark = (z > 0.0) & (z < 0.06)
    white = np.array([225.0, 220.0, 210.0])
    colours = np.where(dark[:, None], 40.0, white)
    found = seen_where(z > 0.0, colours, np.where(dark, 0.012, 1.0))
    filled, harmonic = fill_unseen(body.vertices, body.faces, found), harmonic_fill(body.vertices, body.faces, found)
    assert (harmonic[z < -0.3] / white).max() < 0.4
    assert (filled.values[z < -0.3] / white).min() > 0.85
    assert filled.kept[dark].mean() < 0.5
    assert (filled.kept[z > 0.3] == 1.0).all()


def test_what_is_well_seen_is_kept_exactly() -> None:
    body = ball()
    top = body.vertices[:, 2] > 0.0
    truth = pattern(body.vertices)
    filled = fill_unseen(body.vertices, body.faces, seen_where(top, truth))
    assert np.abs(filled.values - truth)[top].max() < 2.0


def test_a_narrow_stripe_at_the_rim_becomes_no_streak() -> None:
    body = ball()
    x, y, z = body.vertices.T
    stripe = (np.abs(y) < 0.1) & (x > 0.0)
    truth = np.where(stripe[:, None], [30.0, 30.0, 35.0], [200.0, 60.0, 50.0])
    filled = fill_unseen(body.vertices, body.faces, seen_where(z > 0.0, truth))
    below = z < -0.5
    assert np.abs(filled.values[below] - [200.0, 60.0, 50.0]).mean() < 12.0


def test_a_small_hole_is_filled_smoothly() -> None:
    body = ball()
    x, _, z = body.vertices.T
    hole = (z > 0.0) & (np.hypot(x, body.vertices[:, 1]) < 0.15)
    truth = np.stack([120.0 + 90.0 * x, 100.0 + 0.0 * x, 140.0 - 60.0 * x], axis=-1)
    filled = fill_unseen(body.vertices, body.faces, seen_where(~hole, truth))
    assert np.abs(filled.values - truth)[hole].max() < 8.0


def test_thin_parts_keep_their_own_colour() -> None:
    """A rod seen from one side has nothing but a rim, and is not painted like the ball it stands on."""
    across, _, up = (body := ball()).vertices.T
    high = up > 0.4
    vertices = np.where(
        high[:, None], body.vertices * np.float32([0.1, 0.1, 1.0]) + np.float32([0, 0, 0.4]), body.vertices
    )
    faces = body.faces
    truth = np.where(high[:, None], [150.0, 80.0, 30.0], [230.0, 230.0, 230.0])
    front = across > 0.01
    filled = fill_unseen(vertices, faces, seen_where(front, truth))
    assert np.abs(filled.values - truth)[(up > 0.5) & ~front].max() < 15.0


def test_parts_seen_nowhere_take_the_colours_close_by_and_nothing_seen_is_grey() -> None:
    apart = trimesh.creation.box((0.1, 0.1, 0.1), trimesh.transformations.translation_matrix((1.2, 0, 0)))
    body = ball()
    vertices = np.concatenate([body.vertices, apart.vertices.astype(np.float32)])
    faces = np.concatenate([body.faces, apart.faces + len(body.vertices)])
    truth = np.where(vertices[:, :1] > 0.0, [200.0, 30.0, 30.0], [30.0, 30.0, 200.0])
    mask = np.arange(len(vertices)) < len(body.vertices)
    filled = fill_unseen(vertices, faces, seen_where(mask, truth))
    assert filled.values[~mask] == pytest.approx(np.tile([200.0, 30.0, 30.0], (8, 1)), abs=1)
    nothing = fill_unseen(vertices, faces, seen_where(~mask & mask, truth), SIDEWAYS)
    assert (nothing.values == 200.0).all()
    assert coverage(vertices, faces, nothing.source) == pytest.approx({"seen": 0, "mirrored": 0, "continued": 1})


def test_coverage_is_of_the_area() -> None:
    body = ball()
    y, z = body.vertices[:, 1], body.vertices[:, 2]
    found = seen_where((y > 0.0) & (z > 0.0), pattern(body.vertices))
    shares = coverage(body.vertices, body.faces, fill_unseen(body.vertices, body.faces, found, SIDEWAYS).source)
    assert shares == pytest.approx({"seen": 0.25, "mirrored": 0.25, "continued": 0.5}, abs=0.03)

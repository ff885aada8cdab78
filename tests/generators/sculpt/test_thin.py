"""One photo of something thin: every part of its silhouette is in the body, hangs together, and is about round."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from helpers.rendering import render_picture
from meshcli.alignment.silhouettes import BODY_LEVEL, align, recentre, silhouette_error
from meshcli.generators.sculpt.inflated_mesh import fine_grid, sculpt_one
from meshcli.generators.sculpt.sculpt import _outline_surface, sculpt
from meshcli.generators.sculpt.shape_prior import visual_hull_of
from meshcli.generators.sculpt.silhouette import MedialAxis, extent, medial_axis, without_specks
from meshcli.meshes.mesh import adjacency
from meshcli.pictures.image import frame_foreground
from meshcli.progress import silent
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

SIDE = 300  # pixels
LENGTH = 0.84  # of the picture
FINER = 3  # strokes are drawn larger and shrunk
QUICK = SculptSettings(view_size=96, relief=64, resolution=40)


def photo(strokes, thickness, azimuth=0.0, elevation=0.0, side=SIDE):
    """A framed photo of polylines, points (x, y) in 0 to 1 each, `thickness` of LENGTH wide with square ends."""
    picture = Image.new("L", (side * FINER, side * FINER))
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = np.array(stroke, float) * side * FINER
        for start, end in pairwise(points):
            along = (end - start) / np.linalg.norm(end - start)
            aside = np.array([-along[1], along[0]]) * thickness * LENGTH * side * FINER / 2
            pen.polygon([tuple(p) for p in (start + aside, end + aside, end - aside, start - aside)], fill=255)
        for x, y in points[1:-1]:
            half = thickness * LENGTH * side * FINER / 2
            pen.ellipse((x - half, y - half, x + half, y + half), fill=255)
    return framed(picture, azimuth, elevation, side)


def framed(picture, azimuth=0.0, elevation=0.0, side=SIDE):
    pixels = np.full((side, side, 4), (150, 90, 40, 0), np.uint8)
    pixels[..., 3] = np.asarray(picture.resize((side, side), Image.Resampling.BOX))
    return View("a", frame_foreground(pixels, 0.85)[0], orbit(azimuth, elevation))


def bar(thickness, angle, **more):
    along = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))]) * LENGTH / 2
    return photo([[0.5 - along, 0.5 + along]], thickness, **more)


def circle(x, y, radius, start=0, end=360):
    angles = np.radians(np.linspace(start, end, 60))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)


def spiral():
    turns = np.linspace(0.0, 1.0, 120)
    radius = 0.06 + 0.34 * turns
    return np.stack([0.5 + radius * np.cos(14 * turns), 0.5 + radius * np.sin(14 * turns)], axis=-1)


STRIPES = (0.1, 0.26, 0.42, 0.58, 0.74, 0.9)
SHAPES = {
    "ring": [circle(0.5, 0.5, 0.4)],
    "bow": [circle(0.7, 0.5, 0.4, 90, 270)],
    "wire": [spiral()],
    "fork": [[(0.5, 0.92), (0.5, 0.38)], [(0.4, 0.08), (0.4, 0.4), (0.6, 0.4), (0.6, 0.08)], [(0.5, 0.08), (0.5, 0.4)]],
    "sword": [[(0.5, 0.08), (0.5, 0.92)], [(0.36, 0.7), (0.64, 0.7)]],
    "spectacles": [circle(0.27, 0.5, 0.17), circle(0.73, 0.5, 0.17), circle(0.5, 0.5, 0.07, 180, 360)],
    "tree": [[(0.5, 0.92), (0.5, 0.5), (0.2, 0.1)], [(0.5, 0.5), (0.8, 0.1)], [(0.35, 0.3), (0.45, 0.1)]],
    "net": [[(x, 0.08), (x, 0.92)] for x in STRIPES] + [[(0.08, y), (0.92, y)] for y in STRIPES],
}


def iou(mesh, view):
    """Of coverages: half a pixel at either edge of ten would be a fifth otherwise."""
    body, truth = render_picture(mesh, view.camera, view.width, view.height)[..., 3] / 255, view.pixels[..., 3] / 255
    return np.minimum(body, truth).sum() / np.maximum(body, truth).sum()


def pieces(mesh):
    return connected_components(adjacency(mesh.faces, len(mesh.vertices)), directed=False)[0]


def missed(mesh, view):
    """How far the silhouette's loneliest pixel is from the body, in pixels of the photo."""
    body = render_picture(mesh, view.camera, view.width, view.height)[..., 3] >= 128
    return ndimage.distance_transform_edt(~body)[view.pixels[..., 3] >= 128].max()


@pytest.mark.parametrize("angle", [90, 0, 45])
@pytest.mark.parametrize("thickness", [0.015, 0.04, 0.1])
def test_a_thin_bar_fills_its_silhouette_and_is_round(thickness, angle):
    view = bar(thickness, angle)
    mesh, _ = sculpt_one(view, QUICK)
    assert iou(mesh, view) >= (0.9 if thickness > 0.03 else 0.6)
    assert pieces(mesh) == 1
    assert missed(mesh, view) < 3.0
    width = thickness * LENGTH * SIDE / view.height * view.camera.distance / view.camera.fy
    assert 0.7 * width < np.ptp(mesh.vertices[:, 0]) < max(1.5 * width, 0.06)


@pytest.mark.parametrize(
    ("name", "thickness"), [*((name, 0.04) for name in SHAPES), ("fork", 0.015), ("wire", 0.015), ("tree", 0.015)]
)
def test_no_part_of_a_thin_thing_is_lost_or_floats(name, thickness):
    view = photo(SHAPES[name], thickness)
    mesh, _ = sculpt_one(view, QUICK)
    assert pieces(mesh) == 1
    assert missed(mesh, view) < 4.0
    assert iou(mesh, view) >= (0.9 if thickness == 0.04 else 0.5)


def test_the_usual_settings_show_a_bar_of_four_percent():
    view = bar(0.04, 90, side=900)
    (views,) = (sculpture := sculpt([view], SculptSettings(), FitSettings(), [0], silent)).views
    assert iou(sculpture.mesh, view) >= 0.95
    for painted in views:
        alpha = painted.pixels[..., 3] >= 128
        rows, columns = np.nonzero(alpha)
        assert ndimage.label(alpha, np.ones((3, 3)))[1] == 1
        assert np.ptp(rows) > 0.78 * 320
        assert 7 <= np.ptp(columns) + 1 <= 20
    assert not any("thick" in note for note in sculpture.notes)


def test_wire_is_round_and_furniture_is_deep():
    """Bars of chairs come in pairs; a ring does not become a pipe."""
    ring, _ = sculpt_one(photo([circle(0.5, 0.5, 0.4)], 0.04), QUICK)
    assert np.ptp(ring.vertices[:, 0]) < 0.2
    table, _ = sculpt_one(photo([[(0.2, 0.92), (0.2, 0.2), (0.8, 0.2), (0.8, 0.92)]], 0.16), QUICK)
    assert np.ptp(table.vertices[:, 0]) > 0.3


def test_every_piece_keeps_a_body_of_its_own():
    picture = Image.new("L", (SIDE * FINER, SIDE * FINER))
    pen = ImageDraw.Draw(picture)
    for x, y, radius in ((150, 200, 100), (450, 200, 100), (750, 200, 100), (150, 600, 100), (450, 600, 16)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    pen.ellipse((700, 600, 706, 606), fill=255)  # dirt
    view = framed(picture)
    mesh, _ = sculpt_one(view, QUICK)
    assert pieces(mesh) == 5


def test_a_hairline_holds_two_bodies_together():
    picture = Image.new("L", (SIDE * FINER, SIDE * FINER))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((80, 80, 420, 820), fill=255)
    pen.rectangle((450, 220, 820, 680), fill=255)
    pen.rectangle((410, 450, 460, 456), fill=255)
    view = framed(picture)
    assert ndimage.label(view.pixels[..., 3] >= 128)[1] == 1
    assert pieces(sculpt_one(view, QUICK)[0]) == 1


def test_the_body_does_not_depend_on_the_azimuth():
    front, _ = sculpt_one(bar(0.04, 30), QUICK)
    turned, _ = sculpt_one(bar(0.04, 30, azimuth=40.0), QUICK)
    c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    np.testing.assert_array_equal(turned.faces, front.faces)
    np.testing.assert_allclose(turned.vertices, front.vertices @ turn.T, atol=1e-3)


def test_thin_objects_are_reported_as_thin():
    (note,) = sculpt_one(bar(0.02, 90), SculptSettings(view_size=320, relief=80, resolution=48))[1]
    assert "2.2% as thick" in note  # to half a pixel of 9
    assert "pixels in its views" in note
    assert sculpt_one(bar(0.08, 90), QUICK)[1] == []


def test_parts_thinner_than_a_voxel_become_a_voxel_thick():
    view = photo(SHAPES["net"], 0.006)
    mesh, notes = sculpt_one(view, QUICK)
    assert len(notes) == 1
    assert "drawn that thick" in notes[0]
    assert pieces(mesh) == 1
    assert missed(mesh, view) < 2.0
    voxel = 2 / 100  # about, of a flat box with the nodes of a cube of 57
    assert np.ptp(mesh.vertices[:, 0]) > voxel


def test_a_wire_without_one_opaque_pixel_keeps_its_colour():
    pixels = np.full((200, 200, 4), (255, 255, 255, 0), np.uint8)
    pixels[100:102, 20:180] = (200, 30, 30, 180)
    view = View("a", frame_foreground(pixels, 0.85)[0], orbit(0, 0))
    mesh, _ = sculpt_one(view, QUICK)
    picture = render_picture(mesh, view.camera, view.width, view.height)
    shown = picture[picture[..., 3] >= 128][:, :3]
    assert len(shown)
    np.testing.assert_allclose(np.median(shown, axis=0), (200, 30, 30), atol=12)


def test_a_finer_grid_has_no_more_nodes_than_a_cube():
    low, high = np.array([-0.02, -0.02, -0.9]), np.array([0.02, 0.02, 0.9])
    assert fine_grid(low, high, 0.01, 48, 4).voxel == pytest.approx(0.01)
    flat = fine_grid(np.array([-0.02, -0.9, -0.9]), np.array([0.02, 0.9, 0.9]), 0.001, 48, 4)
    assert 0.001 < flat.voxel < 1.8 / 48
    assert 0.8 * 57**3 < np.prod(flat.shape) <= 57**3
    assert fine_grid(-np.ones(3), np.ones(3), 0.5, 48, 4).voxel == pytest.approx(2 / 48)  # never coarser


def test_extent_lies_along_the_thing():
    rows, columns = np.mgrid[:200, :200] - 100
    tilted = (abs(rows + columns) < 10 * 2**0.5) & (abs(rows - columns) < 60 * 2**0.5)
    assert extent(tilted) == pytest.approx((20, 120), abs=2.5)
    assert extent(np.ones((1, 9), bool)) == pytest.approx((1, 9))


def test_the_medial_axis_of_a_bar_is_as_wide_as_it_is():
    view = bar(0.1, 90)
    axis = medial_axis(view)
    assert axis.width * view.height == pytest.approx(0.1 * LENGTH * SIDE, abs=1.5)
    assert axis.parts == 1
    assert len(axis.thinner_than(0.95 * axis.width)) == 0
    assert len(axis.thinner_than(1.2 * axis.width)) > 0.7 * LENGTH * SIDE


def test_corners_are_no_thin_parts_and_necks_are():
    widths = np.zeros((100, 100))
    widths[50, 10:30] = 20.0 - np.arange(20)  # into a corner
    assert len(MedialAxis(widths, 1).thinner_than(0.1)) == 0
    widths[50, 30:40] = 1.0 + 2.0 * np.arange(10)  # and out again at the other side
    assert len(MedialAxis(widths, 1).thinner_than(0.1)) > 10


def test_specks_are_told_from_parts_by_the_largest_piece():
    mask = np.zeros((300, 300), bool)
    mask[10:110, 10:110] = True
    mask[200:205, 200:205] = True
    mask[250, 250] = True
    kept = without_specks(mask)
    assert kept[202, 202]
    assert not kept[250, 250]
    dots = np.zeros((300, 300), bool)
    dots[::4, ::4] = True
    assert (without_specks(dots) == dots).all()


def test_several_photos_of_a_wire_have_rims_and_a_middle():
    photos = [bar(0.004, 90, azimuth=azimuth) for azimuth in (0, 70)]
    assert np.isfinite(silhouette_error(photos))
    assert np.isfinite(align(photos).after)
    moved = recentre(photos, visual_hull_of(photos))
    assert all(photo.camera.distance == pytest.approx(4.17, rel=0.03) for photo in moved)


def test_a_thin_plate_from_its_outlines_is_there():
    """As thick as one and a half of the usual voxels, from the front and from its edge."""
    front = photo([[(0.5, 0.08), (0.5, 0.92)]], 0.7)
    edge = bar(0.02, 90, azimuth=90.0)
    vertices, faces = _outline_surface(visual_hull_of([front, edge]), 0.01, 64)
    assert len(faces)
    assert 0.02 < np.ptp(vertices[:, 0]) < 0.06
    assert np.ptp(vertices[:, 2]) > 1.6
    assert BODY_LEVEL > 2**0.5 / 2

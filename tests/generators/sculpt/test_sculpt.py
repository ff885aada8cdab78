"""Sculpting: what is known of simple bodies must come out, photos must find together, and the photo is the front."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.rendering import render_picture
from helpers.simple_bodies import SIZE, ball, block
from meshcli.alignment.silhouettes import align, silhouette_error
from meshcli.generators.sculpt.inflate import inflate, solve_laplace
from meshcli.generators.sculpt.inflated_mesh import sculpt_one
from meshcli.generators.sculpt.sculpt import depth_is_open, sculpt
from meshcli.generators.sculpt.shape_prior import inflated_prior, visual_hull_of
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import frame_foreground
from meshcli.progress import silent
from meshcli.reconstructors import fit
from meshcli.sdf.grid import Grid
from meshcli.sdf.phantoms import Phantoms
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import ZERO123PLUS_AZIMUTHS, ZERO123PLUS_ELEVATIONS, orbit
from meshcli.views.view import View

QUICK = SculptSettings(view_size=64, relief=80, resolution=48, hull_resolution=48)


def volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_laplace_between_two_walls_is_a_ramp():
    free = np.zeros((5, 9), bool)
    free[:, 1:-1] = True
    known = np.zeros_like(free)
    known[:, [0, -1]] = True
    values = np.zeros((5, 9, 1))
    values[:, -1] = 8.0
    found = solve_laplace(free, known, values, 0.0, 0.12)[..., 0]
    np.testing.assert_allclose(found, np.tile(np.arange(9.0), (5, 1)), atol=1e-6)


def test_a_disc_becomes_a_ball():
    body = inflate(ball(orbit(0, 0)), QUICK)
    largest = float(np.sqrt(body.squared_depth.max()))
    assert 0.75 * 0.6 < largest < 1.0 * 0.6


def test_the_body_stands_upright_where_the_camera_says():
    """From azimuth 90 the photo's right is the world's -x, and its top is up."""
    view = ball(orbit(90, 0), radius=0.25, centre=(-0.4, 0.0, 0.3))
    mesh, _ = sculpt_one(view, QUICK)
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    np.testing.assert_allclose(middle, (-0.4, 0.0, 0.3), atol=0.03)
    assert 0.5 < volume(mesh) / (4 / 3 * np.pi * 0.25**3) < 1.2


def test_a_box_stays_flat():
    mesh, _ = sculpt_one(block(orbit(0, 0)), QUICK)
    front = mesh.vertices[mesh.vertices[:, 0] > 0.9 * mesh.vertices[:, 0].max()]
    assert np.ptp(front[:, 1]) > 0.9
    assert np.ptp(front[:, 2]) > 0.75
    np.testing.assert_allclose(np.abs(mesh.vertices[:, 1]).max(), 0.6, atol=0.06)


def test_the_front_is_the_photo_and_the_back_has_no_face():
    view = ball(orbit(0, 0))
    pixels = view.pixels.copy()
    pixels[70:90, 60:100, :3] = (10, 250, 10)  # a face
    mesh, _ = sculpt_one(replace(view, pixels=pixels), QUICK)
    front = render_picture(mesh, orbit(0, 0), SIZE, SIZE)
    inside = pixels[..., 3] == 255
    difference = np.abs(front[..., :3].astype(int) - pixels[..., :3]).max(-1)[inside]
    assert np.mean(difference > 30) < 0.06
    back = render_picture(mesh, orbit(180, 0), SIZE, SIZE)
    seen = back[back[..., 3] == 255].astype(int)
    assert not ((seen[:, 1] > seen[:, 0] + 60) & (seen[:, 1] > seen[:, 2] + 60)).any()


def test_six_views_per_photo_at_the_rig():
    photo = ball(orbit(40, 0, known="given"))
    sculpture = sculpt([photo], QUICK, FitSettings(), [0], silent)
    (views,) = sculpture.views
    assert [view.name for view in views] == [f"a{tile}" for tile in range(6)]
    for view, azimuth, elevation in zip(views, ZERO123PLUS_AZIMUTHS, ZERO123PLUS_ELEVATIONS["1.2"], strict=True):
        assert view.pixels.shape == (64, 64, 4)
        assert (view.pixels[view.pixels[..., 3] == 0][:, :3] == 255).all()
        assert view.pixels[..., 3].max() == 255
        assert view.camera.azimuth == pytest.approx((40 + azimuth) % 360)
        assert view.camera.elevation == pytest.approx(elevation)
        assert view.camera.distance == pytest.approx(4.0)
        assert view.camera.known == "given"
    assert sculpture.photos == [photo]
    assert any("guessed" in note for note in sculpture.notes)


def test_no_view_of_a_broad_body_is_cut():
    """The front of a cube fills its photo: seen from beside, its near edge would leave a picture at the rig's own."""
    photo = View("a", np.full((64, 64, 4), (90, 120, 60, 0), np.uint8), orbit(0, 0))
    photo.pixels[5:59, 5:59, 3] = 255
    (views,) = sculpt([photo], QUICK, FitSettings(), [0], silent).views
    for view in views:
        alpha = view.pixels[..., 3]
        assert not np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]).any()
        assert 4.0 < view.camera.distance == pytest.approx(views[0].camera.distance)


def test_red_stays_on_its_side():
    """Seen from +x, +y is at the right: a mirrored world would swap the colours."""
    views = sculpt([ball(orbit(0, 0))], QUICK, FitSettings(), [0], silent).views[0]
    seen = views[1].pixels[views[1].pixels[..., 3] == 255].astype(int)  # azimuth 90 looks at the +y side
    assert (seen[:, 0] > seen[:, 2]).mean() > 0.9


def test_exact_cameras_are_left_alone():
    photos = [block(orbit(azimuth, 10, known="given"), name=str(azimuth)) for azimuth in (0, 120, 240)]
    alignment = align(photos)
    assert alignment.photos == photos
    assert alignment.after < 0.0005


@pytest.mark.slow
def test_photos_framed_each_on_its_own_find_together():
    """A box from its narrow and its broad side: framing makes the narrow one larger."""
    photos = []
    for azimuth in (0, 60, 90):
        framed, _ = frame_foreground(block(orbit(azimuth, 0), (0.2, 0.75, 0.3)).pixels, 0.85)
        photos.append(View(str(azimuth), framed, orbit(azimuth, 0, known="given")))
    alignment = align(photos)
    assert alignment.before > 0.005
    assert alignment.after < 0.001
    for photo, moved in zip(photos, alignment.photos, strict=True):
        assert moved.camera.known == "aligned"
        assert (moved.camera.azimuth - photo.camera.azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_stated_azimuths_move_only_when_they_may():
    photos = []
    for azimuth, stated in ((0, 0), (60, 48), (90, 90)):
        framed, _ = frame_foreground(block(orbit(azimuth, 0), (0.2, 0.75, 0.3)).pixels, 0.85)
        photos.append(View(str(azimuth), framed, orbit(stated, 0, known="given")))

    def moves(adjust):
        pairs = zip(photos, align(photos, adjust).photos, strict=True)
        turns = [after.camera.azimuth - before.camera.azimuth for before, after in pairs]
        return [(turn + 180) % 360 - 180 for turn in turns]

    assert moves(adjust=False) == pytest.approx([0, 0, 0], abs=1e-6)
    assert max(map(abs, moves(adjust=True))) > 1.0


def test_calibrated_cameras_never_move():
    photos = [replace(ball(orbit(a, 0, known="rig"), radius=r)) for a, r in ((0, 0.6), (90, 0.5))]
    assert silhouette_error(photos) > 0.004
    assert align(photos).photos == photos


def test_the_prior_fills_every_silhouette_and_stays_in_the_hull():
    photos = [ball(orbit(azimuth, 10)) for azimuth in (0, 45, -45)]
    prior = inflated_prior(photos, QUICK)
    assert prior is not None
    grid = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 40, 2)
    field, hull = prior(grid), visual_hull_of(photos)(grid)
    assert (field >= hull - 1e-4).all()
    assert field[tuple(n // 2 for n in grid.shape)] < -3
    assert inflated_prior([block(orbit(0, 0)), block(orbit(90, 0))], QUICK) is None


@pytest.mark.parametrize(
    ("azimuths", "leaves"), [((0, 120, 240), False), ((0, 45, -45), True), ((0, 90, 180), True), ((0, 180), True)]
)
def test_opposite_photos_say_the_same(azimuths, leaves):
    assert depth_is_open([ball(orbit(azimuth, 0)) for azimuth in azimuths]) == leaves


@pytest.mark.slow
def test_three_photos_of_a_ball():
    photos = [ball(orbit(azimuth, 10, known="given"), name="abc"[i]) for i, azimuth in enumerate((0, 120, 240))]
    fit = FitSettings(resolutions=(24,), steps=(20,), rays=2000)
    works: list[str] = []
    sculpture = sculpt(
        photos, replace(QUICK, revolution=False), fit, [0, 1, 2], lambda done, total, what: works.append(what)
    )
    assert list(dict.fromkeys(works)) == [
        "aligning the silhouettes", "carving the body", "fitting the surface", "colouring the body",
        "rendering the views",
    ]  # fmt: skip
    assert len(sculpture.views) == 3
    assert [view.name for view in sculpture.views[1]] == [f"b{tile}" for tile in range(6)]
    radius = np.linalg.norm(sculpture.mesh.vertices, axis=1)
    assert abs(radius.mean() - 0.6) < 0.05
    assert isinstance(sculpture.mesh, Mesh)
    assert volume(sculpture.mesh) > 0


@pytest.mark.parametrize(("body", "cut"), [(ball, True), (block, False)])
def test_the_hull_of_round_bodies_is_cut_where_phantoms_are_found(monkeypatch, body, cut):
    """Here everything above a height counts as one. Boxes have no prior, so nothing is looked for."""

    def above(hull, prior, silhouettes):
        assert len(silhouettes) == 3
        grid = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 40, 2)
        heights = grid.to_world(np.indices(grid.shape).transpose(1, 2, 3, 0))[..., 2]
        return Phantoms(grid, ((0.2 - heights) / grid.voxel).astype(np.float32), 1)

    monkeypatch.setattr("meshcli.generators.sculpt.sculpt.find_phantoms", above)
    photos = [body(orbit(azimuth, 0.0, known="given")) for azimuth in (0, 120, 240)]
    settings = replace(QUICK, fit_resolutions=(24,), fit_steps=(8,), symmetry=False, revolution=False)
    sculpture = sculpt(photos, settings, FitSettings(rays=2000), range(3), silent)
    top = sculpture.mesh.vertices[:, 2].max()
    assert (top < 0.2 + 2 * 0.05) == cut  # two voxels; both bodies are higher than that
    assert any("1 part that no photo needs was left out" in note for note in sculpture.notes) == cut


@pytest.mark.parametrize(("radii", "agree"), [((0.6, 0.6, 0.6), True), ((0.6, 0.6, 0.5), False)])
def test_colours_weigh_less_and_thin_parts_stay_where_the_outlines_agree(monkeypatch, radii, agree):
    tunings = []

    def fit_sdf(evidence, levels, seed, progress, prior, tuning, *arguments, **others):
        tunings.append(tuning)
        return fit.fit_sdf(evidence, levels, seed, progress, prior, tuning, *arguments, **others)

    monkeypatch.setattr("meshcli.generators.sculpt.sculpt.fit_sdf", fit_sdf)
    cameras = [orbit(azimuth, 0.0, known="rig") for azimuth in (0, 120, 240)]
    photos = [ball(camera, radius=radius) for camera, radius in zip(cameras, radii, strict=True)]
    settings = replace(QUICK, fit_resolutions=(24,), fit_steps=(8,), symmetry=False, revolution=False, warp=False)
    sculpt(photos, settings, FitSettings(rays=2000), range(3), silent)
    (tuning,) = tunings
    assert (tuning.weights.rgb < 2.0) == agree
    assert tuning.schedule(0, 3).may_pierce != agree

"""Which rays a step of a fit sees."""

import numpy as np

from helpers.sphere_tracing import photograph
from meshcli.sdf.pixel_rays import StratifiedChoice, collect_pixel_rays
from meshcli.views.camera import zero123plus_rig
from meshcli.views.projection import project


def test_each_step_sees_one_ray_of_every_patch_and_the_steps_together_all() -> None:
    choice = StratifiedChoice(1000, 50, np.random.default_rng(0))
    steps = np.array([choice.next() for _ in range(60)])
    assert (steps // 20 == np.arange(50)).all()
    counts = np.bincount(steps.ravel(), minlength=1000)
    assert counts.min() >= 2  # of 3 on average; independent draws leave 50 of 1000 out
    assert counts.max() <= 4


def test_more_may_be_chosen_than_there_are() -> None:
    assert sorted(set(StratifiedChoice(3, 10, np.random.default_rng(0)).next().tolist())) == [0, 1, 2]


def test_rays_beside_each_other_in_the_list_are_so_in_a_picture_and_match_their_pixels() -> None:
    view = photograph(zero123plus_rig()[0])
    rays = collect_pixel_rays([view])
    points = rays.origins + 3.0 * rays.directions
    places = project(view.camera, points.astype(np.float64), view.width, view.height)[0]
    assert np.median(np.linalg.norm(np.diff(places, axis=0), axis=1)) < 1.5  # pixels
    rows, columns = places[:, 1].astype(int), places[:, 0].astype(int)
    np.testing.assert_allclose(rays.targets[:, 3], view.pixels[rows, columns, 3] / 255.0, atol=1e-6)

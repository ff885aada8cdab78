"""The measures themselves: known shapes give known figures."""

import math

import measure
import numpy as np
import pytest
import trimesh

from meshcli.meshes.mesh import Mesh

pytestmark = pytest.mark.slow

BALL = trimesh.creation.icosphere(subdivisions=4, radius=0.6)


@pytest.fixture
def data() -> None:
    if not measure.DATA.exists():
        pytest.skip("../shared/data is not there")


def test_inside_a_ball_and_inside_a_ball_with_a_hole() -> None:
    side = (np.arange(measure.LATTICE) + 0.5) / measure.LATTICE * 2.0 - 1.0
    radius = np.linalg.norm(np.stack(np.meshgrid(side, side, side, indexing="ij"), -1), axis=-1).ravel()
    coarse = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    whole = measure.inside(coarse.vertices, coarse.faces)
    assert whole[radius < 0.58].all()
    assert not whole[radius > 0.6].any()
    opened = measure.inside(coarse.vertices, coarse.faces[1:])
    assert np.count_nonzero(whole != opened) < 100  # a hole bends the surface where the number is 0.5, no more


def test_two_balls_are_as_far_apart_as_their_radii() -> None:
    truth = measure.visible_samples(BALL.vertices, BALL.faces)
    assert len(truth) == measure.SAMPLES
    floor, f = measure.shape(BALL.vertices, BALL.faces, truth)
    assert f == 1.0
    assert floor == pytest.approx(0.5 / math.sqrt(measure.SAMPLES / BALL.area), rel=0.1)  # of random samples
    assert measure.shape(BALL.vertices * 1.1, BALL.faces, truth)[0] == pytest.approx(0.06, abs=0.002)
    assert measure.shape(BALL.vertices * 1.1, BALL.faces, truth)[1] == 0.0


def test_hidden_surfaces_do_not_count_as_truth() -> None:
    inner = BALL.vertices * 0.5
    both = np.concatenate([BALL.vertices, inner]), np.concatenate([BALL.faces, BALL.faces + len(inner)])
    assert np.linalg.norm(measure.visible_samples(*both), axis=1).min() > 0.59


def test_the_truth_is_nearly_perfect(data: None) -> None:
    truth = measure.load_truth("fuze")
    assert np.linalg.norm(truth.vertices, axis=1).max() == pytest.approx(0.95)
    assert truth.vertices[:, 2].max() == pytest.approx(-truth.vertices[:, 2].min(), abs=1e-6)
    scores = measure.score(Mesh(truth.vertices, truth.faces), "fuze")
    assert scores.chamfer < 0.006
    assert scores.f == 1.0
    assert scores.iou == pytest.approx(1.0)

import numpy as np
import pytest

from helpers.painted_ball import ball, ball_views
from meshcli.texturing.exposure import find_gains
from meshcli.texturing.sights import Sight, Surface, look, working_colours

NONE = [False] * 6


@pytest.fixture(scope="module")
def sights() -> list[Sight]:
    surface = Surface.of(ball(4))
    return [look(surface, view.camera, working_colours(view)) for view in ball_views()]


def changed(sights: list[Sight], index: int, gains: tuple[float, float, float]) -> list[Sight]:
    from dataclasses import replace

    result = list(sights)
    result[index] = replace(sights[index], colours=sights[index].colours * np.array([*gains, 1.0], np.float32))
    return result


def test_equal_pictures_keep_their_gains(sights: list[Sight]) -> None:
    assert find_gains(sights, NONE, NONE) == pytest.approx(1.0, abs=0.01)


def test_a_picture_with_another_white_balance_is_evened_out(sights: list[Sight]) -> None:
    dim = (0.8, 0.9, 1.0)
    gains = find_gains(changed(sights, 2, dim), NONE, NONE)
    assert gains[2] * dim / gains[0] == pytest.approx(1.0, abs=0.04)
    assert np.exp(np.log(gains).mean(axis=0)) == pytest.approx(1.0, abs=1e-6)


def test_leading_pictures_move_less_and_have_mean_one(sights: list[Sight]) -> None:
    leading = [index in (0, 3) for index in range(6)]
    gains = find_gains(changed(sights, 0, (0.9, 0.9, 0.9)), leading, NONE)
    assert np.log(gains[[0, 3]]).mean(axis=0) == pytest.approx(0.0, abs=1e-6)
    equal = find_gains(changed(sights, 0, (0.9, 0.9, 0.9)), NONE, NONE)
    assert (gains[0] < equal[0]).all()


def test_fixed_pictures_keep_their_gains_and_the_others_follow(sights: list[Sight]) -> None:
    fixed = [index == 1 for index in range(6)]
    dim = (0.85, 0.85, 0.85)
    gains = find_gains(changed(sights, 1, dim), NONE, fixed)
    assert gains[1] == pytest.approx(1.0, abs=1e-4)
    neighbours = gains[[0, 2]]
    assert (neighbours < 0.93).all()


def test_pictures_that_share_nothing_stay(sights: list[Sight]) -> None:
    opposite = [sights[0], sights[3]]
    assert find_gains(opposite, [False] * 2, [False] * 2) == pytest.approx(1.0, abs=0.01)

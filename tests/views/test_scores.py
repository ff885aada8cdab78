from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers.painted_ball import ball, ball_views
from meshcli.rendering.renderer import Renderer
from meshcli.views.camera import zero123plus_rig
from meshcli.views.scores import score_views
from meshcli.views.view import View


def patterned() -> list[View]:
    """Six views of a lopsided body in soft colours, seen from the rig."""
    body = ball(4, radius=0.7)
    bumps = 1.0 + 0.35 * np.exp(-8.0 * ((body.vertices / 0.7 - [1.0, 0.0, 0.0]) ** 2).sum(axis=-1, keepdims=True))
    vertices = (body.vertices * bumps).astype(np.float32)
    colours = 128.0 + 60.0 * np.sin(vertices * [3.0, 4.0, 2.0])
    mesh = replace(body, vertices=vertices, colours=colours.round().astype(np.uint8))
    renderer = Renderer(mesh)
    return [
        View(f"a{tile}", renderer.render(camera, 320, 320), camera) for tile, camera in enumerate(zero123plus_rig(0.0))
    ]


@pytest.fixture(scope="module")
def views() -> list[View]:
    return patterned()


def worst(scores: list[dict[str, float]], key: str) -> int:
    return min(range(len(scores)), key=lambda index: scores[index][key])


def test_true_views_agree(views: list[View]) -> None:
    scores = score_views(views)
    assert len(scores) == len(views) > 0
    assert all(score["shape"] > 0.99 for score in scores)
    assert all(score["colour"] > 0.8 for score in scores)
    assert all(score["whole"] == 1.0 for score in scores)
    assert all(0.0 <= value <= 1.0 for score in scores for value in score.values())


def test_a_silhouette_that_does_not_fit_is_the_worst(views: list[View]) -> None:
    moved = [*views[:3], replace(views[3], pixels=np.roll(views[3].pixels, 25, axis=1)), *views[4:]]
    scores = score_views(moved)
    assert worst(scores, "shape") == 3
    assert scores[3]["shape"] < 0.92


def test_a_wrong_camera_shows_in_the_colours(views: list[View]) -> None:
    turned = [*views[:2], replace(views[2], camera=views[2].camera.turned(40.0)), *views[3:]]
    assert worst(score_views(turned), "colour") == 2


def test_another_hue_is_the_worst_colour(views: list[View]) -> None:
    pixels = views[1].pixels[..., [2, 0, 1, 3]]
    pixels[..., 0] = 255 - pixels[..., 0]
    assert worst(score_views([views[0], replace(views[1], pixels=pixels), *views[2:]]), "colour") == 1


def test_a_blurred_picture_is_less_sharp(views: list[View]) -> None:
    grain = np.random.default_rng(0).normal(0.0, 12.0, (320, 320, 1))
    sharp = views[4].pixels.copy()
    sharp[..., :3] = (sharp[..., :3] + grain).clip(0, 255)
    blurred = sharp.copy()
    blurred[..., :3] = gaussian_filter(sharp[..., :3].astype(float), (1.5, 1.5, 0)).astype(np.uint8)
    before, after = (
        score_views([*views[:4], replace(views[4], pixels=pixels), views[5]])[4] for pixels in (sharp, blurred)
    )
    assert before["sharpness"] > 0.9
    assert after["sharpness"] < 0.5
    assert after["total"] < before["total"]


def test_cropped_views_are_not_whole(views: list[View]) -> None:
    camera = views[5].camera.cropped(0.25, 0.25, 0.5, 0.5)
    scores = score_views([*views[:5], View("a5", views[5].pixels[80:240, 80:240], camera)])
    assert scores[5]["whole"] < 0.5
    assert scores[0]["whole"] == 1.0
    assert min(score["shape"] for score in scores) > 0.9  # what a picture does not show is held against nobody


def test_a_single_view_has_nobody_to_agree_with() -> None:
    scores = score_views(ball_views()[:1])
    assert set(scores[0]) == {"sharpness", "whole", "total"}


def test_an_empty_picture_has_no_shape(views: list[View]) -> None:
    nothing = replace(views[0], pixels=np.full_like(views[0].pixels, 0))
    scores = score_views([nothing, *views[1:]])
    assert scores[0]["shape"] == 0.0
    assert worst(scores, "total") == 0

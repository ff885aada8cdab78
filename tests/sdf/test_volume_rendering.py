"""The hand-written gradients, against differences of the loss."""

import numpy as np
import pytest

from meshcli.sdf.volume_rendering import BUFFERS, adam, image_loss_gradients, rays_hit, sum_buffers

SHAPE = (14, 15, 16)
WEIGHTS = (np.float32(1.3), np.float32(2.0), np.float32(1.5))


def scene() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    distance = np.linalg.norm(nodes - np.array([6.6, 7.2, 7.9]), axis=-1) - 4.0
    count = 60
    aims = np.array([6.6, 7.2, 7.9]) + draw.normal(0, 2.4, (count, 3))
    directions = draw.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = aims - 20 * directions
    inverse = 1 / directions
    first, last = (1 - origins) * inverse, (np.array(SHAPE) - 2.001 - origins) * inverse
    spans = np.stack([np.minimum(first, last).max(axis=1), np.maximum(first, last).min(axis=1)], axis=1)
    return {
        "distance": (distance + draw.normal(0, 0.1, SHAPE)).astype(np.float32),
        "colour": draw.random((*SHAPE, 3), dtype=np.float32),
        "active": np.ones(SHAPE, np.uint8),
        "origins": origins.astype(np.float32),
        "directions": directions.astype(np.float32),
        "spans": spans.astype(np.float32),
        "starts": draw.random(count, dtype=np.float32),
        "targets": draw.random((count, 4), dtype=np.float32),
    }


def loss_and_gradients(parts: dict[str, np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
    size = int(np.prod(SHAPE))
    into_distance = np.zeros((BUFFERS, size, 1), np.float32)
    into_colour = np.zeros((BUFFERS, size, 3), np.float32)
    loss = image_loss_gradients(
        *parts.values(), np.float32(1.5), np.float32(0.7), np.float32(0.15), WEIGHTS, into_distance, into_colour
    )
    return loss * len(parts["origins"]), into_distance.sum(axis=0)[:, 0], into_colour.sum(axis=0)


@pytest.mark.parametrize(("name", "which"), [("distance", 1), ("colour", 2)])
def test_gradients_are_the_slope_of_the_loss(name: str, which: int) -> None:
    parts = scene()
    gradient = loss_and_gradients(parts)[which].ravel()
    direction = np.abs(np.random.default_rng(5).normal(size=gradient.size)) * np.sign(gradient)  # all one way
    step = 2e-3
    moved = []
    for sign in (1, -1):
        values = parts[name] + np.float32(sign * step) * direction.reshape(parts[name].shape).astype(np.float32)
        moved.append(loss_and_gradients({**parts, name: values.astype(np.float32)})[0])
    slope = (moved[0] - moved[1]) / (2 * step)
    assert abs(slope) > 1.0  # there is something to compare
    assert slope == pytest.approx(float(gradient @ direction), rel=0.02)


def test_rays_that_miss_see_white_and_pull_on_nothing() -> None:
    parts = scene()
    parts["distance"][:] = 5.0
    parts["targets"][:] = (1.0, 1.0, 1.0, 0.0)
    loss, by_distance, by_colour = loss_and_gradients(parts)
    assert loss < 1e-4
    assert np.abs(by_distance).max() < 1e-3
    assert not by_colour.any()


def test_a_missing_body_weighs_more_than_a_superfluous_one() -> None:
    parts = scene()
    parts["distance"][:] = 5.0
    parts["targets"][:] = (1.0, 1.0, 1.0, 1.0)
    assert loss_and_gradients(parts)[0] == pytest.approx(len(parts["origins"]) * 2.0 * 1.5, rel=1e-3)


def test_collect_sums_and_clears_only_the_named_nodes() -> None:
    buffers = np.random.default_rng(0).random((BUFFERS, 200, 3), dtype=np.float32)
    before = buffers.copy()
    nodes = np.arange(0, 200, 3)
    total = np.zeros((200, 3), np.float32)
    sum_buffers(buffers, nodes, total)
    np.testing.assert_allclose(total[nodes], before.sum(axis=0)[nodes], rtol=1e-6)
    assert not buffers[:, nodes].any()
    others = np.setdiff1d(np.arange(200), nodes)
    np.testing.assert_array_equal(buffers[:, others], before[:, others])
    assert not total[others].any()


def test_adam_moves_by_the_rate_at_first_and_stays_a_colour() -> None:
    values = np.full((100, 3), 0.5, np.float32)
    values[7] = 0.99
    gradients = np.ones((100, 3), np.float32)
    gradients[7] = -1.0
    nodes = np.arange(50)
    adam(values, gradients, np.zeros_like(values), np.zeros_like(values), nodes, np.float32(0.06), 1)
    np.testing.assert_allclose(values[:7], 0.44, atol=1e-4)
    np.testing.assert_array_equal(values[7], 1.0)
    np.testing.assert_array_equal(values[50:], 0.5)


def test_meets_tells_hits_from_misses() -> None:
    parts = scene()
    towards = parts["origins"] + 20 * parts["directions"]
    centre = np.array([6.6, 7.2, 7.9])
    along = ((centre - towards) * parts["directions"]).sum(axis=1, keepdims=True)
    closest = np.linalg.norm(towards + along * parts["directions"] - centre, axis=1)
    found = rays_hit(parts["distance"], parts["origins"], parts["directions"], parts["spans"], np.float32(0))
    assert found[closest < 3.4].all()
    assert not found[closest > 4.6].any()
    assert (closest < 3.4).sum() > 10
    assert (closest > 4.6).sum() > 3

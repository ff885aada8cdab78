import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meshcli.texturing.detail import flattened, smoothed
from meshcli.texturing.flow import LIMIT, find_flow, warp_picture, warped


@pytest.fixture(scope="module")
def spots() -> np.ndarray:
    """Smooth random colours (200, 180, 4), opaque in a disc."""
    noise = np.random.default_rng(3).random((200, 180, 3))
    colours = gaussian_filter(noise, (4, 4, 0))
    colours = (colours - colours.min()) / (colours.max() - colours.min())
    y, x = np.mgrid[:200, :180]
    alpha = (np.hypot(y - 100, x - 90) < 80).astype(float)
    return np.dstack([colours * alpha[..., None], alpha]).astype(np.float32)


def inside(spots: np.ndarray, reach: int) -> np.ndarray:
    y, x = np.mgrid[:200, :180]
    return np.hypot(y - 100, x - 90) < reach


def test_averages_are_those_of_boxes() -> None:
    values = np.random.default_rng(0).random((12, 9, 2)).astype(np.float32)
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    once = sum(padded[i : i + 12, j : j + 9] for i in range(5) for j in range(5)) / 25
    padded = np.pad(once, ((2, 2), (2, 2), (0, 0)))
    twice = sum(padded[i : i + 12, j : j + 9] for i in range(5) for j in range(5)) / 25
    assert smoothed(values, 2) == pytest.approx(twice, abs=1e-6)


def test_detail_does_not_know_brightness(spots: np.ndarray) -> None:
    mask = inside(spots, 70).astype(np.float32)
    a, b = (flattened(spots[..., :3] + offset, mask, 1, 12) for offset in (0.0, 0.2))
    assert a[mask > 0] == pytest.approx(b[mask > 0], abs=1e-5)
    assert np.abs(a[mask > 0]).mean() > 0.02


def test_a_smooth_flow_is_found(spots: np.ndarray) -> None:
    y, x = np.mgrid[:200, :180]
    true = np.stack([1.5 + np.sin(y / 40.0), -1.0 + np.cos(x / 50.0)], axis=-1).astype(np.float32)
    wanted = warped(spots, true)[..., :3]
    weight = inside(spots, 74).astype(np.float32)
    flow = np.zeros_like(true)
    for _ in range(3):
        flow = find_flow(spots, wanted, weight, flow)
    error = np.linalg.norm(flow - true, axis=-1)[inside(spots, 65)]
    assert np.linalg.norm(true, axis=-1)[inside(spots, 65)].mean() > 1.5
    assert error.mean() < 0.15
    assert np.percentile(error, 95) < 0.4


def test_what_agrees_or_cannot_be_compared_stays(spots: np.ndarray) -> None:
    zero = np.zeros((200, 180, 2), np.float32)
    weight = inside(spots, 74).astype(np.float32)
    assert np.abs(find_flow(spots, spots[..., :3], weight, zero)).max() < 0.05
    assert not find_flow(spots, warped(spots, zero + 2)[..., :3], np.zeros_like(weight), zero).any()
    plain = np.dstack([np.full((200, 180, 3), 0.5), np.ones((200, 180))]).astype(np.float32)
    assert np.abs(find_flow(plain, plain[..., :3] * 0.9, weight, zero)).max() < 0.05


def test_a_flow_has_a_limit_and_falls_off(spots: np.ndarray) -> None:
    left = inside(spots, 74) & (np.arange(180) < 60)
    flow = np.zeros((200, 180, 2), np.float32)
    for _ in range(6):
        flow = find_flow(spots, warped(spots, np.full_like(flow, 5.0))[..., :3], left.astype(np.float32), flow)
    assert 2.0 < np.linalg.norm(flow, axis=-1).max() < LIMIT + 1e-3
    assert not flow[:, 120:].any()


def test_pictures_are_warped_at_their_own_size() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (120, 80, 4), dtype=np.uint8)
    still = np.zeros((60, 40, 2), np.float32)
    assert (warp_picture(pixels, still) == pixels).all()
    opaque = pixels.copy()
    opaque[..., 3] = 255
    moved = warp_picture(opaque, still + np.array([1.5, -1.0], np.float32))  # 3 pixels right, 2 up of the full picture
    assert (moved[4:, :74] == opaque[2:-2, 3:77]).all()
    half = still.copy()
    half[:30] = 1.0
    assert (warp_picture(pixels, half)[62:] == pixels[62:]).all()


def test_transparent_colours_do_not_bleed() -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[..., :3] = (255, 0, 0)  # under transparency
    pixels[10:30, 10:30] = (0, 200, 0, 255)
    moved = warp_picture(pixels, np.full((40, 40, 2), 0.5, np.float32))
    seen = moved[..., 3] > 0
    assert moved[seen][:, 0].max() <= 1
    assert moved[seen][:, 1].min() >= 198

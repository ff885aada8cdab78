"""Opacity is not coverage: glasses, shades, layers, and what must stay as it is: mattes, hair, shadows."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from meshcli.pictures.transparency import has_cut_out, opacity_to_coverage, page_mask

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
SIDE = 300
ROW, COLUMN = np.mgrid[0:SIDE, 0:SIDE] + 0.5


def drawn(draw: Callable[[ImageDraw.ImageDraw, int], None]) -> Floats:
    """Coverage in [0, 1] of what is drawn at four times the size."""
    large = Image.new("L", (4 * SIDE, 4 * SIDE))
    draw(ImageDraw.Draw(large), 4)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255.0


def bottle() -> Floats:
    def draw(pen: ImageDraw.ImageDraw, by: int) -> None:
        pen.ellipse((75 * by, 110 * by, 225 * by, 260 * by), fill=255)
        pen.rectangle((115 * by, 40 * by, 185 * by, 150 * by), fill=255)

    return drawn(draw)


def rim(thickness: float) -> Floats:
    return drawn(lambda pen, by: pen.ellipse((300, 440, 900, 1040), outline=255, width=round(thickness * by)))


def alpha_of(opacity: Floats) -> Bytes:
    return (255.0 * opacity).round().clip(0, 255).astype(np.uint8)


def overlap(alpha: Bytes, truth: Floats) -> float:
    found, wanted = alpha >= 128, truth >= 0.5
    return float((found & wanted).sum() / (found | wanted).sum())


BODY = bottle()
REFLECTIONS = (90.0 + 50.0 * np.sin(COLUMN / 17.0) * np.cos(ROW / 13.0)) / 255.0  # 40 to 140


@pytest.mark.parametrize("level", [40, 70, 100, 140, 200])
@pytest.mark.parametrize("thickness", [0.0, 1.0, 3.0])
def test_a_glass_covers_what_it_lets_through(level: int, thickness: float) -> None:
    covered = opacity_to_coverage(alpha_of(np.maximum(BODY * level / 255.0, rim(thickness) if thickness else 0.0)))
    assert overlap(covered, BODY) > 0.97
    assert (covered[ndimage.binary_erosion(BODY == 1.0, iterations=5)] == 255).all()
    assert (covered[BODY == 0.0] == 0).all()


@pytest.mark.parametrize("thickness", [0.0, 3.0])
def test_reflections_in_a_glass(thickness: float) -> None:
    noise = np.random.default_rng(0).normal(0.0, 3.0 / 255.0, BODY.shape)
    covered = opacity_to_coverage(
        alpha_of(np.maximum(BODY * (REFLECTIONS + noise), rim(thickness) if thickness else 0.0))
    )
    assert overlap(covered, BODY) > 0.99


@pytest.mark.parametrize("level", [60, 90, 140])
def test_a_part_may_let_something_through(level: int) -> None:
    """A shade on an opaque foot; a label on a glass."""
    shade = np.where(ROW < 150, level / 255.0, 1.0)
    label = np.where((np.abs(COLUMN - 150) < 30) & (np.abs(ROW - 190) < 25), 1.0, level / 255.0)
    for opacity in (shade, label):
        covered = opacity_to_coverage(alpha_of(BODY * opacity))
        assert overlap(covered, BODY) > 0.995
        assert np.abs(covered / 255.0 - BODY).mean() < 0.002


def test_an_edge_of_a_glass_is_as_wide_as_any_edge() -> None:
    """The mixed pixels of a slanting edge come back as those of an opaque thing."""
    edge = drawn(lambda pen, by: pen.polygon([(80, 1000), (240, 80), (1000, 120), (1040, 1020)], fill=255))
    sticker = (np.abs(COLUMN - 150) < 30) & (np.abs(ROW - 150) < 30)
    covered = opacity_to_coverage(alpha_of(np.where(sticker, 1.0, edge * 100.0 / 255.0)))
    error = np.abs(covered / 255.0 - edge)
    assert error.max() < 0.2  # the faintest of them may be haze
    assert error[edge > 0.3].max() < 0.02


@pytest.mark.parametrize("width", [0.3, 3.0, 6.0, 15.0])
def test_soft_edges_stay_to_the_bit(width: float) -> None:
    alpha = alpha_of(ndimage.gaussian_filter(BODY, width))
    np.testing.assert_array_equal(opacity_to_coverage(alpha), alpha)


def test_a_shadow_that_fades_is_no_object() -> None:
    """Half black at its darkest, beside an opaque foot."""
    ground = ((ROW > 225) & (ROW < 262) & (COLUMN > 90) & (COLUMN < 275)).astype(float)
    alpha = alpha_of(BODY + (1.0 - BODY) * 0.45 * ndimage.gaussian_filter(ground, 7.0))
    np.testing.assert_array_equal(opacity_to_coverage(alpha), alpha)


def test_hair_does_not_grow() -> None:
    draw = np.random.default_rng(1)

    def strands(pen: ImageDraw.ImageDraw, by: int) -> None:
        pen.ellipse((400, 400, 800, 800), fill=255)
        for angle in draw.uniform(0.0, 2.0 * np.pi, 700):
            length, bent = draw.uniform(215.0, 330.0), angle + draw.normal(0.0, 0.1)
            ends = [(600 + r * np.cos(a), 600 + r * np.sin(a)) for r, a in ((190.0, angle), (length, bent))]
            pen.line(ends, fill=150, width=2)

    alpha = alpha_of(drawn(strands))
    assert (opacity_to_coverage(alpha) >= 128).sum() <= 1.01 * (alpha >= 128).sum()


def test_a_hole_stays_open() -> None:
    """With a soft edge, and with a network's doubt in it."""
    away = np.hypot(COLUMN - 150, ROW - 185)
    soft = alpha_of(np.minimum(BODY, ndimage.gaussian_filter((away > 25).astype(float), 3.0)))
    np.testing.assert_array_equal(opacity_to_coverage(soft), soft)
    doubtful = alpha_of(np.where(away < 25, 20.0 / 255.0, BODY))
    assert opacity_to_coverage(doubtful)[185, 150] < 128


def test_a_layer_at_part_of_its_strength_keeps_its_edge() -> None:
    edge = ndimage.gaussian_filter(BODY, 4.0)
    for strength in (0.2, 0.5, 0.9):
        covered = opacity_to_coverage(alpha_of(strength * edge))
        assert np.abs(covered / 255.0 - edge).max() < 0.03


def test_uniform_haze_is_removed() -> None:
    covered = opacity_to_coverage(alpha_of(np.maximum(BODY, 25.0 / 255.0)))
    assert (covered[BODY == 0.0] == 0).all()
    assert overlap(covered, BODY) > 0.99


def test_existing_coverage_is_kept() -> None:
    once = opacity_to_coverage(alpha_of(np.maximum(BODY * REFLECTIONS, rim(3.0))))
    np.testing.assert_array_equal(opacity_to_coverage(once), once)


@pytest.mark.parametrize("level", [255, 254, 0])
def test_one_level_cuts_nothing_out(level: int) -> None:
    alpha = np.full((SIDE, SIDE), level, np.uint8)
    assert not has_cut_out(alpha)
    np.testing.assert_array_equal(opacity_to_coverage(alpha), alpha)


def rounded(radius: int) -> Bytes:
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).rounded_rectangle((0, 0, SIDE - 1, SIDE - 1), radius, fill=255)
    return np.asarray(picture)


def turned(angle: float, expand: bool) -> Bytes:
    white = Image.new("RGBA", (SIDE, SIDE), "white")
    return np.asarray(white.rotate(angle, Image.Resampling.BICUBIC, expand=expand))[..., 3]


def bordered(width: int) -> Bytes:
    return np.pad(np.full((SIDE - 2 * width, SIDE - 2 * width), 255, np.uint8), width)


@pytest.mark.parametrize(
    "alpha",
    [
        *(rounded(radius) for radius in (4, 45, 149)),
        *(turned(angle, expand) for angle in (1.0, -3.0, 30.0) for expand in (False, True)),
        *(bordered(width) for width in (1, 3, 7)),
    ],
)
def test_a_page_may_be_trimmed(alpha: Bytes) -> None:
    inside = page_mask(alpha)
    assert inside is not None
    assert (alpha[inside] == 255).all()
    assert inside.sum() > 0.9 * (alpha == 255).sum()


@pytest.mark.parametrize("alpha", [alpha_of(BODY), bordered(30), np.zeros((SIDE, SIDE), np.uint8)])
def test_a_cut_out_is_no_page(alpha: Bytes) -> None:
    assert page_mask(alpha) is None

import numpy as np

from meshcli.rendering.texture_lookup import look_up, packed, texel

PLACES = np.array([[0.5, 0.5], [1.0, 0.5], [2.25, 1.75], [4.5, 2.5], [-3.0, 1.5], [9.0, 9.0], [3.999, 2.001]])


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """By the definition: the weight of a pixel falls from 1 at its centre to 0 at those beside it."""
    height, width = image.shape[:2]
    x, y = np.clip(x, 0.5, width - 0.5), np.clip(y, 0.5, height - 0.5)
    columns = np.maximum(1.0 - np.abs(np.arange(width) + 0.5 - x), 0.0)
    rows = np.maximum(1.0 - np.abs(np.arange(height) + 0.5 - y), 0.0)
    return np.einsum("i,j,ijk->k", rows, columns, image.astype(float))


def test_one_lookup_and_many_give_the_bilinear_colour() -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    image[0, 0], image[2, 4] = 255, 0
    expected = np.array([bilinear(image, x, y) for x, y in PLACES])
    texture, colours = packed(image), np.empty((3, len(PLACES)), np.float32)
    assert np.allclose([texel(texture, x, y) for x, y in PLACES], expected, atol=1e-3)
    look_up(texture, PLACES.T.astype(np.float32), len(PLACES), colours)
    assert np.allclose(colours.T, expected, atol=1e-3)


def test_a_texture_of_a_single_texel() -> None:
    assert texel(packed(np.full((1, 1, 3), (1, 200, 255), np.uint8)), 0.3, 7.0) == (1.0, 200.0, 255.0)

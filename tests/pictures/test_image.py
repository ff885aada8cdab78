"""Reading, framing, compositing, resizing; InstantMesh's own preparation to the bit."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers.golden import difference
from meshcli.errors import InputError
from meshcli.pictures.image import (
    HAZE_ALPHA,
    encode_png,
    frame_foreground,
    join_sheet,
    labelled_sheet,
    load_picture,
    over,
    resize,
    resize_floats,
    split_sheet,
)
from meshcli.views.camera import orbit
from meshcli.views.projection import project


@pytest.fixture(scope="module")
def published(numbers):
    return numbers.arrays("image_prep")


def corner_marked(width=40, height=24):
    """Grey with a red top-left and a green top-right corner."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[:8, :8] = (255, 0, 0)
    picture[:8, -8:] = (0, 255, 0)
    return picture


def without_last_row_and_column(pixels):
    """The object, made one row and one column smaller."""
    rows, columns = np.nonzero(pixels[..., 3])
    smaller = pixels.copy()
    smaller[rows.max(), :, 3] = smaller[:, columns.max(), 3] = 0
    return smaller


@pytest.mark.parametrize("case", ["ellipse", "rect", "full", "soft", "edge"])
def test_framing_and_compositing_equal_the_published_ones(published, case):
    """resize_foreground (InstantMesh's src/utils/infer_util.py), to_rgb_image of its pipeline and of Zero123++'s.

    The published box loses its last row and column; ours has white where there is haze or nothing.
    """
    source = published[f"rgba_{case}_in"]
    framed, _ = frame_foreground(without_last_row_and_column(source), 0.85)
    expected = published[f"rgba_{case}_ratio_0.85_out"]
    np.testing.assert_array_equal(
        framed, np.where(expected[..., 3:] < HAZE_ALPHA, np.uint8([255, 255, 255, 0]), expected)
    )
    np.testing.assert_array_equal(over(source), published[f"rgba_{case}_to_rgb_white"])
    np.testing.assert_array_equal(over(source, 127), published[f"rgba_{case}_to_rgb_gray127"])


def test_sheet_equals_the_published_one(published):
    """run.py's rearrange."""
    tiles = split_sheet(published["sheet_u8_hwc"])
    views = np.stack(tiles).transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_array_equal(views, published["views_f32"])
    np.testing.assert_array_equal(join_sheet(tiles), published["sheet_u8_hwc"])


@pytest.mark.parametrize(("height", "width"), [(48, 48), (20, 20), (24, 40), (32, 32)])
def test_resize_equals_the_published_one(published, height, width):
    """torchvision's bicubic resize with antialiasing, as run.py calls it, but for rounding in the filter's weights."""
    sizes = [resize_floats(source.transpose(1, 2, 0), width, height) for source in published["resize_in"]]
    found = np.stack(sizes).clip(0, 1).transpose(0, 3, 1, 2)
    assert difference(found, published, f"resize_out_{height}x{width}") < 5e-6


def test_resize_of_a_picture_that_is_not_square(published):
    found = resize_floats(published["resize_int_in"][0].transpose(1, 2, 0), 35, 24).clip(0, 1).transpose(2, 0, 1)
    assert difference(found, published, "resize_int_out") < 5e-6


def test_framing_keeps_the_camera_in_step():
    pixels = np.zeros((90, 160, 4), np.uint8)
    pixels[20:61, 100:131, 3] = 255
    camera = orbit(20, 10)
    framed, crop = frame_foreground(pixels, 0.85)
    side = framed.shape[0]
    assert side == int(41 / 0.85)
    camera_fractions = camera.cropped(crop.left, crop.top, crop.width, crop.height)
    point = np.array([[0.1, -0.2, 0.3]])
    before, _ = project(camera, point, 160, 90)
    after, _ = project(camera_fractions, point, side, side)
    rows, columns = np.nonzero(framed[..., 3])
    np.testing.assert_allclose(after - before, [[columns.min() - 100, rows.min() - 20]], atol=1e-9)
    assert (framed[framed[..., 3] == 0][:, :3] == 255).all()


def test_haze_does_not_decide_the_frame():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 3] = 7
    pixels[20:40, 20:40, 3] = 255
    framed, _ = frame_foreground(pixels, 0.5)
    assert framed.shape == (40, 40, 4)
    assert set(np.unique(framed[..., 3])) == {0, 255}


def test_empty_picture_cannot_be_framed():
    with pytest.raises(InputError, match="empty"):
        frame_foreground(np.zeros((8, 8, 4), np.uint8), 0.85)


def test_resize_does_not_mix_in_the_hidden_colour():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., :3] = (0, 255, 0)  # hidden
    pixels[16:48, 16:48] = (200, 0, 0, 255)
    small = resize(pixels, 21, 21)
    visible = small[small[..., 3] > 0]
    assert np.abs(visible[:, :3].astype(int) - (200, 0, 0)).max() <= 1
    assert (small[small[..., 3] == 0][:, :3] == 255).all()


def test_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to show
    Image.fromarray(corner_marked()).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    picture = load_picture(tmp_path / "a.jpg")
    assert picture.shape == (40, 24, 4)
    assert np.abs(picture[2, -3, :3].astype(int) - (255, 0, 0)).max() < 40
    assert np.abs(picture[-3, -3, :3].astype(int) - (0, 255, 0)).max() < 40


def test_sixteen_bit_grey_is_scaled(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png")[..., 0].ravel(), np.arange(256))


def test_other_modes(tmp_path):
    source = Image.fromarray(corner_marked())
    for mode in ("L", "LA", "P", "CMYK", "1", "RGBA"):
        name = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        source.convert(mode).save(name)
        picture = load_picture(name)
        assert picture.shape == (24, 40, 4), mode
        assert picture.dtype == np.uint8
        assert (picture[..., 3] == 255).all(), mode
        assert np.abs(picture[12, 20, :3].astype(int) - 128).max() < 128 if mode == "1" else 3, mode


def test_palette_transparency(tmp_path):
    source = Image.fromarray(corner_marked()).quantize(4)
    source.info["transparency"] = source.getpixel((0, 0))
    source.save(tmp_path / "a.png", transparency=source.getpixel((0, 0)))
    picture = load_picture(tmp_path / "a.png")
    assert picture[2, 2, 3] == 0
    assert picture[12, 20, 3] == 255


def test_colour_profile_is_converted(tmp_path):
    """A file whose numbers are CIELAB's: mid grey must arrive as mid grey, a reddish tone as red."""
    lab = Image.new("LAB", (4, 4), (136, 208, 178))  # L 53, a +80, b +50 with Pillow's offset of 128
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    lab.save(tmp_path / "a.tif", icc_profile=profile.tobytes())
    red, green, blue, _ = load_picture(tmp_path / "a.tif")[1, 1].astype(int)
    assert red > 230
    assert green < 60
    assert blue < 60


def test_broken_profile_is_passed_over(tmp_path):
    Image.fromarray(corner_marked()).save(tmp_path / "a.png", icc_profile=b"nonsense")
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png")[..., :3], corner_marked())


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    whole = encode_png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.png").write_bytes(whole)
    for path, said in [
        (tmp_path / "missing.png", "does not exist"),
        (tmp_path, "directory"),
        (tmp_path / "a.png", "not a picture"),
        (tmp_path / "b.png", "damaged"),
    ]:
        with pytest.raises(InputError, match=said):
            load_picture(path)
    with pytest.raises(InputError, match="--max-pixels"):
        load_picture(tmp_path / "c.png", max_pixels=1000)


def test_split_refuses_views_that_are_not_square():
    with pytest.raises(InputError, match="square views"):
        split_sheet(np.zeros((900, 640, 3), np.uint8))


def test_labelled_sheet_shows_every_picture_and_label():
    pictures = [np.full((30, 60, 4), (value, 0, 0, 255), np.uint8) for value in (50, 150, 250)]
    sheet = labelled_sheet(pictures, ["a0", "a1", "a2"], columns=2, size=64)
    assert sheet.shape == (2 * (64 + 16), 128, 3)
    assert sheet[32, 32, 0] == 50
    assert sheet[32, 96, 0] == 150
    assert sheet[64:80, :64].min() < 128  # text
    assert (sheet[80:, 64:] == 255).all()


def test_png_survives():
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 4), np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)

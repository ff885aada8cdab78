"""Whatever is handed in as a picture: read rightly, or refused in one line that names file and reason."""

import os
import socket
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers.unusual_pictures import (
    BLUE,
    GREEN,
    RED,
    cut_short,
    grey_profile,
    png16,
    rgb_profile,
    scene,
    tiff12,
    with_chunk,
    with_gamma,
)
from meshcli.errors import InputError, MeshcliError, MissingError
from meshcli.pictures.image import load_picture
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.views.lens import exif_field_of_view

GREY, SIGNAL = (128, 128, 128, 255), (255, 0, 0, 255)
CORNER, MIDDLE = (2, 2), (12, 30)


def near(picture, place, colour, tolerance=3) -> None:  # type: ignore[no-untyped-def]
    assert np.abs(picture[place].astype(int) - colour).max() <= tolerance, (place, picture[place], colour)


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "tif", "gif", "bmp", "tga", "pcx", "ppm", "avif", "jp2", "sgi", "dds", "qoi"]
)
def test_formats(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    scene().save(path)
    picture = load_picture(path)
    assert picture.shape == (24, 40, 4)
    near(picture, CORNER, SIGNAL)
    near(picture, MIDDLE, GREY)


@pytest.mark.parametrize(
    ("mode", "suffix", "corner"),
    [
        ("L", "png", (76, 76, 76, 255)),
        ("LA", "png", (76, 76, 76, 255)),
        ("P", "png", SIGNAL),
        ("PA", "tif", SIGNAL),
        ("RGBA", "png", SIGNAL),
        ("RGBX", "tif", SIGNAL),
        ("CMYK", "tif", SIGNAL),
        ("CMYK", "jpg", SIGNAL),
        ("YCbCr", "tif", SIGNAL),
        ("F", "tif", (76, 76, 76, 255)),
    ],
)
def test_modes(mode: str, suffix: str, corner: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    (scene().quantize(8).convert("PA") if mode == "PA" else scene().convert(mode)).save(path)
    picture = load_picture(path)
    near(picture, CORNER, corner)
    assert (picture[..., 3] == 255).all()
    if mode not in ("P", "PA"):
        near(picture, MIDDLE, GREY)


def test_lab_has_no_alpha_though_one_of_its_channels_is_called_a(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        scene(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.info.clear()
    lab.save(tmp_path / "a.tif")
    picture = load_picture(tmp_path / "a.tif")
    near(picture, CORNER, SIGNAL, 8)
    near(picture, MIDDLE, GREY)
    assert (picture[..., 3] == 255).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_scaled(channels: int, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16, 1)
    picture = load_picture(png16(tmp_path / "a.png", np.repeat(ramp, channels, axis=2)))
    wanted = np.arange(256).reshape(16, 16)
    for channel in range(3):
        assert np.abs(picture[..., channel].astype(int) - wanted).max() <= (0 if channels == 1 else 1)
    alpha = picture[..., 3].astype(int)
    assert (np.abs(alpha - wanted).max() <= 1) if channels in (2, 4) else (alpha == 255).all()


def test_other_depths_of_grey(tmp_path: Path) -> None:
    ramp = np.arange(16).reshape(2, 8)
    shades = ramp * 17
    np.testing.assert_array_equal(load_picture(tiff12(tmp_path / "a.tif", ramp * 273))[..., 0], shades)
    for name, values in {
        "b.tif": (ramp * 4369).astype(np.uint16),
        "c.tif": (ramp * 143_000_000).astype(np.int32),
        "d.tif": (ramp / 15).astype(np.float32),
        "e.tif": (ramp * 17).astype(np.float32),
        "f.tif": (ramp / 15 * 65535).astype(np.float32),
    }.items():
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(load_picture(tmp_path / name)[..., 0], shades, err_msg=name)
    holes = np.where(ramp == 3, np.nan, ramp / 15).astype(np.float32)
    Image.fromarray(holes).save(tmp_path / "g.tif")
    assert load_picture(tmp_path / "g.tif")[..., 0].ravel()[[3, 4, 15]].tolist() == [0, 68, 255]


def test_the_transparent_shade_of_a_sixteen_bit_grey(tmp_path: Path) -> None:
    values = np.array([[[1000], [1001], [40000]]], np.uint16)
    assert load_picture(png16(tmp_path / "a.png", values, clear=1000))[0, :, 3].tolist() == [0, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_every_orientation(orientation: int, suffix: str, tmp_path: Path) -> None:
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    taken = scene()
    if orientation in back:
        taken = taken.transpose(Image.Transpose[back[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    taken.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    picture = load_picture(tmp_path / f"a.{suffix}")
    assert picture.shape == (24, 40, 4)
    assert SourcePhoto(tmp_path / f"a.{suffix}").header.size == (40, 24)
    near(picture, CORNER, SIGNAL, 20)
    near(picture, (21, 2), (0, 255, 0, 255), 20)


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    for number, exif in enumerate((b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(200)))):
        path = tmp_path / f"{number}.jpg"
        scene().save(path, exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load_picture(path).shape == (24, 40, 4)
            assert exif_field_of_view(SourcePhoto(path).header) is None


def linear(value: float) -> float:
    """sRGB's curve for a linear value from 0 to 1, in 255ths (IEC 61966-2-1)."""
    return 255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055)


def test_colour_profiles(tmp_path: Path) -> None:
    scene().save(tmp_path / "swapped.png", icc_profile=rgb_profile(GREEN, RED, BLUE))
    picture = load_picture(tmp_path / "swapped.png")
    near(picture, CORNER, (0, 255, 0, 255))
    near(picture, (21, 2), SIGNAL)
    scene().convert("RGBA").save(tmp_path / "linear.png", icc_profile=rgb_profile(gamma=1.0))
    near(load_picture(tmp_path / "linear.png"), MIDDLE, (*[linear(128 / 255)] * 3, 255), 2)
    scene().convert("L").save(tmp_path / "grey.png", icc_profile=grey_profile(1.0))
    near(load_picture(tmp_path / "grey.png"), MIDDLE, (*[linear(128 / 255)] * 3, 255), 2)
    scene().quantize(8).save(tmp_path / "palette.png", icc_profile=rgb_profile(GREEN, RED, BLUE))
    near(load_picture(tmp_path / "palette.png"), CORNER, (0, 255, 0, 255))
    Image.fromarray(np.full((4, 4), 128 * 257, np.uint16)).save(tmp_path / "deep.png", icc_profile=grey_profile(1.0))
    near(load_picture(tmp_path / "deep.png"), (1, 1), (*[linear(128 / 255)] * 3, 255), 2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_gamma_is_applied(mode: str, tmp_path: Path) -> None:
    (scene().quantize(8) if mode == "P" else scene().convert(mode)).save(tmp_path / "a.png")
    picture = load_picture(with_gamma(tmp_path / "a.png", 1.0))
    if mode != "1":
        near(picture, MIDDLE, (*[linear(128 / 255)] * 3, 255), 2)
    else:
        assert set(np.unique(picture)) == {0, 255}
    if mode in {"RGB", "RGBA", "P"}:
        near(picture, CORNER, SIGNAL)  # 0 and 255 are the same on every curve


def test_gamma_leaves_transparency_alone(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (128, 128, 128, 128)).save(tmp_path / "a.png")
    near(load_picture(with_gamma(tmp_path / "a.png", 1.0)), (1, 1), (*[linear(128 / 255)] * 3, 128), 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_gamma_of_sixteen_bits(channels: int, tmp_path: Path) -> None:
    values = np.full((4, 4, channels), 0x2020, np.uint16)
    if channels in (2, 4):
        values[..., -1] = 0xFFFF
    picture = load_picture(with_gamma(png16(tmp_path / "a.png", values), 1.0))
    near(picture, (1, 1), (*[linear(0x2020 / 65535)] * 3, 255), 2)


def test_dark_sixteen_bit_shades_stay_distinct(tmp_path: Path) -> None:
    """In linear values all of these lie below the second of eight bits."""
    ramp = np.arange(0, 256, 8, dtype=np.uint16).reshape(1, -1, 1)
    shades = load_picture(with_gamma(png16(tmp_path / "a.png", ramp), 1.0))[0, :, 0]
    np.testing.assert_allclose(shades, [linear(value / 65535) for value in ramp.ravel()], atol=0.5)
    assert len(np.unique(shades)) > 12


def test_profiles_and_srgb_chunks_override_gamma(tmp_path: Path) -> None:
    """A profile, the sRGB chunk; a gamma as everybody writes it, and those that are none, change nothing."""
    scene().save(tmp_path / "a.png", icc_profile=rgb_profile(gamma=2.2))
    before = load_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(load_picture(with_gamma(tmp_path / "a.png", 1.0)), before)
    scene().save(tmp_path / "b.png")
    with_chunk(tmp_path / "b.png", b"sRGB", b"\0")
    near(load_picture(with_gamma(tmp_path / "b.png", 1.0)), MIDDLE, GREY, 0)
    for gamma in (0.45455, 0.45, 0.0, 40_000.0):
        scene().save(tmp_path / "c.png")
        near(load_picture(with_gamma(tmp_path / "c.png", gamma)), MIDDLE, GREY, 0)


def test_the_gamma_of_old_macs(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    near(load_picture(with_gamma(tmp_path / "a.png", 1 / 1.8)), MIDDLE, (*[linear((128 / 255) ** 1.8)] * 3, 255), 1)


def test_srgb_by_any_name_changes_no_number(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png")[..., :3], noise)


def test_a_profile_for_another_kind_of_picture_is_passed_over(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    scene().convert("L").save(tmp_path / "b.png", icc_profile=rgb_profile(gamma=1.0))
    for name in ("a.png", "b.png"):
        near(load_picture(tmp_path / name), MIDDLE, GREY)


@pytest.mark.parametrize(("suffix", "count"), [("gif", 3), ("png", 3), ("webp", 3), ("tif", 3)])
def test_the_first_of_several_frames_is_used_and_reported(suffix: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    others = [Image.new("RGB", (40, 24), colour) for colour in ("blue", "yellow")]
    scene().save(path, save_all=True, append_images=others)
    said: list[str] = []
    near(load_picture(path, tell=said.append), CORNER, SIGNAL, 12)
    assert said == [f"{path} holds {count} pictures; the first one is taken"]


def test_a_preview_is_no_second_picture(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    said: list[str] = []
    load_picture(tmp_path / "a.jpg", tell=said.append)
    assert said == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "I;16", "1"])
def test_a_large_picture_is_shrunk(mode: str, tmp_path: Path) -> None:
    large = scene(400, 240).convert("L").convert("I;16") if mode == "I;16" else scene(400, 240).convert(mode)
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    large.save(path)
    whole, small = load_picture(path), load_picture(path, side=100)
    assert (whole.shape, small.shape) == ((240, 400, 4), (60, 100, 4))
    assert load_picture(path, side=400).shape == load_picture(path, side=5000).shape == whole.shape
    for y, x in ((5, 5), (30, 80), (55, 5)):
        near(small, (y, x), whole[y * 4 - 8 : y * 4 + 8, x * 4 - 8 : x * 4 + 8].mean((0, 1)), 12 if mode in "P1" else 1)


def test_shrinking_leaves_hidden_colours_hidden(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., :3] = (0, 255, 0)
    pixels[:, :33] = (200, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    small = load_picture(tmp_path / "a.png", side=16)
    assert np.abs(small[small[..., 3] > 0][:, :3].astype(int) - (200, 0, 0)).max() <= 5


def test_a_jpeg_is_shrunk_and_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(400, 240).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif)
    small = load_picture(tmp_path / "a.jpg", side=40)
    assert small.shape == (24, 40, 4)
    near(small, CORNER, SIGNAL, 12)


def test_a_jpeg_takes_the_room_that_it_is_read_with(tmp_path: Path) -> None:
    """More pixels than may be held, of which a quarter each way is enough; a progressive one holds half of them."""
    for name, options in (("a.jpg", {}), ("p.jpg", {"progressive": True}), ("a.png", {})):
        scene(400, 240).save(tmp_path / name, **options)
    near(load_picture(tmp_path / "a.jpg", 10_000, 100), CORNER, SIGNAL, 12)
    near(load_picture(tmp_path / "p.jpg", 50_000, 100), CORNER, SIGNAL, 12)
    SourcePhoto.validated(tmp_path / "a.jpg", 10_000)
    SourcePhoto.validated(tmp_path / "p.jpg", 50_000)
    for name, most, side in (
        ("a.jpg", 10_000, 0),
        ("a.jpg", 5_000, 100),
        ("p.jpg", 40_000, 100),
        ("a.png", 50_000, 100),
    ):
        with pytest.raises(InputError, match=f"{name} has 0 megapixels, more than 0; .*--max-pixels"):
            load_picture(tmp_path / name, most, side)


def test_a_long_jpeg_is_reduced_by_its_longer_side(tmp_path: Path) -> None:
    scene(1600, 80).save(tmp_path / "a.jpg")
    assert load_picture(tmp_path / "a.jpg", 2_200, 200).shape == (10, 200, 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".avif", ".jp2", ".tga", ".ppm"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_files_are_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(cut_short(noise, suffix, share))
    for read in (load_picture, lambda path: SourcePhoto.validated(path, 10**8)):
        with pytest.raises(InputError, match=f"a{suffix} is (damaged or cannot be read: .|not a picture)") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def one_line(path: Path, read) -> bool:  # type: ignore[no-untyped-def]
    """Whether a file can be read, or the reason names it and has no second line."""
    try:
        read(path)
    except InputError as error:
        return path.name in str(error) and "\n" not in str(error)
    return True


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_is_a_bug(seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Bytes changed at random, 600 files in all: pictures or one-line errors, and nothing printed."""
    draw = np.random.default_rng(seed)
    files = []
    for suffix in (".png", ".jpg", ".webp", ".tif", ".gif", ".avif", ".tga", ".jp2", ".ico", ".bmp"):
        files.append((suffix, cut_short(scene(), suffix, 1.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(200):
            suffix, data = files[number % len(files)]
            damaged = bytearray(data)
            for place in draw.integers(0, len(data), 1 + number % 7):
                damaged[place] = draw.integers(0, 256)
            path = tmp_path / f"a{suffix}"
            path.write_bytes(damaged)
            for read in (load_picture, lambda path: SourcePhoto(path).header):
                assert one_line(path, read)
    assert capfd.readouterr() == ("", "")


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    def made(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    os.mkfifo(tmp_path / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.png"))
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for path, reason in {
        made("text.png", b"hello"): "is not a picture",
        made("empty.png", b""): "is empty",
        made("film.jpg", b"\0\0\0\x18ftypisom\0\0\0\1isomavc1" + bytes(99)): "is not a picture",
        made("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9\n"): "is",
        tmp_path / "pipe.png": "is a pipe, not a picture",
        tmp_path / "socket.png": "is a socket, not a picture",
        Path("/dev/zero"): "is a device, not a picture",
        tmp_path: "is a directory, not a picture",
        tmp_path / "nothing.png": "does not exist",
        tmp_path / "gone.png": "does not exist",
        tmp_path / ("n" * 300 + ".png"): "cannot be read: File name too long",
    }.items():
        with pytest.raises(InputError) as caught:
            load_picture(path)
        assert str(caught.value).startswith(f"{path} {reason}")
    server.close()


def test_gigantic_pictures_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """400 megapixels in a small file; Pillow's own limit, 179, is not in the way of those who allow more."""
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 100_000
    for read in (load_picture, lambda path: SourcePhoto.validated(path, 100_000_000)):
        with pytest.raises(InputError, match=r"a\.png has 400 megapixels, more than 100; .*--max-pixels"):
            read(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SourcePhoto(tmp_path / "a.png").header.size == (20_000, 20_000)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_heic_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcli.pictures.picture_file.find_spec", lambda name: None)
    (tmp_path / "a.HEIC").write_bytes(HEIC)
    with pytest.raises(MissingError, match=r"a\.HEIC is a HEIC picture: `pip install pillow-heif`") as caught:
        load_picture(tmp_path / "a.HEIC")
    assert caught.value.exit_code == 4


def test_heic_with_its_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package registers a reader; this one, in its place, reads any HEIC file as one red picture."""
    from PIL import ImageFile

    class Reader(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self) -> None:
            self._mode, self._size, self.tile = "RGB", (4, 2), []

        def load(self):  # type: ignore[no-untyped-def]
            self.im = Image.new("RGB", (4, 2), "red").im

    registered: list[int] = []

    def register() -> None:
        registered.append(1)
        Image.register_open("HEIF", Reader, lambda start: start[4:12] == b"ftypheic")

    monkeypatch.setattr("meshcli.pictures.picture_file.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=register))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    (tmp_path / "a.heic").write_bytes(HEIC)
    near(load_picture(tmp_path / "a.heic"), (1, 1), SIGNAL)
    scene().save(tmp_path / "b.png")
    load_picture(tmp_path / "b.png")
    assert registered == [1]  # nobody else pays for it


def test_heic_for_real(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    heif.from_pillow(scene()).save(tmp_path / "a.heic", quality=-1)
    picture = load_picture(tmp_path / "a.heic")
    near(picture, CORNER, SIGNAL, 12)
    (tmp_path / "b.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:300])
    with pytest.raises(MeshcliError, match=r"b\.heic is"):
        load_picture(tmp_path / "b.heic")


def test_heic_of_a_phone_held_upright(tmp_path: Path) -> None:
    """As iPhones write it: pixels of the sensor, and a quarter turn, which is done once."""
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    sensor = heif.from_pillow(scene().transpose(Image.Transpose.ROTATE_90))
    sensor.save(tmp_path / "a.heic", quality=-1, exif=exif.tobytes())
    picture = load_picture(tmp_path / "a.heic")
    assert picture.shape[:2] == scene().size[::-1]
    near(picture, CORNER, SIGNAL, 12)


def test_heic_with_several_pictures_is_its_main_one(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    album = heif.HeifFile()
    album.add_from_pillow(Image.new("RGB", (64, 64), "green"))
    album.add_from_pillow(scene())
    album.save(tmp_path / "a.heic", quality=-1, primary_index=1)
    near(load_picture(tmp_path / "a.heic"), CORNER, SIGNAL, 12)


def test_heic_of_ten_bits(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    wide = np.asarray(scene().convert("RGB")).astype(np.uint16) * 257
    heif.encode("RGB;16", scene().size, wide.tobytes(), tmp_path / "a.heic", quality=-1)
    near(load_picture(tmp_path / "a.heic"), CORNER, SIGNAL, 12)

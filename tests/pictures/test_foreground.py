"""The object is cut out: plain backgrounds of every kind, gaps, soft edges, and what rembg is asked."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from helpers.paths import SHARED, SHEETS, needs_shared_data
from meshcli.commands import cli
from meshcli.errors import InputError, MissingError
from meshcli.pictures.foreground import cut_out, plain_background_alpha
from meshcli.pictures.image import load_picture, split_sheet
from meshcli.project.project import Project
from meshcli.settings import PhotoSettings

PHOTOS = SHARED / "data/photos/inputs"
SIZE = 160


def disc(centre, radius, size=SIZE):
    """Exact enough coverage (size, size) of a disc, from 8 x 8 samples a pixel."""
    row, column = (np.mgrid[0 : size * 8, 0 : size * 8] + 0.5) / 8
    inside = np.hypot(column - centre[0], row - centre[1]) < radius
    return inside.reshape(size, 8, size, 8).mean(axis=(1, 3))


def mug():
    """Coverage of a body with a handle that has a hole."""
    handle = disc((120, 80), 26) - disc((120, 80), 16)
    return np.maximum(disc((75, 80), 45), handle)


def picture(coverage, colour, background):
    rgb = coverage[..., None] * np.array(colour) + (1 - coverage[..., None]) * background
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def opaque(rgb):
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)


def uneven(base, noise=1.0):
    row, column = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    drift = 8 * column - 6 * row * row
    return base + drift[..., None] + np.random.default_rng(0).normal(0, noise, (SIZE, SIZE, 3))


@pytest.mark.parametrize("background", [255.0, 246.0, 128.0, 3.0, uneven(244.0), uneven(168.0, 2.0)])
def test_coverage_with_hole_and_soft_edge(background):
    alpha = plain_background_alpha(picture(mug(), (150, 60, 40), background))
    assert alpha is not None
    error = np.abs(alpha / 255.0 - mug())
    assert error.mean() < 0.004
    assert error.max() < 0.5
    assert alpha[80, 122] == 0  # through the handle


def test_white_on_white_is_not_eaten():
    """A white ball with a shaded rim and a highlight of exactly the background's colour in its middle."""
    distance = np.hypot(*(np.mgrid[0:SIZE, 0:SIZE] - 80))
    shade = np.clip(255 - 60 * (distance / 50) ** 2, 190, 248)
    rgb = np.where((distance < 50)[..., None], shade[..., None], 247).astype(np.uint8).repeat(3, -1)
    alpha = plain_background_alpha(rgb)
    assert alpha is not None
    assert (alpha[distance < 48] == 255).all()
    assert (alpha[distance > 52] == 0).all()


def test_specks_are_no_object():
    rgb = picture(np.maximum(disc((80, 80), 40), disc((20, 20), 1.5)), (20, 90, 30), 250.0)
    alpha = plain_background_alpha(rgb)
    assert alpha is not None
    assert alpha[:40, :40].max() == 0


def test_object_that_leaves_the_picture():
    alpha = plain_background_alpha(picture(disc((80, 150), 40), (20, 90, 30), 250.0))
    assert alpha is not None
    assert alpha[SIZE - 1, 80] == 255


def test_busy_background_is_not_plain():
    rgb = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    assert plain_background_alpha(rgb) is None


def test_existing_alpha_wins_and_is_cleaned():
    pixels = opaque(picture(mug(), (150, 60, 40), 255.0))
    pixels[..., 3] = np.where(np.arange(SIZE) < 80, 255, 5)
    cut = cut_out(pixels, PhotoSettings())
    assert cut.method == "alpha"
    assert (cut.pixels[:, 80:] == (255, 255, 255, 0)).all()
    assert (cut.pixels[:, :80, 3] == 255).all()


def test_edge_colours_lose_the_background():
    """Over white a cut-out from black must look as if it had been photographed on white."""
    coverage = disc((80, 80), 40.3)
    cut = cut_out(opaque(picture(coverage, (200, 120, 60), 0.0)), PhotoSettings())
    assert cut.method == "plain"
    edge = (coverage > 0.2) & (coverage < 0.9)
    assert np.abs(cut.pixels[edge][:, :3].astype(int) - (200, 120, 60)).max() <= 4


def test_soft_shadows_are_removed():
    shadow = 1 - 0.35 * np.exp(-(((np.mgrid[0:320, 0:320] - [[[250]], [[160]]]) / [[[30]], [[90]]]) ** 2).sum(0))
    rgb = picture(disc((160, 160), 90, 320), (60, 80, 170), 230.0 * shadow[..., None])
    cut = cut_out(opaque(rgb), PhotoSettings())
    assert cut.method == "plain"
    extra = (cut.pixels[..., 3] > 0) & (disc((160, 160), 93, 320) == 0)
    assert extra.mean() < 0.002


def test_nothing_to_see():
    with pytest.raises(InputError, match="the picture is empty, of one colour all over: cut the object out by hand"):
        cut_out(opaque(picture(np.zeros((SIZE, SIZE)), (150, 60, 40), 255.0)), PhotoSettings())
    with pytest.raises(InputError, match=r"empty mask.*rembg was switched off"):
        cut_out(opaque(picture(disc((80, 80), 0.5), (150, 60, 40), 255.0)), PhotoSettings(), rembg=False)


def busy():
    return opaque(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))


def test_rembg_absent_and_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "rembg", None)  # must not even be imported
    with pytest.raises(MissingError, match=r"`meshcli models pull u2netp` gets it"):
        cut_out(busy(), PhotoSettings(), offline=True)


def test_rembgs_file_is_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").write_text("<html>404</html>")
    broken = fake_rembg(np.zeros((64, 64), np.uint8))

    def refuse(*_):
        raise RuntimeError("Protobuf parsing failed")

    broken.new_session = refuse
    monkeypatch.setitem(sys.modules, "rembg", broken)
    with pytest.raises(MissingError, match=r"u2netp.onnx\) cannot be used \(Protobuf.*`meshcli models verify u2netp`"):
        cut_out(busy(), PhotoSettings(), offline=True)


def test_rembg_switched_off():
    with pytest.raises(InputError, match="rembg"):
        cut_out(busy(), PhotoSettings(), rembg=False)


def test_rembg_without_onnxruntime(monkeypatch):
    class Quits:
        def find_spec(self, name, path=None, target=None):
            if name == "rembg":
                raise SystemExit(1)  # what rembg does

    monkeypatch.delitem(sys.modules, "rembg", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Quits(), *sys.meta_path])
    with pytest.raises(MissingError, match="pip install"):
        cut_out(busy(), PhotoSettings())


def test_rembgs_place_cannot_be_reached(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr("meshcli.weights.download.REMBG_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(np.zeros((64, 64), np.uint8)))
    with pytest.raises(MissingError) as caught:
        cut_out(busy(), PhotoSettings())
    assert str(caught.value).startswith(
        "the background is not plain, and http://127.0.0.1:9/u2netp.onnx cannot be reached"
    )
    assert str(caught.value).endswith("or cut the object out by hand and save it as a PNG with transparency")
    assert capfd.readouterr() == ("", "")


def fake_rembg(mask, local=True):
    session = SimpleNamespace(is_local=lambda: local)
    return SimpleNamespace(new_session=lambda model: session, remove=lambda rgb, session, only_mask: mask)


def test_rembg_is_asked_last(monkeypatch, tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 10:50] = 255
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").touch()
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(mask))
    cut = cut_out(busy(), PhotoSettings(), offline=True)
    assert cut.method == "rembg"
    np.testing.assert_array_equal(cut.pixels[..., 3], mask)
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(np.full((64, 64), 255, np.uint8)))
    with pytest.raises(InputError, match="full-frame"):
        cut_out(busy(), PhotoSettings())
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(mask, local=False))
    with pytest.raises(MissingError, match="service"):
        cut_out(busy(), PhotoSettings())


def test_the_network_is_read_where_it_lies(monkeypatch, tmp_path):
    """rembg looks into folders of its own; for a file elsewhere it is told where, and only then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "nothing"))
    mask, told = np.zeros((64, 64), np.uint8), []
    mask[10:50, 10:50] = 255
    fake = fake_rembg(mask)
    session = fake.new_session
    fake.new_session = lambda model: told.append(os.environ["U2NET_HOME"]) or session(model)
    monkeypatch.setitem(sys.modules, "rembg", fake)
    for folder, weights in (("ckpts", None), ("own", Path("own")), ("nothing", None)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "u2netp.onnx").touch()
        assert cut_out(busy(), PhotoSettings(), offline=True, weights=weights).method == "rembg"
        assert told.pop() == str(tmp_path / folder)
        assert os.environ["U2NET_HOME"] == str(tmp_path / "nothing")
        (tmp_path / folder / "u2netp.onnx").unlink()


def test_the_error_for_a_photo_that_needs_the_network(monkeypatch, tmp_path, capsys):
    """The photo, the file, one folder, one command: on standard error, and whole in `status`, on one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    home = tmp_path / "a home whose name is as long as the names of homes in offices are"
    monkeypatch.setenv("U2NET_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "60")
    Image.fromarray(busy()).save("holiday.png")
    Image.fromarray(busy()[::-1].copy()).save("second.png")
    line = ["generate", "desk", "holiday.png", "second.png", "--offline", "--config", "quick"]
    for words in (line, ["status", "desk"]):
        assert cli.main(words) == (4 if words is line else 0)
        captured = capsys.readouterr()
        said = captured.err.splitlines()[-1] if words is line else captured.out
        whole = (
            "holiday.png: the background is not plain, and rembg's model u2netp is not on this machine: "
            f"`meshcli models pull u2netp` gets it, or put u2netp.onnx into {home}/models/u2netp, or cut the object"
        )
        assert whole in said


def test_weights_for_cutting_out_are_taken_by_every_engine(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    Image.fromarray(busy()).save("holiday.png")
    Path("stick").mkdir()
    for line in ("generate desk holiday.png --engine sculpt", "run desk holiday.png --generator sculpt"):
        words = [*line.split(), "--dry-run", "--weights", "stick"]
        assert cli.main(words) == 2
        assert "--weights=stick is for zero123plus and the networks" in capsys.readouterr().err
    Path("stick/u2netp.onnx").touch()
    assert cli.main(["generate", "desk", "holiday.png", "--engine", "sculpt", "--dry-run", "--weights", "stick"]) == 0


def neutral_mask(tile):
    """Whatever differs from the corners by more than 5 %: the mask by which reconstructions are measured."""
    corners = np.concatenate(
        [tile[r, c].reshape(-1, 3) for r in (slice(8), slice(-8, None)) for c in (slice(8), slice(-8, None))]
    )
    mask = np.abs(tile.astype(float) - np.median(corners, axis=0)).max(-1) > 0.05 * 255
    for value, least in ((True, 60), (False, 20)):
        labels, _ = ndimage.label(mask == value)
        mask ^= (np.bincount(labels.ravel()) < least)[labels] & (labels > 0)
    return mask


@needs_shared_data
@pytest.mark.parametrize("name", ["chair_wood", "chair_armed", "bird", "plant", "fox", "sorting_board"])
def test_real_sheets(name):
    for tile in split_sheet(load_picture(SHEETS / f"{name}.png")[..., :3])[:2]:
        alpha = plain_background_alpha(tile)
        assert alpha is not None
        mask, found = neutral_mask(tile), alpha > 0
        assert (mask & found).sum() / (mask | found).sum() > 0.98


@needs_shared_data
def test_gaps_between_the_spindles_are_open():
    tile = split_sheet(load_picture(SHEETS / "chair_armed.png")[..., :3])[0]
    alpha = plain_background_alpha(tile)
    assert alpha is not None
    for column, row in ((107, 78), (114, 169), (213, 170), (148, 26), (148, 97)):
        assert alpha[row, column] == 0


# Where the object is and is not, in fractions of width and height: seen by eye in ../shared/data/photos/inputs.
POINTS = {
    "bird.jpg": ([(0.30, 0.17), (0.45, 0.28), (0.50, 0.62), (0.50, 0.92)], [(0.1, 0.4), (0.9, 0.2)]),
    "cake.jpg": ([(0.50, 0.40), (0.50, 0.60), (0.78, 0.70), (0.50, 0.82)], [(0.1, 0.2), (0.2, 0.9)]),
    "cute_horse.jpg": ([(0.63, 0.10), (0.30, 0.25), (0.50, 0.45), (0.38, 0.85)], [(0.9, 0.2), (0.1, 0.9)]),
    "lamp.png": ([(0.50, 0.75), (0.50, 0.45), (0.50, 0.25)], [(0.2, 0.2), (0.8, 0.5), (0.2, 0.9)]),
    "plant.jpg": ([(0.20, 0.30), (0.70, 0.18), (0.75, 0.70), (0.48, 0.88), (0.70, 0.45)], [(0.05, 0.8), (0.9, 0.1)]),
    "teasure_chest.jpg": ([(0.30, 0.30), (0.75, 0.25), (0.60, 0.55), (0.50, 0.80)], [(0.1, 0.1), (0.9, 0.9)]),
}


@pytest.mark.slow
@needs_shared_data
def test_the_default_network_from_the_command_line(u2netp, monkeypatch, tmp_path, capsys):
    """Where it is found, that it is whole, and that `generate` takes it by itself; without it: exit 4, what to type."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    line = ["generate", "desk", str(PHOTOS / "bird.jpg"), "--offline", "--config", "quick", "--json"]
    for name in ("HOME", "U2NET_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    assert cli.main(line) == 4
    assert "`meshcli models pull u2netp` gets it" in capsys.readouterr().err
    monkeypatch.setenv("U2NET_HOME", str(u2netp))
    assert cli.main(["models", "path", "u2netp"]) == 0
    assert capsys.readouterr().out.strip() == str(u2netp / "u2netp.onnx")
    assert cli.main(["models", "verify", "u2netp"]) == 0
    assert "as published (md5)" in capsys.readouterr().out
    assert cli.main(line) == 0
    assert Project("desk").load().photos[0].method == "rembg"


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("name", POINTS)
def test_real_photos_with_the_real_network(name, u2netp, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(u2netp))
    cut = cut_out(load_picture(PHOTOS / name), PhotoSettings(), offline=True)
    assert cut.method == "rembg"
    height, width = cut.pixels.shape[:2]
    for points, solid in zip(POINTS[name], (True, False), strict=True):
        for x, y in points:
            alpha = cut.pixels[int(y * height), int(x * width), 3]
            assert (alpha > 200) if solid else (alpha == 0), (x, y, alpha)
    partly = ((cut.pixels[..., 3] > 0) & (cut.pixels[..., 3] < 255)).mean()
    assert partly < 0.04


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (2, 2), (300, 1)], ids=str)
@pytest.mark.parametrize("alpha", [255, 0])
def test_pictures_of_hardly_any_pixels_are_one_line(shape: tuple[int, int], alpha: int) -> None:
    pixels = np.full((*shape, 4), (200, 30, 30, alpha), np.uint8)
    with pytest.raises(InputError, match=r"is empty|nothing of it") as error:
        cut_out(pixels, PhotoSettings(), rembg=False)
    assert "\n" not in str(error.value)


def photo():
    """A mug on a white page, and how much of each pixel it covers."""
    return picture(mug(), (150, 60, 40), 255.0), mug()


def rounded(radius):
    shape = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, SIZE - 1, SIZE - 1), radius, fill=255)
    return np.asarray(shape)


def bordered(width):
    return np.pad(np.full((SIZE - 2 * width, SIZE - 2 * width), 255, np.uint8), width)


def overlap(cut, truth):
    found, wanted = cut.pixels[..., 3] >= 128, truth >= 0.5
    return (found & wanted).sum() / (found | wanted).sum()


@pytest.mark.parametrize("alpha", [*map(rounded, (3, 24, 60, 79)), *map(bordered, (1, 2, 4))])
def test_transparency_that_trims_a_page_cuts_nothing_out(alpha):
    rgb, truth = photo()
    cut = cut_out(np.dstack([rgb, alpha]), PhotoSettings(), rembg=False)
    assert cut.method == "plain"
    assert overlap(cut, truth) > 0.97
    assert any("trims a page" in note for note in cut.notes)


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("angle", [2, -8, 45])
def test_a_picture_that_was_turned(angle, expand):
    rgb, truth = photo()
    both = np.dstack([rgb, np.full((SIZE, SIZE), 255, np.uint8)])
    pixels = np.asarray(Image.fromarray(both).rotate(angle, Image.Resampling.BICUBIC, expand=expand))
    shape = Image.fromarray((truth * 255).astype(np.uint8)).rotate(angle, Image.Resampling.BICUBIC, expand=expand)
    cut = cut_out(pixels, PhotoSettings(), rembg=False)
    assert cut.method == "plain"
    assert overlap(cut, np.asarray(shape) / 255.0) > 0.97


@pytest.mark.parametrize("level", [254, 128])
def test_transparency_that_is_the_same_everywhere(level):
    rgb, truth = photo()
    cut = cut_out(np.dstack([rgb, np.full((SIZE, SIZE), level, np.uint8)]), PhotoSettings(), rembg=False)
    assert cut.method == "plain"
    assert overlap(cut, truth) > 0.97


def test_an_object_may_reach_the_rim_of_its_page():
    truth = np.roll(mug(), 32, axis=0)
    rgb = picture(truth, (150, 60, 40), 255.0)
    cut = cut_out(np.dstack([rgb, rounded(24)]), PhotoSettings(), rembg=False)
    assert cut.method == "plain"
    assert overlap(cut, truth) > 0.97


def woven():
    """A pattern that goes on to every border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(0, 1, (SIZE, SIZE, 3)), (3, 3, 0))
    return (128 + 45 * noise / noise.std()).clip(0, 255).astype(np.uint8)


def ball():
    """Of one colour, lit from the upper left, and what it covers: the whole width of the picture."""
    row, column = (np.mgrid[0:SIZE, 0:SIZE] - SIZE / 2) / (SIZE / 2)
    away = row**2 + column**2
    light = 0.3 + 0.7 * np.clip(0.8 * np.sqrt(np.clip(1 - away, 0, 1)) - 0.4 * column - 0.4 * row, 0, 1)
    return (light[..., None] * (200, 50, 40)).clip(0, 255).astype(np.uint8), away < 1


def flat_things():
    """Pictures and their alpha: what fills its frame as a page does, and is a cut-out all the same."""
    plain = np.full((SIZE, SIZE, 3), (60, 90, 160), np.uint8)
    cover = np.full((SIZE, SIZE, 3), 245, np.uint8)
    cover[60:100, 60:100] = (30, 80, 160)
    box = np.zeros((SIZE, SIZE), np.uint8)
    box[14:-14, 14:-14] = 255
    clear_sides = np.full((SIZE, SIZE), 255, np.uint8)
    clear_sides[:, :4] = clear_sides[:, -4:] = 0
    rgb, round_ = ball()
    return {
        "a printed box": (woven(), clear_sides),
        "a cushion": (woven(), rounded(30)),
        "a tile of one colour": (plain, rounded(30)),
        "a book with room round it": (cover, box),
        "a ball": (rgb, round_ * np.uint8(255)),
    }


@pytest.mark.parametrize("thing", flat_things())
def test_not_every_bright_border_is_a_page(thing):
    rgb, alpha = flat_things()[thing]
    cut = cut_out(np.dstack([rgb, alpha]), PhotoSettings(), rembg=False)
    assert cut.method == "alpha"
    assert overlap(cut, alpha / 255.0) == 1.0


@pytest.mark.parametrize("down", [0, 36])
def test_a_cut_out_may_fill_its_frame(down):
    """Without room round it, or reaching the border."""
    pixels = np.dstack([photo()[0], (mug() * 255).astype(np.uint8)])
    rows, columns = (np.nonzero(mug().any(axis=axis))[0] for axis in (1, 0))
    pixels = np.roll(pixels, down, axis=0) if down else pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cut = cut_out(pixels, PhotoSettings(), rembg=False)
    assert (cut.method, cut.notes) == ("alpha", ())
    assert overlap(cut, pixels[..., 3] / 255.0) == 1.0


def test_a_glass_is_cut_out_whole():
    rgb, truth = photo()
    cut = cut_out(np.dstack([rgb, (truth * 70).round().astype(np.uint8)]), PhotoSettings(), rembg=False)
    assert cut.method == "alpha"
    assert overlap(cut, truth) > 0.99


def test_a_way_that_fails_hands_on(monkeypatch, tmp_path):
    """White on white: the next one is asked, and it is said which failed; without it exit 4, and what to type."""
    rgb = picture(mug(), (251, 251, 251), 255.0)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(MissingError, match=r"leaves nothing of the object.*`meshcli models pull u2netp` gets it"):
        cut_out(opaque(rgb), PhotoSettings(), offline=True)
    (tmp_path / "u2netp.onnx").touch()
    mask = (mug() * 255).astype(np.uint8)
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(mask))
    cut = cut_out(opaque(rgb), PhotoSettings(), offline=True)
    assert cut.method == "rembg"
    assert overlap(cut, mug()) > 0.9
    assert cut.notes == (
        "the plain background of this picture leaves nothing of the object (empty mask); rembg found the object",
    )
    monkeypatch.setitem(sys.modules, "rembg", fake_rembg(np.zeros_like(mask)))
    with pytest.raises(
        InputError, match=r"plain background.* and rembg's u2netp leaves nothing of the object"
    ) as error:
        cut_out(opaque(rgb), PhotoSettings(), offline=True)
    assert "\n" not in str(error.value)


def test_a_clear_line_hands_on_to_the_network(monkeypatch, tmp_path):
    """Transparency that leaves everything, in front of a busy background; what is clear stays clear."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").touch()
    asked = []

    def remove(rgb, session, only_mask):
        asked.append(rgb)
        return np.where(mug() > 0.5, 255, 0).astype(np.uint8)

    fake = fake_rembg(None)
    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(new_session=fake.new_session, remove=remove))
    alpha = np.full((SIZE, SIZE), 255, np.uint8)
    alpha[0] = 0
    cut = cut_out(np.dstack([woven(), alpha]), PhotoSettings(), offline=True)
    assert cut.method == "rembg"
    assert (asked[0][0] == 255).all()
    assert cut.notes == (
        "the transparency of this picture makes the whole frame the object (full-frame mask; leave room round it), "
        "the background is not plain; rembg found the object",
    )


def test_an_uncut_frame_is_used_and_reported():
    """A busy picture with round corners: nothing tells it from a cushion."""
    cut = cut_out(np.dstack([woven(), rounded(30)]), PhotoSettings(), rembg=False)
    assert any("nearly the whole frame" in note for note in cut.notes)

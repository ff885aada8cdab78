"""Where a cut-out by the plain background looks doubtful, and when the network's is taken instead."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.paths import SHARED, needs_shared_data
from meshcli.arrays import Mask
from meshcli.errors import InputError, MissingError
from meshcli.pictures.cutout_sheet import CHECKERS, cutout_sheet
from meshcli.pictures.foreground import cut_out
from meshcli.pictures.image import load_picture
from meshcli.pictures.pixels import Pixels
from meshcli.settings import PhotoSettings

SIDE = 320
GREY = 170
ROW, COLUMN = np.mgrid[0:SIDE, 0:SIDE]
PHOTOS = SHARED / "data/photos"


def disc(row: float, column: float, radius: float) -> Mask:
    inside: Mask = np.hypot(ROW - row, COLUMN - column) < radius
    return inside


def picture(body: Mask, colour: tuple[int, int, int] = (190, 80, 30)) -> Pixels:
    pixels = np.full((SIDE, SIDE, 4), GREY, np.uint8)
    pixels[..., 3] = 255
    pixels[body, :3] = colour
    return pixels


BODY = disc(150, 160, 90)
MUZZLE = disc(120, 60, 24)


def with_muzzle() -> Pixels:
    """A body with a pale grey muzzle at its side that fades into the background, as a shadow or a glow does."""
    pixels = picture(BODY)
    brightness = np.clip(3.0 * (24.0 - np.hypot(ROW - 120, COLUMN - 60)), 0.0, 45.0)
    pixels[MUZZLE & ~BODY, :3] = (GREY + brightness[MUZZLE & ~BODY]).astype(np.uint8)[:, None]
    return pixels


def with_speck() -> Pixels:
    pixels = picture(BODY)
    pixels[disc(290, 40, 12), :3] = 125
    return pixels


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A network on this machine that answers with `mask`."""
    state = SimpleNamespace(mask=BODY, asked=0)

    def remove(rgb: Any, session: Any, only_mask: bool) -> Pixels:
        state.asked += 1
        return state.mask.astype(np.uint8) * 255

    session = SimpleNamespace(is_local=lambda: True)
    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(new_session=lambda model: session, remove=remove))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").touch()
    return state


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("U2NET_HOME", "MESHCLI_CKPTS", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)


def test_a_speck_is_left_to_the_network(network: SimpleNamespace) -> None:
    cut = cut_out(with_speck(), PhotoSettings())
    assert cut.method == "rembg"
    assert cut.pixels[290, 40, 3] == 0
    assert "that rembg does not; rembg's is taken" in cut.notes[0]


def test_a_hole_is_left_to_the_network(network: SimpleNamespace) -> None:
    assert cut_out(with_muzzle(), PhotoSettings(), rembg=False).pixels[120, 60, 3] == 0
    network.mask = BODY | MUZZLE
    cut = cut_out(with_muzzle(), PhotoSettings())
    assert cut.method == "rembg"
    assert cut.pixels[120, 60, 3] == 255


def test_a_clean_cut_out_does_not_cost_the_network(network: SimpleNamespace) -> None:
    assert cut_out(picture(BODY & ~disc(150, 160, 30)), PhotoSettings()).method == "plain"
    assert network.asked == 0


def test_gaps_that_the_network_fills_stay_open(network: SimpleNamespace) -> None:
    pixels = with_speck()
    gap = disc(150, 160, 40)
    pixels[gap, :3] = GREY
    cut = cut_out(pixels, PhotoSettings())
    assert network.asked == 1
    assert cut.method == "plain"
    assert cut.pixels[150, 160, 3] == 0
    assert "rembg's has others" in cut.notes[0]


def test_parts_that_the_network_loses_stay(network: SimpleNamespace) -> None:
    network.mask = disc(150, 160, 60)
    assert cut_out(with_speck(), PhotoSettings()).method == "plain"


@pytest.mark.usefixtures("no_network")
def test_without_the_network_a_doubt_is_said() -> None:
    cut = cut_out(with_speck(), PhotoSettings())
    assert cut.method == "plain"
    assert "may have left holes, specks" in cut.notes[0]
    assert "`meshcli models pull u2netp`" in cut.notes[0]
    assert cut.uncompared
    switched_off = cut_out(with_speck(), PhotoSettings(), rembg=False)
    assert "models pull" not in switched_off.notes[0]
    assert not switched_off.uncompared
    assert not cut_out(picture(BODY), PhotoSettings()).uncompared
    assert cut_out(picture(BODY), PhotoSettings()).notes == ()


def test_a_network_that_cannot_start_leaves_the_plain_cut_out(
    network: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    assert cut_out(with_speck(), PhotoSettings()).method == "plain"


def test_a_way_that_is_named_is_taken(network: SimpleNamespace) -> None:
    pixels = with_speck()
    transparent = pixels.copy()
    transparent[..., 3] = np.where(disc(150, 160, 50), 255, 0)
    assert cut_out(pixels, PhotoSettings(cutout="plain")).method == "plain"
    assert network.asked == 0
    assert cut_out(picture(BODY), PhotoSettings(cutout="rembg")).method == "rembg"
    assert cut_out(transparent, PhotoSettings(cutout="rembg")).method == "rembg"
    assert cut_out(transparent, PhotoSettings(cutout="plain")).method == "plain"
    assert cut_out(transparent, PhotoSettings(cutout="alpha")).method == "alpha"


@pytest.mark.usefixtures("no_network")
def test_a_way_that_does_not_work_is_an_error() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 4)).astype(np.uint8)
    noise[..., 3] = 255
    with pytest.raises(InputError, match="there is none that separates anything"):
        cut_out(picture(BODY), PhotoSettings(cutout="alpha"))
    with pytest.raises(InputError, match="the background is not plain"):
        cut_out(noise, PhotoSettings(cutout="plain"))
    with pytest.raises(MissingError, match="rembg is to cut it out, and rembg's model u2netp is not on this machine"):
        cut_out(picture(BODY), PhotoSettings(cutout="rembg"), offline=True)


def test_holes_show_the_checkerboard() -> None:
    pixels = picture(BODY)
    pixels[..., 3] = np.where(BODY, 255, 0)
    sheet = cutout_sheet([pixels, pixels[:, :200]], ["a  alpha", "b  alpha"])
    assert sheet.shape[1] == 640
    assert {tuple(colour) for colour in sheet[:40, :40].reshape(-1, 3)} == {tuple(colour) for colour in CHECKERS}
    assert tuple(sheet[150, 160]) == (190, 80, 30)


# Seen by eye: what the network does better, and where it fills gaps.
BETTER_BY_NETWORK = {
    "inputs/fox.jpg": True, "inputs/teapot.jpg": True, "inputs/chair_wood.jpg": True, "inputs/robot.jpg": True,
    "multi/temple/templeSR0001.png": True, "multi/temple/templeSR0014.png": False,
    "multi/temple/templeSR0015.png": False, "single/owl.png": False,
}  # fmt: skip


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("name", BETTER_BY_NETWORK)
def test_real_photos(name: str, u2netp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(u2netp))
    cut = cut_out(load_picture(PHOTOS / name, side=2048), PhotoSettings(), offline=True)
    assert cut.method == ("rembg" if BETTER_BY_NETWORK[name] else "plain")

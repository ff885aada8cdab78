"""Pictures as other programs and cameras make them, from ../shared/cases: what is cut out of them, and what is said."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers.rendering import render_picture
from meshcli.commands import cli
from meshcli.export.gltf import read_glb
from meshcli.project.manifest import Photo
from meshcli.project.project import Project

pytestmark = pytest.mark.slow

Mask = NDArray[np.bool_]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory of its own, on a machine without networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    for name in ("HOME", "U2NET_HOME", "MESHCLI_CKPTS"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))


def generate(photo: Path) -> int:
    """The photo itself as a view: what is painted after it is cut out is not asked about here."""
    return cli.main(["generate", "p", f"{photo}@0", "--config", "quick", "--offline", "--engine", "photos"])


def the_photo() -> Photo:
    return Project("p").load().photos[0]


def cut_out() -> NDArray[np.uint8]:
    with Image.open(Project("p").path(the_photo().file)) as picture:
        return np.array(picture)


def in_frame(truth: Path, photo: Photo, side: int) -> Mask:
    """A silhouette of the original, cropped as the photo is."""
    left, top, width, height = photo.crop
    with Image.open(truth) as picture:
        across, down = picture.size
        room = Image.new("L", (3 * across, 3 * down))  # the crop may reach outside
        room.paste(picture, (across, down))
    box = ((1 + left) * across, (1 + top) * down, (1 + left + width) * across, (1 + top + height) * down)
    framed = room.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(framed) >= 128


def overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def mask_overlap(truth: Path) -> float:
    alpha = cut_out()[..., 3]
    return overlap(alpha >= 128, in_frame(truth, the_photo(), len(alpha)))


def test_glass(cases: Path) -> None:
    """The whole body of a glass, from its cut-out to its mesh."""
    line = ["run", "p", str(cases / "glass.png"), "--config", "quick", "--offline", "--to", "reconstruct"]
    assert cli.main(line) == 0
    assert the_photo().method == "alpha"
    assert mask_overlap(cases / "truth/figure.png") > 0.97
    seen = render_picture(read_glb(Project("p").path("mesh/mesh.glb")), the_photo().camera, 400, 400)[..., 3] >= 128
    assert overlap(seen, in_frame(cases / "truth/figure.png", the_photo(), 400)) >= 0.95


@pytest.mark.parametrize(
    ("name", "truth"), [("rounded", "figure"), ("straightened", "straightened"), ("clear_edge", "figure")]
)
def test_alpha(name: str, truth: str, cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(cases / f"{name}.png") == 0
    assert the_photo().method == "plain"
    assert mask_overlap(cases / f"truth/{truth}.png") >= 0.97
    assert "trims a page" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["white_on_white", "black_on_black"])
def test_pale(
    name: str, cases: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the network exit 4, in one line that says how to get it; with it, its mask."""
    assert generate(cases / f"{name}.png") == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "`meshcli models pull u2netp`" in last
    (tmp_path / "nothing").mkdir(exist_ok=True)
    (tmp_path / "nothing/u2netp.onnx").touch()
    with Image.open(cases / "truth/figure.png") as picture:
        mask = np.asarray(picture)
    session = SimpleNamespace(is_local=lambda: True)
    fake = SimpleNamespace(new_session=lambda model: session, remove=lambda rgb, session, only_mask: mask)
    monkeypatch.setitem(sys.modules, "rembg", fake)
    assert generate(cases / f"{name}.png") == 0
    assert the_photo().method == "rembg"
    assert mask_overlap(cases / "truth/figure.png") >= 0.97


def test_shadow(cases: Path) -> None:
    """The hard shadow of a flash counts as object: a limit, which must not grow."""
    assert generate(cases / "flash_shadow.png") == 0
    assert mask_overlap(cases / "truth/figure.png") >= 0.92 - 0.005


def test_large(cases: Path) -> None:
    assert generate(cases / "large.jpg") == 0
    photo = the_photo()
    alpha = cut_out()[..., 3]
    left, top, width, height = photo.crop
    row, column = (np.mgrid[0 : len(alpha), 0 : len(alpha)] + 0.5) / len(alpha)
    x, y = (left + column * width) * 12_000, (top + row * height) * 9_000
    block = (x > 4_000) & (x < 8_000) & (y > 2_000) & (y < 7_000)
    assert overlap(alpha >= 128, block) >= 0.97
    assert photo.size == (12_000, 9_000)


def test_gamma(cases: Path) -> None:
    assert generate(cases / "gamma.png") == 0
    pixels = cut_out()
    middle = pixels[len(pixels) // 2, len(pixels) // 2]
    assert np.abs(middle[:3].astype(int) - (170, 60, 50)).max() <= 12
    assert mask_overlap(cases / "truth/figure.png") >= 0.97


def test_a_cut_out(cases: Path) -> None:
    """An ordinary one goes on to work, without a word about it."""
    assert generate(cases / "cutout.png") == 0
    assert the_photo().method == "alpha"
    assert mask_overlap(cases / "truth/figure.png") >= 0.99

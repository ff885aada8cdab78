"""Sampling with networks in miniature: interrupting and resuming, what the result depends on, memory."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import tiny_zero123plus
from meshcli.errors import MissingError
from meshcli.generators.zero123plus.conditioning import embed_empty_prompt
from meshcli.generators.zero123plus.files import WeightFiles
from meshcli.generators.zero123plus.networks import Networks
from meshcli.generators.zero123plus.reference_attention import ReferenceUNet
from meshcli.generators.zero123plus.sampling import (
    Callbacks,
    PhotoInput,
    generate_sheets,
    preview_sheet,
    seeded_generator,
)
from meshcli.lrm.attention import attend
from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels
from meshcli.settings import Zero123PlusSettings

SHAPE = (24, 16)  # latents of the sheet
SETTINGS = Zero123PlusSettings(steps=4, guidance=4.0, view_size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_zero123plus.write(tmp_path_factory.mktemp("weights") / "zero123plus-v1.2")


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    """Networks that stay in memory, so that they are built once."""
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32, keep=True)


@pytest.fixture
def frugal(folder: Path) -> Networks:
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32)


class Drawer:
    """A store in memory that can be told to break at some point."""

    def __init__(self, breaking_at: int = -1) -> None:
        self.kept: dict[str, bytes] = {}
        self.saves = 0
        self.breaking_at = breaking_at

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.kept[name] = data
        self.saves += 1
        if self.saves == self.breaking_at:
            raise KeyboardInterrupt


def job(name: str, seed: int, key: str = "key") -> PhotoInput:
    pixels = np.zeros((50, 50, 4), np.uint8)
    pixels[10:40, 10:40] = (200, 30 * seed, 60, 255)
    return PhotoInput(name, pixels, seed, key)


def sheets(networks: Networks, drawer: Drawer, jobs: list[PhotoInput], **changes: object) -> dict[str, Pixels]:
    settings = replace(SETTINGS, **{"checkpoint_every": 1, **changes})  # type: ignore[arg-type]
    return {painted.name: sheet for painted, sheet in generate_sheets(jobs, networks, settings, drawer)}


@pytest.fixture(scope="module")
def whole(networks: Networks) -> dict[str, Pixels]:
    """Two photos, painted without a break."""
    return sheets(networks, Drawer(), [job("a", 1), job("b", 2)])


@pytest.mark.parametrize("breaking_at", [1, 10, *(pytest.param(step, marks=pytest.mark.slow) for step in (2, 4, 6, 7))])
def test_an_interrupted_run_resumes_bit_identically(
    networks: Networks, whole: dict[str, Pixels], breaking_at: int
) -> None:
    drawer = Drawer(breaking_at)
    with pytest.raises(KeyboardInterrupt):
        sheets(networks, drawer, [job("a", 1), job("b", 2)])
    again = sheets(networks, drawer, [job("a", 1), job("b", 2)])
    assert drawer.saves == 10  # nothing was done twice
    assert all((again[name] == whole[name]).all() for name in whole)


def test_checkpoints_of_other_runs_are_not_resumed(networks: Networks, whole: dict[str, Pixels]) -> None:
    drawer = Drawer()
    other = sheets(networks, drawer, [job("a", 2)])
    assert (other["a"] != whole["a"]).any()
    drawer.kept["b"] = b"damaged"
    again = sheets(networks, drawer, [job("a", 1, "other"), job("b", 2)])
    assert all((again[name] == whole[name]).all() for name in whole)


def test_photos_do_not_depend_on_each_other(networks: Networks, whole: dict[str, Pixels]) -> None:
    assert (sheets(networks, Drawer(), [job("b", 2)])["b"] == whole["b"]).all()
    together = sheets(networks, Drawer(), [job("a", 1), job("b", 2)], batch=2)
    for name, sheet in whole.items():
        assert np.abs(together[name].astype(int) - sheet).max() <= 2


def test_options_that_do_not_change_the_result(frugal: Networks, whole: dict[str, Pixels]) -> None:
    again = sheets(frugal, Drawer(), [job("a", 1), job("b", 2)], attention="sdpa", checkpoint_every=0)
    assert all((again[name] == whole[name]).all() for name in whole)


@pytest.mark.parametrize("changes", [{"steps": 3}, {"guidance": 2.0}, {"unet": "original"}], ids=str)
def test_options_that_change_the_result(
    networks: Networks, whole: dict[str, Pixels], changes: dict[str, object]
) -> None:
    assert (sheets(networks, Drawer(), [job("a", 1)], **changes)["a"] != whole["a"]).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_paints_the_same(folder: Path, whole: dict[str, Pixels]) -> None:
    networks = Networks(tiny_zero123plus.files(folder), torch.device("cuda:0"), torch.float32)
    again = sheets(networks, Drawer(), [job("a", 1), job("b", 2)])
    assert all(np.abs(again[name].astype(int) - sheet).max() <= 4 for name, sheet in whole.items())


def test_xformers_that_are_not_installed(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    with pytest.raises(MissingError, match="--attention auto"):
        sheets(networks, Drawer(), [job("a", 1)], attention="xformers")


def test_a_network_is_in_memory_only_while_it_works(frugal: Networks, networks: Networks) -> None:
    with frugal.vae() as vae:
        assert not next(vae.parameters()).is_meta
    assert next(vae.parameters()).is_meta
    with networks.vae() as vae:
        pass
    with networks.vae() as again:
        assert again is vae
        assert not next(vae.parameters()).is_meta


def test_the_writing_pass_ends_early(networks: Networks) -> None:
    with networks.unet() as unet:
        calls = []
        unet.conv_out.register_forward_hook(lambda *_: calls.append("out"))
        unet.conv_in.register_forward_hook(lambda *_: calls.append("in"))
        both = ReferenceUNet(unet, attend)
        latents, reference, text = torch.zeros(2, 4, *SHAPE), torch.zeros(2, 4, 8, 8), torch.zeros(2, 77, 64)
        both(latents, reference, torch.tensor(999.0), text)
    assert calls == ["in", "in", "out"]


def test_the_empty_prompt_is_embedded_once(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed_empty_prompt(networks)
    monkeypatch.setattr(Networks, "text_encoder", None)
    assert torch.equal(embed_empty_prompt(networks), first)
    assert networks.files.prompt_file().parent == networks.files.folder


def test_an_embedding_of_other_weights_is_not_taken(networks: Networks) -> None:
    file = networks.files.prompt_file()
    embed_empty_prompt(networks)
    file.write_bytes(file.read_bytes().replace(b'"weights"', b'"weighty"'))
    assert embed_empty_prompt(networks).shape == (77, 64)
    assert b'"weights"' in file.read_bytes()


def test_weights_in_a_read_only_place(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_zero123plus.files(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert files.prompt_file().is_relative_to(tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder.parent))
    assert files.prompt_file().is_relative_to(tmp_path)


def test_settings_that_cannot_be_read(folder: Path) -> None:
    files = tiny_zero123plus.files(folder)
    nowhere = WeightFiles(folder / "nowhere", files.unet, files.vae, files.text_encoder, files.vision_encoder)
    with pytest.raises(MissingError, match="models pull zero123plus"):
        Networks(nowhere, torch.device("cpu"), torch.float32).scheduler()


def test_progress_and_previews(networks: Networks) -> None:
    heard, seen = [], []
    hooks = Callbacks(
        lambda done, total, what: heard.append((done, total, what)), lambda name, sheet: seen.append(sheet)
    )
    list(generate_sheets([job("a", 1)], networks, replace(SETTINGS, preview=2), Drawer(), hooks))
    assert [done for done, _, what in heard if what.endswith("denoising")] == [0, 1, 2, 3, 4]
    assert [sheet.shape for sheet in seen] == [(24, 16, 3)] * 2


@pytest.mark.parametrize(("asked", "otherwise", "shown"), [(0, 0, 0), (0, 2, 2), (4, 2, 1)])
def test_previews_that_nobody_asked_for(networks: Networks, asked: int, otherwise: int, shown: int) -> None:
    seen: list[str] = []
    hooks = Callbacks(on_preview=lambda name, sheet: seen.append(name), preview_every=otherwise)
    list(generate_sheets([job("a", 1)], networks, replace(SETTINGS, preview=asked), Drawer(), hooks))
    assert seen == ["a"] * shown


def test_a_preview_has_the_colours_of_its_latents() -> None:
    bright = preview_sheet(torch.full((4, 3, 2), 1.0) * torch.tensor([3.0, 3.0, 0.0, -3.0])[:, None, None])
    dark = preview_sheet(torch.full((4, 3, 2), -1.0) * torch.tensor([3.0, 3.0, 0.0, -3.0])[:, None, None])
    assert bright.mean() > 200
    assert dark.mean() < 60


def test_a_seed_may_have_64_bits() -> None:
    assert torch.randn(3, generator=seeded_generator(2**64 - 1)).isfinite().all()


def test_photos_are_put_in_front_of_what_the_unet_was_trained_with(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshcli.generators.zero123plus import sampling

    pictures = []
    original = sampling.initialise_states
    monkeypatch.setattr(sampling, "initialise_states", lambda rgb, *rest: pictures.extend(rgb) or original(rgb, *rest))
    sheets(networks, Drawer(), [job("a", 1)])
    sheets(networks, Drawer(), [job("a", 1)], unet="original")
    assert [int(picture[0, 0, 0]) for picture in pictures] == [255, 127]
    assert (pictures[0] == over(job("a", 1).pixels)).all()

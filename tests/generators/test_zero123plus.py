"""Against golden/zero123plus_*: the published pipeline's numbers on networks in miniature."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_zero123plus
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from meshcli.errors import MissingError
from meshcli.generators import conditioning, denoising
from meshcli.generators.conditioning import begin, empty_prompt, prepare_picture, prompt_embedding
from meshcli.generators.denoising import Painting, denoise
from meshcli.generators.reference_attention import ReferenceUNet
from meshcli.generators.zero123plus import Hooks, Job, decode, generator_of, paint, preview
from meshcli.generators.zero123plus_files import Files
from meshcli.generators.zero123plus_networks import Networks
from meshcli.image import over
from meshcli.lrm.attention import attend
from meshcli.settings import Zero123PlusSettings
from meshcli.view import Pixels

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
SHAPE = (24, 16)  # latents of the sheet
STEPS, GUIDANCE = 4, 4.0
SETTINGS = Zero123PlusSettings(steps=STEPS, guidance=GUIDANCE, view_size=64)
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden is not here")


def numbers(name: str) -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN / f"zero123plus_{name}.npz") as file:
        return dict(file)


def facts() -> dict[str, dict[str, dict[str, object]]]:
    return json.loads((GOLDEN / "zero123plus_pipeline.json").read_text())


@pytest.fixture(scope="module")
def pipeline() -> dict[str, NDArray[np.float32]]:
    return numbers("pipeline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ramp = numbers("pipeline")["ramping_coefficients"].tolist() if GOLDEN.is_dir() else tiny_zero123plus.RAMP
    return tiny_zero123plus.write(tmp_path_factory.mktemp("weights") / "zero123plus-v1.2", ramp)


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    """Networks that stay in memory, so that they are built once."""
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32, keep=True)


@pytest.fixture
def frugal(folder: Path) -> Networks:
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32)


def tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.asarray(values))


def distance(found: Tensor, wanted: NDArray[np.float32]) -> float:
    return float((found - tensor(wanted)).abs().max())


def draw_sheet(
    networks: Networks, rgb: Pixels, generator: Generator, sampling: Generator | None = None
) -> tuple[Painting, list[Painting], Pixels]:
    """The whole pipeline: the painting before, after each step, and the sheet."""
    own = None if sampling is None else [sampling]
    painting = begin([rgb], [generator], networks, SHAPE, own)[0]
    with networks.unet() as unet:
        both = ReferenceUNet(unet, attend)
        steps = [each[0] for each in denoise([painting], both, networks.scheduler(), STEPS, GUIDANCE, own)]
    with networks.vae() as vae:
        return painting, steps, decode(vae, steps[-1].latents)


def assert_same_picture(found: Pixels, wanted: NDArray[np.float32]) -> None:
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


@golden
def test_the_networks_in_miniature_are_golden_s() -> None:
    wanted = facts()
    for name, config in tiny_zero123plus.CONFIGS.items():
        own = {key: value for key, value in config.items() if key not in ("_class_name", "architectures", "model_type")}
        assert own == wanted["config"][name]


@golden
def test_pictures_are_prepared_as_published(networks: Networks, pipeline: dict[str, NDArray[np.float32]]) -> None:
    for name in ("vae", "clip"):
        processor = networks.settings(f"feature_extractor_{name}/preprocessor_config.json")
        found = prepare_picture(pipeline["rgb_image_u8"], processor)
        np.testing.assert_allclose(found, pipeline[f"{name}_pixel_values"], atol=1e-6)


def test_the_tokens_of_no_words() -> None:
    assert empty_prompt(49408, 77) == [49406, 49407, *[0] * 75]


@golden
@pytest.mark.parametrize("step", [0, 2, 3])
def test_one_call_of_the_unet(networks: Networks, step: int) -> None:
    call = numbers("unet_call")
    sigma = float(call["sigmas"][step])
    noisy = (tensor(call["cond_lat"]) + tensor(call["noise"]) * sigma) / (sigma**2 + 1) ** 0.5
    assert distance(noisy, call[f"noisy_cond_lat_{step}"]) < 1e-6
    with networks.unet() as unet:
        both = ReferenceUNet(unet, attend)
        rest = torch.tensor(float(call["timesteps"][step])), tensor(call["encoder_hidden_states"])
        predicted = both(tensor(call["sample"]), noisy, *rest)
        assert distance(predicted, call[f"unet_out_{step}"]) < 2e-5
        assert distance(predicted[:1] + GUIDANCE * (predicted[1:] - predicted[:1]), call[f"guided_{step}"]) < 1e-4
        if step == 0:  # nothing of the reference is left behind
            assert distance(both.plain(tensor(call["sample"]), *rest), call["plain_unet_out_0"]) < 2e-5


@golden
@pytest.mark.parametrize("steps", [28, 36, 50, 75])
def test_the_sampler_s_times(networks: Networks, steps: int) -> None:
    call = numbers("unet_call")
    scheduler = networks.scheduler()
    scheduler.set_timesteps(steps)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), call[f"timesteps_{steps}"])
    np.testing.assert_allclose(scheduler.sigmas.numpy(), call[f"sigmas_{steps}"], rtol=1e-6)
    assert float(scheduler.init_noise_sigma) == pytest.approx(25.146116256713867)


@pytest.fixture
def stored_draws(monkeypatch: pytest.MonkeyPatch, pipeline: dict[str, NDArray[np.float32]]) -> Iterator[None]:
    """Every random number comes from golden, in order."""
    from diffusers.schedulers import scheduling_euler_ancestral_discrete as sampler

    names = sorted(name for name in pipeline if name.startswith("draw_"))

    def stored(shape: tuple[int, ...], *_: object, **__: object) -> Tensor:
        wanted = tensor(pipeline[names.pop(0)])
        assert tuple(shape) == tuple(wanted.shape)
        return wanted

    monkeypatch.setattr(conditioning, "draw", stored)
    monkeypatch.setattr(denoising, "draw", stored)
    monkeypatch.setattr(sampler, "randn_tensor", stored)
    yield
    assert not names


@golden
@pytest.mark.usefixtures("stored_draws")
def test_the_whole_pipeline_with_stored_draws(networks: Networks, pipeline: dict[str, NDArray[np.float32]]) -> None:
    painting, steps, sheet = draw_sheet(networks, pipeline["rgb_image_u8"], torch.Generator())
    assert distance(painting.condition.latents, pipeline["cond_lat"]) < 2e-5
    assert distance(painting.condition.text, pipeline["encoder_hidden_states"]) < 2e-5
    for number, after in enumerate(steps):
        assert distance(after.latents, pipeline["step_latents"][number, 0]) < 2e-4
    assert_same_picture(sheet, pipeline["image_u8"])


@golden
def test_native_runs(networks: Networks, pipeline: dict[str, NDArray[np.float32]]) -> None:
    seeds = facts()["native"]
    one, other = (torch.Generator().manual_seed(int(seeds[name])) for name in ("global_seed", "generator_seed"))
    _, steps, sheet = draw_sheet(networks, pipeline["rgb_image_u8"], one, other)
    assert distance(steps[-1].latents * 1.0, pipeline["native_final_latents"][0]) < 2e-4
    assert_same_picture(sheet, pipeline["native_image_u8"])
    one.manual_seed(int(seeds["global_seed"]))
    assert_same_picture(draw_sheet(networks, pipeline["rgb_image_u8"], one)[2], pipeline["native_noargs_image_u8"])


@golden
def test_the_decoder(networks: Networks, pipeline: dict[str, NDArray[np.float32]]) -> None:
    scaled = (tensor(pipeline["unscaled_latents"])[0] - 0.22) * 0.75
    with networks.vae() as vae:
        assert_same_picture(decode(vae, scaled), pipeline["image_u8"])
        tiled = decode(vae, scaled, tiled=True)
    assert tiled.shape == pipeline["image_u8"].shape


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


def job(name: str, seed: int, key: str = "key") -> Job:
    pixels = np.zeros((50, 50, 4), np.uint8)
    pixels[10:40, 10:40] = (200, 30 * seed, 60, 255)
    return Job(name, pixels, seed, key)


def sheets(networks: Networks, drawer: Drawer, jobs: list[Job], **changes: object) -> dict[str, Pixels]:
    from dataclasses import replace

    settings = replace(SETTINGS, **{"checkpoint_every": 1, **changes})  # type: ignore[arg-type]
    return {painted.name: sheet for painted, sheet in paint(jobs, networks, settings, drawer)}


@pytest.fixture(scope="module")
def whole(networks: Networks) -> dict[str, Pixels]:
    """Two photos, painted without a break."""
    return sheets(networks, Drawer(), [job("a", 1), job("b", 2)])


@pytest.mark.parametrize("breaking_at", [1, 2, 4, 6, 7, 10])
def test_a_run_that_broke_off_goes_on_bit_identically(
    networks: Networks, whole: dict[str, Pixels], breaking_at: int
) -> None:
    drawer = Drawer(breaking_at)
    with pytest.raises(KeyboardInterrupt):
        sheets(networks, drawer, [job("a", 1), job("b", 2)])
    again = sheets(networks, drawer, [job("a", 1), job("b", 2)])
    assert drawer.saves == 10  # nothing was done twice
    assert all((again[name] == whole[name]).all() for name in whole)


def test_what_belongs_to_something_else_is_not_gone_on_with(networks: Networks, whole: dict[str, Pixels]) -> None:
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


def test_what_must_not_change_the_result(frugal: Networks, whole: dict[str, Pixels]) -> None:
    again = sheets(frugal, Drawer(), [job("a", 1), job("b", 2)], attention="sdpa", checkpoint_every=0)
    assert all((again[name] == whole[name]).all() for name in whole)


@pytest.mark.parametrize("changes", [{"steps": 3}, {"guidance": 2.0}, {"unet": "original"}], ids=str)
def test_what_must_change_the_result(networks: Networks, whole: dict[str, Pixels], changes: dict[str, object]) -> None:
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
    first = prompt_embedding(networks)
    monkeypatch.setattr(Networks, "text_encoder", None)
    assert torch.equal(prompt_embedding(networks), first)
    assert networks.files.prompt().parent == networks.files.folder


def test_an_embedding_of_other_weights_is_not_taken(networks: Networks) -> None:
    file = networks.files.prompt()
    prompt_embedding(networks)
    file.write_bytes(file.read_bytes().replace(b'"weights"', b'"weighty"'))
    assert prompt_embedding(networks).shape == (77, 64)
    assert b'"weights"' in file.read_bytes()


def test_weights_in_a_read_only_place(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_zero123plus.files(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert files.prompt().is_relative_to(tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder.parent))
    assert files.prompt().is_relative_to(tmp_path)


def test_settings_that_cannot_be_read(folder: Path) -> None:
    files = tiny_zero123plus.files(folder)
    nowhere = Files(folder / "nowhere", files.unet, files.vae, files.text_encoder, files.vision_encoder)
    with pytest.raises(MissingError, match="models pull zero123plus"):
        Networks(nowhere, torch.device("cpu"), torch.float32).scheduler()


def test_progress_and_previews(networks: Networks) -> None:
    heard, seen = [], []
    hooks = Hooks(lambda done, total, what: heard.append((done, total, what)), lambda name, sheet: seen.append(sheet))
    from dataclasses import replace

    list(paint([job("a", 1)], networks, replace(SETTINGS, preview=2), Drawer(), hooks))
    assert [done for done, _, what in heard if what.endswith("painting")] == [0, 1, 2, 3, 4]
    assert [sheet.shape for sheet in seen] == [(24, 16, 3)] * 2


def test_a_preview_has_the_colours_of_its_latents() -> None:
    bright = preview(torch.full((4, 3, 2), 1.0) * torch.tensor([3.0, 3.0, 0.0, -3.0])[:, None, None])
    dark = preview(torch.full((4, 3, 2), -1.0) * torch.tensor([3.0, 3.0, 0.0, -3.0])[:, None, None])
    assert bright.mean() > 200
    assert dark.mean() < 60


def test_a_seed_may_have_64_bits() -> None:
    assert torch.randn(3, generator=generator_of(2**64 - 1)).isfinite().all()


def test_photos_are_put_in_front_of_what_the_unet_was_trained_with(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshcli.generators import zero123plus

    pictures = []
    original = zero123plus.begin
    monkeypatch.setattr(zero123plus, "begin", lambda rgb, *rest: pictures.extend(rgb) or original(rgb, *rest))
    sheets(networks, Drawer(), [job("a", 1)])
    sheets(networks, Drawer(), [job("a", 1)], unet="original")
    assert [int(picture[0, 0, 0]) for picture in pictures] == [255, 127]
    assert (pictures[0] == over(job("a", 1).pixels)).all()

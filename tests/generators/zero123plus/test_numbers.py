"""Numbers of the published pipeline (SUDO-AI-3D/zero123plus, diffusers-support/pipeline.py), networks in miniature."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers import scheduling_euler_ancestral_discrete as sampler
from numpy.typing import NDArray
from torch import Generator, Tensor

from helpers import tiny_zero123plus
from helpers.golden import EXTERNAL, RECORDED, Arrays, Numbers, difference, needs_shared_golden
from meshcli.generators.zero123plus import conditioning, denoising
from meshcli.generators.zero123plus.conditioning import (
    embed_empty_prompt,
    empty_prompt_tokens,
    initialise_states,
    preprocess,
)
from meshcli.generators.zero123plus.denoising import DiffusionState, denoise
from meshcli.generators.zero123plus.networks import Networks
from meshcli.generators.zero123plus.reference_attention import ReferenceUNet
from meshcli.generators.zero123plus.sampling import decode_sheet
from meshcli.lrm.attention import attend
from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels

SHAPE = (24, 16)  # latents of the sheet
STEPS, GUIDANCE = 4, 4.0


@pytest.fixture(scope="module")
def pipeline(numbers: Numbers) -> Arrays:
    return numbers.arrays("zero123plus_pipeline")


@pytest.fixture(scope="module")
def call(numbers: Numbers) -> Arrays:
    return numbers.arrays("zero123plus_unet_call")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """Networks that stay in memory, so that they are built once."""
    folder = tiny_zero123plus.write(tmp_path_factory.mktemp("weights") / "zero123plus-v1.2")
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32, keep=True)


@pytest.fixture(scope="module")
def ramped(
    numbers: Numbers, pipeline: Arrays, networks: Networks, tmp_path_factory: pytest.TempPathFactory
) -> Networks:
    """The same with the published run's own ramp: it stands in a settings file."""
    if numbers == RECORDED:
        return networks
    ramp = pipeline["ramping_coefficients"].tolist()
    own = tiny_zero123plus.write(tmp_path_factory.mktemp("ramped") / "zero123plus-v1.2", ramp)
    return Networks(tiny_zero123plus.files(own), torch.device("cpu"), torch.float32, keep=True)


def tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.asarray(values))


class Listener(ReferenceUNet):
    """Keeps what the UNet is given and what it answers, step by step."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__(unet, attend)
        self.heard: dict[str, list[Tensor]] = {"unet_sample": [], "noisy_cond_lat": [], "unet_out": []}

    def __call__(self, latents: Tensor, reference: Tensor, time: Tensor, text: Tensor) -> Tensor:
        found = super().__call__(latents, reference, time, text)
        for kept, values in zip(self.heard.values(), (latents, reference, found), strict=True):
            kept.append(values.clone())
        return found


@dataclass(frozen=True)
class Painted:
    """The whole way of the pipeline."""

    begun: DiffusionState
    steps: list[DiffusionState]
    heard: dict[str, list[Tensor]]
    sheet: Pixels


def draw_sheet(networks: Networks, rgb: Pixels, generator: Generator, sampling: Generator | None = None) -> Painted:
    own = None if sampling is None else [sampling]
    painting = initialise_states([rgb], [generator], networks, SHAPE, own)[0]
    with networks.unet() as unet:
        both = Listener(unet)
        steps = [each[0] for each in denoise([painting], both, networks.scheduler(), STEPS, GUIDANCE, own)]
    with networks.vae() as vae:
        return Painted(painting, steps, both.heard, decode_sheet(vae, steps[-1].latents))


def assert_same_picture(found: Pixels, wanted: NDArray[np.uint8]) -> None:
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


@needs_shared_golden
def test_the_networks_in_miniature_are_those_of_both_recordings() -> None:
    wanted = EXTERNAL.facts("zero123plus_pipeline")["config"]
    assert wanted["sched"].pop("timestep_spacing") == "trailing"  # which the published programs set afterwards
    for name, config in tiny_zero123plus.CONFIGS.items():
        own = {key: value for key, value in config.items() if key not in ("_class_name", "architectures", "model_type")}
        assert own == wanted[name]


def test_pictures_are_prepared_as_published(networks: Networks, pipeline: Arrays) -> None:
    """to_rgb_image of the original pipeline, which has grey behind, and transformers' CLIPImageProcessor."""
    photo = pipeline["input_image_u8"]
    opaque = np.concatenate([photo, np.full((*photo.shape[:2], 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(over(opaque, 127), pipeline["rgb_image_u8"])
    for name in ("vae", "clip"):
        processor = networks.settings(f"feature_extractor_{name}/preprocessor_config.json")
        found = preprocess(pipeline["rgb_image_u8"], processor)
        assert difference(found, pipeline, f"{name}_pixel_values") < 1e-6


def test_the_tokens_of_the_empty_prompt(pipeline: Arrays) -> None:
    assert empty_prompt_tokens(49408, 77) == [49406, 49407, *[0] * 75]
    assert empty_prompt_tokens(40, 77) == pipeline["input_ids"][0].tolist()


def test_conditioning_on_a_photo(networks: Networks, pipeline: Arrays) -> None:
    """encode_condition_image, the vision encoder and encode_prompt."""
    for_vae, for_clip = (
        networks.settings(f"feature_extractor_{name}/preprocessor_config.json") for name in ("vae", "clip")
    )
    values = preprocess(pipeline["rgb_image_u8"], for_vae)
    with networks.vae() as vae:
        for name, given in (("cond", values), ("zero_image", np.zeros_like(values))):
            found = vae.encode(torch.from_numpy(given)).latent_dist
            assert difference(found.mean, pipeline, f"vae_mean_{name}") < 2e-5
            assert difference(found.logvar, pipeline, f"vae_logvar_{name}") < 2e-5
    with networks.vision_encoder() as vision:
        seen = vision(torch.from_numpy(preprocess(pipeline["rgb_image_u8"], for_clip)))
        assert difference(seen.image_embeds, pipeline, "image_embeds") < 2e-5
    assert difference(embed_empty_prompt(networks), pipeline, "text_hidden") < 2e-5


@pytest.mark.parametrize("step", [0, 2, 3])
def test_one_call_of_the_unet(networks: Networks, call: Arrays, step: int) -> None:
    """RefOnlyNoisedUNet."""
    sigma = float(call["sigmas"][step])
    noisy = (tensor(call["cond_lat"]) + tensor(call["noise"]) * sigma) / (sigma**2 + 1) ** 0.5
    assert difference(noisy, call, f"noisy_cond_lat_{step}") < 1e-6
    with networks.unet() as unet:
        both = ReferenceUNet(unet, attend)
        rest = torch.tensor(float(call["timesteps"][step])), tensor(call["encoder_hidden_states"])
        predicted = both(tensor(call["sample"]), noisy, *rest)
        assert difference(predicted, call, f"unet_out_{step}") < 2e-5
        assert difference(predicted[:1] + GUIDANCE * (predicted[1:] - predicted[:1]), call, f"guided_{step}") < 1e-4
        if step == 0:  # nothing of the reference is left behind
            assert difference(both.without_reference(tensor(call["sample"]), *rest), call, "plain_unet_out_0") < 2e-5


def test_the_vae(networks: Networks, call: Arrays) -> None:
    with networks.vae() as vae:
        found = vae.encode(tensor(call["vae_sample"])).latent_dist
        assert difference(found.mean, call, "vae_mean") < 2e-5
        assert difference(found.logvar, call, "vae_logvar") < 2e-5
        decoded = vae.decode(tensor(call["vae_latent"]), return_dict=False)[0]
    assert difference(decoded, call, "vae_decoded") < 2e-5


@pytest.mark.parametrize("steps", [28, 36, 50, 75])
def test_the_sampler_s_times(networks: Networks, call: Arrays, steps: int) -> None:
    scheduler = networks.scheduler()
    scheduler.set_timesteps(steps)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), call[f"timesteps_{steps}"])
    np.testing.assert_allclose(scheduler.sigmas.numpy(), call[f"sigmas_{steps}"], rtol=1e-6)
    assert float(scheduler.init_noise_sigma) == pytest.approx(25.146116256713867)


def test_the_sampler_s_steps(networks: Networks, call: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = networks.scheduler()
    scheduler.set_timesteps(STEPS)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), call["timesteps"])
    monkeypatch.setattr(sampler, "randn_tensor", lambda *_, **__: tensor(call["sched_noise"]))
    for step, time in enumerate(scheduler.timesteps):
        after = scheduler.step(
            tensor(call["sched_model_output"]), time, tensor(call["sched_sample"]), return_dict=False
        )
        assert difference(after[0], call, f"sched_prev_{step}") < 1e-5


@pytest.fixture
def stored_draws(monkeypatch: pytest.MonkeyPatch, pipeline: Arrays) -> Iterator[None]:
    """Every random number is the published run's, in order."""
    names = sorted(name for name in pipeline if name.startswith("draw_"))

    def stored(shape: tuple[int, ...], *_: object, **__: object) -> Tensor:
        wanted = tensor(pipeline[names.pop(0)])
        assert tuple(shape) == tuple(wanted.shape)
        return wanted

    monkeypatch.setattr(conditioning, "draw_noise", stored)
    monkeypatch.setattr(denoising, "draw_noise", stored)
    monkeypatch.setattr(sampler, "randn_tensor", stored)
    yield
    assert not names


@pytest.mark.usefixtures("stored_draws")
def test_the_whole_pipeline_with_stored_draws(ramped: Networks, pipeline: Arrays) -> None:
    ramp = ramped.settings("model_index.json")["ramping_coefficients"]
    np.testing.assert_array_equal(ramp, pipeline["ramping_coefficients"])
    scheduler = ramped.scheduler()
    scheduler.set_timesteps(STEPS)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), pipeline["timesteps"])
    np.testing.assert_allclose(scheduler.sigmas.numpy(), pipeline["sigmas"], rtol=1e-6)
    painted = draw_sheet(ramped, pipeline["rgb_image_u8"], torch.Generator())
    assert difference(painted.begun.conditioning.latents, pipeline, "cond_lat") < 2e-5
    assert difference(painted.begun.conditioning.text, pipeline, "encoder_hidden_states") < 2e-5
    for name, values in painted.heard.items():
        assert difference(torch.stack(values), pipeline, f"step_{name}") < 2e-4, name
    latents = torch.stack([after.latents for after in painted.steps])
    assert difference(latents[:, None], pipeline, "step_latents") < 2e-4
    assert_same_picture(painted.sheet, pipeline["image_u8"])


def test_native_runs(numbers: Numbers, ramped: Networks, pipeline: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed of torch's and a generator for the noise, then the seed alone: which draws what, in which order."""
    seeds = numbers.facts("zero123plus_pipeline")["native"]
    one, other = (torch.Generator().manual_seed(int(seeds[name])) for name in ("global_seed", "generator_seed"))
    drawn: list[Tensor] = []
    for module, name in ((conditioning, "draw_noise"), (denoising, "draw_noise"), (sampler, "randn_tensor")):
        plain = getattr(module, name)
        monkeypatch.setattr(
            module,
            name,
            lambda *args, plain=plain, **kwargs: drawn.append(plain(*args, **kwargs)) or drawn[-1],
        )
    painted = draw_sheet(ramped, pipeline["rgb_image_u8"], one, other)
    names = sorted(name for name in pipeline if name.startswith("native_draw_"))
    for name, values in zip(names, drawn, strict=bool(names)):
        assert difference(values, pipeline, name) == 0.0
    assert difference(painted.steps[-1].latents, pipeline, "native_final_latents") < 2e-4
    assert_same_picture(painted.sheet, pipeline["native_image_u8"])
    one.manual_seed(int(seeds["global_seed"]))
    assert_same_picture(draw_sheet(ramped, pipeline["rgb_image_u8"], one).sheet, pipeline["native_noargs_image_u8"])


def test_the_decoder(networks: Networks, pipeline: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """unscale_latents, the VAE, unscale_image and the rounding."""
    scaled = (tensor(pipeline["unscaled_latents"])[0] - 0.22) * 0.75
    with networks.vae() as vae:
        plain, seen = vae.decode, []

        def watched(latents: Tensor, **options: bool) -> tuple[Tensor]:
            found = plain(latents, **options)
            seen.extend([latents, found[0]])
            return found

        monkeypatch.setattr(vae, "decode", watched)
        assert_same_picture(decode_sheet(vae, scaled), pipeline["image_u8"])
        assert difference(seen[0], pipeline, "decoder_in") < 1e-5
        assert difference(seen[1], pipeline, "decoder_out") < 2e-4
        tiled = decode_sheet(vae, scaled, tiled=True)
    assert tiled.shape == pipeline["image_u8"].shape


class Bare:
    """A decoder that hands on what it is given."""

    config = SimpleNamespace(scaling_factor=1.0)
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self) -> None:
        self.seen = torch.empty(0)

    def decode(self, latents: Tensor, **_: bool) -> tuple[Tensor]:
        self.seen = latents
        return (latents[:, :3],)


def test_the_scales_of_latents_and_pictures(pipeline: Arrays) -> None:
    """unscale_latents and unscale_image."""
    bare, x = Bare(), tensor(pipeline["const_x"])
    decode_sheet(cast(AutoencoderKL, bare), x[None, None].expand(4, -1, -1))
    assert difference(bare.seen[0, 0, 0], pipeline, "const_unscale_latents") < 1e-6
    sheet = decode_sheet(cast(AutoencoderKL, bare), (x[None, None].expand(4, -1, -1) - 0.22) * 0.75)
    wanted = np.clip(pipeline["const_unscale_image"] / 2 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(sheet[0, :, 0], wanted, atol=0.51)

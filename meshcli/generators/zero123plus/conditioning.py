"""Conditioning on a photo: its VAE latents, and its CLIP embedding added to that of an empty prompt.

The arithmetic is that of the published pipeline (Zero123PlusPipeline.__call__ in diffusers-support/pipeline.py of
SUDO-AI-3D/zero123plus): the photo's latents are not scaled, and the unconditional branch of classifier-free guidance
gets a mid-grey picture and the bare prompt.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Generator, Tensor
from transformers import CLIPVisionModelWithProjection

from meshcli.generators.zero123plus.denoising import Conditioning, DiffusionState, draw_noise
from meshcli.generators.zero123plus.networks import Networks
from meshcli.pictures.pixels import Pixels
from meshcli.system.atomic_files import write_files
from meshcli.weights.locations import weights_digest

PREPROCESSOR_DEFAULTS: dict[str, Any] = {  # of transformers' CLIPImageProcessor
    "do_resize": True,
    "size": 224,
    "resample": 3,
    "do_center_crop": True,
    "crop_size": 224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}

LatentDistribution = tuple[Tensor, Tensor]  # mean and standard deviation (4, h, w) of a picture's latents, float32


def preprocess(rgb: Pixels, processor: Mapping[str, Any]) -> NDArray[np.float32]:
    """Turn a picture (S, S, 3) into a network's input (1, 3, s, s), by the settings of its preprocessor_config.json.

    Settings missing from the file take CLIPImageProcessor's defaults. Resizing is Pillow's on 8 bits, as there.
    """
    processor = PREPROCESSOR_DEFAULTS | dict(processor)
    picture = rgb
    if processor["do_resize"]:
        side = _side(processor["size"])
        picture = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling(processor["resample"])))
    if processor["do_center_crop"]:
        side = _side(processor["crop_size"])
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        picture = picture[top : top + side, left : left + side]
    values = picture.astype(np.float32)
    if processor["do_rescale"]:
        values = values * np.float32(processor["rescale_factor"])
    if processor["do_normalize"]:
        mean, deviation = np.float32(processor["image_mean"]), np.float32(processor["image_std"])
        values = (values - mean) / deviation
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def initialise_states(
    pictures: Sequence[Pixels],
    generators: Sequence[Generator],
    networks: Networks,
    shape: tuple[int, int],
    noise_generators: Sequence[Generator] | None = None,
) -> list[DiffusionState]:
    """Encode pictures (S, S, 3) and draw their initial noise (4, *shape): diffusion states before the first step.

    All random numbers of a picture come from its own generator, unless `noise_generators` are given for the noise.
    """
    for_vae = networks.settings("feature_extractor_vae/preprocessor_config.json")
    for_clip = networks.settings("feature_extractor_clip/preprocessor_config.json")
    ramp = torch.tensor(networks.settings("model_index.json")["ramping_coefficients"])
    with networks.vae() as vae:
        distributions = [_encode_latents(vae, preprocess(picture, for_vae)) for picture in pictures]
        grey_distribution = _encode_latents(vae, np.zeros_like(preprocess(pictures[0], for_vae)))
    with networks.vision_encoder() as vision:
        embeddings = [_embed_picture(vision, preprocess(picture, for_clip)) for picture in pictures]
    prompt = embed_empty_prompt(networks)
    states = []
    for index, generator in enumerate(generators):
        photo, grey = sample_latents(distributions[index], generator), sample_latents(grey_distribution, generator)
        source = noise_generators[index] if noise_generators else generator
        noise = draw_noise((1, photo.shape[0], *shape), source)[0]
        text = torch.stack([prompt, prompt + ramp[:, None] * embeddings[index]])
        states.append(DiffusionState(Conditioning(torch.stack([grey, photo]), text), noise, generator.get_state()))
    return states


def embed_empty_prompt(networks: Networks) -> Tensor:
    """Embedding of the empty prompt (N, C), cached in a file for each set of weights."""
    file, weights = networks.files.prompt_file(), weights_digest(networks.files.text_encoder)
    with suppress(OSError, SafetensorError, KeyError):
        cached = load(file.read_bytes())
        if bytes(cached["weights"].tolist()) == weights.encode():
            return cached["embedding"]
    with networks.text_encoder() as text:
        tokens = empty_prompt_tokens(text.config.vocab_size, text.config.max_position_embeddings)
        embedding: Tensor = text(torch.tensor([tokens])).last_hidden_state[0].clone()
    tensors = {"embedding": embedding, "weights": torch.frombuffer(bytearray(weights.encode()), dtype=torch.uint8)}
    with suppress(OSError):  # without the cache it is only computed again
        write_files({file: save(tensors)})
    return embedding


def sample_latents(distribution: LatentDistribution, generator: Generator) -> Tensor:
    """Draw latents (4, h, w) from the VAE's posterior of a picture."""
    mean, deviation = distribution
    return mean + deviation * draw_noise((1, *mean.shape), generator)[0]


def empty_prompt_tokens(vocabulary: int, length: int) -> list[int]:
    """Tokens of the empty prompt: CLIP's start and end tokens are the last two of its vocabulary, padding the first."""
    return [vocabulary - 2, vocabulary - 1, *[0] * (length - 2)]


def _encode_latents(vae: AutoencoderKL, values: NDArray[np.float32]) -> LatentDistribution:
    found = vae.encode(torch.from_numpy(values).to(vae.device, vae.dtype)).latent_dist
    return found.mean[0].float().cpu(), found.std[0].float().cpu()


def _embed_picture(vision: CLIPVisionModelWithProjection, values: NDArray[np.float32]) -> Tensor:
    """CLIP's projected image embedding (C,), float32, on the CPU."""
    found: Tensor = vision(torch.from_numpy(values).to(vision.device, vision.dtype)).image_embeds
    return found[0].float().cpu()


def _side(size: Any) -> int:
    """Side of a square: 224, {"shortest_edge": 224} or {"height": 224, "width": 224}."""
    return int(next(iter(size.values()))) if isinstance(size, Mapping) else int(size)

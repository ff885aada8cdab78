"""What Zero123++ knows of a photo: its latents, and its CLIP embedding added to that of an empty prompt.

The arithmetic is that of the published pipeline (Zero123PlusPipeline.__call__ in SUDO-AI-3D/zero123plus): the picture's
latents are not scaled, and the other end of guidance has a mid-grey picture and the bare prompt.
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

from meshcli.generators.zero123plus.denoising import Condition, Painting, draw
from meshcli.generators.zero123plus.networks import Networks
from meshcli.pictures.pixels import Pixels
from meshcli.system.atomic_files import write_files
from meshcli.weights.locations import weights_digest

PROCESSOR: dict[str, Any] = {  # what a processor does unless it is told otherwise
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

Distribution = tuple[Tensor, Tensor]  # mean and standard deviation (4, h, w) of a picture's latents, float32


def prepare_picture(rgb: Pixels, processor: Mapping[str, Any]) -> NDArray[np.float32]:
    """A picture (S, S, 3) as a network wants it, (1, 3, s, s), by the settings of its preprocessor_config.json.

    Resizing is Pillow's on 8 bits, as in the processors that the networks were trained with. What the file leaves out
    is as in those, transformers' CLIPImageProcessor.
    """
    processor = PROCESSOR | dict(processor)
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


def begin(
    pictures: Sequence[Pixels],
    generators: Sequence[Generator],
    networks: Networks,
    shape: tuple[int, int],
    first: Sequence[Generator] | None = None,
) -> list[Painting]:
    """Paintings (4, *shape) of some pictures (S, S, 3): the first noise, before any step.

    A picture's generator makes all its random numbers, unless `first` has another one for the noise itself.
    """
    for_vae = networks.settings("feature_extractor_vae/preprocessor_config.json")
    for_clip = networks.settings("feature_extractor_clip/preprocessor_config.json")
    ramp = torch.tensor(networks.settings("model_index.json")["ramping_coefficients"])
    with networks.vae() as vae:
        seen = [_latents(vae, prepare_picture(picture, for_vae)) for picture in pictures]
        nothing = _latents(vae, np.zeros_like(prepare_picture(pictures[0], for_vae)))
    with networks.vision_encoder() as vision:
        embeddings = [_embedding(vision, prepare_picture(picture, for_clip)) for picture in pictures]
    prompt = prompt_embedding(networks)
    paintings = []
    for index, generator in enumerate(generators):
        photo, grey = sample(seen[index], generator), sample(nothing, generator)
        noise = draw((1, photo.shape[0], *shape), first[index] if first else generator)[0]
        text = torch.stack([prompt, prompt + ramp[:, None] * embeddings[index]])
        paintings.append(Painting(Condition(torch.stack([grey, photo]), text), noise, generator.get_state()))
    return paintings


def prompt_embedding(networks: Networks) -> Tensor:
    """The empty prompt's embedding (N, C): computed once for a set of weights, then read from a file."""
    file, weights = networks.files.prompt(), weights_digest(networks.files.text_encoder)
    with suppress(OSError, SafetensorError, KeyError):
        known = load(file.read_bytes())
        if bytes(known["weights"].tolist()) == weights.encode():
            return known["embedding"]
    with networks.text_encoder() as text:
        tokens = empty_prompt(text.config.vocab_size, text.config.max_position_embeddings)
        embedding: Tensor = text(torch.tensor([tokens])).last_hidden_state[0].clone()
    kept = {"embedding": embedding, "weights": torch.frombuffer(bytearray(weights.encode()), dtype=torch.uint8)}
    with suppress(OSError):  # a place that cannot be written to costs time, nothing else
        write_files({file: save(kept)})
    return embedding


def sample(distribution: Distribution, generator: Generator) -> Tensor:
    """Latents (4, h, w) of a picture."""
    mean, deviation = distribution
    return mean + deviation * draw((1, *mean.shape), generator)[0]


def empty_prompt(vocabulary: int, length: int) -> list[int]:
    """The tokens of no words, in CLIP's vocabulary: start and end are its last two, the padding is its first."""
    return [vocabulary - 2, vocabulary - 1, *[0] * (length - 2)]


def _latents(vae: AutoencoderKL, values: NDArray[np.float32]) -> Distribution:
    found = vae.encode(torch.from_numpy(values).to(vae.device, vae.dtype)).latent_dist
    return found.mean[0].float().cpu(), found.std[0].float().cpu()


def _embedding(vision: CLIPVisionModelWithProjection, values: NDArray[np.float32]) -> Tensor:
    """(C,), float32, on the CPU."""
    found: Tensor = vision(torch.from_numpy(values).to(vision.device, vision.dtype)).image_embeds
    return found[0].float().cpu()


def _side(size: Any) -> int:
    """Of a square: preprocessor files write it in three ways."""
    return int(next(iter(size.values()))) if isinstance(size, Mapping) else int(size)

"""The whole network: encoder, transformer, and the decoder that a field is read with."""

import re
from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.encoder import Encoder
from meshcli.lrm.mesh_field import MeshDecoder
from meshcli.lrm.nerf_field import NerfDecoder
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.streaming import ModuleDone, load_parameters, stream_parameters
from meshcli.lrm.transformer import TriplaneTransformer

TRAINING_SIZE = 320  # pixels along a side, as in training
DECODER_PREFIX = "synthesizer.decoder."

Progress = Callable[[int, int, str], None]  # done, total, what


class Synthesizer(nn.Module):
    """The decoder under its name in the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.decoder: MeshDecoder | NerfDecoder = MeshDecoder(sizes) if sizes.kind == "mesh" else NerfDecoder(sizes)


class ReconstructionModel(nn.Module):
    """Names and shapes of a published checkpoint; its parts are called one after the other, see `planes_of`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(sizes.vit)
        self.transformer = TriplaneTransformer(sizes)
        self.synthesizer = Synthesizer(sizes)


def parameter_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name to shape of everything that a checkpoint of this size holds."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ReconstructionModel(sizes).state_dict().items()}


def decoder_on_meta(sizes: Sizes) -> MeshDecoder | NerfDecoder:
    """A decoder on the meta device."""
    with torch.device("meta"):
        return Synthesizer(sizes).decoder


def load_decoder(sizes: Sizes, weights: MutableMapping[str, Tensor], device: torch.device) -> MeshDecoder | NerfDecoder:
    """The decoder in float32; its tensors are taken out of `weights`."""
    decoder = decoder_on_meta(sizes)
    load_parameters(decoder, weights, DECODER_PREFIX, device)
    return decoder


@torch.inference_mode()
def predict_planes(
    sizes: Sizes,
    weights: MutableMapping[str, Tensor],
    images: Tensor,
    cameras: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Tensor:
    """Feature planes (3, D, side, side), float32, of pictures (V, 3, H, W) in [0, 1] with cameras (V, 16).

    The weights of encoder and transformer are taken out of `weights`, layer by layer.
    """
    with torch.device("meta"):
        encoder, transformer = Encoder(sizes.vit), TriplaneTransformer(sizes)
    tick = _layer_progress(progress, sizes) if progress else None
    stream_parameters(encoder, weights, "encoder.", device, dtype, tick)
    stream_parameters(transformer, weights, "transformer.", device, dtype, tick)
    tokens = encoder(images.to(device, dtype), cameras.to(device, dtype))
    planes: Tensor = transformer(tokens.flatten(0, 1)[None])
    return planes[0].float()


def resize_to_training(images: Tensor, side: int = TRAINING_SIZE) -> Tensor:
    """Pictures (V, 3, H, W) in [0, 1] at the size of training; those that have it stay as they are."""
    if images.shape[-2:] != (side, side):
        images = functional.interpolate(images, (side, side), mode="bicubic", align_corners=False, antialias=True)
    return images.clamp(0.0, 1.0)


def _layer_progress(progress: Progress, sizes: Sizes) -> ModuleDone:
    """Progress by layers; one of the transformer's takes about as long as three of the encoder's."""
    total = sizes.vit.layers + 3 * sizes.transformer_layers
    done = 0

    def tick(name: str) -> None:
        nonlocal done
        if re.fullmatch(r"model\.encoder\.layer\.\d+|layers\.\d+", name):
            done += 1 if name.startswith("model") else 3
            progress(done, total, "looking at the pictures")

    return tick

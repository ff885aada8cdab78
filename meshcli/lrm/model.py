"""The whole network: encoder, triplane transformer, and the decoder of the field."""

import re
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.encoder import Encoder
from meshcli.lrm.mesh_field import MeshDecoder
from meshcli.lrm.nerf_field import NerfDecoder
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.streaming import ModuleDone, load_parameters, stream_parameters, telling_progress
from meshcli.lrm.transformer import TriplaneTransformer

TRAINING_SIZE = 320  # pixels along a side of the input pictures
DECODER_PREFIX = "synthesizer.decoder."  # of the decoder's parameters in a checkpoint

Progress = Callable[[int, int, str], None]  # done, total, what


class Synthesizer(nn.Module):
    """The decoder under its name in the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.decoder: MeshDecoder | NerfDecoder = MeshDecoder(sizes) if sizes.kind == "mesh" else NerfDecoder(sizes)


class ReconstructionModel(nn.Module):
    """Names and shapes of a published checkpoint's parameters; `predict_planes` runs the parts one after the other."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(sizes.vit)
        self.transformer = TriplaneTransformer(sizes)
        self.synthesizer = Synthesizer(sizes)


def parameter_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter in a checkpoint of these sizes."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ReconstructionModel(sizes).state_dict().items()}


def decoder_on_meta(sizes: Sizes) -> MeshDecoder | NerfDecoder:
    """Create a decoder on the meta device."""
    with torch.device("meta"):
        return Synthesizer(sizes).decoder


def load_decoder(sizes: Sizes, weights: MutableMapping[str, Tensor], device: torch.device) -> MeshDecoder | NerfDecoder:
    """Load the decoder in float32; removes its tensors from `weights`."""
    decoder = decoder_on_meta(sizes)
    load_parameters(decoder, weights, DECODER_PREFIX, device)
    return decoder


class PlanesNetwork:
    """Encoder and transformer, which load `weights` layer by layer; with `keep`, the first call loads for all others.

    Without it, the tensors are removed from `weights`, and there is one call.
    """

    def __init__(
        self,
        sizes: Sizes,
        weights: MutableMapping[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
        keep: bool = False,
    ) -> None:
        self._sizes, self._device, self._dtype = sizes, device, dtype
        with torch.device("meta"):
            self._encoder, self._transformer = Encoder(sizes.vit), TriplaneTransformer(sizes)
        stream_parameters(self._encoder, weights, "encoder.", device, dtype, keep)
        stream_parameters(self._transformer, weights, "transformer.", device, dtype, keep)

    @torch.inference_mode()
    def predict(self, images: Tensor, cameras: Tensor, progress: Progress | None = None) -> Tensor:
        """Predict a triplane (3, D, side, side), float32, from pictures (V, 3, H, W) in [0, 1], cameras (V, 16)."""
        with ExitStack() as told:
            if progress:
                on_done = _layer_progress(progress, self._sizes)
                told.enter_context(telling_progress(self._encoder, on_done))
                told.enter_context(telling_progress(self._transformer, on_done))
            tokens = self._encoder(images.to(self._device, self._dtype), cameras.to(self._device, self._dtype))
            planes: Tensor = self._transformer(tokens.flatten(0, 1)[None])
            return planes[0].float()


def predict_planes(
    sizes: Sizes,
    weights: MutableMapping[str, Tensor],
    images: Tensor,
    cameras: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Tensor:
    """Predict a triplane with a network that is used once; see `PlanesNetwork.predict`."""
    return PlanesNetwork(sizes, weights, device, dtype).predict(images, cameras, progress)


def resize_to_training(images: Tensor, side: int = TRAINING_SIZE) -> Tensor:
    """Resize pictures (V, 3, H, W) in [0, 1] to the training size, bicubic with antialiasing."""
    if images.shape[-2:] != (side, side):
        images = functional.interpolate(images, (side, side), mode="bicubic", align_corners=False, antialias=True)
    return images.clamp(0.0, 1.0)


def _layer_progress(progress: Progress, sizes: Sizes) -> ModuleDone:
    """Report progress by layers; one of the transformer's takes about as long as three of the encoder's."""
    total = sizes.vit.layers + 3 * sizes.transformer_layers
    done = 0

    def on_done(name: str) -> None:
        nonlocal done
        if re.fullmatch(r"model\.encoder\.layer\.\d+|layers\.\d+", name):
            done += 1 if name.startswith("model") else 3
            progress(done, total, "encoding the views")

    return on_done

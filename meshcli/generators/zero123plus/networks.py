"""Loads Zero123++'s networks from a folder in diffusers layout, one at a time, and frees each after use.

A network is built without memory by the checkpoint's own settings and filled from memory-mapped files. Nothing here
uses the internet.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from meshcli.errors import MissingError
from meshcli.generators.zero123plus.files import WeightFiles, locate_weights
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.settings import Zero123PlusSettings
from meshcli.system.glibc_heap import free_memory, set_mmap_threshold
from meshcli.system.text_files import read_text
from meshcli.weights.conversion import ensure_safetensors
from meshcli.weights.device import dtype_name, resolve_device, resolve_dtype
from meshcli.weights.kept_networks import file_key, kept_networks
from meshcli.weights.safetensors_file import Rename, load_into

REFETCH_HINT = "fetch it again: `meshcli models pull zero123plus`"

# Bytes from which glibc maps a block on its own, while weights are loaded and while networks run; see
# `_separately_mapped`. The second is the highest that glibc's own adjustment reaches (DEFAULT_MMAP_THRESHOLD_MAX).
LOADING_THRESHOLD, WORKING_THRESHOLD = 1 << 18, 1 << 25

N = TypeVar("N", bound=nn.Module)


@dataclass
class Networks:
    """Loads networks one at a time as context managers; `keep` leaves them in `loaded` for the next use."""

    files: WeightFiles
    device: torch.device
    dtype: torch.dtype  # of the UNet; the others run in float32 and still take less memory than the UNet
    keep: bool = False
    loading_seconds: float = 0.0  # in total so far
    loaded: dict[str, nn.Module] = field(default_factory=dict)

    @contextmanager
    def unet(self) -> Iterator[UNet2DConditionModel]:
        """The denoising UNet."""

        def build() -> UNet2DConditionModel:
            unet = _on_meta_device(lambda: UNet2DConditionModel.from_config(self.settings("unet/config.json")))
            load_into(unet, self.files.unet, self.dtype, self.device)
            return unet if self.dtype == torch.float32 else unet.to(memory_format=torch.channels_last)

        with self._in_memory("unet", build) as unet:
            yield unet

    @contextmanager
    def vae(self) -> Iterator[AutoencoderKL]:
        """The autoencoder between pictures and latents."""

        def build() -> AutoencoderKL:
            vae = _on_meta_device(lambda: AutoencoderKL.from_config(self.settings("vae/config.json")))
            load_into(vae, self.files.vae, torch.float32, self.device, _current_attention_names)
            _activate_in_place(vae)
            # Not the encoder: in channels-last layout its group norms lose precision on nearly constant pictures, 0.002
            # in the latents of the grey one.
            vae.decoder.to(memory_format=torch.channels_last)
            return vae

        with self._in_memory("vae", build) as vae:
            yield vae

    @contextmanager
    def text_encoder(self) -> Iterator[CLIPTextModel]:
        """CLIP's text encoder, on the CPU: it runs once for a set of weights."""

        def build() -> CLIPTextModel:
            config = CLIPTextConfig(**self.settings("text_encoder/config.json"))
            text = _on_meta_device(lambda: CLIPTextModel(config))
            load_into(text, self.files.text_encoder, torch.float32, "cpu", _match_prefix(text, "text_model."))
            _set_position_ids(text)
            return text

        with self._in_memory("text_encoder", build) as text:
            yield text

    @contextmanager
    def vision_encoder(self) -> Iterator[CLIPVisionModelWithProjection]:
        """CLIP's image encoder."""

        def build() -> CLIPVisionModelWithProjection:
            config = CLIPVisionConfig(**self.settings("vision_encoder/config.json"))
            vision = _on_meta_device(lambda: CLIPVisionModelWithProjection(config))
            load_into(
                vision, self.files.vision_encoder, torch.float32, self.device, _match_prefix(vision, "vision_model.")
            )
            _set_position_ids(vision)
            return vision

        with self._in_memory("vision_encoder", build) as vision:
            yield vision

    def scheduler(self) -> EulerAncestralDiscreteScheduler:
        """Euler ancestral scheduler with the checkpoint's noise schedule and trailing time steps.

        Both published programs override the spacing (InstantMesh's run.py, app.py and zero123plus/model.py; the README,
        app.py and predict.py of SUDO-AI-3D/zero123plus). Zero123++'s file names none, for which diffusers would take
        "linspace", and sampling would not start from pure noise.
        """
        settings = self.settings("scheduler/scheduler_config.json")
        return EulerAncestralDiscreteScheduler.from_config(settings, timestep_spacing="trailing")

    def facts(self) -> dict[str, Any]:
        """Device, precision, weights, seconds and peak memory, for records."""
        table: dict[str, Any] = {
            "device": str(self.device),
            "dtype": dtype_name(self.dtype),
            "weights": str(self.files.unet),
            "loading": round(self.loading_seconds, 1),
        }
        if self.device.type == "cuda":
            table["peak_vram"] = torch.cuda.max_memory_allocated(self.device)  # bytes
        return table

    def settings(self, file: str) -> dict[str, Any]:
        """Read a settings file of the folder; MissingError when it cannot be read."""
        path = self.files.folder / file
        try:
            table = json.loads(read_text(path))
        except (OSError, ValueError) as error:
            raise MissingError(f"{path} cannot be read ({error}); {REFETCH_HINT}") from error
        if not isinstance(table, dict):
            raise MissingError(f"{path} holds no settings; {REFETCH_HINT}")
        return table

    @contextmanager
    def _in_memory(self, name: str, build: Callable[[], N]) -> Iterator[N]:
        """Load a network for the time of a block. Callers must drop their own references when the block ends."""
        start = time.perf_counter()
        with _separately_mapped():
            network = self.loaded.get(name) or build().eval()
        self.loading_seconds += time.perf_counter() - start
        if self.keep:
            self.loaded[name] = network
        try:
            with torch.inference_mode():
                yield network  # type: ignore[misc]  # what is kept under this name came from this function
        finally:
            if not self.keep:
                network.to("meta")  # frees the weights even if someone still refers to the network
                free_memory()


def open_networks(
    settings: Zero123PlusSettings,
    device: str = "auto",
    weights: Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> Networks:
    """Locate the networks that settings ask for, without loading them; converts pickled weights and tells so.

    Raises UsageError for a device or precision this machine does not have, MissingError for missing weights.
    """
    where = resolve_device(device)
    dtype = resolve_dtype(settings.dtype, where)
    files = locate_weights(settings.unet, weights)
    mapped = [
        ensure_safetensors(path, "", progress, tell)
        for path in (files.unet, files.vae, files.text_encoder, files.vision_encoder)
    ]
    found = Networks(WeightFiles(files.folder, *mapped), where, dtype, keep=settings.vram == "high")
    if (kept := kept_networks()) and settings.vram != "low":
        found.keep = True
        key = (*map(file_key, mapped), str(where), dtype)
        found.loaded = kept.get("zero123plus", key, lambda: found.loaded)
    return found


@contextmanager
def _separately_mapped() -> Iterator[None]:
    """Let glibc map each weight tensor on its own: freeing it then returns its memory instead of leaving a heap hole.

    Afterwards all but the largest blocks come from the heap again: fresh pages for every activation cost seconds.
    """
    set_mmap_threshold(LOADING_THRESHOLD)
    try:
        yield
    finally:
        set_mmap_threshold(WORKING_THRESHOLD)


def _on_meta_device(build: Callable[[], N]) -> N:
    """Build a network on the meta device, without memory for its parameters."""
    with torch.device("meta"):
        return build()


def _activate_in_place(vae: AutoencoderKL) -> None:
    """Let activations overwrite their inputs, which are outputs of group norms that nothing else reads.

    Together with the decoder's channels-last layout this lowers the peak of decoding 640 x 960 pixels in float32 from
    4.1 to 2.7 GB.
    """
    for module in vae.modules():
        for name in ("nonlinearity", "conv_act"):
            if isinstance(getattr(module, name, None), nn.SiLU):
                setattr(module, name, nn.SiLU(inplace=True))


def _set_position_ids(network: nn.Module) -> None:
    """Fill in CLIP's position ids: buffers outside the state dict, so a network from the meta device lacks them."""
    for module in network.modules():
        ids = getattr(module, "position_ids", None)
        if isinstance(ids, torch.Tensor) and ids.is_meta:
            parameter = next(network.parameters())
            module.register_buffer(
                "position_ids", torch.arange(ids.shape[-1], device=parameter.device).expand(1, -1), persistent=False
            )


def _match_prefix(network: nn.Module, prefix: str) -> Rename:
    """Renaming to the installed transformers' parameter names: versions differ in whether `prefix` comes first.

    Position ids, which old files hold, are dropped.
    """
    expected = network.state_dict().keys()

    def rename(name: str) -> str | None:
        if name.endswith("position_ids"):
            return None
        return next((known for known in (name, name.removeprefix(prefix), prefix + name) if known in expected), name)

    return rename


def _current_attention_names(name: str) -> str:
    """Rename the attention parameters of VAE files from before 2023 to diffusers' current names."""
    if ".attentions." not in name:
        return name
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        name = name.replace(f".{old}.", f".{new}.")
    return name

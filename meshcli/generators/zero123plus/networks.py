"""Zero123++'s networks, out of a folder in diffusers layout: built empty, filled from mapped files, freed after work.

Settings are those of the checkpoint's own files. Nothing here looks for weights or touches the network.
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
from meshcli.generators.zero123plus.files import Files, locate
from meshcli.out_of_memory import release_memory
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.settings import Zero123PlusSettings
from meshcli.system.glibc_heap import set_mmap_threshold, trim_heap
from meshcli.system.text_files import read_text
from meshcli.weights.conversion import usable
from meshcli.weights.device import dtype_name, resolve_device, resolve_dtype
from meshcli.weights.safetensors_file import Rename, load_into

AGAIN = "fetch it again: `meshcli models pull zero123plus`"

APART, TOGETHER = 1 << 18, 1 << 25  # bytes from which blocks are mapped by themselves

N = TypeVar("N", bound=nn.Module)


@dataclass
class Networks:
    """Hands networks out one at a time; `keep` leaves them in memory for the next time."""

    files: Files
    device: torch.device
    dtype: torch.dtype  # of the UNet; everything else is float32, it takes less memory than the UNet at work
    keep: bool = False
    loading: float = 0.0  # seconds that it took so far
    _kept: dict[str, nn.Module] = field(default_factory=dict)

    @contextmanager
    def unet(self) -> Iterator[UNet2DConditionModel]:
        """The denoiser."""

        def build() -> UNet2DConditionModel:
            unet = _empty(lambda: UNet2DConditionModel.from_config(self.settings("unet/config.json")))
            load_into(unet, self.files.unet, self.dtype, self.device)
            return unet if self.dtype == torch.float32 else unet.to(memory_format=torch.channels_last)

        with self._working("unet", build) as unet:
            yield unet

    @contextmanager
    def vae(self) -> Iterator[AutoencoderKL]:
        """Pictures to latents and back."""

        def build() -> AutoencoderKL:
            vae = _empty(lambda: AutoencoderKL.from_config(self.settings("vae/config.json")))
            load_into(vae, self.files.vae, torch.float32, self.device, _modern_attention)
            _activate_in_place(vae)
            # The encoder has another layout: channels last, group norms of nearly constant pictures lose precision,
            # 0.002 in the latents of the grey one.
            vae.decoder.to(memory_format=torch.channels_last)
            return vae

        with self._working("vae", build) as vae:
            yield vae

    @contextmanager
    def text_encoder(self) -> Iterator[CLIPTextModel]:
        """CLIP's text tower, on the processor: it is only ever needed once."""

        def build() -> CLIPTextModel:
            config = CLIPTextConfig(**self.settings("text_encoder/config.json"))
            text = _empty(lambda: CLIPTextModel(config))
            load_into(text, self.files.text_encoder, torch.float32, "cpu", _prefix_of(text, "text_model."))
            _number_positions(text)
            return text

        with self._working("text_encoder", build) as text:
            yield text

    @contextmanager
    def vision_encoder(self) -> Iterator[CLIPVisionModelWithProjection]:
        """CLIP's image tower."""

        def build() -> CLIPVisionModelWithProjection:
            config = CLIPVisionConfig(**self.settings("vision_encoder/config.json"))
            vision = _empty(lambda: CLIPVisionModelWithProjection(config))
            load_into(
                vision, self.files.vision_encoder, torch.float32, self.device, _prefix_of(vision, "vision_model.")
            )
            _number_positions(vision)
            return vision

        with self._working("vision_encoder", build) as vision:
            yield vision

    def scheduler(self) -> EulerAncestralDiscreteScheduler:
        """The sampler with the checkpoint's noise, but always with trailing steps, from pure noise on.

        Both published programs replace the file's spacing so (InstantMesh's run.py, app.py and zero123plus/model.py;
        the README, app.py and predict.py of SUDO-AI-3D/zero123plus). Zero123++'s file names none, and diffusers would
        then space the steps evenly.
        """
        settings = self.settings("scheduler/scheduler_config.json")
        return EulerAncestralDiscreteScheduler.from_config(settings, timestep_spacing="trailing")

    def facts(self) -> dict[str, Any]:
        """For records: where and how precisely was computed, with which files."""
        table: dict[str, Any] = {
            "device": str(self.device),
            "dtype": dtype_name(self.dtype),
            "weights": str(self.files.unet),
            "loading": round(self.loading, 1),  # seconds
        }
        if self.device.type == "cuda":
            table["peak_vram"] = torch.cuda.max_memory_allocated(self.device)  # bytes
        return table

    def settings(self, file: str) -> dict[str, Any]:
        """A settings file of the folder; MissingError when it cannot be read."""
        path = self.files.folder / file
        try:
            table = json.loads(read_text(path))
        except (OSError, ValueError) as error:
            raise MissingError(f"{path} cannot be read ({error}); {AGAIN}") from error
        if not isinstance(table, dict):
            raise MissingError(f"{path} holds no settings; {AGAIN}")
        return table

    @contextmanager
    def _working(self, name: str, build: Callable[[], N]) -> Iterator[N]:
        """A network that is in memory while it works. What the caller binds it to must end with the block too."""
        start = time.perf_counter()
        with _apart():
            network = self._kept.get(name) or build().eval()
        self.loading += time.perf_counter() - start
        if self.keep:
            self._kept[name] = network
        try:
            with torch.inference_mode():
                yield network  # type: ignore[misc]  # what was kept under this name was built by this function
        finally:
            if not self.keep:
                network.to("meta")  # whoever still holds it holds no memory
                free_memory()


def open_networks(
    settings: Zero123PlusSettings,
    device: str = "auto",
    weights: Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> Networks:
    """The networks that settings ask for, none of them in memory yet; pickled weights are converted, which says so.

    Raises UsageError for a device or a precision that this machine has not, MissingError when there are no weights.
    """
    where = resolve_device(device)
    dtype = resolve_dtype(settings.dtype, where)
    files = locate(settings.unet, weights)
    mapped = [
        usable(path, "", progress, tell) for path in (files.unet, files.vae, files.text_encoder, files.vision_encoder)
    ]
    return Networks(Files(files.folder, *mapped), where, dtype, keep=settings.vram == "high")


def free_memory() -> None:
    """Give back what dead networks held, to the system too: the next one shall not come on top of it.

    Freed tensors stay in the heap of glibc until it is told; other systems' libraries have no such call.
    """
    release_memory()
    trim_heap()


@contextmanager
def _apart() -> Iterator[None]:
    """Weights get memory of their own from glibc, which is gone with them, instead of holes in its heap.

    Anything else but the largest blocks comes from the heap again afterwards: fresh memory for each would cost seconds.
    """
    set_mmap_threshold(APART)
    try:
        yield
    finally:
        set_mmap_threshold(TOGETHER)


def _empty(build: Callable[[], N]) -> N:
    """A network without memory behind its parameters."""
    with torch.device("meta"):
        return build()


def _activate_in_place(vae: AutoencoderKL) -> None:
    """Activations over their own inputs, which are normalised copies that nobody else reads.

    With the decoder's layout, a process that decodes 640 x 960 pixels in float32 peaks at 2.7 GB instead of 4.1.
    """
    for module in vae.modules():
        for name in ("nonlinearity", "conv_act"):
            if isinstance(getattr(module, name, None), nn.SiLU):
                setattr(module, name, nn.SiLU(inplace=True))


def _number_positions(network: nn.Module) -> None:
    """CLIP's position numbers are no weights: a network that was built empty does not have them."""
    for module in network.modules():
        numbers = getattr(module, "position_ids", None)
        if isinstance(numbers, torch.Tensor) and numbers.is_meta:
            parameter = next(network.parameters())
            module.register_buffer(
                "position_ids", torch.arange(numbers.shape[-1], device=parameter.device).expand(1, -1), persistent=False
            )


def _prefix_of(network: nn.Module, prefix: str) -> Rename:
    """Names as the library at hand has them: its versions differ in whether the tower's name comes first.

    Position numbers, which old files hold, are dropped.
    """
    expected = network.state_dict().keys()

    def rename(name: str) -> str | None:
        if name.endswith("position_ids"):
            return None
        return next((known for known in (name, name.removeprefix(prefix), prefix + name) if known in expected), name)

    return rename


def _modern_attention(name: str) -> str:
    """Names of the VAE's attention: files of before 2023 have another one for each part."""
    if ".attentions." not in name:
        return name
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        name = name.replace(f".{old}.", f".{new}.")
    return name

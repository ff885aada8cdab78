"""Zero123++ v1.2 (Shi et al. 2023): six views of a photo, with its own UNet or InstantMesh's.

A pipeline over diffusers' parts with the arithmetic of the published one, Zero123PlusPipeline of SUDO-AI-3D/zero123plus
(diffusers-support/pipeline.py). A network is in memory only while it runs: the encoders for all photos, then for each
batch the UNet and the decoder.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Generator, Tensor
from torch.nn import functional

from meshcli.generators.zero123plus.compiling import compiled_blocks
from meshcli.generators.zero123plus.conditioning import initialise_states
from meshcli.generators.zero123plus.denoising import DiffusionState, denoise
from meshcli.generators.zero123plus.networks import Networks
from meshcli.generators.zero123plus.reference_attention import AttentionFunction, ReferenceUNet, xformers_attention
from meshcli.lrm.attention import attend
from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress, silent
from meshcli.settings import WhichUNet, Zero123PlusSettings

BACKGROUND_GREY: dict[WhichUNet, int] = {"white": 255, "original": 127}  # as each UNet's training pictures had it
SHEET_ROWS, SHEET_COLUMNS = 3, 2  # views
PIXELS_PER_LATENT = 8  # along a side, of Stable Diffusion's VAE
CHECKPOINT_SECONDS = 60.0  # between saved states unless settings count steps: at most a minute's work is ever lost

# Scaling of latents and pictures in training: unscale_latents and unscale_image of the published pipeline
# (diffusers-support/pipeline.py in SUDO-AI-3D/zero123plus) undo (x - 0.22) * 0.75 and x * 0.5 / 0.8.
LATENT_SCALE, LATENT_SHIFT = 0.75, 0.22
IMAGE_SCALE = 0.8 / 0.5

# RGB contribution of each latent channel, for previews without the decoder: latent_rgb_factors of class SD15 in
# ComfyUI's comfy/latent_formats.py (how they were fitted is not stated there). Stable Diffusion 2.1, which Zero123++ is
# built on, shares the latent space of 1.5. Colours are approximate.
LATENT_TO_RGB = (
    (0.3512, 0.2297, 0.3227),
    (0.3250, 0.4974, 0.2350),
    (-0.2829, 0.1762, 0.2721),
    (-0.2120, -0.2616, -0.7177),
)


@dataclass(frozen=True)
class PhotoInput:
    """A photo to generate views of."""

    name: str
    pixels: Pixels  # (S, S, 4), cut out and framed
    seed: int
    key: str  # digest of everything the result depends on; a saved state with another key is not resumed


class StateStore(Protocol):
    """Where unfinished states are saved."""

    def load(self, name: str) -> bytes | None:
        """Return what was saved under a name, or None."""

    def save(self, name: str, data: bytes) -> None:
        """Save atomically, replacing what had this name."""


@dataclass(frozen=True)
class Callbacks:
    """What is called while sheets are generated."""

    progress: Progress = silent
    on_preview: Callable[[str, Pixels], None] | None = None  # photo, unfinished sheet
    preview_every: int = 0  # denoising steps between previews, where the settings ask for none
    timer: Callable[[str], AbstractContextManager[object]] = nullcontext  # times a named part of the work


def generate_sheets(
    photos: Sequence[PhotoInput],
    networks: Networks,
    settings: Zero123PlusSettings,
    store: StateStore,
    callbacks: Callbacks = Callbacks(),
) -> Iterator[tuple[PhotoInput, Pixels]]:
    """Generate a sheet (3 V, 2 V, 3) of six views for each photo; yields each sheet when its batch is finished.

    Resumes states found in the store. Raises MissingError for weights that do not fit the networks.
    """
    with callbacks.timer("encode"):
        states = _load_or_initialise_states(photos, networks, settings, store, callbacks.progress)
    for batch in _batches(states, settings.batch):
        names = ", ".join(photo.name for photo, _ in batch)
        finished = _denoise_batch(batch, networks, settings, store, callbacks)
        with networks.vae() as vae, callbacks.timer("decode"):
            callbacks.progress(settings.steps, settings.steps, f"photo {names}: decoding")
            sheets = [decode_sheet(vae, state.latents, settings.vram == "low") for state in finished]
        del vae
        yield from zip((photo for photo, _ in batch), sheets, strict=True)


def decode_sheet(vae: AutoencoderKL, latents: Tensor, tiled: bool = False) -> Pixels:
    """Decode finished latents (4, h, w) to a sheet (H, W, 3), in overlapping tiles when `tiled` to save memory."""
    vae.use_tiling = tiled
    unscaled = _unscale_latents(latents[None]) / vae.config.scaling_factor
    values = vae.decode(unscaled.to(vae.device, vae.dtype), return_dict=False)[0][0]
    values = (values.float() * IMAGE_SCALE / 2 + 0.5).clamp(0, 1)
    pixels: Pixels = (values * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return pixels


def preview_sheet(latents: Tensor) -> Pixels:
    """Approximate the sheet (h, w, 3) of latents (4, h, w), one pixel per latent, without the decoder."""
    colours = torch.einsum("chw,cd->hwd", _unscale_latents(latents), torch.tensor(LATENT_TO_RGB))
    pixels: Pixels = ((colours / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return pixels


def seeded_generator(seed: int) -> Generator:
    """Create the random generator for all draws of one photo, seeded with the lower 63 bits."""
    return torch.Generator().manual_seed(seed % 2**63)


def select_attention(settings: Zero123PlusSettings) -> AttentionFunction:
    """Attention function named by the settings; `auto` is the fastest on this machine."""
    match settings.attention:
        case "auto":
            return attend
        case "sdpa":
            return functional.scaled_dot_product_attention
        case "xformers":
            return xformers_attention()


def _load_or_initialise_states(
    photos: Sequence[PhotoInput],
    networks: Networks,
    settings: Zero123PlusSettings,
    store: StateStore,
    progress: Progress,
) -> list[tuple[PhotoInput, DiffusionState]]:
    """Restore the saved state of each photo, or encode the photo and draw its initial noise."""
    states = {photo.name: state for photo in photos if (state := _stored_state(photo, store))}
    fresh = [photo for photo in photos if photo.name not in states]
    if fresh:
        progress(0, settings.steps, "encoding the photos")
        pictures = [over(photo.pixels, BACKGROUND_GREY[settings.unet]) for photo in fresh]
        shape = (
            SHEET_ROWS * settings.view_size // PIXELS_PER_LATENT,
            SHEET_COLUMNS * settings.view_size // PIXELS_PER_LATENT,
        )
        initial = initialise_states(pictures, [seeded_generator(photo.seed) for photo in fresh], networks, shape)
        for photo, state in zip(fresh, initial, strict=True):
            states[photo.name] = state
            store.save(photo.name, state.to_bytes(photo.key))
    return [(photo, states[photo.name]) for photo in photos]


def _unscale_latents(latents: Tensor) -> Tensor:
    return latents / LATENT_SCALE + LATENT_SHIFT


def _stored_state(photo: PhotoInput, store: StateStore) -> DiffusionState | None:
    data = store.load(photo.name)
    return DiffusionState.from_bytes(data, photo.key) if data else None


def _batches(
    states: Sequence[tuple[PhotoInput, DiffusionState]], size: int
) -> Iterator[list[tuple[PhotoInput, DiffusionState]]]:
    """Split into batches of at most `size` neighbours that are all at the same step."""
    for _, same in groupby(states, key=lambda item: item[1].step):
        rest = list(same)
        while rest:
            yield rest[:size]
            rest = rest[size:]


def _denoise_batch(
    batch: Sequence[tuple[PhotoInput, DiffusionState]],
    networks: Networks,
    settings: Zero123PlusSettings,
    store: StateStore,
    callbacks: Callbacks,
) -> list[DiffusionState]:
    """Take all remaining steps of a batch, saving its states periodically and after the last step."""
    names = ", ".join(photo.name for photo, _ in batch)
    states = [state for _, state in batch]
    saved = time.monotonic()
    if states[0].step == settings.steps:
        return states
    with (
        networks.unet() as unet,
        callbacks.timer("denoise"),
        compiled_blocks(unet) if settings.compile else nullcontext(),
    ):
        reference_unet = ReferenceUNet(unet, select_attention(settings))
        callbacks.progress(states[0].step, settings.steps, f"photo {names}: denoising")
        for advanced in denoise(states, reference_unet, networks.scheduler(), settings.steps, settings.guidance):
            states, step = advanced, advanced[0].step
            interval, seconds = settings.checkpoint_every, time.monotonic() - saved
            if step == settings.steps or (step % interval == 0 if interval else seconds >= CHECKPOINT_SECONDS):
                for (photo, _), state in zip(batch, states, strict=True):
                    store.save(photo.name, state.to_bytes(photo.key))
                saved = time.monotonic()
            callbacks.progress(step, settings.steps, f"photo {names}: denoising")
            every = settings.preview or callbacks.preview_every
            if callbacks.on_preview and every and step % every == 0:
                for (photo, _), state in zip(batch, states, strict=True):
                    callbacks.on_preview(photo.name, preview_sheet(state.latents))
    del unet, reference_unet
    return states

"""Six views of a photo, painted by Zero123++ v1.2 (Shi et al. 2023) with InstantMesh's UNet or its own.

Our own pipeline over diffusers' parts, with the arithmetic of the published one, Zero123PlusPipeline of
SUDO-AI-3D/zero123plus (diffusers-support/pipeline.py). A network is in memory only while it works: the encoders first,
for all photos, then for each photo the UNet, then the decoder.
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

from meshcli.generators.zero123plus.compiling import compiled
from meshcli.generators.zero123plus.conditioning import begin
from meshcli.generators.zero123plus.denoising import Painting, denoise
from meshcli.generators.zero123plus.networks import Networks
from meshcli.generators.zero123plus.reference_attention import Attend, ReferenceUNet, xformers_attention
from meshcli.lrm.attention import attend
from meshcli.pictures.image import over
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress, silent
from meshcli.settings import WhichUNet, Zero123PlusSettings

BEHIND: dict[WhichUNet, int] = {"white": 255, "original": 127}  # the grey that a photo is put in front of
ROWS, COLUMNS = 3, 2  # of a sheet of views
FACTOR = 8  # pixels per latent
MINUTE = 60.0  # seconds between checkpoints where nobody says how many steps
# What of a latent is seen in which colour, roughly: for looking at unfinished pictures (widely used figures for SD).
LATENT_COLOURS = (
    (0.3512, 0.2297, 0.3227),
    (0.3250, 0.4974, 0.2350),
    (-0.2829, 0.1762, 0.2721),
    (-0.2120, -0.2616, -0.7177),
)


@dataclass(frozen=True)
class Job:
    """A photo to paint views of."""

    name: str
    pixels: Pixels  # (S, S, 4), cut out and framed
    seed: int
    key: str  # digest of everything that the result depends on: an unfinished painting is known by it


class Store(Protocol):
    """Where unfinished paintings are put away."""

    def load(self, name: str) -> bytes | None:
        """What was saved under a name."""

    def save(self, name: str, data: bytes) -> None:
        """Put something away, atomically."""


@dataclass(frozen=True)
class Hooks:
    """Who is told, and when."""

    progress: Progress = silent
    show: Callable[[str, Pixels], None] | None = None  # looks at unfinished sheets
    measure: Callable[[str], AbstractContextManager[object]] = lambda part: (
        nullcontext()
    )  # stops the time of a part of the work


def paint(
    jobs: Sequence[Job], networks: Networks, settings: Zero123PlusSettings, store: Store, hooks: Hooks = Hooks()
) -> Iterator[tuple[Job, Pixels]]:
    """Paint a sheet (3 V, 2 V, 3) of six views for each photo, each handed out when it is finished.

    Work that the store has is gone on with. Raises MissingError for weights that do not fit.
    """
    with hooks.measure("encode"):
        paintings = _begin(jobs, networks, settings, store, hooks.progress)
    for group in _groups(paintings, settings.batch):
        names = ", ".join(job.name for job, _ in group)
        finished = _denoise(group, networks, settings, store, hooks)
        with networks.vae() as vae, hooks.measure("decode"):
            hooks.progress(settings.steps, settings.steps, f"photo {names}: developing")
            sheets = [decode(vae, painting.latents, settings.vram == "low") for painting in finished]
        del vae
        yield from zip((job for job, _ in group), sheets, strict=True)


def decode(vae: AutoencoderKL, latents: Tensor, tiled: bool = False) -> Pixels:
    """The sheet (H, W, 3) of finished latents (4, h, w)."""
    vae.use_tiling = tiled
    unscaled = (latents[None] / 0.75 + 0.22) / vae.config.scaling_factor
    values = vae.decode(unscaled.to(vae.device, vae.dtype), return_dict=False)[0][0]
    values = (values.float() * (0.8 / 0.5) / 2 + 0.5).clamp(0, 1)
    pixels: Pixels = (values * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return pixels


def preview(latents: Tensor) -> Pixels:
    """Roughly what is on a sheet (h, w, 3) with latents (4, h, w), without a network."""
    colours = torch.einsum("chw,cd->hwd", latents / 0.75 + 0.22, torch.tensor(LATENT_COLOURS))
    pixels: Pixels = ((colours / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return pixels


def generator_of(seed: int) -> Generator:
    """The one generator of a photo, for all its random numbers."""
    return torch.Generator().manual_seed(seed % 2**63)


def attention_of(settings: Zero123PlusSettings) -> Attend:
    """How attention is computed; `auto` is what is fastest where we run."""
    match settings.attention:
        case "auto":
            return attend
        case "sdpa":
            return functional.scaled_dot_product_attention
        case "xformers":
            return xformers_attention()


def _begin(
    jobs: Sequence[Job], networks: Networks, settings: Zero123PlusSettings, store: Store, progress: Progress
) -> list[tuple[Job, Painting]]:
    """Every photo's painting as it was left, or with its condition and first noise."""
    paintings = {job.name: painting for job in jobs if (painting := _stored(job, store))}
    fresh = [job for job in jobs if job.name not in paintings]
    if fresh:
        progress(0, settings.steps, "reading the photos")
        pictures = [over(job.pixels, BEHIND[settings.unet]) for job in fresh]
        shape = (ROWS * settings.view_size // FACTOR, COLUMNS * settings.view_size // FACTOR)
        begun = begin(pictures, [generator_of(job.seed) for job in fresh], networks, shape)
        for job, painting in zip(fresh, begun, strict=True):
            paintings[job.name] = painting
            store.save(job.name, painting.to_bytes(job.key))
    return [(job, paintings[job.name]) for job in jobs]


def _stored(job: Job, store: Store) -> Painting | None:
    data = store.load(job.name)
    return Painting.from_bytes(data, job.key) if data else None


def _groups(work: Sequence[tuple[Job, Painting]], size: int) -> Iterator[list[tuple[Job, Painting]]]:
    """What goes through the UNet together: so many at most, and all at the same step."""
    for _, same in groupby(work, key=lambda item: item[1].step):
        rest = list(same)
        while rest:
            yield rest[:size]
            rest = rest[size:]


def _denoise(
    group: Sequence[tuple[Job, Painting]], networks: Networks, settings: Zero123PlusSettings, store: Store, hooks: Hooks
) -> list[Painting]:
    """Take every step that is left, putting the paintings away now and then, and after the last one."""
    names = ", ".join(job.name for job, _ in group)
    paintings = [painting for _, painting in group]
    saved = time.monotonic()
    if paintings[0].step == settings.steps:
        return paintings
    with networks.unet() as unet, hooks.measure("denoise"), compiled(unet) if settings.compile else nullcontext():
        both = ReferenceUNet(unet, attention_of(settings))
        hooks.progress(paintings[0].step, settings.steps, f"photo {names}: painting")
        for after in denoise(paintings, both, networks.scheduler(), settings.steps, settings.guidance):
            paintings, step = after, after[0].step
            every, passed = settings.checkpoint_every, time.monotonic() - saved
            if step == settings.steps or (step % every == 0 if every else passed >= MINUTE):
                for (job, _), painting in zip(group, paintings, strict=True):
                    store.save(job.name, painting.to_bytes(job.key))
                saved = time.monotonic()
            hooks.progress(step, settings.steps, f"photo {names}: painting")
            if hooks.show and settings.preview and step % settings.preview == 0:
                for (job, _), painting in zip(group, paintings, strict=True):
                    hooks.show(job.name, preview(painting.latents))
    del unet, both
    return paintings

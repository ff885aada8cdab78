"""From noise to the latents of a sheet of six views, step by step, so that any step can be the last one before a pause.

Latents, condition and random numbers are float32 on the CPU whatever the networks compute in, so that a painting that
was put away goes on as if nothing had happened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Generator, Tensor

from meshcli.generators.zero123plus.reference_attention import ReferenceUNet


@dataclass(frozen=True)
class Condition:
    """What the networks know of a photo: for nothing (the other end of guidance), then for the photo."""

    latents: Tensor  # (2, 4, h, w)
    text: Tensor  # (2, N, C)


@dataclass(frozen=True)
class Painting:
    """A sheet of views after some steps."""

    condition: Condition
    latents: Tensor  # (4, H, W); before the first step plain noise
    random: Tensor  # state of its generator
    step: int = 0  # steps that are done

    def to_bytes(self, key: str) -> bytes:
        """As a file; `key` says what it belongs to."""
        tensors = {
            "reference": self.condition.latents,
            "text": self.condition.text,
            "latents": self.latents,
            "random": self.random,
            "step": torch.tensor(self.step),
            "key": torch.frombuffer(bytearray(key.encode()), dtype=torch.uint8),
        }
        return save({name: tensor.contiguous() for name, tensor in tensors.items()})

    @classmethod
    def from_bytes(cls, data: bytes, key: str) -> Self | None:
        """From a file; None when it belongs to something else or is damaged."""
        try:
            tensors = load(data)
            if bytes(tensors["key"].tolist()) != key.encode():
                return None
            condition = Condition(tensors["reference"], tensors["text"])
            return cls(condition, tensors["latents"], tensors["random"], int(tensors["step"]))
        except (SafetensorError, KeyError, ValueError):
            return None


def draw(shape: Sequence[int], generator: Generator) -> Tensor:
    """Normal numbers: on the CPU, so that every device gets the same ones."""
    return torch.randn(tuple(shape), generator=generator)


def denoise(
    paintings: Sequence[Painting],
    unet: ReferenceUNet,
    scheduler: EulerAncestralDiscreteScheduler,
    steps: int,
    guidance: float,
    sampling: Sequence[Generator] | None = None,
) -> Iterator[list[Painting]]:
    """Go on from where some paintings are, all at the same step; yields them after each one.

    `sampling` are generators for the scheduler's own noise, where that shall not come from the paintings' own. Several
    paintings share the UNet's calls; the result is then the same to the precision of the numbers, not to the bit.
    """
    first = paintings[0].step
    if any(painting.step != first for painting in paintings):
        raise ValueError("paintings of one batch must be at the same step")
    device, dtype = unet.unet.device, unet.unet.dtype
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(first)
    generators = [_generator(painting.random) for painting in paintings]
    latents = torch.stack([painting.latents for painting in paintings]).to(device)
    if first == 0:
        latents = latents * scheduler.init_noise_sigma
    reference = _branches([painting.condition.latents for painting in paintings])
    text = _branches([painting.condition.text for painting in paintings]).to(device, dtype)
    for step in range(first, steps):
        time, sigma = scheduler.timesteps[step], scheduler.sigmas[step]
        noise = _branches(
            [draw(painting.condition.latents.shape, own) for painting, own in _zip(paintings, generators)]
        )
        noisy = (reference + noise * sigma) / (sigma**2 + 1) ** 0.5
        scaled = scheduler.scale_model_input(latents, time)
        predicted = unet(torch.cat([scaled, scaled]).to(dtype), noisy.to(device, dtype), time.to(device), text)
        nothing, photo = predicted.float().chunk(2)
        guided = nothing + guidance * (photo - nothing)
        own_noise = list(sampling or generators)
        latents = scheduler.step(guided, time, latents, generator=own_noise, return_dict=False)[0]
        now = latents.cpu()
        yield [
            replace(painting, latents=now[index].clone(), random=generators[index].get_state(), step=step + 1)
            for index, painting in enumerate(paintings)
        ]


def _zip(paintings: Sequence[Painting], generators: Sequence[Generator]) -> Iterator[tuple[Painting, Generator]]:
    return zip(paintings, generators, strict=True)


def _generator(state: Tensor) -> Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def _branches(pairs: Sequence[Tensor]) -> Tensor:
    """Pairs (2, ...) of nothing and photo to (2 P, ...): first nothing for each, then each photo."""
    return torch.stack(list(pairs), dim=1).flatten(0, 1)

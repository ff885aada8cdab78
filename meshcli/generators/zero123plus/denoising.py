"""Denoising: from noise to the latents of a six-view sheet, resumable after every step.

Between steps, latents, conditioning and random state are on the CPU in float32, whatever the networks compute in: a run
resumed from a saved state gives the same bits as an uninterrupted one.
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
class Conditioning:
    """Inputs for the two branches of classifier-free guidance: unconditional, then conditional."""

    latents: Tensor  # (2, 4, h, w) of the reference picture
    text: Tensor  # (2, N, C) for cross-attention


@dataclass(frozen=True)
class DiffusionState:
    """The sampling of one sheet after some steps."""

    conditioning: Conditioning
    latents: Tensor  # (4, H, W); standard normal noise before the first step
    rng_state: Tensor  # of the photo's random generator
    step: int = 0  # steps done

    def to_bytes(self, key: str) -> bytes:
        """Serialise as safetensors; `key` identifies the photo and settings it belongs to."""
        tensors = {
            "reference": self.conditioning.latents,
            "text": self.conditioning.text,
            "latents": self.latents,
            "random": self.rng_state,
            "step": torch.tensor(self.step),
            "key": torch.frombuffer(bytearray(key.encode()), dtype=torch.uint8),
        }
        return save({name: tensor.contiguous() for name, tensor in tensors.items()})

    @classmethod
    def from_bytes(cls, data: bytes, key: str) -> Self | None:
        """Restore from `to_bytes`; None when the data are damaged or have another key."""
        try:
            tensors = load(data)
            if bytes(tensors["key"].tolist()) != key.encode():
                return None
            condition = Conditioning(tensors["reference"], tensors["text"])
            return cls(condition, tensors["latents"], tensors["random"], int(tensors["step"]))
        except (SafetensorError, KeyError, ValueError):
            return None


def draw_noise(shape: Sequence[int], generator: Generator) -> Tensor:
    """Standard normal numbers, drawn on the CPU so that they are the same for every device."""
    return torch.randn(tuple(shape), generator=generator)


def denoise(
    states: Sequence[DiffusionState],
    unet: ReferenceUNet,
    scheduler: EulerAncestralDiscreteScheduler,
    steps: int,
    guidance: float,
    scheduler_generators: Sequence[Generator] | None = None,
) -> Iterator[list[DiffusionState]]:
    """Take the remaining steps of some states, all at the same step; yields the new states after each step.

    `scheduler_generators` replace the states' own generators for the scheduler's noise. Several states share each call
    of the UNet; results then agree with single runs to rounding, not to the bit.
    """
    first = states[0].step
    if any(state.step != first for state in states):
        raise ValueError("states of one batch must be at the same step")
    device, dtype = unet.unet.device, unet.unet.dtype
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(first)
    generators = [_restored_generator(state.rng_state) for state in states]
    latents = torch.stack([state.latents for state in states]).to(device)
    if first == 0:
        latents = latents * scheduler.init_noise_sigma
    text = _stack_branches([state.conditioning.text for state in states]).to(device, dtype)
    for step in range(first, steps):
        time, sigma = scheduler.timesteps[step], scheduler.sigmas[step]
        reference = _noisy_reference([state.conditioning.latents for state in states], generators, sigma)
        scaled = scheduler.scale_model_input(latents, time)
        predicted = unet(torch.cat([scaled, scaled]).to(dtype), reference.to(device, dtype), time.to(device), text)
        unconditional, conditional = predicted.float().chunk(2)
        guided = unconditional + guidance * (conditional - unconditional)
        sources = list(scheduler_generators or generators)
        latents = scheduler.step(guided, time, latents, generator=sources, return_dict=False)[0]
        finished = latents.cpu()
        yield [
            replace(state, latents=finished[index].clone(), rng_state=generators[index].get_state(), step=step + 1)
            for index, state in enumerate(states)
        ]


def _noisy_reference(latents: Sequence[Tensor], generators: Sequence[Generator], sigma: Tensor) -> Tensor:
    """Reference latents of P states, (2, 4, h, w) each, with fresh noise, at unit variance: (2 P, 4, h, w)."""
    pairs = zip(latents, generators, strict=True)
    noise = _stack_branches([draw_noise(reference.shape, generator) for reference, generator in pairs])
    return (_stack_branches(latents) + noise * sigma) / (sigma**2 + 1) ** 0.5


def _restored_generator(state: Tensor) -> Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def _stack_branches(pairs: Sequence[Tensor]) -> Tensor:
    """P pairs (2, ...) of branches to (2 P, ...): all unconditional ones, then all conditional ones."""
    return torch.stack(list(pairs), dim=1).flatten(0, 1)

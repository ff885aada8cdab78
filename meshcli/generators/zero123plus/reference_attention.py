"""A UNet that looks at a reference picture while it denoises: Zero123++'s reference attention.

Two passes per step. The writing pass denoises the reference, and every self-attention keeps its keys and values. In the
reading pass each self-attention sees them behind its own. (Shi et al. 2023, Zero123++; the idea is lllyasviel's.)

The writing pass ends at the last self-attention, as soon as that has kept its keys and values: nothing of what would
follow is used.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, cast

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from meshcli.errors import MissingError
from meshcli.lrm.attention import join_heads, split_heads

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values (B, H, N, D) -> (B, H, N, D)


def xformers_attention() -> Attend:
    """Attention by xformers' kernels, for CUDA; MissingError when they are not installed."""
    try:
        from xformers.ops import memory_efficient_attention
    except (ImportError, OSError) as error:
        raise MissingError(f"xformers cannot be used ({error}): `pip install xformers`, or --attention auto") from error

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        turned = [tokens.transpose(1, 2) for tokens in (query, key, value)]  # it wants (B, N, H, D)
        return cast(Tensor, memory_efficient_attention(*turned)).transpose(1, 2)

    return attend


class ReferenceUNet:
    """The two passes over one UNet, which keeps its parameters and names."""

    def __init__(self, unet: UNet2DConditionModel, attend: Attend) -> None:
        self.unet = unet
        names = [name for name in unet.attn_processors if ".attn1." in name]
        self._memory = _Memory(last=[name for name in names if name.startswith("up_blocks")][-1])
        unet.set_attn_processor(
            {
                name: _SelfAttention(name, self._memory, attend) if name in names else _CrossAttention(attend)
                for name in unet.attn_processors
            }
        )

    def __call__(self, latents: Tensor, reference: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """What the UNet predicts for noisy latents (B, 4, H, W).

        `reference` (B, 4, h, w) are the reference's latents with the noise of this time, `text` (B, N, C) the
        embedding that both passes see.
        """
        try:
            self._memory.mode = "write"
            with suppress(_WrittenError):
                self._forward(reference, time, text)
            self._memory.mode = "read"
            return self._forward(latents, time, text)
        finally:
            self._memory.forget()

    def plain(self, latents: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """The same without a reference."""
        return self._forward(latents, time, text)

    def _forward(self, latents: Tensor, time: Tensor, text: Tensor) -> Tensor:
        # Channels last: convolutions in bf16 run at 868 instead of 365 GFLOP/s (320 channels, 120 x 80, 2 cores, AMX).
        if latents.dtype != torch.float32:
            latents = latents.to(memory_format=torch.channels_last)
        return cast(Tensor, self.unet(latents, time, encoder_hidden_states=text, return_dict=False)[0])


class _WrittenError(Exception):
    """The writing pass has done all it is for."""


class _Memory:
    """Keys and values of the reference, by the name of the attention, and which pass this is."""

    def __init__(self, last: str) -> None:
        self.last = last
        self.mode: Literal["write", "read", "off"] = "off"
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}

    def forget(self) -> None:
        self.mode = "off"
        self.kept.clear()


class _SelfAttention:
    """Writes its keys and values down, or reads those of the reference behind its own."""

    def __init__(self, name: str, memory: _Memory, attend: Attend) -> None:
        self._name = name
        self._memory = memory
        self._attend = attend

    def __call__(self, attention: Attention, states: Tensor, **_: object) -> Tensor:
        """From normalised states (B, N, C) to what is added to them."""
        keys, values = attention.to_k(states), attention.to_v(states)
        if self._memory.mode == "write":
            self._memory.kept[self._name] = keys, values
            if self._name == self._memory.last:
                raise _WrittenError
        elif self._memory.mode == "read":
            kept = self._memory.kept.pop(self._name)
            keys, values = torch.cat([keys, kept[0]], 1), torch.cat([values, kept[1]], 1)
        return _attended(attention, states, keys, values, self._attend)


class _CrossAttention:
    """Attention to the text, as usual."""

    def __init__(self, attend: Attend) -> None:
        self._attend = attend

    def __call__(self, attention: Attention, states: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        """From normalised states (B, N, C) to what is added to them."""
        keys, values = attention.to_k(encoder_hidden_states), attention.to_v(encoder_hidden_states)
        return _attended(attention, states, keys, values, self._attend)


def _attended(attention: Attention, states: Tensor, keys: Tensor, values: Tensor, attend: Attend) -> Tensor:
    heads = attention.heads
    queries = split_heads(attention.to_q(states), heads)
    return cast(
        Tensor, attention.to_out[0](join_heads(attend(queries, split_heads(keys, heads), split_heads(values, heads))))
    )

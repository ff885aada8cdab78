"""Reference attention (Shi et al. 2023, Zero123++; after lllyasviel's "reference-only" ControlNet).

Two passes per step. The write pass denoises the reference picture, and every self-attention caches its keys and values.
In the read pass each self-attention appends the cached ones to its own.

The write pass is aborted once the last self-attention has cached its keys and values: nothing after it is used.
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

AttentionFunction = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values (B, H, N, D) -> (B, H, N, D)


def xformers_attention() -> AttentionFunction:
    """Attention by xformers' kernels, for CUDA; MissingError when they cannot be imported."""
    try:
        from xformers.ops import memory_efficient_attention
    except (ImportError, OSError) as error:
        raise MissingError(f"xformers cannot be used ({error}): `pip install xformers`, or --attention auto") from error

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        inputs = [tokens.transpose(1, 2) for tokens in (query, key, value)]  # (B, N, H, D)
        return cast(Tensor, memory_efficient_attention(*inputs)).transpose(1, 2)

    return attend


class ReferenceUNet:
    """A UNet with reference attention; its parameters and their names stay as they are."""

    def __init__(self, unet: UNet2DConditionModel, attend: AttentionFunction) -> None:
        self.unet = unet
        names = [name for name in unet.attn_processors if ".attn1." in name]
        self._cache = _ReferenceCache(last=[name for name in names if name.startswith("up_blocks")][-1])
        unet.set_attn_processor(
            {
                name: _SelfAttention(name, self._cache, attend) if name in names else _CrossAttention(attend)
                for name in unet.attn_processors
            }
        )

    def __call__(self, latents: Tensor, reference: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """Predict from noisy latents (B, 4, H, W), in two passes.

        `reference` (B, 4, h, w) are the reference's latents with noise added for this time step, `text` (B, N, C) the
        embeddings for cross-attention in both passes.
        """
        try:
            self._cache.mode = "write"
            with suppress(_WritePassEndedError):
                self._forward(reference, time, text)
            self._cache.mode = "read"
            return self._forward(latents, time, text)
        finally:
            self._cache.clear()

    def without_reference(self, latents: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """Predict without a reference, in one pass."""
        return self._forward(latents, time, text)

    def _forward(self, latents: Tensor, time: Tensor, text: Tensor) -> Tensor:
        # Channels last: convolutions in bf16 run at 868 instead of 365 GFLOP/s (320 channels, 120 x 80, 2 cores, AMX).
        if latents.dtype != torch.float32:
            latents = latents.to(memory_format=torch.channels_last)
        return cast(Tensor, self.unet(latents, time, encoder_hidden_states=text, return_dict=False)[0])


class _WritePassEndedError(Exception):
    """Aborts the write pass after the last self-attention."""


class _ReferenceCache:
    """The reference's keys and values by name of the attention, and the current pass."""

    def __init__(self, last: str) -> None:
        self.last = last
        self.mode: Literal["write", "read", "off"] = "off"
        self.entries: dict[str, tuple[Tensor, Tensor]] = {}

    def clear(self) -> None:
        self.mode = "off"
        self.entries.clear()


class _SelfAttention:
    """Self-attention that caches its keys and values (write) or appends the cached ones to its own (read)."""

    def __init__(self, name: str, cache: _ReferenceCache, attend: AttentionFunction) -> None:
        self._name = name
        self._cache = cache
        self._attend = attend

    def __call__(self, attention: Attention, states: Tensor, **_: object) -> Tensor:
        """Attention output (B, N, C) for normalised states (B, N, C)."""
        keys, values = attention.to_k(states), attention.to_v(states)
        if self._cache.mode == "write":
            self._cache.entries[self._name] = keys, values
            if self._name == self._cache.last:
                raise _WritePassEndedError
        elif self._cache.mode == "read":
            cached = self._cache.entries.pop(self._name)
            keys, values = torch.cat([keys, cached[0]], 1), torch.cat([values, cached[1]], 1)
        return _attention_output(attention, states, keys, values, self._attend)


class _CrossAttention:
    """Plain cross-attention to the text."""

    def __init__(self, attend: AttentionFunction) -> None:
        self._attend = attend

    def __call__(self, attention: Attention, states: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        """Attention output (B, N, C) for normalised states (B, N, C)."""
        keys, values = attention.to_k(encoder_hidden_states), attention.to_v(encoder_hidden_states)
        return _attention_output(attention, states, keys, values, self._attend)


def _attention_output(
    attention: Attention, states: Tensor, keys: Tensor, values: Tensor, attend: AttentionFunction
) -> Tensor:
    heads = attention.heads
    queries = split_heads(attention.to_q(states), heads)
    return cast(
        Tensor, attention.to_out[0](join_heads(attend(queries, split_heads(keys, heads), split_heads(values, heads))))
    )

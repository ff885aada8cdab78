"""From picture tokens to a triplane: a transformer decoder with learnt queries, one per texel.

As in LRM (Hong et al. 2024, arXiv:2311.04400): cross-attention, self-attention, MLP, each behind a layer norm. Module
names are the checkpoint's; the attentions' are those of torch.nn.MultiheadAttention.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from meshcli.lrm.attention import attend, join_heads, split_heads
from meshcli.lrm.matrices import Linear, linear
from meshcli.lrm.sizes import Sizes

PLANE_COUNT = 3
TEXELS_PER_BLOCK = 1024  # computed at a time on a CPU: buffers small enough for the allocator to reuse, not map afresh
BLOCK_EPSILON = 1e-5  # torch's default: the published blocks take an `eps` argument and ignore it
FINAL_EPSILON = 1e-6


class _CrossAttention(nn.Module):
    """Attention from texels to picture tokens, which have another width."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj_weight = nn.Parameter(torch.empty(width, width))
        self.k_proj_weight = nn.Parameter(torch.empty(width, context))
        self.v_proj_weight = nn.Parameter(torch.empty(width, context))
        self.out_proj = Linear(width, width, bias=False)

    def keys(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, M, D) of picture tokens (B, M, C)."""
        key = split_heads(linear(context, self.k_proj_weight), self.heads)
        value = split_heads(linear(context, self.v_proj_weight), self.heads)
        return key.contiguous(), value.contiguous()

    def forward(self, tokens: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query = split_heads(linear(tokens, self.q_proj_weight), self.heads)
        result: Tensor = self.out_proj(join_heads(attend(query, key, value)))
        return result


class _SelfAttention(nn.Module):
    """Attention among the texels of all planes."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.out_proj = Linear(width, width, bias=False)

    def project(self, blocks: Iterable[Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Queries (B, H, n, D) for each block of texels (B, n, C), and keys and values (B, H, N, D) of all blocks."""
        queries, keys, values = [], [], []
        for block in blocks:
            parts = linear(block, self.in_proj_weight).chunk(3, dim=-1)
            query, key, value = (split_heads(part, self.heads) for part in parts)
            queries.append(query.contiguous())
            keys.append(key)
            values.append(value)
        return queries, torch.cat(keys, dim=2), torch.cat(values, dim=2)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result: Tensor = self.out_proj(join_heads(attend(query, key, value)))
        return result


class _Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, heads = sizes.transformer_dim, sizes.transformer_heads
        self.norm1 = nn.LayerNorm(width, BLOCK_EPSILON)
        self.cross_attn = _CrossAttention(width, sizes.encoder_feat_dim, heads)
        self.norm2 = nn.LayerNorm(width, BLOCK_EPSILON)
        self.self_attn = _SelfAttention(width, heads)
        self.norm3 = nn.LayerNorm(width, BLOCK_EPSILON)
        # Modules 2 and 4 were dropouts in training; the numbers are part of the checkpoint's parameter names.
        self.mlp = nn.Sequential(Linear(width, 4 * width), nn.GELU(), nn.Identity(), Linear(4 * width, width))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Update `tokens` in place and return them; in blocks of some texels, to keep intermediates small."""
        blocks = tokens.split(TEXELS_PER_BLOCK if tokens.device.type == "cpu" else tokens.shape[1], dim=1)
        key, value = self.cross_attn.keys(context)
        for block in blocks:
            block.add_(self.cross_attn(self.norm1(block), key, value))
        queries, key, value = self.self_attn.project(self.norm2(block) for block in blocks)
        for block, query in zip(blocks, queries, strict=True):
            block.add_(self.self_attn(query, key, value))
            block.add_(self.mlp(self.norm3(block)))
        return tokens


class TriplaneTransformer(nn.Module):
    """Turns the tokens of all views into three feature planes."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.side = sizes.triplane_low_res
        self.pos_embed = nn.Parameter(torch.empty(1, PLANE_COUNT * self.side**2, sizes.transformer_dim))
        self.layers = nn.ModuleList(_Block(sizes) for _ in range(sizes.transformer_layers))
        self.norm = nn.LayerNorm(sizes.transformer_dim, FINAL_EPSILON)
        self.deconv = nn.ConvTranspose2d(sizes.transformer_dim, sizes.triplane_dim, 2, 2)

    def forward(self, context: Tensor) -> Tensor:
        """Concatenated tokens of all views (B, V * N, C) to planes (B, 3, D, 2 * side, 2 * side)."""
        batch = len(context)
        tokens = self.pos_embed.repeat(batch, 1, 1)
        for layer in self.layers:
            tokens = layer(tokens, context)
        tokens = self.norm(tokens)
        # Tokens are ordered by plane, then row by row.
        grids = tokens.reshape(batch * PLANE_COUNT, self.side, self.side, -1).permute(0, 3, 1, 2)
        planes: Tensor = self.deconv(grids.contiguous())
        return planes.reshape(batch, PLANE_COUNT, *planes.shape[1:])

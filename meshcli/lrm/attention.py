"""Attention without its weights in memory, computed in the way that is fastest where we run."""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from meshcli.lrm.processor import has_bfloat16, is_intel
from meshcli.lrm.threads import run_in_threads

WEIGHTS_PER_BLOCK = 1 << 19  # of a head at a time, where they are written out: twice a megabyte, near the processor
QUERY_ROWS = 16  # or a multiple of them at a time: rows that processors multiply together


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of (B, H, N, D) with keys and values (B, H, M, D): (B, H, N, D).

    The library's kernel gains a seventh in float32 when the heads do not lie between each other.
    """
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value)
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    if blocks_are_faster(query.dtype):
        return attend_in_blocks(query, key, value)
    return functional.scaled_dot_product_attention(query, key, value)


def blocks_are_faster(dtype: torch.dtype) -> bool:
    """Whether attention written out is faster than the library's kernel here, by this table.

    GFLOP/s of one core, 1024 queries and 3072 keys in 16 heads of 64, by tests/bench/products.py, which also says how
    AMX is held off:

    | processor                           | float32: library | blocks | bfloat16: library | blocks |
    |-------------------------------------|------------------|--------|-------------------|--------|
    | Intel Xeon, AMX                     | 134              | 87     | 340               | 163    |
    | the same, held to AVX-512 BF16      | 141              | 97     | 128               | 75     |
    | AMD, AVX-512 BF16, no AMX           | 101              |        | 90                | 250    |
    | the same, two cores, in the network | 75               |        |                   | 80     |

    The rows of AMD are of blocks of all heads at once, whose products fell out of the cache and took fresh pages every
    time (54 in the second row): three of seven seconds went into softmax. In blocks of one head it takes half as long;
    that was not measured on AMD. What decides is how fast products are: AMD multiplies bfloat16 twice as fast as
    float32, Intel without AMX more slowly, so that its library does better to widen them.
    """
    return dtype == torch.bfloat16 and has_bfloat16() and not is_intel()


def attend_in_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same, a head and some queries at a time: what lies between two steps stays in the cache."""
    result = torch.empty_like(query, memory_format=torch.contiguous_format)
    query = query * query.shape[-1] ** -0.5
    length, count = query.shape[2], key.shape[2]
    rows = min(length, max(1, WEIGHTS_PER_BLOCK // (count * QUERY_ROWS)) * QUERY_ROWS)

    def work(head: tuple[int, ...]) -> None:
        buffers = query.new_empty(2, rows, count)
        for part, found in zip(query[head].split(rows), result[head].split(rows), strict=True):
            products, weights = buffers[:, : len(part)]
            torch.mm(part, key[head].t(), out=products)
            torch.softmax(products, dim=-1, out=weights)
            torch.mm(weights, value[head], out=found)

    run_in_threads(work, product(*map(range, query.shape[:2])), query.device)
    return result


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, H * D) to (B, H, N, D), a view."""
    batch, length, width = tokens.shape
    return tokens.view(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(tokens: Tensor) -> Tensor:
    """(B, H, N, D) to (B, N, H * D)."""
    return tokens.transpose(1, 2).flatten(2)
